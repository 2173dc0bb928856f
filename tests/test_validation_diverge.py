"""Where two recordings first differ, and why: known differences are found, with the cause they were given."""

from dataclasses import replace

import numpy as np
import pytest
from executed import delayed, execute, raised_threshold, timed_trials, with_population, with_projection, without_spike
from hypothesis import given
from hypothesis import strategies as st
from networks import edges, every_kind_network, network, neurons, random_trials
from recordings import make_recording, make_trains, make_trials, random_recording, with_spikes

from spikebridge.bridge.errors import SpecError
from spikebridge.bridge.recording import Recording
from spikebridge.bridge.spec import NetworkSpec, SynapseKind
from spikebridge.validation.closeup import Side, look_closely, origins
from spikebridge.validation.diverge import Divergence, Place, find_divergence
from spikebridge.validation.neuron_differences import neuron_differences
from spikebridge.validation.parity import READOUT_TOLERANCE
from spikebridge.validation.presynaptic import SourceDifferences

type Spikes = list[tuple[int, int, int]]
spikes_lists = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 5), st.integers(0, 3)), max_size=25, unique=True)


def two_populations(first: Spikes, second: Spikes, executor: str = "pytorch") -> Recording:
    trials = make_trials(np.random.default_rng(0), samples=3, classes=2)
    spikes = {
        name: make_trains(places, samples=3, steps=6, neurons=4)
        for name, places in (("late", first), ("early", second))
    }
    return make_recording(trials, spikes, steps=6, executor=executor)


@given(spikes_lists, spikes_lists, spikes_lists, spikes_lists)
def test_the_first_difference_is_that_of_a_naive_search(a1: Spikes, a2: Spikes, b1: Spikes, b2: Spikes) -> None:
    divergence = find_divergence(two_populations(a1, a2), two_populations(b1, b2, "brian2"))
    naive = [
        (step, order, sample, neuron, name)
        for order, (name, ours, theirs) in enumerate([("late", a1, b1), ("early", a2, b2)])
        for sample, step, neuron in set(ours) ^ set(theirs)
    ]
    for sample in (None, 0, 1, 2):
        for population in (None, "late", "early"):
            matching = [place for place in naive if sample in (None, place[2]) and population in (None, place[4])]
            found = divergence.choose(sample=sample, population=population)
            if not matching:
                assert found is None
                continue
            step, _, where, neuron, name = min(matching)
            assert found is not None
            assert (found.step, found.sample, found.neuron, found.population) == (step, where, neuron, name)
            assert found.time_ms == 10.0 * step
            in_a = (where, step, neuron) in (a1 if name == "late" else a2)
            assert list(found.values) == ([1, 0] if in_a else [0, 1])


def test_counts_above_one_are_compared() -> None:
    divergence = find_divergence(two_populations([(1, 2, 3)] * 3, []), two_populations([(1, 2, 3)], []))
    assert divergence.first is not None
    assert list(divergence.first.values) == [3, 1]
    assert [p.mismatches for p in divergence.populations] == [2, 0]


def test_unknown_samples_and_populations_are_refused() -> None:
    divergence = find_divergence(two_populations([], []), two_populations([(0, 0, 0)], []))
    with pytest.raises(SpecError, match=r"no population 'hidden'.*\['late', 'early'\]"):
        divergence.choose(population="hidden")
    for sample in (-1, 3):
        with pytest.raises(SpecError, match=r"samples 0 \.\. 2"):
            divergence.choose(sample=sample)


def test_a_place_without_difference_is_refused() -> None:
    with pytest.raises(SpecError, match="differ"):
        Place("hidden", 0, 0, 0, 0.0, (1, 1), spiking=True)
    with pytest.raises(SpecError, match="negative"):
        Place("hidden", -1, 0, 0, 0.0, (1, 0), spiking=True)


def test_equal_recordings_have_no_first_difference() -> None:
    recording = random_recording()
    divergence = find_divergence(recording, replace(recording, executor="brian2"))
    assert divergence.same
    assert divergence.first is None
    assert all(p.firsts == () and p.mismatches == 0 for p in divergence.populations)


