"""The verdict of a report in sentences: what each file gains and loses. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from toolkit.judge.ratio import LEAST_PROCESSES, NOISE, Ratio, compare_medians
from toolkit.report import words
from toolkit.report.file_quality import FileQuality
from toolkit.report.page.board_results import BoardResult, BoardResults
from toolkit.report.page.reported_file import ReportedFile

#: Most sentences above everything else; the tables have the rest.
_MOST = 8


def summarize(files: Sequence[ReportedFile], boards: Sequence[BoardResults]) -> tuple[str, ...]:
    """Return sentences that say what came out, the most important first.

    Args:
        files: Files and originals.
        boards: Measurements by board.
    """
    originals = {v.sha256: v for v in files if v.is_original}
    sentences = []
    for file in files:
        if file.conversion is None:
            continue
        original = originals.get(file.conversion.source_sha256)
        sentences.append(_of_conversion(file, original, boards))
    for board in boards:
        sentences += _of_board(board)
    if len(sentences) > _MOST:
        rest = len(sentences) - _MOST
        return (*sentences[:_MOST], f"{rest} more are in the tables below.")
    return tuple(sentences) or ("There is nothing to compare yet.",)


def ratio_of(first: BoardResult, second: BoardResult) -> Ratio | None:
    """Return the latency of the second over that of the first; `None` without enough processes."""
    arms = [each.result.latency.process_medians_us for each in (first, second)]
    if min(map(len, arms)) < LEAST_PROCESSES:
        return None
    return compare_medians(arms[0], arms[1], NOISE)


def reference_of(board: BoardResults) -> BoardResult | None:
    """Return the measurement that the others on a board are compared with.

    It is that of the float file, else that of the largest one; `None` where none can be trusted.
    """
    trusted = board.trusted_results
    floats = [e for e in trusted if e.file.conversion and not e.file.conversion.recipe_steps]
    by_size = sorted(trusted, key=lambda each: -each.file.size_bytes)
    return next(iter([*floats, *by_size]), None)


def _of_conversion(
    file: ReportedFile, original: ReportedFile | None, boards: Sequence[BoardResults]
) -> str:
    parts = []
    if file.quality is not None:
        parts.append(_loss(file.quality))
    if original is not None and original.size_bytes and file.size_bytes:
        parts.append(f"is {original.size_bytes / file.size_bytes:.1f} times smaller")
    speeds = [speed for board in boards if (speed := _speed(file, board))]
    sentence = ", ".join([*parts, *speeds[:2]])
    return f"{file.name} {sentence}." if sentence else f"{file.name} was converted."


def _loss(quality: FileQuality) -> str:
    """Loss of accuracy in words, and whether samples show it at all."""
    if quality.drop is None or quality.drop_interval is None:
        return f"reaches {_value(quality)}"
    low, high = (100 * bound for bound in quality.drop_interval)
    is_gain = high < 0
    unit = "points" if quality.metric == "accuracy" else "%"
    least, most = (-high, -low) if is_gain else (low, high)
    interval = f"(95 %: {least:+.2f} to {most:+.2f} {unit})"
    size = f"{abs(100 * quality.drop):.2f} {unit} of {quality.metric} {interval}"
    if low > 0:
        return f"loses {size}"
    if is_gain:
        return f"gains {size}"
    return f"loses no {quality.metric} that {quality.samples:,} samples can show {interval}"


def _value(quality: FileQuality) -> str:
    if quality.metric == "accuracy":
        return f"{words.percent(quality.value)} accuracy"
    return f"{quality.metric} {quality.value:.4g}"


def _speed(file: ReportedFile, board: BoardResults) -> str:
    """Speed against the reference of a board; "" where nothing can be said."""
    reference = reference_of(board)
    own = next((each for each in board.trusted_results if each.file is file), None)
    if reference is None or own is None or reference.file is file:
        return ""
    ratio = ratio_of(reference, own)
    if ratio is None:
        return ""
    low, high = sorted(1 / bound for bound in ratio.interval)
    where = f"on {board.target} as {reference.file.name} (95 %: {low:.2f} to {high:.2f})"
    if ratio.interval[1] < 1 or ratio.interval[0] > 1:
        return f"is {1 / ratio.value:.2f} times as fast {where}"
    return f"is not told apart in speed {where}"


def _of_board(board: BoardResults) -> list[str]:
    untrusted = [each for each in board.results if not each.is_trusted]
    return [
        f"The figures of {each.file.name} on {board.title} are {each.result.verdict.kind}: "
        f"{'; '.join(each.result.verdict.reasons) or 'no reason was kept'}."
        for each in untrusted
    ]
