"""`kedge inspect`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from toolkit.cli import output
from toolkit.cli.options import as_json, file_path
from toolkit.report import words

if TYPE_CHECKING:
    from converters.model_file import ModelFile
    from converters.tensor_spec import TensorSpec

#: A tensor list longer than this is shortened for a person; `--json` has all.
_SHOWN_TENSORS = 12

#: Characters of a tensor's name that a table has room for.
_SHOWN_NAME = 50


@click.command("inspect")
@click.argument("file", type=file_path())
@as_json
def command(file: Path, as_json: bool) -> None:
    """Show what is inside a .tflite or an .onnx, and the oldest runtime that can load it.

    \b
    kedge inspect model.tflite
    kedge inspect model.onnx
    kedge inspect model.tflite --json | jq .minimum_runtime
    """
    from converters.formats import FORMATS, read_model_file

    model = read_model_file(file)
    model_format = FORMATS[model.format]
    needed = model_format.minimum_runtime(model)
    version = ".".join(str(part) for part in needed.version)
    reason = f"{needed.operator} version {needed.operator_version}" if needed.operator else ""
    foreign = model_format.foreign_ops(model)
    if as_json:
        plain: dict[str, Any] = {"schema": 1, **asdict(model), "path": str(model.path)}
        plain["minimum_runtime"] = {"version": version, "because_of": reason}
        plain["foreign_operators"] = list(foreign)
        output.print_json(plain)
        return
    output.say(f"{file}: {words.size(model.size_bytes)}, sha256 {model.sha256}")
    if reason:
        output.say(f"needs {model_format.title} {version} or newer, because of {reason}")
    if foreign:
        output.say(
            f"needs a delegate or a runtime that brings {', '.join(foreign)}: no wheel of "
            f"{model_format.title} contains it"
        )
    for line in _parts(asdict(model)):
        output.say(line)
    _show(model)


def _parts(plain: dict[str, Any]) -> list[str]:
    """Return what a file has besides operators and tensors, and what it lacks."""
    lines = [f"has no {side}: kedge cannot measure it" for side in ("inputs", "outputs")
             if not plain[side]]  # fmt: skip
    if plain.get("subgraphs", 1) > 1:
        lines.append(f"subgraphs: {plain['subgraphs']}; kedge runs the first, and those it runs")
    if plain.get("producer"):
        lines.append(f"written by {plain['producer']}")
    for what in ("signatures", "metadata"):
        if plain.get(what):
            lines.append(f"{what}: {', '.join(_end_of(name) for name in plain[what])}")
    if plain["reset"] != "keep":
        lines.append(
            "keeps a state from one inference to the next (streaming = true in model.toml keeps it "
            "from sample to sample)"
        )
    return lines


def _show(model: ModelFile) -> None:
    output.table(
        "",
        ["operator", "version", "count"],
        [[entry.name, str(entry.version), str(entry.count)] for entry in model.operators],
    )
    specs = [("in", spec) for spec in model.inputs] + [("out", spec) for spec in model.outputs]
    output.table("", ["input or output", "", "shape", "type", "real value"], map(_spec_row, specs))
    constants = [tensor for tensor in model.tensors if tensor.is_constant][:_SHOWN_TENSORS]
    total = sum(tensor.is_constant for tensor in model.tensors)
    title = f"constants: {total}"
    if len(constants) < total:
        title = f"constants: the first {len(constants)} of {total} (--json shows all)"
    rows = [
        [_end_of(tensor.name), str(list(tensor.shape)), tensor.dtype, words.size(tensor.bytes)]
        for tensor in constants
    ]
    output.table(title, ["constant", "shape", "type", "size"], rows)


def _end_of(name: str) -> str:
    """The end of a long name, where tensors of one model differ."""
    return name if len(name) <= _SHOWN_NAME else "…" + name[1 - _SHOWN_NAME :]


def _spec_row(entry: tuple[str, TensorSpec]) -> list[str]:
    way, spec = entry
    real = "as it is"
    if spec.scale is not None:
        real = f"{spec.scale:.6g} * (q - {spec.zero_point})"
    return [_end_of(spec.name), way, str(list(spec.shape)), spec.dtype, real]
