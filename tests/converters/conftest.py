"""Models, data and conversions that several tests ask about: made once, by child processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters.evidence.conversion import Conversion
from converters.process import convert
from converters.request import ConversionRequest
from tests.shared_folder import fill_once

REPOSITORY = Path(__file__).parents[2]


PARENT = """
import sys
from converters.process import convert
from converters.request import ConversionRequest

def report(progress):
    print(progress.stage, progress.detail, flush=True)

convert(ConversionRequest.from_json(sys.argv[1]), report)
"""


def start_parent(request: ConversionRequest) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PARENT, request.to_json()],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run_child(*arguments: str | Path) -> str:
    """What it printed."""
    environment = dict(os.environ, TF_USE_LEGACY_KERAS="1", TF_CPP_MIN_LOG_LEVEL="3")
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        capture_output=True,
        text=True,
        env=environment,
        cwd=REPOSITORY,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout


def run_program(name: str, *arguments: str | Path) -> str:
    """Run a program of `tests/converters/programs`; return what it printed."""
    return run_child("-m", f"tests.converters.programs.{name}", *arguments)


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with digits.keras and digits.npz, as `kedge demo` makes them."""

    def train(folder: Path) -> None:
        run_child("-m", "converters.digits_cnn", "--out", folder)

    return fill_once(tmp_path_factory, "digits", train)


@pytest.fixture(scope="session")
def zoo(tmp_path_factory: pytest.TempPathFactory, digits: Path) -> Path:
    """Folder with small models of every kind; see model_zoo.py."""

    def build(folder: Path) -> None:
        run_program("model_zoo", folder, digits / "digits.npz")

    return fill_once(tmp_path_factory, "zoo", build)


@pytest.fixture(scope="session")
def digits_request(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> ConversionRequest:
    """A request about the digits, to be changed with `dataclasses.replace`."""
    out = tmp_path_factory.mktemp("digits_out")
    return ConversionRequest(
        digits / "digits.keras", digits / "digits.npz", "ptq_w8a8", out / "ptq"
    )


@pytest.fixture(scope="session")
def digits_ptq(digits_request: ConversionRequest) -> Conversion:
    return convert(digits_request)


@pytest.fixture(scope="session")
def digits_qat(digits_request: ConversionRequest) -> tuple[Any, ...]:
    reports = []
    request = replace(digits_request, recipe="qat_w8a8", out=digits_request.out.with_name("qat"))
    return convert(request, reports.append), reports


@pytest.fixture
def images(tmp_path: Path) -> Callable[..., Any]:
    """A function that writes a folder of small random images, one sub-folder a class."""
    from PIL import Image

    def write(
        folder: Path = tmp_path / "images",
        classes: tuple[Any, ...] = ("ant", "bee", "cow"),
        count: int = 12,
        size: tuple[int, int] = (8, 8),
    ) -> Path:
        random = np.random.default_rng(0)
        for name in classes:
            (folder / name).mkdir(parents=True)
            for number in range(count):
                pixels = random.integers(0, 256, (size[1], size[0]), np.uint8)
                Image.fromarray(pixels).save(folder / name / f"{number:02}.png")
        return folder

    return write


@pytest.fixture(scope="session")
def graph_report(tmp_path_factory: pytest.TempPathFactory, digits: Path) -> dict:
    """What becomes of each model of graph_cases.py; see graph_report.py."""
    folder = tmp_path_factory.mktemp("graph")
    paths = {version: folder / f"{version}.json" for version in ("keras2", "keras3")}
    with ThreadPoolExecutor() as pool:  # a core each
        for done in [
            pool.submit(run_program, "graph_report", path, digits / "digits.npz", version)
            for version, path in paths.items()
        ]:
            done.result()
    one, other = (json.loads(path.read_text()) for path in paths.values())
    return {**one, **other, "qat": {**one["qat"], **other["qat"]}}


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Any]:
    """A file system of 64 KiB."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)], capture_output=True
    )
    if done.returncode:
        pytest.skip("mounting a small file system needs root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)