def test_another_grid_is_refused_with_what_to_do() -> None:
    trials = make_trials(np.random.default_rng(0), samples=1, classes=2)
    coarse, fine = (
        make_recording(
            trials, {"hidden": make_trains([], samples=1, steps=n, neurons=1, step_ms=ms)}, steps=n, step_ms=ms
        )
        for n, ms in ((6, 10.0), (60, 1.0))
    )
    with pytest.raises(SpecError, match=r"6 steps of 10 ms, B 60 of 1 ms.*--step-ms 10 \(as A\) or 1 \(as B\)"):
        find_divergence(coarse, fine)


def test_the_readout_alone_may_differ() -> None:
    """Potentials are compared to the tolerance; the first that differs more is found, with both values."""
    recording = random_recording()
    assert recording.readout is not None
    readout = recording.readout.copy()
    readout[0] += READOUT_TOLERANCE / 2
    readout[5, 20:, 2] += 2 * READOUT_TOLERANCE
    divergence = find_divergence(recording, replace(recording, executor="brian2", readout=readout), readout="out")
    assert not divergence.same
    first = divergence.first
    assert first is not None
    assert (first.population, first.neuron, first.sample, first.step) == ("out", 2, 5, 20)
    assert not first.spiking
    assert first.values == (recording.readout[5, 20, 2], readout[5, 20, 2])
    assert [p.mismatches for p in divergence.populations] == [0, 0, 30]


def test_scores_alone_may_differ_where_no_potentials_were_kept() -> None:
    recording = replace(random_recording(), readout=None)
    divergence = find_divergence(recording, replace(recording, scores=recording.scores + 1e-3))
    assert not divergence.same
    assert divergence.first is None


# --- causes -----------------------------------------------------------------------------------------------------------

# Strong delta synapses: every spike of a source makes its target fire one step after its arrival.
CHAIN = network(
    [neurons("hidden1", 2), neurons("hidden2", 2), neurons("readout", 1, spiking=False)],
    [
        edges("input", "hidden1", [(0, 0, 2.0, 1), (1, 1, 2.0, 0)]),
        edges("hidden1", "hidden2", [(0, 0, 2.0, 3), (1, 1, 2.0, 0)]),
        edges("hidden2", "readout", [(0, 0, 0.5, 0), (1, 0, 0.25, 0)]),
    ],
    inputs={"input": 2},
    n_steps=20,
)
PLAYED: Spikes = [(0, 2, 0), (1, 4, 1), (2, 5, 0)]


def sides(a: NetworkSpec, b: NetworkSpec, *, claims: NetworkSpec | None = None) -> tuple[Side, Side]:
    """Both networks on the same trials; with `claims`, B says that it ran that one."""
    trials = timed_trials(PLAYED, CHAIN, samples=4)
    other = execute(b, trials, "brian2-numpy", claims=claims)
    return (
        Side("A", "a.h5", execute(a, trials), a, "network.h5"),
        Side("B", "b.h5", other, claims or b, "network.h5" if claims else "other.h5"),
    )


def compared(a: Side, b: Side) -> Divergence:
    return find_divergence(a.recording, b.recording)


def test_a_fault_upstream_is_told_from_its_consequences() -> None:
    later = with_projection(CHAIN, "input->hidden1", lambda p: delayed(p, 0, 1))
    a, b = sides(CHAIN, later)
    hidden1, hidden2, readout = origins(compared(a, b), a, b)
    assert (hidden1.population, hidden1.samples_itself, hidden1.samples_inputs) == ("hidden1", 2, 0)
    assert hidden1.itself is not None
    assert (hidden1.itself.sample, hidden1.itself.step, hidden1.itself.neuron) == (0, 4, 0)
    assert (hidden2.population, hidden2.samples_itself, hidden2.samples_inputs) == ("hidden2", 0, 2)
    assert hidden2.sources == ("hidden1",)
    assert hidden2.itself is None
    assert (readout.samples_itself, readout.samples_inputs, readout.sources) == (0, 2, ("hidden2",))


