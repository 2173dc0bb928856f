"""Activities against each other: what is compared with what, corrections, and what cannot be compared."""

from dataclasses import replace

import numpy as np
import pytest
from recordings import make_trains, random_recording, random_trains

from spikebridge.bridge.errors import SpecError
from spikebridge.validation.compare_activity import (
    MIN_VALUES,
    Activity,
    activity_of,
    compare_activities,
    matched_populations,
    not_comparable,
)
from spikebridge.validation.compare_correction import benjamini_hochberg, holm
from spikebridge.validation.compare_scores import Score, ScoreValue, standard_scores

KS = [score for score in standard_scores() if score.key == "kolmogorov_smirnov"]


def activity(
    name: str, *, rate_hz: float = 6.0, seed: int = 0, populations: tuple[str, ...] = ("hidden1",)
) -> Activity:
    rng = np.random.default_rng(seed)
    spikes = {each: random_trains(rng, samples=20, steps=100, neurons=40, rate_hz=rate_hz) for each in populations}
    return Activity(name, spikes, None, "constructed")


def test_the_same_activity_does_not_differ_and_another_rate_does() -> None:
    same = replace(activity("a"), name="same")
    found = compare_activities([activity("a"), same, activity("faster", rate_hz=20.0, seed=1)])
    by_place = {(c.other, c.reference_values.key): c for c in found}
    for key in ("rate_hz", "isi_cv", "burst_fraction"):
        assert by_place["same", key].p_holm == 1.0
        assert by_place["same", key].scores["cliffs_delta"].value == 0.0
    rate = by_place["faster", "rate_hz"]
    assert rate.differs
    assert rate.scores["cliffs_delta"].value > 0.3
    low, high = rate.scores["cliffs_delta"].low, rate.scores["cliffs_delta"].high
    assert low is not None
    assert high is not None
    assert 0 < low < rate.scores["cliffs_delta"].value < high


def test_corrections_are_over_all_comparisons_of_the_call() -> None:
    found = compare_activities([activity("a"), activity("b", seed=1), activity("c", seed=2, rate_hz=12.0)])
    p = [c.p for c in found if c.p is not None]
    assert len(p) == len(found) == 2 * 6
    assert [c.p_holm for c in found] == pytest.approx(holm(p))
    assert [c.p_fdr for c in found] == pytest.approx(benjamini_hochberg(p))


def test_alike_activities_are_rarely_called_different() -> None:
    wrong = sum(
        any(
            c.differs for c in compare_activities([activity("a", seed=2 * k), activity("b", seed=2 * k + 1)], scores=KS)
        )
        for k in range(60)
    )
    assert wrong <= 8  # 3 expected at 5 %; more than 8 in one of 300 such experiments


def test_another_activity_changes_neither_the_scores_nor_the_intervals_of_the_first() -> None:
    two = compare_activities([activity("a"), activity("b", seed=1)])
    three = compare_activities([activity("a"), activity("b", seed=1), activity("c", seed=2)])
    assert [c.scores for c in two] == [c.scores for c in three if c.other == "b"]


def test_too_few_values_are_undefined_with_the_reason() -> None:
    few = Activity("few", {"hidden1": make_trains([(0, 3, 0)], samples=20, steps=100, neurons=40)}, None, "")
    found = {c.reference_values.key: c for c in compare_activities([activity("a"), few])}
    assert found["isi_cv"].undefined == f"few has 0 of 40 neurons with a value; at least {MIN_VALUES} are needed"
    assert (found["isi_cv"].scores, found["isi_cv"].p_holm, found["isi_cv"].differs) == ({}, None, False)
    assert found["rate_hz"].undefined is None


def test_any_score_goes_with_any_statistic() -> None:
    difference = Score(
        "median", "Median", True, "d", "s", lambda a, b, _: ScoreValue(float(np.median(b) - np.median(a)))
    )
    found = compare_activities([activity("a"), activity("b", seed=1)], scores=[difference])
    assert {tuple(c.scores) for c in found} == {("median",)}
    assert all(c.p is None and not c.differs for c in found)


def test_populations_are_matched_by_name_else_a_single_one_with_all() -> None:
    both = activity("net", populations=("hidden1", "hidden2"))
    assert matched_populations(both, activity("b", populations=("hidden2", "x"))) == (("hidden2", "hidden2"),)
    assert matched_populations(both, activity("b", populations=("units",))) == (
        ("hidden1", "units"),
        ("hidden2", "units"),
    )
    assert matched_populations(both, activity("b", populations=("x", "y"))) == ()


def test_it_is_said_what_is_not_comparable() -> None:
    recording = random_recording(samples=6)
    a = activity_of(recording, "a")
    fine = {
        "hidden1": random_trains(np.random.default_rng(0), samples=6, steps=500, neurons=8, rate_hz=5.0, step_ms=1.0)
    }
    b = replace(a, name="b", populations=fine, network_sha256="c" * 64, trials_sha256="d" * 64)
    texts = [text for _, text in not_comparable([a, b])]
    assert texts[0] == "hidden2: only in a."
    assert texts[1].startswith("Different stimuli")
    assert texts[2].startswith("Different grids (10 and 1 ms)")
    same = [text for _, text in not_comparable([a, replace(a, name="b")])]
    assert len(same) == 1
    assert same[0].startswith("The same network")


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(SpecError, match="same name"):
        compare_activities([activity("a"), activity("a")])
    with pytest.raises(SpecError, match="different trials or grids"):
        Activity("a", {**activity("a").populations, "x": make_trains([], samples=1, steps=5, neurons=1)}, None, "")
    with pytest.raises(SpecError, match="3 labels of 20 trials"):
        replace(activity("a"), labels=np.zeros(3, dtype=np.int64))
