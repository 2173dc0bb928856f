"""The membrane by replay is the membrane that the network had, and tells who did not run it."""

from dataclasses import replace

import numpy as np
import pytest
from executed import execute, raised_threshold, timed_trials, with_population, without_spike
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import edges, every_kind_network, network, network_specs, neurons, random_trials
from recordings import make_trains, with_spikes

from spikebridge.bridge.discretise import discretise
from spikebridge.bridge.errors import SpecError
from spikebridge.bridge.recording import Recording
from spikebridge.bridge.reference import run_reference
from spikebridge.bridge.spec import NetworkSpec, Reset
from spikebridge.validation.closeup import Side, look_closely
from spikebridge.validation.diverge import Place, find_divergence
from spikebridge.validation.divergence_text import describe_closeup
from spikebridge.validation.membrane import Trace, reconstruct
from spikebridge.validation.presynaptic import arrivals_at, played_inputs


def place_at(spec: NetworkSpec, population: str, neuron: int, sample: int, step: int) -> Place:
    spiking = spec.population(population).spiking
    return Place(population, neuron, sample, step, step * spec.training_step_ms, (1, 0), spiking=spiking)


@settings(deadline=None, max_examples=25)
@given(network_specs().filter(lambda spec: len(spec.inputs) == 1), st.integers(0, 2**16))
def test_a_replayed_membrane_is_that_of_the_whole_network_bit_for_bit(spec: NetworkSpec, seed: int) -> None:
    recording = execute(spec, random_trials(spec, 2, seed))
    grid = discretise(spec, spec.training_step_ms)
    adaptation: dict[str, np.ndarray] = {}
    _, potentials = run_reference(grid, played_inputs(spec, recording), adaptation=adaptation)
    for population in spec.populations:
        last = recording.n_steps - 1
        trace = reconstruct(spec, recording, recording, place_at(spec, population.name, 0, 1, last), recording.n_steps)
        np.testing.assert_array_equal(trace.potential, potentials[population.name][1, :, 0])
        if trace.adaptation is not None:
            np.testing.assert_array_equal(trace.adaptation, adaptation[population.name][1, :, 0])
        assert trace.first_unexplained(last) is None
        assert trace.others_unexplained == ()


def test_a_trace_stops_where_it_is_told_to() -> None:
    spec = every_kind_network()
    recording = execute(spec, random_trials(spec, 2))
    short, whole = (
        reconstruct(spec, recording, recording, place_at(spec, "hidden1", 2, 0, 5), until) for until in (9, 40)
    )
    assert short.potential.shape == (9,)
    np.testing.assert_array_equal(short.potential, whole.potential[:9])


def test_refractory_steps_are_those_after_a_spike() -> None:
    spec = network(
        [neurons(refractory_steps=3)], [edges("input", "hidden", [(0, 0, 2.0, 0)])], inputs={"input": 1}, n_steps=12
    )
    recording = execute(spec, timed_trials([(0, 2, 0)], spec))
    trace = reconstruct(spec, recording, recording, place_at(spec, "hidden", 0, 0, 3), 12)
    assert np.flatnonzero(trace.fires).tolist() == [3]
    assert np.flatnonzero(trace.frozen).tolist() == [4, 5]
    assert trace.potential[4] == trace.potential[5] == trace.potential[3] - 1.0
    distance = trace.distance(3)
    assert distance == pytest.approx(2.0 * np.exp(-0.5) - 1.0)


def test_arrivals_come_after_their_delay_with_their_weight() -> None:
    spec = network(
        [neurons("hidden", 2)],
        [
            edges("input", "hidden", [(0, 0, 0.5, 3), (1, 0, -0.25, 0), (1, 1, 9.0, 0), (2, 0, 0.0, 0)]),
            edges("hidden", "hidden", [(1, 0, 0.125, 1)]),
        ],
        inputs={"input": 3},
    )
    recording = execute(spec, timed_trials([(0, 2, 0), (0, 4, 1), (0, 4, 1), (0, 4, 2), (1, 3, 0)], spec, samples=2))
    sources = {**played_inputs(spec, recording), **recording.spikes}
    place = place_at(spec, "hidden", 0, 0, 6)
    found = arrivals_at(spec, sources, place, 0, 11)
    seen = list(zip(found.source, found.neuron.tolist(), found.step.tolist(), found.weight.tolist(), strict=True))
    # Two spikes of channel 1 in one step arrive twice; hidden neuron 1 fires in step 5 and, still above 1, afterwards.
    inputs = [entry for entry in seen if entry[0] == "input"]
    assert inputs == [("input", 0, 5, 0.5), ("input", 1, 4, -0.25), ("input", 1, 4, -0.25)]
    assert seen[3] == ("hidden", 1, 6, 0.125)
    only = arrivals_at(spec, sources, place, 5, 5)
    assert (only.source, only.step.tolist()) == (("input",), [5])


