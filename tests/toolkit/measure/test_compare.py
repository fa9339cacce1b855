"""Two models on one board, in turn."""

from pathlib import Path

import pytest

from tests.kedge import assert_refused, kedge
from tests.tiny_model import relu_model
from toolkit.judge.ratio import REGRESSED, Ratio
from toolkit.judge.statistics import latency
from toolkit.judge.verdict import UNSTABLE, VALID, Verdict
from toolkit.measure.compare import Arm, LatencyComparison, draw_order
from toolkit.report.comparison import describe_comparison
from toolkit.report.exit_code import exit_code_of_comparison


def test_every_block_has_each_arm_once_in_an_order_of_its_own() -> None:
    order = draw_order(2, 50, seed=1)
    blocks = [tuple(order[at : at + 2]) for at in range(0, 100, 2)]
    assert set(blocks) == {(0, 1), (1, 0)}
    assert order == draw_order(2, 50, seed=1)
    assert order != draw_order(2, 50, seed=2)


@pytest.mark.parametrize(
    ("verdict", "code", "told"), [(VALID, 8, "REGRESSED"), (UNSTABLE, 9, "NOT TRUSTED, REGRESSED")]
)
def test_a_side_that_cannot_be_trusted_decides_nothing(verdict: str, code: int, told: str) -> None:
    figure = latency([[1000, 1001, 1002]] * 9)
    sides = [Arm(name, figure, Verdict(verdict, ())) for name in ("a.tflite", "b.tflite")]
    ratio = Ratio(2.0, (1.9, 2.1), REGRESSED, None)
    found = LatencyComparison("pi", "pi", sides[0], sides[1], ratio, True)

    assert str(describe_comparison(found)[0]).startswith(told)
    assert exit_code_of_comparison(found) == code


def test_a_model_is_compared_with_itself_and_with_an_earlier_result(tmp_path: Path) -> None:
    (tmp_path / "model.tflite").write_bytes(relu_model())
    add = ["target", "add", "here", "local", "--root", str(tmp_path / "root")]
    assert kedge(*add, cwd=tmp_path).code == 0
    on = ["--on", "here", "--duration", "180ms", "--json"]
    ran = kedge("compare", "model.tflite", "model.tflite", *on, cwd=tmp_path)
    verdict = ran.json["ratio"]["verdict"]
    # A busy machine may settle nothing, or find by chance that a model is slower than itself.
    assert ran.code in ({8, 9} if verdict == REGRESSED else {0, 9}), ran.err
    assert ran.json["interleaved"] is True
    assert [arm["processes"] for arm in ran.json["arms"]] == [9, 9]
    assert verdict in {"UNCHANGED", "INCONCLUSIVE", "IMPROVED", "REGRESSED"}

    assert "kept as result 1, 2" in ran.err

    measured = kedge("bench", "model.tflite", *on, cwd=tmp_path)
    assert "result 3" in measured.err
    against = kedge("compare", "3", "model.tflite", *on, cwd=tmp_path)
    assert against.json["interleaved"] is False
    assert against.json["arms"][0]["processes"] in {6, 12}  # a second look on a busy machine
    shown = kedge("results", "show", "4", "--json", cwd=tmp_path)
    assert shown.json["model"] == "model.tflite"
    quick = kedge("bench", "model.tflite", "--quality", "quick", *on, cwd=tmp_path)
    assert "result 5" in quick.err
    assert_refused(kedge("compare", "5", "model.tflite", *on, cwd=tmp_path), 3, "has 2 processes")
    assert_refused(kedge("compare", "99", "model.tflite", *on, cwd=tmp_path), 3, "result 99")


def test_an_earlier_result_is_compared_only_with_its_like(tmp_path: Path) -> None:
    (tmp_path / "model.tflite").write_bytes(relu_model())
    for name in ("here", "there"):
        add = ["target", "add", name, "local", "--root", str(tmp_path / name)]
        assert kedge(*add, cwd=tmp_path).code == 0
    bench = ["bench", "model.tflite", "--on", "here", "--duration", "180ms"]
    assert kedge(*bench, "--rate", "50", cwd=tmp_path).code in {0, 9}
    assert kedge(*bench, "--threads", "2", cwd=tmp_path).code in {0, 9}
    on = ["--duration", "180ms", "--json", "--on"]

    paced = kedge("compare", "1", "model.tflite", *on, "here", cwd=tmp_path)
    assert_refused(paced, 3, "was measured as 50 Hz", "kedge bench model.tflite --on here")

    same = kedge("compare", "2", "model.tflite", *on, "here", cwd=tmp_path)
    assert same.json["differences"] == []  # A's threads
    other = kedge("compare", "2", "model.tflite", "--threads", "1", *on, "there", cwd=tmp_path)
    assert other.json["differences"] == [
        "the target of A was here, of B it is there",
        "the number of threads of A was 2, of B it is 1",
    ]


def test_results_are_listed_shown_and_exported(tmp_path: Path) -> None:
    (tmp_path / "model.tflite").write_bytes(relu_model())
    add = ["target", "add", "here", "local", "--root", str(tmp_path / "root")]
    assert kedge(*add, cwd=tmp_path).code == 0
    on = ["--on", "here", "--duration", "60ms", "--threads", "sweep"]
    kedge("bench", "model.tflite", *on, cwd=tmp_path)
    listed = kedge("results", "list", "--json", cwd=tmp_path).json["results"]
    assert kedge("results", cwd=tmp_path).out == kedge("results", "list", cwd=tmp_path).out
    assert [line["target"] for line in listed] == ["here"] * len(listed)
    assert len(listed) >= 1
    shown = kedge("results", "show", "1", cwd=tmp_path)
    assert listed[-1]["model_sha256"] in shown.out
    assert kedge("results", "export", "1", "one.json", cwd=tmp_path).code == 0
    assert (tmp_path / "one.json").stat().st_size > 0
    assert_refused(kedge("results", "export", "1", "no/one.json", cwd=tmp_path), 3, "no/one.json")
