"""Rung 5: in mV, pA, pF and nS every spike is the same as without units."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import brian2
import numpy as np
import pytest
from brian2.core.functions import DEFAULT_FUNCTIONS
from brian2.equations.unitcheck import check_units_statements
from brian2.utils.logger import catch_logs
from hypothesis import given, settings
from hypothesis import strategies as st
from merged_networks import merge
from networks import (
    edges,
    every_kind_network,
    little_to_compile,
    network,
    network_specs,
    neurons,
    on_training_grid,
    played,
    random_inputs,
    random_trials,
)
from recipes import Batch, drawn, narrow_batches

from spikebridge.bridge.discretise import GridNetwork, discretise
from spikebridge.bridge.equations_physical import physical_model
from spikebridge.bridge.physical import PhysicalUnits
from spikebridge.bridge.spec import NetworkSpec, SynapseKind
from spikebridge.bridge.spikes import SpikeTrains
from spikebridge.sim.backends import backend
from spikebridge.sim.build import Built, build
from spikebridge.sim.layout import plan_layout
from spikebridge.sim.options import SimulationOptions
from spikebridge.sim.run import run_network, simulate

OPTIONS = SimulationOptions(backend="numpy", lanes=2, keep_readout=True)
UNITS = PhysicalUnits(rest_mv=-65.3, threshold_mv=-51.7, capacitance_pf=123.4)

UNITS_OF_BATCHES = (
    UNITS,
    PhysicalUnits(rest_mv=-40.0, threshold_mv=-39.0, capacitance_pf=1.0),
    PhysicalUnits(rest_mv=-90.0, threshold_mv=-30.0, leak_ns=1000.0),
    PhysicalUnits(rest_mv=-71.9, threshold_mv=-52.3, leak_ns=7.7),
)
BATCHES = list(zip(narrow_batches(60), UNITS_OF_BATCHES, strict=True))

physical_units = st.builds(
    lambda rest_mv, above_mv, electric, value: PhysicalUnits(rest_mv, rest_mv + above_mv, **{electric: value}),
    rest_mv=st.floats(-90.0, -40.0),
    above_mv=st.floats(1.0, 60.0),
    electric=st.sampled_from(["capacitance_pf", "leak_ns"]),
    value=st.floats(1.0, 1000.0),
)


def differences(
    grid: GridNetwork,
    inputs: dict[str, SpikeTrains],
    units: PhysicalUnits = UNITS,
    options: SimulationOptions = OPTIONS,
) -> tuple[int, float]:
    """Spikes that only one of the two has, and the largest difference of the readout."""
    plain, found = run_network(grid, inputs, options), run_network(grid, inputs, options, physical=units)
    assert plain.readout is not None
    assert found.readout is not None
    assert set(plain.spikes) == set(found.spikes)
    mismatches = sum(
        int(np.count_nonzero(found.spikes[name].counts() != trains.counts())) for name, trains in plain.spikes.items()
    )
    return mismatches, float(np.abs(found.readout - plain.readout).max())


def merged_batch(batch: Batch) -> tuple[GridNetwork, dict[str, SpikeTrains]]:
    """The networks of a batch as one, and its inputs."""
    recipes = drawn(batch)
    merged = merge([recipe.spec() for recipe in recipes])
    return on_training_grid(merged.spec), merged.inputs([recipe.trains(recipe.grid()) for recipe in recipes])


@pytest.mark.parametrize(("batch", "units"), BATCHES, ids=range(4))
def test_hundreds_of_random_networks_fire_the_same(batch: Batch, units: PhysicalUnits) -> None:
    """In twelve structures, of neurons that oscillate or are degenerate too; Brian2 builds a batch once."""
    mismatches, readout = differences(*merged_batch(batch), units)
    assert mismatches == 0
    assert readout < 1e-9


@pytest.mark.slow
@given(network_specs(), st.integers(0, 2**32 - 1), physical_units)
@settings(max_examples=40, deadline=None, derandomize=True)
def test_random_networks_fire_the_same_in_random_units(spec: NetworkSpec, seed: int, units: PhysicalUnits) -> None:
    """Each alone, with feedback to earlier populations."""
    grid = on_training_grid(spec)
    mismatches, readout = differences(grid, random_inputs(grid, 3, seed), units)
    assert mismatches == 0
    assert readout < 1e-9


def test_every_kind_of_neuron_and_synapse_fires_the_same_on_a_finer_step() -> None:
    spec = every_kind_network(n_steps=25)
    grid = discretise(spec, 2.5)
    mismatches, readout = differences(grid, random_inputs(grid, 5, seed=0, rate=0.1))
    assert mismatches == 0
    assert readout < 1e-9


@pytest.mark.slow
@pytest.mark.parametrize(
    ("backend", "make", "seed"), [("cython", little_to_compile, 0), ("cpp", every_kind_network, 1)]
)
def test_compiled_back_ends_fire_the_same_in_random_units(
    backend: str, make: Callable[..., NetworkSpec], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    rest_mv = rng.uniform(-90.0, -40.0)
    electric = {"leak_ns" if seed else "capacitance_pf": rng.uniform(1.0, 500.0)}
    units = PhysicalUnits(rest_mv, rest_mv + rng.uniform(1.0, 60.0), **electric)
    grid = on_training_grid(make(seed=seed, n_steps=30))
    options = SimulationOptions(backend=backend, lanes=2)  # type: ignore[arg-type]
    mismatches, readout = differences(grid, random_inputs(grid, 5, seed=1), units, options)
    assert mismatches == 0
    assert readout < 1e-9


def test_a_threshold_that_is_a_millivolt_off_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Control: the comparisons above can fail."""
    grid = on_training_grid(every_kind_network(n_steps=25))
    inputs = random_inputs(grid, 3, seed=0)

    def off(g: Any, units: PhysicalUnits) -> Any:
        made = physical_model(g, units)
        constants = {name: values + 1e-3 * (name == "v_th") for name, values in made.constants.items()}
        return replace(made, constants=constants)

    monkeypatch.setattr("spikebridge.sim.build.physical_model", off)
    assert differences(grid, inputs)[0] > 0


