"""Simulation in Brian2: any step, any layout and any input gives what the reference gives, to the bit."""

from dataclasses import replace

import brian2
import numpy as np
import pytest
from brian2.utils.logger import catch_logs
from networks import (
    Kind,
    edges,
    every_kind_network,
    network,
    neurons,
    on_training_grid,
    played,
    random_inputs,
    random_network,
    random_trials,
)

from spikebridge.bridge.decoding import decode
from spikebridge.bridge.discretise import GridNetwork, discretise
from spikebridge.bridge.equations import brian_model
from spikebridge.bridge.network_file import network_sha256
from spikebridge.bridge.recording import Recording
from spikebridge.bridge.reference import run_reference
from spikebridge.bridge.spec import NetworkSpec, Reset, SynapseKind
from spikebridge.bridge.spikes import SpikeTrains, bin_events
from spikebridge.sim.layout import Layout, batches, gap_steps
from spikebridge.sim.options import SimulationOptions
from spikebridge.sim.run import run_network, simulate, simulate_replay
from spikebridge.sim.sources import build_source

OPTIONS = SimulationOptions(backend="numpy", lanes=2)


def mismatches(found: dict[str, SpikeTrains], expected: dict[str, SpikeTrains]) -> int:
    """How many spikes only one of the two has."""
    assert set(found) == set(expected)
    return sum(int(np.count_nonzero(found[name].counts() != trains.counts())) for name, trains in expected.items())


def differences(
    grid: GridNetwork, inputs: dict[str, SpikeTrains], options: SimulationOptions = OPTIONS
) -> tuple[int, float]:
    """Spikes that differ between Brian2 and the reference, and the largest difference of the readout."""
    spikes, potentials = run_reference(grid, inputs)
    found = run_network(grid, inputs, options)
    assert found.readout is not None
    return mismatches(found.spikes, spikes), float(np.abs(found.readout - potentials["readout"]).max())


def one_input(n_steps: int = 20, seed: int = 7) -> NetworkSpec:
    """A network for `simulate`, whose pulses and periods are a multiple of 2.5 ms."""
    kinds = (
        Kind("oscillatory", SynapseKind.PULSE, Reset.SUBTRACT, 1, 2, True),
        Kind("adaptive", SynapseKind.DELTA, Reset.TO_VALUE, 3, 1, False),
        Kind("mixed", SynapseKind.EXPONENTIAL, Reset.SUBTRACT, 0, 1, False),
    )
    return random_network(kinds, seed=seed, recurrence=2, feedback=True, n_steps=n_steps)


@pytest.mark.parametrize("step_ms", [10.0, 2.5])
def test_every_step_gives_the_reference_on_that_grid(step_ms: float) -> None:
    spec = one_input()
    trials = random_trials(spec, 3)
    grid = discretise(spec, step_ms)
    inputs, _ = bin_events(trials.events, step_ms, grid.n_steps)
    spikes, potentials = run_reference(grid, {"input0": inputs})
    found = simulate(spec, trials, step_ms=step_ms, options=replace(OPTIONS, keep_readout=True))
    assert all(trains.n_spikes > 0 for trains in spikes.values())
    assert mismatches(dict(found.spikes), spikes) == 0
    np.testing.assert_array_equal(found.readout, potentials["readout"])
    scores = decode(potentials["readout"], spec.readout.decoding, step_ms=step_ms, training_step_ms=10.0)
    np.testing.assert_array_equal(found.scores, scores)


def with_delay_off_by_one_step(spec: NetworkSpec, projection: int, synapse: int) -> NetworkSpec:
    chosen = spec.projections[projection]
    delay_ms = chosen.delay_ms.copy()
    delay_ms[synapse] += spec.training_step_ms
    changed = replace(chosen, delay_ms=delay_ms)
    return replace(spec, projections=tuple(changed if p is chosen else p for p in spec.projections))


def test_one_delay_off_by_one_step_is_seen() -> None:
    spec = one_input()
    inputs = random_inputs(on_training_grid(spec), 4, seed=0)
    expected, _ = run_reference(on_training_grid(spec), inputs)
    for synapse in np.argsort(-np.abs(spec.projections[0].weight)):
        faulty = on_training_grid(with_delay_off_by_one_step(spec, 0, int(synapse)))
        lost = mismatches(run_reference(faulty, inputs)[0], expected)
        if lost:
            break
    assert lost > 0
    assert mismatches(run_network(faulty, inputs, OPTIONS).spikes, expected) == lost


def test_counts_above_one_are_played_in_binary() -> None:
    hidden = neurons(size=2, theta=4.0, b=0.1)
    projection = edges("input", "hidden", [(0, 0, 0.75, 1), (0, 1, -0.5, 0), (1, 0, 0.25, 3)])
    spec = network([hidden], [projection, edges("hidden", "readout", [(0, 0, 1.0, 0)])], inputs={"input": 2})
    grid = on_training_grid(spec)
    counted = [(0, 1, 0)] * 13 + [(0, 1, 1)] * 2 + [(0, 2, 0)] * 5 + [(2, 0, 1)] * 8
    inputs = played(counted, grid, samples=3)
    clock = brian2.Clock(dt=10 * brian2.ms)
    assert build_source("counted", inputs["input"], Layout(2, 2, grid.n_steps, 5), clock).bits == 4  # 13 = 0b1101
    assert run_reference(grid, inputs)[0]["hidden"].n_spikes > 0
    assert differences(grid, inputs) == (0, 0.0)


