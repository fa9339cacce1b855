"""Tiny ONNX models, one for each way in which an op is read, and their opsets."""

from __future__ import annotations

from tests.converters.programs.onnx_case_makers import (
    Case,
    make_attention,
    make_channels_last,
    make_class_token,
    make_clip,
    make_conv,
    make_conv_1d_net,
    make_depth_to_space,
    make_einsum,
    make_embedding,
    make_flat_dense,
    make_gelu_chain,
    make_group_norm_chain,
    make_layer_norm_chain,
    make_matmul_constant_first,
    make_mlp,
    make_normed,
    make_of_two,
    make_padded,
    make_pool,
    make_power,
    make_prelu,
    make_recurrent,
    make_reduced,
    make_reshaped_dense,
    make_residual,
    make_resized,
    make_shape_arithmetic,
    make_shuffle,
    make_space_to_depth,
    make_splits,
    make_squeeze_excite,
    make_transposed,
    make_two_outputs,
    make_unary,
    make_with_constant,
)

#: Name of each case to what makes it, and the opsets in which it is made.
CASES: dict[str, tuple[Case, tuple[int, ...]]] = {}


def _add(opsets: tuple[int, ...], **cases: Case) -> None:
    for name, case in cases.items():
        CASES[name] = (case, opsets)


