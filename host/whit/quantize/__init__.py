"""quantize: a float Graph and samples of its input -> an int8 Graph."""

from .budget import quantize_within
from .quantize import Layer, Quantized, quantize
from .rounded import execute_rounded

__all__ = ["Layer", "Quantized", "execute_rounded", "quantize", "quantize_within"]
