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
from spikebridge.bridge.spec import NetworkSpec, SynapseKind
from spikebridge.bridge.spikes import Events, bin_events
from spikebridge.bridge.timing import aligned_delay_to_steps, delay_to_steps


def relay(grid_latency_ms: float, step_ms: float = 10.0) -> NetworkSpec:
    """Input -> a -> b, each spike of which makes the next neuron fire at once, with delays of 20 and 30 ms."""
    # Strong, short: the potential crosses the threshold in the step after the arrival on every grid.
    fast = {"tau_ms": 1000.0, "refractory_steps": 5.0}
    spec = network(
        [neurons("a", **fast, step_ms=step_ms), neurons("b", **fast, step_ms=step_ms)],
        [
            edges("input", "a", [(0, 0, 1.5, 2)], SynapseKind.DELTA, step_ms=step_ms),
            edges("a", "b", [(0, 0, 1.5, 3)], SynapseKind.DELTA, step_ms=step_ms),
        ],
        n_steps=40,
        step_ms=step_ms,
    )
    return replace(spec, grid_latency_ms=grid_latency_ms)


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


def test_with_its_latency_a_network_is_as_late_on_every_grid() -> None:
    time_ms = np.linspace(0.05, 79.95, 800)
    coarse = mean_times(relay(5.0), 10.0, time_ms)
    for step_ms in (5.0, 2.0, 1.0, 0.5):
        fine = mean_times(relay(5.0), step_ms, time_ms)
        # Within half a fine step per synapse, since delays are rounded to steps.
        np.testing.assert_allclose(fine, coarse, atol=step_ms)


def test_without_it_every_synapse_is_half_a_step_early() -> None:
    time_ms = np.linspace(0.05, 79.95, 800)
    coarse = mean_times(relay(0.0), 10.0, time_ms)
    fine = mean_times(relay(0.0), 0.5, time_ms)
    np.testing.assert_allclose(np.subtract(coarse, fine), [4.75 + 4.75, 2 * 4.75 + 4.75], atol=1.0)


@given(
    st.lists(st.integers(0, 50), min_size=1, max_size=20),
    st.sampled_from([10.0, 4.0, 1.0, 0.3]),
)
def test_on_the_training_grid_the_latency_changes_nothing(steps: list[int], step_ms: float) -> None:
    delay_ms = np.array(steps) * step_ms
    assert aligned_delay_to_steps(delay_ms, step_ms / 2, step_ms).tolist() == steps
    assert delay_to_steps(delay_ms, step_ms).tolist() == steps


@given(st.integers(0, 50), st.sampled_from([1, 2, 4, 5, 10, 20, 100]))
def test_on_a_finer_grid_delay_and_latency_are_whole_steps_of_continuous_time(steps: int, parts: int) -> None:
    """d + L on a grid of h / parts, less that grid's own half step: (steps + 1/2) parts - 1/2, halves up."""
    found = int(aligned_delay_to_steps(steps * 10.0, 5.0, 10.0 / parts))
    assert found == (2 * steps + 1) * parts // 2


def test_a_latency_below_zero_is_refused() -> None:
    with pytest.raises(SpecError, match=r"grid_latency_ms is -1\.0"):
        relay(-1.0)


def test_what_a_finer_grid_rounds_is_listed() -> None:
    assert discretise(relay(5.0), 10.0).roundings == ()
    assert discretise(relay(5.0), 2.0).roundings == ()  # 25 ms less 1 ms are 12 steps of 2 ms
    assert any("delays of a->b were rounded" in note for note in discretise(relay(5.0), 1.0).roundings)
