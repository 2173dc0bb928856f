"""Latency, spikes and operations of decisions on constructed readouts and networks."""

from dataclasses import replace

import numpy as np
import pytest
from networks import edges, network, neurons, random_inputs
from recordings import make_network, make_recording, make_trains, make_trials, random_recording

from spikebridge.bridge.arrays import FloatArray
from spikebridge.bridge.decoding import Decoding, decide, decode
from spikebridge.bridge.discretise import discretise
from spikebridge.bridge.recording import Recording
from spikebridge.bridge.reference import run_reference
from spikebridge.bridge.spec import NetworkSpec, SynapseKind
from spikebridge.bridge.spikes import Events, bin_events
from spikebridge.validation.network_statistics import NETWORK_DEFINITIONS, observe_network
from spikebridge.validation.readout import readout_potentials
from spikebridge.validation.stats_cost import (
    neuron_updates,
    spikes_per_sample,
    synaptic_operations,
    synaptic_operations_share,
)
from spikebridge.validation.stats_decision import OTHERWISE, TIE, decision_latencies_ms, running_scores


def recorded(readout: FloatArray) -> tuple[Recording, NetworkSpec]:
    """A recording with these potentials (samples, steps, classes), decoded by their mean, and its network."""
    samples, steps, classes = readout.shape
    trials = make_trials(np.random.default_rng(0), samples=samples, classes=classes, duration_s=steps * 0.01)
    spikes = {"hidden1": make_trains([], samples=samples, steps=steps, neurons=3)}
    recording = make_recording(trials, spikes, steps=steps, readout=readout)
    return recording, make_network(recording)


def test_the_latency_of_a_known_readout() -> None:
    readout = np.zeros((3, 20, 3))
    # Class 1 leads by 10 steps of 1; class 2 then gains 2 a step: 10 all in step 14, which is a tie, 12 in step 15.
    readout[0, :10, 1] = 1.0
    readout[0, 10:, 2] = 2.0
    readout[1, 0, 0] = 1.0  # from the first step on
    readout[2, 7, 2] = 1.0  # nothing before step 7
    seen = decision_latencies_ms(*recorded(readout))
    assert seen.values.tolist() == [160.0, 10.0, 80.0]
    assert seen.undefined == {}


def test_a_decision_that_returns_counts_from_its_return() -> None:
    readout = np.zeros((1, 20, 2))
    readout[0, 0, 0], readout[0, 3, 1], readout[0, 12, 0] = 1.0, 2.0, 3.0
    assert decision_latencies_ms(*recorded(readout)).values.tolist() == [130.0]


def test_a_tie_is_no_decision() -> None:
    readout = np.zeros((2, 5, 3))
    readout[0, 2, 1] = 1.0
    seen = decision_latencies_ms(*recorded(readout))
    assert seen.values.tolist() == [30.0]
    assert dict(seen.undefined) == {TIE: 1}


@pytest.mark.parametrize("rule", list(Decoding))
def test_running_scores_end_in_the_decision(rule: Decoding) -> None:
    potentials = np.random.default_rng(1).normal(size=(6, 15, 4))
    scores = running_scores(np.moveaxis(potentials, -1, 0), rule)
    for until in (1, 7, 15):
        expected = decode(potentials[:, :until], rule, step_ms=10.0, training_step_ms=10.0)
        assert scores[:, :, until - 1].argmax(axis=0).tolist() == decide(expected).tolist()


@pytest.mark.parametrize("kind", list(SynapseKind))
@pytest.mark.parametrize("pulse_steps", [1, 3, 50])
def test_potentials_from_spikes_are_those_of_the_reference(kind: SynapseKind, pulse_steps: int) -> None:
    rng = np.random.default_rng(3)
    onto = [
        (i, j, float(w), int(d))
        for (i, j), w, d in zip(np.ndindex(5, 3), rng.normal(size=15), rng.integers(0, 9, 15), strict=True)
    ]
    spec = network(
        [neurons("hidden", 5, theta=0.5), replace(neurons("readout", 3, tau_ms=30.0, bias=0.1, spiking=False))],
        [
            edges("input", "hidden", [(i, i, 0.8, i) for i in range(5)]),
            edges("hidden", "readout", onto, kind, pulse_steps=pulse_steps),
            edges("input", "readout", onto[:9], kind, pulse_steps=pulse_steps),
        ],
        inputs={"input": 5},
        n_steps=40,
    )
    grid = discretise(spec, 10.0)
    inputs = random_inputs(grid, samples=4, seed=2)
    spikes, potentials = run_reference(grid, inputs)
    assert spikes["hidden"].n_spikes > 50
    found = np.moveaxis(readout_potentials(grid, {**inputs, **spikes}), 0, -1)
    assert found == pytest.approx(potentials["readout"], abs=1e-12)


