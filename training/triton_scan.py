"""`spikebridge.training.scan` on an NVIDIA GPU as one kernel over time each way: same values, same gradients.

Deterministic: there are no atomic operations, and every sum has one order.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from spikebridge.bridge.spec import Reset
from spikebridge.training.fused_scan import KINDS, SURROGATES
from spikebridge.training.propagators import in_one
from spikebridge.training.scan import NeuronTensors
from spikebridge.training.surrogate import Surrogate
from spikebridge.training.triton_backward import run_backward
from spikebridge.training.triton_forward import run_forward
from spikebridge.training.triton_jit import ceiling_power
from spikebridge.training.triton_sums import SUMS, add_up
from spikebridge.training.triton_types import Adjoints, Kind, Parameters, Tile, Traces

SAMPLES_TOGETHER = 8
"""Of one program with recurrence: the weights are read once per step for all of them. With more, registers overflow."""

SUM_ROWS = 256
"""Rows (steps of samples) that one program sums up."""


def triton_scan(
    neuron: NeuronTensors,
    arrivals: Tensor,
    surrogate: Surrogate,
    recurrent: dict[int, Tensor] | None = None,
    scale: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Arguments and results of `scan`, for what `spikebridge.training.gpu_kernels` says is covered.

    The threshold has no gradient here: it is 1 by definition. With `scale`, (n,), it is `scan` of `arrivals * scale`.
    """
    ((lag, weights),) = (recurrent or {-1: arrivals.new_empty(0)}).items()
    spikes, potentials = _Scan.apply(  # type: ignore[no-untyped-call]
        kind_of(neuron, arrivals, surrogate, lag),
        arrivals if scale is None else arrivals * scale,
        in_one(neuron.step),
        neuron.bias,
        neuron.adaptation_jump,
        weights,
        neuron.threshold,
    )
    return spikes, potentials


def kind_of(neuron: NeuronTensors, arrivals: Tensor, surrogate: Surrogate, lag: int) -> Kind:
    """What the kernels are compiled for."""
    return Kind(
        steps=arrivals.shape[1],
        size=arrivals.shape[2],
        synapse=KINDS[neuron.synapse],
        pulse_steps=neuron.pulse_steps,
        # A population that never spikes is never refractory.
        refractory_steps=neuron.refractory_steps if neuron.spiking else 0,
        adaptive=neuron.adaptive,
        spiking=neuron.spiking,
        to_value=neuron.reset is Reset.TO_VALUE,
        reset_value=float(neuron.reset_value),
        lag=lag if neuron.spiking else -1,
        surrogate=SURROGATES[surrogate.name],
        width=float(surrogate.width),
        slope_while_frozen=neuron.slope_while_frozen,
    )


def tile_of(kind: Kind) -> tuple[Tile, int]:
    """What one program runs, and with how many groups of 32 threads."""
    if kind.lag < 0:
        columns = ceiling_power(kind.size, 16, 128)
        return Tile(1, columns, columns), max(columns // 32, 1)
    columns = ceiling_power(kind.size, 16)
    return Tile(SAMPLES_TOGETHER, columns, 16), max(columns // 32, 1)


class _Scan(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        kind: Kind,
        arrivals: Tensor,
        step: Tensor,
        bias: Tensor,
        jump: Tensor,
        recurrent: Tensor,
        threshold: Tensor,
    ) -> tuple[Tensor, Tensor]:
        raw, keep = arrivals.contiguous(), any(ctx.needs_input_grad)
        vectors = torch.stack([bias, threshold, jump])
        traces = _traces(kind, raw, keep=keep)
        tile, warps = tile_of(kind)
        grid = (-(-len(raw) // tile.rows), -(-kind.size // tile.columns))
        parameters = Parameters(step, vectors, recurrent.contiguous())
        run_forward[grid](parameters, traces, len(raw), kind, tile, keep, num_warps=warps)
        if keep:
            ctx.save_for_backward(step, vectors, recurrent, *traces)
        ctx.kind = kind
        # Where nothing depends on the potentials of a hidden population, zeros would only be written and added.
        ctx.set_materialize_grads(False)
        return traces.spikes, traces.potentials

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        step, vectors, recurrent, *kept = ctx.saved_tensors
        kind, traces = ctx.kind, Traces(*kept)
        raw = traces.raw
        wanted = (grads[0] is not None, grads[1] is not None, any(ctx.needs_input_grad[2:5]))
        given = [raw if grad is None else grad.contiguous() for grad in grads]
        u, w = (torch.empty_like(raw) if wanted[2] and used else raw for used in (True, kind.adaptive))
        constant = torch.empty_like(raw) if kind.long_pulses else raw
        g = Adjoints(given[0], given[1], torch.empty_like(raw), u, w, constant)
        tile, warps = tile_of(kind)
        grid = (-(-len(raw) // tile.rows), -(-kind.size // tile.columns))
        transposed = recurrent.t().contiguous() if kind.lag >= 0 else recurrent
        run_backward[grid](
            Parameters(step, vectors, transposed), traces, g, len(raw), kind, tile, wanted, num_warps=warps
        )
        sums = _sums(kind, Parameters(step, vectors, recurrent), traces, g) if wanted[2] else None
        of_step, of_bias, of_jump = (None, None, None) if sums is None else (sums[:-2], sums[-2], sums[-1])
        return None, g.due, of_step, of_bias, of_jump, _of_weights(kind, traces.spikes, g.due, ctx), None


def _traces(kind: Kind, raw: Tensor, *, keep: bool) -> Traces:
    """Room for what happens; what the model has no use for, or is something else already, takes none."""

    def room(used: bool, otherwise: Tensor, dtype: torch.dtype = raw.dtype) -> Tensor:
        return torch.empty_like(raw, dtype=dtype) if used else otherwise

    potentials = torch.empty_like(raw)
    due = room(kind.lag >= 0 and (keep or kind.long_pulses), raw)
    return Traces(
        raw=raw,
        due=due,
        spikes=torch.empty_like(raw) if kind.spiking else torch.zeros_like(raw),
        potentials=potentials,
        reached=room(keep and kind.jumps, potentials),
        held=room(keep and kind.freezes, potentials, torch.int8),
        w=room(keep and kind.adaptive, raw),
        # Of a pulse of one step the current is the arrivals of the step before.
        current=room(keep and (kind.decays or kind.long_pulses), due),
    )


def _sums(kind: Kind, parameters: Parameters, traces: Traces, g: Adjoints) -> Tensor:
    """Gradients of the parameters, (SUMS, n)."""
    rows = traces.raw.shape[0] * kind.steps
    tile = Tile(8, ceiling_power(kind.size, 16, 64), 1)
    grid = (-(-rows // SUM_ROWS), -(-kind.size // tile.columns))
    result = traces.raw.new_empty((grid[0], SUMS, kind.size))
    add_up[grid](parameters, traces, g, result, rows, kind, tile, SUM_ROWS, num_warps=4)
    sums: Tensor = result.sum(0)
    return sums


def _of_weights(kind: Kind, spikes: Tensor, g_due: Tensor, ctx: Any) -> Tensor | None:
    """Gradient of the recurrent weights (n, n): one matrix product over samples and steps."""
    if kind.lag < 0 or not ctx.needs_input_grad[5]:
        return None
    left = spikes[:, : max(kind.steps - kind.lag, 0)].reshape(-1, kind.size)
    return left.t() @ g_due[:, kind.lag :].reshape(-1, kind.size)
