"""When in its step a neuron crosses: spikes of neurons that jumps drive are compared without a bias between grids."""

from dataclasses import replace

import numpy as np
import pytest
from executed import execute
from hypothesis import given
from hypothesis import strategies as st
from networks import edges, network, neurons
from recordings import make_trains

from spikebridge.bridge.errors import SpecError
from spikebridge.bridge.recording import Recording, Trials
from spikebridge.bridge.spec import NetworkSpec, Reset, SynapseKind
from spikebridge.bridge.spikes import Events
from spikebridge.validation.coincidence import coincident_share
from spikebridge.validation.crossing import crossing_within_step
from spikebridge.validation.evidence import collect_evidence
from spikebridge.validation.refinement import PopulationChange, measure_refinement, on_grid
from spikebridge.validation.spike_distance import van_rossum

TRAINING_STEP_MS = 10.0


def relay(kind: SynapseKind, latency_steps: tuple[float, float, float]) -> NetworkSpec:
    """Input -> a -> b -> readout, each spike of which makes the next neuron fire once, with delays of 20 and 30 ms."""
    weight = 1.5 if kind is SynapseKind.DELTA else 30.0
    nodes = [neurons(name, tau_ms=100.0, refractory_steps=20, reset=Reset.TO_VALUE) for name in ("a", "b")]
    wiring = (("input", "a", 2), ("a", "b", 3), ("b", "readout", 0))
    projections = [
        replace(edges(source, target, [(0, 0, weight, delay)], kind), latency_steps=latency)
        for (source, target, delay), latency in zip(wiring, latency_steps, strict=True)
    ]
    return network([*nodes, neurons("readout", spiking=False)], projections, n_steps=40)


JUMPS = relay(SynapseKind.DELTA, (0.5, 1.0, 1.0))
SMOOTH = relay(SynapseKind.PULSE, (0.5, 0.5, 0.5))


def spread_trials(samples: int = 200) -> Trials:
    """One event per sample, at times that lie everywhere within a step of the training."""
    time_s = np.linspace(0.05, 79.95, samples) / 1000.0
    events = Events(time_s, np.zeros(samples, dtype=np.int32), np.arange(samples + 1), 1)
    return Trials(events, np.zeros(samples, dtype=np.int64), ("class 0",), None, None, "constructed", "c" * 64)


TRIALS = spread_trials()


def recorded(spec: NetworkSpec, step_ms: float) -> Recording:
    recording = execute(spec, TRIALS, step_ms=step_ms)
    assert all((np.diff(trains.offsets) == 1).all() for trains in recording.spikes.values())
    return recording


def changes(spec: NetworkSpec, step_ms: float) -> dict[str, PopulationChange]:
    """What the report says of the relay on a finer grid."""
    found = collect_evidence(spec, recorded(spec, TRAINING_STEP_MS), {"step": recorded(spec, step_ms)})
    return dict(found.refinement.steps[0].populations)


def lateness_ms(spec: NetworkSpec, step_ms: float, population: str, within_step: float) -> float:
    """How much later the training grid has the spikes than the finer one, mean over samples."""
    coarse, fine = (recorded(spec, each).spikes[population] for each in (TRAINING_STEP_MS, step_ms))
    return float((coarse.crossing_ms(within_step) - fine.crossing_ms(within_step)).mean())


@pytest.mark.parametrize("population", ["a", "b"])
@pytest.mark.parametrize("step_ms", [2.0, 0.5, 0.1])
def test_neurons_that_jumps_drive_cross_at_the_start_of_the_step(population: str, step_ms: float) -> None:
    """Equal to half the fine step, to which the fine grid rounds its delays; centres are half the difference apart."""
    assert crossing_within_step(JUMPS, population) == 0.0
    assert abs(lateness_ms(JUMPS, step_ms, population, 0.0)) <= step_ms / 2 + 1e-6
    centres_apart = (TRAINING_STEP_MS - step_ms) / 2
    assert lateness_ms(JUMPS, step_ms, population, 0.5) == pytest.approx(centres_apart, abs=step_ms / 2 + 1e-6)


@pytest.mark.parametrize("step_ms", [0.5, 0.1])
def test_the_report_finds_aligned_jumps_as_close_as_binning_allows(step_ms: float) -> None:
    jumps, smooth = changes(JUMPS, step_ms), changes(SMOOTH, step_ms)
    for name in ("a", "b"):
        assert jumps[name].distance == pytest.approx(jumps[name].distance_of_binning)
        assert jumps[name].coincidence == 1.0
        # What smooth currents have: up to half a training step is unknown, and nothing else differs.
        assert jumps[name].distance_of_binning == pytest.approx(smooth[name].distance_of_binning, abs=0.01)
        assert jumps[name].distance <= smooth[name].distance
    # The same recordings of a network without latency are compared at the centres, as before, and that shows.
    unknown = replace(JUMPS, projections=tuple(replace(p, latency_steps=0.0) for p in JUMPS.projections))
    ours, theirs = (recorded(JUMPS, each) for each in (TRAINING_STEP_MS, step_ms))
    centred = measure_refinement(unknown, ours, {"step": theirs}).steps[0].populations["b"]
    assert centred.distance > 0.55
    assert centred.coincidence is not None
    assert centred.coincidence < 0.6


