"""Compression by training, on PyTorch: float Graphs pruned, distilled, and fine-tuned for quantization."""

from __future__ import annotations

from ..errors import WhitError

try:
    import torch  # noqa: F401
except ImportError:
    raise WhitError("PyTorch, which trains, is not installed; install the extra whit[train] beside whit") from None
