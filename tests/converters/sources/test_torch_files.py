"""Files of PyTorch: what is taken, what is refused in one message, and no code of a file is run."""

from __future__ import annotations

import io
import json
import pickle
import random
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from converters.errors import ConversionError
from converters.sources.kinds import identify
from converters.sources.pt2_file import check_pt2, copy_without_pickles
from tests.converters.conftest import run_child
from tests.shared_folder import fill_once

PROGRAM = "model/models/model.json"
WEIGHTS = "model/data/weights/model_weights_config.json"
SAMPLES = "model/data/sample_inputs/model.pt"


def torch_files(factory: pytest.TempPathFactory) -> Path:
    return fill_once(
        factory,
        "torch",
        lambda folder: run_child("-m", "tests.converters.programs.torch_models", folder),
    )


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return torch_files(tmp_path_factory)


def refused(path: Path) -> ConversionError:
    with pytest.raises(ConversionError) as caught:
        identify(path)
    assert str(path) in str(caught.value)
    assert caught.value.exit_code == 4
    return caught.value


def changed(files: Path, to: Path, members: dict[str, Callable[[bytes], bytes] | None]) -> Path:
    """model.pt2 with other content of some members; new ones are made of nothing."""
    with zipfile.ZipFile(files / "model.pt2") as old, zipfile.ZipFile(to, "w") as new:
        for info in old.infolist():
            change = members.get(info.filename, lambda content: content)
            if change is not None:
                new.writestr(info.filename, change(old.read(info)))
        for name in members.keys() - set(old.namelist()):
            change = members[name]
            assert change is not None
            new.writestr(name, change(b""))
    return to


def edited(change: Callable[[Any], None]) -> Callable[[bytes], bytes]:
    def edit(content: bytes) -> bytes:
        plain = json.loads(content)
        change(plain)
        return json.dumps(plain).encode()

    return edit


def test_the_inputs_of_a_program_are_read_without_torch(files: Path) -> None:
    assert identify(files / "model.pt2").shapes.inputs == {"input": (None, 3, 10, 12)}
    two = identify(files / "two.pt2").shapes.inputs
    assert two == {"picture": (1, 3, 6, 6), "words": (1, 5)}


@pytest.mark.parametrize(
    ("name", "words"),
    {
        "weights.pth": "weights without layers",
        "checkpoint.pth": "weights without layers",
        "whole.pt": "a whole module",
        "script.pt": "TorchScript",
        "training.pt2": "training mode",
        "half.pt2": "half precision",
    }.items(),
)
def test_what_is_no_program_to_convert_gets_the_lines_that_make_one(
    files: Path, name: str, words: str
) -> None:
    error = refused(files / name)
    assert words in str(error)
    assert "model.float()" in error.hint or "torch.export.save(program" in error.hint


