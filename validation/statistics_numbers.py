"""The statistics in `report.json`, and their definitions; docs/statistics.md explains every one.

statistics.LABEL.NAME.KEY              value (mean; null: undefined), n_defined of n_total neurons, trains, ...,
                                       undefined (reason: how many of them), quartiles (minimum, lower_quartile,
                                       median, upper_quartile, maximum; null if undefined)
network_statistics.LABEL.KEY           the same per sample of the whole network: decision_latency_ms,
                                       spikes_per_decision, synaptic_operations, synaptic_operations_share,
                                       neuron_updates
rate_lognormal.LABEL.NAME              median_hz, log_mean, log_deviation (of the natural logarithm),
                                       anderson_darling, p_value, n_active of n_total neurons; each null, with the
                                       `reason`, where there is no fit
power_spectrum.LABEL.NAME              frequency_hz, power_hz (Hz^2 / Hz, six digits), poisson_hz (density of
                                       independent Poisson neurons), peak_hz, peak_relative (to Poisson), n_samples;
                                       each null, with the `reason`, where there is no spectrum
definitions.KEY                        title, unit, over, definition, source of each statistic
"""

from __future__ import annotations

from typing import Any

from spikebridge.validation.evidence import Evidence
from spikebridge.validation.network_statistics import NETWORK_DEFINITIONS
from spikebridge.validation.observations import Definition, Observations
from spikebridge.validation.stats_rates import LOGNORMAL, LogNormalFit
from spikebridge.validation.stats_spectrum import SPECTRUM, PowerSpectrum

type Json = dict[str, Any]

QUARTILES = ("minimum", "lower_quartile", "median", "upper_quartile", "maximum")


def statistics_numbers(evidence: Evidence) -> Json:
    """The keys of `report.json` that this module documents."""
    return {
        "statistics": {
            label: {
                name: {key: _observations(observed) for key, observed in seen.items()}
                for name, seen in populations.items()
            }
            for label, populations in evidence.observations.items()
        },
        "network_statistics": {
            label: {key: _observations(observed) for key, observed in seen.items()}
            for label, seen in evidence.network_observations.items()
        },
        "rate_lognormal": {
            label: {name: _fit(fit) for name, fit in populations.items()}
            for label, populations in evidence.rate_fits.items()
        },
        "power_spectrum": {
            label: {name: _spectrum(spectrum) for name, spectrum in populations.items()}
            for label, populations in evidence.spectra.items()
        },
        "definitions": {
            s.key: {"title": s.title, "unit": s.unit, "over": s.over, "definition": s.definition, "source": s.source}
            for s in definitions(evidence)
        },
    }


def definitions(evidence: Evidence) -> tuple[Definition, ...]:
    """All statistics of a report, those of the network and those with values of their own included."""
    return (*evidence.statistics, *NETWORK_DEFINITIONS, LOGNORMAL, SPECTRUM)


def quartiles(observed: Observations) -> Json | None:
    """Minimum, quartiles and maximum by name, None without values."""
    return None if observed.quartiles is None else dict(zip(QUARTILES, observed.quartiles, strict=True))


def _observations(observed: Observations) -> Json:
    return {
        "value": observed.mean,
        "n_defined": observed.n_defined,
        "n_total": observed.n_total,
        "undefined": dict(observed.undefined),
        "quartiles": quartiles(observed),
    }


def _fit(fit: LogNormalFit | str) -> Json:
    names = ("median_hz", "log_mean", "log_deviation", "anderson_darling", "p_value", "n_active", "n_total")
    if isinstance(fit, str):
        return {**dict.fromkeys(names), "reason": fit}
    return {**{name: getattr(fit, name) for name in names}, "reason": None}


def _spectrum(spectrum: PowerSpectrum | str) -> Json:
    names = ("frequency_hz", "power_hz", "poisson_hz", "peak_hz", "peak_relative", "n_samples")
    if isinstance(spectrum, str):
        return {**dict.fromkeys(names), "reason": spectrum}
    peak_hz, peak_relative = spectrum.peak
    values = (
        [float(f"{value:.6g}") for value in spectrum.frequency_hz],
        [float(f"{value:.6g}") for value in spectrum.power_hz],
        spectrum.poisson_hz,
        peak_hz,
        peak_relative,
        spectrum.n_samples,
    )
    return {**dict(zip(names, values, strict=True)), "reason": None}
