"""How one model comes in: python -m benchmarks.doors_import FILE; prints JSON.

It is the program that benchmarks/doors.py starts for each file, with nothing else in its process.
The libraries are imported first, so that seconds and memory are those of the model. PyTorch imports
most of its exporter at the first export, so a network of one layer is exported first; what this
takes is reported by itself.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any


def main(path: Path) -> dict[str, Any]:
    """Load a model and read its graph; return what it took and what the graph allows."""
    os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
    began = time.monotonic()
    import onnx  # noqa: F401
    import onnxruntime  # noqa: F401
    import tensorflow  # noqa: F401
    import tf_keras  # noqa: F401

    exporter = 0
    if path.suffix == ".pt2":
        import torch

        exporter = _memory("VmRSS")
        layer = torch.export.export(torch.nn.Linear(2, 2), (torch.zeros(1, 2),))
        torch.onnx.export(layer, dynamo=True, opset_version=20, verbose=False)
        exporter = _memory("VmRSS") - exporter
    from converters.prune_blocks.blocks import optional_blocks
    from converters.prune_channels.channels import channels_of
    from converters.sources.import_check import check_import
    from converters.sources.kinds import identify
    from converters.sources.load import load_model

    startup = time.monotonic() - began
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # forgets the peak
    before = _memory("VmRSS")
    began, worked = time.monotonic(), time.process_time()
    model = load_model(identify(path))
    graph = model.graph
    seconds, peak = time.monotonic() - began, _memory("VmHWM")
    worked = time.process_time() - worked
    worst = check_import(path, graph, model.inputs, model.outputs, model.predict)
    channels = channels_of(graph)
    return {
        "inputs": {
            tensor.name: {"shape": tensor.source_shape, "dtype": tensor.dtype}
            for tensor in model.inputs
        },
        "file_bytes": path.stat().st_size,
        "startup_seconds": startup,
        "seconds": seconds,
        "cpu_seconds": worked,
        "peak_bytes": peak - before,
        "exporter_bytes": exporter,
        "load": os.getloadavg()[0],
        "difference": worst,
        "nodes": len(graph.nodes),
        "channel_groups": len(channels.groups),
        "blocks": len(optional_blocks(graph)),
    }


def _memory(name: str) -> int:
    """A figure of /proc/self/status, bytes."""
    text = Path("/proc/self/status").read_text(encoding="ascii")
    line = next(line for line in text.splitlines() if line.startswith(name + ":"))
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(Path(sys.argv[1]))) + "\n")
