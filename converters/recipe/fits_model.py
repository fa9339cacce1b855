"""Whether a recipe fits the inputs and outputs of a model. Pure."""

from __future__ import annotations

from converters.data.fields import quote_names
from converters.errors import ConversionError
from converters.recipe.recipe import Recipe
from converters.recipe.step import TrainingStep
from converters.recipe.training_steps import NO_FEATURES, TeacherStep
from converters.sources.loaded_model import LoadedModel

_NO_AUGMENT = "none"


def check_inputs_outputs(recipe: Recipe, source: LoadedModel) -> None:
    """Refuse a recipe that a model of several inputs or outputs cannot go through.

    Args:
        recipe: The recipe.
        source: The original model.

    Raises:
        ConversionError: A step is for a model of one input or of one output; the message names the
            step and the model's inputs or outputs.
    """
    for step in recipe.steps:
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
