"""Times to whole steps, rounded the way Brian2 rounds, in this one place."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from spikebridge.bridge.arrays import IntArray
from spikebridge.bridge.errors import SpecError


def timestep(time_ms: npt.ArrayLike, step_ms: float) -> IntArray:
    """The step a time falls into: floor(t / dt), with 0.001 of a step of tolerance.

    The formula of `brian2.core.functions.timestep`, which Brian2 uses for refractoriness and for spike generators.
    """
    return np.asarray((np.asarray(time_ms, dtype=np.float64) + 1e-3 * step_ms) / step_ms, dtype=np.int64)


def delay_to_steps(delay_ms: npt.ArrayLike, step_ms: float) -> IntArray:
    """A delay in whole steps: the nearest, halves up, as Brian2's spike queues do."""
    return np.asarray(np.asarray(delay_ms, dtype=np.float64) / step_ms + 0.5, dtype=np.int64)


def off_grid(time_ms: npt.ArrayLike, step_ms: float) -> npt.NDArray[np.bool_]:
    """Which times are no multiple of the step (to 1e-6 of a step), so that a grid must round them."""
    steps = np.asarray(time_ms, dtype=np.float64) / step_ms
    return np.asarray(np.abs(steps - np.round(steps)) > 1e-6)


def whole_steps(name: str, time_ms: float, step_ms: float) -> int:
    """`time_ms` in steps where it must be a multiple of the step.

    Raises:
        SpecError: it is not a multiple, so rounding would change the experiment.
    """
    if bool(off_grid(time_ms, step_ms)):
        raise SpecError(
            f"{name} of {time_ms} ms is no multiple of the step of {step_ms} ms; choose a step that divides it"
        )
    return round(time_ms / step_ms)


def aligned_delay_to_steps(delay_ms: npt.ArrayLike, latency_ms: float, step_ms: float) -> IntArray:
    """A delay in whole steps, on a grid whose own latency counts as part of the delay.

    A grid of step h reads an input that falls into a step, and reports a threshold crossing within a step, at the end
    of that step: h / 2 late on average. So of a delay d + L in continuous time, d + L - h / 2 remain for the queue,
    to the nearest step (halves up), which is floor((d + L) / h).

    Args:
        delay_ms: d, at least 0.
        latency_ms: L, half the step of the grid on which the delays were chosen: there the result is round(d / h).
        step_ms: h.
    """
    return timestep(np.asarray(delay_ms, dtype=np.float64) + latency_ms, step_ms)
