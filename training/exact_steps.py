"""Exact one-step propagators and their derivatives in one pass over the neurons of all populations.

Training needs them anew in every batch, from few numbers, for which `torch.matrix_exp` takes dozens of operations each
way. The generator G of `spikebridge.bridge.discretise` is linear in its rates, G = sum_r rate_r B_r, and like all its
powers it has nine entries that can differ from 0. With the G of each neuron halved until its norm is at most a half,
both exp(G) and its derivative in the direction of each rate come from the Taylor series by Horner's rule and from
squaring (Higham 2008, Functions of Matrices, sections 10.3 and 10.6):

    P <- 1 + G P / k,     dP <- (B P + G dP) / k      for k = 14 .. 1
    X <- X X,             dX <- dX X + X dX           as often as G was halved

What the series leaves out is below 2^-15 / 15! = 2e-17 of the value and 2^-14 / 14! = 7e-16 of a derivative; a squaring
at most doubles a relative error. All in float64, whatever the type of the parameters.
"""

from __future__ import annotations

from itertools import accumulate, pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from spikebridge.bridge.arrays import FloatArray
from spikebridge.training.compiled import compiled, compiled_gradient

TERMS = 14
LARGEST_NORM = 0.5
MOST_HALVINGS = 60
"""No time constant in use needs more than a few; a rate without end must not lead to a loop without end."""

# Entries that can differ from 0, by row and column; the diagonal of the constant current is 1 in exponentials, else 0.
ENTRIES = 9
_UU, _UW, _UI, _UC, _WU, _WW, _WI, _WC, _II = range(ENTRIES)
RATES = 3
"""1 / tau_u, 1 / tau_w and a / tau_w; that of the synapses is not trained."""

TAU_WITHOUT_EFFECT_MS = 100.0
"""Of an adaptation that there is none of: nothing couples u and w."""


def exact_steps_of(populations: list[tuple[Tensor, ...]], tau_syn_ms: float | None, step_ms: float) -> list[Tensor]:
    """`spikebridge.training.propagators.exact_step` of several populations on the CPU, differentiable once.

    Args:
        populations: tau_membrane_ms, and with adaptation tau_adaptation_ms and adaptation_coupling, (n,) each.
        tau_syn_ms: decay of exponential synapses, None for other kinds.
        step_ms: length of the step.

    Returns:
        Per population the entries of `StepTensors` in their order, (entries, n).
    """
    counts = tuple(len(parameters) for parameters in populations)
    flat = [parameter for parameters in populations for parameter in parameters]
    packed: tuple[Tensor, ...] = _ExactSteps.apply(step_ms, tau_syn_ms, counts, *flat)  # type: ignore[no-untyped-call]
    return list(packed)


class _ExactSteps(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, step_ms: float, tau_syn_ms: float | None, counts: tuple[int, ...], *flat: Tensor
    ) -> tuple[Tensor, ...]:
        groups = [flat[first:last] for first, last in pairwise([0, *accumulate(counts)])]
        edges = [0, *accumulate(len(group[0]) for group in groups)]
        parameters = np.zeros((RATES, edges[-1]))
        parameters[1] = TAU_WITHOUT_EFFECT_MS
        for group, (first, last) in zip(groups, pairwise(edges), strict=True):
            for row, parameter in enumerate(group):
                parameters[row, first:last] = parameter.detach().numpy()
        tau_u, tau_w, coupling = parameters
        rate_syn = np.full_like(tau_u, 0.0 if tau_syn_ms is None else 1.0 / tau_syn_ms)
        rates = np.stack([1.0 / tau_u, 1.0 / tau_w, coupling / tau_w, rate_syn])
        step, slopes = exponentials(step_ms * rates, step_ms)
        frozen_w_w = np.exp(-step_ms / tau_w)
        frozen_w_u = -coupling * np.expm1(-step_ms / tau_w)
        ctx.kept = counts, edges, step_ms, parameters, slopes
        packed = torch.from_numpy(np.vstack([step, frozen_w_u, frozen_w_w])).to(flat[0].dtype)
        return tuple(packed[:, first:last].contiguous() for first, last in pairwise(edges))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        counts, edges, step_ms, (tau_u, tau_w, coupling), slopes = ctx.kept
        given = torch.cat(grads, dim=1).double().numpy()
        of_rate_u, of_rate_w, of_rate_a = np.einsum("ren,en->rn", slopes, given[:ENTRIES])
        of_frozen_u, of_frozen_w = given[ENTRIES:]
        of_decay = step_ms * np.exp(-step_ms / tau_w) * (of_frozen_w - coupling * of_frozen_u)
        of_tau_w = (of_decay - of_rate_w - coupling * of_rate_a) / tau_w**2
        of_coupling = of_rate_a / tau_w - of_frozen_u * np.expm1(-step_ms / tau_w)
        found = torch.from_numpy(np.stack([-of_rate_u / tau_u**2, of_tau_w, of_coupling])).to(grads[0].dtype)
        of_each = zip(counts, pairwise(edges), strict=True)
        return None, None, None, *(found[row, a:b] for count, (a, b) in of_each for row in range(count))


