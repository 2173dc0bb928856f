"""Which parts of a training on an NVIDIA GPU run as kernels of this package; the others run by PyTorch's operations.

Triton is imported by the functions that use a kernel, so that nobody else waits for it.
"""

from __future__ import annotations

import logging
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Literal

from torch import Tensor

from spikebridge.training.scan import NeuronTensors
from spikebridge.training.surrogate import Surrogate

log = logging.getLogger("spikebridge")

OLDEST_TRITON = (3, 6)
"""What the kernels were written for: they take tuples with names, which earlier versions know in part or not at all."""

MOST_RECURRENT = 512
"""Neurons of a recurrent population whose state fits the registers of one program."""

FETCHED_COST = 4
"""A multiply-add with an operand that is fetched from a step of its own, in those of a dense convolution.

Estimated, not measured: a multiprocessor of compute capability 9.0 multiplies 128 numbers per cycle and reads 32.
"""

MOST_TAPS = 16
"""The kernels are compiled for every number of taps, so this bounds how often."""


def kernels_for(tensor: Tensor, *, fused: bool) -> Literal["loops", "card"] | None:
    """What works on a tensor: compiled loops on the processor, kernels on an NVIDIA GPU; None leaves it to PyTorch."""
    kinds: dict[str, Literal["loops", "card"]] = {"cpu": "loops", "cuda": "card"}
    return kinds.get(tensor.device.type) if fused else None


@cache
def why_no_triton() -> str | None:
    """Why there are no kernels at all; None if there are."""
    try:
        found = version("triton")
    except PackageNotFoundError:
        return "Triton is not installed (PyTorch's CUDA packages for Linux bring it)"
    if tuple(int(part) for part in found.split(".")[:2]) < OLDEST_TRITON:
        return f"Triton {found} is older than {OLDEST_TRITON[0]}.{OLDEST_TRITON[1]}, which PyTorch 2.11 brings"
    return None


def why_no_scan(neuron: NeuronTensors, size: int, recurrent: dict[int, Tensor] | None) -> str | None:
    """What keeps a population of this size from running as one kernel; None if nothing does."""
    if (missing := why_no_triton()) is not None:
        return missing
    if neuron.spiking and len(recurrent or ()) > 1:
        return f"its recurrent synapses have {len(recurrent or ())} different delays, and kernels know one"
    if neuron.spiking and recurrent and size > MOST_RECURRENT:
        return f"it is recurrent and has {size} neurons, of which kernels hold {MOST_RECURRENT}"
    return None


def scan_on_card(
    neuron: NeuronTensors,
    arrivals: Tensor,
    surrogate: Surrogate,
    recurrent: dict[int, Tensor] | None,
    scale: Tensor | None,
) -> tuple[Tensor, Tensor] | None:
    """`fused_scan` on a GPU; None where it is not covered, which is said once."""
    reason = why_no_scan(neuron, arrivals.shape[2], recurrent)
    if reason is not None:
        _say(f"a population runs by PyTorch's operations on the GPU: {reason}")
        return None
    from spikebridge.training.triton_scan import triton_scan

    return triton_scan(neuron, arrivals, surrogate, recurrent, scale)


def fetching_pays(taps: int, length: int) -> bool:
    """Whether kernels of so many taps, of `length` delays, are fetched tap by tap on a GPU and not convolved."""
    return why_no_triton() is None and taps <= MOST_TAPS and FETCHED_COST * taps < length


def projection_on_card(spikes: Tensor, values: Tensor, lag: Tensor) -> Tensor:
    """`event_projection` on a GPU: same arguments, values and gradients."""
    from spikebridge.training.triton_projection import gather_projection

    return gather_projection(spikes, values, lag)


@cache
def _say(text: str) -> None:
    log.warning("%s", text)
