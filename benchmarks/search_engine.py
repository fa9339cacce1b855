"""Time that `kedge search` itself takes for a trial, by the number of trials in the study.

    python -m benchmarks.search_engine [--quick]

Writes benchmarks/results/search_engine.md. The trials are stand-ins: each study is filled with
random choices in the real space of a search, with random accuracies and latencies. Then some trials
go through the real engine: propose, look for an equal recipe, keep the result. The study is a file,
or in a PostgreSQL server of its own on this computer. `--quick` measures small studies in a file
alone, and writes nothing.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import optuna

from benchmarks.machine import machine
from tests.toolkit.search.database import start_database
from toolkit.search.objective import DEFAULT_OBJECTIVES, OBJECTIVES
from toolkit.search.shared_study import SharedStudy, parse_study_url
from toolkit.search.space import MOVES, propose
from toolkit.search.study import Study

RESULT = Path(__file__).parent / "results" / "search_engine.md"
FILE, DATABASE = "file", "PostgreSQL"
ROWS = ((FILE, 100), (FILE, 1_000), (FILE, 10_000), (DATABASE, 1_000))
QUICK = ((FILE, 100), (FILE, 1_000))
_OBJECTIVES = [OBJECTIVES[name] for name in DEFAULT_OBJECTIVES]
_TRIALS = 12
#: Seconds of a short trial with 60 epochs of training, as the base of the engine's share.
_SHORT_TRIAL_S = 60.0


@dataclass
class _Choices:
    """Random choices of a trial."""

    params: dict[str, Any] = field(default_factory=dict)
    distributions: dict[str, optuna.distributions.BaseDistribution] = field(default_factory=dict)

    def choose(self, name: str, options: Sequence[Any]) -> Any:
        """Choose at random."""
        self.distributions[name] = optuna.distributions.CategoricalDistribution(list(options))
        self.params[name] = random.choice(list(options))
        return self.params[name]


def main() -> None:
    """Measure, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="small files alone; writes nothing")
    options = parser.parse_args()
    rows = []
    for storage, count in QUICK if options.quick else ROWS:
        rows.append(_row(storage, count))
        print(rows[-1], flush=True)
    text = "\n".join([*_head(), *rows, ""])
    if options.quick:
        print(text)
    else:
        RESULT.write_text(text, encoding="utf-8")


def _row(storage: str, count: int) -> str:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if storage == FILE:
            return _measure(storage, count, folder, None)
        with start_database() as database:
            return _measure(storage, count, folder, parse_study_url(database.make("engine")))


def _measure(storage: str, count: int, folder: Path, shared: SharedStudy | None) -> str:
    _fill(folder, count, shared)
    start = time.monotonic()
    with Study(folder, {}, 0, _OBJECTIVES, shared) as study:
        _ = study.finished_count
        opening = time.monotonic() - start
        walls, cpus, keeps = [], [], []
        for _ in range(_TRIALS):
            start, start_cpu = time.monotonic(), time.process_time()
            trial = study.ask()
            candidate = propose(trial, set(MOVES), 2)
            walls.append(time.monotonic() - start)
            cpus.append(time.process_time() - start_cpu)
            start = time.monotonic()
            study.known_record(candidate.recipe)
            study.note_recipe(trial, f"{candidate.recipe}# {trial.number}")
            study.finish(trial, (random.random(), random.random()), {"number": trial.number})
            _ = study.finished_count
            keeps.append(time.monotonic() - start)
    share = (statistics.median(walls) + statistics.median(keeps)) / _SHORT_TRIAL_S
    figures = (statistics.median(cpus), statistics.median(walls), max(walls))
    cells = [f"{1e3 * seconds:.0f}" for seconds in (*figures, statistics.median(keeps), opening)]
    return f"| {storage} | {count:,} | {' | '.join(cells)} | {100 * share:.2f} % |"


def _fill(folder: Path, count: int, shared: SharedStudy | None) -> None:
    """Put random trials into a study, without waiting for the disk."""
    random.seed(0)
    trials = []
    for number in range(count):
        choices = _Choices()
        candidate = propose(choices, set(MOVES), 2)
        values = [random.uniform(0.5, 0.9), random.uniform(0.2, 1.0)]
        attributes = {
            "recipe": f"{candidate.recipe}# {number}",
            "outcome": {"result": {"number": number}, "values": values},
        }
        trials.append(
            optuna.trial.create_trial(
                params=choices.params, distributions=choices.distributions, values=values,
                user_attrs=attributes,
            )
        )  # fmt: skip
    sync, os.fsync = os.fsync, lambda _: None
    try:
        with Study(folder, {}, 0, _OBJECTIVES, shared) as study:
            study._study.add_trials(trials)
    finally:
        os.fsync = sync


def _head() -> list[str]:
    return [
        "# Time of the search engine",
        "",
        f"`python -m benchmarks.search_engine`. {machine()} Load average {os.getloadavg()[1]:.1f}, "
        f"nice {os.nice(0)}.",
        "",
        f"Milliseconds, from {_TRIALS} trials in a study that has so many already: median CPU",
        "time, median and longest wall time of proposing a trial; median wall time of keeping its",
        "result; wall time of opening the study. The share is that of proposing and keeping in a",
        f"trial of {_SHORT_TRIAL_S:.0f} s; `search.json` has the share of each real search. The",
        "trials are stand-ins with random figures.",
        "",
        "| study | trials | propose, CPU | propose | longest | keep | open | share of a trial |",
        "|---|---|---|---|---|---|---|---|",
    ]


if __name__ == "__main__":
    main()
