"""The record of a sweep: an Optuna study with two objectives, which outlives the program."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from statistics import fmean, stdev
from typing import Any, Final, Literal

import numpy as np
import optuna
from optuna.exceptions import ExperimentalWarning, StorageInternalError
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from spikebridge.bridge.deferred_signals import signals_deferred
from spikebridge.bridge.errors import ConfigError, DataError
from spikebridge.training.checkpoint import filled, first_difference
from spikebridge.training.config import TrainingConfig
from spikebridge.training.config_sweep import SweepConfig
from spikebridge.training.sweep_pruning import Scores
from spikebridge.training.sweep_space import SearchSpace
from spikebridge.training.sweep_work import Outcome

log = logging.getLogger("spikebridge")

DIRECTIONS: Final[Sequence[Literal["maximize", "minimize"]]] = ("maximize", "minimize")
OBJECTIVES = ("validation accuracy", "rate in Hz")
REALISATION, STOPPED, INVALID, INTERRUPTED = "realisation seed ", "stopped", "no valid configuration", "interrupted"
SWEEP, ENVIRONMENT, DATA, FOLDER = "sweep", "environment", "training data", "folder"


@contextmanager
def storage_errors(storage: str) -> Iterator[None]:
    """What can go wrong with a database, as an error that names it.

    Raises:
        DataError: it cannot be opened, read or written.
        ConfigError: it needs a driver that is not installed.
    """
    try:
        yield
    except (StorageInternalError, SQLAlchemyError) as error:
        if isinstance(error, ArgumentError):
            raise ConfigError(
                f"--storage: no address of a database that is known ({error}); write one as SQLAlchemy does, such as "
                "sqlite:///study.db or postgresql://user@host/database"
            ) from error
        cause = error.__cause__ or error
        raise DataError(
            f"the study cannot be read or written ({str(cause).splitlines()[0]}); check the file or server, then give "
            "the same command again",
            path=shown(storage),
        ) from error
    except ImportError as error:
        raise ConfigError(
            f"--storage {shown(storage)}: the driver of this database is not installed ({error}); install it with pip, "
            "psycopg2-binary for PostgreSQL"
        ) from error


def shown(storage: str) -> str:
    """An address of a database without its password."""
    try:
        return make_url(storage).render_as_string(hide_password=True)
    except ArgumentError:
        return "--storage"


class SweepStudy:
    """Trials of a sweep, drawn, recorded and concluded. Not for two programs at a time.

    Ctrl-C waits for the end of what the database does: SQLAlchemy would complain of a cursor, with a traceback.

    Args:
        storage: address of a database, as SQLAlchemy writes it.
        name: of the study in it.
        folder: of the trainings, where others may keep studies in the same database; None where it is the sweep's own.
        sweep: what is searched, how.
        base: values of all keys that are not searched.
        space: values of those that are.
        environment: versions and source, compared with those it was begun with; a difference is only said.

    Raises:
        ConfigError: the study was begun with another configuration, or belongs to another folder.
        DataError: the database cannot be used.
    """

    def __init__(
        self,
        storage: str,
        name: str,
        *,
        folder: str | None,
        sweep: SweepConfig,
        base: TrainingConfig,
        space: SearchSpace,
        environment: Mapping[str, str],
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._sweep, self._space = sweep, space
        self._distributions = space.distributions()
        with storage_errors(storage):
            self._storage = RDBStorage(storage)
            self.study = optuna.create_study(
                storage=self._storage, study_name=name, directions=DIRECTIONS, load_if_exists=True
            )
        # Not before: what cannot be reached may take minutes to say so, and Ctrl-C has to end that.
        with signals_deferred():
            self._begin_or_continue(name, storage, folder, _identity(sweep, base, space), environment)

    def _begin_or_continue(
        self, name: str, storage: str, folder: str | None, identity: Any, environment: Mapping[str, str]
    ) -> None:
        self._id = self._storage.get_study_id_from_name(name)
        known = self.study.user_attrs
        if SWEEP not in known:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ExperimentalWarning)
                self.study.set_metric_names(list(OBJECTIVES))
            self.study.set_user_attr(ENVIRONMENT, dict(environment))
            self.study.set_user_attr(FOLDER, folder)
            self.study.set_user_attr(SWEEP, identity)  # last: what has it, has all
            return
        _require_same(known, identity, folder, name, storage)
        changed = [key for key, value in environment.items() if known[ENVIRONMENT].get(key) != value]
        if changed:
            log.warning("the sweep was begun with other code (%s); later trials may differ by that", ", ".join(changed))

    @signals_deferred()
    def trials(self, *states: TrialState) -> list[FrozenTrial]:
        """Trials in these states, by number."""
        return self.study.get_trials(deepcopy=False, states=states)

    @property
    @signals_deferred()
    def best_trials(self) -> list[FrozenTrial]:
        """The frontier: complete trials than which no other is better in one objective and as good in the other."""
        return self.study.best_trials

    @property
    def concluded(self) -> int:
        """How many trials are complete or were stopped."""
        return len(self.trials(TrialState.COMPLETE, TrialState.PRUNED))

    @signals_deferred()
    def draw(self) -> FrozenTrial:
        """A new trial. What is drawn depends on the seed and on the trials before alone, not on interruptions."""
        earlier = self.trials(TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING)
        last = max((trial.number for trial in earlier), default=-1)
        refused = [trial.number for trial in self.trials(TrialState.FAIL) if INVALID in trial.user_attrs]
        self.study.sampler = self._sampler(len(earlier), len(refused), at_random=any(n > last for n in refused))
        return self._trial(self.study.ask(self._distributions).number)

    @signals_deferred()
    def redraw_interrupted(self) -> None:
        """Fail trials that were killed while they were drawn; another one is drawn in their place."""
        for trial in self.trials(TrialState.RUNNING):
            if trial.params.keys() != self._distributions.keys():
                self._fail(trial.number, INTERRUPTED, "while it was drawn")

    def values(self, trial: FrozenTrial) -> dict[str, Any]:
        """The values of a trial, by configuration key."""
        return self._space.values(trial.params)

    @signals_deferred()
    def record(self, outcome: Outcome) -> None:
        """Keep what a realisation of a running trial reached.

        Raises:
            ConfigError: it was fitted on other samples than those before.
        """
        before = self.study.user_attrs.get(DATA)
        if before is None:
            self.study.set_user_attr(DATA, outcome.data)
        elif before != outcome.data:
            raise ConfigError(
                f"trial {outcome.trial} was fitted on {outcome.data}, those before on {before}: give --data the files "
                "the sweep was begun with, or --out another folder"
            )
        kept = {key: getattr(outcome, key) for key in ("accuracy", "rate_hz", "epoch", "seconds")}
        self._set(outcome.trial, f"{REALISATION}{outcome.seed}", kept)

    @signals_deferred()
    def complete(self, number: int) -> None:
        """Conclude a trial all of whose realisations are recorded."""
        scores = scores_of(self._trial(number))
        self._set_spread(number, scores)
        self.study.tell(number, [fmean(scores.accuracy), fmean(scores.rate_hz)])

    @signals_deferred()
    def stop(self, number: int, reason: str) -> None:
        """Conclude a trial early."""
        self._set_spread(number, scores_of(self._trial(number)))
        self._set(number, STOPPED, reason)
        self.study.tell(number, state=TrialState.PRUNED)

    @signals_deferred()
    def refuse(self, number: int, reason: str) -> None:
        """Note a trial that is no valid configuration; it does not count."""
        self._fail(number, INVALID, reason)

    def _fail(self, number: int, key: str, reason: str) -> None:
        self._set(number, key, reason)
        self.study.tell(number, state=TrialState.FAIL)

    def _trial(self, number: int) -> FrozenTrial:
        return self._storage.get_trial(self._storage.get_trial_id_from_study_id_trial_number(self._id, number))

    def _set(self, number: int, key: str, value: Any) -> None:
        trial_id = self._storage.get_trial_id_from_study_id_trial_number(self._id, number)
        self._storage.set_trial_user_attr(trial_id, key, value)

    def _set_spread(self, number: int, scores: Scores) -> None:
        for name, found in (("accuracy", scores.accuracy), ("rate_hz", scores.rate_hz)):
            if found:
                self._set(number, f"{name} mean", fmean(found))
            if len(found) > 1:
                self._set(number, f"{name} standard deviation", stdev(found))

    def _sampler(self, earlier: int, refused: int, *, at_random: bool) -> BaseSampler:
        # TPE does not learn from trials that failed, and may come back to what was refused for ever.
        seed = int(np.random.SeedSequence([self._sweep.seed, earlier, refused]).generate_state(1)[0])
        if at_random or self._sweep.sampler == "random":
            return RandomSampler(seed=seed)
        return TPESampler(n_startup_trials=self._sweep.startup_trials, seed=seed)


def recorded(trial: FrozenTrial) -> dict[int, Mapping[str, float]]:
    """Accuracy, rate_hz, epoch and seconds of every realisation of a trial that is recorded, by seed."""
    found = {
        int(key.removeprefix(REALISATION)): value
        for key, value in trial.user_attrs.items()
        if key.startswith(REALISATION)
    }
    return dict(sorted(found.items()))


def scores_of(trial: FrozenTrial) -> Scores:
    """What is recorded of a trial, in the order of seeds."""
    found = recorded(trial).values()
    return Scores(tuple(each["accuracy"] for each in found), tuple(each["rate_hz"] for each in found))


def _identity(sweep: SweepConfig, base: TrainingConfig, space: SearchSpace) -> Any:
    """What must stay the same until a sweep ends; the number of trials may grow."""
    config, search = asdict(base), asdict(sweep)
    del config["realisations"], search["trials"]
    search["space"] = {key: asdict(dimension) for key, dimension in space.dimensions.items()}
    return json.loads(json.dumps({"config": config, "sweep": search}))


def _require_same(known: Mapping[str, Any], identity: Any, folder: str | None, name: str, storage: str) -> None:
    # Keys that a later version added have defaults that change nothing.
    begun = filled(known[SWEEP], _identity(SweepConfig(), TrainingConfig(), SearchSpace({}, frozenset())))
    if begun != identity:
        key, old, new = first_difference(begun, identity)
        raise ConfigError(
            f"the sweep in {shown(storage)} was begun with {key} = {old}, now it is {new}; give the values it was "
            "begun with, or --out another folder"
        )
    if known[FOLDER] != folder:
        raise ConfigError(
            f"the study {name!r} in {shown(storage)} has its trainings in {known[FOLDER]}, not in {folder}; give that "
            "folder as --out, or a folder of another name for another sweep"
        )
