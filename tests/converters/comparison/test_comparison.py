"""Several recipes in one table."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from converters.comparison.compare import compare_recipes
from converters.comparison.comparison import RecipeRow, choose_recipe
from converters.comparison.comparison_file import plain_comparison, write_comparison
from converters.comparison.gain import gain_note
from converters.errors import ConversionError
from converters.judge.paired import Drop
from converters.measure import Figure, FileFigures, FileRefusal
from converters.process import Converter
from converters.recipe.recipe import RecipeError
from converters.request import ConversionRequest

NAMES = ("float32", "ptq_w8a8", "ptq_f16")


@pytest.fixture(scope="module")
def compared(
    digits_request: ConversionRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Any, ...]:
    """The request of a comparison and what came of it."""
    request = replace(digits_request, out=tmp_path_factory.mktemp("compared"), max_drop=0.02)
    return request, compare_recipes(request, NAMES)


def test_every_row_has_accuracies_on_three_splits_and_its_cost(compared: tuple[Any, ...]) -> None:
    plain = plain_comparison(compared[1])
    assert [row["name"] for row in plain["rows"]] == ["original", *NAMES]
    for row in plain["rows"]:
        assert set(row["scores"]) == {"train", "validation", "test"}
        for split in row["scores"].values():
            low, high = split["interval"]
            assert low <= split["accuracy"] <= high
            assert {"precision", "recall", "f1", "samples"} <= set(split)
    for row in plain["rows"][1:]:
        assert row["macs"] == 456_704
        assert row["parameters"] == 19_178
        assert row["compressed_bytes"] < row["file_bytes"]
        assert row["latency_us"] is None
        assert set(row["drops"]["test"]) >= {"drop", "interval", "lost", "won"}


def test_all_rows_are_judged_on_the_same_samples(compared: tuple[Any, ...]) -> None:
    plain = plain_comparison(compared[1])
    counts = {
        tuple(row["scores"][split]["samples"] for split in ("train", "validation", "test"))
        for row in plain["rows"]
    }
    assert len(counts) == 1
    assert counts.pop()[2] == 359
    assert {"calibration", "validation", "test"} <= {split["name"] for split in plain["splits"]}
    assert all(split["use"] for split in plain["splits"])


def test_the_strongest_that_keeps_the_budget_is_chosen(compared: tuple[Any, ...]) -> None:
    request, comparison = compared
    assert comparison.held
    assert comparison.chosen == "ptq_w8a8"
    path = write_comparison(comparison, request.out)
    assert path.name == "comparison.json"
    assert json.loads(path.read_text())["chosen"] == "ptq_w8a8"
    folders = {path.name for path in request.out.iterdir() if path.is_dir()}
    assert folders == set(NAMES)


def test_what_is_there_already_is_not_made_again(
    compared: tuple[Any, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    request, comparison = compared
    monkeypatch.setattr(Converter, "convert", lambda *_: pytest.fail("it was converted again"))
    again = compare_recipes(request, NAMES)
    assert again.conversions() == comparison.conversions()


def test_another_seed_is_another_conversion(
    compared: tuple[Any, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    request, comparison = compared
    monkeypatch.setattr(Converter, "convert", lambda *_: comparison.conversions()[0])
    again = compare_recipes(replace(request, seed=7), ("float32", "ptq_f16"))
    assert again.conversions()[1] == comparison.conversions()[0]


def figures(latency_us: float, half: float = 0.0, verdict: str = "VALID") -> FileFigures:
    latency = Figure(latency_us, latency_us - half, latency_us + half)
    return FileFigures(latency, Figure(1e6, 1e6, 1e6), verdict=verdict)


def test_latency_is_what_the_caller_measures(compared: tuple[Any, ...]) -> None:
    request, _ = compared
    times = {"float32": 30.0, "ptq_w8a8": 20.0, "ptq_f16": 15.0}
    comparison = compare_recipes(
        request, NAMES, measure=lambda paths: [figures(times[p.parent.name]) for p in paths]
    )
    rows = {row["name"]: row for row in plain_comparison(comparison)["rows"]}
    assert rows["ptq_f16"]["latency_us"] == 15.0
    assert rows["ptq_f16"]["latency_ratio"] == 0.5
    assert comparison.chosen == "ptq_f16"


def test_this_computers_latency_is_told_but_a_board_is_not_chosen_for_by_it(
    compared: tuple[Any, ...],
) -> None:
    request, _ = compared
    times = {"float32": 30.0, "ptq_w8a8": 20.0, "ptq_f16": 15.0}
    comparison = compare_recipes(
        request,
        NAMES,
        measure=lambda paths: [figures(times[p.parent.name]) for p in paths],
        latency_decides=False,
    )
    assert [row.latency_us for row in comparison.rows] == [30.0, 20.0, 15.0]
    assert comparison.chosen == "ptq_w8a8"


@pytest.mark.parametrize("decides", [True, False])
def test_a_file_that_cannot_be_measured_spares_the_others(compared: Any, decides: Any) -> None:
    request, _ = compared
    answers = {"float32": figures(30.0), "ptq_w8a8": figures(20.0)}
    refusal = FileRefusal("ptq_f16: its op is unknown", "Convert it anew.")
    comparison = compare_recipes(
        request,
        NAMES,
        measure=lambda paths: [answers.get(p.parent.name, refusal) for p in paths],
        latency_decides=decides,
    )
    assert [row.latency_us for row in comparison.rows] == [30.0, 20.0, None]
    assert comparison.chosen == "ptq_w8a8"
    reason = "ptq_f16: latency was not measured: ptq_f16: its op is unknown"
    assert reason in comparison.reasons


def test_a_file_that_the_board_refuses_is_not_chosen_for_it(compared: Any) -> None:
    request, _ = compared
    answers = {"float32": figures(30.0), "ptq_f16": figures(20.0)}
    refusal = FileRefusal("ptq_w8a8: its op is unknown", "Convert it anew.", exit_code=7)

    def measure(paths: Any) -> Any:
        return [answers.get(p.parent.name, refusal) for p in paths]

    assert compare_recipes(request, NAMES, measure=measure).chosen == "ptq_f16"
    assert (
        compare_recipes(request, NAMES, measure=measure, latency_decides=False).chosen == "ptq_w8a8"
    )
    answers.clear()
    with pytest.raises(ConversionError, match="its op is unknown") as error:
        compare_recipes(request, NAMES, measure=measure)
    assert error.value.exit_code == 7


def test_a_table_without_latency_is_still_a_table_unless_latency_decides(
    compared: tuple[Any, ...],
) -> None:
    request, _ = compared

    def refuse(paths: list[Path]) -> None:
        raise ConversionError("no runtime")

    comparison = compare_recipes(request, NAMES, measure=refuse, latency_decides=False)
    assert comparison.chosen == "ptq_w8a8"
    assert "latency was not measured: no runtime" in comparison.reasons
    with pytest.raises(ConversionError, match="no runtime"):
        compare_recipes(request, NAMES, measure=refuse)


def by(row: Any, name: str, microseconds: float, *kinds: Any) -> Any:
    """The row as if it came of these steps."""
    conversion = replace(row.conversion, recipe_steps=tuple({"kind": kind} for kind in kinds))
    return replace(row, name=name, conversion=conversion, latency=figures(microseconds))


def test_zeros_that_make_nothing_faster_are_told_with_the_measured_ratio(
    compared: tuple[Any, ...],
) -> None:
    row = compared[1].rows[1]
    plain = by(row, "qat_w8a8", 100.0, "qat_w8a8")
    slow = by(row, "sparse80_qat_w8a8", 101.0, "sparse", "qat_w8a8")
    fast = by(row, "cluster16_qat_w8a8", 60.0, "cluster", "qat_w8a8")
    note = gain_note(slow, (plain, slow, fast))
    assert note.startswith("sparse80_qat_w8a8 is not faster than qat_w8a8: it takes 1.01 of")
    assert gain_note(fast, (plain, slow, fast)) == ""
    assert gain_note(plain, (plain, slow, fast)) == ""
    assert gain_note(slow, (slow, fast)) == ""  # nothing to hold it against
    assert gain_note(replace(slow, latency=None), (plain, slow)) == ""
    rows = plain_comparison(replace(compared[1], rows=(plain, slow)))["rows"]
    assert note in rows[2]["notes"]


def with_drop(row: Any, lost: int) -> Any:
    drops = tuple(
        Drop(split, 1_000, lost, 0, (lost / 1_000 - 0.005, lost / 1_000 + 0.005))
        for split in ("validation", "test")
    )
    return replace(row, conversion=replace(row.conversion, drops=drops))


def test_what_loses_too_much_is_not_chosen(compared: tuple[Any, ...]) -> None:
    rows = {row.name: row for row in compared[1].rows}
    weak, strong = with_drop(rows["ptq_f16"], 2), with_drop(rows["ptq_w8a8"], 40)
    comparison = choose_recipe((rows["float32"], strong, weak), 0.01)
    assert (comparison.chosen, comparison.held) == ("ptq_f16", True)
    assert any(reason.startswith("ptq_w8a8: ") for reason in comparison.reasons)
    none = choose_recipe((rows["float32"], strong), 0.01)
    assert (none.chosen, none.held) == ("", False)
    assert "a drop of 4.00%" in none.reasons[0]


def test_a_row_that_keeps_the_budget_on_the_test_samples_is_taken(compared: Any) -> None:
    rows = {row.name: row for row in compared[1].rows}
    kind, cruel = with_drop(rows["ptq_w8a8"], 2), with_drop(rows["ptq_w8a8"], 40)
    drops = (kind.conversion.drops[0], cruel.conversion.drops[1])
    lucky = replace(kind, conversion=replace(kind.conversion, drops=drops))
    comparison = choose_recipe((lucky, with_drop(rows["ptq_f16"], 2)), 0.01)
    assert (comparison.chosen, comparison.held) == ("ptq_f16", True)
    assert any(reason.startswith("ptq_w8a8: on the 1000 test") for reason in comparison.reasons)


@pytest.mark.parametrize(
    ("fast", "slow", "chosen"),
    [
        (figures(20.0, 1.0), figures(25.0, 1.0), "ptq_f16"),  # the intervals do not overlap
        (figures(20.0, 3.0), figures(25.0, 3.0), "ptq_w8a8"),
        (figures(20.0, 1.0, "UNSTABLE"), figures(25.0, 1.0), "ptq_w8a8"),
        (figures(20.0, 1.0), figures(25.0, 1.0, "INVALID"), "ptq_w8a8"),
    ],
)
def test_latency_decides_only_where_it_differs_for_certain(
    compared: Any, fast: FileFigures, slow: FileFigures, chosen: str
) -> None:
    rows = {row.name: with_drop(row, 0) for row in compared[1].rows}
    timed = (replace(rows["ptq_f16"], latency=fast), replace(rows["ptq_w8a8"], latency=slow))
    comparison = choose_recipe(timed, 0.01)
    assert comparison.chosen == chosen
    sentence = "the latencies of ptq_f16, ptq_w8a8 do not differ for certain"
    is_tie = any(reason.startswith(sentence) for reason in comparison.reasons)
    assert is_tie == (chosen == "ptq_w8a8")


@pytest.mark.parametrize(
    ("fastest", "others", "chosen"),
    [
        # A fastest one that cannot be trusted makes no tie of two that differ for certain.
        (figures(10.0, 1.0, "UNSTABLE"), (figures(20.0, 1.0), figures(90.0, 1.0)), "second"),
        # A wide interval of the fastest one contains both of the others.
        (figures(12.0, 18.0), (figures(13.5, 0.5), figures(29.0, 1.0)), "second"),
        # The slowest one overlaps with both.
        (figures(12.0, 1.0), (figures(20.0, 1.0), figures(22.0, 12.0)), "smallest"),
    ],
)
def test_what_is_slower_for_certain_than_another_one_is_not_chosen_for_its_size(
    compared: Any, fastest: FileFigures, others: tuple[FileFigures, FileFigures], chosen: str
) -> None:
    row = with_drop(compared[1].rows[-1], 0)
    assert row.conversion is not None
    rows = [
        replace(
            row, name=name, latency=figure, conversion=replace(row.conversion, model_bytes=size)
        )
        for name, figure, size in zip(
            ("first", "second", "smallest"), (fastest, *others), (3000, 2000, 1000), strict=True
        )
    ]
    assert choose_recipe(rows, 0.01).chosen == chosen


def test_a_table_that_is_repeated_is_not_measured_again(compared: Any) -> None:
    request, _ = compared
    times = {"float32": 30.0, "ptq_w8a8": 20.0, "ptq_f16": 15.0}
    request = replace(request, measured_on="a board")

    def measure(paths: Any) -> Any:
        return [figures(times[p.parent.name], 0.5) for p in paths]

    path = write_comparison(compare_recipes(request, NAMES, measure=measure), request.out)
    try:
        again = compare_recipes(request, NAMES, measure=lambda _: pytest.fail("measured again"))
        assert [row.latency_us for row in again.rows] == [30.0, 20.0, 15.0]
        assert any("remove" in reason for reason in again.reasons)
        rows = plain_comparison(again)["rows"]
        assert rows[2]["latency_interval_us"] == [19.5, 20.5]
        assert rows[2]["latency_verdict"] == "VALID"
        elsewhere = replace(request, measured_on="another board")
        times["ptq_f16"] = 99.0
        assert compare_recipes(elsewhere, NAMES, measure=measure).rows[2].latency_us == 99.0
    finally:
        path.unlink()


def test_the_test_samples_have_the_last_word(compared: tuple[Any, ...]) -> None:
    row = compared[1].rows[1]
    kind = with_drop(row, 2).conversion.drops[0]
    cruel = with_drop(row, 40).conversion.drops[1]
    lucky = replace(row, conversion=replace(row.conversion, drops=(kind, cruel)))
    comparison = choose_recipe((lucky,), 0.01)
    assert (comparison.chosen, comparison.held) == ("ptq_w8a8", False)


def test_a_recipe_that_does_not_take_the_model_is_a_row_with_the_reason(
    zoo: Path, digits_request: ConversionRequest, tmp_path: Path
) -> None:
    request = replace(digits_request, model=zoo / "keras3_export", out=tmp_path)
    comparison = compare_recipes(request, ("qat_w8a8", "ptq_w8a8"))
    refused, made = comparison.rows
    assert refused.conversion is None
    assert "qat_w8a8" in refused.refused
    assert made.conversion is not None
    with pytest.raises(ConversionError):
        compare_recipes(replace(request, out=tmp_path / "other"), ("qat_w8a8",))


@pytest.mark.parametrize("names", [("ptq_w8a8", "ptq_w8a8"), ("ptq_w8a8", "magic")])
def test_wrong_lists_are_refused_before_anything_is_done(
    digits_request: ConversionRequest, tmp_path: Path, names: tuple[str, str]
) -> None:
    with pytest.raises(RecipeError):
        compare_recipes(replace(digits_request, out=tmp_path / "out"), names)
    assert not (tmp_path / "out").exists()


def test_a_row_says_why_nothing_came_of_it() -> None:
    assert RecipeRow("qat_w8a8", None, "no layers").refused == "no layers"
