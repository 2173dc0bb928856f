"""The compiled loops against PyTorch's own operations: the same bits forwards, the same gradients backwards."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_training import SMALL, changed

from spikebridge.bridge.discretise import propagator
from spikebridge.bridge.spec import Population, Reset, SynapseKind
from spikebridge.training.config import Phase
from spikebridge.training.dataset import load_dataset
from spikebridge.training.event_projection import event_projection
from spikebridge.training.fused_scan import fused_scan
from spikebridge.training.network import SpikingNetwork, scale_weights_to_data
from spikebridge.training.propagators import StepTensors, exported_step
from spikebridge.training.scan import NeuronTensors, scan
from spikebridge.training.surrogate import DERIVATIVES, Surrogate

SIZE, STEPS, BATCH = 5, 24, 3

options = st.fixed_dictionaries(
    {
        "synapse": st.sampled_from(SynapseKind),
        "reset": st.sampled_from(Reset),
        "refractory_steps": st.integers(0, 4),
        "pulse_steps": st.integers(1, 4),
        "adaptive": st.booleans(),
        "oscillatory": st.booleans(),
        "spiking": st.booleans(),
        "surrogate": st.sampled_from(sorted(DERIVATIVES)),
        "width": st.sampled_from([0.3, 1.0]),
        "lags": st.sampled_from([(), (0,), (3,), (0, 2)]),
        "threads": st.sampled_from([1, 2]),
        "seed": st.integers(0, 2**31),
    }
)


def random_neuron(case: dict[str, Any], rng: np.random.Generator) -> NeuronTensors:
    adaptive = case["adaptive"] and case["spiking"]
    tau_u = rng.uniform(3, 30, SIZE)
    population = Population(
        name="p",
        size=SIZE,
        tau_membrane_ms=tau_u,
        tau_adaptation_ms=tau_u * rng.uniform(0.7, 1.5, SIZE) if case["oscillatory"] else rng.uniform(5, 100, SIZE),
        adaptation_coupling=rng.uniform(1, 8, SIZE) * adaptive,
        adaptation_jump=rng.uniform(0, 1, SIZE) * adaptive,
        threshold=np.ones(SIZE),
        bias=rng.normal(0, 0.3, SIZE),
        spiking=case["spiking"],
    )
    pulse = case["synapse"] is SynapseKind.PULSE
    tau_syn_ms = 5.0 if case["synapse"] is SynapseKind.EXPONENTIAL else None
    return NeuronTensors(
        step=exported_step(propagator(population, tau_syn_ms, 1.0)),
        threshold=torch.tensor(population.threshold),
        bias=torch.tensor(population.bias),
        adaptation_jump=torch.tensor(population.adaptation_jump),
        adaptive=adaptive,
        synapse=case["synapse"],
        pulse_steps=case["pulse_steps"] if pulse else 0,
        refractory_steps=case["refractory_steps"] if case["spiking"] else 0,
        reset=case["reset"],
        reset_value=-0.3 if case["reset"] is Reset.TO_VALUE else 0.0,
        spiking=case["spiking"],
    )


@given(options)
@settings(max_examples=150, deadline=None, derandomize=True)
def test_the_compiled_scan_has_the_values_and_gradients_of_the_plain_one(case: dict[str, Any]) -> None:
    rng = np.random.default_rng(case["seed"])
    made = random_neuron(case, rng)
    # Multiples of a power of two, so that the order of sums does not matter and spikes are equal exactly.
    arrivals = torch.from_numpy(np.round(rng.normal(0.5, 1.5, (BATCH, STEPS, SIZE)) * 2**20) / 2**20)
    weights = {
        lag: torch.from_numpy(np.round(rng.normal(0, 0.5, (SIZE, SIZE)) * 2**20) / 2**20)
        for lag in (case["lags"] if case["spiking"] else ())
    }
    probes = [torch.from_numpy(rng.normal(size=(BATCH, STEPS, SIZE))) for _ in range(2)]
    results = []
    torch.set_num_threads(case["threads"])
    for run in (scan, fused_scan):
        leaves = [tensor.clone().requires_grad_() for tensor in (arrivals, made.bias, *weights.values(), *made.step)]
        jump = made.adaptation_jump.clone().requires_grad_()
        step = StepTensors(*leaves[-len(made.step) :])
        recurrent = dict(zip(weights, leaves[2:], strict=False))
        neuron = replace(made, step=step, bias=leaves[1], adaptation_jump=jump)
        spikes, potentials = run(neuron, leaves[0], Surrogate(case["surrogate"], case["width"]), recurrent or None)
        loss = (spikes * probes[0]).sum() + (potentials * probes[1]).sum()
        wanted = [*leaves, *([jump] if made.adaptive else [])]
        gradients = torch.autograd.grad(loss, wanted, allow_unused=True, materialize_grads=True)
        results.append((spikes, potentials, gradients))
    torch.set_num_threads(1)
    (spikes, potentials, plain), (fused_spikes, fused_potentials, fused) = results
    assert torch.equal(spikes, fused_spikes)
    assert torch.equal(potentials, fused_potentials)
    for a, b in zip(plain, fused, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9 * (1 + float(a.abs().max())))


@pytest.mark.parametrize("kind", list(SynapseKind))
def test_the_compiled_scan_has_the_right_gradient_below_threshold(kind: SynapseKind) -> None:
    case = {"adaptive": True, "spiking": True, "oscillatory": True, "synapse": kind, "reset": Reset.SUBTRACT}
    made = random_neuron(case | {"pulse_steps": 3, "refractory_steps": 2}, np.random.default_rng(0))
    silent = replace(made, threshold=torch.full((SIZE,), 1e9, dtype=torch.float64))
    arrivals = torch.randn(2, 12, SIZE, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: fused_scan(silent, x, Surrogate("boxcar", 0.5))[1], [arrivals])


@given(st.integers(0, 2**31), st.integers(1, 5), st.sampled_from([1, 2]))
@settings(max_examples=30, deadline=None, derandomize=True)
def test_projections_by_events_equal_sums_written_out(seed: int, taps: int, threads: int) -> None:
    rng = np.random.default_rng(seed)
    spikes = torch.from_numpy((rng.random((2, 15, 4)) < 0.3) * rng.integers(1, 4, (2, 15, 4)).astype(float))
    values = torch.from_numpy(rng.normal(size=(3, 4, taps)))
    lag = torch.from_numpy(rng.integers(0, 18, (3, 4)).astype(np.int32))
    expected = np.zeros((2, 15, 3))
    for b, t, i in zip(*np.nonzero(spikes.numpy()), strict=True):
        for j in range(3):
            for m in range(taps):
                at = t + int(lag[j, i]) + m
                if at < 15:
                    expected[b, at, j] += spikes[b, t, i].item() * values[j, i, m].item()
    torch.set_num_threads(threads)
    np.testing.assert_allclose(event_projection(spikes, values, lag).numpy(), expected, atol=1e-12)
    inputs = [spikes.requires_grad_(), values.requires_grad_()]
    assert torch.autograd.gradcheck(lambda s, v: event_projection(s + 0, v, lag), inputs)
    torch.set_num_threads(1)


def test_long_samples_run_in_segments_with_the_same_gradients_and_little_memory() -> None:
    """Checkpointing over time: what is kept for the way back shrinks to the states between segments."""
    rng = np.random.default_rng(0)
    case = {"adaptive": True, "spiking": True, "oscillatory": False, "synapse": SynapseKind.PULSE}
    made = random_neuron(case | {"reset": Reset.SUBTRACT, "pulse_steps": 3, "refractory_steps": 3}, rng)
    weight = torch.from_numpy(rng.normal(0, 0.5, (SIZE, SIZE)))
    results: list[Any] = []
    kept = []
    for segment_steps in (None, 20):
        arrivals = torch.from_numpy(rng.normal(0.5, 1.5, (2, 400, SIZE))) if not results else results[0][0].detach()
        arrivals.requires_grad_().grad = None
        recurrent = {2: weight.clone().requires_grad_()}
        sizes: list[int] = []

        def keep(tensor: torch.Tensor, sizes: list[int] = sizes) -> torch.Tensor:
            sizes.append(tensor.numel())
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            spikes, potentials = scan(
                made, arrivals, Surrogate("triangle", 1.0), recurrent, segment_steps=segment_steps
            )
        torch.autograd.backward(spikes.sum() + potentials.square().sum())
        results.append((arrivals, spikes, potentials, arrivals.grad, recurrent[2].grad))
        kept.append(sum(sizes))
    for a, b in zip(results[0], results[1], strict=True):
        assert a is not None
        assert b is not None
        torch.testing.assert_close(a, b)
    assert kept[1] < kept[0] / 10


def test_both_kernels_train_the_same_network() -> None:
    """One batch at each of two steps: loss and gradients of every parameter agree to float32."""
    data = load_dataset(SMALL.data, None, seed=0)
    phases = (Phase(share=1.0, steps_ms=(10.0, 1.0)),)
    gradients = []
    for kernels in ("fused", "plain"):
        config = changed(network={"batch_norm": True, "dropout": 0.0, "bias": True}, schedule={"phases": phases})
        network = SpikingNetwork(replace(config, kernels=kernels), len(data.class_names), seed=0)
        scale_weights_to_data(network, data.train.counts(10.0))
        network.set_progress(1.0)
        for step_ms in (10.0, 1.0):
            activity = network(data.train.counts(step_ms)[:8], step_ms)
            torch.autograd.backward(activity.potentials.square().mean() + activity.spikes[1].mean())
        gradients.append({name: p.grad for name, p in network.named_parameters() if p.grad is not None})
    assert gradients[0].keys() == gradients[1].keys()
    for name, fused in gradients[0].items():
        plain = gradients[1][name]
        cosine = torch.nn.functional.cosine_similarity(fused.flatten(), plain.flatten(), dim=0)
        # A spike that float32 moves by a step changes a gradient a little.
        assert cosine > 0.99, name
