"""The statistics of a report: each is an object, so that reports and comparisons can list them.

A statistic observes something of every neuron, train, spike, ... Where it is undefined (a train with one spike has no
interval) there is no observation: the number of undefined ones is kept with the reason, and nothing is counted as 0.
"""

from __future__ import annotations

from spikebridge.validation.criteria import Criteria
from spikebridge.validation.observations import Observations, Statistic
from spikebridge.validation.stats_bursts import burst_statistics, spikes_in_bursts
from spikebridge.validation.stats_correlation import correlation_statistics
from spikebridge.validation.stats_fano import fano_statistics
from spikebridge.validation.stats_isi import isi_cvs, isi_statistics
from spikebridge.validation.stats_rates import hyperactive_neurons, rate_statistics, rates_hz, silent_neurons
from spikebridge.validation.stats_synchrony import synchrony_statistics

__all__ = [
    "Criteria",
    "Observations",
    "Statistic",
    "hyperactive_neurons",
    "isi_cvs",
    "rates_hz",
    "silent_neurons",
    "spikes_in_bursts",
    "standard_statistics",
]


def standard_statistics(criteria: Criteria | None = None) -> tuple[Statistic, ...]:
    """The statistics of the spikes of one population, in the order of the report."""
    chosen = criteria or Criteria()
    return (
        *rate_statistics(chosen),
        *isi_statistics(chosen),
        *burst_statistics(chosen),
        *fano_statistics(chosen),
        *correlation_statistics(chosen),
        *synchrony_statistics(chosen),
    )
