"""Checks, fixes and folds an .onnx in a process of its own, because libraries may crash on it.

The process parses the file, and brings it to a batch of one of fixed shapes. onnxruntime then folds
what is constant, among it the arithmetic on shapes that exporters write, and runs the model once.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from converters.errors import ConversionError, MissingConvertExtraError
from converters.onnx.float32 import convert_floats
from converters.onnx.proto import damage_of, parse_proto, read_proto
from converters.onnx.refusals import InputShapes, check_float_model, fix_shapes
from converters.onnx.runtime import import_onnxruntime
from converters.parent_death import end_with_parent

#: The process's exit codes for a refusal, and for a missing package; standard error holds why.
_REFUSED, _MISSING = 4, 3
#: Longest time of the process, in seconds, and more for each MB of the file.
_SECONDS, _SECONDS_PER_MB = 120.0, 2.0
#: Most address space of the process: for its libraries, and for each byte of the file.
_RESERVE_BYTES, _BYTES_PER_BYTE = 6 * 2**30, 16
#: Beginning of the names of the tensors that onnxruntime makes of a function.
_INLINED = "_inlfunc_"
#: Folder of our packages. `-m` looks in the current folder first, which must not be a user's.
_OURS = Path(__file__).parents[2]


def prepare_onnx(source: Path | bytes, origin: Path, shapes: InputShapes) -> Any:
    """Bring an .onnx to a model of a batch of one, checked, folded, and run once.

    Args:
        source: File, whose external data lies beside it; or content of one without external data.
        origin: File of the model, for messages.
        shapes: Whole shapes of inputs that the file leaves open.

    Returns:
        `onnx.ModelProto` with float32 alone in the place of other floats, of fixed shapes, with the
        shape of every tensor as far as it is known.

    Raises:
        MissingConvertExtraError: Package `onnx` or `onnxruntime` is not installed.
        ConversionError: The file is damaged or quantized, has open shapes or unknown ops, or the
            libraries refuse it or crash on it.
    """
    with tempfile.TemporaryDirectory(prefix="kedge-") as name:
        folder = Path(name)
        if isinstance(source, bytes):
            file = folder / "content.onnx"
            file.write_bytes(source)
        else:
            file = source.absolute()
        size = file.stat().st_size
        order = {"origin": str(origin), "file": str(file), "shapes": dict(shapes), "size": size}
        (folder / "order.json").write_text(json.dumps(order), encoding="utf-8")
        seconds = _SECONDS + _SECONDS_PER_MB * size / 1e6
        command = [sys.executable, "-m", "converters.onnx.prepare", str(folder), str(os.getpid())]
        with (folder / "log").open("w+b") as log:
            child = subprocess.Popen(
                command, cwd=_OURS, stdout=subprocess.DEVNULL, stderr=log, start_new_session=True
            )
            try:
                with suppress(subprocess.TimeoutExpired):
                    child.wait(seconds)
                is_in_time = child.returncode is not None
            finally:
                child.kill()
                child.wait()
            log.seek(0)
            said = log.read().decode("utf-8", "replace")
        if not is_in_time:
            raise ConversionError(
                f"{origin}: this host did not load and run it within {seconds:.0f} s",
                "Use a smaller model, or a faster or less busy computer.",
            )
        if child.returncode != 0:
            raise _failure(origin, child.returncode, said)
        return parse_proto((folder / "folded.onnx").read_bytes(), origin)


def _failure(origin: Path, returncode: int, said: str) -> ConversionError:
    if returncode in (_REFUSED, _MISSING):
        # The libraries may have written before.
        message, hint = said.split("\0")[-2:]
        error = MissingConvertExtraError if returncode == _MISSING else ConversionError
        return error(message, hint)
    name = signal.Signals(-returncode).name if returncode < 0 else f"exit {returncode}"
    return ConversionError(
        f"{origin}: onnxruntime crashed on it on this host ({name}) {said.strip()[-300:]}",
        "The file is damaged, or uses an op in a way that onnxruntime does not expect.",
    )


def _main(folder: Path) -> int:
    order = json.loads((folder / "order.json").read_text(encoding="utf-8"))
    origin = Path(order["origin"])
    _limit_memory(order["size"])
    try:
        model = read_proto(Path(order["file"]), origin)
        shapes = {name: tuple(shape) for name, shape in order["shapes"].items()}
        prepare_in_process(model, origin, shapes, folder)
    except MissingConvertExtraError as error:
        sys.stderr.write(f"\0{error}\0{error.hint}")
        return _MISSING
    except ConversionError as error:
        sys.stderr.write(f"\0{error}\0{error.hint}")
        return _REFUSED
    except MemoryError:
        hint = "If the model is as large as that, use a computer with more memory."
        sys.stderr.write(f"\0{origin}: needs more memory than a file of its size should\0{hint}")
        return _REFUSED
    return 0


def _limit_memory(size: int) -> None:
    """Let an allocation that the size of the file does not explain fail."""
    import resource

    most = _RESERVE_BYTES + _BYTES_PER_BYTE * size
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    if hard == resource.RLIM_INFINITY or most < hard:
        resource.setrlimit(resource.RLIMIT_AS, (most, hard))


def prepare_in_process(model: Any, origin: Path, shapes: InputShapes, folder: Path) -> None:
    """Bring a model to one of a batch of one, checked, folded, and run once; in this process.

    Args:
        model: `onnx.ModelProto` with its values inside; it is empty afterwards.
        origin: File of the model, for messages.
        shapes: Whole shapes of inputs that the file leaves open.
        folder: Folder for the result, folded.onnx.

    Raises:
        MissingConvertExtraError: Package `onnxruntime` is not installed.
        ConversionError: The model cannot be used; the message says why.
    """
    import onnx
    from onnx import inliner, shape_inference

    check_float_model(model, origin)
    try:
        if model.functions:
            model = inliner.inline_local_functions(model)
        convert_floats(model)
    except (ValueError, TypeError, RuntimeError) as error:
        raise damage_of(origin) from error
    fix_shapes(model, origin, shapes)
    folded = _fold(model, origin, folder / "optimized.onnx")
    if any(name.startswith(_INLINED) for node in folded.graph.node for name in node.output):
        # onnxruntime puts the body of a function in after it folded.
        folded = _fold(folded, origin, folder / "optimized.onnx")
    try:
        folded = shape_inference.infer_shapes(folded, data_prop=True)
    except (onnx.shape_inference.InferenceError, ValueError, RuntimeError) as error:
        raise _refusal(origin, error) from error
    (folder / "folded.onnx").write_bytes(folded.SerializeToString())


def _fold(model: Any, origin: Path, path: Path) -> Any:
    """Let onnxruntime fold the model, and run it once."""
    import numpy as np

    onnxruntime = import_onnxruntime()

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(path)
    content = model.SerializeToString()
    model.Clear()
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        del content
        feeds = {
            tensor.name: np.zeros(tensor.shape, _numpy_name(tensor.type))
            for tensor in session.get_inputs()
        }
        session.run(None, feeds)
    except Exception as error:  # onnxruntime raises classes of its own, one a status
        raise _refusal(origin, error) from error
    return parse_proto(path.read_bytes(), origin)


def _numpy_name(kind: str) -> str:
    """NumPy's name of a type such as "tensor(float)"."""
    name = kind.removeprefix("tensor(").removesuffix(")")
    return {"float": "float32", "double": "float64", "string": "object"}.get(name, name)


def _refusal(origin: Path, error: Exception) -> ConversionError:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    reason = (lines or [type(error).__name__])[0][:300]
    return ConversionError(
        f"{origin}: onnxruntime refuses it: {reason}",
        "Export the model again, and run it with onnxruntime first.",
    )


if __name__ == "__main__":
    end_with_parent(int(sys.argv[2]))
    sys.exit(_main(Path(sys.argv[1])))
