"""Why the propagators are computed here: Brian2's `method='exact'` loses neurons, and raises nothing.

Its closed solution divides by the difference of two time constants and takes the root of
(1/tau_u - 1/tau_w)^2 - 4 a / (tau_u tau_w): 0 / 0 for degenerate neurons, the root of a negative number for oscillatory
ones (complex eigenvalues). Such a neuron is NaN from the first step on and never spikes.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

import brian2
import numpy as np
import pytest
from networks import edges, network, neurons, on_training_grid, played

from spikebridge.bridge.arrays import BoolArray, FloatArray
from spikebridge.bridge.discretise import GridNetwork
from spikebridge.bridge.equations import brian_model
from spikebridge.bridge.reference import run_reference
from spikebridge.bridge.spec import NetworkSpec, SynapseKind

type Made = Callable[[], tuple[NetworkSpec, BoolArray]]

N_STEPS = 60
CURRENT = 8.0

# tau_u and tau_w in ms, a, and whether `exact` copes.
ADAPTIVE = {
    "regular": (20.0, 100.0, 0.5, True),
    "equal time constants, a < 0": (20.0, 20.0, -0.2, True),
    "oscillatory": (20.0, 25.0, 4.0, False),
    "equal time constants, a = 0": (20.0, 20.0, 0.0, False),
    "nearly equal time constants, a = 0": (20.0, 20.0 * (1 + 1e-12), 0.0, False),
    "equal time constants, a > 0": (20.0, 20.0, 0.5, False),
    "critically damped": (20.0, 40.0, 0.125, False),
}
# tau_u in ms behind an exponential synapse of 20 ms, without adaptation.
EXPONENTIAL = {"regular": (30.0, True), "tau_u = tau_syn": (20.0, False)}


@pytest.fixture(autouse=True)
def _numpy_target() -> Iterator[None]:
    before = brian2.prefs["codegen.target"]
    brian2.prefs["codegen.target"] = "numpy"
    yield
    brian2.prefs["codegen.target"] = before


def adaptive_neurons() -> tuple[NetworkSpec, BoolArray]:
    """One neuron of each kind, driven by a constant current alone, and which `exact` copes with."""
    tau_u, tau_w, a, copes = (np.array(column) for column in zip(*ADAPTIVE.values(), strict=True))
    population = replace(
        neurons(size=len(ADAPTIVE), b=0.1, bias=3.0, refractory_steps=2),
        tau_membrane_ms=tau_u,
        tau_adaptation_ms=tau_w,
        adaptation_coupling=a,
    )
    return network([population], [edges("input", "hidden", [(0, 0, 0.0, 0)])], n_steps=N_STEPS), copes


def exponential_neurons() -> tuple[NetworkSpec, BoolArray]:
    """One neuron of each kind, driven by a synaptic current that one input spike starts."""
    tau_u, copes = (np.array(column) for column in zip(*EXPONENTIAL.values(), strict=True))
    population = replace(neurons(size=len(EXPONENTIAL)), tau_membrane_ms=tau_u)
    synapses = [(0, neuron, CURRENT, 0) for neuron in range(len(EXPONENTIAL))]
    projection = edges("input", "hidden", synapses, SynapseKind.EXPONENTIAL, tau_syn_ms=20.0)
    return network([population], [projection], n_steps=N_STEPS), copes


def in_brian2(grid: GridNetwork, method: str | None) -> tuple[FloatArray, FloatArray]:
    """Potentials (steps, neurons) and spike counts (neurons,), by the model's equations and `method`, None for ours.

    Written out, without `spikebridge.sim`: what a reader would write who takes the equations to Brian2.
    """
    model = brian_model(grid.populations[0])
    step = grid.step_ms * brian2.ms
    group = brian2.NeuronGroup(
        grid.populations[0].population.size,
        model.equations,
        method=method or (lambda *_: model.update),
        threshold=model.threshold,
        reset=model.reset,
        refractory=model.refractory_steps * step if model.refractory_steps else False,
        dt=step,
        namespace={},
    )
    for name, values in model.constants.items():
        setattr(group, name, values * (brian2.second if name.startswith("tau_") else 1))
    if "i_syn" in model.state:
        group.i_syn = CURRENT
    trace = brian2.StateMonitor(group, "u", record=True, when="after_groups", dt=step)
    spikes = brian2.SpikeMonitor(group)
    brian2.Network(group, trace, spikes).run(grid.n_steps * step, namespace={})
    return np.asarray(trace.u).T, np.asarray(spikes.count, dtype=np.float64)


def in_reference(grid: GridNetwork) -> tuple[FloatArray, FloatArray]:
    """The same from the reference; its input spike of step 0 acts from step 1 on, so it runs a step longer."""
    delay = int(grid.populations[0].synapse is SynapseKind.EXPONENTIAL)
    longer = on_training_grid(replace(grid.spec, duration_ms=(grid.n_steps + delay) * grid.step_ms))
    spikes, potentials = run_reference(longer, played([(0, 0, 0)], longer))
    return potentials["hidden"][0, delay:], np.bincount(
        spikes["hidden"].neuron, minlength=potentials["hidden"].shape[2]
    ).astype(np.float64)


@pytest.mark.parametrize("made", [adaptive_neurons, exponential_neurons])
def test_the_propagators_give_every_neuron_of_the_reference(made: Made) -> None:
    spec, _ = made()
    grid = on_training_grid(spec)
    potentials, spikes = in_brian2(grid, None)
    expected, expected_spikes = in_reference(grid)
    assert (expected_spikes > 0).all()
    np.testing.assert_array_equal(potentials, expected)
    np.testing.assert_array_equal(spikes, expected_spikes)


@pytest.mark.parametrize("made", [adaptive_neurons, exponential_neurons])
def test_exact_loses_oscillatory_and_degenerate_neurons(made: Made) -> None:
    spec, copes = made()
    grid = on_training_grid(spec)
    # With this code generation target NumPy warns in passing; compiled code says nothing at all.
    with pytest.warns(RuntimeWarning, match="invalid value"):
        potentials, spikes = in_brian2(grid, "exact")
    expected, expected_spikes = in_reference(grid)
    assert np.isnan(potentials[:, ~copes]).all()
    assert (spikes[~copes] == 0).all()
    np.testing.assert_allclose(potentials[:, copes], expected[:, copes], rtol=0, atol=1e-12)
    np.testing.assert_array_equal(spikes[copes], expected_spikes[copes])
