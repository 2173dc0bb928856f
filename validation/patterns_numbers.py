"""`patterns.json`: the search for patterns under documented keys, strict JSON.

format, format_version          `spikebridge/patterns`, 1
recording                       executor, source, network_sha256, step_ms
parameters                      all of `PatternParameters`, the seed included
sizes                           tested sizes; the last one stands for all larger ones
data_sets                       list, one per population and class:
    population, class, trials, spikes, rate_hz
    min_occurrences             how often a pattern had to occur to be counted
    largest_counts              per size: occurrences of the most frequent pattern of that size or larger
    chance_counts               per size: minimum, median, 95 % quantile and maximum of the same in surrogates
    p_values                    per size, before correction over sizes
    significant_sizes           per size, after correction
    significant, compared       patterns above chance; how many of them were compared with each other
    patterns                    what is left: neurons, lags_ms (bins), trials and times_ms of the occurrences
    trusted                     whether both controls are within alpha; else patterns are no evidence
    false_positives             of surrogates tested as data: share, hits, samples, low, high (95 % Wilson interval)
    independent_neurons         of data sets of independent neurons, the same
    power                       list: spikes, occurrences, and the same or null where none could be planted
populations.NAME                over classes: false_positives, independent_neurons, power and detectable (list of
                                [spikes, occurrences] at which the whole interval of the power is above required_power)
by_chance                       of the trusted data_sets: with_patterns, expected by chance at alpha, p_value (binomial)
not_searched                    population, class, why
provenance                      versions
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
from scipy.stats import binomtest

from spikebridge.validation.accuracy import Proportion
from spikebridge.validation.patterns_result import Found, PatternAnalysis


def pattern_numbers(analysis: PatternAnalysis) -> dict[str, Any]:
    """The content of `patterns.json`."""
    p = analysis.parameters
    cells = [(size, count) for size in p.planted_spikes for count in p.planted_occurrences]
    return {
        "format": "spikebridge/patterns",
        "format_version": 1,
        "recording": {
            "executor": analysis.executor,
            "source": analysis.source,
            "network_sha256": analysis.network_sha256,
            "step_ms": analysis.step_ms,
        },
        "parameters": asdict(p),
        "sizes": list(range(p.min_spikes, p.max_spikes + 1)),
        "data_sets": [_data_set(found, p.alpha) for found in analysis.found],
        "populations": {
            name: {
                "false_positives": proportion(analysis.false_positives(name)),
                "independent_neurons": proportion(analysis.independent(name)),
                "power": [_cell(cell, analysis.power(name, *cell)) for cell in cells],
                "detectable": [list(cell) for cell in analysis.detectable(name)],
            }
            for name in analysis.populations
        },
        "by_chance": by_chance(analysis),
        "not_searched": [
            {"population": name, "class": class_name, "why": why} for name, class_name, why in analysis.not_searched
        ],
        "provenance": dict(analysis.provenance),
    }


def by_chance(analysis: PatternAnalysis) -> dict[str, float]:
    """How many trusted data sets have patterns, and how many would by chance: each is tested at `alpha`."""
    trusted, alpha = analysis.trusted, analysis.parameters.alpha
    found, n = sum(bool(one.significant) for one in trusted), len(trusted)
    p_value = float(binomtest(found, n, alpha, alternative="greater").pvalue) if n else 1.0
    return {"with_patterns": found, "data_sets": n, "expected": alpha * n, "p_value": p_value}


def proportion(share: Proportion | None) -> dict[str, float] | None:
    """A share with its interval."""
    if share is None:
        return None
    return {"share": share.value, "hits": share.hits, "samples": share.samples, "low": share.low, "high": share.high}


def _cell(cell: tuple[int, int], share: Proportion | None) -> dict[str, Any]:
    return {"spikes": cell[0], "occurrences": cell[1], **(proportion(share) or {"share": None})}


def _data_set(found: Found, alpha: float) -> dict[str, Any]:
    data = found.data
    quantiles = np.quantile(found.chance, [0.0, 0.5, 0.95, 1.0], axis=0).T
    names = ("minimum", "median", "quantile_95", "maximum")
    return {
        "population": data.population,
        "class": data.class_name,
        "trials": data.spikes.n_trials,
        "spikes": int(data.spikes.time_ms.size),
        "rate_hz": data.rate_hz,
        "min_occurrences": found.min_occurrences,
        "largest_counts": found.observed.tolist(),
        "chance_counts": [dict(zip(names, row.tolist(), strict=True)) for row in quantiles],
        "p_values": found.p_values.tolist(),
        "significant_sizes": found.significant_sizes(alpha).tolist(),
        "significant": found.significant,
        "compared": found.compared,
        "patterns": list(found.patterns),
        "trusted": found.trusted(alpha),
        "false_positives": proportion(found.false_positives),
        "independent_neurons": proportion(found.independent),
        "power": [_cell(cell, share) for cell, share in found.power.items()],
    }
