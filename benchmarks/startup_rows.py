"""The commands that benchmarks.startup times, each in a project of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from targets.agent_archive import agent_archive
from targets.agent_client import AgentClient
from targets.local import LocalTransport

#: Starts of TensorFlow: children whose parent is the command, and not a child itself.
_COUNT = """
import sys
from toolkit.cli.main import run_command_line
try:
    from converters import child as module
    name = "start_process"
except ImportError:
    from converters import process as module
    name = "_start"
start, starts = getattr(module, name), []
setattr(module, name, lambda *args: starts.append(1) or start(*args))
run_command_line(sys.argv[1:])
print("starts", len(starts))
"""

_WRONG_DATA = """
import numpy as np
a = dict(np.load("digits.npz"))
np.savez("shape.npz", **{**a, "x_test": a["x_test"][:, :4]})
np.savez("absent.npz", **{name: array for name, array in a.items() if name != "x_test"})
open("train.py", "w").write("def load(): pass\\n")
"""


CONVERT = ("convert", "digits.keras", "--data", "digits.npz")
BENCH = ("bench", "int8/model.tflite", "--on", "here")

#: A model that does almost nothing, of one input of 201 MB.
_LARGE = """
import tensorflow as tf
@tf.function(input_signature=[tf.TensorSpec((1, 4096, 4096, 3), tf.float32)])
def largest(x):
    return tf.reduce_max(x, (1, 2))
converter = tf.lite.TFLiteConverter.from_concrete_functions([largest.get_concrete_function()])
open("large.tflite", "wb").write(converter.convert())
"""

#: A model of 4 MB: one product with a matrix of 2000x2000, of which nothing but the sizes count.
_FOUR_MB = """
import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
def tensor(name, shape, buffer):
    made = schema.TensorT()
    made.name, made.shape, made.buffer, made.type = name, shape, buffer, schema.TensorType.INT8
    return made
