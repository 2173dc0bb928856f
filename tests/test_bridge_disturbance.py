"""What a disturbance is, its formulas against independent ones, and the reference that draws its own numbers."""

import numpy as np
import pytest
from networks import STEP_MS, edges, network, neurons, on_training_grid, played
from scipy.linalg import solve_continuous_lyapunov
from scipy.stats import binomtest

from spikebridge.bridge.arrays import FloatArray
from spikebridge.bridge.disturbance import Disturbance, noise_per_step, stationary_deviation
from spikebridge.bridge.errors import ConfigError
from spikebridge.bridge.reference import run_reference


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"membrane_noise": -0.1}, "membrane_noise is -0.1; .* 0 or above"),
        ({"membrane_noise": float("nan")}, "membrane_noise is nan"),
        ({"membrane_noise": float("inf")}, "membrane_noise is inf"),
        ({"transmission_failure": -0.1}, "transmission_failure is -0.1; .*at least 0 and below 1"),
        ({"transmission_failure": 1.0}, "transmission_failure is 1.0"),
        ({"transmission_failure": float("nan")}, "transmission_failure is nan"),
        ({"seed": -1}, "seed of a disturbance is -1; it must lie between"),
        ({"seed": 2**63}, "seed of a disturbance is 9223372036854775808"),
        ({"seed": 1.5}, "seed of a disturbance is 1.5; it must be a whole number"),
        ({"seed": True}, "it must be a whole number"),
    ],
)
def test_values_out_of_range_are_refused(values: dict[str, float], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Disturbance(**values)  # type: ignore[arg-type]


def test_without_amplitudes_there_is_no_disturbance() -> None:
    assert not Disturbance().any
    assert str(Disturbance(seed=3)) == "none"
    assert Disturbance(membrane_noise=0.1).any
    assert Disturbance(transmission_failure=0.1).any
    assert str(Disturbance(0.1, 0.25, 7)) == "membrane noise 0.1, transmission failure 0.25, seed 7"


@pytest.mark.parametrize("step_ms", [0.1, 10.0, 500.0])
def test_noise_of_a_step_keeps_the_stationary_variance(step_ms: float) -> None:
    population = neurons(size=2, tau_ms=20.0)
    drawn = noise_per_step(population, 0.3, step_ms)
    decay = np.exp(-step_ms / population.tau_membrane_ms)
    np.testing.assert_allclose(decay**2 * 0.3**2 + drawn**2, 0.3**2, rtol=1e-14)


@pytest.mark.parametrize("a", [0.0, 0.5, 4.0])
def test_the_deviation_with_adaptation_solves_the_lyapunov_equation(a: float) -> None:
    tau_u, tau_w, sigma = 20.0, 100.0, 0.3
    population = neurons(tau_ms=tau_u, tau_adaptation_ms=tau_w, a=a)
    drift = np.array([[-1 / tau_u, -1 / tau_u], [a / tau_w, -1 / tau_w]])
    covariance: FloatArray = solve_continuous_lyapunov(drift, np.diag([-2 * sigma**2 / tau_u, 0.0]))
    np.testing.assert_allclose(stationary_deviation(population, sigma), np.sqrt(covariance[0, 0]), rtol=1e-12)


def test_the_reference_loses_spikes_one_by_one() -> None:
    # The readout does not leak: it counts what arrived of 20 steps with three spikes each, at 200 synapses.
    wire = edges("input", "readout", [(0, k, 1.0, 2) for k in range(200)])
    readout = neurons("readout", 200, tau_ms=1e12, spiking=False)
    grid = on_training_grid(network([readout], [wire], classes=200, n_steps=25))
    inputs = played([(0, step, 0) for step in range(20) for _ in range(3)], grid)
    arrived = np.round(run_reference(grid, inputs, disturbance=Disturbance(0.0, 0.3, 1))[1]["readout"][0, -1])
    assert binomtest(int(arrived.sum()), 200 * 60, 0.7).pvalue > 1e-3
    assert 0.75 < arrived.var() / (60 * 0.7 * 0.3) < 1.3  # chi-squared with 199 degrees: a deviation of 0.1
    untouched = run_reference(grid, inputs, disturbance=Disturbance())[1]["readout"][0, -1]
    np.testing.assert_allclose(untouched, 60.0, rtol=1e-9)


def test_the_reference_has_the_deviation_it_was_asked_for() -> None:
    hidden = neurons(size=500, theta=1e9)
    grid = on_training_grid(network([hidden], [], n_steps=30, step_ms=STEP_MS))
    potentials = run_reference(grid, played([], grid, samples=4), disturbance=Disturbance(0.3, seed=2))[1]
    last = potentials["hidden"][:, -1]  # after 15 time constants
    assert abs(last.std() / 0.3 - 1.0) < 4 / np.sqrt(2 * last.size)
    assert not potentials["readout"].any()
