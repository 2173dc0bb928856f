"""From the counts of all searches of a data set to what was found in it, and to its controls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from spikebridge.bridge.arrays import IntArray
from spikebridge.validation.accuracy import Proportion
from spikebridge.validation.patterns_parameters import PatternParameters
from spikebridge.validation.patterns_result import DataSet, Found, proportion
from spikebridge.validation.patterns_significance import compare_with_chance
from spikebridge.validation.patterns_tasks import Kind, PatternJob, PatternTask


def found_in(data: DataSet, job: PatternJob, results: Mapping[str, Any]) -> Found:
    """Put the results of a data set together.

    Args:
        data: the data set.
        job: with the counts of its surrogates.
        results: of all tasks, by their keys.
    """
    p = job.parameters
    assert job.chance_counts is not None
    observed = np.array(results["data-0"]["counts"], dtype=np.int64)
    test = compare_with_chance(observed, job.chance_counts, p.alpha)
    named = results["patterns-0"]
    return Found(
        data,
        job.min_occurrences,
        p.min_spikes,
        observed,
        job.chance_counts,
        test.p_values,
        named["significant"],
        named["compared"],
        tuple(named["patterns"]),
        _false_positives(job, job.chance_counts),
        independent_positives(
            _counts(results, "independent", p.independent_sets),
            _counts(results, "reference", p.least_surrogates),
            p.alpha,
        ),
        _power(p, results),
    )


def _false_positives(job: PatternJob, chance: IntArray) -> Proportion:
    """Each surrogate tested as the data are.

    Against the other surrogates; or against surrogates of surrogates but for its own, where those differ.
    """
    assert job.planted_chance_counts is not None
    false = sum(
        compare_with_chance(counts, np.delete(job.planted_chance_counts, i, axis=0), job.parameters.alpha).any
        for i, counts in enumerate(chance)
    )
    return proportion(int(false), len(chance))


def independent_positives(independent: IntArray, reference: IntArray, alpha: float) -> Proportion:
    """Data sets of independent neurons that are taken for ones with patterns.

    Args:
        independent: (M, Z) largest counts of data sets of independent neurons.
        reference: (N, Z) of surrogates of N other such data sets. Where surrogates keep what these neurons do by
            themselves, all M + N are draws of one distribution.
        alpha: level of the test.
    """
    taken = sum(compare_with_chance(counts, reference, alpha).any for counts in independent)
    return proportion(int(taken), len(independent))


def _counts(results: Mapping[str, Any], kind: Kind, n: int) -> IntArray:
    return np.array([results[PatternTask(kind, i).key]["counts"] for i in range(n)], dtype=np.int64)


def _power(p: PatternParameters, results: Mapping[str, Any]) -> dict[tuple[int, int], Proportion | None]:
    """By (size, count); of as many planted patterns as there are results."""
    power: dict[tuple[int, int], Proportion | None] = {}
    for size in p.planted_spikes:
        for count in p.planted_occurrences:
            keys = (PatternTask("planted", i, size, count).key for i in range(p.planted_sets))
            decided = [found for key in keys if (found := results.get(key, {}).get("found")) is not None]
            power[size, count] = proportion(sum(decided), len(decided)) if decided else None
    return power
