"""The steps of a recipe that train: the fields of each, and which function does it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from converters.recipe.step import (
    AUTO,
    NUMBERS,
    TRAINING,
    WEIGHTS,
    Step,
    TrainingStep,
    choice,
    kept_twice,
    names,
    next_of,
    number,
    paths,
)

#: Only the answers of a teacher are learned.
NO_FEATURES = "none"

#: Patterns in which weights become zero; blocks are rows x columns of a kernel seen as a matrix.
SINGLE = "single"
TWO_OF_FOUR = "2:4"
BLOCKS = ("1x4", "4x1", "4x4", "1x16", "16x1")

#: Values that are tried one after the other where a budget of accuracy does not allow more.
_SPARSITIES = (0.8, 0.6, 0.4)
_CLUSTERS = (16, 32, 64)


@dataclass(frozen=True)
class AveragingStep(TrainingStep):
    """A step that can keep an average of its weights."""

    weight_average: float = number(0.0, 0.0, 0.99999)
    """Decay of the moving average of the weights in a step, such as 0.999: the model gets the
    average. 0 is for no average: the model gets the weights of the last step."""


@dataclass(frozen=True)
class FineTune(AveragingStep):
    """Training by the data alone; the weights of the best epoch are kept."""

    kind: ClassVar[str] = "tune"
    phase: ClassVar[str] = TRAINING
    function: ClassVar[str] = "converters.training.distill:fine_tune_draft"
    patience: int = number(0, 0, 1_000)
    """Epochs without a better accuracy on the validation samples before it ends; 0 means never."""


@dataclass(frozen=True)
class TeacherStep(AveragingStep):
    """Training by the answers of a teacher, besides the labels."""

    temperature: float = number(4.0, 1.0, 100.0)
    """Temperature of the softmax; above 1 the teacher shows how the wrong classes compare."""
    alpha: float = number(0.8, 0.0, 1.0)
    """Share of the teacher in the loss, 0-1; with 1 the labels are not used."""
    teachers: tuple[str, ...] = paths()
    """Models whose mean answer teaches; if there is none, the original model teaches."""
    born_again: int = number(0, 0, 1_000)
    """Epochs in which the original model is trained further, with itself as its teacher, before it
    teaches; 0 means none."""
    features: str = choice(NO_FEATURES, "attention", "regressor")
    """Whether the layers of the (first) teacher teach too: by their attention maps, or by what 1x1
    convolutions make of the model's own layers; none of it is exported."""
    feature_weight: float = number(1.0, 0.0, 1e6)
    """Factor of the loss of the layers."""

    def misfit(self) -> tuple[str, str]:
        """Return what is wrong if the original is to be trained further and others teach."""
        if self.born_again and self.teachers:
            return f"born_again is {self.born_again}, but the original model does not teach", (
                "Leave out `born_again` or `teachers`."
            )
        return super().misfit()


@dataclass(frozen=True)
class Distill(TeacherStep, FineTune):
    """Training by the answers of a teacher, besides the labels."""

    kind: ClassVar[str] = "distill"
    function: ClassVar[str] = "converters.training.distill:distill"


@dataclass(frozen=True)
class QatW8A8(TeacherStep):
    """Quantization-aware training: the weights are trained while they are rounded."""

    kind: ClassVar[str] = "qat_w8a8"
    phase: ClassVar[str] = NUMBERS
    function: ClassVar[str] = "converters.quantize.qat:train_quantized"
    trial: ClassVar[str] = "converters.quantize.qat:try_conversion"
    teacher: str = choice("none", "original")
    """Whether the original model teaches; `teachers` teach in any case."""
    keep_float: tuple[str, ...] = names()
    """Convolutions and Dense layers that compute in floats; * and ? stand for any characters."""
    keep_int16: tuple[str, ...] = names()
    """Convolutions and Dense layers that get 16-bit activations, where there is such a kernel."""

    @property
    def is_taught(self) -> bool:
        """Whether the step has a teacher."""
        return bool(self.teachers) or self.teacher != "none"

    def misfit(self) -> tuple[str, str]:
        """Return what is wrong if a teacher is described but none is named."""
        for name, value in (("features", self.features), ("born_again", self.born_again)):
            if value not in (NO_FEATURES, 0) and not self.is_taught:
                return f"{name} is {value!r}, but there is no teacher", (
                    'Write `teacher = "original"`, or name `teachers`.'
                )
        problem, hint = super().misfit()
        return (problem, hint) if problem else kept_twice(self.keep_float, self.keep_int16)

    def milder(self) -> Step | None:
        """Return a step that trains as long as it helps; None if this one does."""
        if self.epochs == AUTO:
            return None
        return replace(self, epochs=AUTO, learning_rate=AUTO, warmup_epochs=0.0)


@dataclass(frozen=True)
class SparseWeights(TrainingStep):
    """Magnitude pruning of weights: the smallest become zero, the others are trained on."""

    kind: ClassVar[str] = "sparse"
    phase: ClassVar[str] = WEIGHTS
    function: ClassVar[str] = "converters.training.prune_weights:prune_weights"
    sparsity: float = number(0.8, 0.01, 0.99)
    """Share of zeros in each kernel at the end, 0-1."""
    pattern: str = choice(SINGLE, TWO_OF_FOUR, *BLOCKS)
    """Weights that become zero together: each alone, two of every four, or, in Dense layers only,
    blocks."""
    schedule: str = choice("polynomial", "constant")
    """Growth of the zeros: along a cubic curve, or all at once."""
    scope: str = choice("layer", "global")
    """Scope of the share of zeros: each layer, or all together, so that layers with small
    weights lose more."""

    @property
    def label(self) -> str:
        """The step's part of the recipe's name: "sparse80", "sparse80b1x4" or "sparse2of4"."""
        if self.pattern == TWO_OF_FOUR:
            return "sparse2of4"
        return f"sparse{100 * self.sparsity:g}" + (
            "" if self.pattern == SINGLE else f"b{self.pattern}"
        )

    def misfit(self) -> tuple[str, str]:
        """Return what is wrong if the pattern 2:4 has another sparsity, schedule or scope."""
        if self.pattern != TWO_OF_FOUR:
            return super().misfit()
        if self.sparsity != 0.5:
            return f"pattern 2:4 makes half of the weights zero, not {self.sparsity:g}", (
                "Write `sparsity = 0.5`."
            )
        if self.schedule != "constant" or self.scope != "layer":
            return "pattern 2:4 cannot grow, nor differ between layers", (
                'Write `schedule = "constant"` and `scope = "layer"`.'
            )
        return super().misfit()

    def milder(self) -> Step | None:
        """Return a step with fewer zeros; None for the pattern 2:4, which has no other sparsity."""
        sparsity = next_of(_SPARSITIES, self.sparsity)
        if sparsity is None or self.pattern == TWO_OF_FOUR:
            return None
        return replace(self, sparsity=sparsity)


@dataclass(frozen=True)
class ClusterWeights(TrainingStep):
    """Weight sharing: each kernel keeps a few distinct values only."""

    kind: ClassVar[str] = "cluster"
    phase: ClassVar[str] = WEIGHTS
    function: ClassVar[str] = "converters.training.cluster:share_weights"
    clusters: int = number(16, 2, 256)
    """Number of distinct values in a kernel."""

    @property
    def label(self) -> str:
        """The step's part of the recipe's name, such as "cluster16"."""
        return f"cluster{self.clusters}"

    def milder(self) -> Step | None:
        """Return a step with more distinct values; None if there is none."""
        clusters = next_of(_CLUSTERS, self.clusters)
        return None if clusters is None else replace(self, clusters=int(clusters))