@compiled
def exponentials(rates: FloatArray, step_ms: float) -> tuple[FloatArray, FloatArray]:
    """exp(G), (entries, n), and its derivatives by the first three rates, (rates, entries, n).

    Args:
        rates: (4, n) times the step.
        step_ms: what one unit of a rate adds to `rates`.
    """
    size = rates.shape[1]
    halvings = np.empty(size)
    most = how_often(rates, halvings)
    g, bases = np.zeros((ENTRIES, size)), np.zeros((RATES, ENTRIES, size))
    generator(rates, halvings, g)
    directions(step_ms, halvings, bases)
    x, slopes = np.zeros((ENTRIES, size)), np.zeros((RATES, ENTRIES, size))
    x[_UU], x[_WW], x[_II] = 1, 1, 1
    new = np.empty((ENTRIES, size))
    for k in range(TERMS, 0, -1):
        factor = 1.0 / k
        for r in range(RATES):
            product(bases[r], x, 1.0, factor, new)
            add_product(g, slopes[r], 0.0, factor, new)
            slopes[r] = new
        product(g, x, 1.0, factor, new)
        x[:] = new
        for n in range(size):
            x[_UU, n] += 1
            x[_WW, n] += 1
            x[_II, n] += 1
    for done in range(most):
        for r in range(RATES):
            product(slopes[r], x, 1.0, 1.0, new)
            add_product(x, slopes[r], 0.0, 1.0, new)
            take(done, halvings, new, slopes[r])
        product(x, x, 1.0, 1.0, new)
        take(done, halvings, new, x)
    return x, slopes


@compiled
def how_often(rates: FloatArray, halvings: FloatArray) -> int:
    """Halvings of each neuron until the norm of its generator is at most `LARGEST_NORM`, and the most of them."""
    most = 0
    for n in range(rates.shape[1]):
        norm = max(4 * abs(rates[0, n]), abs(rates[1, n]) + abs(rates[2, n]), abs(rates[3, n]))
        count = 0
        while norm > LARGEST_NORM and count < MOST_HALVINGS:  # never if it is not a number
            norm *= 0.5
            count += 1
        halvings[n] = count
        most = max(most, count)
    return most


@compiled_gradient
def generator(rates: FloatArray, halvings: FloatArray, g: FloatArray) -> None:
    """Entries of `spikebridge.bridge.discretise.GENERATOR_BASIS` times rates, halved."""
    for n in range(rates.shape[1]):
        scale = 0.5 ** halvings[n]
        u = scale * rates[0, n]
        g[_UU, n], g[_UW, n], g[_UI, n], g[_UC, n] = -u, -u, u, u
        g[_WU, n], g[_WW, n], g[_II, n] = scale * rates[2, n], -scale * rates[1, n], -scale * rates[3, n]


@compiled_gradient
def directions(step_ms: float, halvings: FloatArray, bases: FloatArray) -> None:
    """What one unit of each rate adds to the generator."""
    for n in range(bases.shape[2]):
        by = step_ms * 0.5 ** halvings[n]
        bases[0, _UU, n], bases[0, _UW, n], bases[0, _UI, n], bases[0, _UC, n] = -by, -by, by, by
        bases[1, _WW, n] = -by
        bases[2, _WU, n] = by


@compiled_gradient
def take(done: int, halvings: FloatArray, new: FloatArray, entries: FloatArray) -> None:
    """The square, of neurons that were halved more than `done` times."""
    for row in range(ENTRIES):
        for n in range(halvings.size):
            entries[row, n] = new[row, n] if halvings[n] > done else entries[row, n]


@compiled_gradient
def product(a: FloatArray, b: FloatArray, last: float, factor: float, into: FloatArray) -> None:
    """`factor` A B for every neuron; `last` is the diagonal entry of B for the constant current."""
    for n in range(a.shape[1]):
        for row in range(0, _II, 4):
            u, w, i, c = a[row, n] * factor, a[row + 1, n] * factor, a[row + 2, n] * factor, a[row + 3, n] * factor
            into[row, n] = u * b[_UU, n] + w * b[_WU, n]
            into[row + 1, n] = u * b[_UW, n] + w * b[_WW, n]
            into[row + 2, n] = u * b[_UI, n] + w * b[_WI, n] + i * b[_II, n]
            into[row + 3, n] = u * b[_UC, n] + w * b[_WC, n] + c * last
        into[_II, n] = factor * a[_II, n] * b[_II, n]


@compiled_gradient
def add_product(a: FloatArray, b: FloatArray, last: float, factor: float, into: FloatArray) -> None:
    """`product` added to what is there."""
    for n in range(a.shape[1]):
        for row in range(0, _II, 4):
            u, w, i, c = a[row, n] * factor, a[row + 1, n] * factor, a[row + 2, n] * factor, a[row + 3, n] * factor
            into[row, n] += u * b[_UU, n] + w * b[_WU, n]
            into[row + 1, n] += u * b[_UW, n] + w * b[_WW, n]
            into[row + 2, n] += u * b[_UI, n] + w * b[_WI, n] + i * b[_II, n]
            into[row + 3, n] += u * b[_UC, n] + w * b[_WC, n] + c * last
        into[_II, n] += factor * a[_II, n] * b[_II, n]
