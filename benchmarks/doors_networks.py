"""Networks of PyTorch for benchmarks/doors.py: shaped as those of torchvision, random weights.

python -m benchmarks.doors_networks FOLDER   # writes NAME.pt2 and NAME.onnx of each
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

#: Side of the pictures, pixels.
SIDE = 64


def convolution(before: int, after: int, size: int, stride: int = 1, groups: int = 1) -> nn.Module:
    """Convolution with a batch normalization: (n, before, h, w) to (n, after, h / stride, …)."""
    return nn.Sequential(
        nn.Conv2d(before, after, size, stride, size // 2, groups=groups, bias=False),
        nn.BatchNorm2d(after),
    )


class Residual(nn.Module):
    """Block of ResNet-18."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        """Build a block of `before` and `after` channels."""
        super().__init__()
        self.first = convolution(before, after, 3, stride)
        self.second = convolution(after, after, 3)
        is_same = stride == 1 and before == after
        self.around = nn.Identity() if is_same else convolution(before, after, 1, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute the block."""
        y = self.second(torch.relu(self.first(x)))
        return torch.relu(y + self.around(x))


class Squeeze(nn.Module):
    """Squeeze and excitation."""

    def __init__(self, channels: int, inner: int, inside: nn.Module, gate: nn.Module) -> None:
        """Build it for a number of channels."""
        super().__init__()
        self.steps = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, inner, 1),
            inside,
            nn.Conv2d(inner, channels, 1),
            gate,
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Weight the channels."""
        weighted: torch.Tensor = x * self.steps(x)
        return weighted


class Inverted(nn.Module):
    """Inverted residual of MobileNetV3 and EfficientNet."""

    def __init__(
        self, channels: tuple[int, int, int], size: int, stride: int, act: nn.Module, squeeze: bool
    ) -> None:
        """Build it of the channels before, inside and after."""
        super().__init__()
        before, inner, after = channels
        steps: list[nn.Module] = []
        if inner != before:
            steps += [convolution(before, inner, 1), act]
        steps += [convolution(inner, inner, size, stride, inner), act]
        if squeeze:
            is_silu = isinstance(act, nn.SiLU)
            inside, gate = (act, nn.Sigmoid()) if is_silu else (nn.ReLU(), nn.Hardsigmoid())
            steps.append(Squeeze(inner, max(8, (before if is_silu else inner) // 4), inside, gate))
        self.steps = nn.Sequential(*steps, convolution(inner, after, 1))
        self.adds = stride == 1 and before == after

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute the block."""
        y: torch.Tensor = self.steps(x)
        return x + y if self.adds else y


