"""Philox4x32-10, random numbers as a function of a counter: Salmon, Moraes, Dror & Shaw 2011 (SC'11).

What `disturbance.h` does in C++, in NumPy, whose own Philox has words of 64 bits and draws them in sequence.
"""

from __future__ import annotations

import numpy as np

from spikebridge.bridge.arrays import FloatArray

type Word = np.ndarray | int
"""Whole numbers, of which the low 32 bits count; any shape that broadcasts."""

_MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
_KEY_STEPS = (0x9E3779B9, 0xBB67AE85)
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
_ROUNDS = 10
_TWO_53 = 2.0**53


def philox4x32(seed: int, counter: tuple[Word, Word, Word, Word]) -> list[np.ndarray]:
    """Four words of 32 random bits, as uint64.

    Args:
        seed: 64 bits, the low half the first word of the key.
        counter: four words.
    """
    c0, c1, c2, c3 = np.broadcast_arrays(
        *(np.asarray(word).astype(np.int64).view(np.uint64) & _LOW for word in counter)
    )
    key = [seed & 0xFFFFFFFF, seed >> 32 & 0xFFFFFFFF]
    for _ in range(_ROUNDS):
        p0, p1 = _MULTIPLIERS[0] * c0, _MULTIPLIERS[1] * c2
        c0, c1 = (p1 >> _HALF) ^ c1 ^ np.uint64(key[0]), p1 & _LOW
        c2, c3 = (p0 >> _HALF) ^ c3 ^ np.uint64(key[1]), p0 & _LOW
        key = [(word + step) & 0xFFFFFFFF for word, step in zip(key, _KEY_STEPS, strict=True)]
    return [c0, c1, c2, c3]


def uniform(seed: int, counter: tuple[Word, Word, Word, Word]) -> FloatArray:
    """Uniform in [0, 1), of 53 bits."""
    words = philox4x32(seed, counter)
    return _bits(words[0], words[1]) / _TWO_53


def normal(seed: int, counter: tuple[Word, Word, Word, Word]) -> FloatArray:
    """Standard normal, by Box and Muller (1958)."""
    words = philox4x32(seed, counter)
    radius = (_bits(words[0], words[1]) + 1.0) / _TWO_53
    angle = _bits(words[2], words[3]) / _TWO_53
    return np.asarray(np.sqrt(-2.0 * np.log(radius)) * np.cos(2.0 * np.pi * angle))


def _bits(high: np.ndarray, low: np.ndarray) -> FloatArray:
    """53 bits as a whole number."""
    return (high >> np.uint64(5)).astype(np.float64) * 2.0**26 + (low >> np.uint64(6)).astype(np.float64)
