"""from_torch: a PyTorch module -> Graph, through ONNX in memory."""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING, Any

from .errors import WhitError
from .graph import Graph
from .read_onnx import read_onnx

if TYPE_CHECKING:
    import torch


def from_torch(module: torch.nn.Module, example: Any, name: str = "model") -> Graph:
    """The float graph of a module in eval mode; the module keeps its mode, and no random number is drawn.

    Args:
        module: with operators that whit has; control flow is followed as it goes for `example`.
        example: what forward() takes: a tensor with the batch first, (1, channels, height, width) for images, or a
            tuple of tensors. Only shapes and types matter.
        name: what messages call the model.

    Raises:
        WhitError: PyTorch or onnx is not installed, PyTorch cannot export the module, or read_onnx cannot read it.
    """
    try:
        import torch
    except ImportError:
        raise WhitError("PyTorch is not installed; install the extra whit[train]") from None
    examples = example if isinstance(example, tuple) else (example,)
    modes = [(m, m.training) for m in module.modules()]
    file: Any = io.BytesIO()
    try:
        module.eval()
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the exporter, about itself and about shapes taken as constants
            # The exporter by tracing: the other one needs a package more.
            torch.onnx.export(module, examples, file, input_names=["input"], output_names=["output"], dynamo=False)
    except Exception as e:  # the exporter raises whatever a module or an operator raises
        said = " ".join(str(e).split()) or type(e).__name__
        raise WhitError(f"{name}: PyTorch cannot export this module ({said[:200]}); try torch.onnx.export") from e
    finally:
        for m, mode in modes:
            m.training = mode
    return read_onnx(file.getvalue(), name)
