"""What every format of model file shares: what a file says of itself, and what is done with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy.typing as npt

from converters.inspection import ModelFigures
from converters.layer_output import LayerOutput
from converters.predicted_placement import EdgetpuPlacement
from converters.tensor_spec import TensorSpec
from device_agent.contract.state import RESET

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Operator:
    """All uses of one version of one op."""

    name: str
    """The op's name in its format, such as "CONV_2D", or the custom op's own."""
    version: int
    """From 1, as the file claims."""
    count: int
    """Number of uses, in all subgraphs."""
    custom: bool
    """Whether it is no op of the format."""
    least_version: int = 1
    """The version that its tensors call for, whatever the file claims."""


@dataclass(frozen=True)
class Tensor:
    """One tensor of a file."""

    name: str
    """Its name in the file; may be empty."""
    shape: tuple[int, ...]
    """Its shape, with -1 where it is dynamic."""
    dtype: str
    """NumPy's name of its type, or the format's where NumPy has none ("int4")."""
    scales: int
    """Number of its scales: 0 for none, 1 per tensor, more per channel."""
    scale: float | None
    """Real value of one step, of a tensor with one scale; else None."""
    zero_point: int | None
    """The integer that stands for 0.0, of a tensor with one scale; else None."""
    is_constant: bool
    """Whether its values are in the file."""
    bytes: int
    """Size of its values; 0 where the shape is dynamic."""


@dataclass(frozen=True)
class ModelFile:
    """Content of a model file that every format has."""

    format: ClassVar[str]
    """Name of the format; a key of `converters.formats.FORMATS`."""

    path: Path
    """The file."""
    size_bytes: int
    """Its size."""
    sha256: str
    """Its digest."""
    operators: tuple[Operator, ...]
    """Each op and version with its number of uses, most used first."""
    tensors: tuple[Tensor, ...]
    """Its tensors, those of all subgraphs."""
    inputs: tuple[TensorSpec, ...]
    """Its inputs, in the file's order."""
    outputs: tuple[TensorSpec, ...]
    """Its outputs, in the file's order."""
    edgetpu: bool
    """Whether it was compiled for the Edge TPU."""
    reset: str
    """Way to set its state to the beginning before an independent sample, of
    `device_agent.contract.state.WAYS`; `KEEP` where it has no state."""


@dataclass(frozen=True)
class RuntimeRequirement:
    """The oldest runtime that loads a model, and the op that needs it."""

    version: tuple[int, ...]
    """Version of the format's reference runtime; for a .tflite of TFLite, such as (2, 17)."""
    operator: str
    """The op that needs it; empty where none does."""
    operator_version: int
    """Version of the op."""


@dataclass(frozen=True)
class OperatorWork:
    """Work of one operator of a file."""

    op: str
    """Name of the op in its format."""
    layer: str
    """Name of the layer that it belongs to, as far as the file tells; may be empty."""
    macs: int
    """Multiply-accumulates; 0 for an op without products of matrices."""


@dataclass(frozen=True)
class StoredTensor:
    """Values of a constant tensor, as they lie in a file."""

    name: str
    """Name of the tensor in the file; may be empty."""
    dtype: str
    """NumPy's name of its type, or the format's where NumPy has none ("int4")."""
    shape: tuple[int, ...]
    offset: int
    """Place of the first byte in the file."""
    size: int
    """Number of bytes."""


@dataclass(frozen=True)
class KernelFigures:
    """One stored kernel of a file."""

    name: str
    """Name of its tensor in the file; may be empty."""
    bits: int
    """Bits of each stored value."""
    size: int
    """Number of values."""
    zero_share: float
    """Share of zeros, 0-1."""


@dataclass(frozen=True)
class Cost:
    """The cost of a model file."""

    parameters: int
    """Numbers that were learned: kernels, biases and other operands that are stored."""
    macs: int
    """Multiply-accumulates of one inference, in convolutions and products of matrices; the body of
    a loop counts as often as it runs."""
    uncounted: tuple[str, ...]
    """Ops that may multiply too and are not in `macs`: those of others, a WHILE whose number of
    trips is not constant (its body counts once), and an IF (its costlier branch counts)."""
    peak_tensor_bytes: int
    """The most bytes of activations that are held at one time, when each is freed after its last
    use, and inputs and outputs are kept as the runtime keeps them; without alignment and without
    what kernels take for themselves. Variables, which are kept from one inference to the next, are
    part of it."""
    compressed_bytes: int
    """Size of the file compressed by zlib at level 9: the cost of an update over the air."""
    sparsity: float
    """Share of zeros in the kernels of convolutions and Dense layers, 0-1."""
    distinct_weights: int
    """Distinct values in the kernel that has the most."""
    distinct_per_channel: int
    """Distinct values in a single channel of the kernel that has the most; each channel has its own
    scale."""