def test_a_fault_downstream_leaves_what_lies_before_alone() -> None:
    a, b = sides(CHAIN, with_population(CHAIN, "hidden2", **raised_threshold(CHAIN.population("hidden2"), 1, 9.0)))
    hidden2, readout = origins(compared(a, b), a, b)
    assert (hidden2.population, hidden2.samples_itself, hidden2.samples_inputs) == ("hidden2", 1, 0)
    assert hidden2.itself is not None
    assert (hidden2.itself.sample, hidden2.itself.neuron) == (1, 1)
    assert (readout.samples_itself, readout.samples_inputs) == (0, 1)


@pytest.mark.parametrize(("step", "n_arrived"), [(6, 0), (7, 1), (9, 1)])
def test_a_spike_counts_as_input_once_it_can_act(step: int, n_arrived: int) -> None:
    """A spike of step 3 with a delay of 3 steps arrives in step 6 and acts in step 7."""
    ours = execute(CHAIN, timed_trials([], CHAIN))
    spike = make_trains([(0, 3, 0)], samples=1, steps=20, neurons=2)
    differences = SourceDifferences(ours, with_spikes(ours, "hidden1", spike), [CHAIN])
    for neuron, expected in ((0, n_arrived), (1, 0)):  # neuron 1 has no synapse from it
        found = differences.before(Place("hidden2", neuron, 0, step, 10.0 * step, (1, 0), spiking=True))
        assert len(found) == expected
        assert all((d.source, d.neuron, d.step, d.arrival_step, d.excess) == ("hidden1", 0, 3, 6, 1) for d in found)


@pytest.mark.parametrize(("latency_steps", "arrives"), [(0.0, 33), (0.5, 38), (1.0, 42)])
def test_off_the_training_grid_a_spike_counts_as_input_once_it_can_act(latency_steps: float, arrives: int) -> None:
    """A spike of step 3 at 1 ms, 30 ms before its arrival on the training grid: 30 and 4.5 ms, halves up, or 9 ms."""
    spec = with_projection(CHAIN, "hidden1->hidden2", lambda p: replace(p, latency_steps=latency_steps))
    ours = execute(spec, timed_trials([], spec), step_ms=1.0)
    spike = make_trains([(0, 3, 0)], samples=1, steps=200, neurons=2, step_ms=1.0)
    differences = SourceDifferences(ours, with_spikes(ours, "hidden1", spike), [spec])
    for step, n_arrived in ((arrives, 0), (arrives + 1, 1)):
        found = differences.before(Place("hidden2", 0, 0, step, float(step), (1, 0), spiking=True))
        assert [d.arrival_step for d in found] == [arrives] * n_arrived


def test_the_shortest_delay_is_that_of_each_network_s_own_training_step() -> None:
    """The same 30 ms, trained at 10 ms (9 ms more on a grid of 1 ms) and at 5 ms (4 ms more)."""
    late = with_projection(CHAIN, "hidden1->hidden2", lambda p: replace(p, latency_steps=1.0))
    soon = replace(late, training_step_ms=5.0)
    ours = execute(late, timed_trials([], late), step_ms=1.0)
    spike = make_trains([(0, 3, 0)], samples=1, steps=200, neurons=2, step_ms=1.0)
    place = Place("hidden2", 0, 0, 100, 100.0, (1, 0), spiking=True)
    for networks, arrives in (([late], 42), ([soon], 37), ([late, soon], 37), ([soon, late], 37)):
        (found,) = SourceDifferences(ours, with_spikes(ours, "hidden1", spike), networks).before(place)
        assert found.arrival_step == arrives


def test_a_synapse_without_weight_carries_nothing() -> None:
    silent = with_projection(CHAIN, "hidden1->hidden2", lambda p: replace(p, weight=np.zeros(2)))
    ours = execute(silent, timed_trials([], silent))
    spike = make_trains([(0, 3, 0)], samples=1, steps=20, neurons=2)
    differences = SourceDifferences(ours, with_spikes(ours, "hidden1", spike), [silent])
    assert differences.before(Place("hidden2", 0, 0, 19, 190.0, (1, 0), spiking=True)) == ()