def test_silence_a_single_neuron_and_a_projection_without_synapses_run() -> None:
    empty = replace(
        edges("hidden", "hidden", [(0, 0, 1.0, 0)]),
        source_index=np.zeros(0, dtype=np.int64),
        target_index=np.zeros(0, dtype=np.int64),
        weight=np.zeros(0),
        delay_ms=np.zeros(0),
    )
    spec = network([neurons(bias=1.5)], [edges("input", "hidden", [(0, 0, 1.0, 0)]), empty])
    grid = on_training_grid(spec)
    assert differences(grid, played([], grid, samples=3)) == (0, 0.0)


def test_two_projections_between_the_same_populations_add_up() -> None:
    twice = [edges("input", "hidden", [(0, 0, 0.7, delay)]) for delay in (0, 2)]
    grid = on_training_grid(network([neurons()], twice))
    assert differences(grid, played([(0, 1, 0), (0, 3, 0)], grid)) == (0, 0.0)


def test_names_that_brian2_would_derive_from_each_other_do_not_meet() -> None:
    names = ("a", "a_deliver", "a_start", "a_spikes", "a_stateupdater", "t")
    wires = [edges("input", name, [(0, 0, 2.0, 0)]) for name in names]
    grid = on_training_grid(network([neurons(name) for name in names], wires))
    assert differences(grid, played([(s, 1, 0) for s in range(3)], grid, samples=3)) == (0, 0.0)


def test_a_state_that_is_not_set_back_leaks_into_the_next_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    """Control of the tests that nothing leaks: they can fail."""
    grid = on_training_grid(one_input())
    inputs = random_inputs(grid, 4, seed=0)
    assert differences(grid, inputs) == (0, 0.0)
    monkeypatch.setattr("spikebridge.sim.build.brian_model", lambda g: replace(brian_model(g), state=("arrivals",)))
    assert differences(grid, inputs)[1] > 1e-3


def test_the_gap_outlasts_whatever_a_sample_started() -> None:
    hidden = neurons(refractory_steps=9)
    grid = on_training_grid(
        network([hidden], [edges("input", "hidden", [(0, 0, 1.0, 6)], SynapseKind.PULSE, pulse_steps=4)])
    )
    assert gap_steps(grid) == 6 + 9 + 1


def test_batches_keep_the_readout_traces_below_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = one_input()
    grid = on_training_grid(spec)
    per_sample = 8 * 3 * (grid.n_steps + gap_steps(grid))
    assert [b.tolist() for b in batches(grid, 5, 2, 1)] == [[0, 1, 2, 3, 4]]
    monkeypatch.setattr("spikebridge.sim.layout.MIB", 4 * per_sample)
    assert [b.tolist() for b in batches(grid, 9, 2, 1)] == [[0, 1, 2, 3], [4, 5, 6, 7], [8]]
    assert [b.tolist() for b in batches(grid, 9, 3, 1)] == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]
    assert [b.size for b in batches(grid, 9, 50, 1)] == [9]  # one per lane at least
    assert differences(grid, random_inputs(grid, 7, seed=0), replace(OPTIONS, readout_limit_mib=1)) == (0, 0.0)


def test_replay_runs_every_population_on_the_recorded_spikes() -> None:
    spec = one_input()
    trials = random_trials(spec, 4)
    reference = simulate(spec, trials, step_ms=10.0, options=OPTIONS)
    replayed = simulate_replay(spec, reference, options=OPTIONS)
    assert mismatches(dict(replayed.spikes), dict(reference.spikes)) == 0
    np.testing.assert_array_equal(replayed.readout, reference.readout)
    assert replayed.provenance["replay"] == "spikes of brian2-numpy"
    assert replayed.network_sha256 == network_sha256(spec)
    # A fault in one population does not reach the next: only its own spikes differ.
    first = reference.spikes["hidden0"]
    silent = SpikeTrains.from_counts(np.zeros_like(first.counts()), 10.0)
    without: Recording = replace(reference, spikes={**reference.spikes, "hidden0": silent})
    found = simulate_replay(spec, without, options=OPTIONS)
    assert mismatches({"hidden1": found.spikes["hidden1"]}, {"hidden1": reference.spikes["hidden1"]}) > 0
    assert found.spikes["hidden0"].n_spikes > 0


def test_a_recording_says_where_it_comes_from() -> None:
    spec = one_input(n_steps=5)
    made = simulate(spec, random_trials(spec, 3), step_ms=2.5, options=OPTIONS)
    assert made.executor == "brian2-numpy"
    assert made.provenance["version.brian2"] == brian2.__version__
    wanted = {"simulation.backend": "numpy", "simulation.lanes": "2", "simulation.lanes_used": "2", "replay": "no"}
    assert wanted.items() <= made.provenance.items()
    assert "lie past the end" in made.provenance["crop"]
    assert made.provenance["roundings"] == "none"
    late = replace(spec.projections[0], delay_ms=spec.projections[0].delay_ms + 1.0)
    off = replace(spec, projections=(late, *spec.projections[1:]))
    made = simulate(off, random_trials(spec, 3), step_ms=2.5, options=OPTIONS)
    assert "delays of input0->hidden0 were rounded to 2.5 ms" in made.provenance["roundings"]


def test_brian2_has_nothing_to_complain_about() -> None:
    spec = every_kind_network(n_steps=10)
    with catch_logs() as logs:
        simulate(spec, random_trials(spec, 3), step_ms=10.0, options=OPTIONS)
    assert logs == []


def test_progress_is_shown_on_a_terminal_only(capsys: pytest.CaptureFixture[str]) -> None:
    spec = one_input(n_steps=5)
    simulate(spec, random_trials(spec, 2), step_ms=10.0, progress=True)
    assert capsys.readouterr().err == ""
