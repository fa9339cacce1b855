"""Ops that the graph of a SavedModel may have: arithmetic, control flow and variables.

Ops that read or write files, start Python, open connections, print or load libraries are absent.
"""

from __future__ import annotations

_NAMES = """
    Abs AccumulateNV2 Acos Acosh Add AddN AddV2 AdjustContrast AdjustContrastv2 AdjustHue
    AdjustSaturation All Angle Any ApproximateEqual ArgMax ArgMin Asin Asinh Assert Atan Atan2 Atanh
    AvgPool AvgPool3D BatchMatMul BatchMatMulV2 BatchMatMulV3 BatchNormWithGlobalNormalization
    BatchToSpace BatchToSpaceND BesselI0 BesselI0e BesselI1 BesselI1e Betainc BiasAdd BiasAddV1
    Bincount Bitcast BitwiseAnd BitwiseOr BitwiseXor BlockLSTM BlockLSTMV2 BroadcastArgs
    BroadcastGradientArgs BroadcastTo Bucketize Cast Ceil CheckNumerics CheckNumericsV2 Cholesky
    ClipByValue CombinedNonMaxSuppression Complex ComplexAbs Concat ConcatOffset ConcatV2 Conj
    ConjugateTranspose Const Conv2D Conv2DBackpropInput Conv3D Conv3DBackpropInput
    Conv3DBackpropInputV2 Cos Cosh CropAndResize Cross Cumprod Cumsum CumulativeLogsumexp
    DataFormatDimMap DataFormatVecPermute DenseBincount DepthToSpace DepthwiseConv2dNative
    DepthwiseConv2dNativeBackpropInput Dequantize Diag DiagPart Digamma Dilation2D Div DivNoNan
    DynamicPartition DynamicStitch Einsum Elu Empty EmptyTensorList EnsureShape Equal Erf Erfc
    Erfinv EuclideanNorm Exp ExpandDims Expm1 ExtractImagePatches ExtractVolumePatches FFT FFT2D
    FFT3D FakeParam FakeQuantWithMinMaxArgs FakeQuantWithMinMaxVars
    FakeQuantWithMinMaxVarsPerChannel Fill Floor FloorDiv FloorMod FusedBatchNorm FusedBatchNormV2
    FusedBatchNormV3 FusedPadConv2D FusedResizeAndPadConv2D GRUBlockCell Gather GatherNd GatherV2
    Greater GreaterEqual HSVToRGB IFFT IFFT2D IFFT3D IRFFT IRFFT2D IRFFT3D Identity IdentityN
    Igamma Igammac Imag ImageProjectiveTransformV2 ImageProjectiveTransformV3 InTopK InTopKV2
    InplaceAdd InplaceSub InplaceUpdate Inv Invert InvertPermutation IsFinite IsInf IsNan L2Loss LRN
    LSTMBlockCell LeakyRelu LeftShift Less LessEqual Lgamma LinSpace ListDiff Log Log1p LogSoftmax
    LogicalAnd LogicalNot LogicalOr LowerBound MatMul MatrixBandPart MatrixDeterminant MatrixDiag
    MatrixDiagPart MatrixDiagPartV2 MatrixDiagPartV3 MatrixDiagV2 MatrixDiagV3 MatrixInverse
    MatrixSetDiag MatrixSetDiagV2 MatrixSetDiagV3 MatrixSolve MatrixTriangularSolve Max MaxPool
    MaxPool3D MaxPoolV2 MaxPoolWithArgmax Maximum Mean Mfcc Min Minimum MirrorPad Mod Mul MulNoNan
    Multinomial Neg NextAfter NoOp NonMaxSuppression NonMaxSuppressionV2 NonMaxSuppressionV3
    NonMaxSuppressionV4 NonMaxSuppressionV5 NotEqual OneHot OnesLike Pack Pad PadV2
    ParallelConcat ParallelDynamicStitch Placeholder PlaceholderV2 PlaceholderWithDefault Polygamma
    PopulationCount Pow PreventGradient Prod Qr QuantizeAndDequantize QuantizeAndDequantizeV2
    QuantizeAndDequantizeV3 QuantizeAndDequantizeV4 QuantizeV2 RFFT RFFT2D RFFT3D RGBToHSV
    RandomShuffle RandomStandardNormal RandomUniform RandomUniformInt Range Rank Real RealDiv
    Reciprocal Relu Relu6 Reshape ResizeArea ResizeBicubic ResizeBilinear ResizeNearestNeighbor
    Reverse ReverseSequence ReverseV2 RightShift Rint Roll Round Rsqrt ScaleAndTranslate ScatterNd
    SegmentMax SegmentMean SegmentMin SegmentProd SegmentSum Select SelectV2 SelfAdjointEigV2 Selu
    Shape ShapeN Sigmoid Sign Sin Sinh Size Slice Snapshot Softmax Softplus Softsign SpaceToBatch
    SpaceToBatchND SpaceToDepth Split SplitV Sqrt Square SquaredDifference Squeeze
    StatelessMultinomial StatelessRandomGetAlg StatelessRandomGetKeyCounter
    StatelessRandomGetKeyCounterAlg StatelessRandomNormal StatelessRandomNormalV2
    StatelessRandomUniform StatelessRandomUniformV2 StatelessTruncatedNormal
    StatelessTruncatedNormalV2 StopGradient StridedSlice Sub Sum Svd Tan Tanh TensorListConcat
    TensorListConcatV2 TensorListElementShape TensorListFromTensor TensorListGather
    TensorListGetItem TensorListLength TensorListPopBack TensorListPushBack TensorListReserve
    TensorListResize TensorListScatter TensorListScatterV2 TensorListSetItem TensorListSplit
    TensorListStack TensorScatterAdd TensorScatterMax TensorScatterMin TensorScatterSub
    TensorScatterUpdate TensorStridedSliceUpdate Tile TopK TopKV2 Transpose TruncateDiv TruncateMod
    TruncatedNormal Unique UniqueV2 UniqueWithCounts Unpack UnravelIndex UnsortedSegmentMax
    UnsortedSegmentMin UnsortedSegmentProd UnsortedSegmentSum UpperBound Where Xdivy Xlog1py Xlogy
    ZerosLike Zeta
    AudioSpectrogram AudioMicrofrontend
    TensorArrayCloseV3 TensorArrayConcatV3 TensorArrayGatherV3 TensorArrayReadV3
    TensorArrayScatterV3 TensorArraySizeV3 TensorArraySplitV3 TensorArrayV3 TensorArrayWriteV3
    Case Enter Exit If LoopCond Merge NextIteration PartitionedCall StatefulPartitionedCall
    StatelessCase StatelessIf StatelessWhile Switch While ControlTrigger
    Assign AssignAdd AssignAddVariableOp AssignSub AssignSubVariableOp AssignVariableOp
    DestroyResourceOp DisableCopyOnRead IsVariableInitialized ReadVariableOp ResourceGather
    ResourceGatherNd ResourceScatterAdd ResourceScatterNdAdd ResourceScatterNdUpdate
    ResourceScatterUpdate VarHandleOp VarIsInitializedOp Variable VariableShape VariableV2
    AnonymousHashTable AnonymousMutableHashTable HashTableV2 LookupTableExportV2 LookupTableFindV2
    LookupTableImportV2 LookupTableInsertV2 LookupTableSizeV2 MutableHashTableV2
    AsString StaticRegexFullMatch StringJoin StringToHashBucketFast
    """

#: Ops that compute, in a graph or in its functions.
PURE_OPS = frozenset(_NAMES.split())

#: Ops that write a checkpoint.
SAVE_OPS = frozenset({"MergeV2Checkpoints", "SaveV2", "ShardedFilename"})
#: Op that reads one.
RESTORE_OP = "RestoreV2"
#: Ops of the functions that save and restore a model; allowed where nothing else calls them.
SAVER_OPS = SAVE_OPS | {RESTORE_OP}
