"""Rung 1 on random networks: PyTorch, the NumPy reference and Brian2 give the same bits, in float64."""

from collections.abc import Callable

import brian2
import numpy as np
import pytest
import torch
from brian2.devices.device import get_device
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import (
    every_kind_network,
    little_to_compile,
    network_specs,
    on_training_grid,
    random_inputs,
    random_trials,
)

from spikebridge.bridge.decoding import decode
from spikebridge.bridge.discretise import GridNetwork
from spikebridge.bridge.errors import SpecError
from spikebridge.bridge.reference import run_reference
from spikebridge.bridge.replay import replay_inputs, replay_network
from spikebridge.bridge.spec import NetworkSpec
from spikebridge.bridge.spikes import SpikeTrains
from spikebridge.sim.options import SimulationOptions
from spikebridge.sim.run import run_network, simulate
from spikebridge.training.executor import run_batch

NUMPY = SimulationOptions(backend="numpy", lanes=2)


def same(a: SpikeTrains, b: SpikeTrains) -> bool:
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in ("step", "neuron", "offsets"))


def runs_forwards(spec: NetworkSpec) -> bool:
    order = {node.name: place for place, node in enumerate(spec.nodes)}
    return all(order[p.source] <= order[p.target] for p in spec.projections)


def assert_brian2_equals_reference(
    grid: GridNetwork, inputs: dict[str, SpikeTrains], options: SimulationOptions
) -> None:
    spikes, potentials = run_reference(grid, inputs)
    found = run_network(grid, inputs, options)
    for name, expected in spikes.items():
        assert same(found.spikes[name], expected), name
    assert found.readout is not None
    expected_readout = potentials[grid.spec.readout.population]
    np.testing.assert_array_equal(found.readout, expected_readout)
    rule, training_step_ms = grid.spec.readout.decoding, grid.spec.training_step_ms
    scores = decode(expected_readout, rule, step_ms=grid.step_ms, training_step_ms=training_step_ms)
    np.testing.assert_array_equal(found.scores, scores)


@given(network_specs(), st.integers(0, 2**32 - 1))
@settings(max_examples=300, deadline=None, derandomize=True)
def test_pytorch_equals_the_reference(spec: NetworkSpec, seed: int) -> None:
    grid = on_training_grid(spec)
    inputs = random_inputs(grid, 3, seed)
    tensors = {name: torch.from_numpy(trains.counts("float64")) for name, trains in inputs.items()}
    if not runs_forwards(spec):
        with pytest.raises(SpecError, match="runs backwards"):
            run_batch(grid, tensors)
        return
    spikes, potentials = run_reference(grid, inputs)
    for fused in (True, False):
        found, found_potentials = run_batch(grid, tensors, fused=fused)
        for name, expected in spikes.items():
            assert same(SpikeTrains.from_counts(found[name].numpy(), grid.step_ms), expected), name
        for name, values in potentials.items():
            np.testing.assert_array_equal(found_potentials[name].numpy(), values, err_msg=name)


@given(network_specs(), st.integers(0, 2**32 - 1))
@settings(max_examples=15, deadline=None, derandomize=True)
def test_brian2_equals_the_reference(spec: NetworkSpec, seed: int) -> None:
    grid = on_training_grid(spec)
    assert_brian2_equals_reference(grid, random_inputs(grid, 3, seed), NUMPY)


@pytest.mark.slow
@given(network_specs(), st.integers(0, 2**32 - 1))
@settings(max_examples=150, deadline=None, derandomize=True)
def test_brian2_equals_the_reference_on_many_networks(spec: NetworkSpec, seed: int) -> None:
    grid = on_training_grid(spec)
    assert_brian2_equals_reference(grid, random_inputs(grid, 3, seed), NUMPY)


@pytest.mark.parametrize("make", [every_kind_network, little_to_compile])
def test_the_networks_that_are_compiled_spike(make: Callable[..., NetworkSpec]) -> None:
    grid = on_training_grid(make())
    spikes, _ = run_reference(grid, random_inputs(grid, 5, seed=0))
    assert all(trains.n_spikes > 20 for trains in spikes.values())


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["cython", "cpp"])
def test_compiled_back_ends_equal_the_reference_on_every_kind_of_neuron(backend: str) -> None:
    grid = on_training_grid(every_kind_network(n_steps=30))
    options = SimulationOptions(backend=backend, lanes=2)  # type: ignore[arg-type]
    assert_brian2_equals_reference(grid, random_inputs(grid, 5, seed=1), options)


@pytest.mark.parametrize("lanes", [1, 3, 7, 50])
def test_lanes_and_rounds_do_not_change_the_result(lanes: int) -> None:
    """Nothing leaks from one sample into the next, spikes in flight and adaptation included."""
    grid = on_training_grid(every_kind_network(seed=3, n_steps=25))
    inputs = random_inputs(grid, 7, seed=2)
    assert_brian2_equals_reference(grid, inputs, SimulationOptions(backend="numpy", lanes=lanes))


def test_a_gap_that_is_too_short_leaks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test above can fail: without the gap, late spikes of one sample reach the next."""
    grid = on_training_grid(every_kind_network(seed=3, n_steps=25))
    inputs = random_inputs(grid, 7, seed=2)
    monkeypatch.setattr("spikebridge.sim.layout.gap_steps", lambda _: 0)
    with pytest.raises(AssertionError):
        assert_brian2_equals_reference(grid, inputs, SimulationOptions(backend="numpy", lanes=1))


@given(network_specs(), st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_replay_drives_every_population_to_the_same_spikes(spec: NetworkSpec, seed: int) -> None:
    grid = on_training_grid(spec)
    inputs = random_inputs(grid, 2, seed)
    spikes, potentials = run_reference(grid, inputs)
    replay = on_training_grid(replay_network(spec))
    replayed, again = run_reference(replay, replay_inputs(spec, inputs, spikes))
    for name, expected in spikes.items():
        assert same(replayed[name], expected)
    np.testing.assert_array_equal(again["readout"], potentials["readout"])


def test_no_state_of_brian2_survives_a_run() -> None:
    names = ("codegen.target", "codegen.cpp.extra_compile_args_gcc", "legacy.refractory_timing")
    before = [brian2.prefs[name] for name in names], get_device(), brian2.defaultclock.dt
    spec = every_kind_network(n_steps=5)
    simulate(spec, random_trials(spec, 2), step_ms=10.0, options=NUMPY)
    assert ([brian2.prefs[name] for name in names], get_device(), brian2.defaultclock.dt) == before


def test_names_of_the_caller_do_not_leak_into_the_model() -> None:
    u_u = theta = bias = weight = 1e9  # noqa: F841
    spec = every_kind_network(n_steps=10)
    grid = on_training_grid(spec)
    assert_brian2_equals_reference(grid, random_inputs(grid, 2, seed=0), NUMPY)