def test_without_recorded_potentials_the_latency_is_the_same() -> None:
    spec = network(
        [neurons("hidden", 4, theta=0.5), neurons("readout", 2, spiking=False)],
        [
            edges("input", "hidden", [(i, i, 0.8, 0) for i in range(4)]),
            edges("hidden", "readout", [(i, i % 2, 0.5, i) for i in range(4)]),
        ],
        inputs={"input": 4},
        n_steps=30,
    )
    trials = make_trials(np.random.default_rng(5), samples=40, classes=2, channels=4, duration_s=0.3)
    grid = discretise(spec, 10.0)
    spikes, potentials = run_reference(grid, {"input": bin_events(trials.events, 10.0, 30)[0]})
    with_readout = make_recording(trials, spikes, steps=30, readout=potentials["readout"])
    seen = decision_latencies_ms(with_readout, spec)
    assert seen.n_defined > 30
    assert np.unique(seen.values).size > 5
    without = replace(with_readout, readout=None)
    assert decision_latencies_ms(without, spec).values.tolist() == pytest.approx(seen.values.tolist())
    wrong = replace(without, scores=-without.scores)
    assert decision_latencies_ms(wrong, spec).undefined[OTHERWISE] == seen.n_defined


def test_the_cost_of_a_known_network() -> None:
    spec = network(
        [neurons("hidden", 3), neurons("readout", 2, spiking=False)],
        [
            edges("input", "hidden", [(0, 0, 1.0, 0), (0, 1, 1.0, 0), (1, 2, 0.0, 0)]),
            edges("hidden", "hidden", [(0, 1, 1.0, 1)]),
            edges("hidden", "readout", [(0, 0, 1.0, 0), (0, 1, 1.0, 0), (2, 1, 1.0, 0)]),
        ],
        inputs={"input": 2},
        n_steps=10,
    )
    # Sample 0: channel 0 twice, once past the end (dropped), and channel 1; sample 1 has no input.
    events = Events(np.array([0.01, 0.02, 0.5, 0.03]), np.array([0, 0, 0, 1]), np.array([0, 4, 4]), 2)
    trials = replace(
        make_trials(np.random.default_rng(0), samples=2, classes=2, speakers=False),
        events=events,
        labels=np.array([0, 1]),
    )
    trains = make_trains([(0, 1, 0), (0, 2, 1), (1, 4, 2), (1, 5, 2)], samples=2, steps=10, neurons=3)
    recording = make_recording(trials, {"hidden": trains}, steps=10)
    assert spikes_per_sample(recording).values.tolist() == [2.0, 2.0]
    # 2 x 2 of channel 0, 1 of channel 1; neuron 0 has 3 synapses, neuron 1 none, neuron 2 one.
    assert synaptic_operations(recording, spec).values.tolist() == [8.0, 2.0]
    assert synaptic_operations_share(recording, spec).values.tolist() == pytest.approx([8 / 70, 2 / 70])
    assert neuron_updates(recording, spec).values.tolist() == [50.0, 50.0]


def test_every_definition_of_the_network_is_observed() -> None:
    recording = random_recording(samples=3)
    seen = observe_network(recording, make_network(recording))
    assert list(seen) == [definition.key for definition in NETWORK_DEFINITIONS]
    assert all(observed.n_total == 3 for observed in seen.values())
    nothing = recording.select(np.empty(0, dtype=np.int64))
    assert [o.mean for o in observe_network(nothing, make_network(recording)).values()] == [None] * len(seen)
