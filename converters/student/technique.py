"""The step of a recipe that puts a new network in the place of the original."""

from __future__ import annotations

from dataclasses import replace
from math import prod

from converters.data.dataset import TRAIN
from converters.draft.draft import Draft, Materials
from converters.draft.trial_file import measure_before_and_after
from converters.errors import ConversionError
from converters.graph.cost import macs, parameters
from converters.graph.fold import fold_graph
from converters.graph.node import Graph, Node
from converters.recipe.student_step import DENSE_BLOCK, Student
from converters.student.grammar import student_graph
from converters.training.trainable import folded_graph

_HINT = (
    "Use steps that keep the network, such as `channels`, `blocks` or `low_rank`, or give a "
    "classifier of one picture, one series or one vector."
)


def build_student(draft: Draft, step: Student, materials: Materials) -> Draft:
    """Build the student with random weights; `distill` has to follow.

    Args:
        draft: A draft that is not quantized.
        step: Stem and stages.
        materials: Samples with the split "train", and the seed of the weights.

    Raises:
        ConversionError: The model is no classifier of one picture, one series or one vector of real
            numbers, or the stages are for another of these.
    """
    source, before = materials.source, folded_graph(draft)
    _refuse_other_models(before, materials)
    (image,) = (before.by_name()[name] for name in before.inputs)
    _refuse_other_stages(step, image, str(source.path))
    scores = prod(source.outputs[0].shape)
    last = "linear"
    if source.probabilities:
        last = "softmax" if scores > 1 else "sigmoid"
    student = student_graph(step, image, scores, last, materials.seed)
    after = fold_graph(student)
    return replace(
        draft,
        graph=student,
        found={
            "macs": [macs(before), macs(after)],
            "parameters": [parameters(before), parameters(after)],
            "latency_us": measure_before_and_after(before, after, materials),
        },
    )


def _refuse_other_models(graph: Graph, materials: Materials) -> None:
    source, inputs = materials.source, [graph.by_name()[name] for name in graph.inputs]
    if len(source.inputs) > 1 or len(source.outputs) > 1:
        reason = (
            f"has {len(source.inputs)} inputs and {len(source.outputs)} outputs; a student has one "
            "of each"
        )
    elif not materials.samples[TRAIN].task.is_classification:
        reason = "is no classifier; a student gives the scores of classes"
    elif "dtype" in inputs[0].attributes:
        reason = "takes whole numbers; a student takes real ones"
    elif len(inputs[0].shape) > 3 or len(source.outputs[0].shape) != 1:
        reason = (
            f"takes {inputs[0].shape} and gives {source.outputs[0].shape}; a student takes one "
            "picture, series or vector and gives one row of scores"
        )
    else:
        return
    raise ConversionError(f"{source.path}: {reason}", _HINT)


def _refuse_other_stages(step: Student, image: Node, origin: str) -> None:
    is_vector = len(image.shape) == 1
    if is_vector and any(stage.block != DENSE_BLOCK for stage in step.stages):
        raise ConversionError(
            f"{origin}: takes a vector of {image.shape[0]} numbers, and the student has stages of "
            "convolutions",
            'Write `block = "dense"` in all stages.',
        )
    if not is_vector and any(stage.block == DENSE_BLOCK for stage in step.stages):
        raise ConversionError(
            f"{origin}: takes {image.shape}, and the student has dense stages, which are for "
            "vectors",
            'Write another `block`, such as "residual".',
        )
