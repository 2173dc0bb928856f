"""Propagators in one pass: those of the bridge, and the derivatives of `torch.matrix_exp`."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from spikebridge.bridge.discretise import propagator
from spikebridge.bridge.spec import Population
from spikebridge.training.exact_steps import exact_steps_of
from spikebridge.training.propagators import StepTensors, entries_of, exact_step

EPSILON = 1e-12


def leaves(*rows: list[float]) -> tuple[Tensor, ...]:
    return tuple(torch.tensor(row, dtype=torch.float64, requires_grad=True) for row in rows)


def steps_of(populations: list[tuple[Tensor, ...]], tau_syn_ms: float | None, step_ms: float) -> list[StepTensors]:
    return [entries_of(packed) for packed in exact_steps_of(populations, tau_syn_ms, step_ms)]


def gradients(step: StepTensors, parameters: tuple[Tensor, ...], seed: int) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(seed)
    total = sum((entry * torch.randn(len(entry), generator=generator)).sum() for entry in step)
    assert isinstance(total, Tensor)
    return torch.autograd.grad(total, parameters)


@settings(deadline=None, max_examples=60)
@given(
    tau_u=st.lists(st.floats(0.5, 200), min_size=3, max_size=3),
    tau_w=st.lists(st.floats(0.5, 1000), min_size=3, max_size=3),
    coupling=st.lists(st.floats(-0.9, 40), min_size=3, max_size=3),
    tau_syn_ms=st.none() | st.floats(0.5, 100),
    step_ms=st.sampled_from([0.1, 1.0, 10.0]),
    seed=st.integers(0, 100),
)
def test_values_and_gradients_are_those_of_the_matrix_exponential(
    tau_u: list[float],
    tau_w: list[float],
    coupling: list[float],
    tau_syn_ms: float | None,
    step_ms: float,
    seed: int,
) -> None:
    parameters = leaves(tau_u, tau_w, coupling)
    (found,) = steps_of([parameters], tau_syn_ms, step_ms)
    expected = exact_step(parameters[0], parameters[1], parameters[2], tau_syn_ms, step_ms)
    for entry, other in zip(found, expected, strict=True):
        assert torch.allclose(entry, other, rtol=1e-10, atol=EPSILON)
    pairs = zip(gradients(found, parameters, seed), gradients(expected, parameters, seed), strict=True)
    assert all(torch.allclose(gradient, other, rtol=1e-8, atol=1e-10) for gradient, other in pairs)


@pytest.mark.parametrize("tau_syn_ms", [None, 5.0, 20.0])
def test_equal_time_constants_and_complex_eigenvalues(tau_syn_ms: float | None) -> None:
    """Where closed forms fail: tau_u = tau_w = tau_syn without coupling, and an oscillating membrane."""
    tau_u, tau_w, coupling, zeros = np.full(2, 20.0), np.array([20.0, 5.0]), np.array([0.0, 8.0]), np.zeros(2)
    population = Population("p", 2, tau_u, tau_w, coupling, zeros, np.ones(2), zeros)
    expected = propagator(population, tau_syn_ms, 1.0)
    parameters = leaves([20.0, 20.0], [20.0, 5.0], [0.0, 8.0])
    (found,) = steps_of([parameters], tau_syn_ms, 1.0)
    for name in StepTensors._fields:
        np.testing.assert_allclose(getattr(found, name).detach(), getattr(expected, name), rtol=1e-12, atol=EPSILON)


def test_populations_keep_their_neurons_and_need_no_adaptation() -> None:
    adaptive, plain = leaves([10.0, 30.0], [100.0, 200.0], [0.5, 1.0]), leaves([15.0, 25.0, 35.0])
    both = steps_of([adaptive, plain], None, 10.0)
    (alone,) = steps_of([adaptive], None, 10.0)
    assert all(torch.allclose(entry, other, rtol=1e-12) for entry, other in zip(both[0], alone, strict=True))
    assert torch.allclose(both[1].u_u, torch.exp(-10.0 / plain[0]), rtol=1e-12)
    assert torch.allclose(both[1].u_c, -torch.expm1(-10.0 / plain[0]), rtol=1e-12)
    assert not both[1].w_u.any()
    (slope,) = torch.autograd.grad(both[1].u_u.sum(), plain)
    assert torch.allclose(slope, torch.exp(-10.0 / plain[0]) * 10.0 / plain[0] ** 2, rtol=1e-10)


def test_single_precision_is_double_precision_rounded() -> None:
    parameters = leaves([10.0, 30.0], [100.0, 200.0], [0.5, 1.0])
    (exact,) = steps_of([parameters], 5.0, 10.0)
    (rounded,) = steps_of([tuple(parameter.float() for parameter in parameters)], 5.0, 10.0)
    assert all(entry.dtype == torch.float32 for entry in rounded)
    assert all(torch.equal(entry, other.float()) for entry, other in zip(rounded, exact, strict=True))


@pytest.mark.parametrize("tau_ms", [float("nan"), 1e-300, 1e-15, 1e-6, 1e12])
def test_a_parameter_out_of_bounds_is_of_no_effect_on_other_neurons(tau_ms: float) -> None:
    (alone,) = steps_of([leaves([20.0], [100.0], [0.5])], 5.0, 10.0)
    (beside,) = steps_of([leaves([tau_ms, 20.0], [100.0, 100.0], [0.5, 0.5])], 5.0, 10.0)
    assert all(torch.equal(entry[1:], other) for entry, other in zip(beside, alone, strict=True))
    assert beside.u_u.isnan()[0].item() == np.isnan(tau_ms) or tau_ms < 1e-12
