"""Exact one-step propagators as tensors: differentiable in the time constants, or taken from a network as exported."""

from __future__ import annotations

from dataclasses import fields
from typing import NamedTuple

import torch
from torch import Tensor

from spikebridge.bridge.discretise import GENERATOR_BASIS, Propagator


class StepTensors(NamedTuple):
    """`spikebridge.bridge.discretise.Propagator` as tensors of shape (n,), same names and meaning."""

    u_u: Tensor
    u_w: Tensor
    u_i: Tensor
    u_c: Tensor
    w_u: Tensor
    w_w: Tensor
    w_i: Tensor
    w_c: Tensor
    i_i: Tensor
    frozen_w_u: Tensor
    frozen_w_w: Tensor


def entries_of(step: StepTensors | Tensor) -> StepTensors:
    """The entries of a step, from a tensor (entries, n) if they are in one."""
    return StepTensors(*step.unbind()) if isinstance(step, Tensor) else step


def in_one(step: StepTensors | Tensor) -> Tensor:
    """The entries of a step as one tensor, (entries, n)."""
    return step if isinstance(step, Tensor) else torch.stack(list(step))


def exact_step(
    tau_membrane_ms: Tensor,
    tau_adaptation_ms: Tensor,
    adaptation_coupling: Tensor,
    tau_syn_ms: float | None,
    step_ms: float,
) -> StepTensors:
    """One exact step of length `step_ms`, differentiable in all tensors, each of shape (n,).

    x(t + h) = expm(G h) x(t) with the generator of `spikebridge.bridge.discretise`, by `torch.matrix_exp`.
    """
    rate_w = 1.0 / tau_adaptation_ms
    rate_syn = torch.zeros_like(rate_w) if tau_syn_ms is None else torch.full_like(rate_w, 1.0 / tau_syn_ms)
    rates = torch.stack([1.0 / tau_membrane_ms, rate_w, adaptation_coupling * rate_w, rate_syn], dim=-1)
    basis = torch.tensor(GENERATOR_BASIS, dtype=rates.dtype, device=rates.device)
    step = torch.matrix_exp(step_ms * (rates[:, :, None, None] * basis).sum(dim=1))
    frozen_w_w = torch.exp(-step_ms * rate_w)
    frozen_w_u = -adaptation_coupling * torch.expm1(-step_ms * rate_w)
    u, w, i = step[:, 0], step[:, 1], step[:, 2]
    return StepTensors(
        u_u=u[:, 0],
        u_w=u[:, 1],
        u_i=u[:, 2],
        u_c=u[:, 3],
        w_u=w[:, 0],
        w_w=w[:, 1],
        w_i=w[:, 2],
        w_c=w[:, 3],
        i_i=i[:, 2],
        frozen_w_u=frozen_w_u,
        frozen_w_w=frozen_w_w,
    )


def exported_step(propagator: Propagator, dtype: torch.dtype = torch.float64) -> StepTensors:
    """The propagator every other executor uses, bit for bit."""
    return StepTensors(*(torch.tensor(getattr(propagator, f.name), dtype=dtype) for f in fields(propagator)))
