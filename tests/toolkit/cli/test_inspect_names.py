"""Names in a file that are no plain text: `kedge inspect` shows them as nothing but text."""

import json
import unicodedata
from pathlib import Path

import pytest
from ai_edge_litert import schema_py_generated as schema

from tests.converters.tflite.tflite_maker import packed
from tests.kedge import kedge
from tests.tiny_model import custom_op_model

#: Title, clipboard, clear, C1's CSI, DEL, bidi, separators, a return, an end of a line, a null.
_HOSTILE = (
    "\x1b]0;OWNED\x07\x1b[2J\x1b]52;c;ZWNobw==\x07\x9b2J\x7f\u202e\u2066\u2028\x85\r\x08\n\0end"
)


def _hostile_file(path: Path) -> None:
    """A file whose op, tensors, signature, its inputs, description and metadata have odd names."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(custom_op_model(), 0))
    model.operatorCodes[0].customCode = _HOSTILE
    model.description = _HOSTILE
    for tensor in model.subgraphs[0].tensors:
        tensor.name = f"{tensor.name.decode()} {_HOSTILE}"
    model.subgraphs[0].name = _HOSTILE
    signature = schema.SignatureDefT()
    signature.signatureKey = _HOSTILE
    signature.inputs, signature.outputs = schema.TensorMapT(), schema.TensorMapT()
    for entry, position in ((signature.inputs, 0), (signature.outputs, 1)):
        entry.name, entry.tensorIndex = _HOSTILE, position
    signature.inputs, signature.outputs = [signature.inputs], [signature.outputs]
    metadata = schema.MetadataT()
    metadata.name, metadata.buffer = _HOSTILE, 0
    model.signatureDefs, model.metadata = [signature], [metadata]
    path.write_bytes(packed(model))


@pytest.mark.parametrize(
    "options", [[], ["--board", "rock-pi-4"], ["--runtime", "tflite-runtime==2.14"]]
)
def test_control_characters_of_names_in_a_file_reach_no_terminal(
    tmp_path: Path, options: list[str]
) -> None:
    _hostile_file(tmp_path / "odd.tflite")
    ran = kedge("inspect", "odd.tflite", *options, cwd=tmp_path)
    shown = ran.out + ran.err
    assert "their-own" not in shown
    assert "OWNED" in ran.out
    assert "No such option" not in shown
    assert not [c for c in shown if unicodedata.category(c) in ("Cc", "Cf", "Zl") and c != "\n"]
    assert not any(line.startswith("end") for line in shown.splitlines())


def test_names_with_control_characters_are_escaped_in_json(tmp_path: Path) -> None:
    _hostile_file(tmp_path / "odd.tflite")
    ran = kedge("inspect", "odd.tflite", "--json", cwd=tmp_path)
    assert not [c for c in ran.out if unicodedata.category(c) in ("Cc", "Cf", "Zl") and c != "\n"]
    plain = json.loads(ran.out)
    assert plain["signatures"][0].endswith("end")
    assert plain["operators"]
