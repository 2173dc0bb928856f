"""A grid's own latency: what an input or a spike waits for the end of its step, and how a network makes up for it."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from networks import STEP_MS, edges, network, neurons

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


RELAYS = 360  # whole multiples of every number of parts below: every part of a training step has as many relays
RISE_MS = (np.arange(RELAYS) + 0.5) / RELAYS * STEP_MS


def relays(latency_steps: tuple[float, float], kind: SynapseKind) -> NetworkSpec:
    """Relays side by side, input k -> a_k -> b_k, with delays of 20 and 30 ms, that differ in their weights alone.

    Driven by a current, a_k and b_k cross their thresholds `RISE_MS[k]` after it has begun, evenly spread over a
    training step: u(t) = W (1 - exp(-t / tau)), or W tau_syn / (tau - tau_syn) (exp(-t / tau) - exp(-t / tau_syn)).
    """
    tau_ms, tau_syn_ms = 100.0, 15.0
    match kind:
        case SynapseKind.DELTA:
            height = np.full(RELAYS, 1 / 1.5)
        case SynapseKind.PULSE:
            height = 1 - np.exp(-RISE_MS / tau_ms)
        case SynapseKind.EXPONENTIAL:
            height = np.exp(-RISE_MS / tau_ms) - np.exp(-RISE_MS / tau_syn_ms)
            height *= tau_syn_ms / (tau_ms - tau_syn_ms)
    nodes = [neurons(name, RELAYS, tau_ms=tau_ms, refractory_steps=20, reset=Reset.TO_VALUE) for name in ("a", "b")]
    projections = []
    for (source, target, delay), latency in zip((("input", "a", 2), ("a", "b", 3)), latency_steps, strict=True):
        synapses = [(k, k, 1 / height[k], delay) for k in range(RELAYS)]
        projections.append(replace(edges(source, target, synapses, kind, tau_syn_ms=tau_syn_ms), latency_steps=latency))
    return network(nodes, projections, inputs={"input": RELAYS}, n_steps=12)


def mean_hops(spec: NetworkSpec, step_ms: float) -> tuple[float, float]:
    """From the true times of inputs, evenly spread over a training step, to the spikes of a, and from those to b's.

    A spike of step k is at its end, (k + 1) step_ms; mean over relays, in milliseconds.
    """
    channel = np.arange(RELAYS, dtype=np.int32)
    input_ms = RISE_MS  # evenly spread as well
    events = Events(input_ms / 1000.0, channel, np.array([0, RELAYS]), RELAYS)
    grid = discretise(spec, step_ms)
    inputs, _ = bin_events(events, step_ms, grid.n_steps)
    spikes, _ = run_reference(grid, {"input": inputs})
    ends = []
    for name in ("a", "b"):
        assert np.sort(spikes[name].neuron).tolist() == channel.tolist()
        ends.append((spikes[name].step[np.argsort(spikes[name].neuron)] + 1) * step_ms)
    return float((ends[0] - input_ms).mean()), float((ends[1] - ends[0]).mean())


def assert_hops_of_continuous_time(spec: NetworkSpec, kind: SynapseKind, parts: int) -> None:
    """What both hops of `relays` take on a grid of the training's step over `parts`, to rounding errors of float64.

    In continuous time a delay d is d + H / 2, and d + H after neurons driven by jumps, to which a current adds its
    rise, H / 2 in the mean. Two things come on top, both known. A spike is noticed late: by h / 2 in the mean where a
    current's rise ends anywhere within a step, by h after a jump; from spike to spike that cancels. And where H / h is
    even, half of H - h is no whole number of steps and rounded up, by h / 2.
    """
    step_ms = STEP_MS / parts
    rounding = step_ms / 2 if parts % 2 == 0 else 0.0
    if kind is SynapseKind.DELTA:
        expected = 20.0 + STEP_MS / 2 + step_ms + rounding, 30.0 + STEP_MS
    else:
        rise_ms = STEP_MS / 2
        expected = 20.0 + STEP_MS / 2 + rise_ms + step_ms / 2 + rounding, 30.0 + STEP_MS / 2 + rise_ms + rounding
    np.testing.assert_allclose(mean_hops(spec, step_ms), expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("parts", [1, 2, 3, 5, 9, 10, 20])
@pytest.mark.parametrize(("kind", "latency_steps"), KINDS)
def test_with_its_latency_every_hop_takes_as_long_on_every_grid(
    kind: SynapseKind, latency_steps: tuple[float, float], parts: int
) -> None:
    """On grids of 10, 5, 10/3, 2, 10/9, 1 and 0.5 ms; without it, both hops are too short on all but the first."""
    assert_hops_of_continuous_time(relays(latency_steps, kind), kind, parts)
    unaligned = relays((0.0, 0.0), kind)
    if parts == 1:
        assert_hops_of_continuous_time(unaligned, kind, parts)
        return
    with pytest.raises(AssertionError, match="Mismatched elements: 2 / 2"):
        assert_hops_of_continuous_time(unaligned, kind, parts)


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
