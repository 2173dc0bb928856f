"""Published ranges: their file, where values lie, and the values on constructed trains."""

from pathlib import Path

import numpy as np
import pytest
import quantities as pq
from elephant.conversion import BinnedSpikeTrain
from elephant.spike_train_correlation import correlation_coefficient
from elephant.statistics import fanofactor
from recordings import make_trains, random_trains

from spikebridge.bridge.errors import DataError
from spikebridge.bridge.spikes import SpikeTrains
from spikebridge.validation.compare_activity import Activity
from spikebridge.validation.neo_trains import neo_trains
from spikebridge.validation.plausibility import RANGES, Place, load_ranges, plausibility_card
from spikebridge.validation.plausibility_values import CARD_STATISTICS, card_values

GOOD = {
    "id": "mine",
    "statistic": "isi_cv",
    "species": "ferret",
    "area": "A1",
    "condition": "awake",
    "finding": "f",
    "differs": "d",
    "citation": "c",
}


def written(path: Path, *entries: dict[str, object]) -> Path:
    lines = []
    for entry in entries:
        lines += ["[[range]]", *(f"{key} = {value!r}" for key, value in entry.items())]
    path.write_text("\n".join(lines))
    return path


def test_the_shipped_ranges_are_complete_and_cited() -> None:
    ranges = load_ranges()
    assert len(ranges) == RANGES.read_text(encoding="utf-8").count("[[range]]")
    assert {each.statistic for each in ranges} == set(CARD_STATISTICS)
    for each in ranges:
        assert any(str(year) in each.citation for year in range(1950, 2030)), each.id
        assert each.doi is None or each.doi.startswith("10.")


def test_bounds_are_inside_and_an_open_side_has_no_bound(tmp_path: Path) -> None:
    both, low, high = load_ranges(
        written(
            tmp_path / "r.toml",
            {**GOOD, "low": 0.5, "high": 1.5},
            {**GOOD, "id": "low", "low": 0.5},
            {**GOOD, "id": "high", "high": 1},
        )
    )
    assert [both.place(value) for value in (0.4, 0.5, 1.5, 1.6, None)] == [
        Place.BELOW,
        Place.INSIDE,
        Place.INSIDE,
        Place.ABOVE,
        Place.UNDEFINED,
    ]
    assert (low.place(1e9), high.place(-1e9)) == (Place.INSIDE, Place.INSIDE)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"low": 2.0, "high": 1.0}, "is above high"),
        ({"low": float("nan")}, "must be a finite number"),
        ({"low": True}, "must be a finite number"),
        ({}, "give low, high or both"),
        ({"low": 1.0, "statistic": "vigour"}, "'vigour' is not computed; known are"),
        ({"low": 1.0, "citation": " "}, "must be a text that is not empty"),
        ({"low": 1.0, "colour": "red"}, "unknown; known are"),
    ],
)
def test_a_wrong_entry_is_named(tmp_path: Path, change: dict[str, object], message: str) -> None:
    text = written(tmp_path / "r.toml", {**GOOD, **change})
    text.write_text(text.read_text().replace("True", "true"))
    with pytest.raises(DataError, match=message) as caught:
        load_ranges(text)
    assert "range 1 (mine)" in str(caught.value)


def test_a_wrong_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read as TOML"):
        load_ranges(tmp_path / "missing.toml")
    (tmp_path / "other.toml").write_text("x = 1\n")
    with pytest.raises(DataError, match="must consist of tables"):
        load_ranges(tmp_path / "other.toml")
    with pytest.raises(DataError, match="same id occurs twice"):
        load_ranges(written(tmp_path / "twice.toml", {**GOOD, "low": 1.0}, {**GOOD, "low": 1.0}))


def value(trains: SpikeTrains, labels: list[int], key: str) -> float | None:
    return card_values(trains, np.array(labels))[key].value


def test_fano_factor_is_elephants_but_for_the_degree_of_freedom() -> None:
    trains = random_trains(np.random.default_rng(0), samples=12, steps=100, neurons=1, rate_hz=20.0)
    ours = value(trains, [0] * 12, "fano_factor")
    assert ours == pytest.approx(fanofactor([neo_trains(trains, s)[0] for s in range(12)]) * 12 / 11)


def test_equal_counts_have_a_fano_factor_of_0_within_each_class() -> None:
    spikes = [(s, k, 0) for s in range(10) for k in range(1 if s < 5 else 4)]
    trains = make_trains(spikes, samples=10, steps=20, neurons=1)
    assert value(trains, [0] * 5 + [1] * 5, "fano_factor") == 0.0
    together = value(trains, [0] * 10, "fano_factor")
    assert together is not None
    assert together > 0.9  # the classes' difference counts as variance where labels do not tell them apart