_EVERY = (11, 13, 17, 20)
_NEWEST = (22,)
_add(
    _EVERY,
    conv=make_conv(),
    residual=make_residual,
    mlp=make_mlp,
    channels_last=make_channels_last,
    clip=make_clip(-1.0, 2.5),
)
_add(
    (17,),
    conv_same=make_conv(auto_pad="SAME_UPPER", strides=[2, 2]),
    conv_same_lower=make_conv(auto_pad="SAME_LOWER", strides=[2, 2]),
    conv_padded=make_conv(pads=[1, 1, 1, 1]),
    conv_strided=make_conv(pads=[1, 1, 1, 1], strides=[2, 2]),
    conv_uneven=make_conv(pads=[2, 0, 1, 3], strides=[1, 2]),
    conv_dilated=make_conv(dilations=[2, 1]),
    conv_dilated_strided=make_conv(dilations=[2, 2], strides=[2, 1], pads=[2, 2, 2, 2]),
    conv_grouped=make_conv(6, 4, group=2),
    depthwise=make_conv(4, 4, group=4, pads=[1] * 4),
    depthwise_wide=make_conv(4, 8, group=4, strides=[2, 2]),
    depthwise_uneven=make_conv(4, 4, group=4, strides=[2, 1], pads=[1] * 4),
    depthwise_dilated=make_conv(4, 4, group=4, dilations=[2, 2], strides=[2, 2]),
    conv_1d=make_conv(size=(3,), pads=[1, 1], strides=[2]),
    conv_1d_dilated=make_conv(size=(3,), dilations=[2]),
    depthwise_1d=make_conv(4, 4, (3,), group=4, strides=[2]),
    transposed=make_transposed(strides=[2, 2]),
    transposed_same=make_transposed((4, 4), strides=[2, 2], pads=[1] * 4),
    transposed_more=make_transposed(strides=[2, 2], pads=[1] * 4, output_padding=[1, 1]),
    transposed_beyond=make_transposed((2, 2), strides=[3, 3], output_padding=[1, 2]),
    transposed_narrow=make_transposed((2, 2), strides=[3, 3]),
    transposed_grouped=make_transposed(channels=4, outputs=6, group=2),
    transposed_dilated=make_transposed(dilations=[2, 2]),
    transposed_1d=make_transposed((3,), strides=[2], pads=[1, 1]),
    transposed_auto=make_transposed(strides=[2, 2], auto_pad="SAME_UPPER"),
    max_pool=make_pool("MaxPool", kernel_shape=[2, 2], strides=[2, 2]),
    max_pool_padded=make_pool("MaxPool", kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4),
    max_pool_ceil=make_pool("MaxPool", kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1),
    max_pool_1d=make_pool("MaxPool", (3, 9), kernel_shape=[3], strides=[2], pads=[1, 1]),
    average_pool=make_pool("AveragePool", kernel_shape=[3, 2], strides=[1, 2]),
    average_pool_same=make_pool("AveragePool", kernel_shape=[3, 3], pads=[1] * 4),
    average_pool_counted=make_pool(
        "AveragePool", kernel_shape=[3, 3], pads=[1] * 4, count_include_pad=1
    ),
    average_pool_strided=make_pool(
        "AveragePool", kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4
    ),
    global_max=make_pool("GlobalMaxPool"),
    global_average_1d=make_pool("GlobalAveragePool", (3, 7)),
    flat_dense=make_flat_dense,
    reshaped_dense=make_reshaped_dense,
    squeeze_excite=make_squeeze_excite,
    shuffle=make_shuffle,
    attention=make_attention,
    layer_norm_chain=make_layer_norm_chain,
    gelu_chain=make_gelu_chain,
    group_norm_chain=make_group_norm_chain,
    instance_norm=make_normed("InstanceNormalization", (6,), (6,)),
    layer_norm=make_normed("LayerNormalization", (4,), (4,)),
    layer_norm_deep=make_normed("LayerNormalization", (6, 5, 4), axis=1),
    unit_norm=make_normed("LpNormalization", axis=1),
    class_token=make_class_token,
    embedding=make_embedding,
    splits=make_splits,
    conv_1d_net=make_conv_1d_net,
    two_outputs=make_two_outputs,
    prelu=make_prelu,
    depth_to_space=make_depth_to_space("DCR"),
    depth_to_space_crd=make_depth_to_space("CRD"),
    space_to_depth=make_space_to_depth,
    matmul_constant_first=make_matmul_constant_first,
    shape_arithmetic=make_shape_arithmetic,
    clip_below=make_clip(-1.0, None),
    clip_above=make_clip(None, 1.5),
    relu6=make_clip(0.0, 6.0),
    pad=make_padded((3, 5, 4), 0, 0, 1, 2, 0, 0, 0, 1),
    pad_value=make_padded((3, 5, 4), 0, 0, 1, 2, 0, 0, 0, 1, value=1.5),
    pad_reflect=make_padded((3, 5, 4), 0, 0, 2, 1, 0, 0, 1, 2, mode="reflect"),
    pad_edge=make_padded((3, 5, 4), 0, 0, 1, 1, 0, 0, 1, 0, mode="edge"),
    pad_channels=make_padded((3, 5, 4), 0, 1, 0, 0, 0, 2, 0, 0),
    pad_negative=make_padded((3, 5, 4), 0, 0, -1, 1, 0, 0, 1, -1),
    pad_sequence=make_padded((5, 4), 0, 2, 0, 0, 1, 0),
    resize_nearest=make_resized((12, 12), mode="nearest"),
    resize_asymmetric=make_resized(
        (12, 8), mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor"
    ),
    resize_smaller=make_resized(
        (3, 2), mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor"
    ),
    resize_linear=make_resized((9, 7), mode="linear"),
    **{
        f"unary_{kind.lower()}": make_unary(kind)
        for kind in (
            "Relu",
            "Sigmoid",
            "Tanh",
            "Softplus",
            "Softsign",
            "LeakyRelu",
            "Elu",
            "Selu",
            "Celu",
            "HardSigmoid",
            "HardSwish",
            "ThresholdedRelu",
            "Abs",
            "Neg",
            "Exp",
        )
    },  # fmt: skip
    softmax_channels=make_unary("Softmax", axis=1),
    softmax_width=make_unary("Softmax", axis=-1),
    log_softmax=make_unary("LogSoftmax", axis=1),
    **{
        f"{kind.lower()}_{'x'.join(map(str, shape)) or 'number'}": make_with_constant(kind, shape)
        for kind in ("Add", "Sub", "Mul", "Div")
        for shape in ((), (4, 1, 1), (1, 5, 1), (5, 4), (1, 4, 5, 4))
    },
    sub_from=make_with_constant("Sub", (4, 1, 1), first=True),
    max_number=make_with_constant("Max", ()),
    min_number=make_with_constant("Min", ()),
    square=make_power(2.0),
    cube=make_power(3.0),
    add_images=make_of_two("Add", (3, 5, 4), (3, 5, 4)),
    mul_broadcast=make_of_two("Mul", (3, 5, 4), (3, 1, 1)),
    sub_broadcast=make_of_two("Sub", (5, 1), (1, 4)),
    max_images=make_of_two("Max", (5, 4), (5, 4)),
    mean_of_two=make_of_two("Mean", (5, 4), (5, 4)),
    matmul=make_of_two("MatMul", (2, 5, 4), (2, 4, 3)),
    matmul_broadcast=make_of_two("MatMul", (2, 5, 4), (1, 4, 3)),
    einsum_scores=make_einsum("bqhd,bkhd->bhqk", (5, 2, 4), (6, 2, 4)),
    einsum_values=make_einsum("bhqk, bkhd -> bqhd", (2, 5, 6), (6, 2, 4)),
    einsum_leading=make_einsum("...ij,...jk->...ki", (2, 5, 4), (2, 4, 3)),
    einsum_outer=make_einsum("bij,bkjl->bikl", (5, 4), (3, 4, 6)),
    einsum_dense=make_einsum("bij,jk->bik", (5, 4), (4, 3), constant=1),
    einsum_heads=make_einsum("bte,hde->bhtd", (7, 6), (2, 3, 6), constant=1),
    einsum_joined=make_einsum("bthd,hde->bte", (7, 2, 3), (2, 3, 6), constant=1),
    einsum_image=make_einsum("bchw,dc->bdhw", (3, 5, 4), (6, 3), constant=1),
    einsum_constant_first=make_einsum("dc,bct->bdt", (6, 3), (3, 7), constant=0),
    pad_edges=make_padded((3, 6, 5), 0, 0, 2, 1, 0, 0, 0, 3, mode="edge"),
    pad_edges_rows=make_padded((3, 7), 0, 0, 2, 0, 0, 4, mode="edge"),
    lstm=make_recurrent("LSTM", last=False),
    lstm_last=make_recurrent("LSTM", last=True, bias=False),
    lstm_both=make_recurrent("LSTM", last=False, direction="bidirectional"),
    lstm_both_last=make_recurrent("LSTM", last=True, direction="bidirectional"),
    lstm_reverse=make_recurrent("LSTM", last=False, direction="reverse"),
    gru=make_recurrent("GRU", last=False),
    gru_after=make_recurrent("GRU", last=False, linear_before_reset=1),
    gru_both=make_recurrent("GRU", last=True, direction="bidirectional", linear_before_reset=1),
    rnn=make_recurrent("RNN", last=False),
)
_add(
    (13, 18),
    mean_image=make_reduced("ReduceMean", (2, 3), 0),
    mean_kept=make_reduced("ReduceMean", (-1, -2), 1),
    mean_channels=make_reduced("ReduceMean", (1,), 1),
    mean_width=make_reduced("ReduceMean", (3,), 0),
    mean_odd=make_reduced("ReduceMean", (1, 3), 0),
    sum_image=make_reduced("ReduceSum", (2, 3), 0),
    max_image=make_reduced("ReduceMax", (2, 3), 0),
    max_channels=make_reduced("ReduceMax", (1,), 0),
    min_width=make_reduced("ReduceMin", (3,), 1),
)
_add((18,), mish=make_unary("Mish"))
_add((20,), gelu=make_unary("Gelu"), gelu_tanh=make_unary("Gelu", approximate="tanh"))
_add((21,), group_norm=make_normed("GroupNormalization", (6,), (6,), num_groups=2))
_add((18,), group_norm_by_group=make_normed("GroupNormalization", (2,), (2,), num_groups=2))
_add((23,), rms_norm=make_normed("RMSNormalization", (4,), epsilon=1e-9))
_add(_NEWEST, conv_newest=make_conv(), residual_newest=make_residual)
