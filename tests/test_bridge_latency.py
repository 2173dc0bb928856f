"""A grid's own latency: what an input or a spike waits for the end of its step, and how a network makes up for it."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from networks import edges, network, neurons

from spikebridge.bridge.discretise import discretise
from spikebridge.bridge.errors import SpecError
from spikebridge.bridge.reference import run_reference
from spikebridge.bridge.spec import NetworkSpec, Reset, SynapseKind
from spikebridge.bridge.spikes import Events, bin_events
from spikebridge.bridge.timing import aligned_delay_to_steps, delay_to_steps


def relay(latency_steps: tuple[float, float], kind: SynapseKind) -> NetworkSpec:
    """Input -> a -> b, each spike of which makes the next neuron fire once, with delays of 20 and 30 ms."""
    weight = 1.5 if kind is SynapseKind.DELTA else 30.0
    nodes = [neurons(name, tau_ms=100.0, refractory_steps=20, reset=Reset.TO_VALUE) for name in ("a", "b")]
    wiring = (("input", "a", 2, latency_steps[0]), ("a", "b", 3, latency_steps[1]))
    projections = [
        replace(edges(source, target, [(0, 0, weight, delay)], kind), latency_steps=latency)
        for source, target, delay, latency in wiring
    ]
    return network(nodes, projections, n_steps=40)


def mean_times(spec: NetworkSpec, step_ms: float, time_ms: np.ndarray) -> list[float]:
    """From the true time of the input to the first spike of a and of b, each at the centre of its step; mean."""
    events = Events(time_ms / 1000.0, np.zeros(time_ms.size, dtype=np.int32), np.arange(time_ms.size + 1), 1)
    grid = discretise(spec, step_ms)
    inputs, _ = bin_events(events, step_ms, grid.n_steps)
    spikes, _ = run_reference(grid, {"input": inputs})
    found = []
    for name in ("a", "b"):
        trains = spikes[name]
        first = trains.offsets[:-1]
        assert (np.diff(trains.offsets) >= 1).all()
        found.append(float((trains.centre_ms[first] - time_ms).mean()))
    return found


KINDS = [
    (SynapseKind.DELTA, (0.5, 1.0)),
    (SynapseKind.PULSE, (0.5, 0.5)),
    (SynapseKind.EXPONENTIAL, (0.5, 0.5)),
]
INPUT_MS = np.linspace(0.05, 79.95, 800)


@pytest.mark.parametrize(("kind", "latency_steps"), KINDS)
def test_with_its_latency_a_network_is_as_late_on_every_grid(
    kind: SynapseKind, latency_steps: tuple[float, float]
) -> None:
    spec = relay(latency_steps, kind)
    continuous = mean_times(spec, 0.1, INPUT_MS)
    for step_ms in (10.0, 5.0, 2.0, 1.0, 0.5):
        # Up to half a step for the rounding of a delay, and half for a crossing that is not in the middle of its step.
        np.testing.assert_allclose(mean_times(spec, step_ms, INPUT_MS), continuous, atol=step_ms + 0.2)


@pytest.mark.parametrize(("kind", "latency_steps"), KINDS)
def test_without_it_everything_is_earlier_on_a_finer_grid(
    kind: SynapseKind, latency_steps: tuple[float, float]
) -> None:
    aligned, spec = (mean_times(relay(steps, kind), 0.1, INPUT_MS) for steps in (latency_steps, (0.0, 0.0)))
    early = np.cumsum(latency_steps) * 9.9
    np.testing.assert_allclose(np.subtract(aligned, spec), early, atol=0.2)
    on_training_grid = [mean_times(relay(steps, kind), 10.0, INPUT_MS) for steps in (latency_steps, (0.0, 0.0))]
    assert on_training_grid[0] == on_training_grid[1]


@given(
    st.lists(st.integers(0, 50), min_size=1, max_size=20),
    st.sampled_from([10.0, 4.0, 1.0, 0.3]),
)
def test_on_the_training_grid_the_latency_changes_nothing(steps: list[int], step_ms: float) -> None:
    delay_ms = np.array(steps) * step_ms
    for latency_steps in (0.5, 1.0):
        assert aligned_delay_to_steps(delay_ms, latency_steps, step_ms, step_ms).tolist() == steps
    assert delay_to_steps(delay_ms, step_ms).tolist() == steps


@given(st.integers(0, 50), st.sampled_from([1, 2, 4, 5, 10, 20, 100]))
def test_on_a_finer_grid_delay_and_latency_are_whole_steps_of_continuous_time(steps: int, parts: int) -> None:
    """d + L on a grid of h / parts, less that grid's own half step: (steps + 1/2) parts - 1/2, halves up."""
    found = int(aligned_delay_to_steps(steps * 10.0, 0.5, 10.0, 10.0 / parts))
    assert found == (2 * steps + 1) * parts // 2
    assert int(aligned_delay_to_steps(steps * 10.0, 1.0, 10.0, 10.0 / parts)) == (steps + 1) * parts - 1


@pytest.mark.parametrize("latency_steps", [-0.5, 1.5])
def test_an_impossible_latency_is_refused(latency_steps: float) -> None:
    with pytest.raises(SpecError, match=r"input->a: latency_steps is .* it must be 0 \.\. 1"):
        relay((latency_steps, 0.5), SynapseKind.PULSE)


def test_what_another_grid_rounds_is_listed() -> None:
    spec = relay((0.5, 0.5), SynapseKind.PULSE)
    assert discretise(spec, 10.0).roundings == ()
    assert discretise(spec, 2.0).roundings == ()  # 20 ms and half of 8 ms are 12 steps of 2 ms
    assert any("delays of a->b were rounded" in note for note in discretise(spec, 1.0).roundings)


def test_on_a_coarser_grid_no_delay_falls_below_zero() -> None:
    spec = replace(relay((1.0, 1.0), SynapseKind.DELTA), training_step_ms=1.0)
    short = replace(spec, projections=tuple(replace(p, delay_ms=np.array([2.0])) for p in spec.projections))
    grid = discretise(short, 10.0)
    assert [int(p.delay_steps[0]) for p in grid.projections] == [0, 0]
    assert len(grid.roundings) == 2
