"""Times to whole steps, rounded the way Brian2 rounds, in this one place."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from spikebridge.bridge.arrays import FloatArray, IntArray
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


def aligned_delay_ms(
    delay_ms: npt.ArrayLike, latency_steps: float, training_step_ms: float, step_ms: float
) -> FloatArray:
    """What is left of a delay for the queue of a grid, in milliseconds, where the grid's own latency counts as delay.

    A grid of step h is late by itself: it reads an input, and reports a threshold crossing, at the end of the step in
    which it happens. An input, and a crossing by a smooth current, is somewhere within its step, so h / 2 late on
    average (latency_steps 1/2). A crossing by a jump is at the start of the step after that in which the jump was
    delivered, so h late (1). Trained on a grid of step H with a delay d, a synapse therefore waits d + latency_steps H
    in continuous time, of which

        d + latency_steps (H - h)

    are left for the queue of a grid of step h; on the training grid that is d.

    Args:
        delay_ms: d, on the training grid.
        latency_steps: 1/2, 1, or 0 for a network that was trained without regard to it.
        training_step_ms: H.
        step_ms: h.
    """
    return np.asarray(delay_ms, dtype=np.float64) + latency_steps * (training_step_ms - step_ms)


def aligned_delay_to_steps(
    delay_ms: npt.ArrayLike, latency_steps: float, training_step_ms: float, step_ms: float
) -> IntArray:
    """`aligned_delay_ms` in whole steps: the nearest, halves up, at least 0.

    Halves are common (half the training step is no whole number of steps), so they are told with the tolerance of
    `timestep`; without latency this is `delay_to_steps`.
    """
    if latency_steps == 0:
        return delay_to_steps(delay_ms, step_ms)
    left_ms = aligned_delay_ms(delay_ms, latency_steps, training_step_ms, step_ms)
    return timestep(np.maximum(left_ms, 0.0) + step_ms / 2, step_ms)
