"""quantize: a float Graph and samples of its input -> an int8 Graph."""

from .quantize import Layer, Quantized, quantize

__all__ = ["Layer", "Quantized", "quantize"]
