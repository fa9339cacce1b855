"""The tables of benchmarks/doors.py."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Any

from benchmarks.doors_runtimes import PAIRS, ROUNDS, Pair
from benchmarks.doors_techniques import TECHNIQUES
from benchmarks.doors_trained import Trained
from benchmarks.ratio import told
from toolkit.judge.statistics import median_interval

Row = Mapping[str, Any]

#: Beginning of the names of the files whose import has limits of time and memory.
TIMED_IMPORT = "resnet18"
#: Part by which the agent's loop may differ from a bare one.
_LOOP_TOLERANCE = 0.03


def import_lines(rows: Mapping[str, Row]) -> list[str]:
    """Lines about how files come in."""
    lines = [
        "## Files that come in",
        "",
        "Files of packages on PyPI (rapidocr_onnxruntime 1.4.4, mediapipe 0.10.14; sizes that a",
        "file leaves open were fixed), and networks of torchvision's shape with random weights.",
        "The difference is that of kedge's graph to the source's own runtime, by the largest",
        "answer. Seconds and memory are those of reading and comparing, libraries loaded before.",
        "PyTorch imports most of its exporter at the first export. So a network of one layer is",
        "exported before a .pt2, and these imports count as libraries: they are in neither figure;",
        f"they take {_exporter(rows)} once a process, whatever the file.",
        f"The computer was busy with other work (load average {_loads(rows)}), which prolongs",
        "seconds, but not the seconds of the processor.",
        f"Techniques: {', '.join(TECHNIQUES)}; each from the file to the judged int8 .tflite.",
        "",
        "| file | bytes | difference | seconds | processor s | memory by file | techniques |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, row in rows.items():
        if "difference" not in row:
            lines.append(f"| {name} | | {row.get('failure', 'not run yet')} | | | | |")
            continue
        share = row["peak_bytes"] / row["file_bytes"]
        lines.append(
            f"| {name} | {row['file_bytes']:,} | {row['difference']:.1e} | {row['seconds']:.1f} | "
            f"{row['cpu_seconds']:.1f} | {row['peak_bytes'] / 1e6:.0f} MB, {share:.1f}x | "
            f"{_techniques(row.get('techniques', {}))} |"
        )
    return [*lines, "", *_bars(rows), ""]


def _loads(rows: Mapping[str, Row]) -> str:
    loads = [row["load"] for row in rows.values() if "load" in row]
    return f"{min(loads):.0f} to {max(loads):.0f}" if loads else "unknown"


def _exporter(rows: Mapping[str, Row]) -> str:
    sizes = [row["exporter_bytes"] / 1e6 for row in rows.values() if row.get("exporter_bytes")]
    return f"{min(sizes):.0f} to {max(sizes):.0f} MB" if sizes else "memory"


def _dates(rows: Iterable[Row]) -> str:
    return ", ".join(sorted({row["date"] for row in rows if "date" in row})) or "unknown"


def _bars(rows: Mapping[str, Row]) -> list[str]:
    """Lines about what was set out to reach: seconds and memory of ResNet-18."""
    lines = ["Set out to reach, for ResNet-18:", ""]
    for name, row in rows.items():
        if not name.startswith(TIMED_IMPORT) or "difference" not in row:
            continue
        share = row["peak_bytes"] / row["file_bytes"]
        lines.append(
            f"- {name}: {row['seconds']:.1f} s ({row['cpu_seconds']:.1f} s of the processor, load "
            f"average {row['load']:.0f}), aim ≤ 10 s: {_met(row['seconds'] <= 10)}; "
            f"{share:.1f} times the file{_spread(row)}, aim ≤ 6: {_met(share <= 6)}"
            f"{_with_exporter(row)}"
        )
    return lines


def _with_exporter(row: Row) -> str:
    if not row.get("exporter_bytes"):
        return ""
    with_imports = (row["peak_bytes"] + row["exporter_bytes"]) / row["file_bytes"]
    return f" without the imports of PyTorch's exporter; with them {with_imports:.1f} times"


def _spread(row: Row) -> str:
    """Words for the memory of several runs."""
    peaks = [peak / row["file_bytes"] for peak in row.get("peaks", ())]
    if len(peaks) < 2:
        return ""
    return f" (median of {len(peaks)} runs, {min(peaks):.1f} to {max(peaks):.1f})"


def _met(is_met: bool) -> str:
    return "met" if is_met else "NOT met"


def _techniques(row: Row) -> str:
    if not row:
        return "not run yet"
    if "failure" in row:
        return str(row["failure"])
    entries = {name: row[name] for name in TECHNIQUES if name in row}
    taken = [name for name, entry in entries.items() if "bytes" in entry]
    lost = [
        f"not {name}: {entry['refusal'].rpartition('/')[2]}"
        for name, entry in entries.items()
        if "refusal" in entry
    ]
    return "; ".join(["all"] if not lost else [", ".join(taken) or "none", *lost])


def other_lines(imports: Mapping[str, Row], rows: Mapping[str, Mapping[str, Row]]) -> list[str]:
    """Lines about other converters."""
    dates = _dates(row for of_file in rows.values() for row in of_file.values())
    lines = [
        "## Other converters, to a float .tflite",
        "",
        "Each in an environment of its own; seconds of the whole program, while the computer was",
        f"busy with other work. None of them trains. Measured on {dates}.",
        "TensorFlow's TFLiteConverter takes Keras models and SavedModels, so none of these files.",
        "",
        "| file | litert-torch 0.10.0 | onnx2tf 2.6.9 |",
        "|---|---|---|",
    ]
    for name, of_file in rows.items():
        shapes = [entry["shape"] for entry in imports[name].get("inputs", {}).values()]
        cells = [_other_cell(row, shapes) for row in of_file.values()]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return [*lines, ""]


def _other_cell(row: Row, shapes: list[list[int]]) -> str:
    if not row:
        return "not run yet"
    if "failure" in row:
        return str(row["failure"]).replace("|", "/")
    custom = f", {row['custom']} of them custom" if row["custom"] else ""
    moved = ""
    if any(sorted(a[1:]) == sorted(b) and len(b) == 2 and a[1:] != b for a, b in
           zip(row["inputs"], shapes, strict=False)):  # fmt: skip
        moved = f", takes {row['inputs'][0]}: its sequence was turned"
    return f"{row['bytes']:,} bytes, {row['operators']} ops{custom}, {row['seconds']:.0f} s{moved}"


def trained_lines(trained: Trained | None) -> list[str]:
    """Lines about the network that was trained in PyTorch."""
    lines = [
        "## ResNet-8, trained in PyTorch on CIFAR-10",
        "",
        "22 epochs in PyTorch (benchmarks/doors_resnet8.py), then kedge from the .pt2, judged on",
        "10,000 test images by the file that ships. Latency: the agent, this computer, one thread,",
        "all files in turn; a file's latency counts beside that of qat_w8a8. channels50: the",
        "recipe of benchmarks/compression.py (blocks, then channels in multiples of 16, chosen by",
        f"latency; 32 epochs of distillation, 2 of QAT).{_busy(trained.load if trained else ())}",
        "",
        "| | accuracy % | points below PyTorch (95 %, paired) | MACs | bytes | median us "
        "| times faster |",
        "|---|---|---|---|---|---|---|",
    ]
    if trained is None or not trained.conversions:
        return [*lines, "| not run yet | | | | | | |", ""]
    base, aims = trained.latency_us.get("qat_w8a8"), list[str]()
    for name, conversion in trained.conversions.items():
        before, after = conversion.float_accuracy, conversion.accuracy
        drop = next(drop for drop in conversion.drops if drop.split == "test")
        assert before is not None and after is not None
        low, high = (100 * end for end in drop.interval)
        points = 100 * (before.fraction - after.fraction)
        mine = trained.latency_us.get(name)
        faster = ""
        if base and mine:
            ratios = [one / other for one, other in zip(base, mine, strict=True)]
            least, most, _ = median_interval(ratios)
            faster = f"{median(ratios):.2f} ({least:.2f} to {most:.2f})"
        macs = conversion.cost.macs if conversion.cost else 0
        speed = f"{median(mine):.1f}" if mine else ""
        lines.append(
            f"| {name} | {100 * after.fraction:.2f} (PyTorch {100 * before.fraction:.2f}) | "
            f"{points:.2f} ({low:+.2f} to {high:+.2f}) | {macs:,} | {conversion.model_bytes:,} | "
            f"{speed} | {faster} |"
        )
        if name == "qat_w8a8":
            aims.append(f"qat_w8a8 ≤ 0.3 points: {_met(points <= 0.3)}")
        if name == "channels50":
            aims.append(f"channels50 ≤ 2 points: {_met(points <= 2)}")
            if faster:
                aims.append(f"channels50 ≥ 1.7 times faster: {_met(median(ratios) >= 1.7)}")
    return [*lines, "", f"Set out to reach: {'; '.join(aims)}.", ""]


def _busy(load: Sequence[float]) -> str:
    """A sentence about the load of the computer, where latencies were measured."""
    if not load:
        return ""
    return f" Load average before and after: {load[0]:.1f} and {load[-1]:.1f}."


def runtime_lines(pair: Pair | None) -> list[str]:
    """Lines about the two runtimes."""
    lines = ["## LiteRT and ONNX Runtime on the same int8 network", ""]
    if pair is None:
        return [*lines, "Not run yet."]
    ratios = [one / other for one, other in zip(pair.onnx_us, pair.litert_us, strict=True)]
    low, high, _ = median_interval(ratios)
    return [
        *lines,
        "The ResNet-8 of qat_w8a8 as .tflite, and the .onnx that kedge writes of it; the agent on",
        f"this computer, one thread, {ROUNDS} fresh processes each, in turn.{_busy(pair.load)}",
        "",
        "| runtime | median us |",
        "|---|---|",
        f"| {pair.versions[0]} | {median(pair.litert_us):.1f} |",
        f"| {pair.versions[1]} | {median(pair.onnx_us):.1f} |",
        "",
        f"ONNX Runtime by LiteRT: {median(ratios):.2f} (95 %: {low:.2f} to {high:.2f}).",
        "",
        "The agent's loop around ONNX Runtime by a bare loop with bound inputs and outputs,",
        f"{PAIRS} pairs of blocks in one process: {told(pair.loop_ratios, _LOOP_TOLERANCE)} "
        "(within 3 %).",
    ]
