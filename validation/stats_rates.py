"""Firing rates: of every neuron, of silent and of hyperactive ones, and how log-normal their distribution is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from spikebridge.bridge.spikes import SpikeTrains
from spikebridge.validation.criteria import Criteria
from spikebridge.validation.observations import Definition, Observations, Statistic, nothing

NO_TIME = "no sample, or samples without duration"
MIN_ACTIVE_NEURONS = 8
MONTE_CARLO = 999

LOGNORMAL = Definition(
    "rate_lognormal",
    "Log-normal fit of the rates",
    "",
    "neuron",
    "Mean and standard deviation (n - 1) of the natural logarithm of the rates of all neurons that fire; the median of "
    "the fitted distribution is exp(mean). The goodness is the Anderson-Darling statistic of the logarithms against "
    f"the fitted normal distribution, with its p from {MONTE_CARLO} drawn samples that are fitted in the same way: a "
    "small p says that the rates are not log-normal, a large one that nothing speaks against it. Undefined for fewer "
    f"than {MIN_ACTIVE_NEURONS} neurons that fire.",
    "Buzsáki & Mizuseki 2014 (Nat. Rev. Neurosci. 15:264) review log-normal rates; the test is that of Anderson & "
    "Darling 1952 (Ann. Math. Stat. 23:193), by SciPy's goodness_of_fit.",
)


@dataclass(frozen=True, slots=True)
class LogNormalFit:
    """A log-normal distribution fitted to the rates of the neurons that fire.

    Attributes:
        log_mean, log_deviation: of the natural logarithm of the rates in Hz.
        anderson_darling: distance of the logarithms from a normal distribution; 0 would be none.
        p_value: share of samples from the fitted distribution that are as far from their own fit.
        n_active, n_total: neurons that fire, and all.
    """

    log_mean: float
    log_deviation: float
    anderson_darling: float
    p_value: float
    n_active: int
    n_total: int

    @property
    def median_hz(self) -> float:
        """Median of the fitted distribution."""
        return float(np.exp(self.log_mean))


def rates_hz(trains: SpikeTrains) -> Observations:
    """Firing rate of every neuron over all samples: its spikes by the total time.

    The mean over neurons is the mean of Elephant's `mean_firing_rate` over all trains; counting at once is only faster.
    """
    seconds = trains.n_samples * trains.duration_s
    if seconds == 0:
        return nothing(trains.n_neurons, NO_TIME)
    return Observations(np.bincount(trains.neuron, minlength=trains.n_neurons) / seconds, trains.n_neurons)


def silent_neurons(trains: SpikeTrains) -> Observations:
    """1 for every neuron without a spike in all samples, 0 for the others."""
    rates = rates_hz(trains)
    return Observations((rates.values == 0).astype(np.float64), rates.n_total, rates.undefined)


def hyperactive_neurons(trains: SpikeTrains, above_hz: float) -> Observations:
    """1 for every neuron whose rate over all samples is above `above_hz`, 0 for the others."""
    rates = rates_hz(trains)
    return Observations((rates.values > above_hz).astype(np.float64), rates.n_total, rates.undefined)


def lognormal_fit(trains: SpikeTrains) -> LogNormalFit | str:
    """The fit, or in words why there is none. The p value is drawn from a fixed seed."""
    rates = rates_hz(trains).values
    logarithms = np.log(rates[rates > 0])
    if logarithms.size < MIN_ACTIVE_NEURONS:
        return f"{logarithms.size} neurons fire; a fit needs {MIN_ACTIVE_NEURONS}"
    if np.ptp(logarithms) == 0:
        return "all neurons that fire have the same rate"
    test = stats.goodness_of_fit(
        stats.norm, logarithms, statistic="ad", n_mc_samples=MONTE_CARLO, rng=np.random.default_rng(0)
    )
    return LogNormalFit(
        log_mean=float(logarithms.mean()),
        log_deviation=float(logarithms.std(ddof=1)),
        anderson_darling=float(test.statistic),
        p_value=float(test.pvalue),
        n_active=logarithms.size,
        n_total=trains.n_neurons,
    )


def rate_statistics(criteria: Criteria) -> tuple[Statistic, ...]:
    """Rates, silent and hyperactive neurons."""
    return (
        Statistic(
            "rate_hz",
            "Firing rate",
            "Hz",
            "neuron",
            "Spikes of a neuron over all samples by the total duration; the value is the mean over neurons.",
            "Equal to the mean of Elephant's mean_firing_rate over all trains.",
            lambda trains, _: rates_hz(trains),
        ),
        Statistic(
            "silent_fraction",
            "Silent neurons",
            "share",
            "neuron",
            "Share of neurons without a spike in all samples.",
            "A definition of this project.",
            lambda trains, _: silent_neurons(trains),
        ),
        Statistic(
            "hyperactive_fraction",
            "Hyperactive neurons",
            "share",
            "neuron",
            f"Share of neurons whose rate over all samples is above {criteria.hyperactive_hz:g} Hz.",
            "A definition of this project.",
            lambda trains, _: hyperactive_neurons(trains, criteria.hyperactive_hz),
        ),
    )
