"""Which sizes and numbers of occurrences are too many for chance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spikebridge.bridge.arrays import FloatArray, IntArray
from spikebridge.validation.elephant_functions import pattern_set_reduction
from spikebridge.validation.patterns_mining import MOST_SPIKES, Concept
from spikebridge.validation.patterns_parameters import PatternParameters


@dataclass(frozen=True, slots=True, eq=False)
class Significance:
    """The test of one data set against surrogates.

    Attributes:
        p_values: (Z,) of the most frequent pattern of each size, before correction.
        corrected: (Z,) the same, corrected for testing several sizes.
        thresholds: (Z,) number of occurrences from which a pattern of that size is significant; 0 where none is.
    """

    p_values: FloatArray
    corrected: FloatArray
    thresholds: IntArray

    @property
    def any(self) -> bool:
        """Whether a pattern is significant."""
        return bool(self.thresholds.any())


def compare_with_chance(observed: IntArray, null: IntArray, alpha: float) -> Significance:
    """Compare the largest counts of a data set with those of surrogates.

    Per size, p = (1 + number of surrogates with as large a count) / (1 + surrogates), which is never 0 (Phipson & Smyth
    2010, Stat. Appl. Genet. Mol. Biol. 9:39). Over sizes, every surrogate gets the smallest p-value that it would have
    as the data, and a corrected p-value is the share of all, the data included, whose smallest one is as small (min-P,
    Westfall & Young 1993): where data and surrogates are exchangeable, no more than `alpha` of such data have a
    significant size, however the sizes depend on each other.

    Args:
        observed: (Z,) `largest_counts` of the data.
        null: (N, Z) of surrogates.
        alpha: level.
    """
    p_values = _p_values(observed[None, :], null)[0]
    everyone = np.concatenate([observed[None, :], null])
    # Each as the data, compared with all others: it reaches its own count, which is the 1 of the data's p-values.
    reaching = (everyone[None, :, :] >= everyone[:, None, :]).sum(axis=1)
    corrected = (reaching.min(axis=1)[:, None] <= reaching[0]).mean(axis=0)
    rejected = corrected <= alpha
    thresholds = np.zeros(observed.size, dtype=np.int64)
    if rejected.any():
        cutoff = p_values[rejected].max()
        for index in np.flatnonzero(rejected):
            counts = np.arange(1, observed[index] + 1)
            p_of_count = _p_values(counts[:, None], null[:, [index]])[:, 0]
            thresholds[index] = counts[p_of_count <= cutoff].min()
    return Significance(p_values, corrected, thresholds)


def _p_values(observed: IntArray, null: IntArray) -> FloatArray:
    """(M, Z) of (M, Z) counts against (N, Z); 1 where nothing was observed, which every surrogate reaches."""
    reached = (null[None, :, :] >= observed[:, None, :]).sum(axis=1)
    return np.asarray((1 + reached) / (1 + null.shape[0]))


def significant_concepts(concepts: list[Concept], thresholds: IntArray, parameters: PatternParameters) -> list[Concept]:
    """Those whose size and number of occurrences are significant."""
    needed = {parameters.min_spikes + index: int(count) for index, count in enumerate(thresholds) if count > 0}
    kept = []
    for concept in concepts:
        threshold = needed.get(min(len(concept.items), parameters.max_spikes))
        if threshold is not None and concept.occurrences >= threshold:
            kept.append(concept)
    return kept


def reduce_patterns(
    concepts: list[tuple[Concept, IntArray]], thresholds: IntArray, parameters: PatternParameters
) -> list[int]:
    """Indices of the patterns that are not chance overlaps of others: Elephant's pattern set reduction.

    Args:
        concepts: significant patterns and the first bin of each of their occurrences.
        thresholds: of `compare_with_chance`.
        parameters: window and sizes.
    """
    never = 1 + max((concept.occurrences for concept, _ in concepts), default=0)
    # Sizes from max_spikes on share a threshold.
    sizes = {
        size: min(size, parameters.max_spikes) - parameters.min_spikes
        for size in range(parameters.min_spikes, MOST_SPIKES + 1)
    }
    chance = {(size, count) for size, index in sizes.items() for count in range(1, int(thresholds[index]) or never)}
    pairs = [(concept.items, tuple(starts.tolist())) for concept, starts in concepts]
    kept = pattern_set_reduction(
        pairs, chance, winlen=parameters.window_bins, spectrum="#", min_spikes=parameters.min_spikes, min_occ=2
    )
    kept_items = {items for items, _ in kept}
    return [index for index, (concept, _) in enumerate(concepts) if concept.items in kept_items]
