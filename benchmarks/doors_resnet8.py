"""ResNet-8 in PyTorch, trained on CIFAR-10: the model of benchmarks/doors.py that is trained here.

    python -m benchmarks.doors_resnet8   # trains it; begins again after the last whole epoch

The shape is that of MLPerf Tiny's image classification, written as a user of PyTorch writes it:
pictures are (channels, height, width), normalization is a step of the data.
"""

from __future__ import annotations

import io
import sys
import tarfile
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import nn

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared" / "data" / "cifar10.tar.gz"
WORK = ROOT / ".cache" / "doors"
WEIGHTS = WORK / "resnet8.weights.pt"
EPOCHS = 22
BATCH = 128
#: Mean and standard deviation of the training pixels, 0-1, per channel.
MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
#: Number of pixels by which a training picture is shifted at most.
SHIFT = 4
#: Highest learning rate, weight decay and smoothing of the labels.
RATE, DECAY, SMOOTHING = 0.4, 5e-4, 0.05


class Block(nn.Module):
    """Two convolutions and the way around them."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        """Build a block.

        Args:
            before: Number of channels that come in.
            after: Number of channels that go out.
            stride: Step of the first convolution.
        """
        super().__init__()
        self.first = nn.Conv2d(before, after, 3, stride, 1, bias=False)
        self.first_norm = nn.BatchNorm2d(after)
        self.second = nn.Conv2d(after, after, 3, 1, 1, bias=False)
        self.second_norm = nn.BatchNorm2d(after)
        self.around = nn.Conv2d(before, after, 1, stride) if stride > 1 else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute the block: (n, before, h, w) to (n, after, h / stride, w / stride)."""
        y = torch.relu(self.first_norm(self.first(x)))
        return torch.relu(self.second_norm(self.second(y)) + self.around(x))


class ResNet8(nn.Module):
    """Logits of ten classes from pictures of 32 x 32 pixels."""

    def __init__(self) -> None:
        """Build the network, with random weights."""
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()
        )
        self.blocks = nn.Sequential(Block(16, 16, 1), Block(16, 32, 2), Block(32, 64, 2))
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute logits: (n, 3, 32, 32), normalized, to (n, 10)."""
        logits: torch.Tensor = self.head(self.blocks(self.stem(x)))
        return logits


class Deployed(nn.Module):
    """ResNet-8 on pixels of 0-255: the normalization goes along to the board."""

    def __init__(self) -> None:
        """Build the network with the trained weights."""
        super().__init__()
        self.network = ResNet8()
        self.network.load_state_dict(torch.load(WEIGHTS, weights_only=True))
        self.register_buffer("mean", 255 * torch.tensor(MEAN).reshape(1, 3, 1, 1))
        self.register_buffer("deviation", 255 * torch.tensor(STD).reshape(1, 3, 1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute logits: (n, 3, 32, 32), pixels, to (n, 10)."""
        logits: torch.Tensor = self.network((x - self.mean) / self.deviation)
        return logits


def save_program(path: Path) -> None:
    """Write the trained network as a .pt2, its batch left open."""
    example, batch = torch.zeros(2, 3, 32, 32), torch.export.Dim("batch")
    program = torch.export.export(Deployed().eval(), (example,), dynamic_shapes=({0: batch},))
    torch.export.save(program, path)


def load() -> dict[str, npt.NDArray[np.uint8]]:
    """All pictures, as kedge takes them."""
    return pictures()


def pictures() -> dict[str, npt.NDArray[np.uint8]]:
    """All pictures, decoded once: x_train (50000, 3, 32, 32), y_train (50000,), x_test, y_test."""
    path = WORK / "cifar10.npz"
    if not path.is_file():
        WORK.mkdir(parents=True, exist_ok=True)
        arrays = _decode()
        np.savez(path.with_suffix(".tmp.npz"), **arrays)
        path.with_suffix(".tmp.npz").rename(path)
    with np.load(path) as stored:
        return {name: stored[name] for name in stored.files}


