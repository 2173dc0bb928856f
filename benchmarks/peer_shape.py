"""Sizes and time constants that the networks of `peers.py` share."""

from __future__ import annotations

from typing import NamedTuple

STEP_MS = 10.0
TAU_MEMBRANE_MS = 20.0
TAU_ADAPTATION_MS = 200.0


class Shape(NamedTuple):
    """Sizes from the input to the readout, and how many steps a delay can have."""

    sizes: tuple[int, ...] = (140, 256, 256, 20)
    delay_steps: int = 25
