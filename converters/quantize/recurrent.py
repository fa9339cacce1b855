"""Float files of recurrent layers in a form that TensorFlow's quantizer brings to integers.

A recurrent layer is a loop, and the quantizer does not look into loops: such a layer is unrolled,
so that each of its steps becomes operators of its own. An LSTM of tf-keras that is too long for
that stays one fused operator.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ai_edge_litert import schema_py_generated as schema

from converters.data.dataset import CALIBRATION
from converters.draft.draft import Draft, Materials
from converters.draft.emit import convert_function
from converters.errors import ConversionError
from converters.quantize.float_file import float_file
from converters.quantize.layer_names import describe_operator
from converters.quantize.lstm_states import FUSED_LSTM, add_states
from converters.sources.keras import model_call
from converters.tflite.unpacked import UnpackedModel

#: Most steps of a layer that are unrolled: each takes about 15 operators, 2 kB and 30 ms.
MOST_STEPS = 256

_LOOP = "WHILE"
#: Ops that split a tensor, and the places of that tensor and of the axis among their inputs.
_SPLITS = {"SPLIT": (1, 0), "SPLIT_V": (0, 2)}
#: Recurrent ops without an integer kernel; only files from elsewhere have them.
_FLOAT_ONLY = (
    *("LSTM", "BIDIRECTIONAL_SEQUENCE_LSTM", "RNN"),
    *("UNIDIRECTIONAL_SEQUENCE_RNN", "BIDIRECTIONAL_SEQUENCE_RNN"),
)


def quantizable_file(draft: Draft, materials: Materials, fused: bool = True) -> bytes:
    """Convert a draft to a float .tflite of batch one that can be brought to integers.

    Args:
        draft: Draft that is not quantized yet.
        materials: Samples with the split "calibration".
        fused: Whether an LSTM that is too long to be unrolled may be one fused operator.

    Raises:
        ConversionError: The converter fails, or a recurrent layer cannot be brought to integers.
    """
    content = float_file(draft, materials.report)
    is_fused = bool(_uses(content, FUSED_LSTM))
    if _uses(content, _LOOP) or (is_fused and not (fused and _is_long(draft.keras_model))):
        content = _unrolled_file(draft, materials, content)
    model = UnpackedModel(content)
    no_kernel = _FLOAT_ONLY if fused else (*_FLOAT_ONLY, FUSED_LSTM)
    for operator in model.operators:
        if model.op(operator) in no_kernel:
            layer = describe_operator(model, operator, draft.keras_model)
            raise ConversionError(
                f"{materials.source.path}: {layer} has no kernel that computes in such integers",
                "Use the recipe ptq_f16.",
            )
    if not _uses(content, FUSED_LSTM):
        return content
    return add_states(content, materials.samples[CALIBRATION], materials.report)


def unfused_function(draft: Draft) -> Any:
    """Trace a draft with loops in the place of fused LSTMs: their kernels can be stored in 8 bits.

    Args:
        draft: Draft that is not quantized yet.

    Returns:
        Concrete function of a batch of one; None where no layer would become a fused LSTM.
    """
    keras_model = draft.keras_model
    layers = [] if keras_model is None else list(_recurrent_layers(keras_model))
    if draft.content is not None or not any(hasattr(one, _FUSES) for one in layers):
        return None
    with _changes(layers, {_FUSES: False}):
        return draft.function_of(model_call(keras_model))


def _uses(content: bytes, op: str) -> list[Any]:
    model = UnpackedModel(content)
    return [operator for operator in model.operators if model.op(operator) == op]


def _unrolled_file(draft: Draft, materials: Materials, content: bytes) -> bytes:
    """Convert a draft without loops.

    Raises:
        ConversionError: A loop remains, or has too many steps.
    """
    keras_model = draft.keras_model
    layers = [] if keras_model is None else list(_recurrent_layers(keras_model))
    if layers:
        _refuse_long(keras_model, str(materials.source.path))
        with _changes(layers, {"unroll": True, _FUSES: False}):
            function = draft.function_of(model_call(keras_model))
            model = UnpackedModel(convert_function(function, materials.report))
        model.fix_batch()
        _replace_splits(model)
        content = model.pack()
    loops = _uses(content, _LOOP)
    if not loops:
        return content
    name = describe_operator(UnpackedModel(content), loops[0], keras_model)
    raise ConversionError(
        f"{materials.source.path}: {name} is a loop that kedge cannot unroll, and TensorFlow's "
        "quantizer does not look into loops",
        "Use the recipe ptq_f16, or ptq_dynamic where weights outside of the loop are large."
        if keras_model is not None
        else "Give the .keras or .h5 file: kedge unrolls recurrent layers of Keras. Without it, "
        "use the recipe ptq_f16 or ptq_dynamic.",
    )


def _is_long(keras_model: Any) -> bool:
    """Whether a model cannot be unrolled: it has too many steps, or no Keras layers."""
    if keras_model is None:
        return True
    try:
        _refuse_long(keras_model, "")
    except ConversionError:
        return True
    return False


def _refuse_long(keras_model: Any, origin: str) -> None:
    for layer in keras_model._flatten_layers(include_self=False):  # noqa: SLF001
        if not any(True for _ in _recurrent_parts(layer)):
            continue
        try:
            steps = layer.input.shape[1]
        except AttributeError:  # a part of a wrapper, which is looked at itself, or a shared layer
            continue
        if steps is not None and steps > MOST_STEPS:
            raise ConversionError(
                f"{origin}: layer {layer.name!r} ({type(layer).__name__}) runs {steps} steps: to "
                "compute in integers each step would become operators of its own, and kedge does "
                f"that for at most {MOST_STEPS}",
                "Use shorter sequences, such as by a Conv1D with strides in front, or the recipe "
                "ptq_f16.",
            )


def _recurrent_layers(keras_model: Any) -> Iterator[Any]:
    """Yield the recurrent layers of a model, those inside of wrappers and models too."""
    for layer in keras_model._flatten_layers(include_self=False):  # noqa: SLF001
        yield from _recurrent_parts(layer)


def _recurrent_parts(layer: Any) -> Iterator[Any]:
    """Yield a layer if it is recurrent, and what it wraps if that is."""
    for one in (layer, *(getattr(layer, name, None) for name in _WRAPPED)):
        if one is not None and hasattr(one, "unroll") and hasattr(one, "return_sequences"):
            yield one


#: Attribute of an LSTM or GRU of tf-keras that becomes a fused operator, in spite of `unroll`.
_FUSES = "_could_use_gpu_kernel"
#: Attributes in which wrappers such as Bidirectional keep their layers.
_WRAPPED = ("layer", "forward_layer", "backward_layer")


@contextmanager
def _changes(layers: list[Any], values: dict[str, Any]) -> Iterator[None]:
    """Give layers other attributes, of those that they have, while they are traced."""
    before = [
        (one, key, getattr(one, key)) for one in layers for key in values if hasattr(one, key)
    ]
    try:
        for one, key, _ in before:
            setattr(one, key, values[key])
        yield
    finally:
        for one, key, value in reversed(before):
            setattr(one, key, value)


def _replace_splits(model: UnpackedModel) -> None:
    """Slice what a SPLIT with an unused output gives: the quantizer leaves such an op in floats.

    The first step of a layer has them, since its state is zero. A GRU of tf-keras with
    `reset_after=False` has them in each step.
    """
    outputs = {*model.outputs, *(int(i) for op in model.operators for i in op.inputs)}
    operators = []
    for operator in model.operators:
        parts = [int(i) for i in operator.outputs]
        if model.op(operator) not in _SPLITS or outputs.issuperset(parts):
            operators.append(operator)
            continue
        places = _SPLITS[model.op(operator)]
        source, axis_tensor = (int(operator.inputs[place]) for place in places)
        axis, begin = int(model.integers(axis_tensor)[0]), 0
        for part in parts:
            shape = model.shape(part)
            if part in outputs:
                starts = [0] * len(shape)
                starts[axis] = begin
                operators.append(_slice(model, source, starts, part))
            else:
                model.tensors[part].shape = [0]  # nothing computes it any more
            begin += shape[axis]
    model.operators[:] = operators


def _slice(model: UnpackedModel, source: int, starts: list[int], part: int) -> Any:
    """Return an operator that cuts a tensor out of another."""
    constants = [model.add_integers(values) for values in (starts, list(model.shape(part)))]
    operator = schema.OperatorT()
    operator.opcodeIndex = model.add_code("SLICE")
    operator.inputs, operator.outputs = [source, *constants], [part]
    operator.builtinOptionsType = schema.BuiltinOptions.SliceOptions
    operator.builtinOptions = schema.SliceOptionsT()
    return operator