def resnet_18() -> nn.Module:
    """ResNet-18, 11.7 million weights."""
    widths = (64, 64, 128, 256, 512)
    blocks: list[nn.Module] = []
    for place in range(4):
        before, after = widths[place], widths[place + 1]
        blocks += [Residual(before, after, 1 if place == 0 else 2), Residual(after, after, 1)]
    stem = [convolution(3, 64, 7, 2), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    return nn.Sequential(*stem, *blocks, *_head(512, 1000))


def mobilenet_v3_small() -> nn.Module:
    """MobileNetV3-Small, 2.5 million weights."""
    rows = (
        (16, 16, 3, 2, True, False), (72, 24, 3, 2, False, False), (88, 24, 3, 1, False, False),
        (96, 40, 5, 2, True, True), (240, 40, 5, 1, True, True), (240, 40, 5, 1, True, True),
        (120, 48, 5, 1, True, True), (144, 48, 5, 1, True, True), (288, 96, 5, 2, True, True),
        (576, 96, 5, 1, True, True), (576, 96, 5, 1, True, True),
    )  # fmt: skip
    blocks: list[nn.Module] = []
    before = 16
    for inner, after, size, stride, squeeze, hard in rows:
        act = nn.Hardswish() if hard else nn.ReLU()
        blocks.append(Inverted((before, inner, after), size, stride, act, squeeze))
        before = after
    stem = [convolution(3, 16, 3, 2), nn.Hardswish()]
    last = [convolution(96, 576, 1), nn.Hardswish(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    ends = [nn.Linear(576, 1024), nn.Hardswish(), nn.Dropout(0.2), nn.Linear(1024, 1000)]
    return nn.Sequential(*stem, *blocks, *last, *ends)


def efficientnet_b0() -> nn.Module:
    """EfficientNet-B0, 5.3 million weights."""
    rows = (
        (1, 16, 3, 1, 1), (6, 24, 3, 2, 2), (6, 40, 5, 2, 2), (6, 80, 3, 2, 3), (6, 112, 5, 1, 3),
        (6, 192, 5, 2, 4), (6, 320, 3, 1, 1),
    )  # fmt: skip
    blocks: list[nn.Module] = []
    before = 32
    for factor, after, size, stride, count in rows:
        for number in range(count):
            inner = before * factor
            step = stride if number == 0 else 1
            blocks.append(Inverted((before, inner, after), size, step, nn.SiLU(), squeeze=True))
            before = after
    stem = [convolution(3, 32, 3, 2), nn.SiLU()]
    return nn.Sequential(*stem, *blocks, convolution(320, 1280, 1), nn.SiLU(), *_head(1280, 1000))


class Transformer(nn.Module):
    """Two encoder layers over 16 steps of 32 features."""

    def __init__(self) -> None:
        """Build it."""
        super().__init__()
        self.places = nn.Parameter(torch.randn(1, 16, 32) * 0.1)
        layer = nn.TransformerEncoderLayer(
            32, 4, 64, activation="gelu", batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.scores = nn.Linear(32, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute scores: (n, 16, 32) to (n, 10)."""
        scores: torch.Tensor = self.scores(self.layers(x + self.places).mean(1))
        return scores


class Recurrent(nn.Module):
    """A recurrent layer over 16 steps of 12 features, and scores of its last step."""

    def __init__(self, kind: Callable[..., nn.Module]) -> None:
        """Build it of `nn.LSTM` or `nn.GRU`."""
        super().__init__()
        self.layer = kind(12, 32, batch_first=True)
        self.scores = nn.Linear(32, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute scores: (n, 16, 12) to (n, 10)."""
        steps, _ = self.layer(x)
        scores: torch.Tensor = self.scores(steps[:, -1])
        return scores


#: Name to the function that builds a network, and the shape of its input, channels first.
NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "resnet18": (resnet_18, (1, 3, SIDE, SIDE)),
    "mobilenet_v3_small": (mobilenet_v3_small, (1, 3, SIDE, SIDE)),
    "efficientnet_b0": (efficientnet_b0, (1, 3, SIDE, SIDE)),
    "transformer": (Transformer, (1, 16, 32)),
    "lstm": (lambda: Recurrent(nn.LSTM), (1, 16, 12)),
    "gru": (lambda: Recurrent(nn.GRU), (1, 16, 12)),
}


def network(name: str) -> tuple[nn.Module, torch.Tensor]:
    """Build a network with random weights and random statistics, and an input of it."""
    torch.manual_seed(0)
    build, shape = NETWORKS[name]
    model = build()
    for part in model.modules():
        if isinstance(part, nn.BatchNorm2d) and part.running_var is not None:
            assert part.running_mean is not None
            part.running_mean.normal_(0, 0.1)
            part.running_var.uniform_(0.5, 1.5)
    return model.eval(), torch.randn(shape)


def main(folder: Path) -> None:
    """Write the files that are not there yet."""
    for name in NETWORKS:
        pt2, onnx = folder / f"{name}.pt2", folder / f"{name}.onnx"
        if pt2.is_file() and onnx.is_file():
            continue
        model, example = network(name)
        program = torch.export.export(model, (example,))
        torch.export.save(program, pt2)
        exported = torch.onnx.export(program, dynamo=True, opset_version=20, verbose=False)
        assert exported is not None
        onnx.write_bytes(exported.model_proto.SerializeToString())


def _head(channels: int, classes: int) -> list[nn.Module]:
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes)]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
