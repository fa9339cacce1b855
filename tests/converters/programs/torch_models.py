"""Models of PyTorch for the tests, as a user saves them: python -m … FOLDER [--onnx]."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from torch import nn

MODULE = """
import contextlib

import numpy as np
import torch
from torch import nn

with contextlib.suppress(ImportError):  # as a module with kernels of its own does
    import triton


def net():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(3, 2, 1),
        nn.Conv2d(8, 8, 3, 2, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(),
        nn.Linear(8, 3),
    )


def make():
    model = net()
    model.load_state_dict(torch.load("weights.pth"))
    return model.train(), torch.zeros(1, 3, 10, 12)


def half():
    model, example = make()
    return model.half(), example.half()


def pair():
    return np.zeros(3), 2


def bare():
    return net()


def batch():
    return net(), torch.zeros(4, 3, 10, 12)


class Branch(nn.Module):
    def forward(self, x):
        return x + 1 if x.sum() > 0 else x - 1


def branch():
    return Branch(), torch.zeros(1, 3, 10, 12)


class Pictures(torch.utils.data.Dataset):
    def __init__(self, split):
        with np.load("data.npz") as arrays:
            self.x, self.y = arrays[f"x_{split}"], arrays[f"y_{split}"]

    def __len__(self):
        return len(self.y)

    def __getitem__(self, row):
        return torch.from_numpy(self.x[row]), int(self.y[row])


def load():
    return {"train": Pictures("train"), "test": Pictures("test")}
"""


#: What stands in the place of triton: loading the real one beside TensorFlow ends the process.
TRITON = """
import os
import signal

os.kill(os.getpid(), signal.SIGSEGV)
"""


class Two(nn.Module):
    """Two inputs, one of whole numbers, and two outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 4, 3)
        self.words = nn.Embedding(10, 4)
        self.scores = nn.Linear(4, 3)

    def forward(self, picture: torch.Tensor, words: torch.Tensor) -> dict[str, torch.Tensor]:
        """Compute both outputs."""
        features = self.convolution(picture).mean((2, 3)) + self.words(words).mean(1)
        return {"scores": self.scores(features), "features": features}


def main(folder: Path) -> None:
    """Write data, weights and programs."""
    (folder / "my_model.py").write_text(MODULE, encoding="utf-8")
    sys.path.insert(0, str(folder))
    from my_model import net  # type: ignore[import-not-found]

    random = np.random.default_rng(0)
    arrays = {}
    for split, count in (("train", 240), ("test", 60)):
        y = random.integers(0, 3, count)
        x = random.normal(0, 0.3, (count, 3, 10, 12)).astype(np.float32)
        x[np.arange(count), y, :, :6] += 1  # the brightest channel, on the left
        arrays |= {f"x_{split}": x, f"y_{split}": y}
    np.savez(folder / "data.npz", **arrays)
    torch.set_num_threads(1)
    model = net()
    x, y = torch.from_numpy(arrays["x_train"]), torch.from_numpy(arrays["y_train"])
    optimizer = torch.optim.Adam(model.parameters(), 0.02)
    for _ in range(30):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
    torch.save(model.state_dict(), folder / "weights.pth")
    torch.save(model, folder / "whole.pt")
    torch.save({"epoch": 3, "model": model.state_dict()}, folder / "checkpoint.pth")
    example = torch.zeros(1, 3, 10, 12)
    torch.jit.trace(model.eval(), example).save(str(folder / "script.pt"))
    batch = torch.export.Dim("batch")
    programs = {
        "model": torch.export.export(
            model, (torch.zeros(2, 3, 10, 12),), dynamic_shapes=({0: batch},)
        ),
        "training": torch.export.export(model.train(), (torch.zeros(2, 3, 10, 12),)),
        "two": torch.export.export(
            Two().eval(), (torch.zeros(1, 3, 6, 6), torch.zeros(1, 5, dtype=torch.long))
        ),
        "half": torch.export.export(nn.Linear(4, 2).half().eval(), (torch.zeros(1, 4).half(),)),
    }
    for name, program in programs.items():
        torch.export.save(program, folder / f"{name}.pt2")
    if "--onnx" in sys.argv:
        exported = torch.onnx.export(programs["model"], dynamo=True, opset_version=20)
        assert exported is not None
        exported.save(folder / "model.onnx")
    (folder / "triton").mkdir()
    (folder / "triton" / "__init__.py").write_text(TRITON, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
