"""Whether a recipe fits the inputs and outputs of a model. Pure."""

from __future__ import annotations

from converters.data.fields import quote_names
from converters.errors import ConversionError
from converters.recipe.number_steps import PtqW8A8, PtqW8A16
from converters.recipe.recipe import Recipe
from converters.recipe.step import TrainingStep
from converters.recipe.training_steps import NO_FEATURES, QatW8A8, TeacherStep
from converters.sources.loaded_model import LoadedModel
from converters.sources.unused_inputs import unused_words

_NO_AUGMENT = "none"
#: Steps that round the inputs of the file; `MixedW8A8` is a `PtqW8A8`.
_ROUNDS_INPUTS = (PtqW8A8, PtqW8A16, QatW8A8)


def check_inputs_outputs(recipe: Recipe, source: LoadedModel) -> None:
    """Refuse a recipe that a model of several inputs or outputs cannot go through.

    Args:
        recipe: The recipe.
        source: The original model.

    Raises:
        ConversionError: A step is for a model of one input or of one output, or has no range for an
            input that is not used; the message names the step and the model's inputs or outputs.
    """
    floats = tuple(
        tensor.name
        for tensor in source.inputs
        if tensor.name in source.unused and not tensor.is_whole
    )
    for step in recipe.steps:
        if floats and isinstance(step, _ROUNDS_INPUTS):
            problem, hint = unused_words(floats)
            raise ConversionError(
                f"{source.path}: {problem}, so {step.kind} has no range to round by", hint
            )
        if (
            isinstance(step, TrainingStep)
            and step.augment != _NO_AUGMENT
            and len(source.inputs) > 1
        ):
            raise ConversionError(
                f"step {step.kind}: augment is {step.augment!r}, which is for a model of one input;"
                f" {source.path} has {quote_names(end.name for end in source.inputs)}: kedge cannot"
                " know which of them move together",
                'Write `augment = "none"`, and augment the data in a function of your own.',
            )
        if (
            isinstance(step, TeacherStep)
            and step.features != NO_FEATURES
            and len(source.outputs) > 1
        ):
            raise ConversionError(
                f"step {step.kind}: features is {step.features!r}, which is for a model of one "
                f"output; {source.path} has {quote_names(end.name for end in source.outputs)}",
                'Write `features = "none"`: the answers of all outputs are learned.',
            )


def unused_warnings(source: LoadedModel) -> tuple[str, ...]:
    """Tell which inputs no output depends on, and what to do about it.

    Args:
        source: The original model.
    """
    if not source.unused:
        return ()
    problem, hint = unused_words(source.unused)
    return (f"{problem}. {hint}",)
