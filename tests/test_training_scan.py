"""The neuron in PyTorch: gradients of the smooth parts, surrogates, and the bits of the NumPy reference."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from spikebridge.bridge.decoding import Decoding
from spikebridge.bridge.discretise import discretise, propagator
from spikebridge.bridge.spec import NetworkSpec, Population, Readout, Reset, SynapseKind
from spikebridge.training.executor import neuron_tensors
from spikebridge.training.propagators import exact_step, exported_step
from spikebridge.training.scan import NeuronTensors, scan
from spikebridge.training.surrogate import DERIVATIVES, Surrogate


def population(size: int = 4, **changes: object) -> Population:
    rng = np.random.default_rng(0)
    values: dict[str, object] = {
        "name": "p",
        "size": size,
        "tau_membrane_ms": rng.uniform(5, 50, size),
        "tau_adaptation_ms": rng.uniform(5, 100, size),
        "adaptation_coupling": rng.uniform(0, 3, size),
        "adaptation_jump": rng.uniform(0, 1, size),
        "threshold": np.ones(size),
        "bias": rng.normal(0, 0.3, size),
    }
    return Population(**(values | changes))  # type: ignore[arg-type]


def neuron(pop: Population, kind: SynapseKind, step_ms: float = 1.0, **changes: object) -> NeuronTensors:
    tau_syn_ms = 5.0 if kind is SynapseKind.EXPONENTIAL else None
    made = NeuronTensors(
        step=exported_step(propagator(pop, tau_syn_ms, step_ms)),
        threshold=torch.tensor(pop.threshold),
        bias=torch.tensor(pop.bias),
        adaptation_jump=torch.tensor(pop.adaptation_jump),
        adaptive=pop.adaptive,
        synapse=kind,
        pulse_steps=3 if kind is SynapseKind.PULSE else 0,
        refractory_steps=0,
        reset=pop.reset,
        reset_value=pop.reset_value,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("tau_syn_ms", [None, 5.0])
@pytest.mark.parametrize("step_ms", [10.0, 0.1])
def test_propagators_equal_the_exported_ones(tau_syn_ms: float | None, step_ms: float) -> None:
    pop = population(8)
    values = [torch.tensor(getattr(pop, n)) for n in ("tau_membrane_ms", "tau_adaptation_ms", "adaptation_coupling")]
    trained = exact_step(values[0], values[1], values[2], tau_syn_ms, step_ms)
    exported = exported_step(propagator(pop, tau_syn_ms, step_ms))
    for name in trained._fields:
        torch.testing.assert_close(getattr(trained, name), getattr(exported, name), rtol=1e-12, atol=1e-14)


def test_propagators_have_the_right_gradient() -> None:
    def entries(tau_u: torch.Tensor, tau_w: torch.Tensor, coupling: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(exact_step(tau_u, tau_w, coupling, 5.0, 10.0))

    pop = population(3)
    inputs = [
        torch.tensor(getattr(pop, n), requires_grad=True)
        for n in ("tau_membrane_ms", "tau_adaptation_ms", "adaptation_coupling")
    ]
    assert torch.autograd.gradcheck(entries, inputs)


@pytest.mark.parametrize("kind", list(SynapseKind))
def test_subthreshold_scan_has_the_right_gradient(kind: SynapseKind) -> None:
    silent = neuron(population(3), kind, threshold=torch.full((3,), 1e9, dtype=torch.float64))
    arrivals = torch.randn(2, 12, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: scan(silent, x, Surrogate("boxcar", 0.5))[1], [arrivals])


@pytest.mark.parametrize("name", list(DERIVATIVES))
def test_surrogates_step_forward_and_bump_backward(name: str) -> None:
    distance = torch.linspace(-3, 3, 61, dtype=torch.float64, requires_grad=True)
    spikes = Surrogate(name, 0.5)(distance)
    assert torch.equal(spikes, (distance >= 0).double())
    torch.autograd.backward(spikes.sum())
    assert distance.grad is not None
    torch.testing.assert_close(distance.grad, DERIVATIVES[name](distance.detach() / 0.5))
    bump = distance.grad
    assert bump.argmax() == 30 or bump[30] == bump.max()  # highest at threshold
    torch.testing.assert_close(bump, bump.flip(0))
    grid = torch.linspace(-40, 40, 80001, dtype=torch.float64)
    area = DERIVATIVES[name](grid).sum().item() * (grid[1] - grid[0]).item()
    assert 0.9 < area < 2.1  # each is a bump of area 1 or, for the slopes of sigmoids between -1 and 1, about 2


def test_gradient_reaches_the_input_through_a_spike() -> None:
    arrivals = torch.full((1, 6, 4), 0.8, dtype=torch.float64, requires_grad=True)
    spikes, _ = scan(neuron(population(4), SynapseKind.DELTA), arrivals, Surrogate("triangle", 1.0))
    assert spikes.sum() > 0
    torch.autograd.backward(spikes.sum())
    assert arrivals.grad is not None
    assert arrivals.grad.abs().sum() > 0


def test_one_step_of_refractoriness_is_what_the_grid_has_and_two_halve_the_highest_rate() -> None:
    strong = torch.full((1, 12, 4), 50.0, dtype=torch.float64)
    lif = population(4, adaptation_coupling=0.0, adaptation_jump=0.0, bias=0.0)
    counts = {
        r: scan(neuron(lif, SynapseKind.EXPONENTIAL, refractory_steps=r), strong, Surrogate("boxcar", 1.0))[0].sum(
            (0, 1)
        )
        for r in (0, 1, 2, 3)
    }
    # The first arrival acts in step 1, so 11 steps are left.
    assert counts[0].tolist() == [11.0] * 4
    assert counts[1].tolist() == [11.0] * 4
    assert counts[2].tolist() == [6.0] * 4
    assert counts[3].tolist() == [4.0] * 4


def test_reset_to_value_sets_exactly_that_value() -> None:
    pop = population(2, reset=Reset.TO_VALUE, reset_value=-0.3, bias=0.0, adaptation_coupling=0.0, adaptation_jump=0.0)
    arrivals = torch.zeros(1, 3, 2, dtype=torch.float64)
    arrivals[0, 0] = 2.0
    spikes, potentials = scan(neuron(pop, SynapseKind.DELTA), arrivals, Surrogate("boxcar", 1.0))
    assert spikes[0, 1].tolist() == [1.0, 1.0]
    decay = torch.tensor(propagator(pop, None, 1.0).u_u)
    assert torch.equal(potentials[0, 2], decay * -0.3)


def test_neuron_tensors_carry_every_field_of_the_population() -> None:
    spec = NetworkSpec(
        inputs=(),
        populations=(
            population(3, refractory_ms=20.0, reset=Reset.TO_VALUE, reset_value=-0.2),
            population(2, name="r", spiking=False, adaptation_coupling=0.0, adaptation_jump=0.0),
        ),
        projections=(),
        readout=Readout("r", Decoding.MEAN),
        training_step_ms=10.0,
        duration_ms=100.0,
    )
    made = neuron_tensors(discretise(spec, 10.0).populations[0])
    assert (made.refractory_steps, made.reset, made.reset_value, made.spiking) == (2, Reset.TO_VALUE, -0.2, True)
