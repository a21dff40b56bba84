"""What whit uses of the TFLite schema, as one table read by both the reader and the writer.

An operator's options are the fields of its options table, under the names the schema gives them
(tensorflow/compiler/mlir/lite/schema/schema.fbs); an operator that is not here has no options whit reads.
"""

import tflite

# operator -> (options table, its fields)
_POOL = (
    "Pool2DOptions",
    ("Padding", "StrideW", "StrideH", "FilterWidth", "FilterHeight", "FusedActivationFunction"),
)
OPTIONS: dict[str, tuple[str, tuple[str, ...]]] = {
    "CONV_2D": (
        "Conv2DOptions",
        ("Padding", "StrideW", "StrideH", "FusedActivationFunction", "DilationWFactor", "DilationHFactor"),
    ),
    "DEPTHWISE_CONV_2D": (
        "DepthwiseConv2DOptions",
        (
            "Padding",
            "StrideW",
            "StrideH",
            "DepthMultiplier",
            "FusedActivationFunction",
            "DilationWFactor",
            "DilationHFactor",
        ),
    ),
    "FULLY_CONNECTED": ("FullyConnectedOptions", ("FusedActivationFunction", "WeightsFormat", "KeepNumDims")),
    "AVERAGE_POOL_2D": _POOL,
    "MAX_POOL_2D": _POOL,
    "ADD": ("AddOptions", ("FusedActivationFunction",)),
    "SUB": ("SubOptions", ("FusedActivationFunction",)),
    "MUL": ("MulOptions", ("FusedActivationFunction",)),
    "DIV": ("DivOptions", ("FusedActivationFunction",)),
    "SOFTMAX": ("SoftmaxOptions", ("Beta",)),
    "MEAN": ("ReducerOptions", ("KeepDims",)),
    "LEAKY_RELU": ("LeakyReluOptions", ("Alpha",)),
    "CONCATENATION": ("ConcatenationOptions", ("Axis", "FusedActivationFunction")),
    "STRIDED_SLICE": (
        "StridedSliceOptions",
        ("BeginMask", "EndMask", "EllipsisMask", "NewAxisMask", "ShrinkAxisMask", "Offset"),
    ),
    "SPLIT": ("SplitOptions", ("NumSplits",)),
    "SPLIT_V": ("SplitVOptions", ("NumSplits",)),
    "CALL_ONCE": ("CallOnceOptions", ("InitSubgraphIndex",)),
}

RESOURCE = "resource"  # the type of a tensor that names a variable
DTYPES: dict[int, str] = {
    tflite.TensorType.FLOAT32: "float32",
    tflite.TensorType.FLOAT16: "float16",
    tflite.TensorType.INT32: "int32",
    tflite.TensorType.UINT8: "uint8",
    tflite.TensorType.INT64: "int64",
    tflite.TensorType.INT16: "int16",
    tflite.TensorType.INT8: "int8",
    tflite.TensorType.BOOL: "bool",
    tflite.TensorType.INT4: "int4",
    tflite.TensorType.RESOURCE: RESOURCE,
}


def names_of(enum: type) -> dict[int, str]:
    """Value -> name of one of the schema's enums."""
    return {v: k for k, v in vars(enum).items() if not k.startswith("_") and isinstance(v, int)}


OPERATORS: dict[int, str] = names_of(tflite.BuiltinOperator)
FILE_IDENTIFIER = b"TFL3"
METADATA_NAME = "TFLITE_METADATA"
AXES_NAME = "WHIT_AXES"  # metadata of ours: Graph.input_axes and output_axes as JSON
