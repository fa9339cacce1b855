"""How each technique is tried for the table of docs/coverage.md, and what may come of it."""

from __future__ import annotations

from dataclasses import dataclass

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
from converters.recipe.student_step import Stage, Student
from converters.recipe.training_steps import (
    ClusterWeights,
    Distill,
    FineTune,
    QatW8A8,
    SparseWeights,
)

WORKS, NOTHING, REFUSED, WRONG, CRASHED = "works", "nothing", "refused", "wrong", "crashed"

#: So slow that what the model answers is still what it answered before.
_SLOW = {"epochs": 1, "learning_rate": 1e-5, "batch_size": 16}


@dataclass(frozen=True)
class Trial:
    """How a technique is tried.

    Attributes:
        step: It, with its values.
        file_error: The file may be so far from the model that was written into it: root mean
            square over all answers, as a share of their standard deviation.
        model_error: That model may be so far from the one that was given; None for any.
    """

    step: Step
    file_error: float
    model_error: float | None = None


#: Kind of a step to how it is tried. A new technique adds its line here.
TRIALS = {
    trial.step.kind: trial
    for trial in (
        Trial(PtqW8A8(), 0.3),
        Trial(PtqW8A16(), 0.05),
        Trial(PtqF16(), 0.02),
        Trial(PtqDynamic(), 0.1),
        Trial(PtqWeightOnly(), 0.1),
        Trial(MixedW8A8(), 0.3),
        Trial(PruneChannels(macs_ratio=0.6, multiple=4), 1e-3),
        Trial(PruneBlocks(macs_ratio=0.75), 1e-3),
        Trial(LowRank(macs_ratio=0.8, multiple=2), 1e-3),
        Trial(Separable(macs_ratio=0.8), 1e-3),
        Trial(ReplaceActivations(), 1e-3),
        Trial(Resolution(ratio=0.5), 1e-3),
        Trial(StemStride(), 1e-3),
        Trial(Student(stem_width=4, stages=(Stage(width=4),)), 1e-3),
        Trial(StartOver(), 1e-3),
        Trial(FineTune(**_SLOW), 1e-3, 0.1),
        Trial(Distill(**_SLOW), 1e-3, 0.1),
        Trial(QatW8A8(**_SLOW), 0.3, 0.3),
        Trial(SparseWeights(sparsity=0.5, **_SLOW), 1e-3),
        Trial(ClusterWeights(clusters=16, **_SLOW), 1e-3),
    )
}

#: What a refusal says where a technique finds nothing in a model that it could change.
_NOTHING_THERE = (
    "no channels can be taken out",
    "has no block that it can do without",
    "has no layer that",
    "has no activation",
    "has no convolution of more than",
    "has no convolution and no Dense layer",
    "they are too few",
)


@dataclass(frozen=True)
class Outcome:
    """What became of one cell.

    Attributes:
        kind: `WORKS`, `NOTHING`, `REFUSED`, `WRONG` or `CRASHED`.
        why: What was said, where it does not work.
    """

    kind: str
    why: str = ""


def refused(said: str) -> Outcome:
    """What a message of kedge says about the cell."""
    return Outcome(NOTHING if any(words in said for words in _NOTHING_THERE) else REFUSED, said)


def judged(trial: Trial, file_error: float, model_error: float) -> Outcome:
    """Whether what came out is what went in, within the bounds of the trial."""
    if not file_error <= trial.file_error:
        return Outcome(WRONG, f"the file answers otherwise than the model, by {file_error:.1g}")
    if trial.model_error is not None and not model_error <= trial.model_error:
        return Outcome(WRONG, f"the model answers otherwise than before, by {model_error:.1g}")
    return Outcome(WORKS)
