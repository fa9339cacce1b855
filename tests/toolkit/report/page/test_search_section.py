"""The section of a page about a search."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from toolkit.report.page.build import build_page
from toolkit.report.page.html import render_page


def figure(value: float, half: float) -> dict[str, float]:
    return {"value": value, "low": value - half, "high": value + half}


def point(number: int, ratio: float, accuracy: float, alike: tuple[int, ...] = ()) -> Any:
    return {
        "number": number,
        "recipe": f"channels{number}_distill_qat_w8a8",
        "accuracy": figure(accuracy, 0.006),
        "latency_ratio": figure(ratio, 0.02),
        "latency_us": figure(800 * ratio, 9.0),
        "memory_ratio": figure(1.0, 0.01),
        "model_bytes": 90_000,
        "test_accuracy": figure(accuracy - 0.01, 0.006),
        "elsewhere": None,
        "keeps_budget": accuracy > 0.85,
        "alike": list(alike),
    }


def plain_search() -> dict[str, Any]:
    front = [point(7, 0.4, 0.82), point(3, 0.61, 0.856, (11,)), point(11, 0.63, 0.858, (3,))]
    return {
        "schema": 1,
        "place": "nano (me@nano), pi (me@pi)",
        "objectives": ["accuracy", "latency", "memory"],
        "original_accuracy": figure(0.86, 0.006),
        "original_test_accuracy": figure(0.852, 0.006),
        "max_drop": 0.01,
        "max_latency_us": 5000.0,
        "front": front,
        "fronts": {"pi": front[1:], "nano": front},
        "boards": {
            "pi": {"reason": "", "missing": 0},
            "nano": {"reason": "the link <b>is lost</b>", "missing": 2},
        },
        "fastest_dropped": None,
        "finished": 20,
        "dropped": {
            **{str(n): f"takes 1.{n} times as long as the reference on pi" for n in range(20, 35)},
            "2": "has no blocks",
        },
        "refused_moves": {"blocks": "has no blocks"},
    }


def test_a_search_has_a_plot_and_a_table_for_each_front_and_the_reasons_of_trials(
    tmp_path: Path,
) -> None:
    page = build_page((), (), searches=[plain_search()])
    (section,) = page.sections
    assert [plot.caption for plot in section.plots] == [
        "Front: the worst case of all boards.",
        "Front: pi.",
        "Front: nano.",
    ]
    assert [len(table.rows) for table in section.tables] == [3, 2, 3, 2]
    assert section.tables[-1].rows[0][0] == "15"
    text = " ".join(section.text)
    assert "86.00% of the validation samples, 85.20% of the test samples" in text
    assert "nano has not measured 2 models" in text
    assert "cannot be told apart" in text
    html = render_page(page)
    assert "<b>is lost" not in html
    assert html.count("<svg") == 3


def test_an_empty_front_has_no_plot() -> None:
    empty = {**plain_search(), "front": [], "fronts": {}, "dropped": {}}
    (section,) = build_page((), (), searches=[empty]).sections
    assert not section.plots
    assert len(section.tables) == 1
