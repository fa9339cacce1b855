"""Outputs of the operators of a file, and the layers of the source that they belong to. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from converters.tensor_spec import TensorSpec

#: Prefix that quantization-aware training adds to the name of a layer.
_TRAINED_PREFIX = "rounded_"
#: Begin of the part of a tensor's name behind which TensorFlow names no layer.
_VARIABLE = "ReadVariableOp"


@dataclass(frozen=True)
class LayerOutput:
    """Output of one operator of a file."""

    tensor: str
    """Name of the tensor in the file; may be empty."""
    layers: tuple[str, ...]
    """Names of the layers of the source that were joined into the operator; the name of the whole
    comes first."""
    op: str
    """Op of the operator in its format."""
    spec: TensorSpec
    """Shape, type and scale of the tensor."""
    sources: tuple[int, ...]
    """Positions of the outputs that the operator reads, in the list of outputs of the file."""

    @property
    def layer(self) -> str:
        """Name of the layer."""
        return self.layers[0]

    @property
    def values(self) -> int:
        """Number of values of one sample; an open axis counts as 1."""
        count = 1
        for size in self.spec.shape:
            count *= max(1, size)
        return count


def layers_of_name(tensor: str) -> tuple[str, ...]:
    """Return the layers that the name of a tensor tells, each once.

    TensorFlow joins the names of all that went into an operator: "net/relu/Relu;net/conv/Conv2D" is
    of the layers "relu" and "conv".

    Args:
        tensor: Name of a tensor.

    Returns:
        Names, at least one; the name itself where it has no parts.
    """
    names = []
    for part in tensor.split(";"):
        scopes = part.split("/")
        variable = next((i for i, s in enumerate(scopes) if s.startswith(_VARIABLE)), len(scopes))
        scopes = [scope for scope in scopes[:variable] if scope] or [part]
        names.append(scopes[-2] if len(scopes) > 1 else scopes[0])
    return tuple(dict.fromkeys(name.removeprefix(_TRAINED_PREFIX) for name in names))


def pair_outputs(
    outputs: Sequence[LayerOutput], references: Sequence[LayerOutput]
) -> dict[int, int]:
    """Pair the outputs of two files of one network.

    Both have the same number of values, and, tried in this order: the same name of the tensor, the
    same layer, or one's layer is among those that were joined into the other one. Where a layer has
    several outputs in one file and fewer in the other, its last ones are paired.

    Args:
        outputs: Outputs of a file, in the order in which they are computed.
        references: Outputs of the other file.

    Returns:
        Position of an output to the position of its counterpart; others have none.
    """
    pairs: dict[int, int] = {}
    for key in (_by_tensor, _by_layer):
        _pair_equal(outputs, references, key, pairs)
    for position, output in enumerate(outputs):
        unused = [i for i in range(len(references)) if i not in pairs.values()]
        joined = [i for i in unused if _are_joined(output, references[i])]
        if position not in pairs and joined:
            pairs[position] = joined[0]
    return pairs


def _by_tensor(output: LayerOutput) -> tuple[str, int]:
    return output.tensor, output.values


def _by_layer(output: LayerOutput) -> tuple[str, int]:
    return output.layer, output.values


def _are_joined(output: LayerOutput, reference: LayerOutput) -> bool:
    is_joined = output.layer in reference.layers or reference.layer in output.layers
    return is_joined and output.values == reference.values


def _pair_equal(
    outputs: Sequence[LayerOutput],
    references: Sequence[LayerOutput],
    key: Callable[[LayerOutput], tuple[str, int]],
    pairs: dict[int, int],
) -> None:
    """Add pairs of outputs with equal keys that are in no pair yet."""
    places: dict[tuple[str, int], list[int]] = defaultdict(list)
    for place, reference in enumerate(references):
        if place not in pairs.values():
            places[key(reference)].append(place)
    positions: dict[tuple[str, int], list[int]] = defaultdict(list)
    for position, output in enumerate(outputs):
        if position not in pairs and key(output)[0]:
            positions[key(output)].append(position)
    for name, equal in positions.items():
        others = places[name]
        if len(equal) != len(others):
            equal, others = equal[-1:], others[-1:]
        pairs.update(zip(equal, others, strict=False))
