"""Spikes with a gradient: a step function forward, a smooth bump backward (Neftci, Mostafa & Zenke 2019)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

type Derivative = Callable[[Tensor], Tensor]


def boxcar(x: Tensor) -> Tensor:
    """1/2 for |x| <= 1: compact support."""
    return 0.5 * (x.abs() <= 1).to(x.dtype)


def triangle(x: Tensor) -> Tensor:
    """max(0, 1 - |x|): compact support (Bellec et al. 2018, without their damping factor)."""
    return torch.clamp(1 - x.abs(), min=0)


def fast_sigmoid(x: Tensor) -> Tensor:
    """1 / (1 + |x|)^2: the SuperSpike derivative (Zenke & Ganguli 2018)."""
    return 1 / (1 + x.abs()) ** 2


def arctan(x: Tensor) -> Tensor:
    """Arctangent surrogate: its derivative is 1 / (1 + (pi x)^2) (Fang et al. 2021)."""
    return 1 / (1 + (torch.pi * x) ** 2)


def gaussian(x: Tensor) -> Tensor:
    """exp(-x^2 / 2) / sqrt(2 pi)."""
    return torch.exp(-0.5 * x**2) * 0.3989422804014327


DERIVATIVES: dict[str, Derivative] = {
    "boxcar": boxcar,
    "triangle": triangle,
    "fast_sigmoid": fast_sigmoid,
    "arctan": arctan,
    "gaussian": gaussian,
}


class _Spike(torch.autograd.Function):
    """Heaviside step forward; backward the derivative of the distance to threshold in units of the width."""

    @staticmethod
    def forward(ctx: Any, distance: Tensor, derivative: Derivative, width: float) -> Tensor:
        ctx.save_for_backward(distance)
        ctx.derivative, ctx.width = derivative, width
        return (distance >= 0).to(distance.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        (distance,) = ctx.saved_tensors
        return grads[0] * ctx.derivative(distance / ctx.width), None, None


class Surrogate:
    """The spike function: `surrogate(u - theta)` is 1 where u >= theta, with the chosen gradient.

    Args:
        name: one of `DERIVATIVES`.
        width: the distance to threshold over which the gradient falls off, in units of the potential.
    """

    def __init__(self, name: str, width: float) -> None:
        self._derivative = DERIVATIVES[name]
        self.name, self.width = name, width

    def __call__(self, distance: Tensor) -> Tensor:
        """Spikes (0 or 1) of the distance u - theta, any shape."""
        spikes: Tensor = _Spike.apply(distance, self._derivative, self.width)  # type: ignore[no-untyped-call]
        return spikes
