"""Batch normalisation from the moments of arrivals, each way in few passes over the arrivals."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from spikebridge.training.compiled import compiled, compiled_apart, compiled_gradient
from spikebridge.training.fused_types import Floats
from spikebridge.training.threads import in_blocks


class Normalised(NamedTuple):
    """Arrivals (batch, steps, n), and what normalises them, (n,) each: y = scale x + shift.

    Mean and variance are those of the batch, without gradients.
    """

    arrivals: Tensor
    scale: Tensor
    shift: Tensor
    mean: Tensor
    var: Tensor


def normalised(arrivals: Tensor, gamma: Tensor, beta: Tensor, eps: float, window: int = 1) -> Normalised:
    """Batch normalisation (Ioffe & Szegedy 2015) as a scale and a shift, which are still to be applied.

        scale = gamma / sqrt(var + eps),    shift = beta - scale mean

    Gradients of all come back in one pass, so what follows has to use the arrivals that are returned.

    Args:
        arrivals: (batch, steps, n) on the CPU.
        gamma: (n,).
        beta: (n,).
        eps: added to the variance.
        window: steps that are counted together; `steps` is a multiple of it.

    Returns:
        The arrivals themselves; mean and variance over batch and time of their sums over windows, and scale and shift,
        which do not depend on the number of threads.
    """
    return Normalised(*_Normalised.apply(arrivals, gamma, beta, eps, window))  # type: ignore[no-untyped-call]


class _Normalised(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, arrivals: Tensor, gamma: Tensor, beta: Tensor, eps: float, window: int) -> tuple[Tensor, ...]:
        values = arrivals.detach().contiguous().numpy()
        batch, steps, size = values.shape
        windows = steps // window
        if not batch or not windows:
            raise ValueError(f"{batch} samples of {steps} steps have no mean; batch normalisation needs some of both")
        parts = np.zeros((2, batch, size), values.dtype)
        in_blocks(batch, lambda first, last: sample_moments(first, last, window, values, parts), values.size)
        found = arrivals.new_empty((4, size))
        scale, shift, mean, var = found.numpy()
        of_all(windows, parts, np.empty((2, size)), mean, var)
        scale[:] = gamma.detach().numpy() / np.sqrt(var + var.dtype.type(eps))
        shift[:] = beta.detach().numpy() - scale * mean
        ctx.window, ctx.eps = window, eps
        ctx.save_for_backward(arrivals, found)
        result = found.unbind()
        ctx.mark_non_differentiable(*result[2:])
        return arrivals, *result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        arrivals, found = ctx.saved_tensors
        values = arrivals.detach().contiguous().numpy()
        given, of_scale, of_shift = (grad.contiguous().numpy() for grad in grads[:3])
        scale, _, mean, var = found.numpy()
        count = values.shape[0] * (values.shape[1] // ctx.window)
        exact = var + var.dtype.type(ctx.eps)
        of_scale = of_scale - mean * of_shift
        of_gamma = of_scale / np.sqrt(exact)
        slope = -of_scale * scale / exact / count  # twice the gradient of the variance, per number
        offset = -scale * of_shift / count - slope * mean
        result = torch.empty_like(arrivals, memory_format=torch.contiguous_format)
        arrays = (values, given, offset, slope, result.numpy())
        in_blocks(len(values), lambda first, last: moments_back(first, last, ctx.window, *arrays), values.size)
        return result, torch.from_numpy(of_gamma), grads[2], None, None


@compiled
def sample_moments(first: int, last: int, window: int, values: Floats, parts: Floats) -> None:
    """Means of samples to `parts[0]`, sums of squares about them to `parts[1]`; (batch, n) each."""
    windows = values.shape[1] // window
    row = np.empty(values.shape[2], values.dtype)
    for b in range(first, last):
        for start in range(0, windows * window, window):
            count(b, start, window, values, row)
            add_to(b, row, parts)
        average(b, windows, parts)
        for start in range(0, windows * window, window):
            count(b, start, window, values, row)
            add_square(b, row, parts)


@compiled
def of_all(windows: int, parts: Floats, total: Floats, mean: Floats, var: Floats) -> None:
    """Mean and variance of all samples from the parts of each.

    Chan, Golub & LeVeque 1983: squares about the mean of each sample, and of these means about the mean of all.
    """
    batch = parts.shape[1]
    total[:] = 0
    for b in range(batch):
        for n in range(parts.shape[2]):
            total[0, n] += parts[0, b, n]
    for n in range(parts.shape[2]):
        total[0, n] /= batch
    for b in range(batch):
        for n in range(parts.shape[2]):
            off = parts[0, b, n] - total[0, n]
            total[1, n] += parts[1, b, n] + windows * (off * off)
    for n in range(parts.shape[2]):
        mean[n], var[n] = total[0, n], total[1, n] / (batch * windows)


@compiled_apart
def count(b: int, start: int, window: int, values: Floats, row: Floats) -> None:
    """Sum of the steps of a window."""
    for n in range(row.size):
        row[n] = values[b, start, n]
    for now in range(start + 1, start + window):
        for n in range(row.size):
            row[n] += values[b, now, n]


@compiled_apart
def add_to(b: int, row: Floats, parts: Floats) -> None:
    """One more window in the sum of a sample."""
    for n in range(row.size):
        parts[0, b, n] += row[n]


@compiled_apart
def average(b: int, windows: int, parts: Floats) -> None:
    """From the sum to the mean."""
    for n in range(parts.shape[2]):
        parts[0, b, n] /= parts.dtype.type(windows)


@compiled_gradient
def add_square(b: int, row: Floats, parts: Floats) -> None:
    """One more window in the sum of squares."""
    for n in range(row.size):
        off = row[n] - parts[0, b, n]
        parts[1, b, n] += off * off


@compiled
def moments_back(
    first: int, last: int, window: int, values: Floats, given: Floats, offset: Floats, slope: Floats, result: Floats
) -> None:
    """`given` + `offset` + `slope` times the sum over the window."""
    row = np.empty(values.shape[2], values.dtype)
    for b in range(first, last):
        for start in range(0, values.shape[1] // window * window, window):
            count(b, start, window, values, row)
            for now in range(start, start + window):
                add_line(b, now, given, offset, slope, row, result)


@compiled_gradient
def add_line(b: int, now: int, given: Floats, offset: Floats, slope: Floats, row: Floats, result: Floats) -> None:
    """One step of `moments_back`."""
    for n in range(row.size):
        result[b, now, n] = given[b, now, n] + offset[n] + slope[n] * row[n]
