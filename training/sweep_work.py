"""The unit of work of a sweep: one realisation of one configuration, trained on from where it stopped."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from spikebridge.bridge.errors import DataError, DivergedError, SpecError
from spikebridge.bridge.folder_lock import LOCK, FolderLock
from spikebridge.bridge.provenance import source_sha256, versions
from spikebridge.training.config import TrainingConfig
from spikebridge.training.dataset import FittingData, load_fitting_data
from spikebridge.training.fit import CHECKPOINT, fit

LOOK_AGAIN_S = 1.0
# The random numbers of PyTorch belong to the process: two trainings on threads of one would take each other's.
_one_at_a_time = threading.Lock()


@dataclass(frozen=True, slots=True)
class SweepJob:
    """What all realisations of a sweep share.

    Attributes:
        folder: of the trainings, absolute; workers on other machines see the same.
        data: folder of the data files, absolute; None where the data are generated.
        environment: what a worker must have, from `training_environment`.
    """

    folder: Path
    data: Path | None
    environment: Mapping[str, str]

    def realisation_folder(self, trial: int, seed: int) -> Path:
        """Where one realisation has its checkpoint and metrics."""
        return self.folder / f"trial-{trial}" / f"seed-{seed}"


@dataclass(frozen=True, slots=True)
class Realisation:
    """One training: number of the trial, its configuration, and the seed."""

    trial: int
    seed: int
    config: TrainingConfig


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a realisation reached, on the validation samples, in its best epoch.

    Attributes:
        trial, seed: which.
        accuracy: share of validation samples decided right; NaN where the training diverged.
        rate_hz: mean rate of hidden neurons there, likewise.
        epoch: the best one, from 1; 0 where there is none.
        seconds: time of training, over all interruptions.
        data: name and checksum of the files that it was fitted and validated on.
        failure: why it ended early; None if it did not.
    """

    trial: int
    seed: int
    accuracy: float
    rate_hz: float
    epoch: int
    seconds: float
    data: str
    failure: str | None = None


@cache
def training_environment() -> Mapping[str, str]:
    """Versions and source that results of a training depend on, as this process found them when it began."""
    return versions("torch", "numba") | {"source": source_sha256("bridge", "training")}


def train_realisation(job: SweepJob, chunk: Realisation) -> Outcome:
    """Train one realisation, or the rest of it; what a pool of workers runs. The test set is not read.

    A worker that lost its connection may still be training the same realisation: it is waited for.

    Raises:
        SpecError: this process has other libraries or another spikebridge, or does not see the folder.
        ConfigError: the checkpoint in the folder belongs to another training.
        DataError: a data file or checkpoint is missing or damaged.
    """
    _require_same_environment(job)
    folder = job.realisation_folder(chunk.trial, chunk.seed)
    with _one_at_a_time, _locked(folder):
        data = load_fitting_data(chunk.config.data, job.data, chunk.seed)
        source = _files(data)
        try:
            trained = fit(chunk.config, data, chunk.seed, folder, progress=False)
        except DivergedError as error:
            return Outcome(chunk.trial, chunk.seed, float("nan"), float("nan"), 0, 0.0, source, str(error))
    best = trained.history[trained.best_epoch]
    return Outcome(
        trial=chunk.trial,
        seed=chunk.seed,
        accuracy=best.accuracy_validation,
        rate_hz=best.rate_hz,
        epoch=trained.best_epoch + 1,
        seconds=sum(epoch.seconds for epoch in trained.history),
        data=source,
    )


def _files(data: FittingData) -> str:
    """What all realisations have in common; a part held out of the training samples differs from seed to seed."""
    train, validation = data.provenance["data.train"], data.provenance["data.validation"]
    return f"{train}, validated on {validation}" if data.split.method == "file" else train


def _require_same_environment(job: SweepJob) -> None:
    here = training_environment()
    for name, wanted in job.environment.items():
        if here.get(name) != wanted:
            raise SpecError(
                f"the worker on {socket.gethostname()} has {name} = {here.get(name)}, the sweep {wanted}: install the "
                "same in the environment of every worker"
            )
    if not (job.folder / LOCK).is_file():
        raise SpecError(
            f"the worker on {socket.gethostname()} does not see {job.folder}: --out of a sweep must be a folder that "
            "all workers share, so that one can continue what another began"
        )


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    while True:
        try:
            lock = FolderLock(folder, folder / CHECKPOINT)
            break
        except DataError:
            time.sleep(LOOK_AGAIN_S)
    try:
        yield
    finally:
        lock.release()