@contextmanager
def running(grid: GridNetwork, inputs: dict[str, SpikeTrains], units: PhysicalUnits) -> Iterator[Built]:
    """One sample after its last step."""
    layout = plan_layout(grid, 1, 1)
    with backend("numpy") as run:
        built = build(grid, inputs, layout, units)
        run(built.network, layout.total_steps * (grid.step_ms * brian2.ms), lambda _: None)
        yield built


def test_units_are_consistent_for_brian2() -> None:
    """Equations, threshold, reset and synapses by Brian2 as it builds; update and delivery with its own check."""
    grid = on_training_grid(every_kind_network(n_steps=5))
    with running(grid, random_inputs(grid, 1, seed=0), PhysicalUnits()) as built:
        for target in built.populations.values():
            for code in (target.model.update, target.model.deliver, target.model.reset or ""):
                check_units_statements(code, {**DEFAULT_FUNCTIONS, **target.group.variables})
        oscillatory = built.populations["hidden2"]
        wrong = oscillatory.model.update.replace("v_w * w", "w")
        with pytest.raises(brian2.DimensionMismatchError):
            check_units_statements(wrong, {**DEFAULT_FUNCTIONS, **oscillatory.group.variables})


def test_a_user_sees_potentials_in_mv_and_weights_in_pa() -> None:
    """g_L = 10 nS and s = 20 mV: a weight of 0.5 is 100 pA, or 10 mV."""
    pulse = edges("input", "hidden", [(0, 0, 0.5, 0)], SynapseKind.PULSE)
    jump = edges("hidden", "readout", [(0, 0, 0.5, 0)])
    grid = on_training_grid(network([neurons()], [pulse, jump]))
    with running(grid, played([], grid), PhysicalUnits()) as built:
        hidden = built.populations["hidden"].group
        assert float(hidden.V[0] / brian2.mV) == pytest.approx(-70.0)
        assert float(hidden.V_th[0] / brian2.mV) == pytest.approx(-50.0)
        assert float(hidden.g_L[0] / brian2.nS) == pytest.approx(10.0)
        assert float(hidden.C[0] / brian2.pF) == pytest.approx(200.0)
        weights = {s.target.name: s.J[0] for s in built.network.objects if isinstance(s, brian2.Synapses)}
        assert float(weights["population_0_hidden"] / brian2.pA) == pytest.approx(100.0)
        assert float(weights["population_1_readout"] / brian2.mV) == pytest.approx(10.0)


def test_time_to_spike_in_a_constant_current_is_the_closed_form() -> None:
    """C = 250 pF, g_L = 10 nS, so tau = 25 ms; 300 pA lift V towards -70 + 30 mV, and V reaches -50 mV at tau ln 3."""
    tau_ms, step_ms, current_pa, leak_ns = 25.0, 0.1, 300.0, 10.0
    units = PhysicalUnits(leak_ns=leak_ns)
    bias = current_pa / (leak_ns * units.scale_mv)
    hidden = neurons(tau_ms=tau_ms, bias=bias, refractory_steps=1000, step_ms=step_ms)
    spec = network([hidden], [edges("input", "hidden", [(0, 0, 1.0, 0)])], n_steps=500, step_ms=step_ms)
    grid = on_training_grid(spec)
    with running(grid, played([], grid), units) as built:
        group = built.populations["hidden"].group
        assert float(group.C[0] / brian2.pF) == pytest.approx(250.0)
        assert float(group.I_bias[0] / brian2.pA) == pytest.approx(current_pa)
    spikes = run_network(grid, played([], grid), OPTIONS, physical=units).spikes["hidden"]
    expected_ms = tau_ms * np.log(3.0)  # V(t) - E_L = 30 mV (1 - exp(-t / tau)) = 20 mV
    # The state of step k is that at the end of the step, (k + 1) dt.
    assert spikes.step.tolist() == [int(np.ceil(expected_ms / step_ms)) - 1]


def test_a_recording_in_physical_units_says_so_and_is_dimensionless() -> None:
    spec = every_kind_network(n_steps=10)
    trials = random_trials(spec, 3)
    with catch_logs() as logs:
        found = simulate(spec, trials, step_ms=10.0, options=OPTIONS, physical=UNITS)
    assert logs == []
    plain = simulate(spec, trials, step_ms=10.0, options=OPTIONS)
    assert found.executor == plain.executor == "brian2-numpy"
    assert found.provenance["units"] == str(UNITS)
    assert plain.provenance["units"] == "dimensionless"
    assert found.readout is not None
    assert plain.readout is not None
    np.testing.assert_allclose(found.readout, plain.readout, rtol=0, atol=1e-9)
    np.testing.assert_allclose(found.scores, plain.scores, rtol=0, atol=1e-9)
