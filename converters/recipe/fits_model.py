"""Whether a recipe fits the inputs and outputs of a model. Pure."""

from __future__ import annotations

from converters.data.fields import quote_names
from converters.data.task import SEGMENTATION, Task
from converters.errors import ConversionError
from converters.recipe.number_steps import PtqW8A8, PtqW8A16
from converters.recipe.recipe import Recipe
from converters.recipe.step import CUTMIX, NO_MIX, TrainingStep
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
        if isinstance(step, TrainingStep) and step.mix != NO_MIX:
            _check_mix(step, source)
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


def _check_mix(step: TrainingStep, source: LoadedModel) -> None:
    """Refuse inputs that cannot be mixed.

    Raises:
        ConversionError: An input takes whole numbers, or `step` exchanges parts of something that
            is no picture.
    """
    name = f"{source.path}: step {step.kind}: mix is {step.mix!r}"
    whole = next((tensor for tensor in source.inputs if tensor.is_whole), None)
    if whole is not None:
        raise ConversionError(
            f"{name}, but the input {whole.name!r} takes whole numbers ({whole.dtype}): a mean of "
            "two of them, such as of two words, means nothing",
            f'Write `mix = "{NO_MIX}"`.',
        )
    if CUTMIX in step.mix and (len(source.inputs) > 1 or len(source.inputs[0].shape) != 3):
        shapes = ", ".join(f"{tensor.name!r} {tensor.shape}" for tensor in source.inputs)
        raise ConversionError(
            f"{name}, which exchanges rectangles of one picture (height, width, channels); the "
            f"model takes {shapes}",
            'Write `mix = "mixup"`, which mixes any numbers.',
        )


def check_task(recipe: Recipe, task: Task) -> None:
    """Refuse a recipe that does not fit the task of the data.

    Args:
        recipe: The recipe.
        task: Task of the data.

    Raises:
        ConversionError: Pictures would be moved or mixed, and their masks not.
    """
    if SEGMENTATION not in (task.kind, *(part.kind for part in task.parts.values())):
        return
    for step in recipe.steps:
        for name, is_used in (
            ("augment", getattr(step, "augment", _NO_AUGMENT) != _NO_AUGMENT),
            ("mix", getattr(step, "mix", NO_MIX) != NO_MIX),
        ):
            if is_used:
                raise ConversionError(
                    f"step {step.kind}: {name} changes pictures, and not the masks that belong to "
                    "them",
                    f'Write `{name} = "none"`, or change both in your own data.',
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
