"""TensorFlow functions that a TFOpLambda layer of a file may name: arithmetic on tensors.

tf-keras looks the name up among everything that TensorFlow exports, `io.write_file` and
`load_op_library` included.
"""

from __future__ import annotations

_NAMES = {
    "": """abs acos acosh add add_n argmax argmin argsort asin asinh atan atan2 atanh
        batch_to_space boolean_mask broadcast_to cast ceil clip_by_norm clip_by_value complex
        concat concat_v2 cos cosh cumsum divide edit_distance einsum ensure_shape equal erf exp
        expand_dims expm1 eye fill floor floordiv floormod gather gather_nd greater greater_equal
        identity identity_n image_gather less less_equal linspace log log1p log_sigmoid
        logical_and logical_not logical_or matmul maximum meshgrid minimum multiply negative norm
        not_equal one_hot ones ones_like pad pow range rank realdiv repeat reshape reverse
        reverse_sequence roll round rsqrt scatter_nd searchsorted sequence_mask shape shape_n
        sigmoid sign sin sinh size slice sort space_to_batch space_to_batch_nd split sqrt square
        squeeze stack stop_gradient strided_slice subtract tan tanh tensor_scatter_nd_add
        tensor_scatter_nd_max tensor_scatter_nd_min tensor_scatter_nd_sub
        tensor_scatter_nd_update tensordot tile transpose truediv truncatediv truncatemod unstack
        where where_v2 zeros zeros_like reduce_all reduce_any reduce_logsumexp reduce_max
        reduce_mean reduce_min reduce_prod reduce_sum batch_to_space_nd space_to_depth
        depth_to_space unique""",
    "__operators__.": "add getitem",
    "math.": """abs accumulate_n acos acosh add add_n angle argmax argmin asin asinh atan atan2
        atanh bessel_i0 bessel_i0e bessel_i1 bessel_i1e betainc bincount ceil
        confusion_matrix conj cos cosh count_nonzero cumprod cumsum cumulative_logsumexp digamma
        divide divide_no_nan equal erf erfc erfcinv erfinv exp expm1 floor floordiv floormod
        greater greater_equal igamma igammac imag in_top_k invert_permutation is_finite is_inf
        is_nan is_non_decreasing is_strictly_increasing l2_normalize lbeta less less_equal lgamma
        log log1p log_sigmoid log_softmax logical_and logical_not logical_or logical_xor maximum
        minimum mod multiply multiply_no_nan negative nextafter not_equal pow polygamma
        polyval real reciprocal reciprocal_no_nan reduce_all reduce_any reduce_euclidean_norm
        reduce_logsumexp reduce_max reduce_mean reduce_min reduce_prod reduce_std reduce_sum
        reduce_variance rint round rsqrt scalar_mul segment_max segment_mean segment_min
        segment_prod segment_sum sigmoid sign sin sinh sobol_sample softmax softplus softsign sqrt
        square squared_difference subtract tan tanh top_k truediv unsorted_segment_max
        unsorted_segment_mean unsorted_segment_min unsorted_segment_prod unsorted_segment_sqrt_n
        unsorted_segment_sum xdivy xlog1py xlogy zero_fraction zeta special.erf""",
    "nn.": """atrous_conv2d atrous_conv2d_transpose avg_pool avg_pool1d avg_pool2d avg_pool3d
        avg_pool_v2 batch_norm_with_global_normalization batch_normalization bias_add conv1d
        conv1d_transpose conv2d conv2d_transpose conv3d conv3d_transpose conv_transpose convolution
        crelu depth_to_space depthwise_conv2d depthwise_conv2d_native dilation2d dropout elu
        embedding_lookup erosion2d fused_batch_norm gelu isotonic_regression l2_loss l2_normalize
        leaky_relu local_response_normalization log_softmax lrn max_pool max_pool1d max_pool2d
        max_pool3d max_pool_v2 moments normalize_moments pool relu relu6 scale selu
        separable_conv2d sigmoid silu softmax softplus softsign space_to_batch space_to_depth
        sufficient_statistics swish tanh top_k weighted_moments with_space_to_batch
        zero_fraction""",
    "linalg.": """adjoint band_part cholesky cross det diag diag_part einsum eye global_norm inv
        l2_normalize logdet matmul matrix_transpose matvec norm normalize qr set_diag slogdet solve
        svd tensor_diag tensor_diag_part tensordot trace triangular_solve""",
    "image.": """adjust_brightness adjust_contrast adjust_gamma adjust_hue adjust_saturation
        central_crop convert_image_dtype crop_and_resize crop_to_bounding_box extract_patches
        flip_left_right flip_up_down grayscale_to_rgb hsv_to_rgb pad_to_bounding_box
        per_image_standardization resize resize_area resize_bicubic resize_bilinear resize_images
        resize_nearest_neighbor resize_with_crop_or_pad resize_with_pad rgb_to_grayscale rgb_to_hsv
        rgb_to_yiq rgb_to_yuv rot90 transpose yiq_to_rgb yuv_to_rgb""",
    "signal.": """dct fft fft2d fft3d fftshift frame idct ifft ifft2d ifft3d ifftshift irfft
        irfft2d irfft3d linear_to_mel_weight_matrix mfccs_from_log_mel_spectrograms overlap_and_add
        rfft rfft2d rfft3d stft hamming_window hann_window""",
    "bitwise.": "bitwise_and bitwise_or bitwise_xor invert left_shift right_shift",
    "quantization.": """fake_quant_with_min_max_args fake_quant_with_min_max_vars
        fake_quant_with_min_max_vars_per_channel""",
}

#: Names of the allowed functions, as `tf` exports them without "tf.".
PURE_FUNCTIONS = frozenset(
    prefix + name for prefix, names in _NAMES.items() for name in names.split()
)
