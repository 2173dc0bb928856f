"""The compiled loops against PyTorch's own operations: the same bits forwards, the same gradients backwards."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scanned_neurons import random_neuron
from small_training import SMALL, changed

from spikebridge.bridge.spec import Reset, SynapseKind
from spikebridge.training.config import Phase
from spikebridge.training.dataset import load_dataset
from spikebridge.training.event_projection import event_projection
from spikebridge.training.fused_backward import TOGETHER
from spikebridge.training.fused_scan import fused_scan
from spikebridge.training.network import SpikingNetwork, scale_weights_to_data
from spikebridge.training.propagators import StepTensors
from spikebridge.training.scan import scan
from spikebridge.training.surrogate import DERIVATIVES, Surrogate

pytestmark = pytest.mark.usefixtures("blocks_on_threads")

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
        "slope_while_frozen": st.booleans(),
        "surrogate": st.sampled_from(sorted(DERIVATIVES)),
        "width": st.sampled_from([0.3, 1.0]),
        "lags": st.sampled_from([(), (0,), (3,), (0, 2)]),
        "threads": st.sampled_from([1, 2]),
        "seed": st.integers(0, 2**31),
    }
)


@given(options)
@settings(max_examples=150, deadline=None, derandomize=True)
def test_the_compiled_scan_has_the_values_and_gradients_of_the_plain_one(case: dict[str, Any]) -> None:
    rng = np.random.default_rng(case["seed"])
    made = random_neuron(case, rng, SIZE)
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


@pytest.mark.parametrize("lags", [(), (0,), (1, 3)])
@pytest.mark.parametrize("reset", list(Reset))
@pytest.mark.parametrize("adaptive", [True, False])
def test_single_pulses_of_many_neurons_have_the_values_and_gradients_of_the_plain_scan(
    adaptive: bool, reset: Reset, lags: tuple[int, ...]
) -> None:
    """As many neurons as fill registers and leave some over, more samples than go side by side, scaled arrivals."""
    check_single_pulses(adaptive=adaptive, reset=reset, lags=lags)


@pytest.mark.parametrize("surrogate", sorted(DERIVATIVES))
def test_single_pulses_have_the_slope_of_every_surrogate(surrogate: str) -> None:
    check_single_pulses(surrogate=surrogate, width=0.3)


@pytest.mark.parametrize("lags", [(), (0,)])
@pytest.mark.parametrize("scaled", [True, False])
@pytest.mark.parametrize("on", ["potentials", "spikes", "both"])
def test_single_pulses_whatever_the_loss_depends_on(on: str, scaled: bool, lags: tuple[int, ...]) -> None:
    """Not every loop of the way back is for every loss."""
    check_single_pulses(on=on, scaled=scaled, lags=lags)


@pytest.mark.parametrize("lags", [(), (0,)])
def test_single_pulses_in_single_precision_and_of_one_step(lags: tuple[int, ...]) -> None:
    check_single_pulses(lags=lags, dtype=torch.float32, tolerance=1e-4)
    check_single_pulses(lags=lags, steps=1)


def test_single_pulses_that_arrive_after_the_end_of_a_sample() -> None:
    check_single_pulses(lags=(1, 7), steps=7)


def check_single_pulses(
    *,
    adaptive: bool = True,
    reset: Reset = Reset.SUBTRACT,
    lags: tuple[int, ...] = (),
    surrogate: str = "triangle",
    width: float = 1.0,
    scaled: bool = True,
    on: str = "spikes",
    steps: int = STEPS,
    dtype: torch.dtype = torch.float64,
    tolerance: float = 1e-9,
) -> None:
    # On two threads: each has one group of samples side by side and a smaller one.
    size, batch, rng = 75, 2 * TOGETHER + 6, np.random.default_rng(0)
    case = {"adaptive": adaptive, "spiking": True, "oscillatory": True, "synapse": SynapseKind.PULSE, "reset": reset}
    neuron = random_neuron(case | {"pulse_steps": 1, "refractory_steps": 1}, rng, size)
    arrivals = torch.from_numpy(np.round(rng.normal(0.5, 1.5, (batch, steps, size)) * 2**20) / 2**20)
    scale = torch.from_numpy(2.0 ** rng.integers(-1, 2, size))
    weights = [torch.from_numpy(np.round(rng.normal(0, 0.1, (size, size)) * 2**20) / 2**20) for _ in lags]
    probes = [torch.from_numpy(rng.normal(size=(batch, steps, size))).to(dtype) for _ in range(2)]
    results = []
    torch.set_num_threads(2)
    for compiled in (False, True):
        tensors = (neuron.bias, neuron.adaptation_jump, arrivals, scale, *weights, *neuron.step)
        bias, jump, *leaves = (tensor.to(dtype, copy=True).requires_grad_() for tensor in tensors)
        recurrent = dict(zip(lags, leaves[2:], strict=False)) or None
        step, threshold = StepTensors(*leaves[-len(neuron.step) :]), neuron.threshold.to(dtype)
        made = replace(neuron, step=step, threshold=threshold, bias=bias, adaptation_jump=jump)
        slope = Surrogate(surrogate, width)
        if compiled:
            spikes, potentials = fused_scan(made, leaves[0], slope, recurrent, leaves[1] if scaled else None)
        else:
            spikes, potentials = scan(made, leaves[0] * leaves[1] if scaled else leaves[0], slope, recurrent)
        losses = {"spikes": (spikes * probes[0]).sum(), "potentials": (potentials * probes[1]).sum()}
        loss = losses["spikes"] + losses["potentials"] if on == "both" else losses[on]
        results.append((spikes, potentials, gradients_of(loss, [bias, jump, *leaves])))
    torch.set_num_threads(1)
    (spikes, potentials, plain), (compiled_spikes, compiled_potentials, fused) = results
    assert spikes.any() or steps == 1  # a pulse is there in the step after its spike
    assert torch.equal(spikes, compiled_spikes)
    assert torch.equal(potentials, compiled_potentials)
    for a, b in zip(plain, fused, strict=True):
        torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance * (1 + float(a.abs().max())))


def gradients_of(loss: torch.Tensor, leaves: list[torch.Tensor]) -> tuple[torch.Tensor, ...]:
    return torch.autograd.grad(loss, leaves, allow_unused=True, materialize_grads=True)


@pytest.mark.parametrize("kind", list(SynapseKind))
def test_the_compiled_scan_has_the_right_gradient_below_threshold(kind: SynapseKind) -> None:
    case = {"adaptive": True, "spiking": True, "oscillatory": True, "synapse": kind, "reset": Reset.SUBTRACT}
    made = random_neuron(case | {"pulse_steps": 3, "refractory_steps": 2}, np.random.default_rng(0), SIZE)
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
    made = random_neuron(case | {"reset": Reset.SUBTRACT, "pulse_steps": 3, "refractory_steps": 3}, rng, SIZE)
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
