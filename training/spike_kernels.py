"""Compiled loops for the gradient of the spikes of delayed synapses with few delays each.

Samples lie side by side, a register full of them, so that a delay moves by whole registers: neighbours in time would
straddle two lines of the cache. Arrays (groups of samples, neurons, steps, lanes), here called laned; a tile of steps
stays in registers while the targets pass.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from spikebridge.training.compiled import compiled
from spikebridge.training.event_kernels import Layout
from spikebridge.training.fused_types import Floats, Ints
from spikebridge.training.lane_squares import transpose
from spikebridge.training.lanes import load, plus_product, plus_taps, store, times_row, zeros

TARGETS_TOGETHER = 8
"""Targets whose gradient stays in the cache while all sources pass."""


@cache
def to_lanes(lanes: int) -> Callable[..., None]:
    """The loop from `plain` (batch, steps, neurons) to groups `first .. last - 1` of `laned`, 0 where there is none."""

    @compiled
    def run(first: int, last: int, plain: Floats, laned: Floats) -> None:
        batch, steps, neurons = plain.shape
        stride = laned.shape[2]
        source, into = plain.ravel(), laned.ravel()
        for group in range(first, last):
            samples = min(lanes, batch - group * lanes)
            for n in range(neurons):
                begin = (group * neurons + n) * stride * lanes
                into[begin + (steps if samples == lanes else 0) * lanes : begin + stride * lanes] = 0
            whole = neurons // lanes * lanes if samples == lanes else 0
            for n in range(0, whole, lanes):
                for t in range(steps):
                    at = (group * lanes * steps + t) * neurons + n
                    to = ((group * neurons + n) * stride + t) * lanes
                    transpose(into, to, stride * lanes, source, at, steps * neurons, lanes)
            for lane in range(samples):
                for t in range(steps):
                    for n in range(whole, neurons):
                        laned[group, n, t, lane] = plain[group * lanes + lane, t, n]

    return run


@cache
def from_lanes(lanes: int) -> Callable[..., None]:
    """The loop for the way back: neurons `first .. last - 1` of `plain`, which `laned` begins with."""

    @compiled
    def run(first: int, last: int, laned: Floats, plain: Floats) -> None:
        batch, steps, neurons = plain.shape
        room, stride = laned.shape[1:3]
        source, into = laned.ravel(), plain.ravel()
        for group in range(laned.shape[0]):
            samples = min(lanes, batch - group * lanes)
            whole = first + (last - first) // lanes * lanes if samples == lanes else first
            for n in range(first, whole, lanes):
                for t in range(steps):
                    at = ((group * room + n - first) * stride + t) * lanes
                    to = (group * lanes * steps + t) * neurons + n
                    transpose(into, to, steps * neurons, source, at, stride * lanes, lanes)
            for lane in range(samples):
                for t in range(steps):
                    for n in range(whole, last):
                        plain[group * lanes + lane, t, n] = laned[group, n - first, t, lane]

    return run


@cache
def spread_back(rows: int, lanes: int, layout: Layout) -> Callable[..., None]:
    """The loop for sources `first .. last - 1`.

    Arguments of the loop: `lag` (groups of targets, sources, targets of a group) and `stretch` (groups of targets,
    sources, length), targets one after the other; `kept` (groups of samples, sources, lanes), which the result is
    multiplied by; `grad_arrivals` laned, 0 beyond the sample for the longest delay; `memory` (last - first, rows,
    lanes); `grad_spikes` (batch, steps, sources).
    """
    together, taps, _ = layout

    @compiled
    def run(
        first: int,
        last: int,
        lag: Ints,
        stretch: Floats,
        kept: Floats,
        grad_arrivals: Floats,
        memory: Floats,
        grad_spikes: Floats,
    ) -> None:
        batch, steps, sources = grad_spikes.shape
        targets, stride = grad_arrivals.shape[1:3]
        length = stretch.shape[2]
        arrived, weights, factors, into = grad_arrivals.ravel(), stretch.ravel(), kept.ravel(), grad_spikes.ravel()
        for group in range(grad_arrivals.shape[0]):
            samples = min(lanes, batch - group * lanes)
            whole = first + (last - first) // lanes * lanes if samples == lanes else first
            for t in range(0, steps, rows):
                for start in range(0, targets, TARGETS_TOGETHER):
                    for i in range(first, last):
                        at = (i - first) * rows * lanes
                        total = load(memory, at, rows, lanes) if start else zeros(memory, rows, lanes)
                        for j in range(start, min(start + TARGETS_TOGETHER, targets)):
                            part, row = j // together, j % together
                            begin = ((group * targets + j) * stride + t + lag[part, i, row]) * lanes
                            weight = (part * sources + i) * length + row * taps
                            for c in range(length // (together * taps)):
                                of_chunk = weight + c * together * taps
                                if taps == 1:
                                    total = plus_product(total, weights[of_chunk], arrived, begin + c * lanes)
                                else:
                                    # A row of gradients is loaded once for all taps of a chunk.
                                    where = begin + c * taps * lanes
                                    total = plus_taps(total, weights, of_chunk, arrived, where, taps)
                        if start + TARGETS_TOGETHER >= targets:
                            total = times_row(total, factors, (group * sources + i) * lanes)
                        store(memory, at, total)
                for row in range(min(rows, steps - t)):
                    to = (group * lanes * steps + t + row) * sources
                    for i in range(first, whole, lanes):
                        at = ((i - first) * rows + row) * lanes
                        transpose(into, to + i, steps * sources, memory, at, rows * lanes, lanes)
                    for i in range(whole, last):
                        for lane in range(samples):
                            into[to + lane * steps * sources + i] = memory[((i - first) * rows + row) * lanes + lane]

    return run
