"""The state of a fleet in the text form of Prometheus. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from toolkit.fleet.journal_records import RolloutLine
from toolkit.fleet.status import TargetStatus

_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})


def prometheus_text(statuses: Sequence[TargetStatus], rollouts: Iterable[RolloutLine]) -> str:
    """Write the metrics of a fleet.

    Args:
        statuses: Targets of the fleet.
        rollouts: Rollouts of the journal.
    """
    lines: list[str] = []
    _metric(
        lines,
        "kedge_target_reachable",
        "Whether the target answered, 1 or 0.",
        [({"target": each.name}, int(each.is_reachable)) for each in _first_of_each(statuses)],
    )
    with_app = [each for each in statuses if each.app and each.is_known]
    _metric(
        lines,
        "kedge_target_release_info",
        "Active release of an application on a target; the value is 1.",
        [({**_labels(each), "release": each.current, "version": each.version}, 1)
         for each in with_app if each.current],
    )  # fmt: skip
    _metric(
        lines,
        "kedge_target_drift",
        "Whether another release is active than the one that should be, 1 or 0.",
        [(_labels(each), int(each.drifts)) for each in with_app],
    )
    _metric(
        lines,
        "kedge_target_on_trial",
        "Whether the active release is not confirmed yet, 1 or 0.",
        [(_labels(each), int(each.on_trial)) for each in with_app],
    )
    _metric(
        lines,
        "kedge_target_since_seconds",
        "Time of the last switch in seconds since 1970, by the target's clock.",
        [(_labels(each), each.since) for each in with_app if each.since],
    )
    boards: Counter[tuple[str, str, str]] = Counter()
    for line in rollouts:
        for state, count in line.boards.items():
            boards[str(line.number), line.start.app, state] = count
    _metric(
        lines,
        "kedge_rollout_boards",
        "Number of boards of a rollout by state.",
        [({"rollout": number, "app": app, "state": state}, count)
         for (number, app, state), count in boards.items()],
    )  # fmt: skip
    return "\n".join(lines) + "\n"


def _metric(
    lines: list[str], name: str, words: str, samples: Iterable[tuple[Mapping[str, str], float]]
) -> None:
    lines.append(f"# HELP {name} {words}")
    lines.append(f"# TYPE {name} gauge")
    for labels, value in samples:
        text = ",".join(f'{key}="{text.translate(_ESCAPES)}"' for key, text in labels.items())
        lines.append(f"{name}{{{text}}} {value:.15g}")


def _labels(status: TargetStatus) -> dict[str, str]:
    return {"target": status.name, "app": status.app}


def _first_of_each(statuses: Sequence[TargetStatus]) -> list[TargetStatus]:
    return [*{status.name: status for status in reversed(statuses)}.values()][::-1]
