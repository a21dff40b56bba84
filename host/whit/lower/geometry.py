"""What convolutions and pools share: images, and windows that slide over them."""

from __future__ import annotations

from ..graph import Operator, Tensor
from .lowering import Lowering
from .padding import Padding


def image(low: Lowering, tensor: Tensor) -> tuple[int, int, int]:
    """Height, width and channels of an NHWC tensor of one image."""
    if len(tensor.shape) != 4 or tensor.shape[0] != 1:
        raise low.error(
            f"'{tensor.title}' has the shape {tensor.shape}, whit needs (1, height, width, channels)",
            "export the model with batch size 1",
        )
    h, w, c = (low.field(n, d, 65535) for n, d in zip(("height", "width", "channels"), tensor.shape[1:], strict=True))
    return h, w, c


def windows(
    low: Lowering, op: Operator, x: Tensor, y: Tensor, kernel: tuple[int, int], given: Padding | None = None
) -> dict[str, int]:
    """The fields that slide a window over an image: sizes, strides, dilations and padding.

    The padding is that of TFLite's two schemes, or `given`, that of a PAD in front.
    """
    (ih, iw, _), (oh, ow, _) = image(low, x), image(low, y)
    values = {"ih": ih, "iw": iw, "oh": oh, "ow": ow}
    for n, (axis, i, o, k, letter) in enumerate((("H", ih, oh, kernel[0], "y"), ("W", iw, ow, kernel[1], "x"))):
        stride, dilation = int(op.options[f"Stride{axis}"]), int(op.options.get(f"Dilation{axis}Factor", 1))
        reach = (k - 1) * dilation + 1
        same = op.options["Padding"] == 0
        i += given.before[n] + given.behind[n] if given else 0
        expected = -(-i // stride) if same and stride > 0 else (i - reach) // max(stride, 1) + 1
        if stride < 1 or dilation < 1 or o != expected:
            raise low.error(
                f"stride {stride}, dilation {dilation}, kernel {k} over {i} do not give {o}",
                "export the model again",
            )
        padding = max((o - 1) * stride + reach - i, 0) // 2 if same else 0
        values["k" + axis.lower()] = low.field("kernel", k, 255)
        values["s" + letter] = low.field("stride", stride, 255)
        values["d" + letter] = low.field("dilation", dilation, 255)
        values["p" + letter] = low.field("padding", given.before[n] if given else padding, 255)
    if iw == ow == kernel[1] == 1:  # a column is a row, which kernels are made for
        return {_TURNED.get(name, name): value for name, value in values.items()}
    return values


_TURNED = {"ih": "iw", "oh": "ow", "kh": "kw", "sy": "sx", "dy": "dx", "py": "px"}
_TURNED |= {across: down for down, across in _TURNED.items()}