def test_correlation_of_one_class_is_that_of_elephant_on_the_counts() -> None:
    trains = random_trains(np.random.default_rng(4), samples=30, steps=50, neurons=4, rate_hz=20.0)
    counts = trains.counts().sum(axis=1)
    long = SpikeTrains.from_counts(counts[None], 500.0)  # trials as bins of one train
    clipped = np.array(BinnedSpikeTrain(neo_trains(long, 0), bin_size=500.0 * pq.ms).to_array())
    assert (clipped == counts.T).all()
    theirs = correlation_coefficient(BinnedSpikeTrain(neo_trains(long, 0), bin_size=500.0 * pq.ms))
    assert value(trains, [0] * 30, "noise_correlation") == pytest.approx(theirs[np.triu_indices(4, k=1)].mean())


def test_two_equal_neurons_are_fully_correlated_and_the_stimulus_is_no_noise() -> None:
    rng = np.random.default_rng(0)
    counts = np.repeat(rng.integers(0, 5, (20, 1, 1)), 2, axis=2)
    assert value(SpikeTrains.from_counts(counts, 10.0), [0] * 20, "noise_correlation") == pytest.approx(1.0)
    independent = rng.integers(0, 3, (400, 1, 2)) + np.repeat([0, 50], 200)[:, None, None]
    found = value(SpikeTrains.from_counts(independent, 10.0), [0] * 200 + [1] * 200, "noise_correlation")
    assert found == pytest.approx(0.0, abs=0.15)


def test_neurons_at_an_instant_are_counted_over_class_bin_and_neuron() -> None:
    spikes = [(s, 2, 0) for s in range(5)]  # neuron 0, 20 ms, in every trial of class 0: 20 Hz in a bin of 50 ms
    trains = make_trains(spikes, samples=10, steps=10, neurons=4)
    labels = [0] * 5 + [1] * 5
    assert value(trains, labels, "share_above_20_hz") == 0.0  # exactly 20 is not above
    twice = make_trains(spikes * 2, samples=10, steps=10, neurons=4)
    assert value(twice, labels, "share_above_20_hz") == pytest.approx(1 / (2 * 2 * 4))


def test_bursts_among_events() -> None:
    steps = [0, 1, 2, 20, 40, 41]  # of 10 ms: a burst of 3, a single, a burst of 2
    trains = make_trains([(0, k, 0) for k in steps], samples=1, steps=50, neurons=1)
    assert value(trains, [0], "burst_event_share") == pytest.approx(2 / 3)


def test_lognormal_rates_pass_and_two_clusters_do_not() -> None:
    rng = np.random.default_rng(1)
    lognormal = random_trains(rng, samples=40, steps=200, neurons=60, rate_hz=3.0)
    accepted = value(lognormal, [0] * 40, "lognormal_p")
    counts = np.zeros((1, 1, 40), dtype=np.int64)
    counts[0, 0] = np.where(np.arange(40) < 20, 1, 1000) + np.arange(40) % 3
    rejected = value(SpikeTrains.from_counts(counts, 10.0), [0], "lognormal_p")
    assert accepted is not None
    assert rejected is not None
    assert accepted > 0.05 > rejected


@pytest.mark.parametrize("neurons", [0, 1, 40])
def test_silence_is_undefined_with_reasons(neurons: int) -> None:
    found = card_values(make_trains([], samples=10, steps=20, neurons=neurons), np.zeros(10, dtype=np.int64))
    defined = {key: each.value for key, each in found.items() if each.value is not None}
    assert defined == ({} if neurons == 0 else {"highest_rate_hz": 0.0, "share_above_20_hz": 0.0})
    assert all(each.undefined for each in found.values() if each.value is None)


def test_without_labels_what_needs_them_is_undefined() -> None:
    trains = random_trains(np.random.default_rng(0), samples=10, steps=100, neurons=10, rate_hz=10.0)
    found = card_values(trains, None)
    lacking = {key for key, each in found.items() if each.undefined == "the trials have no stimulus labels"}
    assert lacking == {"fano_factor", "noise_correlation", "share_above_20_hz"}


def test_the_card_judges_every_population_by_every_range() -> None:
    regular = make_trains(
        [(s, k, n) for s in range(6) for n in range(9) for k in range(0, 50, 5)], samples=6, steps=50, neurons=9
    )
    card = plausibility_card([Activity("net", {"hidden1": regular}, np.zeros(6, dtype=np.int64), "")], load_ranges())
    assert len(card) == len(load_ranges())
    by_id = {each.published.id: each.place for each in card}
    assert by_id["visual-cv"] is Place.BELOW
    assert by_id["barrel-rates"] is Place.INSIDE
    assert by_id["visual-fano"] is Place.BELOW
    assert by_id["auditory-fano"] is Place.INSIDE
    assert by_id["cortex-correlation"] is Place.UNDEFINED
