"""What a sweep found, as plain data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

from spikebridge.bridge.errors import SpecError


@dataclass(frozen=True, slots=True)
class SweptTrial:
    """One configuration.

    Attributes:
        number: of the trial.
        settings: what was drawn for it, by configuration key.
        accuracy: share of validation samples decided right, one value per realisation that ended.
        rate_hz: mean rate of hidden neurons there, likewise.
        stopped: why not all realisations were trained; None if they were.
        file: the configuration, if the trial is on the frontier; None if it is not.
    """

    number: int
    settings: Mapping[str, Any]
    accuracy: tuple[float, ...]
    rate_hz: tuple[float, ...]
    stopped: str | None = None
    file: str | None = None

    def __post_init__(self) -> None:
        if len(self.accuracy) != len(self.rate_hz):
            raise SpecError(f"trial {self.number} has {len(self.accuracy)} accuracies and {len(self.rate_hz)} rates")
        if self.file is not None and (self.stopped is not None or not self.accuracy):
            raise SpecError(f"trial {self.number} was not trained to its end and cannot be on the frontier")

    @property
    def mean_accuracy(self) -> float | None:
        """Over realisations; None where there is none."""
        return fmean(self.accuracy) if self.accuracy else None

    @property
    def mean_rate_hz(self) -> float | None:
        """Over realisations; None where there is none."""
        return fmean(self.rate_hz) if self.rate_hz else None


def setting_text(value: Any) -> str:
    """A value of the configuration for a table: numbers to four digits, anything else as JSON."""
    return f"{value:.4g}" if isinstance(value, float) else json.dumps(value)


def deviation(values: tuple[float, ...]) -> float | None:
    """Standard deviation of a sample (n - 1); None of fewer than two values."""
    return stdev(values) if len(values) > 1 else None


@dataclass(frozen=True, slots=True)
class SweepResult:
    """A whole sweep.

    Attributes:
        name: of the configuration that was varied.
        trials: by number.
        realisations: trainings of every trial that was not stopped.
        seeds: of these realisations.
        space: what was searched, as text, by configuration key.
        data: folder of the data files, for commands; None where they are generated.
    """

    name: str
    trials: tuple[SweptTrial, ...]
    realisations: int
    seeds: tuple[int, ...]
    space: Mapping[str, str]
    data: str | None = None

    @property
    def frontier(self) -> tuple[SweptTrial, ...]:
        """Trials than which no other is better in accuracy or rate and as good in the other, most accurate first."""
        found = [trial for trial in self.trials if trial.file is not None]
        return tuple(sorted(found, key=lambda trial: (-(trial.mean_accuracy or 0.0), trial.number)))

    @property
    def dominated(self) -> tuple[SweptTrial, ...]:
        """The others that were trained to their end."""
        return tuple(trial for trial in self.trials if trial.file is None and trial.stopped is None)

    @property
    def stopped(self) -> tuple[SweptTrial, ...]:
        """Those that were not."""
        return tuple(trial for trial in self.trials if trial.stopped is not None)
