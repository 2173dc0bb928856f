"""The kernels for NVIDIA GPUs against PyTorch's own operations; `test_training_triton` runs this in other processes.

Where TRITON_INTERPRET is 1 they run in Triton's interpreter, on the processor, which has to be said before Triton is
imported; otherwise on a card.
"""

import os
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scanned_neurons import random_neuron
from small_training import SMALL, changed

from spikebridge.bridge.spec import Reset, SynapseKind
from spikebridge.training import delays, gpu_kernels, network, triton_projection, triton_scan
from spikebridge.training.dataset import load_dataset
from spikebridge.training.gpu_kernels import kernels_for
from spikebridge.training.network import SpikingNetwork, scale_weights_to_data
from spikebridge.training.propagators import StepTensors
from spikebridge.training.scan import NeuronTensors, scan
from spikebridge.training.surrogate import DERIVATIVES, Surrogate
from spikebridge.training.triton_projection import gather_projection
from spikebridge.training.triton_scan import triton_scan as kernel_scan

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
DEVICE = torch.device("cpu" if INTERPRETED else "cuda")

options = st.fixed_dictionaries(
    {
        "synapse": st.sampled_from(SynapseKind),
        "reset": st.sampled_from(Reset),
        "refractory_steps": st.integers(0, 4),
        "pulse_steps": st.integers(1, 3),
        "adaptive": st.booleans(),
        "oscillatory": st.booleans(),
        "spiking": st.sampled_from([True, True, True, False]),
        "slope_while_frozen": st.booleans(),
        "surrogate": st.sampled_from(sorted(DERIVATIVES)),
        "width": st.sampled_from([0.3, 1.0]),
        "lags": st.sampled_from([(), (0,), (2,)]),
        "batch": st.integers(1, 10),
        "steps": st.integers(1, 9),
        "size": st.integers(1, 19),
        "seed": st.integers(0, 2**31),
    }
)


def exact(rng: np.random.Generator, mean: float, deviation: float, shape: tuple[int, ...]) -> torch.Tensor:
    """Multiples of a power of two: the order of sums does not matter, so that spikes have to be equal."""
    return torch.from_numpy(np.round(rng.normal(mean, deviation, shape) * 2**20) / 2**20).to(DEVICE)


def moved(neuron: NeuronTensors) -> NeuronTensors:
    tensors = {name: getattr(neuron, name).to(DEVICE) for name in ("threshold", "bias", "adaptation_jump")}
    return replace(neuron, step=StepTensors(*(entry.to(DEVICE) for entry in neuron.step)), **tensors)


def results(
    run: Callable[..., Any], made: NeuronTensors, case: dict[str, Any], inputs: list[torch.Tensor], scaled: bool
) -> tuple[list[torch.Tensor], tuple[torch.Tensor, ...]]:
    """Spikes and potentials, and the gradients of everything that has one."""
    arrivals, scale, weights, *probes = inputs
    leaves = [tensor.clone().requires_grad_() for tensor in (arrivals, made.bias, made.adaptation_jump, *made.step)]
    scale, weights = scale.clone().requires_grad_(), weights.clone().requires_grad_()
    neuron = replace(made, bias=leaves[1], adaptation_jump=leaves[2], step=StepTensors(*leaves[3:]))
    recurrent = dict.fromkeys(case["lags"], weights) or None
    surrogate = Surrogate(case["surrogate"], case["width"])
    if run is scan:
        found = scan(neuron, leaves[0] * scale if scaled else leaves[0], surrogate, recurrent)
    else:
        found = run(neuron, leaves[0], surrogate, recurrent, scale if scaled else None)
    loss = sum((value * probe).sum() for value, probe in zip(found, probes, strict=True))
    assert isinstance(loss, torch.Tensor)
    wanted = [*leaves, scale, weights]
    return list(found), torch.autograd.grad(loss, wanted, allow_unused=True, materialize_grads=True)


