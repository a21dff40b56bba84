"""Pools and means."""

from __future__ import annotations

import math

from .. import fixedpoint as fp
from ..graph import Operator
from .geometry import image, windows
from .lowering import Lowering, operator


@operator("AVERAGE_POOL_2D", "MAX_POOL_2D")
def _pool_2d(low: Lowering, op: Operator) -> None:
    x, source, padding = low.padded()
    y, result = low.result()
    low.keep_quantization(x, y, "pools keep")
    values = windows(low, op, x, y, (int(op.options["FilterHeight"]), int(op.options["FilterWidth"])), padding)
    del values["dy"], values["dx"]
    channels = image(low, x)[2]
    if y.shape[3] != channels:
        raise low.error(f"makes {y.shape} of {x.shape}", "export the model again")
    kernel = "average_pool" if op.kind == "AVERAGE_POOL_2D" else "max_pool"
    low.add_step(kernel, values | {"c": channels} | low.clamp(y), {"x": source, "y": result})


@operator("MEAN")
def _mean(low: Lowering, op: Operator) -> None:
    x, source = low.activation(0)
    y, result = low.result()
    given = low.constant(1, ("int32",), "axes")
    axes = [] if given is None else [int(a) for a in given.reshape(-1)]
    rank = len(x.shape)
    reduced = sorted({a % rank for a in axes if -rank <= a < rank})
    first, last = (reduced[0], reduced[-1] + 1) if reduced else (0, 0)
    channels = math.prod(x.shape[last:])
    if not reduced or reduced != list(range(first, last)) or math.prod(x.shape[:first]) != 1 or y.size != channels:
        raise low.error(f"axes {axes} of {x.shape} are not supported", "take the mean over height and width")
    n = math.prod(x.shape[first:last])
    m, e = fp.quantize_multiplier(x.scale / y.scale)
    # 1 / n goes into the multiplier, as far as the shift has room: QuantizedMeanOrSum in reference/reduce.h.
    extra = min(n.bit_length() - 1, 32, 31 - e)
    values = {"n": n, "c": low.field("channels", channels, 65535), "bias": -x.zero_point * n, "zo": y.zero_point}
    values |= {"m": (m << extra) // n, "e": e + extra}
    if n > 1 << 23:
        raise low.error(f"the mean of {n} values can overflow int32", "reduce the image first")
    low.add_step("mean", values, {"x": source, "y": result})