def test_both_may_be_wrong_at_once() -> None:
    """Sample 0 and 2 differ by hidden1's fault, sample 1 by hidden2's own."""
    faulty = with_projection(CHAIN, "input->hidden1", lambda p: delayed(p, 0, 1))
    faulty = with_population(faulty, "hidden2", **raised_threshold(CHAIN.population("hidden2"), 1, 9.0))
    a, b = sides(CHAIN, faulty)
    by_name = {origin.population: origin for origin in origins(compared(a, b), a, b)}
    assert (by_name["hidden1"].samples_itself, by_name["hidden1"].samples_inputs) == (2, 0)
    assert (by_name["hidden2"].samples_itself, by_name["hidden2"].samples_inputs) == (1, 2)


def test_causes_need_a_network_and_the_right_one() -> None:
    a, b = sides(CHAIN, with_population(CHAIN, "hidden2", **raised_threshold(CHAIN.population("hidden2"), 1, 9.0)))
    divergence = compared(a, b)
    blind = (replace(a, network=None), replace(b, network=None))
    with pytest.raises(SpecError, match="neither that of A nor that of B"):
        origins(divergence, *blind)
    assert divergence.first is not None
    with pytest.raises(SpecError, match="neither that of A nor that of B"):
        look_closely(divergence.first, *blind)
    with pytest.raises(SpecError, match="give the network that was recorded"):
        replace(b, network=CHAIN)


def test_in_a_replay_every_population_answers_for_itself() -> None:
    """B replays A's spikes with a network whose hidden1 is wrong: hidden2 got the right spikes and does not differ."""
    a, _ = sides(CHAIN, CHAIN)
    wrong = without_spike(a.recording, "hidden1", (0, 4, 0))
    replayed = replace(wrong, executor="brian2-numpy", provenance={"replay": "spikes of pytorch"})
    replayed = without_spike(replayed, "hidden2", (0, 8, 0))
    b = replace(a, label="B", recording=replayed)
    divergence = find_divergence(a.recording, replayed)
    assert [(o.population, o.samples_itself, o.samples_inputs) for o in origins(divergence, a, b)] == [
        ("hidden1", 1, 0),
        ("hidden2", 1, 0),
    ]
    place = divergence.choose(population="hidden2")
    assert place is not None
    closeup = look_closely(place, a, b)
    assert closeup.earlier == ()
    traces = [trace for trace in closeup.traces if trace is not None]
    assert np.array_equal(traces[0].potential, traces[1].potential)
    assert [trace.first_unexplained(place.step) for trace in traces] == [None, place.step]


def test_a_replay_of_something_else_is_refused() -> None:
    a, _ = sides(CHAIN, CHAIN)
    wrong = without_spike(a.recording, "hidden1", (0, 4, 0))
    b = replace(a, label="B", recording=replace(wrong, provenance={"replay": "spikes of brian2-cpp"}))
    with pytest.raises(SpecError, match="is a replay, driven by the spikes of brian2-cpp"):
        origins(find_divergence(a.recording, b.recording), a, b)


# --- what differs at a neuron -----------------------------------------------------------------------------------------


def test_every_parameter_of_a_neuron_is_compared() -> None:
    hidden = CHAIN.population("hidden1")
    for name in ("tau_membrane_ms", "tau_adaptation_ms", "adaptation_coupling", "adaptation_jump", "threshold", "bias"):
        values = getattr(hidden, name).copy()
        values[1] += 0.5
        other = with_population(CHAIN, "hidden1", **{name: values})
        (text,) = neuron_differences(CHAIN, other, "hidden1", 1)
        assert text == f"{name} is {values[1] - 0.5} in A, {values[1]} in B"
        assert neuron_differences(CHAIN, other, "hidden1", 0) == ()
    for name, value, said in (
        ("reset", "to_value", "subtract"),
        ("reset_value", -0.5, "0.0"),
        ("refractory_ms", 20.0, "0.0"),
    ):
        (text,) = neuron_differences(CHAIN, with_population(CHAIN, "hidden1", **{name: value}), "hidden1", 1)
        assert text == f"{name} is {said} in A, {value} in B"


