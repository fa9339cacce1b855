#!/usr/bin/env python3
"""A stand-in for NVIDIA's `trtexec`: its documented options and files, computed by ONNX Runtime.

It tests the code that drives `trtexec`, and says nothing of TensorRT. The environment variable
`STAND_IN` is a list of words that make it misbehave, and `STAND_IN_VERSION` the version that it
claims, such as 8502. Each start is noted in the file that `STAND_IN_LOG` names.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

# Options that every release from 8.2 to 11.1 knows, then those of some (samples/common).
_COMMON = {
    "--help", "--onnx", "--saveEngine", "--loadEngine", "--loadInputs", "--iterations", "--warmUp",
    "--duration", "--exportTimes", "--exportOutput", "--exportProfile", "--separateProfileRun",
    "--exposeDMA", "--useSpinWait", "--noDataTransfers",
}  # fmt: skip
#: Least time of an inference, milliseconds: to start kernels on a GPU takes so long. A fast CPU
#: would write more times in a second than a board ever does.
_LEAST_MS = 0.02
_SOME = {
    "--buildOnly": (0, 100_999),
    "--skipInference": (8_600, 999_999),
    "--int8": (0, 109_999),
    "--fp16": (0, 109_999),
    "--includeDataTransfers": (110_000, 999_999),
    "--noCudaGraph": (110_000, 999_999),
}

FAULTS = set(os.environ.get("STAND_IN", "").split())
VERSION = int(os.environ.get("STAND_IN_VERSION", "100300"))


def main() -> int:
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)  # Python ignores it, C++ does not
    options = dict(word.partition("=")[::2] for word in sys.argv[1:])
    _note(" ".join(sorted(options)))
    if "missing_library" in FAULTS:
        _say("trtexec: error while loading shared libraries: libnvinfer.so.10: cannot open")
        return 127
    _say(f"&&&& RUNNING TensorRT.trtexec [TensorRT v{VERSION}] # {' '.join(sys.argv)}")
    for name in options:
        low, high = _SOME.get(name, (0, 999_999) if name in _COMMON else (1, 0))
        if not low <= VERSION <= high:
            _say(f"[E] Unknown option: {name} {options[name]}")
            return _failed()
    if "--help" in options:
        _say("=== Model Options ===")
        return 0
    if "--onnx" in options:
        return _build(options)
    return _run(options)


def _build(options: dict[str, str]) -> int:
    if "slow_build" in FAULTS:
        time.sleep(600)
    if "killed" in FAULTS:
        os.kill(os.getpid(), signal.SIGKILL)
    if "out_of_memory" in FAULTS:
        _say("[E] Error[2]: [virtualMemoryBuffer.cpp::resizePhysical] OutOfMemory (no further)")
        return _failed()
    if "unknown_op" in FAULTS:
        _say("[E] In node 3: UNSUPPORTED_NODE: No importer registered for op: NonZero. \x1b[31m")
        return _failed()
    if "no_gpu" in FAULTS:
        _say("[E] Cuda failure: 100")
        return _failed()
    if "no_engine" in FAULTS:
        return _passed()
    content = _read(options["--onnx"])
    if "noisy" in FAULTS:
        for _ in range(20_000):
            _say("[V] [TRT] Tactic: 0x0000000000000001 Time: 0.001")
    engine = {"version": VERSION, "gpu": os.environ.get("STAND_IN_GPU", "Orin")}
    with Path(options["--saveEngine"]).open("wb") as file:
        size = 100 << 20 if "huge_engine" in FAULTS else 0
        file.write(json.dumps(engine).encode() + b"\n" + content + bytes(size))
    return _passed()


def _run(options: dict[str, str]) -> int:
    head, _, model = _read(options["--loadEngine"]).partition(b"\n")
    engine = json.loads(head)
    if engine != {"version": VERSION, "gpu": os.environ.get("STAND_IN_GPU", "Orin")}:
        _say("[E] 6: The engine plan file is not compatible with this version of TensorRT")
        return _failed()
    if "crash" in FAULTS:
        os.kill(os.getpid(), signal.SIGSEGV)
    if "hang" in FAULTS:
        time.sleep(600)
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, settings, providers=["CPUExecutionProvider"])
    feeds = _feeds(session, options.get("--loadInputs", ""))
    queries, results = _queries(session, feeds, options)
    if "--exportTimes" in options:
        _write(options["--exportTimes"], _times_text(queries))
    if "--exportProfile" in options:
        _write(options["--exportProfile"], _profile_text(queries))
    if "--exportOutput" in options:
        _write(options["--exportOutput"], _outputs_text(session, results))
    return _passed()


def _feeds(session: Any, pairs: str) -> dict[str, Any]:
    import numpy as np

    files = dict(pair.rpartition(":")[::2] for pair in pairs.split(",") if pair)
    feeds = {}
    for entry in session.get_inputs():
        dtype = {"float": "float32", "double": "float64"}.get(entry.type[7:-1], entry.type[7:-1])
        shape = [size if isinstance(size, int) else 1 for size in entry.shape]
        if entry.name in files:
            data = _read(files[entry.name])
            size = int(np.prod(shape)) * np.dtype(dtype).itemsize
            if len(data) != size:
                _say(f"[E] Unexpected file size for input file: {size} bytes, {len(data)} read")
                sys.exit(_failed())
            feeds[entry.name] = np.frombuffer(data, dtype).reshape(shape)
        else:
            feeds[entry.name] = np.zeros(shape, dtype)
    return feeds


def _queries(
    session: Any, feeds: dict[str, Any], options: dict[str, str]
) -> tuple[list[tuple[float, float]], list[Any]]:
    """Run at least `--iterations`, and for `--warmUp` and `--duration`; the warm-up is left out."""
    warmup_ms = float(options.get("--warmUp", "200"))
    duration_ms = float(options.get("--duration", "3")) * 1e3
    least = int(options.get("--iterations", "10"))
    queries, results, began = [], [], time.perf_counter()
    while True:
        start = (time.perf_counter() - began) * 1e3
        results = session.run(None, feeds)
        end = start
        while end < start + _LEAST_MS:
            end = (time.perf_counter() - began) * 1e3
        queries.append((start, end))
        if len(queries) >= least and end >= warmup_ms + duration_ms:
            return [query for query in queries if query[0] >= warmup_ms], results


def _times_text(queries: list[tuple[float, float]]) -> str:
    if "no_json" in FAULTS:
        return "[ { 'latencyMs' : "
    if "huge_times" in FAULTS:
        return "[" + " " * (70 << 20) + "]"
    entries = []
    for start, end in queries:
        compute = "nan" if "nan_time" in FAULTS else f"{end - start:.6g}"
        names = {"startEnqMs": start, "endEnqMs": start, "startH2dMs": start, "endH2dMs": start,
                 "startComputeMs": start, "endComputeMs": end, "startD2hMs": end, "endD2hMs": end,
                 "h2dMs": 0.001}  # fmt: skip
        fields = [f'"{name}" : {value:.6g}' for name, value in names.items()]
        fields += [f'"computeMs" : {compute}', '"d2hMs" : 0.001',
                   f'"latencyMs" : {end - start + 0.002:.6g}']  # fmt: skip
        entries.append("{ " + ", ".join(fields) + " }\n")
    return "[\n  " + ", ".join(entries) + "]\n"


def _profile_text(queries: list[tuple[float, float]]) -> str:
    median = sorted(end - start for start, end in queries)[len(queries) // 2]
    steps = [("first + \x1b[31mRelu", 0.75), ("second", 0.25)]
    lines = [f'  {{ "count" : {len(queries)} }}\n']
    lines += [
        f', {{ "name" : "{name}", "timeMs" : {share * median * len(queries):.6g}, '
        f'"averageMs" : {share * median:.6g}, "medianMs" : {share * median:.6g}, '
        f'"percentage" : {100 * share} }}\n'
        for name, share in steps
    ]
    return "[\n" + "".join(lines) + "]\n"


def _outputs_text(session: Any, results: list[Any]) -> str:
    entries = []
    for entry, values in zip(session.get_outputs(), results, strict=True):
        name = "another" if "other_name" in FAULTS else entry.name
        numbers = [f"{value:.6g}" for value in values.reshape(-1).tolist()]
        if "too_few" in FAULTS:
            numbers.pop()
        if "nan" in FAULTS:
            numbers[0] = "-nan"
        dimensions = "x".join(map(str, values.shape))
        entries.append(f'{{ "name" : "{name}"\n  , "dimensions" : "{dimensions}"\n  , "values" : '
                       f'[ {", ".join(numbers)} ]\n  }}\n')  # fmt: skip
    return "[\n  " + ", ".join(entries) + "]\n"


def _passed() -> int:
    _say(f"&&&& PASSED TensorRT.trtexec [TensorRT v{VERSION}]")
    return 0


def _failed() -> int:
    _say(f"&&&& FAILED TensorRT.trtexec [TensorRT v{VERSION}]")
    return 1


def _read(path: str) -> bytes:
    return Path(path).read_bytes()


def _write(path: str, text: str) -> None:
    Path(path).write_text(text)


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _note(line: str) -> None:
    if "STAND_IN_LOG" in os.environ:
        with Path(os.environ["STAND_IN_LOG"]).open("a") as file:
            file.write(line + "\n")


if __name__ == "__main__":
    sys.exit(main())
