"""`model.toml`: what is refused, with its line; what a conversion writes and leaves alone."""

import os
from pathlib import Path

import pytest

from converters.evidence.model_card import card_of_conversion, card_to_begin_with
from converters.evidence.model_toml import (
    MODEL_TOML,
    NEW_MODEL_TOML,
    ModelTomlError,
    card_text,
    read_model_toml,
    write_model_toml,
)
from converters.tensor_spec import TensorSpec
from converters.tflite.reader import TFLiteFile
from device_agent.contract.model_card import (
    ImageInput,
    ModelCard,
    Output,
    card_from_plain,
    card_to_plain,
)

GOOD = """\
schema = 1

[inputs."image:0"]
kind = "image"
height = 8
width = 6
color = "RGB"
mean = [1, 2, 3]
std = [4, 5, 6]

[outputs.scores]
task = "classification"
activation = "softmax"
labels = [
    "a",
    "[b]",
    "c = 1",
]
"""


def model(
    taken: tuple[int, ...] = (1, 8, 6, 3), given: tuple[int, ...] = (1, 3), dtype: str = "int8"
) -> TFLiteFile:
    return TFLiteFile(
        path=Path("model.tflite"), size_bytes=1, sha256="", description="",
        operators=(), tensors=(), subgraphs=1, recorded_min_runtime=None, edgetpu=False,
        reset="keep", signatures=(), metadata=(),
        inputs=(TensorSpec("image:0", taken, dtype, 0.5, 0),),
        outputs=(TensorSpec("scores", given, dtype, 0.5 if dtype == "int8" else None, 0),),
    )  # fmt: skip


def read(folder: Path, text: str, file: TFLiteFile | None = None) -> ModelCard:
    (folder / MODEL_TOML).write_text(text)
    return read_model_toml(folder / MODEL_TOML, file or model())


def test_a_file_is_read_as_it_is_meant(tmp_path: Path) -> None:
    card = read(tmp_path, GOOD)

    assert card.input("image:0") == ImageInput(8, 6, mean=[1, 2, 3], std=[4, 5, 6])
    labels = ["a", "[b]", "c = 1"]
    assert card.output("scores") == Output("classification", "softmax", labels=labels)


def test_a_card_travels_whole_but_for_its_labels(tmp_path: Path) -> None:
    card = read(tmp_path, GOOD)
    arrived = card_from_plain(card_to_plain(card))

    assert arrived.inputs == card.inputs
    assert arrived.output("scores") == Output("classification", "softmax")


@pytest.mark.parametrize(
    ("before", "after", "line", "said"),
    [
        ("schema = 1", "schema = 2", 1, "reads up to 1: update kedge"),
        ("schema = 1", "", 1, "schema is missing"),
        ('"image:0"', '"picture"', 3, "is not a tensor of the inputs; the file has 'image:0'"),
        ('kind = "image"', 'kind = "video"', 4, "must be one of image, array, found 'video'"),
        ("height = 8", "height = 8.0", 5, "a whole number from 1 to 16384, found 8.0"),
        ("height = 8", "height = true", 5, "found True"),
        ("height = 8", "height = 9", 3, "has the shape [1, 9, 6, 3], the file takes [1, 8, 6, 3]"),
        ("width = 6", "", 3, "width is missing"),
        ("width = 6", "widht = 6", 3, "width is missing"),
        ("width = 6", "width = 6\ntop_k = 1", 7, "is unknown here; known are: kind, height"),
        ('color = "RGB"', 'color = "gray"', 8, "mean: must have 1 numbers, one a channel, found 3"),
        ("mean = [1, 2, 3]", "scale = 1", 9, "mean and std come together, mean is missing"),
        ("mean = [1, 2, 3]", "mean = [1, 2, nan]", 8, "must be a list of numbers"),
        ("std = [4, 5, 6]", "std = [4, 0, 6]", 9, "must not be 0"),
        ("mean = [1, 2, 3]\nstd = [4, 5, 6]", "scale = 0", 8, "must not be 0"),
        ("std = [4, 5, 6]", "std = [4, 5, 6]\nscale = 1", 10, "not both"),
        ('"classification"', '"regression"', 14, "labels are for task classification"),
        ('    "c = 1",\n', "", 14, "has 2 labels, the file has 3 classes"),
        ('"softmax"', '"softmax"\ntop_k = 0', 14, "a whole number from 1 to 1000, found 0"),
        ('"softmax"', '"softmax"\nthreshold = 2', 14, "a number from 0 to 1, found 2"),
        ("[outputs.scores]", "[output.scores]", 11, "output: is unknown here; known are: schema,"),
        ('"softmax"', "softmax", 13, "is not valid TOML"),
    ],
)  # fmt: skip
def test_a_wrong_line_is_named(
    tmp_path: Path, before: str, after: str, line: int, said: str
) -> None:
    with pytest.raises(ModelTomlError) as refused:
        read(tmp_path, GOOD.replace(before, after, 1))

    assert f"{MODEL_TOML}, line {line}: " in str(refused.value)
    assert said in str(refused.value)
    assert refused.value.exit_code == 3


