"""The gradient of the spikes of delayed synapses with many delays each, by discrete Fourier transforms over time.

A sum over delays is a product of transforms, so the work does not grow with delays times steps. The transforms are
products with matrices of sines and cosines: for some hundred steps that is no slower than a fast transform, and it
takes and leaves numbers where `transform_kernels` needs them.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from spikebridge.training.fused_types import Floats
from spikebridge.training.lanes import MOST_ROWS, rows_for
from spikebridge.training.packed import Packed, laned_factors, lanes_of
from spikebridge.training.spike_kernels import from_lanes, to_lanes
from spikebridge.training.threads import in_blocks
from spikebridge.training.transform_kernels import back_to_steps, multiply, of_delays, of_steps

CHUNK_BYTES = 4 * 1024**2
"""The transform of the kernel is needed once: so much of it at a time stays in the cache."""

ROWS = MOST_ROWS - 3
"""At most so many steps or frequencies stay in registers."""

REGISTERS = MOST_ROWS // 7
"""At most so many registers lie side by side, of which the products keep six."""


class Waves(NamedTuple):
    """Matrices of the transforms; parts are the real and the imaginary part of each frequency.

    Attributes:
        steps: (steps, parts or more) of the gradient.
        delays: (parts, delays or more) of the kernel.
        back: (parts, steps or more).
        step_rows, back_rows: parts and steps that stay in registers; `steps` and `back` have whole numbers of them.
    """

    steps: Floats
    delays: Floats
    back: Floats
    step_rows: int
    back_rows: int


def products(batch: int, steps: int, delays: int, sources: int, targets: int) -> int:
    """Multiply-adds of `spread_back`: per frequency, of the kernel's transform, and of the others."""
    points = steps + delays - 1
    synapses = sources * targets
    return points * (2 * batch * synapses + delays * synapses + batch * steps * (sources + targets))


def spread_back(packed: Packed, stretch: Tensor, kept: Tensor, grad_arrivals: Tensor) -> Tensor:
    """Gradient of the spikes, (batch, steps, sources).

    Args:
        packed: targets side by side.
        stretch: (groups, sources, length) the kernel.
        kept: (batch, sources) what spikes were multiplied by.
        grad_arrivals: (batch, steps, targets).
    """
    batch, steps, targets = grad_arrivals.shape
    sources, lanes = stretch.shape[1], lanes_of(stretch.dtype)
    groups = -(-batch // lanes)
    registers = next(count for count in (1, 2, 4) if count >= min(groups, REGISTERS))
    packs, width = -(-groups // registers), registers * lanes
    waves = _waves(steps, packed.delays, packed.reach, stretch.dtype)

    laned = stretch.new_empty((groups, targets, steps, lanes)).numpy()
    spectrum = stretch.new_empty((packs, len(waves.steps[0]), targets, width)).numpy()
    grad = grad_arrivals.numpy()
    in_blocks(groups, lambda first, last: to_lanes(lanes)(first, last, grad, laned), laned.size)

    def transform(first: int, last: int) -> None:
        memory = stretch.new_empty(waves.step_rows * lanes).numpy()
        of_steps(waves.step_rows, lanes)(first, last, waves.steps, laned, spectrum, memory)

    in_blocks(targets, transform)
    pairs = -(-sources // 2)
    product = stretch.new_empty((packs, len(waves.steps[0]), 2 * pairs, width)).numpy()
    kernel, factors = stretch.detach().contiguous().numpy(), laned_factors(kept).numpy()
    result = torch.empty((batch, steps, sources), dtype=stretch.dtype)

    def multiply_back(first: int, last: int) -> None:
        _multiply(2 * first, 2 * last, waves, packed, kernel, spectrum, product)
        memory = stretch.new_empty(len(waves.back) * width).numpy()
        into = stretch.new_empty((groups, lanes, len(waves.back[0]), lanes)).numpy()
        for some in range(2 * first, min(2 * last, sources), lanes):
            end = min(some + lanes, 2 * last, sources)
            back_to_steps(waves.back_rows, lanes)(some, end, waves.back, product, factors, into, memory)
            from_lanes(lanes)(some, end, into, result.numpy())

    in_blocks(pairs, multiply_back)
    return result


def _multiply(
    first: int, last: int, waves: Waves, packed: Packed, kernel: Floats, spectrum: Floats, product: Floats
) -> None:
    """Transform the kernel of sources `first .. last - 1` and multiply, some frequencies at a time."""
    lanes, registers = packed.layout.lanes, spectrum.shape[3] // packed.layout.lanes
    part_bytes = (last - first) * packed.groups * lanes * kernel.itemsize
    chunk = 2 * max(1, CHUNK_BYTES // (2 * part_bytes))
    memory = np.empty((chunk, last - first, packed.groups * lanes), dtype=kernel.dtype)
    for part in range(0, len(waves.delays), chunk):
        some = waves.delays[part : part + chunk]
        of_delays(packed.layout.rows, lanes)(first, last, some, kernel, memory)
        multiply(registers, lanes)(first, last, part // 2, memory[: len(some)], spectrum, product)


@lru_cache(maxsize=8)
def _waves(steps: int, delays: int, length: int, dtype: torch.dtype) -> Waves:
    """As many points as steps and delays need not to overlap round the circle; the kernel is 0 from `delays` on."""
    points = steps + delays - 1
    frequency = torch.arange(points // 2 + 1, dtype=torch.float64)[:, None]
    angle = 2 * math.pi / points * torch.remainder(frequency * torch.arange(max(steps, length)), points)
    waves = torch.stack([angle.cos(), -angle.sin()], dim=1)
    # Frequencies between the ends stand for themselves and their negative.
    share = (2 - ((frequency == 0) | (2 * frequency == points)).double()) / points
    back = (waves[..., :steps] * share[:, None]).flatten(0, 1)
    parts = 2 * len(frequency)
    step_rows, back_rows = rows_for(parts, ROWS), rows_for(steps, ROWS)
    by_step = functional.pad(waves[..., :steps].flatten(0, 1).T, (0, -parts % step_rows))
    back = functional.pad(back, (0, -steps % back_rows))
    by_delay = waves[..., :length].flatten(0, 1)
    by_step, by_delay, back = (part.to(dtype).contiguous() for part in (by_step, by_delay, back))
    return Waves(by_step.numpy(), by_delay.numpy(), back.numpy(), step_rows, back_rows)
