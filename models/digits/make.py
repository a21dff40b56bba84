"""Train the digits sample model, convert it to int8 and record its test vectors.

    python models/digits/make.py

Writes beside itself:
    digits_int8.tflite   the network, int8 in and out, label names embedded as TFLite metadata
    vectors.npz          images [360,8,8] uint8 0..16, labels [360] uint8,
                         outputs [360,10] int8, as computed by the tflite-micro interpreter

Deterministic for one set of package versions and one CPU type; the trained bits may differ between those.
"""

import contextlib
import io
import os
import sys
import zipfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")  # its kernels sum in an order that depends on the CPU

try:
    import flatbuffers
    import numpy as np
    import tensorflow as tf
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split
    from tensorflow.lite.python import schema_py_generated as schema
    from tflite_micro import runtime
except ImportError as error:
    sys.exit(f"make.py needs TensorFlow, scikit-learn and tflite-micro ({error}): pip install whit[models]")

SEED = 0
EPOCHS = 30
BATCH = 64
PIXEL_MAX = 16
LABELS = [str(digit) for digit in range(10)]
# Metadata constants: metadata_schema.fbs and metadata.py of TFLite Support.
METADATA_NAME, METADATA_ID = "TFLITE_METADATA", b"M001"
TENSOR_AXIS_LABELS = 2


def shift_augment(images, labels):
    """Each image in all nine 1-pixel shifts (zero fill), so the classifier tolerates a digit off centre."""
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
    shifted = [padded[:, y : y + 8, x : x + 8] for y in range(3) for x in range(3)]
    return np.concatenate(shifted), np.tile(labels, len(shifted))


def build_network(batch=None):
    """Two depthwise-separable stages after a 3x3 stem; each batch norm folds into the convolution before it."""
    layers = tf.keras.layers
    return tf.keras.Sequential([
        layers.Input((8, 8, 1), batch_size=batch),
        layers.Conv2D(8, 3, padding="same", use_bias=False), layers.BatchNormalization(), layers.ReLU(),
        layers.DepthwiseConv2D(3, padding="same", use_bias=False), layers.BatchNormalization(),
        layers.Conv2D(16, 1, use_bias=False), layers.BatchNormalization(), layers.ReLU(),
        layers.MaxPooling2D(2),
        layers.DepthwiseConv2D(3, padding="same", use_bias=False), layers.BatchNormalization(),
        layers.Conv2D(32, 1, use_bias=False), layers.BatchNormalization(), layers.ReLU(),
        # 2x2, not global: where a stroke lies separates digits this small.
        layers.AveragePooling2D(2), layers.Flatten(), layers.Dropout(0.2),
        layers.Dense(10, activation="softmax"),
    ])  # fmt: skip