def normalize(x: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Bring pictures (n, 3, 32, 32) of 0-255 to zero mean and unit deviation."""
    mean, std = (np.float32(value).reshape(1, 3, 1, 1) for value in (MEAN, STD))
    return (x.astype(np.float32) / 255 - mean) / std


def train() -> None:
    """Train all epochs that are missing; print the accuracy after each."""
    torch.manual_seed(0)
    torch.set_num_threads(1)  # two wait for each other on a busy computer
    arrays = pictures()
    x = torch.from_numpy(normalize(arrays["x_train"]))
    y = torch.from_numpy(arrays["y_train"]).long()
    test = torch.from_numpy(normalize(arrays["x_test"]))
    answers = torch.from_numpy(arrays["y_test"]).long()
    model = ResNet8().to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(
        model.parameters(), lr=RATE, momentum=0.9, weight_decay=DECAY, nesterov=True
    )
    steps = len(x) // BATCH
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, RATE, epochs=EPOCHS, steps_per_epoch=steps, pct_start=0.25
    )
    checkpoint, begin = WORK / "resnet8.checkpoint.pt", 0
    if checkpoint.is_file():
        state = torch.load(checkpoint, weights_only=True)
        begin = state["epoch"] + 1
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        for _ in range(begin * steps):
            schedule.step()
    for epoch in range(begin, EPOCHS):
        started = time.monotonic()
        loss = _train_epoch(model, (x, y), optimizer, schedule, epoch)
        right = accuracy(model, test, answers)
        seconds = time.monotonic() - started
        _say(f"epoch {epoch}: loss {loss:.4f}, accuracy {right:.4f}, {seconds:.0f} s")
        state = {
            "epoch": epoch,
            "model": model.state_dict(),
            "optimizer": optimizer.state_dict(),
        }
        _save(state, checkpoint)
    _save({name: v.contiguous() for name, v in model.state_dict().items()}, WEIGHTS)


def accuracy(model: nn.Module, x: torch.Tensor, y: torch.Tensor) -> float:
    """Share of right answers, 0-1, of normalized pictures (n, 3, 32, 32) and classes (n,)."""
    model.eval()
    with torch.no_grad():
        found = torch.cat([model(batch).argmax(1) for batch in x.split(500)])
    return float((found == y).float().mean())


def _train_epoch(
    model: nn.Module,
    samples: tuple[torch.Tensor, torch.Tensor],
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
    epoch: int,
) -> float:
    x, y = samples
    random = torch.Generator().manual_seed(epoch)
    order = torch.randperm(len(x), generator=random)
    steps, total = len(x) // BATCH, 0.0
    model.train()
    for step in range(steps):
        rows = order[step * BATCH : (step + 1) * BATCH]
        batch = _augment(x[rows], random).contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16):
            logits = model(batch)
        loss = nn.functional.cross_entropy(logits.float(), y[rows], label_smoothing=SMOOTHING)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        total += float(loss.detach())
    return total / steps


def _augment(x: torch.Tensor, random: torch.Generator) -> torch.Tensor:
    """Shift each picture by up to SHIFT pixels, and mirror half of them."""
    padded = nn.functional.pad(x, [SHIFT] * 4)
    mirrored = torch.rand(len(x), generator=random) < 0.5
    padded[mirrored] = padded[mirrored].flip(3)
    offsets = torch.randint(0, 2 * SHIFT + 1, (len(x), 2), generator=random).tolist()
    return torch.stack(
        [padded[row, :, i : i + 32, j : j + 32] for row, (i, j) in enumerate(offsets)]
    )


def _decode() -> dict[str, npt.NDArray[np.generic]]:
    rows: dict[str, list[tuple[str, npt.NDArray[np.uint8]]]] = {"train": [], "test": []}
    with tarfile.open(DATA) as tar:
        for member in tar:
            content = tar.extractfile(member)
            if content is None:
                continue
            split, name, _ = member.name.split("/")[-3:]
            picture = np.asarray(Image.open(io.BytesIO(content.read())).convert("RGB"))
            rows[split].append((name, picture.transpose(2, 0, 1)))
    names = sorted({name for name, _ in rows["train"]})
    arrays: dict[str, npt.NDArray[np.generic]] = {}
    for split, found in rows.items():
        arrays[f"x_{split}"] = np.stack([picture for _, picture in found])
        arrays[f"y_{split}"] = np.array([names.index(name) for name, _ in found], np.int64)
    return arrays


def _save(state: dict[str, object], path: Path) -> None:
    temporary = path.with_suffix(".tmp")
    torch.save(state, temporary)
    temporary.replace(path)


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    train()