class _Touch:
    """A pickle that makes a file when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_a_pickle_among_the_samples_is_left_out_of_the_copy(files: Path, tmp_path: Path) -> None:
    made = pickle.dumps(_Touch(tmp_path / "touched"))
    path = changed(files, tmp_path / "model.pt2", {SAMPLES: lambda _: made})
    check_pt2(path)
    copy_without_pickles(path, tmp_path / "copy.pt2")
    with zipfile.ZipFile(tmp_path / "copy.pt2") as copy:
        assert copy.read(SAMPLES) == b""
        names = [info for info in copy.infolist() if b"touched" in copy.read(info)]
    assert names == []
    assert not (tmp_path / "touched").exists()


def _set_target(plain: Any, target: str) -> None:
    plain["graph_module"]["graph"]["nodes"][0]["target"] = target


HOSTILE: dict[str, tuple[dict[str, Callable[[bytes], bytes] | None], str]] = {
    "operating system": ({PROGRAM: edited(lambda p: _set_target(p, "torch.os.system"))}, "calls"),
    "file": (
        {PROGRAM: edited(lambda p: _set_target(p, "torch.ops.aten.from_file.default"))},
        "from_file",
    ),
    "branch": (
        {PROGRAM: edited(lambda p: _set_target(p, "torch.ops.higher_order.cond"))},
        "higher_order",
    ),
    "size": (
        {
            PROGRAM: edited(
                lambda p: p["range_constraints"].update(
                    x={"expr_str": "__import__('os').system('true')"}
                )
            )
        },
        "arithmetic of sizes",
    ),
    "container": (
        {
            PROGRAM: edited(
                lambda p: p["graph_module"]["module_call_graph"][0]["signature"].update(
                    in_spec='[1, {"type": "collections.defaultdict", "context": '
                    '"{\\"default_factory_module\\": \\"antigravity\\"}", "children_spec": []}]'
                )
            )
        },
        "defaultdict",
    ),
    "pickled weight": (
        {WEIGHTS: edited(lambda p: next(iter(p["config"].values())).update(use_pickle=True))},
        "is pickled",
    ),
    "pickled weights": ({"model/data/weights/model.pt": lambda _: b"x"}, "runs no code"),
    "own class": ({"model/data/constants/custom_obj_0": lambda _: b"x"}, "runs no code"),
    "compiled": ({"model/data/aotinductor/model/a.so": lambda _: b"x"}, "compiled code"),
    "two folders": ({"other/a": lambda _: b"x"}, "2 folders"),
    "outside": ({"model/.data/../../a": lambda _: b"x"}, "member"),
    "no program": ({PROGRAM: None}, "models/model.json is missing"),
    "no json": ({PROGRAM: lambda _: b"[" * 100_000}, "cannot be read"),
    "no list": ({WEIGHTS: lambda _: b"[]"}, "no list of tensors"),
}


@pytest.mark.parametrize(("members", "words"), HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_program_is_refused_before_torch_sees_it(
    files: Path, tmp_path: Path, members: Any, words: str
) -> None:
    path = changed(files, tmp_path / "model.pt2", members)
    assert words in str(refused(path))


def test_guards_and_notes_of_a_program_are_not_handed_on(files: Path, tmp_path: Path) -> None:
    guard = edited(lambda p: p["guards_code"].append("__import__('os').abort()"))
    path = changed(files, tmp_path / "model.pt2", {PROGRAM: guard})
    copy_without_pickles(path, tmp_path / "copy.pt2")
    with zipfile.ZipFile(tmp_path / "copy.pt2") as copy:
        text = copy.read(PROGRAM)
    assert b"abort" not in text
    assert b"stack_trace" not in text


def test_a_compressed_program_is_refused(files: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.pt2"
    with (
        zipfile.ZipFile(files / "model.pt2") as old,
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for info in old.infolist():
            new.writestr(info.filename, old.read(info))
    assert "compressed" in str(refused(path))


def test_programs_of_old_versions_say_so(tmp_path: Path) -> None:
    path = tmp_path / "model.pt2"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("version", "6.1")
        archive.writestr("serialized_exported_program.json", "{}")
    assert "PyTorch 2.8 or older" in str(refused(path))


def test_mutated_programs_are_read_or_refused(files: Path, tmp_path: Path) -> None:
    """Whatever is changed: a refusal, never another error."""
    source = random.Random(0)
    whole = (files / "model.pt2").read_bytes()
    path = tmp_path / "model.pt2"
    for _ in range(300):
        content = bytearray(whole)
        for _ in range(source.randint(1, 20)):
            content[source.randrange(len(content))] = source.randrange(256)
        path.write_bytes(content[: source.choice((len(content), source.randrange(len(content))))])
        try:
            identify(path)
        except ConversionError as error:
            assert str(path) in str(error)


def test_mutated_texts_of_programs_are_read_or_refused(files: Path, tmp_path: Path) -> None:
    source = random.Random(1)
    with zipfile.ZipFile(files / "model.pt2") as archive:
        text = archive.read(PROGRAM)
        others = [(info.filename, archive.read(info)) for info in archive.infolist()]
    values = [b"0", b"null", b"[]", b"{}", b'"x"', b"-1", b"1e999", b"true"]
    for _ in range(150):
        plain = json.loads(text)
        place: Any = plain
        while isinstance(place, (dict, list)) and place:
            keys = list(place) if isinstance(place, dict) else range(len(place))
            key = source.choice(list(keys))
            if source.random() < 0.15 or not isinstance(place[key], (dict, list)):
                place[key] = json.loads(source.choice(values).replace(b"1e999", b"1e308"))
                break
            place = place[key]
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for name, content in others:
                archive.writestr(name, json.dumps(plain) if name == PROGRAM else content)
        path = tmp_path / "model.pt2"
        path.write_bytes(buffer.getvalue())
        try:
            identify(path)
        except ConversionError as error:
            assert str(path) in str(error)
