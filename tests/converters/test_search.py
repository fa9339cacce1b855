"""A search over real conversions, measured on this computer."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from converters.evidence.conversion import read_conversion
from converters.late_test import judge_on_test
from converters.measure import VALID, FileFigures, FileRefusal
from converters.progress import Progress
from converters.request import ConversionRequest
from tests.converters.warm import convert
from toolkit.measure.host_latency import measure_on
from toolkit.search.outcome import SearchSettings
from toolkit.search.search import search
from toolkit.search.trial_run import TrialTools


def test_two_trials_of_a_real_model_end_in_a_front_of_real_files(
    digits_request: ConversionRequest, tmp_path: Path
) -> None:
    request = replace(
        digits_request, out=tmp_path / "out", judge_all=True, judge_test=False, recipe=""
    )

    def measure(paths: Sequence[Path]) -> list[FileFigures | FileRefusal]:
        """Measure, and trust the figures of a computer on which other tests run."""
        answers = measure_on()(paths)
        assert all(isinstance(answer, FileFigures) for answer in answers)
        return [replace(a, verdict=VALID) for a in answers if isinstance(a, FileFigures)]

    accuracies = []

    def report(progress: Progress) -> None:
        if progress.validation_accuracy is not None:
            accuracies.append(progress.validation_accuracy)

    tools = TrialTools(request, convert, {"this computer": measure}, 1000.0, report, judge_on_test)
    outcome = search(SearchSettings("this computer", 600.0, 2, 1), tools)
    plain = json.loads((tmp_path / "out" / "search.json").read_text())
    assert outcome.finished == 2
    assert accuracies  # after each epoch: by them a search ends what falls behind
    assert all(0 < accuracy <= 1 for accuracy in accuracies)
    best = max(point["accuracy"]["value"] for point in plain["front"])
    assert best >= plain["original_accuracy"]["value"] - 0.05
    for point in (*plain["front"], {"test_accuracy": plain["original_test_accuracy"]}):
        assert 0.8 < point["test_accuracy"]["value"] <= 1
    trials = {point["folder"] for point in plain["front"]}
    for path in (tmp_path / "out" / "trials").glob("*/conversion.json"):
        splits = {score.split for score in read_conversion(path.parent).scores}
        is_on_front = str(path.parent.relative_to(tmp_path / "out")) in trials
        assert ("test" in splits) == is_on_front
    for number in range(1, len(plain["front"]) + 1):
        assert (tmp_path / "out" / "front" / str(number) / "model.tflite").stat().st_size > 1000
