"""The step that puts a new network in the place of the original, and the stages of that network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from converters.data.dataset import TRAIN
from converters.recipe.step import SHAPE, Step, choice, number, tables

PLAIN, RESIDUAL, SEPARABLE = "plain", "residual", "separable"
INVERTED, INVERTED_SE, DENSE_BLOCK = "inverted", "inverted_se", "dense"

#: Kind of block to its letter in the name of a recipe.
_LETTERS = {PLAIN: "p", RESIDUAL: "r", SEPARABLE: "s", INVERTED: "i", INVERTED_SE: "e",
            DENSE_BLOCK: "d"}  # fmt: skip
#: Largest number of blocks of a student.
_MOST_BLOCKS = 200


@dataclass(frozen=True)
class Stage:
    """Blocks of one kind and width, one after the other."""

    block: str = choice(RESIDUAL, PLAIN, SEPARABLE, INVERTED, INVERTED_SE, DENSE_BLOCK)
    """Kind of the blocks: two convolutions and a shortcut, one convolution, a depthwise separable
    convolution, an inverted residual, one with squeeze-excite, or a Dense layer for vectors."""
    width: int = number(32, 1, 4_096)
    """Number of channels of each block's output."""
    depth: int = number(1, 1, 100)
    """Number of blocks."""
    stride: int = number(1, 1, 8)
    """Stride of the first block in height and width, or along a series."""
    expand: int = number(4, 1, 16)
    """Factor of the channels inside of an inverted residual."""

    @property
    def label(self) -> str:
        """The stage's part of the recipe's name, such as "r32x2s2": 2 blocks, first stride 2."""
        depth = f"x{self.depth}" if self.depth > 1 else ""
        stride = f"s{self.stride}" if self.stride > 1 else ""
        is_inverted = self.block in (INVERTED, INVERTED_SE)
        expand = f"t{self.expand}" if is_inverted and self.expand != Stage.expand else ""
        return f"{_LETTERS[self.block]}{self.width}{expand}{depth}{stride}"


@dataclass(frozen=True)
class Student(Step):
    """A new network with random weights, which `distill` trains by the original's answers.

    Its layers are a stem, the stages, an average over all places, and a Dense layer of the scores.
    """

    kind: ClassVar[str] = "student"
    phase: ClassVar[str] = SHAPE
    function: ClassVar[str] = "converters.student.technique:build_student"
    uses: ClassVar[tuple[str, ...]] = (TRAIN,)
    trains: ClassVar[bool] = True
    stem_width: int = number(16, 0, 4_096)
    """Number of channels of the first layer, a convolution or, for vectors, a Dense layer; 0 for no
    such layer."""
    stem_stride: int = number(1, 1, 8)
    """Stride of the first layer."""
    kernel: int = number(3, 1, 31)
    """Size of the kernels in height and width, or along a series."""
    activation: str = choice("relu", "relu6", "hard_swish")
    """Activation function of all layers but the last."""
    stages: tuple[Stage, ...] = tables(Stage)
    """Stages, in order: tables of `block`, `width`, `depth`, `stride` and `expand`."""

    @property
    def label(self) -> str:
        """The step's part of the recipe's name, such as "student16s2-r32-r64x2s2"."""
        stem = f"{self.stem_width}s{self.stem_stride}" if self.stem_stride > 1 else self.stem_width
        return "-".join((f"student{stem}", *(stage.label for stage in self.stages)))

    def misfit(self) -> tuple[str, str]:
        """Return what is wrong with the stages, and what to write; empty if they fit."""
        if not self.stages:
            return "has no stages", 'Write `stages = [{block = "residual", width = 32}]`.'
        if sum(stage.depth for stage in self.stages) > _MOST_BLOCKS:
            return f"has more than {_MOST_BLOCKS} blocks", "Write smaller depths."
        if not self.stem_width and self.stem_stride > 1:
            return "has a stem_stride, but no stem", "Write a `stem_width`, or no `stem_stride`."
        are_dense = [stage.block == DENSE_BLOCK for stage in self.stages]
        if any(are_dense) and not all(are_dense):
            return "mixes dense stages, which are for vectors, with others", (
                'Write `block = "dense"` in all stages or in none.'
            )
        if any(are_dense) and max(self.stem_stride, *(stage.stride for stage in self.stages)) > 1:
            return "has dense stages with a stride, and a vector has no places", (
                "Leave the strides out."
            )
        return "", ""
