"""Which of the runtimes that load on a board is used: the user's, the best, or the board's own."""

from __future__ import annotations

from device_agent.contract.facts import Facts
from device_agent.contract.runtimes import BOARD_PREFIX, distribution_of
from targets.runtimes.runtime import (
    NoRuntimeError,
    RuntimeChoice,
    choose_runtime,
    judge_runtimes,
    wheels_of,
)


def choices(facts: Facts) -> list[RuntimeChoice]:
    """Return every runtime that a board can use, the preferred one first.

    Of each distribution the newest that loads; then those that the board's own Python has, for a
    vendor may have built one better. Whether one of those loads is known when it is tried.

    Args:
        facts: What the agent says of its board.
    """
    brought: dict[str, RuntimeChoice] = {}
    for verdict in judge_runtimes(facts):
        runtime = verdict.runtime
        if verdict.refusal is None and runtime.distribution not in brought:
            wheels = wheels_of(runtime, facts)
            brought[runtime.distribution] = RuntimeChoice(
                runtime.distribution, runtime.version, wheels
            )
    return [*brought.values(), *_of_the_board(facts)]


def choose(facts: Facts, wanted: str | None = None) -> RuntimeChoice:
    """Choose the runtime for a board.

    Args:
        facts: What the agent says of it.
        wanted: What the user said: `NAME`, `NAME VERSION` or `board:NAME`.

    Raises:
        NoRuntimeError: None loads there, or not the one that is wanted; the message says why.
    """
    if wanted is None:
        try:
            return choose_runtime(facts)
        except NoRuntimeError:
            for choice in _of_the_board(facts):
                if _numpy_fits(choice, facts):
                    return choice
            raise
    if wanted.startswith(BOARD_PREFIX):
        return _the_boards(wanted, facts)
    name, _, version = wanted.partition(" ")
    asked = [
        verdict
        for verdict in judge_runtimes(facts)
        if verdict.runtime.distribution == name and version in ("", verdict.runtime.version)
    ]
    for verdict in asked:
        if verdict.refusal is None:
            runtime = verdict.runtime
            return RuntimeChoice(name, runtime.version, wheels_of(runtime, facts))
    reasons = "".join(f"\n  {name} {one.runtime.version}: {one.refusal}" for one in asked)
    raise NoRuntimeError(
        f"the runtime {wanted!r} that kedge.toml names does not load on this board"
        + (reasons or ": kedge knows no such release"),
        f"Choose another, or leave out `runtime`. {_usable(facts)}",
    )


def _of_the_board(facts: Facts) -> list[RuntimeChoice]:
    return [RuntimeChoice(BOARD_PREFIX + own.name, own.version, ()) for own in facts.board_runtimes]


def _the_boards(wanted: str, facts: Facts) -> RuntimeChoice:
    for choice in _of_the_board(facts):
        if choice.distribution != wanted:
            continue
        if not _numpy_fits(choice, facts):
            numpy = facts.installed.get("numpy")
            raise NoRuntimeError(
                f"the board's own {distribution_of(wanted)} needs numpy 1, its Python has "
                + (f"numpy {numpy}" if numpy else "no numpy"),
                "On the board: python3 -m pip install 'numpy<2'",
            )
        return choice
    raise NoRuntimeError(
        f"the Python of this board ({facts.python_executable}) has no "
        f"{distribution_of(wanted)} of its own",
        "Name the Python that has it as `python` of this target in kedge.toml, such as that of a "
        f"virtual environment. {_usable(facts)}",
    )


def _numpy_fits(choice: RuntimeChoice, facts: Facts) -> bool:
    """Every tflite-runtime was built against numpy 1, and dies with numpy 2 when it is imported."""
    numpy = facts.installed.get("numpy", "")
    if distribution_of(choice.distribution) != "tflite-runtime":
        return bool(numpy)
    return numpy.startswith(("1.", "unknown"))


def _usable(facts: Facts) -> str:
    names = ", ".join(f"{one.distribution} {one.version}" for one in choices(facts))
    return f"This board can use: {names or 'none'}."
