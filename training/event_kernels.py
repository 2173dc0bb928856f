"""Compiled loops of `spikebridge.training.event_projection`: delayed synapses driven by events.

A synapse from i to j has `taps` weights `values[j, i]` at the delays `lag[j, i] .. lag[j, i] + taps - 1` in steps.
Arrays over time have time last, (batch, neurons, steps): the loops of one target then write to one row that stays in
the cache.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from spikebridge.training.compiled import compiled

type Floats = npt.NDArray[Any]
"""float32 or float64, the same in one call."""
type Ints = npt.NDArray[Any]
"""int32 or int64."""


@compiled
def count_events(first: int, last: int, spikes: Floats, counts: Ints) -> None:
    """Events per sample and source, `counts` (batch, sources), of `spikes` (batch, steps, sources)."""
    for b in range(first, last):
        for t in range(spikes.shape[1]):
            for i in range(spikes.shape[2]):
                if spikes[b, t, i] != 0:
                    counts[b, i] += 1


@compiled
def list_events(first: int, last: int, spikes: Floats, place: Ints, step: Ints, value: Floats) -> None:
    """Step and value of every event, by sample, source and time; `place` (batch, sources): where each list starts."""
    for b in range(first, last):
        free = place[b].copy()
        for t in range(spikes.shape[1]):
            for i in range(spikes.shape[2]):
                if spikes[b, t, i] != 0:
                    step[free[i]] = t
                    value[free[i]] = spikes[b, t, i]
                    free[i] += 1


@compiled
def arrive(
    first: int, last: int, place: Ints, step: Ints, value: Floats, lag: Ints, values: Floats, out: Floats
) -> None:
    """Add the arrivals of samples `first .. last - 1` to `out` (batch, targets, steps)."""
    targets, sources, taps = values.shape
    steps = out.shape[2]
    for b in range(first, last):
        for j in range(targets):
            row = out[b, j]
            for i in range(sources):
                start = lag[j, i]
                for event in range(place[b, i], place[b, i + 1]):
                    at, v = step[event] + start, value[event]
                    if at >= 0 and at + taps <= steps:
                        for m in range(taps):
                            row[at + m] += v * values[j, i, m]
                    else:
                        for m in range(max(0, -at), min(taps, steps - at)):
                            row[at + m] += v * values[j, i, m]


@compiled
def gather_values(
    first: int, last: int, place: Ints, step: Ints, value: Floats, lag: Ints, grad_out: Floats, grad_values: Floats
) -> None:
    """Gradient of `values` for targets `first .. last - 1`: each event meets the gradient where it arrived."""
    batch, _, steps = grad_out.shape
    _, sources, taps = grad_values.shape
    total = np.zeros(taps, grad_values.dtype)
    for j in range(first, last):
        for b in range(batch):
            row = grad_out[b, j]
            for i in range(sources):
                start = lag[j, i]
                total[:] = 0
                for event in range(place[b, i], place[b, i + 1]):
                    at, v = step[event] + start, value[event]
                    if at >= 0 and at + taps <= steps:
                        for m in range(taps):
                            total[m] += v * row[at + m]
                    else:
                        for m in range(max(0, -at), min(taps, steps - at)):
                            total[m] += v * row[at + m]
                for m in range(taps):
                    grad_values[j, i, m] += total[m]


@compiled
def gather_spikes(first: int, last: int, lag: Ints, values: Floats, grad_out: Floats, grad_spikes: Floats) -> None:
    """Gradient of the spikes, (batch, sources, steps), of samples `first .. last - 1`, by operations on long rows."""
    targets, sources, taps = values.shape
    steps = grad_out.shape[2]
    for b in range(first, last):
        for i in range(sources):
            into = grad_spikes[b, i]
            for j in range(targets):
                row = grad_out[b, j]
                for m in range(taps):
                    shift, v = lag[j, i] + m, values[j, i, m]
                    start, end = max(0, -shift), min(steps, steps - shift)
                    if v != 0 and start < end:
                        # Slices, since indices counted from 0 are what the compiler turns into vector instructions.
                        target, source = into[start:end], row[start + shift : end + shift]
                        for t in range(end - start):
                            target[t] += v * source[t]
