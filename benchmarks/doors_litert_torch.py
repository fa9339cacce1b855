"""A network by litert-torch, in an environment of its own: python doors_litert_torch.py NAME OUT.

It imports nothing of kedge but the networks beside it. Prints JSON.
"""

import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))


def main() -> None:
    """Convert one network, and compare the file with PyTorch."""
    import litert_torch  # type: ignore[import-not-found]
    import numpy as np
    from ai_edge_litert.interpreter import Interpreter

    from benchmarks.doors_networks import network

    model, example = network(sys.argv[1])
    began = time.monotonic()
    litert_torch.convert(model, (example,)).export(sys.argv[2])
    seconds = time.monotonic() - began
    runtime = Interpreter(sys.argv[2])
    runtime.allocate_tensors()
    runtime.set_tensor(runtime.get_input_details()[0]["index"], example.numpy())
    runtime.invoke()
    answer = runtime.get_tensor(runtime.get_output_details()[0]["index"])
    reference = model(example).detach().numpy()
    difference = float(np.abs(answer - reference).max() / np.abs(reference).max())
    sys.stdout.write(json.dumps({"seconds": seconds, "difference": difference}) + "\n")


main()
