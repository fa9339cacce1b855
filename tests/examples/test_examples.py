"""Every worked example does what its README says, from the training to the board."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from benchmarks.examples import BEGIN, BROUGHT, FOLDER, commands, example_names, run_example, table

#: Programs that an example needs beside kedge, and the packages that have them.
NEEDS = {"keyword_spotting": "espeak-ng"}
#: Lowest figure of the original that is no guess, from the number of classes and the metric.
LOWEST = {
    "image_classification": 0.9, "image_classification_cifar10": 0.65, "keyword_spotting": 0.6,
    "anomaly_detection": 0.8, "text_classification": 0.5, "recommendation": 0.65,
}  # fmt: skip


def _figure(row: dict[str, Any]) -> float:
    score = row["scores"]["test"]
    return float(score.get("accuracy", score.get("value")))


@pytest.mark.slow
@pytest.mark.parametrize("name", example_names())
def test_an_example_runs_from_the_training_to_the_board(name: str, tmp_path: Path) -> None:
    if name in NEEDS and not shutil.which(NEEDS[name]):
        pytest.skip(f"apt-get install {NEEDS[name]}")
    if name in BROUGHT and not BROUGHT[name].is_file():
        pytest.skip(f"{BROUGHT[name]} is not there")
    answer = run_example(name, tmp_path)
    original, quantized, pruned = answer["comparison"]["rows"][1:]

    assert _figure(original) > LOWEST[name]
    for row in (quantized, pruned):
        assert _figure(original) - _figure(row) < 0.05
    assert pruned["file_bytes"] < quantized["file_bytes"] < original["file_bytes"] / 2
    for board in answer["targets"]:
        assert board["parity"]["verdict"] == "EQUAL", json.dumps(board["parity"])
        assert board["invoke_median_us"] > 0
    assert len(re.findall(r"^\| (?:original|quantized|pruned) ", table(answer), re.M)) == 3


@pytest.mark.slow
@pytest.mark.parametrize("name", example_names())
def test_a_readme_has_its_commands_and_its_table(name: str) -> None:
    text = (FOLDER / name / "README.md").read_text(encoding="utf-8")
    first, *_, last = commands(text)
    assert first == ["python", "train.py"]
    assert last[:2] == ["kedge", "convert-and-push"]
    assert len(re.findall(r"^\| (?:original|quantized|pruned) ", text.split(BEGIN)[1], re.M)) == 3
