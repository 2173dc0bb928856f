"""Which realisation is trained next, and what follows from each that ended."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from statistics import fmean

from optuna.trial import FrozenTrial, TrialState

from spikebridge.bridge.errors import ConfigError
from spikebridge.training.config import TrainingConfig
from spikebridge.training.config_sweep import SweepConfig
from spikebridge.training.sweep_pruning import Scores, dominating
from spikebridge.training.sweep_space import Configure
from spikebridge.training.sweep_study import SweepStudy, recorded, scores_of
from spikebridge.training.sweep_work import Outcome, Realisation

log = logging.getLogger("spikebridge")

ALLOWED_DRAWS = 100
"""Draws in a row that are no valid configuration, before that is an error."""


@dataclass(slots=True)
class _OpenTrial:
    """A trial under way: its configuration, seeds not yet given out, and what the others reached."""

    config: TrainingConfig
    waiting: list[int]
    scores: dict[int, tuple[float, float]] = field(default_factory=dict)

    @property
    def so_far(self) -> Scores:
        """In the order of seeds."""
        pairs = [self.scores[seed] for seed in sorted(self.scores)]
        return Scores(tuple(pair[0] for pair in pairs), tuple(pair[1] for pair in pairs))


class Sweep:
    """Hands out realisations and takes their outcomes, until the study has its number of concluded trials.

    Trials that another program left running are taken up first: what is recorded of them is not trained again. A trial
    that needs no more is concluded when the outcome that decides it is taken.

    Args:
        study: the record.
        sweep: how many trials and realisations, and when a trial is stopped.
        first_seed: of the realisations.
        configure: from drawn values to a configuration.
        capacity: how many realisations may be under way, asked each time.

    Attributes:
        under_way: realisations given out whose outcome was not taken yet.
    """

    def __init__(
        self,
        study: SweepStudy,
        sweep: SweepConfig,
        *,
        first_seed: int,
        configure: Configure,
        capacity: Callable[[], int],
    ) -> None:
        self._study, self._sweep, self._configure, self._capacity = study, sweep, configure, capacity
        self._seeds = range(first_seed, first_seed + sweep.realisations)
        self._finished = {trial.number: scores_of(trial) for trial in study.trials(TrialState.COMPLETE)}
        self._concluded = study.concluded
        self._open: dict[int, _OpenTrial] = {}
        self.under_way = 0
        study.redraw_interrupted()
        for trial in study.trials(TrialState.RUNNING)[: max(0, sweep.trials - self._concluded)]:
            self._take_up(trial)

    @property
    def done(self) -> bool:
        """Whether all trials are concluded."""
        return self._concluded >= self._sweep.trials

    @property
    def progress(self) -> tuple[int, int]:
        """Trials that are concluded, and how many there will be."""
        return self._concluded, self._sweep.trials

    def tasks(self) -> Iterator[tuple[int, Realisation] | None]:
        """Realisations as a pool takes them (job 0); None while there is nothing to do before another has ended."""
        while not self.done:
            task = self._next() if self.under_way < self._capacity() else None
            if task is not None:
                self.under_way += 1
            yield None if task is None else (0, task)

    def take(self, outcome: Outcome) -> None:
        """Record an outcome, and conclude its trial if that follows.

        Raises:
            ConfigError: it was fitted on other samples than those before.
        """
        self.under_way -= 1
        trial = self._open.get(outcome.trial)
        if trial is None:
            return  # stopped meanwhile by another of its realisations
        if outcome.failure is not None:
            self._stop(outcome.trial, f"seed {outcome.seed}: {outcome.failure}")
            return
        self._study.record(outcome)
        trial.scores[outcome.seed] = (outcome.accuracy, outcome.rate_hz)
        self._conclude_if_due(outcome.trial)

    def _take_up(self, trial: FrozenTrial) -> None:
        found = recorded(trial)
        waiting = [seed for seed in self._seeds if seed not in found]
        scores = {seed: (each["accuracy"], each["rate_hz"]) for seed, each in found.items()}
        config = self._configure(self._study.values(trial))
        self._open[trial.number] = _OpenTrial(config, waiting, scores)
        if found:
            self._conclude_if_due(trial.number)

    def _next(self) -> Realisation | None:
        for number, trial in self._open.items():
            if trial.waiting:
                return Realisation(number, trial.waiting.pop(0), trial.config)
        if self._concluded + len(self._open) >= self._sweep.trials:
            return None
        number = self._draw()
        return Realisation(number, self._open[number].waiting.pop(0), self._open[number].config)

    def _draw(self) -> int:
        """A new trial that is a valid configuration."""
        problem: ConfigError | None = None
        for _ in range(ALLOWED_DRAWS):
            trial = self._study.draw()
            try:
                config = self._configure(self._study.values(trial))
            except ConfigError as error:
                problem = error
                self._study.refuse(trial.number, str(error))
                continue
            self._open[trial.number] = _OpenTrial(config, list(self._seeds))
            return trial.number
        raise ConfigError(
            f"{ALLOWED_DRAWS} draws in a row from sweep.space were no valid configuration, the last: {problem}. Narrow "
            "the ranges of the keys named there"
        )

    def _conclude_if_due(self, number: int) -> None:
        trial, sweep = self._open[number], self._sweep
        if len(trial.scores) == len(self._seeds):
            self._study.complete(number)
            self._finished[number] = scores = trial.so_far
            log.info(
                "trial %d: accuracy %.3f at %.2f Hz, mean of %d realisations",
                number,
                fmean(scores.accuracy),
                fmean(scores.rate_hz),
                len(scores.accuracy),
            )
            self._close(number)
        elif sweep.pruning and len(trial.scores) >= sweep.pruning_realisations:
            finished = list(self._finished)
            better = dominating(trial.so_far, list(self._finished.values()), sweep.pruning_errors)
            if better is not None:
                self._stop(
                    number,
                    f"after {len(trial.scores)} of {len(self._seeds)} realisations trial {finished[better]} is clearly "
                    "better in accuracy and in rate",
                )

    def _stop(self, number: int, reason: str) -> None:
        self._study.stop(number, reason)
        log.info("trial %d stopped: %s", number, reason)
        self._close(number)

    def _close(self, number: int) -> None:
        del self._open[number]
        self._concluded += 1
        log.info("%d of %d trials are done", self._concluded, self._sweep.trials)
