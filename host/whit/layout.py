"""How weights lie in the blob: one layout for all cores, chosen for their inner loops. FORMAT.md draws it.

Each writer here has its reader beside it, which the reference executor uses.
"""

from __future__ import annotations

import numpy as np


def _padded(n: int) -> int:
    return -(-n // 4) * 4


def quad_blocks(weights: np.ndarray) -> bytes:
    """int8 [O, K] -> [O/4][K/4][4 channels][4 k], both dimensions padded with zeros to a multiple of 4."""
    o, k = weights.shape
    padded = np.zeros((_padded(o), _padded(k)), np.int8)
    padded[:o, :k] = weights
    return padded.reshape(-1, 4, _padded(k) // 4, 4).transpose(0, 2, 1, 3).tobytes()


def read_quad_blocks(data: bytes, o: int, k: int) -> np.ndarray:
    """The int8 [O, K] that quad_blocks() wrote."""
    blocks = np.frombuffer(data, np.int8).reshape(-1, _padded(k) // 4, 4, 4)
    return blocks.transpose(0, 2, 1, 3).reshape(_padded(o), _padded(k))[:o, :k]


def dense_blocks(weights: np.ndarray) -> bytes:
    """quad_blocks() with every even k stored as w + 128: it saves a core with 16-bit lanes one unpack in two."""
    return _flip_even_k(quad_blocks(weights))


def read_dense_blocks(data: bytes, o: int, k: int) -> np.ndarray:
    """The int8 [O, K] that dense_blocks() wrote."""
    return read_quad_blocks(_flip_even_k(data), o, k)


def _flip_even_k(data: bytes) -> bytes:
    return (np.frombuffer(data, np.uint8).reshape(-1, 2) ^ np.array([0x80, 0], np.uint8)).tobytes()


def int4_blocks(weights: np.ndarray) -> bytes:
    """int8 [O, K] of -8 to 7 -> quad blocks of half the size, for convolutions and dense layers alike.

    A block is [2 pairs of channels][4 k] bytes, w + 8 of a pair's first channel in the low nibble.
    """
    pairs = (np.frombuffer(quad_blocks(weights), np.uint8) + 8 & 15).reshape(-1, 2, 4)
    return (pairs[:, 0] | pairs[:, 1] << 4).tobytes()


def read_int4_blocks(data: bytes, o: int, k: int) -> np.ndarray:
    """The int8 [O, K] that int4_blocks() wrote."""
    pairs = np.frombuffer(data, np.uint8).reshape(-1, 4)
    nibbles = np.stack((pairs & 15, pairs >> 4), 1)
    return read_quad_blocks((nibbles.astype(np.int8) - 8).astype(np.int8).tobytes(), o, k)


def quant_blocks(bias: np.ndarray, multiplier: np.ndarray, shift: np.ndarray) -> bytes:
    """Per four channels: bias int32[4], multiplier int32[4], right shift int8[4]; the last block padded with zeros."""
    n = len(bias)
    blocks = np.zeros(_padded(n) // 4, np.dtype([("b", "<i4", 4), ("m", "<i4", 4), ("e", "i1", 4)]))
    for field, values in (("b", bias), ("m", multiplier), ("e", shift)):
        padded = np.zeros(_padded(n), np.int64)
        padded[:n] = values
        blocks[field] = padded.reshape(-1, 4)
    return blocks.tobytes()


def read_quant_blocks(data: bytes, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Bias, multiplier and right shift of n channels, each int64 [n]."""
    blocks = np.frombuffer(data, np.dtype([("b", "<i4", 4), ("m", "<i4", 4), ("e", "i1", 4)]))
    bias, multiplier, shift = (blocks[f].reshape(-1)[:n].astype(np.int64) for f in "bme")
    return bias, multiplier, shift