code, graph, operator, model = (
    schema.OperatorCodeT(), schema.SubGraphT(), schema.OperatorT(), schema.ModelT()
)
code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.FULLY_CONNECTED
code.version = 1
graph.tensors = [tensor("x", [1, 2000], 0), tensor("w", [2000, 2000], 1), tensor("y", [1, 2000], 0)]
graph.inputs, graph.outputs, graph.operators = [0], [2], [operator]
operator.inputs, operator.outputs = [0, 1], [2]
weights = schema.BufferT()
weights.data = np.ones(4_000_000, np.uint8)
model.version, model.operatorCodes, model.subgraphs = 3, [code], [graph]
model.buffers = [schema.BufferT(), weights]
builder = flatbuffers.Builder(1024)
builder.Finish(model.Pack(builder), b"TFL3")
open("four_mb.tflite", "wb").write(builder.Output())
"""

#: MB of three samples of that model.
_LARGE_SAMPLES_MB = 3 * 4096 * 4096 * 3 * 4 / 1e6


@dataclass(frozen=True)
class Row:
    """One row of the table."""

    name: str
    """Words for the command; with the unit where it is not seconds."""
    limit: float | None
    """Figure to reach; None where the row is there for comparison."""
    seconds: Callable[[], float]
    """Function that measures the figure once."""


class Checkout:
    """A checkout of kedge, and a project in which its commands run."""

    def __init__(self, code: Path, project: Path) -> None:
        """Make the project: model, data, wrong data, a target and a result.

        Args:
            code: Folder of the checkout.
            project: Folder to make.
        """
        project.mkdir()
        self._project = project
        self._environment = {
            **os.environ,
            "PYTHONPATH": str(code),
            "XDG_CACHE_HOME": str(project / "caches"),
            # Bytecode of the first run is there for the next, as where kedge is installed.
            "PYTHONPYCACHEPREFIX": str(project / "bytecode"),
        }
        self._environment.pop("PYTHONDONTWRITEBYTECODE", None)
        self._python(["-m", "converters.digits_cnn", "--out", str(project)])
        self._python(["-c", _WRONG_DATA])
        self._python(["-c", _LARGE])
        self._python(["-c", _FOUR_MB])
        self.kedge("target", "add", "here", "local", "--root", str(project / "root"))
        for name, recipe in (("int8", "ptq_w8a8"), ("float", "float32")):
            self.kedge(*CONVERT, "--recipe", recipe, "--seed", "1000", "--out", name)
        self.kedge(*BENCH)  # brings the runtime to the board; result 1

    def kedge(self, *arguments: str) -> float:
        """Run a command and return its seconds, whatever its exit code is."""
        return self._python(["-m", "toolkit.cli", *arguments])

    def peak_mb(self, *arguments: str) -> float:
        """Run a command; return the peak memory of its largest process in MB."""
        command = [sys.executable, "-m", "toolkit.cli", *arguments]
        with subprocess.Popen(
            command,
            cwd=self._project,
            env=self._environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as process:
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        return usage.ru_maxrss * 1024 / 1e6

    def python(self) -> float:
        """Start Python alone and return its seconds."""
        return self._python(["-c", "pass"])

    def starts(self, *arguments: str) -> float:
        """Run a command and return how often it starts TensorFlow."""
        done = subprocess.run(
            [sys.executable, "-c", _COUNT, *arguments],
            cwd=self._project,
            env=self._environment,
            capture_output=True,
            text=True,
            check=True,
        )
        return float(done.stdout.rsplit("starts", 1)[1])

    def agent_reply(self) -> float:
        """Start the agent and return the seconds to its first reply."""
        agent = self._project / "agent.pyz"
        agent.write_bytes(agent_archive().content)
        started = time.perf_counter()
        command = f"exec {sys.executable} -I {agent} serve {self._project}/store"
        client = AgentClient(LocalTransport().open(command), "this computer")
        try:
            client.call("offset", {"sha256": "0" * 64, "size": 1})
        finally:
            client.close()
        return time.perf_counter() - started

    def _python(self, arguments: Sequence[str]) -> float:
        started = time.perf_counter()
        subprocess.run(
            [sys.executable, *arguments],
            cwd=self._project,
            env=self._environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
        )
        return time.perf_counter() - started


def rows_of(checkout: Checkout) -> list[Row]:
    """Rows of the table, in the order in which they are measured: some need what others made.

    Args:
        checkout: Checkout whose commands are timed.
    """
    every = (*CONVERT, "--recipe", "all")
    seeds = count()

    def convert_anew() -> float:
        seed = str(next(seeds))
        return checkout.kedge(*CONVERT, "--seed", seed, "--out", f"seed{seed}")

    def starts() -> float:
        return checkout.starts(*every, "--out", "all")

    def wrong(data: str) -> Callable[[], float]:
        return lambda: checkout.kedge("convert", "digits.keras", "--data", data, "--out", "no")

    def dry_ratio() -> float:
        return checkout.kedge(*every, "--out", "no", "--dry-run") / checkout.kedge(
            *CONVERT, "--out", "no", "--dry-run"
        )

    compare = ("compare", "int8/model.tflite", "float/model.tflite", "--on", "here")
    return [
        Row("python -c pass", None, checkout.python),
        Row("kedge --help", 0.5, lambda: checkout.kedge("--help")),
        Row("convert, ptq_w8a8", None, convert_anew),
        Row("the same, done already", 0.8, lambda: checkout.kedge(*CONVERT, "--out", "seed0")),
        Row(
            "starts of TensorFlow by --recipe all", 1, lambda: checkout.starts(*every, "--out=all")
        ),
        Row("--recipe all, repeated", 2.0, lambda: checkout.kedge(*every, "--out", "all")),
        Row("--dry-run of all recipes / of one, ratio", 1.5, dry_ratio),
        Row("wrong shape in the .npz", 1.0, wrong("shape.npz")),
        Row("x_test missing in the .npz", 1.0, wrong("absent.npz")),
        Row("--data train.py", 1.0, wrong("train.py")),
        Row("--data absent_module:load", 1.0, wrong("absent_module:load")),
        Row("bench, beyond the 10 s asked for", 5.0, lambda: checkout.kedge(*BENCH) - 10.0),
        Row("compare, beyond the 9 s asked for", 7.0, lambda: checkout.kedge(*compare) - 9.0),
        Row("inspect, model of 4 MB", 0.5, lambda: checkout.kedge("inspect", "four_mb.tflite")),
        Row("results show", 0.5, lambda: checkout.kedge("results", "show", "1")),
        Row("bench, peak memory of a process, MB", 300.0, lambda: checkout.peak_mb(*BENCH)),
        Row(
            "the same beyond three samples of 201 MB, MB",
            300.0,
            lambda: checkout.peak_mb("bench", "large.tflite", "--on", "here") - _LARGE_SAMPLES_MB,
        ),
        Row("agent to its first reply", 0.15, checkout.agent_reply),
    ]
