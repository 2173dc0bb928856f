"""Trainings of this library by name and seed, kept in files: what studies of several configurations share.

Every training runs in a process of its own with one thread, so that its sums and with them its result do not depend
on how many run side by side. One whose file is there is not run again, unless its settings, its data or the sources
of the library changed.
"""

from __future__ import annotations

import hashlib
import json
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accuracy import by_group
from scipy import stats

from spikebridge.bridge.provenance import source_sha256
from spikebridge.bridge.spikes import SpikeTrains
from spikebridge.bridge.storage import atomic_path
from spikebridge.cli.config import load_config
from spikebridge.training.config import TrainingConfig
from spikebridge.training.dataset import Dataset, dense_counts, load_dataset
from spikebridge.training.fit import fit
from spikebridge.training.loss import decode_tensor
from spikebridge.training.network import SpikingNetwork
from spikebridge.validation.bursts import BurstCriterion, in_burst

type Result = dict[str, Any]

PAIR = BurstCriterion(max_isi_ms=10.0, min_spikes=2)
"""Spikes of a neuron at most 10 ms apart: what fires again at once, as a refractory period of 10 ms forbids."""


@dataclass(frozen=True)
class Variant:
    """A configuration: what it is called, and how it differs from the file."""

    name: str
    settings: tuple[str, ...]


@dataclass(frozen=True)
class Training:
    """One training of a variant."""

    variant: Variant
    seed: int
    config: str
    data_folder: Path

    @property
    def name(self) -> str:
        return f"{self.variant.name}-seed{self.seed}"


def results(trainings: list[Training], folder: Path, workers: int) -> dict[str, list[Result]]:
    """Per variant one result per seed, in the order given; what is missing is trained, `workers` at a time."""
    folder.mkdir(parents=True, exist_ok=True)
    found = {training: kept(training, folder) for training in trainings}
    missing = [training for training, result in found.items() if result is None]
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), max_tasks_per_child=1) as pool:
        running: dict[Future[Result], Training] = {
            pool.submit(train, training, folder): training for training in missing
        }
        try:
            for number, future in enumerate(as_completed(running), 1):
                training = running[future]
                found[training] = result = keep(training, future.result(), folder)
                print(f"{number}/{len(missing)} {training.name}: {said(result)}", flush=True)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)  # else all others are trained before the error shows
            raise
    by_variant: dict[str, list[Result]] = {}
    for training in trainings:
        result = found[training]
        assert result is not None
        by_variant.setdefault(training.variant.name, []).append(result)
    return by_variant


def _settings(training: Training) -> dict[str, Any]:
    """What a result depends on, as JSON holds it."""
    config = _config(training)
    files = (training.data_folder / name for name in (config.data.train_file, config.data.test_file))
    found = {
        "seed": training.seed,
        "training": asdict(config),
        "data": [hashlib.sha256(file.read_bytes()).hexdigest() for file in files],
        "code": source_sha256("bridge", "training"),
    }
    return dict(json.loads(json.dumps(found)))


def _config(training: Training) -> TrainingConfig:
    return load_config(training.config, ["threads=1", *training.variant.settings]).training


def kept(training: Training, folder: Path) -> Result | None:
    """The result on disk, or None where there is none or it is of something else."""
    path = folder / f"{training.name}.json"
    if not path.exists():
        return None
    found: Result = json.loads(path.read_text(encoding="utf-8"))
    return found if found["settings"] == _settings(training) else None


def keep(training: Training, result: Result, folder: Path) -> Result:
    """Write a result beside what it depends on."""
    with atomic_path(folder / f"{training.name}.json") as temporary:
        temporary.write_text(json.dumps(result | {"settings": _settings(training)}, indent=1) + "\n", encoding="utf-8")
    return result


def checkpoints(training: Training, folder: Path) -> Path:
    """Where it may be continued; elsewhere with other settings, data or sources, whose checkpoints are not its own."""
    depends_on = hashlib.sha256(json.dumps(_settings(training), sort_keys=True).encode()).hexdigest()
    return folder / f"{training.name}-{depends_on[:12]}"


def train(training: Training, folder: Path) -> Result:
    """Train, or continue, and read the test set once: what a child process does."""
    config = _config(training)
    data = load_dataset(config.data, training.data_folder, training.seed)
    trained = fit(config, data, training.seed, checkpoints(training, folder), progress=False)
    best = trained.history[trained.best_epoch]
    return {
        "seed": training.seed,
        "validation": best.accuracy_validation,
        "accuracy_train": best.accuracy_train,
        "best_epoch": best.epoch,
        "data": data.provenance,
        **measured(trained.network, data, config),
    }


@torch.no_grad()
def measured(network: SpikingNetwork, data: Dataset, config: TrainingConfig) -> Result:
    """Accuracy on the test set and what hidden neurons do there, as deployed on the grid of the export."""
    events, step_ms = data.test.events, config.data.step_ms
    decisions: list[torch.Tensor] = []
    counts: list[list[np.ndarray]] = [[] for _ in config.network.hidden]
    for picked in torch.split(torch.arange(events.n_samples), config.optimiser.batch_size):
        activity = network(dense_counts(events.select(picked.numpy()), config.data.duration_ms, step_ms), step_ms)
        decisions.append(decode_tensor(activity.potentials, config.network.decoding).argmax(dim=1))
        for kept, spikes in zip(counts, activity.spikes, strict=True):
            kept.append(spikes.numpy().astype(np.int8))
    right = torch.cat(decisions).numpy() == data.test.labels
    trains = [SpikeTrains.from_counts(np.concatenate(kept), step_ms) for kept in counts]
    return {"accuracy": by_group(right, data.test), **activity_of(trains)}


def activity_of(trains: list[SpikeTrains]) -> Result:
    """Rates in Hz per population and over all hidden neurons, silent neurons, close pairs, spikes per decision."""
    neurons = sum(each.n_neurons for each in trains)
    seconds = trains[0].n_samples * trains[0].duration_s
    total = sum(each.n_spikes for each in trains)
    silent = sum(each.n_neurons - np.unique(each.neuron).size for each in trains)
    close = sum(int(in_burst(each, PAIR).sum()) for each in trains)
    return {
        "rate_hz": total / neurons / seconds,
        "population_rate_hz": [each.n_spikes / each.n_neurons / seconds for each in trains],
        "silent_share": silent / neurons,
        "close_share": close / total if total else None,
        "spikes_per_decision": total / trains[0].n_samples,
    }


def said(result: Result) -> str:
    """A result in a line."""
    every = " / ".join(f"{share:.3f}" for share in result["accuracy"])
    return f"{every} (all / seen / unseen), {result['rate_hz']:.2f} Hz"


def paired(mine: list[Result], base: list[Result], group: int = 0) -> tuple[float, float]:
    """Points of accuracy against a baseline, seed by seed, since a seed draws the same held-out speaker for both.

    Mean over seeds, and half of its 95 % interval (Student's t).
    """
    gaps = [100 * (a["accuracy"][group] - b["accuracy"][group]) for a, b in zip(mine, base, strict=True)]
    if len(gaps) == 1:
        return gaps[0], float("nan")
    half = stats.t.ppf(0.975, len(gaps) - 1) * stats.sem(gaps)
    return float(np.mean(gaps)), float(half)


def checksums(found: dict[str, list[Result]]) -> dict[str, str]:
    """Of the files that were trained and tested on, by file name."""
    data = next(iter(found.values()))[0]["data"].values()
    return dict(entry.split(" sha256 ") for entry in data if " sha256 " in entry)
