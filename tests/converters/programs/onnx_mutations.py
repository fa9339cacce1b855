"""Run as a program in a process of its own: damaged .onnx files, each in a fork of this process.

Arguments: a folder, and the number of files. Standard output: JSON, how often each way to end
occurred: "read", "refused", or the signal of a crash. A file that takes too long is "hung".
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import onnxruntime

from converters.errors import ConversionError
from converters.graph.onnx.read import read_onnx_graph, take_constants
from converters.onnx.prepare import prepare_in_process
from converters.onnx.proto import load_external_data, parse_proto
from tests.converters.programs.onnx_cases import CASES
from tests.converters.programs.onnx_maker import OnnxMaker

LONGEST_S = 60.0
SOURCES = ("residual", "attention", "lstm_both", "splits", "embedding", "two_outputs")


def main() -> None:
    """Damage files and count what becomes of them."""
    folder, count = Path(sys.argv[1]), int(sys.argv[2])
    assert onnxruntime.__version__  # loaded once, before the forks
    random = np.random.default_rng(0)
    contents = []
    for name in SOURCES:
        maker = OnnxMaker(17)
        CASES[name][0](maker)
        contents.append(maker.content())
    ends = Counter(
        _end_of(_damage(contents[i % len(contents)], random), folder) for i in range(count)
    )
    sys.stdout.write(json.dumps(ends))


def _damage(content: bytes, random: np.random.Generator) -> bytes:
    data = bytearray(content)
    way = random.integers(5)
    if way == 0:
        return bytes(data[: random.integers(len(data))])
    for _ in range(1 if way == 1 else int(random.integers(1, 20))):
        # The structure stands at the beginning, the weights behind it.
        place = int(random.integers(min(len(data), 1200) if way < 4 else len(data)))
        if way == 2:
            data[place : place + int(random.integers(1, 9))] = b""
        else:
            data[place] = int(random.integers(256))
    return bytes(data)


def _end_of(content: bytes, folder: Path) -> str:
    child = os.fork()
    if child == 0:
        os._exit(_read(content, folder))
    ends = time.monotonic() + LONGEST_S
    while time.monotonic() < ends:
        done, status = os.waitpid(child, os.WNOHANG)
        if done and os.WIFSIGNALED(status):
            return signal.Signals(os.WTERMSIG(status)).name
        if done:
            return {0: "read", 4: "refused"}.get(os.WEXITSTATUS(status), "another error")
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return "hung"


def _read(content: bytes, folder: Path) -> int:
    origin = folder / "damaged.onnx"
    try:
        model = parse_proto(content, origin)
        load_external_data(model, origin)
        prepare_in_process(model, origin, {}, folder)
        model = parse_proto((folder / "folded.onnx").read_bytes(), origin)
        read_onnx_graph(*take_constants(model), origin)
    except ConversionError:
        return 4
    except BaseException as error:  # noqa: BLE001 - whatever else it is, it is a fault of ours
        sys.stderr.write(f"{error!r}\n")
        (folder / f"fault{os.getpid()}.onnx").write_bytes(content)
        return 1
    return 0


if __name__ == "__main__":
    main()