@pytest.mark.parametrize("latency_steps", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("step_ms", [10.0, 5.0, 1.0])
def test_arrivals_are_those_of_the_executor_on_every_grid(latency_steps: float, step_ms: float) -> None:
    """Jumps onto a neuron that hardly leaks: each is seen in the potential of the step after its arrival."""
    drive = replace(edges("input", "hidden", [(0, 0, 2.0, 0)]), latency_steps=0.5)
    onto = replace(edges("hidden", "readout", [(0, 0, 0.5, 3)]), latency_steps=latency_steps)
    readout = neurons("readout", tau_ms=1e9, spiking=False)
    spec = network([neurons(reset=Reset.TO_VALUE), readout], [drive, onto], n_steps=12)
    recording = execute(spec, timed_trials([(0, 1, 0), (0, 4, 0)], spec), step_ms=step_ms)
    assert recording.readout is not None
    jumped = np.flatnonzero(np.diff(recording.readout[0, :, 0]) > 0.25)
    sources = {**played_inputs(spec, recording), **recording.spikes}
    found = arrivals_at(spec, sources, place_at(spec, "readout", 0, 0, 6), 0, recording.n_steps)
    assert found.step.tolist() == jumped.tolist()
    assert jumped.size == 2


def test_a_population_without_synapses_receives_nothing() -> None:
    spec = network([neurons(bias=2.0)], [])
    recording = execute(spec, timed_trials([(0, 2, 0)], spec))
    found = arrivals_at(spec, played_inputs(spec, recording), place_at(spec, "hidden", 0, 0, 3), 0, 11)
    assert (found.source, found.step.size) == ((), 0)


# --- who did not run the network --------------------------------------------------------------------------------------


def closely(
    spec: NetworkSpec, ours: Recording, theirs: Recording, *, network_b: NetworkSpec | None
) -> tuple[Trace | None, ...]:
    a, b = both(spec, ours, theirs, network_b=network_b)
    first = find_divergence(ours, theirs).first
    assert first is not None
    return look_closely(first, a, b).traces


def both(spec: NetworkSpec, ours: Recording, theirs: Recording, *, network_b: NetworkSpec | None) -> tuple[Side, Side]:
    return (
        Side("A", "a.h5", ours, spec, "network.h5"),
        Side("B", "b.h5", theirs, network_b, None if network_b is None else "other.h5"),
    )


def said(spec: NetworkSpec, ours: Recording, theirs: Recording, *, network_b: NetworkSpec | None) -> str:
    first = find_divergence(ours, theirs).first
    assert first is not None
    return "\n".join(describe_closeup(look_closely(first, *both(spec, ours, theirs, network_b=network_b))))


@pytest.fixture
def spec() -> NetworkSpec:
    return every_kind_network()


@pytest.fixture
def faulty(spec: NetworkSpec) -> NetworkSpec:
    return with_population(spec, "hidden4", **raised_threshold(spec.population("hidden4"), 2, 1.3))


def test_an_executor_that_does_not_run_the_network_is_named(spec: NetworkSpec, faulty: NetworkSpec) -> None:
    trials = random_trials(spec, 4)
    ours, theirs = execute(spec, trials), execute(faulty, trials, "brian2-numpy", claims=spec)
    first = find_divergence(ours, theirs).first
    assert first is not None
    for a, b, guilty in ((ours, theirs, "B"), (theirs, ours, "A")):
        text = said(spec, a, b, network_b=spec)
        assert f"The recorded spikes of {guilty} do not follow from its recorded inputs: hidden4 neuron 2" in text
        assert "Its inputs are the same" in text
        assert text.count("do not follow") == 1
    trace = closely(spec, ours, theirs, network_b=spec)[1]
    assert trace is not None
    assert trace.first_unexplained(first.step) == first.step
    assert trace.unexplained[0] == first.step
    # One theta too high changes no other neuron, given the spikes that this executor recorded.
    assert trace.others_unexplained == ()


def test_two_networks_explain_their_own_recordings(spec: NetworkSpec, faulty: NetworkSpec) -> None:
    trials = random_trials(spec, 4)
    ours, theirs = execute(spec, trials), execute(faulty, trials, "brian2-numpy")
    text = said(spec, ours, theirs, network_b=faulty)
    low, high = (float(s.population("hidden4").threshold[2]) for s in (spec, faulty))
    assert f"At hidden4 neuron 2: threshold is {low} in A, {high} in B." in text
    assert text.count("as recorded") == 2
    assert "do not follow" not in text


def test_without_its_network_a_recording_has_no_trace_and_is_tried_in_the_other(
    spec: NetworkSpec, faulty: NetworkSpec
) -> None:
    trials = random_trials(spec, 4)
    ours, theirs = execute(spec, trials), execute(faulty, trials, "brian2-numpy")
    text = said(spec, ours, theirs, network_b=None)
    assert "B: no trace" in text
    assert "in network.h5 its recorded inputs would not give what it recorded" in text
    assert "--network-b NETWORK.h5" in text
    assert closely(spec, ours, theirs, network_b=None)[1] is None


def test_what_is_wrong_before_is_said_to_be(spec: NetworkSpec) -> None:
    """Both recordings lack a spike that the network fires; later they also differ from each other."""
    trials = random_trials(spec, 4)
    whole = execute(spec, trials)
    mine = whole.spikes["hidden4"]
    picked = np.flatnonzero((mine.sample == 3) & (mine.neuron == 2))[:2]
    early, late = (int(mine.step[k]) for k in picked)
    a = without_spike(whole, "hidden4", (3, early, 2))
    b = replace(without_spike(a, "hidden4", (3, late, 2)), executor="brian2-numpy")
    text = said(spec, a, b, network_b=spec)
    assert f"step {late} (" in text
    assert text.count(f"already in step {early} the replay is not what was recorded (0 spikes)") == 2


def test_rounding_at_the_threshold_is_not_blamed_on_the_network() -> None:
    """A jump of exactly theta decays by 1e-11: no spike here, one in an executor that rounds otherwise."""
    spec = network([neurons(tau_ms=1e12)], [edges("input", "hidden", [(0, 0, 1.0, 0)])])
    ours = execute(spec, timed_trials([(0, 2, 0)], spec))
    assert ours.spikes["hidden"].n_spikes == 0
    spike = make_trains([(0, 3, 0)], samples=1, steps=12, neurons=1)
    text = said(spec, ours, with_spikes(ours, "hidden", spike), network_b=spec)
    assert "within 1e-09 of theta" in text
    assert "rounding" in text
    assert "was not run as" not in text


def test_a_readout_that_does_not_follow_is_named(spec: NetworkSpec) -> None:
    ours = execute(spec, random_trials(spec, 2))
    assert ours.readout is not None
    readout = ours.readout.copy()
    readout[1, 9, 2] += 1e-3
    text = said(spec, ours, replace(ours, executor="brian2-numpy", readout=readout), network_b=spec)
    assert "population readout, class 2, sample 1, step 9" in text
    assert "The recorded potentials of B do not follow from its recorded inputs: readout class 2" in text
    with pytest.raises(SpecError, match="kept no readout"):
        reconstruct(spec, replace(ours, readout=None), ours, place_at(spec, "readout", 0, 0, 3), 5)


def test_a_trace_is_checked() -> None:
    good = np.zeros(3)
    with pytest.raises(SpecError, match="one value of each kind per step"):
        Trace(good, None, 1.0, np.zeros(4, dtype=np.bool_), np.zeros(3, dtype=np.bool_), good, ())


def test_more_than_one_input_is_refused() -> None:
    spec = network([neurons()], [edges("input", "hidden", [(0, 0, 2.0, 0)])])
    recording = execute(spec, timed_trials([(0, 2, 0)], spec))
    two = network([neurons()], [], inputs={"left": 1, "right": 1})
    with pytest.raises(SpecError, match="trials drive one input"):
        reconstruct(two, recording, recording, place_at(two, "hidden", 0, 0, 3), 5)
