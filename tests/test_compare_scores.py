"""Distances, effect sizes and corrections with known values."""

import numpy as np
import pytest
from scipy.stats import bootstrap, ks_2samp

from spikebridge.bridge.errors import SpecError
from spikebridge.validation.compare_correction import benjamini_hochberg, holm
from spikebridge.validation.compare_effect import cliffs_delta, cliffs_delta_interval
from spikebridge.validation.compare_scores import Score, ScoreValue, standard_scores


def measured(key: str, reference: list[float], other: list[float]) -> ScoreValue:
    score = next(score for score in standard_scores() if score.key == key)
    return score.measure(np.array(reference), np.array(other), np.random.default_rng(0))


def test_a_shifted_sample_has_the_shift_as_wasserstein_distance() -> None:
    assert measured("wasserstein", [1, 2, 3, 4, 5], [3, 4, 5, 6, 7]).value == pytest.approx(2.0)


def test_half_shifted_has_a_kolmogorov_smirnov_distance_of_a_half() -> None:
    found = measured("kolmogorov_smirnov", [1, 2, 3, 4], [1, 2, 13, 14])
    assert found.value == pytest.approx(0.5)
    assert found.p == pytest.approx(ks_2samp([1, 2, 3, 4], [1, 2, 13, 14], method="exact").pvalue)


def test_where_scipy_cannot_count_the_paths_the_p_value_is_asymptotic_without_a_warning() -> None:
    reference, other = [2.0, 3.0, 2.0, 2.0, 3.0], [2.0, 2.0, 2.0, 2.0, 3.0]
    with pytest.warns(RuntimeWarning, match="Exact calculation unsuccessful"):
        ks_2samp(reference, other, method="exact")
    assert measured("kolmogorov_smirnov", reference, other).p == 1.0


def test_equal_samples_have_no_distance() -> None:
    values = [0.5, 1.0, 1.0, 2.0, 7.0]
    assert [measured(score.key, values, values).value for score in standard_scores()] == [0.0, 0.0, 0.0]
    assert measured("kolmogorov_smirnov", values, values).p == 1.0


@pytest.mark.parametrize(
    ("reference", "other", "delta"),
    [([1, 2, 3], [4, 5], 1.0), ([4, 5], [1, 2, 3], -1.0), ([1, 1], [1, 1, 1], 0.0), ([1, 3], [2, 3], 1 / 4)],
)
def test_cliffs_delta_of_a_few_values(reference: list[float], other: list[float], delta: float) -> None:
    assert cliffs_delta(np.array(reference, float), np.array(other, float)) == pytest.approx(delta)


def test_cliffs_delta_is_its_definition_over_all_pairs() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.integers(0, 6, 40).astype(float), rng.integers(1, 8, 25).astype(float)
    assert cliffs_delta(a, b) == pytest.approx(np.sign(b[None, :] - a[:, None]).mean())


def test_the_interval_is_that_of_scipys_percentile_bootstrap() -> None:
    rng = np.random.default_rng(2)
    a, b = rng.normal(0, 1, 60), rng.normal(0.5, 1, 50)
    ours = cliffs_delta_interval(a, b, np.random.default_rng(0), resamples=4000)
    theirs = bootstrap(
        (a, b), cliffs_delta, vectorized=False, method="percentile", n_resamples=4000, rng=np.random.default_rng(0)
    ).confidence_interval
    assert ours == pytest.approx((theirs.low, theirs.high), abs=0.02)
    assert ours[0] < cliffs_delta(a, b) < ours[1]


def test_the_interval_covers_the_true_effect_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(5)
    hits = 0
    for _ in range(200):
        low, high = cliffs_delta_interval(rng.normal(0, 1, 40), rng.normal(0, 1, 40), rng, resamples=400)
        hits += low <= 0 <= high
    assert 180 <= hits <= 199  # 95 %; percentile intervals of 40 values are slightly narrow


def test_the_interval_is_seeded_and_does_not_depend_on_the_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = np.arange(30.0), np.arange(5.0, 40.0)
    first = cliffs_delta_interval(a, b, np.random.default_rng(7))
    assert first == cliffs_delta_interval(a, b, np.random.default_rng(7))
    monkeypatch.setattr("spikebridge.validation.compare_effect.BATCH_VALUES", 1000)
    assert cliffs_delta_interval(a, b, np.random.default_rng(7)) == pytest.approx(first, abs=0.05)


def test_holm_of_a_worked_example() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.6]) == pytest.approx([1.0, 1.0])


def test_benjamini_hochberg_of_a_worked_example() -> None:
    assert benjamini_hochberg([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.02, 0.04, 0.04, 0.02])


def test_corrections_of_nothing_and_of_no_p_value() -> None:
    assert holm([]).size == benjamini_hochberg([]).size == 0
    for correct in (holm, benjamini_hochberg):
        with pytest.raises(SpecError, match=r"0 \.\. 1"):
            correct([0.1, float("nan")])


def test_every_score_says_what_it_is() -> None:
    scores: tuple[Score, ...] = standard_scores()
    assert len({score.key for score in scores}) == len(scores)
    assert all(score.title and score.definition and score.source for score in scores)
