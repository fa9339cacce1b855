"""The kinds of step that a recipe may have. A new technique adds its line in `STEP_KINDS`."""

from __future__ import annotations

from converters.recipe.layer_steps import LowRank, ReplaceActivations, Separable
from converters.recipe.number_steps import (
    MixedW8A8,
    PtqDynamic,
    PtqF16,
    PtqW8A8,
    PtqW8A16,
    PtqWeightOnly,
)
from converters.recipe.shape_steps import PruneBlocks, PruneChannels, StartOver
from converters.recipe.size_steps import Resolution, StemStride
from converters.recipe.step import Step
from converters.recipe.student_step import Student
from converters.recipe.training_steps import (
    ClusterWeights,
    Distill,
    FineTune,
    QatW8A8,
    SparseWeights,
)

#: Values of `kind` in a recipe, to their steps. A new technique adds its line here.
STEP_KINDS: dict[str, type[Step]] = {
    "ptq_w8a8": PtqW8A8,
    "ptq_w8a16": PtqW8A16,
    "ptq_f16": PtqF16,
    "ptq_dynamic": PtqDynamic,
    "ptq_weight_only": PtqWeightOnly,
    "mixed_w8a8": MixedW8A8,
    "channels": PruneChannels,
    "blocks": PruneBlocks,
    "low_rank": LowRank,
    "separable": Separable,
    "activation": ReplaceActivations,
    "resolution": Resolution,
    "stem_stride": StemStride,
    "student": Student,
    "scratch": StartOver,
    "tune": FineTune,
    "distill": Distill,
    "qat_w8a8": QatW8A8,
    "sparse": SparseWeights,
    "cluster": ClusterWeights,
}
