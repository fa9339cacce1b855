"""What other converters make of the models of benchmarks/doors.py, each in its own environment."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

from benchmarks.doors_networks import NETWORKS
from converters.errors import ConversionError
from converters.tflite.reader import read_model

HERE = Path(__file__).parent
_LIMIT_S = 900
#: Name of each converter to the Python and the packages of its environment.
ENVIRONMENTS = {
    "litert-torch": ("3.11", ("torch==2.13.0", "litert-torch==0.10.0")),
    "onnx2tf": ("3.12", ("onnx2tf==2.6.9",)),
}


def make_environment(name: str, folder: Path) -> str:
    """Install a converter; return "" or the reason why it is not there."""
    if (folder / "complete").is_file():
        return ""
    python, packages = ENVIRONMENTS[name]
    program = shutil.which(f"python{python}")
    if program is None:
        return f"no Python {python} on this computer"
    shutil.rmtree(folder, ignore_errors=True)
    for command in (
        [program, "-m", "venv", str(folder)],
        [str(folder / "bin" / "pip"), "install", "--quiet", *packages],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            return (done.stderr.strip().splitlines() or ["failed"])[-1]
    (folder / "complete").touch()
    return ""


def by_litert_torch(environment: Path, file: Path, work: Path) -> dict[str, Any]:
    """Convert a network of PyTorch; return what came of it."""
    if file.stem not in NETWORKS:
        return {"failure": "takes modules of PyTorch alone"}
    out = work / f"{file.stem}.tflite"
    python = environment / "bin" / "python"
    return _run([str(python), str(HERE / "doors_litert_torch.py"), file.stem, str(out)], out)


def by_onnx2tf(environment: Path, file: Path, work: Path) -> dict[str, Any]:
    """Convert an .onnx; return what came of it."""
    onnx = file.with_suffix(".onnx")
    if not onnx.is_file():
        return {"failure": "takes .onnx alone"}
    folder = work / file.stem
    shutil.rmtree(folder, ignore_errors=True)
    out = folder / f"{file.stem}_float32.tflite"
    program = str(environment / "bin" / "onnx2tf")
    return _run([program, "-i", str(onnx), "-o", str(folder)], out)


def _run(command: list[str], out: Path) -> dict[str, Any]:
    began = time.monotonic()
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=_LIMIT_S
        )
    except subprocess.TimeoutExpired:
        return {"failure": f"not done after {_LIMIT_S} s"}
    seconds = time.monotonic() - began
    if done.returncode or not out.is_file():
        lines = (done.stdout + done.stderr).strip().splitlines() or ["no file"]
        reason = next((line for line in reversed(lines) if "Error" in line), lines[-1])
        return {"failure": reason[:120], "seconds": seconds}
    try:
        model = read_model(out)
    except ConversionError as error:
        return {"failure": str(error)[:120], "seconds": seconds}
    row = {
        "seconds": seconds,
        "bytes": out.stat().st_size,
        "operators": sum(operator.count for operator in model.operators),
        "custom": sum(operator.count for operator in model.operators if operator.custom),
        "inputs": [list(spec.shape) for spec in model.inputs],
    }
    if done.stdout.startswith("{"):
        row |= json.loads(done.stdout.splitlines()[-1])
    return row
