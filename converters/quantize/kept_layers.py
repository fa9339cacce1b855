"""Layers that a recipe keeps in floats or in 16 bits, by the names of the source."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from converters.layer_output import layers_of_name
from converters.recipe.number_steps import PtqW8A8
from converters.recipe.recipe import RecipeError
from converters.tflite.unpacked import UnpackedModel

#: Number of names that a hint shows.
_MOST_NAMES = 5
_WILDCARDS = "*?["


@dataclass(frozen=True)
class KeptTensors:
    """Outputs of the operators of layers that a recipe keeps."""

    floats: Mapping[str, tuple[str, ...]]
    """Name of each layer that stays in floats to the names of its tensors."""
    int16: Mapping[str, tuple[str, ...]]
    """Name of each layer that gets 16-bit activations to the names of its tensors."""

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of all layers."""
        return (*self.floats, *self.int16)

    @property
    def tensors(self) -> tuple[str, ...]:
        """Names of all tensors."""
        return tuple(n for names in (*self.floats.values(), *self.int16.values()) for n in names)


def keep_tensors(content: bytes, step: PtqW8A8) -> KeptTensors:
    """Find the layers that a step keeps.

    Args:
        content: Float .tflite.
        step: Step with the names of layers.

    Raises:
        RecipeError: There is no such layer; the hint has the nearest names.
    """
    model = UnpackedModel(content)
    return KeptTensors(
        tensors_of_layers(model, step.keep_float, f"step {step.kind}: keep_float"),
        tensors_of_layers(model, step.keep_int16, f"step {step.kind}: keep_int16"),
    )


def give_int16(
    content: bytes, exceptions: KeptTensors, ranges: Mapping[str, tuple[float, float]]
) -> tuple[bytes, tuple[str, ...]]:
    """Give layers 16-bit activations in a file in which they compute in floats.

    Args:
        content: File of 8 bits, in which the kept layers are in floats.
        exceptions: Layers.
        ranges: Name of each float activation to its lowest and highest number.

    Returns:
        The file, and one note for the user about what is in floats and what in 16 bits.

    Raises:
        ConversionError: ai-edge-quantizer refuses the model.
    """
    int16: tuple[str, ...] = ()
    if exceptions.int16:
        from converters.quantize.edge_quantizer import add_int16_layers  # takes seconds

        wanted = [tensor for tensors in exceptions.int16.values() for tensor in tensors]
        content, int16 = add_int16_layers(content, wanted, ranges)
    sixteen = [layer for layer, names in exceptions.int16.items() if set(names) & set(int16)]
    without = [layer for layer in exceptions.int16 if layer not in sixteen]
    parts = [
        f"{', '.join(map(repr, layers))} {how}"
        for layers, how in (
            (list(exceptions.floats), "in floats"),
            (sixteen, "with 16-bit activations"),
            (without, "in floats, as there is no kernel of 16 bits for it"),
        )
        if layers
    ]
    return content, (f"the recipe keeps {'; '.join(parts)}",)


def tensors_of_layers(
    model: UnpackedModel, names: Sequence[str], origin: str
) -> Mapping[str, tuple[str, ...]]:
    """Find the operators of layers in a float .tflite.

    A tensor is of a layer whose name is a part of the path of its own; else of a layer that was
    joined into its operator. A constant that several layers share puts the name of one of them
    into the tensors of the others: there the tensor counts that names it most often.

    Args:
        model: Float file.
        names: Names of layers; * and ? stand for any characters.
        origin: Field of the recipe, for messages.

    Returns:
        Name of each layer to the names of the outputs of its operators.

    Raises:
        RecipeError: There is no such layer; the hint has the nearest names.
    """
    tensors = list(dict.fromkeys(model.name(int(o)) for op in model.operators for o in op.outputs))
    known = dict.fromkeys(name for tensor in tensors for name in _names_of(tensor))
    return {name: _tensors_of(name, tensors) for name in expand_names(names, known, origin)}


def _tensors_of(name: str, tensors: Sequence[str]) -> tuple[str, ...]:
    own = tuple(tensor for tensor in tensors if name in _path(tensor.split(";")[0]))
    if own:
        return own
    counts = {tensor: sum(name in _path(p) for p in tensor.split(";")) for tensor in tensors}
    most = max(counts.values())
    return tuple(tensor for tensor, count in counts.items() if count == most)


def _names_of(tensor: str) -> tuple[str, ...]:
    scopes = [scope for part in tensor.split(";") for scope in _path(part)[:-1]]
    return (*layers_of_name(tensor), *scopes) if tensor else ()


def _path(part: str) -> list[str]:
    return [scope for scope in part.split("/") if scope]


def expand_names(names: Sequence[str], choices: Iterable[str], origin: str) -> tuple[str, ...]:
    """Return names without wildcards, each once.

    Args:
        names: Names of layers; * and ? stand for any characters.
        choices: Names that there are.
        origin: Field of the recipe, for messages.

    Raises:
        RecipeError: There is no such layer; the hint has the nearest names.
    """
    every = list(choices)
    expanded: list[str] = []
    for name in names:
        if name in every:
            expanded.append(name)
            continue
        fitting = [each for each in every if is_pattern(name) and fnmatchcase(each, name)]
        if not fitting:
            raise RecipeError(f"{origin}: no layer is called {name!r}", _nearest(name, every))
        expanded += fitting
    return tuple(dict.fromkeys(expanded))


def is_pattern(name: str) -> bool:
    """Whether a name stands for any number of layers."""
    return any(character in name for character in _WILDCARDS)


def _nearest(name: str, choices: Collection[str]) -> str:
    near = difflib.get_close_matches(name, choices, n=_MOST_NAMES, cutoff=0.5)
    if near:
        return f"Did you mean {', '.join(map(repr, near))}?"
    some = ", ".join(map(repr, list(choices)[:_MOST_NAMES]))
    return f"The first layers are {some}; kedge inspect --against shows all."
