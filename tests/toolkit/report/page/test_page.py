"""The page of a report: what it says, and what it must not contain."""

import base64
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np

from tests.toolkit.report.page.reports import conversion, digest, example, stored_results
from toolkit.report.page.build import build_page
from toolkit.report.page.html import render_page
from toolkit.report.page.plots import draw_distributions

#: Ways in which a page could load something or run something.
ACTIVE = re.compile(r"<script|<iframe|<object|<embed|@import|url\((?!#)|\son\w+=|javascript:", re.I)
LOADED = re.compile(r"(?:src|href|xlink:href)=\"(?!#|data:)([^\"]*)\"")


def test_the_verdict_comes_first_and_says_what_each_file_gains_and_loses(tmp_path: Path) -> None:
    page = example(tmp_path)
    html = render_page(page)
    assert html.index('class="verdict"') < html.index("<table") < html.rindex("<table")
    verdicts = list(page.verdicts)
    assert verdicts[0].startswith("Rollout 3 of camera 1.2.0 is stopped because a gate said no")
    (ptq,) = [v for v in verdicts if v.startswith("ptq_w8a8")]
    assert "loses 5.00 points of accuracy (95 %: +4.00 to +6.00 points)" in ptq
    assert "16.0 times smaller" in ptq
    assert "times as fast" not in ptq  # it was not measured
    (qat,) = [v for v in verdicts if v.startswith("qat_w8a8")]
    assert "loses no accuracy that 1,000 samples can show" in qat
    assert "3.63 times as fast on pi as ptq_f16" in qat


def test_figures_that_say_nothing_are_not_compared(tmp_path: Path) -> None:
    results = stored_results(
        tmp_path,
        ("a.tflite", 1, 400_000),
        ("b.tflite", 2, 100_000),
    )
    untrusted = replace(results[1], line=replace(results[1].line, verdict="INVALID"))
    page = build_page([conversion(1, "a", 900), conversion(2, "b", 900)], [results[0], untrusted])
    assert not any("times as fast" in sentence for sentence in page.verdicts)
    assert any(s.startswith("The figures of b on pi, 1 thread are INVALID") for s in page.verdicts)


def test_the_interval_of_a_gain_has_the_sign_of_the_gain() -> None:
    (verdict,) = build_page([conversion(1, "better", 930)], []).verdicts
    assert "gains 3.00 points of accuracy (95 %: +2.00 to +4.00 points)" in verdict


def test_a_page_loads_nothing_runs_nothing_and_is_small(tmp_path: Path) -> None:
    html = render_page(example(tmp_path))
    assert not ACTIVE.search(html)
    assert not LOADED.search(html)
    assert "http" not in re.sub(r"xmlns\S+", "", html)
    assert len(html) < 2_000_000


def test_names_of_others_are_text(tmp_path: Path) -> None:
    name = 'x"><script>alert(1)</script>$a_b$'
    results = stored_results(tmp_path, ("m.tflite", 1, 400_000), target=name)
    html = render_page(build_page([conversion(1, name, 900)], results))
    assert "<script" not in html
    assert "$a_b$" in html  # no formula was made of it
    assert not ACTIVE.search(html.replace("&#34;", '"').replace("<title>", ""))


def test_all_numbers_can_be_taken_away(tmp_path: Path) -> None:
    page = example(tmp_path)
    html = render_page(page)
    (link,) = re.findall(
        r'download="report.json" href="data:application/json;base64,([^"]+)"', html
    )
    plain = json.loads(base64.b64decode(link))
    assert [each["recipe"] for each in plain["conversions"]] == ["ptq_f16", "ptq_w8a8", "qat_w8a8"]
    assert [each["model_sha256"] for each in plain["results"]] == [digest(4), digest(2), digest(2)]
    assert len(plain["rollouts"][0]["boards"]) == 12
    tables = sum(len(section.tables) for section in page.sections)
    assert len(re.findall(r'download="[^"]+\.csv"', html)) == tables


