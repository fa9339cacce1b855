"""Stand-ins of trainings, whose latency and accuracy follow from the recipe.

As a program: searches in a folder until so many trials have ended; each takes some milliseconds,
or as many seconds as are given. With the URL of a database, other processes may do the same.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import tomlkit

from converters.errors import ConversionError
from converters.evidence.conversion import Conversion, read_conversion, write_conversion
from converters.judge.score import FILE, ORIGINAL, Accuracy, Score
from converters.measure import Figure, FileFigures, FileRefusal
from converters.progress import Progress, Report, ignore
from converters.recipe.recipe import load_recipe
from converters.request import ConversionRequest
from toolkit.search.outcome import SearchSettings
from toolkit.search.search import search
from toolkit.search.shared_study import parse_study_url
from toolkit.search.trial_run import TrialTools

WHOLE_US = 100.0
#: Samples of the validation and of the test split.
SAMPLES = 1000


def latency_of(model: Path) -> float:
    """Latency of a stand-in, microseconds: its file says it."""
    return float(json.loads(model.read_text())["us"])


class StandInConversions:
    """Writes a stand-in in the place of each conversion."""

    def __init__(self, refused: str = "", pause_s: float = 0.0, epochs: int = 0) -> None:
        self._refused, self._pause_s, self._epochs = refused, pause_s, epochs
        #: Folder of each conversion, in order.
        self.folders: list[Path] = []

    def __call__(self, request: ConversionRequest, report: Report) -> Conversion:
        recipe = load_recipe(request.recipe)
        kinds = [step.kind for step in recipe.steps]
        if self._refused in kinds:
            what = "no model" if self._refused == "ptq_w8a8" else f"has no {self._refused}"
            raise ConversionError(what)
        self.folders.append(request.out)
        if "trials" in request.out.parts:
            time.sleep(self._pause_s)
        us, wrong = WHOLE_US, 100.0
        for step in tomlkit.parse(Path(request.recipe).read_text()).unwrap()["step"]:
            left = step.get("macs_ratio", 1.0)
            us, wrong = us * left**0.7, wrong + 60 * (1 - left) ** 2
            wrong -= 15 if step["kind"] == "qat_w8a8" else 0
        for epoch in range(1, self._epochs + 1) if "distill" in kinds else ():
            accuracy = (1 - 2.0**-epoch) * (1 - wrong / SAMPLES)
            report(Progress("distill", epoch, self._epochs, "", accuracy))
        return _write(request, recipe.name, us, round(wrong))

    def trained_trials(self) -> list[Path]:
        """Files of trials that were trained, without the structures measured before."""
        return [
            folder / "model.tflite"
            for folder in self.folders
            if "trials" in folder.parts and folder.name != "structure"
        ]


def _write(request: ConversionRequest, recipe: str, us: float, wrong: int) -> Conversion:
    content = json.dumps({"us": us}).encode()
    model = request.out / "model.tflite"
    model.write_bytes(content)
    right = SAMPLES - wrong
    assert request.judge_all
    assert not request.judge_test
    conversion = Conversion(
        model=model,
        model_sha256=hashlib.sha256(content).hexdigest(),
        model_bytes=len(content),
        recipe=recipe,
        recipe_steps=(),
        seed=0,
        source=str(request.model),
        source_sha256="",
        source_bytes=1,
        data=str(request.data),
        data_sha256="",
        splits=(),
        versions={},
        float_accuracy=None,
        accuracy=None,
        inputs=(),
        outputs=(),
        scores=_scores("validation", right),
    )
    write_conversion(conversion, "")
    return conversion


def _scores(split: str, right: int) -> tuple[Score, ...]:
    return tuple(
        Score(subject, split, SAMPLES, count, (count / SAMPLES - 0.01, count / SAMPLES + 0.01),
              0.9, 0.9, 0.9)
        for subject, count in ((ORIGINAL, 900), (FILE, right))
    )  # fmt: skip


def judge(requests: Sequence[ConversionRequest], report: Report) -> None:
    """Judge stand-ins on test samples: 1 point below the validation samples, and once."""
    del report
    for request in requests:
        conversion = read_conversion(request.out)
        if len(conversion.scores) > 2:
            continue
        right = conversion.scores[1].correct - SAMPLES // 100
        scores = (*conversion.scores, *_scores("test", right))
        accuracy = Accuracy(right, SAMPLES)
        write_conversion(replace(conversion, scores=scores, accuracy=accuracy))


def measure(paths: Sequence[Path]) -> list[FileFigures | FileRefusal]:
    """Measure stand-ins."""
    return [FileFigures(Figure(us, us, us), Figure(1e6, 1e6, 1e6)) for us in map(latency_of, paths)]


def main(out: Path, trials: int, pause_s: float = 0.02, url: str = "") -> None:
    """Search; `pause_s` is the time of each conversion of a trial, seconds."""
    out.parent.mkdir(parents=True, exist_ok=True)
    model, data = out.parent / "model.keras", out.parent / "data.npz"
    model.write_bytes(b"a model")
    data.write_bytes(b"samples")
    request = ConversionRequest(model, data, "", out, judge_all=True, judge_test=False)
    tools = TrialTools(
        request, StandInConversions(pause_s=pause_s), {"board": measure}, 1.0, ignore, judge
    )
    shared = replace(parse_study_url(url), heartbeat_s=1) if url else None
    search(SearchSettings("board", 600.0, trials, 2, shared=shared), tools)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), *map(float, sys.argv[3:4]), *sys.argv[4:])
