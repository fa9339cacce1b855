"""What is known of TensorRT before an .onnx goes to a board: ops that no release has, and forms.

Read from the documentation of NVIDIA's parser (onnx-tensorrt, docs/operators.md). Whether a release
takes a node with its types and attributes is known only when the board builds the engine.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from converters.model_file import ModelFile, Operator
from converters.onnx.reader import OnnxFile
from device_agent.contract.runtimes import TENSORRT

#: Ops of ONNX that no release takes.
_ABSENT = frozenset(
    {
        "BitShift", "Compress", "ConcatFromSequence", "ConvInteger", "Det", "MatMulInteger",
        "MaxRoiPool", "MaxUnpool", "Multinomial", "NegativeLogLikelihoodLoss", "QLinearConv",
        "QLinearMatMul", "SequenceAt", "SequenceConstruct", "SequenceEmpty", "SequenceErase",
        "SequenceInsert", "SequenceLength", "SoftmaxCrossEntropyLoss", "SplitToSequence",
        "StringNormalizer", "TfIdfVectorizer", "Unique",
    }
)  # fmt: skip

_ML = "ai.onnx.ml."

#: Types of inputs and outputs that `trtexec` takes as the file has them.
_TYPES = ("float32", "int32", "bool", "float16")


def tensorrt_refusals(operators: Sequence[Operator]) -> tuple[str, ...]:
    """Return why no release of TensorRT takes a model: one sentence for each op.

    Args:
        operators: Operators of the model.
    """
    names = [
        operator.name
        for operator in operators
        if operator.custom or operator.name in _ABSENT or operator.name.startswith(_ML)
    ]
    return tuple(f"TensorRT has no operator {name}" for name in dict.fromkeys(names))


def tensorrt_form_refusals(model: ModelFile, runtime: str) -> tuple[str, ...]:
    """Return why TensorRT does not take the form of a file; nothing is said of other runtimes.

    Args:
        model: A file that was read.
        runtime: Name of the runtime.
    """
    if runtime != TENSORRT or not isinstance(model, OnnxFile):
        return ()
    return tuple(_reasons(model))


def _reasons(model: OnnxFile) -> Iterator[str]:
    if model.asymmetric:
        yield "it has zero points other than 0, or unsigned ones, and TensorRT takes int8 around 0"
    for kind, specs in (("input", model.inputs), ("output", model.outputs)):
        for spec in specs:
            if spec.dtype not in _TYPES:
                yield (
                    f"its {kind} {spec.name[:80]!r} is {spec.dtype}, and trtexec takes "
                    f"{', '.join(_TYPES[:-1])} and {_TYPES[-1]} as they are"
                )