def test_a_file_that_was_measured_twice_is_shown_over_time(tmp_path: Path) -> None:
    (section,) = [s for s in example(tmp_path).sections if s.name == "time"]
    assert [row[:2] for row in section.tables[0].rows] == [
        ["qat_w8a8 of net.h5", "2"],
        ["qat_w8a8 of net.h5", "3"],
    ]


def test_builds_of_one_model_are_one_line_of_latency_and_one_of_accuracy(tmp_path: Path) -> None:
    builds = [conversion(number, "qat_w8a8", 890 + number) for number in (1, 2, 3)]
    dates = {digest(number): f"2026-11-{10 * number:02}T08:00:00+00:00" for number in (1, 2, 3)}
    results = stored_results(
        tmp_path, ("out/model.tflite", 1, 400_000), ("out/model.tflite", 2, 300_000)
    )
    page = build_page(builds, results, dates=dates)
    (section,) = [s for s in page.sections if s.name == "time"]
    latency, accuracy = section.tables
    assert [row[0] for row in latency.rows] == ["qat_w8a8 of net.h5"] * 2
    assert [row[2] for row in accuracy.rows] == [
        "2026-11-10 08:00", "2026-11-20 08:00", "2026-11-30 08:00"
    ]  # fmt: skip
    assert [row[3][:7] for row in accuracy.rows] == ["89.10 %", "89.20 %", "89.30 %"]
    assert "days since 2026-11-10 08:00 UTC" in section.plots[1].svg


def test_every_drawing_has_its_numbers_in_a_table_and_words_for_the_blind(tmp_path: Path) -> None:
    page = example(tmp_path)
    for section in page.sections:
        for plot in section.plots:
            assert re.match(r'<svg role="img" aria-label="[^"]+" viewBox', plot.svg)
        if section.plots and section.name != "tradeoff":  # whose figures are in two other tables
            assert section.tables


def test_operators_have_bars_by_executor_and_a_table_with_layers_and_shares(tmp_path: Path) -> None:
    (section,) = [s for s in example(tmp_path).sections if s.name == "operators"]
    assert [table.title for table in section.tables] == ["ptq_f16 on pi", "qat_w8a8 on pi"]
    rows = section.tables[0].rows
    assert rows[0][0] == "conv2d_1_relu"
    assert rows[0][1] == "100.0 us"
    assert rows[-1][4] == "builtin"
    shares = sum(float(row[2].rstrip(" %")) for row in rows)
    assert 90 < shares <= 100
    for word in ("XNNPACK", "builtin", "conv2d_1_relu: Convolution"):
        assert word in section.plots[0].svg


def test_times_that_say_nothing_are_words_and_no_bars(tmp_path: Path) -> None:
    from device_agent.contract.op_times import OpTimes

    for times in (OpTimes(reason="the runtime reports none"), None):
        (result,) = stored_results(tmp_path, ("m.tflite", 1, 400_000))
        plain = None if times is None else vars(times)
        result = replace(result, document={**result.document, "op_times": plain})
        page = build_page([], [result])
        texts = [t for s in page.sections if s.name == "operators" for t in s.text]
        assert any("the runtime reports none" in text for text in texts) == (times is not None)


def test_temperature_and_frequency_stand_beside_the_timing(tmp_path: Path) -> None:
    (section,) = [s for s in example(tmp_path).sections if s.name == "conditions"]
    assert section.tables[0].rows[0] == [
        "ptq_f16", "400.3 us", "48 °C", "63 °C", "1500 MHz", "1800 MHz"
    ]  # fmt: skip


def test_a_logarithmic_axis_has_plain_numbers() -> None:
    figure = draw_distributions([("a", np.geomspace(50, 30_000, 100))], "latency, us", "times")
    assert ">10,000<" in figure
    assert "e+" not in re.sub(r"<path[^>]*>|<defs>.*?</defs>", "", figure, flags=re.S)