def test_where_a_population_crosses_is_the_latency_of_what_it_drives() -> None:
    assert [crossing_within_step(JUMPS, name) for name in ("a", "b")] == [0.0, 0.0]
    assert [crossing_within_step(SMOOTH, name) for name in ("a", "b")] == [0.5, 0.5]
    assert crossing_within_step(relay(SynapseKind.DELTA, (0.5, 0.0, 1.0)), "a") == 0.5  # has none, whatever others have
    assert crossing_within_step(replace(JUMPS, projections=JUMPS.projections[:2]), "b") == 0.5  # drives nothing
    recurrent = replace(edges("a", "a", [(0, 0, 0.1, 0)]), latency_steps=0.5)
    mixed = replace(JUMPS, projections=(*JUMPS.projections, recurrent))
    assert crossing_within_step(mixed, "a") == 0.25
    without = replace(JUMPS, projections=(*JUMPS.projections, replace(recurrent, latency_steps=0.0)))
    assert crossing_within_step(without, "a") == 0.0


def test_a_coarser_grid_holds_each_spike_in_the_step_with_the_nearest_start() -> None:
    steps = [0, 4, 5, 14, 15, 199]
    fine = make_trains([(0, step, 0) for step in steps], samples=1, steps=200, neurons=1, step_ms=1.0)
    assert on_grid(fine, 10.0, within_step=0.0).step.tolist() == [0, 0, 1, 1, 2, 19]  # no step starts at 200 ms
    assert on_grid(fine, 10.0, within_step=1.0).step.tolist() == [0, 0, 0, 1, 1, 19]
    assert on_grid(fine, 10.0).step.tolist() == [0, 0, 0, 1, 1, 19]


@given(
    st.lists(st.integers(0, 399), min_size=1, max_size=30),
    st.sampled_from([0.0, 0.25, 0.5, 1.0]),
    st.sampled_from([2, 5, 20]),
)
def test_no_other_step_of_the_coarser_grid_is_nearer(steps: list[int], within_step: float, parts: int) -> None:
    fine = make_trains([(0, step, 0) for step in steps], samples=1, steps=400, neurons=1, step_ms=0.5)
    coarse = on_grid(fine, 0.5 * parts, within_step=within_step)
    every = (np.arange(coarse.n_steps) + within_step) * coarse.step_ms
    time_ms = np.sort(fine.crossing_ms(within_step))
    nearest = np.abs(time_ms[:, None] - every[None, :]).min(axis=1)
    np.testing.assert_allclose(np.abs(time_ms - np.sort(coarse.crossing_ms(within_step))), nearest, atol=1e-9)


@pytest.mark.parametrize("within_step", [-0.1, 1.1, np.nan])
def test_a_crossing_outside_of_its_step_is_refused(within_step: float) -> None:
    trains = make_trains([(0, 3, 0)], samples=1, steps=10, neurons=1)
    with pytest.raises(SpecError, match=r"within_step is .* at 0 \.\. 1 of it"):
        trains.crossing_ms(within_step)
    for compare in (van_rossum, coincident_share):
        with pytest.raises(SpecError, match="within_step is"):
            compare(trains, trains, within_step=within_step)


def test_spikes_are_compared_where_they_are_said_to_be() -> None:
    """Step 12 of 10 ms starts at 120 ms, as step 120 of 1 ms does; their centres are 4.5 ms apart, their ends 9."""
    coarse = make_trains([(0, 12, 0)], samples=1, steps=40, neurons=1)
    fine = make_trains([(0, 120, 0)], samples=1, steps=400, neurons=1, step_ms=1.0)
    for within_step, apart_ms in ((0.0, 0.0), (0.5, 4.5), (1.0, 9.0)):
        found = van_rossum(coarse, fine, 10.0, within_step=within_step)
        assert found.apart.tolist() == pytest.approx([2 * (1 - np.exp(-apart_ms / 10.0))])
        for window_ms, share in ((apart_ms, 1.0), (apart_ms - 0.1, 0.0)):
            if window_ms >= 0:
                assert coincident_share(coarse, fine, window_ms, within_step=within_step) == share
