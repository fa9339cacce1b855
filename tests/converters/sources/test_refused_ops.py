"""What the graph of a SavedModel may not have, and folders that hold none."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from converters.errors import ConversionError
from converters.sources.saved_graph import check_graph
from converters.sources.saved_variables import refuse_damaged_variables
from converters.sources.text_inputs import SEQUENTIAL, numbers_hint

GRAPH = "saved_model.pb"


def message(number: int, *parts: bytes) -> bytes:
    """A field of protobuf that holds a message or a text."""
    content = b"".join(parts)
    size, length = bytearray(), len(content)
    while length > 127:
        size.append(length & 127 | 128)
        length >>= 7
    return bytes((number << 3 | 2, *size, length)) + content


def saved_model(folder: Path, *nodes: tuple[str, str]) -> Path:
    """A SavedModel whose main graph has nodes of these names and ops."""
    graph = [message(1, message(1, name.encode()), message(2, op.encode())) for name, op in nodes]
    folder.mkdir()
    (folder / GRAPH).write_bytes(message(2, message(2, *graph)))
    return folder


def refusal(folder: Path) -> tuple[str, str]:
    with pytest.raises(ConversionError) as caught:
        check_graph(folder, GRAPH)
    assert str(folder) in str(caught.value)
    return str(caught.value), caught.value.hint


@pytest.mark.parametrize(
    ("op", "reason", "next_step"),
    [
        ("UnicodeDecodeWithOffsets", "works on text or a lookup table", "model.get_layer"),
        ("SentencepieceTokenizeOp", "works on text or a lookup table", "model.get_layer"),
        ("XlaCallModule", "was compiled for XLA", "model.save('model.keras')"),
        ("WriteFile", "lets no model read, write or start anything", "Save the model without it"),
    ],
)
def test_an_op_is_named_with_its_node_and_a_next_step(
    tmp_path: Path, op: str, reason: str, next_step: str
) -> None:
    folder = saved_model(tmp_path / "model", ("x", "Placeholder"), ("model/tokens/first", op))
    text, hint = refusal(folder)
    assert f"{op} (node 'model/tokens/first')" in text
    assert reason in text
    assert next_step in hint


def test_a_vocabulary_in_a_file_leads_to_a_model_of_numbers(tmp_path: Path) -> None:
    lookup = "model/string_lookup/None_Lookup/LookupTableFindV2"
    text, hint = refusal(
        saved_model(
            tmp_path / "model",
            ("table_init", "InitializeTableFromTextFileV2"),
            (lookup, "LookupTableFindV2"),
        )
    )
    assert f"lookup table (node {lookup!r}) that reads its vocabulary from a file" in text
    assert "numbers.keras" in hint


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "saved_model.pb is empty"),
        (b"\x08\x01", "saved_model.pb holds no graph"),
        (bytes(500), "saved_model.pb is damaged"),
        (message(2, message(2, bytes(90)))[:40], "saved_model.pb is damaged: cut off"),
    ],
)
def test_a_file_that_holds_no_graph_is_said(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / GRAPH).write_bytes(content)
    text, hint = refusal(tmp_path)
    assert words in text
    assert hint.startswith("Copy the folder again")


class DataLossError(Exception):
    """As TensorFlow's."""


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ((), "variables/variables.index is missing"),
        (("variables.index",), "variables/variables.data-00000-of-00001 is missing"),
        (
            ("variables.index", "variables.data-00001-of-00002"),
            "variables/variables.data-00000-of-00002 is missing",
        ),
        (("variables.index", "variables.data-00000-of-00001"), "is cut off or damaged"),
    ],
)
def test_variables_that_cannot_be_read_are_said(
    tmp_path: Path, files: tuple[str, ...], words: str
) -> None:
    (tmp_path / "variables").mkdir()
    for name in files:
        (tmp_path / "variables" / name).write_bytes(b"")
    with pytest.raises(ConversionError, match=words) as caught:
        refuse_damaged_variables(tmp_path, DataLossError("variables/variables: checksum"))
    assert "Copy the whole folder again" in caught.value.hint


LINES = """
import os, sys
import numpy as np, tensorflow as tf
import {module} as keras
os.chdir(sys.argv[1])
texts = tf.constant([["a b"], ["d c"], ["x a"]])
words = keras.layers.TextVectorization(vocabulary=["a", "b", "c", "d"], output_sequence_length=3)
inner = [words, keras.layers.Embedding(6, 4), keras.layers.Flatten(), keras.layers.Dense(2)]
start = keras.Input((1,), dtype="string")
answer = start
for layer in inner:
    answer = layer(answer)
whole = keras.Model(start, answer)
whole.save("model.keras")
lines = {lines!r}.replace("NAME", words.name)
exec(lines.replace("import keras", "import {module} as keras"))
answers = keras.models.load_model("numbers.keras")(numbers)
equal = np.allclose(answers, whole(texts))
whole = keras.Sequential([keras.Input((1,), dtype="string"), *whole.layers[1:]])
whole.save("model.keras")
model = keras.models.load_model("model.keras")
layer = model.get_layer(words.name)
{sequential}.save("numbers.keras")
answers = keras.models.load_model("numbers.keras")(numbers)
print("equal", equal, np.allclose(answers, whole(texts)))
"""


@pytest.mark.parametrize("module", ["keras", "tf_keras"])
def test_the_lines_of_the_hint_cut_the_text_off(tmp_path: Path, module: str) -> None:
    lines = "\n".join(
        line.strip() for line in numbers_hint().splitlines() if line.startswith("    ")
    )
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            LINES.format(module=module, lines=lines, sequential=SEQUENTIAL),
            str(tmp_path),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "equal True True" in done.stdout, done.stderr[-2000:]


def test_a_name_from_a_file_becomes_no_line_of_python() -> None:
    hint = numbers_hint('x")\nimport os; os.system("id')
    assert "os.system" not in hint
    assert numbers_hint("string_lookup").count("string_lookup") == 1