class RunOnHost(Protocol):
    """Function that runs a model file on this host."""

    def __call__(
        self,
        path: Path,
        inputs: Mapping[str, Array],
        on_progress: Callable[[int, int], None] | None = None,
        most_s: float | None = None,
        reset: str = RESET,
    ) -> dict[str, Array]:
        """Run it one sample at a time.

        Args:
            path: The file.
            inputs: Name of each input (`TensorSpec.name`) to an array of shape (n, ...) whose
                dtype is that of the input, and whose shape past the first axis is that of the
                input, without its first axis where that is 1.
            on_progress: Called with samples done and samples in all, now and then.
            most_s: Seconds after which no further sample begins, so that fewer may be answered;
                None to answer all.
            reset: Way to handle the state before each sample: `ModelFile.reset` for independent
                samples, `KEEP` for the steps of one stream.

        Returns:
            Name of each output (`TensorSpec.name`) to an array of shape (n, ...) and its dtype.

        Raises:
            ConversionError: The runtime refuses the file, fails on it or crashes on it.
        """


@dataclass(frozen=True)
class Format:
    """Functions for the files of one format on this host."""

    title: str
    """Name of its runtimes for a person."""
    read: Callable[[Path], ModelFile]
    """Reads a file, which nobody has to trust. Raises ConversionError where it is no whole file
    of this format."""
    minimum_runtime: Callable[[ModelFile], RuntimeRequirement]
    """The oldest runtime that knows every op of a file; custom ops do not count."""
    lowest_runtimes: Callable[[ModelFile], Mapping[str, str]]
    """Lowest version of each runtime, by name, that knows every op of a file; custom ops do not
    count."""
    refusals: Callable[[Sequence[Operator], str, str], tuple[str, ...]]
    """Reasons why a runtime (name, version) cannot load the operators of a file: one sentence each,
    none if it can. Raises ConversionError where the runtime is unknown."""
    form_refusals: Callable[[ModelFile, str], tuple[str, ...]]
    """Reasons why a runtime (name) does not take a file whatever its operators are: one sentence
    each, none if it does."""
    faults: Callable[[ModelFile, str, str], tuple[str, ...]]
    """Sentences about what a release of the runtime (architecture of the board, version) is known
    to compute wrongly of a file; none where nothing is known."""
    foreign_ops: Callable[[ModelFile], tuple[str, ...]]
    """Names of the custom ops of a file that no runtime package brings."""
    run: RunOnHost
    """Runs a file on this host in a process of its own, because a runtime may crash on a file."""
    run_here: RunOnHost
    """Runs a file that kedge wrote in this process."""
    operator_works: Callable[[Path], tuple[OperatorWork, ...]]
    """Operators of a file that was read, in the order in which they run."""
    cost: Callable[[Path], Cost]
    """Cost of a file that kedge wrote."""
    host_runtime: Callable[[], tuple[str, str]]
    """Name and version of the runtime that `run` uses."""
    stored_tensors: Callable[[Path], tuple[StoredTensor, ...]]
    """Constant tensors of a file, in the order of their places in it. Raises ConversionError where
    it is no whole file of this format."""
    kernel_figures: Callable[[Path], tuple[KernelFigures, ...]]
    """Stored kernels of a file that was read, each once, in the order of their use."""
    figures: Callable[[Path], ModelFigures]
    """Figures of each operator of a file that was read. Raises ConversionError where a part that
    `read` does not read is damaged."""
    layer_outputs: Callable[[Path], tuple[LayerOutput, ...]]
    """Outputs of the operators of a file that was read, in the order of their work. Raises
    ConversionError where a part that `read` does not read is damaged."""
    with_layer_outputs: Callable[[Path], bytes]
    """Content of a file whose outputs are those that `layer_outputs` lists, in that order."""
    edgetpu_placement: Callable[[Path], EdgetpuPlacement] | None
    """Predicts what the compiler of the Edge TPU does with a file that was read and is not compiled
    yet; None where it does not take this format."""
