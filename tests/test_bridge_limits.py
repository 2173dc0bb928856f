"""Values at the edge of what fits: refused with a reason, or carried over exactly."""

from dataclasses import replace

import numpy as np
import pytest
from networks import edges, network, neurons, on_training_grid, played

from spikebridge.bridge.arrays import FloatArray
from spikebridge.bridge.errors import SpecError
from spikebridge.bridge.reference import run_reference
from spikebridge.bridge.replay import replay_inputs, replay_network
from spikebridge.bridge.spec import Input
from spikebridge.bridge.spikes import Events, SpikeTrains, bin_events


def test_an_index_that_would_wrap_around_is_refused() -> None:
    projection = edges("input", "hidden", [(0, 0, 1.0, 0)])
    with pytest.raises(SpecError, match="4294967296, which is too large for int32"):
        replace(projection, source_index=np.array([2**32]))
    with pytest.raises(SpecError, match="expected integers"):
        replace(projection, source_index=np.array([0.0]))


@pytest.mark.parametrize("name", ["é", "a b", "1st", "", "a/b"])
def test_names_are_what_files_and_simulators_take(name: str) -> None:
    with pytest.raises(SpecError, match="no valid name"):
        Input(name, 1)


def test_a_network_without_inputs_says_so_when_it_is_run() -> None:
    grid = on_training_grid(replace(network([neurons()], []), inputs=()))
    with pytest.raises(SpecError, match="has no input"):
        run_reference(grid, {})


def test_an_event_far_past_the_end_is_dropped_and_counted() -> None:
    events = Events(np.array([0.005, 1e300, 0.025]), np.array([0, 0, 1]), np.array([0, 2, 3]), 2)
    trains, crop = bin_events(events, 10.0, 3)
    assert trains.step.tolist() == [0, 2]
    assert (crop.spikes, crop.spikes_dropped, crop.samples, crop.samples_cropped) == (3, 1, 2, 1)
    assert str(crop) == "1 of 3 spikes (33.333%) lie past the end, in 1 of 2 samples"


def test_an_event_on_the_edge_of_a_bin_belongs_to_the_bin_that_starts_there() -> None:
    times: FloatArray = np.arange(1000, dtype=np.float64) * 0.01  # not exact in floating point
    trains, _ = bin_events(Events(times, np.zeros(1000, dtype=np.int64), np.array([0, 1000]), 1), 10.0, 1000)
    assert trains.step.tolist() == list(range(1000))


def test_counts_samples_and_selections_come_back() -> None:
    rng = np.random.default_rng(0)
    counts = rng.poisson(0.4, (5, 7, 3))
    trains = SpikeTrains.from_counts(counts, 10.0)
    np.testing.assert_array_equal(trains.counts(), counts)
    np.testing.assert_array_equal(trains.select([3, 0, 3]).counts(), counts[[3, 0, 3]])
    np.testing.assert_array_equal(trains.select(np.array([True, False, False, True, False])).counts(), counts[[0, 3]])
    assert trains.select([]).n_samples == 0
    with pytest.raises(SpecError, match="whole numbers"):
        SpikeTrains.from_counts(counts * 0.5, 10.0)
    with pytest.raises(SpecError, match="whole numbers"):
        SpikeTrains.from_counts(-counts, 10.0)


@pytest.mark.parametrize("time_s", [-0.1, float("nan"), float("inf")])
def test_times_that_are_none_are_refused(time_s: float) -> None:
    with pytest.raises(SpecError, match="finite and not negative"):
        Events(np.array([time_s]), np.array([0]), np.array([0, 1]), 1)


def test_replay_needs_every_population_and_runs_each_alone() -> None:
    """A population driven by recorded spikes does not see what another one does now."""
    chain = [edges("input", "a", [(0, 0, 2.0, 0)]), edges("a", "b", [(0, 0, 2.0, 1)])]
    spec = network([neurons("a"), neurons("b")], chain)
    inputs = played([(0, 0, 0)], on_training_grid(spec))
    with pytest.raises(SpecError, match=r"no spikes of \['b'\]"):
        replay_inputs(spec, inputs, inputs | {"a": inputs["input"]})
    grid = on_training_grid(replay_network(spec))
    assert [node.name for node in grid.spec.inputs] == ["input", "a_recorded", "b_recorded"]
    recorded = SpikeTrains(np.array([5]), np.array([0]), np.array([0, 1]), 12, 1, 10.0)
    spikes, _ = run_reference(grid, replay_inputs(spec, inputs, {"a": recorded, "b": recorded}))
    assert spikes["a"].step.tolist() == [1]  # from the input of step 0
    assert spikes["b"].step.tolist() == [7]  # from the recorded spike of step 5, one step of delay
