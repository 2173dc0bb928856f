"""Sweeps that take seconds, and sweeps whose realisations are made up."""

from __future__ import annotations

import json
import os
import random
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from command_line import COMMAND, WAIT_S, Session
from interruptible import interruptible
from optuna.trial import TrialState
from small_training import SMALL

from spikebridge.bridge.errors import ConfigError
from spikebridge.cli.config import RunConfig, valid_keys
from spikebridge.cli.sweep_request import SweepRequest
from spikebridge.training.config import TrainingConfig
from spikebridge.training.config_sweep import Dimension, SweepConfig
from spikebridge.training.sweep_schedule import Sweep
from spikebridge.training.sweep_space import SearchSpace, search_space
from spikebridge.training.sweep_study import SweepStudy, scores_of
from spikebridge.training.sweep_work import Outcome, Realisation

SPACE = {
    "network.dropout": Dimension(low=0.0, high=0.5),
    "network.hidden": Dimension(choices=([8], [8, 6], [12])),
    "network.recurrent": Dimension(choices=(True, False)),
    "optimiser.batch_size": Dimension(low=8, high=16, step=4),
}


def request_for(config: RunConfig, folder: Path) -> SweepRequest:
    """A request for a sweep without workers."""
    return SweepRequest("small", config, folder, None, None, None, None)


@dataclass
class Imagined:
    """A sweep whose outcomes are computed from values and seed, without any training.

    Attributes:
        folder: of the database.
        sweep: what is searched.
    """

    folder: Path
    sweep: SweepConfig

    def study(self, **changes: Any) -> SweepStudy:
        """Open the record."""
        arguments: dict[str, Any] = {
            "folder": None,
            "sweep": self.sweep,
            "base": SMALL,
            "space": self.space,
            "environment": {"source": "a"},
        }
        return SweepStudy(self.storage, "spikebridge", **(arguments | changes))

    @property
    def storage(self) -> str:
        """Address of the database."""
        return f"sqlite:///{self.folder / 'study.db'}"

    @property
    def space(self) -> SearchSpace:
        """What is searched."""
        config = RunConfig(training=SMALL, sweep=self.sweep)
        return search_space(self.sweep, SMALL, valid_keys(TrainingConfig), request_for(config, self.folder).training)

    def schedule(self, study: SweepStudy, capacity: int = 1) -> Sweep:
        """What is next."""
        config = RunConfig(training=SMALL, sweep=self.sweep)
        return Sweep(
            study,
            self.sweep,
            first_seed=0,
            configure=request_for(config, self.folder).training,
            capacity=lambda: capacity,
        )

    def run(self, *, capacity: int = 1, outcomes: int | None = None, shuffle: int = 0) -> SweepStudy:
        """Take so many outcomes, or all, and forget everything but the database.

        With a capacity above 1, those under way end in an order that is drawn.
        """
        study, left, source = self.study(), outcomes, random.Random(shuffle)
        schedule = self.schedule(study, capacity)
        tasks, under_way = schedule.tasks(), list[Realisation]()
        while not schedule.done and left != 0:
            while (task := next(tasks)) is not None:
                under_way.append(task[1])
            schedule.take(imagined(under_way.pop(source.randrange(len(under_way)))))
            left = None if left is None else left - 1
        return study


def imagined(task: Realisation) -> Outcome:
    """More neurons are better, dropout is quieter; seeds differ a little."""
    noise = random.Random(f"{task.seed} {task.config.network}").gauss(0, 0.01)
    accuracy = 0.5 + 0.02 * sum(task.config.network.hidden) + noise
    return Outcome(task.trial, task.seed, accuracy, 6 - 8 * task.config.network.dropout + noise, 3, 0.1, "made up")


def found(study: SweepStudy) -> list[tuple[str, Mapping[str, Any], list[float] | None, object]]:
    """State, values, objectives and realisations of all concluded trials, in order."""
    return [
        (trial.state.name, study.values(trial), trial.values, scores_of(trial))
        for trial in study.trials(TrialState.COMPLETE, TrialState.PRUNED)
    ]


def refusing(values: Mapping[str, Any]) -> TrainingConfig:
    """Nothing but one network is a configuration."""
    if values.get("network.hidden", [8]) != [8]:
        raise ConfigError("network.hidden: other than [8]")
    return SMALL


TINY = """\
threads = 1
[data]
source = "manifolds"
channels = 12
duration_ms = 300.0
step_ms = 10.0
manifold_classes = 3
manifold_samples_per_class = 20
manifold_test_samples_per_class = 8
[network]
max_delay_ms = 60.0
[optimiser]
epochs = {epochs}
batch_size = 16
[sweep]
trials = 3
realisations = 2
pruning = false
[sweep.space]
network.hidden = {{choices = [[10], [8, 6]]}}
network.dropout = {{low = 0.0, high = 0.5}}
network.recurrent = {{choices = [true, false]}}
neuron.adaptation = {{choices = [true, false]}}
"""


@dataclass(frozen=True)
class SweepCommand:
    """The real command on a configuration that trains for seconds.

    Attributes:
        config: its file.
    """

    config: Path

    @classmethod
    def made(cls, folder: Path, epochs: int) -> SweepCommand:
        """Write its file."""
        config = folder / "tiny.toml"
        config.write_text(TINY.format(epochs=epochs))
        return cls(config)

    def arguments(self, out: Path, *extra: str) -> list[str]:
        """Of a process."""
        return [*COMMAND, "sweep", str(self.config), "--out", str(out), *extra]

    def run(self, out: Path, *extra: str) -> tuple[int, str]:
        """Run to the end; exit code and what it said."""
        done = subprocess.run(
            self.arguments(out, *extra), capture_output=True, text=True, timeout=2 * WAIT_S, check=False
        )
        return done.returncode, done.stdout + done.stderr

    @contextmanager
    def started(self, out: Path, *extra: str) -> Iterator[Session]:
        """Run it as the leader of a session, of which nothing survives this block."""
        said = out.with_suffix(".txt")
        with interruptible(), said.open("w") as file:
            process = subprocess.Popen(self.arguments(out, *extra), stderr=file, stdout=file, start_new_session=True)
        session = Session(process, out, said)
        try:
            yield session
        finally:
            session.kill_all()


def reached(out: Path) -> list[Any]:
    """All trials in `sweep.json`, without where its files are."""
    trials = json.loads((out / "sweep.json").read_text())["trials"]
    return [{key: value for key, value in trial.items() if key != "file"} for trial in trials]


def checkpoints(out: Path) -> dict[Path, int]:
    """When each realisation last trained an epoch, by its folder."""
    return {path.parent: path.stat().st_mtime_ns for path in out.glob("trials/trial-*/seed-*/checkpoint.pt")}


def finished(out: Path, epochs: int) -> dict[Path, int]:
    """Of those, the ones with all their epochs."""
    return {folder: time for folder, time in checkpoints(out).items() if epochs_of(folder) == epochs}


def epochs_of(folder: Path) -> int:
    """Epochs of a realisation in its metrics."""
    path = folder / "metrics.json"
    return len(json.loads(path.read_text())["epochs"]) if path.is_file() else 0


def trainers(out: Path, epochs: int) -> dict[Path, int]:
    """Processes that train a realisation at the moment, by its folder."""
    found = {}
    for lock in out.glob("trials/trial-*/seed-*/lock"):
        number = lock.read_text()
        if epochs_of(lock.parent) < epochs and number and Path(f"/proc/{number}").exists():
            found[lock.parent] = int(number)
    return found


def kill(process: int) -> None:
    """As the kernel does where memory runs out."""
    os.kill(process, 9)