def test_every_property_of_a_synapse_is_compared() -> None:
    later = with_projection(CHAIN, "hidden1->hidden2", lambda p: delayed(p, 0, 2))
    where = "the synapse from hidden1 neuron 0"
    assert neuron_differences(CHAIN, later, "hidden2", 0) == (f"{where} has a delay of 30 ms in A, 50 ms in B",)
    assert neuron_differences(CHAIN, later, "hidden2", 1) == ()
    heavier = with_projection(CHAIN, "hidden1->hidden2", lambda p: replace(p, weight=np.array([2.5, 2.0])))
    assert neuron_differences(CHAIN, heavier, "hidden2", 0) == (f"{where} has a weight of 2 in A, 2.5 in B",)
    moved = with_projection(CHAIN, "hidden1->hidden2", lambda p: replace(p, source_index=np.array([1, 1])))
    assert set(neuron_differences(CHAIN, moved, "hidden2", 0)) == {
        f"{where} is only in A",
        "the synapse from hidden1 neuron 1 is only in B",
    }
    smooth = with_projection(
        CHAIN, "hidden1->hidden2", lambda p: replace(p, synapse=SynapseKind.EXPONENTIAL, tau_syn_ms=15.0)
    )
    (text,) = neuron_differences(CHAIN, smooth, "hidden2", 0)
    assert "delta" in text
    assert "exponential (pulse_ms None, tau_syn_ms 15.0) in B" in text


def test_what_delays_become_on_other_grids_is_compared() -> None:
    aligned = with_projection(CHAIN, "hidden1->hidden2", lambda p: replace(p, latency_steps=0.5))
    late = with_projection(CHAIN, "hidden1->hidden2", lambda p: replace(p, latency_steps=1.0))
    assert neuron_differences(aligned, late, "hidden2", 0) == (
        "latency_steps of synapses from hidden1 is 0.5 in A, 1.0 in B",
    )
    assert neuron_differences(aligned, late, "hidden1", 0) == ()
    twice = replace(aligned, projections=(*aligned.projections, late.onto("hidden2")[0]))
    swapped = replace(late, projections=(*late.projections, aligned.onto("hidden2")[0]))
    assert neuron_differences(twice, swapped, "hidden2", 0) == (
        "latency_steps of synapses from hidden1 is 0.5 and 1.0 in A, 1.0 and 0.5 in B",
    )
    finer = replace(aligned, training_step_ms=5.0)
    assert neuron_differences(aligned, finer, "hidden2", 0) == ("training_step_ms is 10.0 in A, 5.0 in B",)


def test_only_metadata_is_no_difference_of_a_neuron() -> None:
    spec = every_kind_network()
    for population in spec.populations:
        assert neuron_differences(spec, replace(spec, metadata={"seed": "7"}), population.name, 0) == ()


def test_random_networks_with_one_wrong_neuron_are_blamed_on_it() -> None:
    """Feedback and recurrence spread the fault everywhere, but only one population starts it."""
    spec = every_kind_network()
    trials = random_trials(spec, 4)
    for name in spec.spiking_populations:
        neuron = int(np.bincount(execute(spec, trials).spikes[name].neuron).argmax())
        faulty = with_population(spec, name, **raised_threshold(spec.population(name), neuron, 1.5))
        a = Side("A", "a.h5", execute(spec, trials), spec, "network.h5")
        b = Side("B", "b.h5", execute(faulty, trials, claims=spec), spec, "network.h5")
        divergence = compared(a, b)
        assert divergence.first is not None
        assert (divergence.first.population, divergence.first.neuron) == (name, neuron)
        found = origins(divergence, a, b)
        assert [origin.population for origin in found if origin.samples_itself] == [name]
