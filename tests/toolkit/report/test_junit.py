"""What a CI server is told: one case for each verdict."""

from dataclasses import replace
from xml.etree import ElementTree

from targets.errors import TargetError
from tests.toolkit.measurements import KERNELS, measurement
from toolkit.judge.parity import Parity
from toolkit.measure.bench_many import Outcome
from toolkit.report.cases import cases_of_outcomes
from toolkit.report.junit import ERROR, FAILED, PASSED, Case, junit_text

STEADY = [[100_000 + 7 * process + sample % 9 for sample in range(400)] for process in range(6)]
JUMPING = [[100_000 * (1 + process) for _ in range(400)] for process in range(6)]


def parity(verdict: str) -> Parity:
    return Parity(
        verdict, "2 of 64 differ", True, KERNELS, KERNELS, 64, False, 0, 0, 1, None, None, None
    )  # noqa: E501


def test_a_trusted_figure_passes_a_moving_one_is_an_error_and_wrong_outputs_fail() -> None:
    good = Outcome("pi", measurement(STEADY), None)
    moving = Outcome("nano", measurement(JUMPING, "nano"), None)
    wrong = Outcome("tx2", replace(measurement(STEADY, "tx2"), parity=parity("DIFFERS")), None)
    cases = cases_of_outcomes([good, moving, wrong])
    verdicts = {(case.subject, case.name.partition(",")[0]): case.verdict for case in cases}
    assert verdicts == {
        ("pi", "latency"): PASSED,
        ("pi", "outputs"): PASSED,
        ("nano", "latency"): ERROR,
        ("nano", "outputs"): PASSED,
        ("tx2", "latency"): PASSED,
        ("tx2", "outputs"): FAILED,
    }
    assert next(c for c in cases if c.verdict == FAILED).reason == "DIFFERS 2 of 64 differ"


def test_a_board_that_does_not_answer_is_an_error() -> None:
    (case,) = cases_of_outcomes([Outcome("pi", None, TargetError("pi does not answer"))])
    assert (case.verdict, case.reason) == (ERROR, "pi does not answer")


def test_the_file_counts_what_failed_and_holds_no_sign_that_xml_forbids() -> None:
    cases = [
        Case("pi", "latency", PASSED, figures={"median_us": 12.5}),
        Case("pi", "outputs", FAILED, "a\x1b[31m<b>&"),
        Case("nano", "latency", ERROR, "UNSTABLE"),
    ]
    root = ElementTree.fromstring(junit_text("kedge bench", cases))
    assert {name: root.get(name) for name in ("tests", "failures", "errors")} == {
        "tests": "3",
        "failures": "1",
        "errors": "1",
    }
    failure = root.find(".//failure")
    assert failure is not None and failure.get("message") == "a\ufffd[31m<b>&"
    figure = root.find(".//property")
    assert figure is not None and figure.attrib == {"name": "median_us", "value": "12.5"}
