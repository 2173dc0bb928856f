"""What a search for spatio-temporal spike patterns assumes, tests and may cost."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from spikebridge.bridge.errors import ConfigError

type SurrogateKind = Literal["pattern_jitter", "window_rotation", "trial_exchange", "trial_shift"]


@dataclass(frozen=True, slots=True)
class PatternParameters:
    """Parameters of SPADE, of its surrogates and of its controls.

    Attributes:
        bin_ms: spikes within a bin of this length count as simultaneous.
        window_bins: a pattern lasts less than this many bins, from its first spike to its last.
        min_spikes: of the smallest pattern, at least 2; also how many different neurons a pattern has at least.
        max_spikes: patterns of this many spikes and more are tested together.
        min_occurrences: how often a pattern must occur, at least 2. None lets every data set have its own: the lowest
            number, down to 4, at which a surrogate has no more than `max_candidates` candidates.
        max_candidates: see `min_occurrences`.
        surrogate: what they keep, see `patterns_surrogates`.
        shift_ms: half the length of the windows in which spikes are moved (`pattern_jitter`, `window_rotation`), or how
            far a train is shifted, either way (`trial_shift`); at least two bins.
        surrogates: how many per data set; with fewer than `tested_sizes / alpha` nothing could be significant.
        independent_sets: how many data sets of independent neurons are tested per data set.
        alpha: level of the test of one data set, and of the rate of false positives that is asked for.
        planted_spikes, planted_occurrences: sizes and counts of the patterns planted for the detection power.
        planted_sets: data sets with a planted pattern, for every size, count, population and class; only one where,
            over the classes of a population, fewer than half of the first ones are found.
        required_power: the report says that patterns would have been found where the 95 % interval of the share of
            planted patterns that were lies above this.
        seed: of surrogates and planted patterns.
        memory_limit_gib, time_limit_min: what would take more is refused.
    """

    bin_ms: float = 5.0
    window_bins: int = 12
    min_spikes: int = 3
    max_spikes: int = 6
    min_occurrences: int | None = None
    max_candidates: int = 2000
    surrogate: SurrogateKind = "pattern_jitter"
    shift_ms: float = 25.0
    surrogates: int = 100
    independent_sets: int = 40
    alpha: float = 0.05
    planted_spikes: tuple[int, ...] = (3, 4, 5, 6)
    planted_occurrences: tuple[int, ...] = (5, 10, 20, 30)
    planted_sets: int = 6
    required_power: float = 0.8
    seed: int = 0
    memory_limit_gib: float = 4.0
    time_limit_min: float = 60.0

    def __post_init__(self) -> None:
        for name in ("bin_ms", "shift_ms", "memory_limit_gib", "time_limit_min"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise ConfigError(f"patterns.{name} is {value}; give a number above 0")
        least = {"window_bins": 2, "min_spikes": 2, "max_candidates": 1, "planted_sets": 1, "seed": 0}
        least["independent_sets"] = 20  # 5 % of fewer is none
        for name, minimum in least.items():
            if getattr(self, name) < minimum:
                raise ConfigError(f"patterns.{name} is {getattr(self, name)}; give at least {minimum}")
        if self.max_spikes < self.min_spikes:
            raise ConfigError(
                f"patterns.max_spikes is {self.max_spikes}; give at least min_spikes, which is {self.min_spikes}"
            )
        if self.min_occurrences is not None and self.min_occurrences < 2:
            raise ConfigError(f"patterns.min_occurrences is {self.min_occurrences}; a pattern occurs at least twice")
        for name in ("alpha", "required_power"):
            if not 0 < getattr(self, name) < 1:
                raise ConfigError(f"patterns.{name} is {getattr(self, name)}; give a share between 0 and 1")
        self._check_surrogates()
        self._check_planted()

    def _check_surrogates(self) -> None:
        kinds = get_args(SurrogateKind.__value__)
        if self.surrogate not in kinds:
            raise ConfigError(f"patterns.surrogate is {self.surrogate!r}; there are {', '.join(kinds)}")
        if self.shift_ms < 2 * self.bin_ms:
            raise ConfigError(
                f"patterns.shift_ms is {self.shift_ms:g}, which hardly moves spikes out of bins of {self.bin_ms:g} ms; "
                "give at least two bins, better five"
            )
        # The false-positive control compares each surrogate with one surrogate less.
        needed = self.least_surrogates
        if self.surrogates < needed:
            raise ConfigError(
                f"patterns.surrogates is {self.surrogates}; {self.tested_sizes} sizes tested at alpha {self.alpha:g} "
                f"need at least {needed}, or no pattern could ever be significant"
            )

    def _check_planted(self) -> None:
        if not self.planted_spikes or not self.planted_occurrences:
            raise ConfigError("patterns.planted_spikes and planted_occurrences need at least one number each")
        if min(self.planted_spikes) < self.min_spikes:
            raise ConfigError(
                f"patterns.planted_spikes has {min(self.planted_spikes)}, but patterns of fewer than min_spikes = "
                f"{self.min_spikes} are not searched for; leave it out"
            )
        if min(self.planted_occurrences) < 2:
            raise ConfigError("patterns.planted_occurrences: a pattern occurs at least twice")
        for name in ("planted_spikes", "planted_occurrences"):
            values = getattr(self, name)
            if list(values) != sorted(set(values)):
                raise ConfigError(f"patterns.{name} is {values}; give rising numbers, each once")

    @property
    def window_ms(self) -> float:
        """Length of a window."""
        return self.window_bins * self.bin_ms

    @property
    def tested_sizes(self) -> int:
        """How many sizes of patterns are tested per data set, the last being `max_spikes` and more."""
        return self.max_spikes - self.min_spikes + 1

    @property
    def least_surrogates(self) -> int:
        """With fewer nothing is significant: the most frequent pattern of every size may be in another surrogate."""
        return math.ceil(self.tested_sizes / self.alpha)

    @property
    def jitter_window_ms(self) -> float:
        """Length of the windows within which spikes are moved."""
        return 2 * self.shift_ms

    @property
    def twice(self) -> bool:
        """Whether a surrogate of a surrogate is distributed otherwise than a surrogate, so that both are needed."""
        return self.surrogate == "trial_shift"

    @property
    def minings_per_set(self) -> int:
        """How often a data set is searched at most: itself, surrogates, sets for the controls."""
        planted = len(self.planted_spikes) * len(self.planted_occurrences) * self.planted_sets
        surrogates = self.surrogates * (2 if self.twice else 1)
        return 2 + surrogates + self.independent_sets + self.least_surrogates + planted