@pytest.mark.parametrize("key", ["labels", "labels_file"])
def test_labels_may_have_a_file_of_their_own(key: str, tmp_path: Path) -> None:
    start = GOOD[: GOOD.index("labels =")]
    (tmp_path / "names.txt").write_text("eins\nzwei\ndrei\n")

    assert read(tmp_path, f'{start}{key} = "names.txt"').output("scores").labels == [
        *("eins", "zwei", "drei"),
    ]
    with pytest.raises(ModelTomlError, match=r"line 14: .*absent.txt cannot be read"):
        read(tmp_path, f'{start}{key} = "absent.txt"')
    with pytest.raises(ModelTomlError, match="not both"):
        read(tmp_path, GOOD + 'labels_file = "names.txt"')


@pytest.mark.parametrize("key", ["labels", "labels_file"])
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("/etc/hostname", "leads out of the folder"),
        ("../names.txt", "leads out of the folder"),
        ("below/../../names.txt", "leads out of the folder"),
        ("link.txt", "leads out of the folder"),
        ("/proc/self/environ", "leads out of the folder"),
        ("/dev/zero", "leads out of the folder"),
        ("fifo", "is no file"),
        ("below", "is no file"),
        (".", "is no file"),
        ("loop.txt", "cannot be read"),
        ("large.txt", "is larger than 16 MiB"),
    ],
)
def test_labels_come_from_the_folder_of_the_card(
    key: str, name: str, said: str, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    (folder / "below").mkdir(parents=True)
    (tmp_path / "names.txt").write_text("eins\nzwei\ndrei\n")
    (folder / "link.txt").symlink_to("../names.txt")
    (folder / "loop.txt").symlink_to("loop.txt")
    os.mkfifo(folder / "fifo")
    with (folder / "large.txt").open("wb") as large:
        large.truncate(1 << 30)
    start = GOOD[: GOOD.index("labels =")]

    with pytest.raises(ModelTomlError, match=said) as refused:
        read(folder, f'{start}{key} = "{name}"')
    assert refused.value.exit_code == 3


def test_labels_may_lie_in_a_folder_below_the_card(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "names.txt").write_text("eins\nzwei\ndrei\n")
    (tmp_path / "link.txt").symlink_to("below/names.txt")
    start = GOOD[: GOOD.index("labels =")]

    for name in ("below/names.txt", "./below/names.txt", "link.txt"):
        assert len(read(tmp_path, f'{start}labels = "{name}"').output("scores").labels) == 3


@pytest.mark.parametrize(
    ("text", "file", "said"),
    [
        ('task = "classification"', model(given=(1, 5, 5, 3)), "scores are one row; use task raw"),
        ('task = "regression"', model(given=(1, 300)), "more than 256 values; use task raw"),
        ('task = "raw"\nactivation = "softmax"', model(given=(1, 1)), "use sigmoid"),
        ('task = "classification"', model(dtype="int64"), "whole numbers are no scores"),
        ('task = "classification"\nlabels = ["a", "b", "c"]', model(given=(1, 1)), "2 classes"),
    ],
)
def test_what_an_output_cannot_mean_is_said(
    tmp_path: Path, text: str, file: TFLiteFile, said: str
) -> None:
    with pytest.raises(ModelTomlError, match=said):
        read(tmp_path, f"schema = 1\n[outputs.scores]\n{text}\n", file)


@pytest.mark.parametrize("names", [("bee", 'an "ant"', "c\\d"), ()])
def test_what_a_conversion_writes_is_read_as_the_same(
    tmp_path: Path, names: tuple[str, ...]
) -> None:
    card = card_of_conversion(model(), names, "-1..1", probabilities=False)

    assert read(tmp_path, card_text(card)) == card
    assert card.output("scores").labels == list(names)
    assert card.output("scores").activation == "softmax"
    if names:
        assert card.input("image:0") == ImageInput(8, 6, scale=1 / 127.5, offset=-1.0)


def test_a_card_to_begin_with_fits_its_file(tmp_path: Path) -> None:
    for file in (model(), model((1, 9), (1, 4, 4)), model((1, 8, 6, 3), (1, 1), "float32")):
        card = card_to_begin_with(file)
        assert read(tmp_path, card_text(card), file) == card


def convert(folder: Path, scale: float) -> tuple[str, ...]:
    """What a conversion does with its card: written in a folder of its own, then moved."""
    work = folder / "work"
    work.mkdir(exist_ok=True)
    card = ModelCard({"image:0": ImageInput(8, 6, scale=scale)})
    said = write_model_toml(work, folder, card)
    for path in work.iterdir():
        path.replace(folder / path.name)
    return said


def test_an_unedited_file_follows_the_conversion(tmp_path: Path) -> None:
    assert convert(tmp_path, 1.0) == convert(tmp_path, 0.5) == ()

    assert "scale = 0.5" in (tmp_path / MODEL_TOML).read_text()
    assert not (tmp_path / NEW_MODEL_TOML).exists()


def test_an_edited_file_is_never_written_over(tmp_path: Path) -> None:
    convert(tmp_path, 1.0)
    path = tmp_path / MODEL_TOML
    edited = path.read_text().replace('fit = "stretch"', 'fit = "crop"')
    path.write_text(edited)
    (said,) = convert(tmp_path, 0.5)

    assert path.read_text() == edited
    assert "was edited and is kept" in said
    assert "scale = 0.5" in (tmp_path / NEW_MODEL_TOML).read_text()
