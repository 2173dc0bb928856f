"""What a search for patterns found, beside its controls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spikebridge.bridge.arrays import BoolArray, FloatArray, IntArray
from spikebridge.validation.accuracy import Proportion, wilson_interval
from spikebridge.validation.patterns_parameters import PatternParameters
from spikebridge.validation.patterns_significance import compare_with_chance
from spikebridge.validation.patterns_spikes import TrialSpikes


@dataclass(frozen=True, slots=True, eq=False)
class DataSet:
    """One population in the trials of one class; `stream` distinguishes the seeds."""

    population: str
    class_name: str
    spikes: TrialSpikes
    stream: int

    @property
    def key(self) -> str:
        """For files."""
        return f"{self.population}/{self.class_name}"

    @property
    def rate_hz(self) -> float:
        """Mean over neurons."""
        return self.spikes.time_ms.size / self.spikes.n_neurons / (self.spikes.n_trials * self.spikes.duration_ms / 1e3)


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """What was found in one data set.

    Attributes:
        data: the data set.
        min_occurrences: how often a pattern had to occur to be counted.
        smallest: the first of the tested sizes.
        observed: (Z,) largest counts per tested size.
        chance: (N, Z) the same of surrogates.
        p_values: (Z,) before correction over sizes.
        significant: patterns above chance; `compared` of them were compared with each other, `patterns` are left.
        false_positives: among surrogates that were tested as data.
        independent: among data sets of independent neurons that were tested as data.
        power: by (size, count): planted patterns that were found; None where none could be planted.
    """

    data: DataSet
    min_occurrences: int
    smallest: int
    observed: IntArray
    chance: IntArray
    p_values: FloatArray
    significant: int
    compared: int
    patterns: tuple[dict[str, Any], ...]
    false_positives: Proportion
    independent: Proportion
    power: Mapping[tuple[int, int], Proportion | None]

    def trusted(self, alpha: float) -> bool:
        """Whether no more data sets without patterns were taken for ones with patterns than `alpha` allows."""
        return self.false_positives.value <= alpha and self.independent.value <= alpha

    def significant_sizes(self, alpha: float) -> BoolArray:
        """(Z,) for which sizes the data exceed chance."""
        return compare_with_chance(self.observed, self.chance, alpha).thresholds > 0


@dataclass(frozen=True, slots=True, eq=False)
class PatternAnalysis:
    """The whole analysis.

    Attributes:
        executor, source, network_sha256, step_ms: of the recording.
        parameters: with seeds.
        found: per data set.
        not_searched: (population, class, why) of those without spikes.
        provenance: versions.
    """

    executor: str
    source: str
    network_sha256: str
    step_ms: float
    parameters: PatternParameters
    found: tuple[Found, ...]
    not_searched: tuple[tuple[str, str, str], ...]
    provenance: Mapping[str, str]

    @property
    def populations(self) -> tuple[str, ...]:
        """Those that were searched, in order."""
        return tuple(dict.fromkeys(one.data.population for one in self.found))

    def false_positives(self, population: str) -> Proportion:
        """Of all classes together."""
        return _together([one.false_positives for one in self._of(population)])

    def independent(self, population: str) -> Proportion:
        """Of all classes together."""
        return _together([one.independent for one in self._of(population)])

    def power(self, population: str, size: int, count: int) -> Proportion | None:
        """Of all classes together in which such a pattern can be planted; None if there is none."""
        cells = [one.power[size, count] for one in self._of(population)]
        known = [cell for cell in cells if cell is not None]
        return _together(known) if known else None

    def detectable(self, population: str) -> list[tuple[int, int]]:
        """(size, count) of whose planted patterns at least `required_power` are found: so is the whole interval."""
        p = self.parameters
        cells = ((size, count) for size in p.planted_spikes for count in p.planted_occurrences)
        powers = ((cell, self.power(population, *cell)) for cell in cells)
        return [cell for cell, power in powers if power is not None and power.low >= p.required_power]

    @property
    def trusted(self) -> list[Found]:
        """Data sets whose false positives are within `alpha`; patterns of the others are no evidence."""
        return [one for one in self.found if one.trusted(self.parameters.alpha)]

    def _of(self, population: str) -> list[Found]:
        return [one for one in self.found if one.data.population == population]


def _together(shares: Sequence[Proportion]) -> Proportion:
    return proportion(sum(share.hits for share in shares), sum(share.samples for share in shares))


def proportion(hits: int, samples: int) -> Proportion:
    """A share with its Wilson interval."""
    return Proportion(hits, samples, *wilson_interval(hits, samples))
