"""Bursts on constructed trains, and the Max Interval method against a search written as it is described."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recordings import make_trains

from spikebridge.bridge.errors import SpecError
from spikebridge.bridge.spikes import SpikeTrains
from spikebridge.validation.bursts import BurstCriterion, find_bursts
from spikebridge.validation.stats_bursts import burst_indices, burst_rates_hz, spikes_in_bursts, spikes_per_burst

CRITERION = BurstCriterion(max_isi_ms=20.0, min_spikes=3)


def one_train(*steps: int, n_steps: int = 100, step_ms: float = 10.0) -> SpikeTrains:
    return make_trains([(0, step, 0) for step in steps], samples=1, steps=n_steps, neurons=1, step_ms=step_ms)


def bursts_of(trains: SpikeTrains, criterion: BurstCriterion) -> list[list[int]]:
    """First and last step of every burst."""
    found = find_bursts(trains, criterion)
    return [
        [int(found.spikes.step[i]), int(found.spikes.step[j])] for i, j in zip(found.first, found.last, strict=True)
    ]


def test_the_statistics_of_a_known_train() -> None:
    # Bursts of 3 and 4 spikes, 2 single spikes, in one second.
    train = one_train(10, 11, 12, 50, 51, 53, 55, 80, 90)
    assert spikes_in_bursts(train, CRITERION).mean == pytest.approx(7 / 9)
    assert spikes_per_burst(train, CRITERION).values.tolist() == [3.0, 4.0]
    assert burst_rates_hz(train, CRITERION).values.tolist() == [2.0]
    assert burst_indices(train, CRITERION).values.tolist() == [0.5]  # 2 bursts and 2 single spikes


def test_bursts_are_counted_per_neuron_over_samples() -> None:
    spikes = [(0, s, 0) for s in (1, 2, 3)] + [(1, s, 0) for s in (7, 8, 9)] + [(1, 40, 0), (1, 60, 1)]
    trains = make_trains(spikes, samples=2, steps=100, neurons=3)
    assert burst_rates_hz(trains, CRITERION).values.tolist() == [1.0, 0.0, 0.0]
    seen = burst_indices(trains, CRITERION)
    assert seen.values == pytest.approx([2 / 3, 0.0])
    assert (seen.n_total, dict(seen.undefined)) == (3, {"no spike in any sample": 1})


def test_without_bursts_their_size_is_undefined_and_their_rate_is_zero() -> None:
    train = one_train(10, 50)
    assert spikes_per_burst(train, CRITERION).mean is None
    assert burst_rates_hz(train, CRITERION).mean == 0.0
    assert burst_indices(train, CRITERION).mean == 0.0
    silent = one_train()
    assert burst_indices(silent, CRITERION).mean is None
    assert spikes_in_bursts(silent, CRITERION).mean is None


@pytest.mark.parametrize(
    ("steps", "criterion", "expected"),
    [
        pytest.param((0, 3, 4, 6, 8), BurstCriterion(10.0, 3, 20.0), [[3, 8]], id="begins at the first short interval"),
        pytest.param((0, 2, 4, 6), BurstCriterion(10.0, 3, 20.0), [], id="never short enough to begin"),
        pytest.param(
            (0, 1, 2, 6, 7, 8), BurstCriterion(10.0, 3, min_gap_ms=41.0), [[0, 8]], id="close ones are merged"
        ),
        pytest.param((0, 1, 2, 6, 7, 8), BurstCriterion(10.0, 3, min_gap_ms=40.0), [[0, 2], [6, 8]], id="apart enough"),
        pytest.param((0, 1, 5, 6), BurstCriterion(10.0, 4, min_gap_ms=50.0), [[0, 6]], id="merged before counted"),
        pytest.param((0, 1, 2), BurstCriterion(10.0, 3, min_duration_ms=20.0), [[0, 2]], id="just long enough"),
        pytest.param((0, 1, 2), BurstCriterion(10.0, 3, min_duration_ms=21.0), [], id="too short"),
    ],
)
def test_every_parameter_of_the_method(
    steps: tuple[int, ...], criterion: BurstCriterion, expected: list[list[int]]
) -> None:
    assert bursts_of(one_train(*steps), criterion) == expected


def naive(steps: list[int], begin: int, end: int, gap: int, duration: int, min_spikes: int) -> list[list[int]]:
    """The three phases of the Max Interval method, one spike after the other; indices of first and last spike."""
    found: list[list[int]] = []
    current: list[int] | None = None
    for i, (one, other) in enumerate(pairwise(steps)):
        if current is None and other - one <= begin:
            current = [i, i + 1]
        elif current is not None and other - one <= end:
            current[1] = i + 1
        elif current is not None:
            found.append(current)
            current = None
    if current is not None:
        found.append(current)
    merged: list[list[int]] = []
    for burst in found:
        if merged and steps[burst[0]] - steps[merged[-1][1]] < gap:
            merged[-1][1] = burst[1]
        else:
            merged.append(burst)
    return [b for b in merged if b[1] - b[0] + 1 >= min_spikes and steps[b[1]] - steps[b[0]] >= duration]


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 1), st.integers(0, 39), st.integers(0, 1)), max_size=50),
    st.integers(1, 3),
    st.integers(0, 2),
    st.integers(0, 8),
    st.integers(0, 6),
    st.integers(2, 4),
)
def test_bursts_are_those_of_a_naive_search(
    spikes: list[tuple[int, int, int]], begin: int, more: int, gap: int, duration: int, min_spikes: int
) -> None:
    trains = make_trains(spikes, samples=2, steps=40, neurons=2)
    expected = []
    for sample in range(2):
        for neuron in range(2):
            steps = sorted(t for s, t, n in spikes if (s, n) == (sample, neuron))
            expected += [
                [steps[i], steps[j], j - i + 1] for i, j in naive(steps, begin, begin + more, gap, duration, min_spikes)
            ]
    criterion = BurstCriterion(begin * 10.0, min_spikes, (begin + more) * 10.0, gap * 10.0, duration * 10.0)
    found = find_bursts(trains, criterion)
    sizes = found.n_spikes.tolist()
    assert [[*ends, n] for ends, n in zip(bursts_of(trains, criterion), sizes, strict=True)] == expected
    assert found.contains.sum() == sum(sizes)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"max_end_isi_ms": 10.0}, "max_end_isi_ms"),
        ({"max_end_isi_ms": float("inf")}, "max_end_isi_ms"),
        ({"min_gap_ms": -1.0}, "min_gap_ms"),
        ({"min_duration_ms": float("nan")}, "min_duration_ms"),
    ],
)
def test_a_meaningless_criterion_is_refused(values: dict[str, float], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        BurstCriterion(**values)  # type: ignore[arg-type]


def test_the_criterion_in_words_names_what_is_in_use() -> None:
    assert BurstCriterion(15.0, 4).text == "at least 4 spikes of one neuron in one sample, intervals of at most 15 ms"
    text = BurstCriterion(15.0, 4, 30.0, 50.0, 12.0).text
    assert all(part in text for part in ("15 ms", "30 ms", "50 ms", "12 ms"))