def train(network, images, labels):
    images, labels = shift_augment(images, labels)
    steps = EPOCHS * -(-len(images) // BATCH)
    rate = tf.keras.optimizers.schedules.CosineDecay(5e-3, steps)
    network.compile(tf.keras.optimizers.AdamW(rate, weight_decay=1e-2), loss="sparse_categorical_crossentropy")
    network.fit(images, labels, batch_size=BATCH, epochs=EPOCHS, verbose=0)


def convert(network, calibration):
    """The int8 TFLite bytes, batch fixed to 1: a free batch size would add shape arithmetic to the graph."""
    fixed = build_network(batch=1)
    fixed.set_weights(network.get_weights())
    converter = tf.lite.TFLiteConverter.from_keras_model(fixed)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    converter.representative_dataset = lambda: ([image[None]] for image in calibration)
    with contextlib.redirect_stdout(sys.stderr):  # Keras reports the export; stdout is for the summary
        return converter.convert()


def build_metadata():
    """A ModelMetadata flatbuffer that names labels.txt as the labels of output 0. Numbers are schema slots."""
    builder = flatbuffers.Builder(256)

    def table(offsets, file_type=0):
        builder.StartObject(8)
        for slot, offset in offsets.items():
            builder.PrependUOffsetTRelativeSlot(slot, offset, 0)
        builder.PrependInt8Slot(2, file_type, 0)  # AssociatedFile.type; 0 is the default and writes nothing
        return builder.EndObject()

    def vector(offset):
        builder.StartVector(4, 1, 4)
        builder.PrependUOffsetTRelative(offset)
        return builder.EndVector()

    labels_file = table({0: builder.CreateString("labels.txt")}, TENSOR_AXIS_LABELS)  # name, type
    output = table({0: builder.CreateString("probability"), 6: vector(labels_file)})  # name, associated_files
    image = table({0: builder.CreateString("image")})
    subgraph = table({2: vector(image), 3: vector(output)})  # input_, output_tensor_metadata
    builder.Finish(table({3: vector(subgraph)}), METADATA_ID)  # subgraph_metadata
    return builder.Output()


class AlignedBuilder(flatbuffers.Builder):
    """Keeps tensor data 16-byte aligned, as `force_align` in the TFLite schema asks; the object API forgets it."""

    def StartVector(self, elemSize, numElems, alignment):
        return super().StartVector(elemSize, numElems, 16 if elemSize == 1 else alignment)


def embed_labels(tflite):
    """The model with the metadata buffer inside and labels.txt zipped behind it; a reader of one ignores the other."""
    model = schema.ModelT.InitFromPackedBuf(tflite)
    model.metadata.append(schema.MetadataT(METADATA_NAME, len(model.buffers)))
    model.buffers.append(schema.BufferT(np.frombuffer(build_metadata(), np.uint8)))
    builder = AlignedBuilder(len(tflite))
    builder.Finish(model.Pack(builder), b"TFL3")
    file = io.BytesIO(bytes(builder.Output()))
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr(zipfile.ZipInfo("labels.txt"), "\n".join(LABELS) + "\n")  # ZipInfo: fixed date, stored
    return file.getvalue()


def quantize(images, scale, zero_point):
    """Pixels 0..16 to the int8 input [n,8,8,1]: round half away from zero of x/16/scale, in float32."""
    real = images.astype(np.float32) / np.float32(PIXEL_MAX) / np.float32(scale)
    rounded = np.copysign(np.floor(np.abs(real) + np.float32(0.5)), real).astype(np.int32)
    return np.clip(rounded + zero_point, -128, 127).astype(np.int8)[..., None]


def run_tflite_micro(tflite, images):
    """int8 outputs [n,10] for images [n,8,8] of 0..16."""
    interpreter = runtime.Interpreter.from_bytes(tflite)
    quantization = interpreter.get_input_details(0)["quantization_parameters"]
    outputs = []
    for image in quantize(images, quantization["scales"][0], quantization["zero_points"][0]):
        interpreter.set_input(image[None], 0)
        interpreter.invoke()
        outputs.append(interpreter.get_output(0)[0].copy())
    return np.array(outputs)


def print_layers(tflite):
    """One line per operator: output shape, weights and biases, multiply-accumulates."""
    graph = schema.ModelT.InitFromPackedBuf(tflite)
    names = {code: name for name, code in vars(schema.BuiltinOperator).items() if isinstance(code, int)}
    tensors = graph.subgraphs[0].tensors
    total_parameters = total_macs = 0
    for operator in graph.subgraphs[0].operators:
        name = names[graph.operatorCodes[operator.opcodeIndex].builtinCode]
        output = tensors[operator.outputs[0]].shape
        parameters = macs = 0
        if name in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"):
            weights = np.prod(tensors[operator.inputs[1]].shape)
            parameters = weights + output[-1]  # one bias per output channel
            macs = np.prod(output) * weights // output[-1]
        print(f"{name:18}{'x'.join(map(str, output)):>10}{parameters:7}{macs:7}")
        total_parameters, total_macs = total_parameters + parameters, total_macs + macs
    print(f"{'total':28}{total_parameters:7}{total_macs:7}")


def replace_file(path, data):
    """Never leaves half a file under the final name."""
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(data)
    partial.replace(path)


def main():
    tf.keras.utils.set_random_seed(SEED)
    tf.config.experimental.enable_op_determinism()
    digits = load_digits()
    train_images, test_images, train_labels, test_labels = train_test_split(
        digits.images.astype(np.uint8), digits.target.astype(np.uint8),
        test_size=0.2, stratify=digits.target, random_state=SEED,
    )  # fmt: skip
    train_reals, test_reals = (x[..., None].astype(np.float32) / PIXEL_MAX for x in (train_images, test_images))

    network = build_network()
    train(network, train_reals, train_labels)
    float_hits = np.sum(network.predict(test_reals, verbose=0).argmax(1) == test_labels)
    tflite = embed_labels(convert(network, train_reals))
    outputs = run_tflite_micro(tflite, test_images)
    int8_hits = np.sum(outputs.argmax(1) == test_labels)

    vectors = io.BytesIO()
    np.savez_compressed(vectors, images=test_images, labels=test_labels, outputs=outputs)
    folder = Path(__file__).parent
    replace_file(folder / "digits_int8.tflite", tflite)
    replace_file(folder / "vectors.npz", vectors.getvalue())

    print_layers(tflite)
    count = len(test_labels)
    print(f"images: {len(train_labels)} train, {count} test")
    print(f"float accuracy: {float_hits}/{count} = {float_hits / count:.2%}")
    print(f"int8 accuracy:  {int8_hits}/{count} = {int8_hits / count:.2%} (tflite-micro)")
    print(f"digits_int8.tflite: {len(tflite)} bytes; vectors.npz: {vectors.tell()} bytes")


if __name__ == "__main__":
    main()
