"""Rates and their log-normal fit on constructed populations."""

import numpy as np
import pytest
from recordings import make_trains
from scipy import stats

from spikebridge.bridge.errors import SpecError
from spikebridge.bridge.spikes import SpikeTrains
from spikebridge.validation.criteria import Criteria
from spikebridge.validation.observations import Observations
from spikebridge.validation.stats_rates import LogNormalFit, lognormal_fit, rates_hz


def population(counts: list[int], *, steps: int = 10_000, step_ms: float = 1.0) -> SpikeTrains:
    """One sample in which neuron n fires `counts[n]` times."""
    spikes = [(0, step, neuron) for neuron, count in enumerate(counts) for step in range(count)]
    return make_trains(spikes, samples=1, steps=steps, neurons=len(counts), step_ms=step_ms)


def lognormal_counts(sigma: float, n: int = 60) -> list[int]:
    quantiles = stats.norm.ppf((np.arange(n) + 0.5) / n)
    return [round(count) for count in 200 * np.exp(sigma * quantiles)]


def test_a_lognormal_population_is_recovered() -> None:
    fit = lognormal_fit(population(lognormal_counts(0.8)))
    assert isinstance(fit, LogNormalFit)
    assert fit.median_hz == pytest.approx(20.0, rel=0.02)
    assert fit.log_deviation == pytest.approx(0.8, rel=0.03)
    assert fit.p_value > 0.9  # its own quantiles are closer than any drawn sample
    assert (fit.n_active, fit.n_total) == (60, 60)


def test_mean_deviation_and_goodness_follow_their_formulas() -> None:
    trains = population([3, 5, 8, 13, 40, 41, 90, 200, 7])
    logs = np.sort(np.log(rates_hz(trains).values))
    fit = lognormal_fit(trains)
    assert isinstance(fit, LogNormalFit)
    assert (fit.log_mean, fit.log_deviation) == pytest.approx((logs.mean(), logs.std(ddof=1)))
    # Anderson & Darling 1952, with the fitted mean and deviation.
    phi, n = stats.norm.cdf((logs - logs.mean()) / logs.std(ddof=1)), logs.size
    expected = -n - ((2 * np.arange(1, n + 1) - 1) / n * (np.log(phi) + np.log1p(-phi[::-1]))).sum()
    assert fit.anderson_darling == pytest.approx(expected, rel=1e-9)


def test_two_groups_of_rates_are_not_lognormal() -> None:
    fit = lognormal_fit(population([10, 11, 12] * 10 + [900, 910, 920] * 10))
    assert isinstance(fit, LogNormalFit)
    assert fit.p_value < 0.01


def test_silent_neurons_are_left_out_and_counted() -> None:
    fit = lognormal_fit(population([0, 0, *lognormal_counts(0.5, 20)]))
    assert isinstance(fit, LogNormalFit)
    assert (fit.n_active, fit.n_total) == (20, 22)


@pytest.mark.parametrize(
    ("counts", "reason"),
    [([], "0 neurons fire"), ([0] * 9, "0 neurons fire"), ([1, 2, 3], "3 neurons fire"), ([4] * 9, "the same rate")],
)
def test_no_fit_says_why(counts: list[int], reason: str) -> None:
    found = lognormal_fit(population(counts))
    assert isinstance(found, str)
    assert reason in found


def test_observations_refuse_what_is_no_value_and_reasons_that_do_not_add_up() -> None:
    with pytest.raises(SpecError, match="finite"):
        Observations(np.array([1.0, np.nan]), 2)
    with pytest.raises(SpecError, match="1 of 3 observations"):
        Observations(np.array([1.0]), 3, {"too few": 1})
    with pytest.raises(SpecError, match="2 of 1 observations"):
        Observations(np.array([1.0, 2.0]), 1)
    assert dict(Observations(np.array([1.0]), 3, {"too few": 2, "never": 0}).undefined) == {"too few": 2}


@pytest.mark.parametrize(
    ("name", "value"),
    [("window_ms", 0.0), ("bin_ms", float("nan")), ("hyperactive_hz", -1.0), ("max_pair_neurons", 1)],
)
def test_meaningless_criteria_are_refused(name: str, value: float) -> None:
    with pytest.raises(SpecError, match=name):
        Criteria(**{name: value})  # type: ignore[arg-type]
