"""A model of two inputs and two outputs goes the whole way to a board, everything by name."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters.evidence.conversion import Conversion
from converters.evidence.golden import Golden, Right, read_golden
from converters.judge.metric import MetricFigures, MetricScore
from converters.judge.paired import Drop
from converters.tflite.reader import read_model
from device_agent.contract.measurement import KernelClass
from tests.kedge import Ran, kedge
from toolkit.judge.golden_parity import compare_golden
from toolkit.judge.parity import AGREES, DIFFERS, EQUAL
from toolkit.report.conversion import judgement_rows, plain_judgement
from toolkit.report.recipe_comparison import judgement_table

HOST = KernelClass("x86_64", "ai-edge-litert", "2.3.0")
BOARD = KernelClass("aarch64", "ai-edge-litert", "2.3.0")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("several")
    command = [sys.executable, "-m", "tests.converters.programs.several_models", str(folder)]
    environment = {"TF_USE_LEGACY_KERAS": "1", "TF_CPP_MIN_LOG_LEVEL": "3", "PATH": "/usr/bin"}
    subprocess.run(command, check=True, capture_output=True, env=environment)
    ran = kedge("target", "add", "here", "local", "--root", str(folder / "board"), cwd=folder)
    assert ran.code == 0, ran.err
    return folder


@pytest.fixture(scope="module")
def converted(project: Path) -> Ran:
    ran = kedge(
        "convert", "both.keras", "--data", "both.npz", "--max-drop", "0.05", "--out", "out",
        cwd=project,
    )  # fmt: skip
    assert ran.code == 0, ran.err
    return ran


def test_the_report_has_each_output(converted: Ran) -> None:
    assert "kind: accuracy" in converted.out
    assert "amount: mae" in converted.out
    assert "kind: drop in points" in converted.out
    assert "amount: loss in %" in converted.out


@pytest.mark.usefixtures("converted")
def test_a_board_gives_every_output_as_the_host_does(project: Path) -> None:
    ran = kedge(
        "bench", "out/model.tflite", "--on", "here", "--quality", "quick", "--duration", "100ms",
        "--json", cwd=project,
    )  # fmt: skip
    assert ran.code in (0, 9), ran.err  # a busy host is not trusted, which is another matter
    parity = ran.json["targets"][0]["parity"]
    assert (parity["verdict"], parity["samples"], parity["real_inputs"]) == (EQUAL, 600, True)


@pytest.mark.usefixtures("converted")
def test_a_board_answers_samples_by_name(project: Path) -> None:
    with np.load(project / "both.npz") as data:
        x = {name: data[f"x_test.{name}"][:20] for name in ("numbers", "picture")}
        amount = data["y_test.amount"][:20]
    np.savez(project / "ask.npz", **x)
    ran = kedge(
        "run", "out/model.tflite", "--on", "here", "--input", "ask.npz", "--save-outputs",
        "answers.npz", "--json", cwd=project,
    )  # fmt: skip
    assert ran.code == 0, ran.err
    with np.load(project / "answers.npz") as answers:
        assert sorted(answers.files) == ["amount", "kind"]
        assert np.abs(answers["amount"].reshape(-1) - amount).mean() < 8
        np.testing.assert_allclose(answers["kind"].sum(axis=1), 1, atol=0.05)


@pytest.mark.usefixtures("converted")
def test_golden_inputs_know_the_classes_of_each_classifier(project: Path) -> None:
    golden = read_golden(project / "out" / "golden.npz")
    assert sorted(golden.inputs) == ["numbers", "picture"]
    assert golden.labels is None and golden.outputs is not None
    assert list(golden.outputs) == ["kind"]
    model = read_model(project / "out" / "model.tflite")
    random = np.random.default_rng(0)
    kind = random.integers(-128, 128, (600, 3)).astype(np.int8)
    amount = random.integers(-100, 100, (600, 1)).astype(np.int8)
    right = Right(kind.argmax(axis=1))
    golden = Golden(model.sha256, golden.inputs, None, None, {"kind": right})

    def compared(**board: Any) -> Any:
        host = {"kind": kind, "amount": amount}
        return compare_golden((HOST, host), (BOARD, {**host, **board}), model, golden)

    assert compared().verdict == EQUAL
    off = amount.copy()
    off[::3] += 1
    near = compared(amount=off)
    assert (near.verdict, near.largest_difference) == (AGREES, 1)
    assert "output 'amount'" in near.reason and "'kind' EQUAL" in near.reason
    assert compared(amount=amount + 9).verdict == DIFFERS
    wrong = compared(kind=kind[:, ::-1])
    assert wrong.verdict == DIFFERS and "output 'kind'" in wrong.reason
    missing = compare_golden((HOST, {"kind": kind, "amount": amount}), (BOARD, {"kind": kind}),
                             model, golden)  # fmt: skip
    assert missing.verdict == DIFFERS and "output 'amount'" in missing.reason


def figures(output: str, name: str, given: float, file: float) -> MetricFigures:
    scores = tuple(MetricScore(subject, "test", 200, value, (value, value), output)
                   for subject, value in (("original", given), ("file", file)))  # fmt: skip
    return MetricFigures("", name, name == "accuracy", given, file, 200, scores, output)


def test_tables_have_a_line_for_each_output() -> None:
    conversion = Conversion(
        model=Path("model.tflite"), model_sha256="", model_bytes=1, recipe="ptq_w8a8",
        recipe_steps=(), seed=0, source="", source_sha256="", source_bytes=4, data="",
        data_sha256="", splits=(), versions={}, float_accuracy=None, accuracy=None, inputs=(),
        outputs=(),
        drops=(Drop("test", 200, 3, 1, (-0.01, 0.03), output="kind"),
               Drop("test", 200, 9, 1, (0, 0.1), "mae", 0.5, 0.52, False, "amount")),
        output_figures=(figures("kind", "accuracy", 0.95, 0.94),
                        figures("amount", "mae", 0.5, 0.52)),
    )  # fmt: skip
    rows = judgement_rows(conversion)
    assert rows[0] == ["kind: accuracy", "95.00 %", "94.00 %"]
    assert rows[1] == ["amount: mae", "0.5", "0.52"]
    assert rows[3][0].startswith("kind: drop in points") and rows[3][2].startswith("1.00")
    assert rows[4][0].startswith("amount: loss in %") and rows[4][2].startswith("4.00")
    assert plain_judgement(conversion)["outputs"]["amount"]["file"] == 0.52


def test_a_comparison_has_a_line_for_each_recipe_and_output() -> None:
    score = {"value": 0.52, "interval": (0.5, 0.54)}
    drop = {"drop": 0.04, "interval": (0.01, 0.07)}
    outputs = {name: {"metric": metric, "scores": {"test": score}, "drops": {"test": drop}}
               for name, metric in (("kind", "accuracy"), ("amount", "mae"))}  # fmt: skip
    rows = [
        {"name": "original", "outputs": outputs, "refused": None},
        {"name": "ptq_w8a8", "outputs": outputs, "refused": None},
        {"name": "qat_w8a8", "outputs": {}, "refused": "no"},
    ]
    table = judgement_table({"metric": "several", "rows": rows})
    assert table.title == "Outputs" and len(table.rows) == 4
    assert all(len(row) == len(table.columns) for row in table.rows)
    assert table.rows[2][:3] == ["ptq_w8a8", "kind", "accuracy"]