def compare(case: dict[str, Any], *, scaled: bool = False) -> int:
    """Both ways of running a population have the same spikes and gradients; how many spikes."""
    rng = np.random.default_rng(case["seed"])
    shape = (case["batch"], case["steps"], case["size"])
    made = moved(random_neuron(case, rng, case["size"]))
    inputs = [exact(rng, 2.0, 4.0, shape), 1 + exact(rng, 0, 0.1, shape[2:]), exact(rng, 0, 0.5, (shape[2],) * 2)]
    inputs += [torch.from_numpy(rng.normal(size=shape)).to(DEVICE) for _ in range(2)]
    (plain, plain_gradients), (kernel, gradients) = (
        results(run, made, case, inputs, scaled) for run in (scan, kernel_scan)
    )
    assert torch.equal(plain[0], kernel[0])
    torch.testing.assert_close(plain[1], kernel[1], rtol=0, atol=0 if INTERPRETED and not scaled else 1e-12)
    for a, b in zip(plain_gradients, gradients, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9 * (1 + float(a.abs().max())))
    return int(plain[0].sum())


@pytest.fixture(autouse=True)
def few_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sums over several programs, for samples as small as these."""
    monkeypatch.setattr(triton_scan, "SUM_ROWS", 32)
    monkeypatch.setattr(triton_projection, "SAMPLES", 2)


@given(options, st.booleans())
@settings(max_examples=12, deadline=None, derandomize=True)
def test_scan_has_the_values_and_gradients_of_the_plain_one(case: dict[str, Any], scaled: bool) -> None:
    compare(case, scaled=scaled)


def test_scan_of_every_synapse_with_every_surrogate_fires() -> None:
    """Recurrent, adaptive, refractory; what the drawn cases might leave out."""
    for number, (synapse, reset) in enumerate(product(SynapseKind, Reset)):
        case = {"synapse": synapse, "reset": reset, "adaptive": True, "oscillatory": False, "spiking": True}
        case |= {"surrogate": sorted(DERIVATIVES)[number % 5], "width": 1.0, "lags": (number % 2,), "seed": number}
        case |= {"refractory_steps": 1 + number % 3, "pulse_steps": 2, "slope_while_frozen": number % 2 == 0}
        assert compare(case | {"batch": 9, "steps": 8, "size": 17}) > 50


def test_scan_of_more_neurons_than_one_program_has() -> None:
    case = {
        "synapse": SynapseKind.PULSE,
        "reset": Reset.SUBTRACT,
        "adaptive": True,
        "oscillatory": False,
        "spiking": True,
    }
    case |= {"surrogate": "triangle", "width": 1.0, "lags": (), "refractory_steps": 2, "pulse_steps": 1, "seed": 0}
    assert compare(case | {"batch": 2, "steps": 5, "size": 131}) > 20


def test_scan_without_gradients_keeps_nothing_and_spikes_the_same() -> None:
    rng = np.random.default_rng(0)
    case = {
        "synapse": SynapseKind.DELTA,
        "reset": Reset.SUBTRACT,
        "adaptive": True,
        "oscillatory": False,
        "spiking": True,
    }
    made = moved(random_neuron(case | {"refractory_steps": 2, "pulse_steps": 1}, rng, 6))
    arrivals, recurrent = exact(rng, 2.0, 4.0, (3, 7, 6)), {1: exact(rng, 0, 0.5, (6, 6))}
    with torch.no_grad():
        wanted = scan(made, arrivals, Surrogate("boxcar", 1.0), recurrent)
        found = kernel_scan(made, arrivals, Surrogate("boxcar", 1.0), recurrent)
    assert wanted[0].sum() > 5
    assert torch.equal(wanted[0], found[0])
    torch.testing.assert_close(wanted[1], found[1], rtol=0, atol=1e-12)


@given(
    st.integers(0, 2**31),
    st.integers(1, 3),
    st.integers(1, 12),
    st.integers(1, 3),
    st.integers(1, 34),
    st.integers(1, 4),
)
@settings(max_examples=6, deadline=None, derandomize=True)
def test_projection_has_the_values_and_gradients_of_sums_written_out(
    seed: int, batch: int, steps: int, sources: int, targets: int, taps: int
) -> None:
    rng = np.random.default_rng(seed)
    counts = (rng.random((batch, steps, sources)) < 0.3) * rng.integers(1, 4, (batch, steps, sources)).astype(float)
    spikes = torch.from_numpy(counts).to(DEVICE).requires_grad_()
    values = torch.from_numpy(rng.normal(size=(targets, sources, taps))).to(DEVICE).requires_grad_()
    lag = torch.from_numpy(rng.integers(0, steps + 3, (targets, sources)).astype(np.int32)).to(DEVICE)
    probe = torch.from_numpy(rng.normal(size=(batch, steps, targets))).to(DEVICE)
    # A kernel over all delays, by a matrix product per delay.
    longest = int(lag.max()) + taps
    written_out = spikes.new_zeros((batch, steps, targets))
    for delay in range(min(longest, steps)):
        weight = sum(values[..., m] * (lag + m == delay) for m in range(taps))
        assert isinstance(weight, torch.Tensor)
        arrives = spikes[:, : steps - delay] @ weight.t()
        written_out = written_out + torch.nn.functional.pad(arrives, (0, 0, delay, 0))
    wanted = [written_out, *torch.autograd.grad((written_out * probe).sum(), [spikes, values], materialize_grads=True)]
    arrivals = gather_projection(spikes, values, lag)
    found = [arrivals, *torch.autograd.grad((arrivals * probe).sum(), [spikes, values])]
    for a, b in zip(wanted, found, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)


def test_a_network_has_the_gradients_of_the_plain_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """One batch with narrow kernels, then evaluation: loss and gradients of every parameter."""
    data = load_dataset(SMALL.data, None, seed=0)
    called: list[str] = []

    def as_on_a_card(tensor: torch.Tensor, *, fused: bool) -> str | None:
        return "card" if fused else None

    def noted(name: str) -> Callable[..., Any]:
        run = getattr(gpu_kernels, name)

        def both(*given: Any) -> Any:
            called.append(name)
            return run(*given)

        return both

    if INTERPRETED:
        for module in (delays, network):
            monkeypatch.setattr(module, "kernels_for", as_on_a_card)
    assert kernels_for is gpu_kernels.kernels_for
    monkeypatch.setattr(delays, "projection_on_card", noted("projection_on_card"))
    monkeypatch.setattr(network, "scan_on_card", noted("scan_on_card"))
    sizes = {"hidden": (7, 6), "max_delay_ms": 200.0}
    config = changed(network={**sizes, "batch_norm": True, "dropout": 0.0, "bias": True})
    counts = data.train.counts(10.0)[:3].double().to(DEVICE)
    found = {}
    for kernels in ("fused", "plain"):
        called.clear()
        net = SpikingNetwork(replace(config, kernels=kernels), len(data.class_names), seed=0).double().to(DEVICE)
        scale_weights_to_data(net, counts)
        net.set_progress(1.0)
        activity = net(counts)
        torch.autograd.backward(activity.potentials.square().mean() + activity.spikes[1].mean())
        gradients = [p.grad for p in net.parameters() if p.grad is not None]
        # Two projections with delays; two hidden populations and the readout; free potentials were scanned before.
        assert called.count("projection_on_card") >= (2 if kernels == "fused" else 0)
        assert called.count("scan_on_card") >= (3 if kernels == "fused" else 0)
        assert activity.spikes[1].sum() > 3
        net.eval()
        found[kernels] = [activity.potentials, *activity.spikes, *gradients, net(counts).potentials]
    for fused, plain in zip(*found.values(), strict=True):
        torch.testing.assert_close(fused, plain, rtol=2e-3, atol=2e-3 * float(plain.detach().abs().max()))
