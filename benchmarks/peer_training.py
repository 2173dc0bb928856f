"""One training of one system on the spoken digits, in a process of its own: accuracy, rate, time and memory.

Same files, split by seed, epochs, sizes, batches, bins of 10 ms, augmentation and number of threads for all. What is
each system's own: neuron, surrogate, normalisation, loss and decoding. Adam, gradients clipped, a cosine of the
learning rate to zero; of all epochs the one with the highest validation accuracy is kept, and the test set is read
once.
"""

from __future__ import annotations

import copy
import hashlib
import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from accuracy import binned, by_group, machine, relative
from common import forget_peak, peak_mib
from peer_models import PEERS, Gru, set_rate
from peer_ours import RATE_HZ
from peer_shape import STEP_MS, Shape
from peer_spikingjelly import DclsSpikingJelly
from torch import Tensor, nn
from torch.nn import functional

from spikebridge.bridge.decoding import Decoding
from spikebridge.bridge.provenance import source_sha256
from spikebridge.bridge.spikes import Events
from spikebridge.cli.config import load_config
from spikebridge.training.augment import augmented
from spikebridge.training.config import TrainingConfig
from spikebridge.training.data.split import split_validation
from spikebridge.training.dataset import Dataset, dense_counts, load_dataset, read_events
from spikebridge.training.fit import fit
from spikebridge.training.loss import decode_tensor

type Network = Callable[[Tensor], tuple[Tensor, list[Tensor]]]
"""Potentials of the readout and spikes of each hidden layer from counts."""

MACHINES = {"svm": binned, "svm_relative": relative}
LABELS = {
    "ours": "ours: recurrent adLIF with delays",
    **{name: peer.label for name, peer in PEERS.items()},
    "gru": "GRU",
    "svm": "SVM, binned counts",
    "svm_relative": "SVM, relative time bins",
}


@dataclass(frozen=True)
class Job:
    """One training.

    Attributes:
        rate: learning rate of weights, None for what has none.
        settings: change the example.
        dropout: of a peer that has dropout, None for its published one.
    """

    system: str
    seed: int
    epochs: int
    rate: float | None
    config: str
    hidden: tuple[int, ...]
    threads: int = 2
    settings: tuple[str, ...] = ()
    dropout: float | None = None

    @property
    def name(self) -> str:
        parts = [f"{self.system}-seed{self.seed}"]
        parts += [] if self.rate is None else [f"rate{self.rate:g}"]
        parts += [] if self.dropout is None else [f"dropout{self.dropout:g}"]
        return "-".join(parts)


def training_config(job: Job) -> TrainingConfig:
    """The configuration of the example on one grid of 10 ms."""
    settings = [
        "schedule.phases=[]",
        f"data.step_ms={STEP_MS}",
        f"optimiser.epochs={job.epochs}",
        f"network.hidden={list(job.hidden)}",
        f"threads={job.threads}",
        *job.settings,
    ]
    if job.rate is not None:
        settings.append(f"optimiser.weight_rate={job.rate}")
    return load_config(job.config, settings).training


def shared_with_peers(job: Job) -> dict[str, Any]:
    """What the example sets for all networks, as JSON holds it."""
    config = training_config(job)
    optimiser = config.optimiser
    found = {
        "data": asdict(config.data),
        "augmentation": asdict(config.augmentation),
        "max_delay_ms": config.network.max_delay_ms,
        "optimiser": [optimiser.batch_size, optimiser.weight_decay, optimiser.gradient_norm, optimiser.sigma_share],
    }
    return dict(json.loads(json.dumps(found)))


def scores(system: str, potentials: Tensor) -> Tensor:
    """As the libraries' own examples decode: snnTorch the mean potential, Norse its maximum, others the softmax."""
    library = system.partition("_")[0]
    rule = {"snntorch": Decoding.MEAN, "norse": Decoding.MAX, "gru": Decoding.MEAN}.get(library, Decoding.SOFTMAX_SUM)
    return decode_tensor(potentials, rule)


def loss_of(system: str, potentials: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of the scores; snnTorch sums that of every step."""
    if system.startswith("snntorch"):
        steps = potentials.shape[1]
        return functional.cross_entropy(potentials.flatten(0, 1), labels.repeat_interleave(steps))
    return functional.cross_entropy(scores(system, potentials), labels)


@torch.no_grad()
def decide(system: str, network: Network, events: Events, config: TrainingConfig) -> tuple[Tensor, float]:
    """The class of every sample, and the mean rate of hidden neurons in Hz."""
    decisions, total = [], 0.0
    for picked in torch.split(torch.arange(events.n_samples), config.optimiser.batch_size):
        counts = dense_counts(events.select(picked.numpy()), config.data.duration_ms, STEP_MS)
        potentials, spikes = network(counts)
        decisions.append(scores(system, potentials).argmax(dim=1))
        if spikes:
            total += len(picked) * torch.cat([layer.mean(dim=(0, 1)) for layer in spikes]).mean().item()
    return torch.cat(decisions), total / events.n_samples * 1000.0 / STEP_MS


class _Evaluated:
    """A network as it is tested, then as it was: DCLS with rounded delays and its narrowest kernels."""

    def __init__(self, network: nn.Module) -> None:
        self._network = network

    def __enter__(self) -> nn.Module:
        self._state = copy.deepcopy(self._network.state_dict())
        self._network.eval()
        if isinstance(self._network, DclsSpikingJelly):
            self._network.round_delays_()
            self._network.set_sigma(0.0)
        return self._network

    def __exit__(self, *_: object) -> None:
        self._network.load_state_dict(self._state)
        self._network.train()


def optimiser_of(network: nn.Module, rate: float, weight_decay: float) -> torch.optim.Adam:
    """Adam; the positions of DCLS get the published hundredfold rate and no decay."""
    positions = [p for name, p in network.named_parameters() if name.endswith(".P")]
    known = {id(p) for p in positions}
    others = [p for p in network.parameters() if p.requires_grad and id(p) not in known]
    groups = [{"params": others, "lr": rate, "base": rate, "weight_decay": weight_decay}]
    if positions:
        groups.append({"params": positions, "lr": 100 * rate, "base": 100 * rate, "weight_decay": 0.0})
    return torch.optim.Adam(groups)


def train_epoch(
    job: Job, network: nn.Module, optimiser: torch.optim.Adam, data: Dataset, config: TrainingConfig, epoch: int
) -> bool:
    """One pass over the training samples; False where the loss is no number any more."""
    torch.manual_seed(job.seed * 1_000_003 + epoch)
    batches = torch.split(torch.randperm(len(data.train.labels)), config.optimiser.batch_size)
    for number, picked in enumerate(batches):
        done = (epoch + number / len(batches)) / job.epochs
        for group in optimiser.param_groups:
            group["lr"] = group["base"] * 0.5 * (1 + math.cos(math.pi * done))
        if isinstance(network, DclsSpikingJelly):
            network.narrow(done / config.optimiser.sigma_share)
        events = augmented(data.train.events, data.train.labels, picked, config.augmentation)
        potentials, _ = network(dense_counts(events, data.train.duration_ms, STEP_MS))
        loss = loss_of(job.system, potentials, data.train.labels[picked])
        if not torch.isfinite(loss):
            return False
        optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(network.parameters(), config.optimiser.gradient_norm)
        optimiser.step()
        if isinstance(network, DclsSpikingJelly):
            network.clamp_()
    return True


def train_peer(job: Job, data: Dataset, config: TrainingConfig) -> tuple[nn.Module, float, int]:
    """The network of the best epoch, its validation accuracy (0 where it diverged before), and how many epochs ran."""
    assert job.rate is not None
    torch.manual_seed(job.seed)
    shape = Shape(
        (config.data.channels, *job.hidden, len(data.class_names)), round(config.network.max_delay_ms / STEP_MS)
    )
    network = Gru(shape) if job.system == "gru" else PEERS[job.system].build(shape)
    if job.dropout is not None:
        assert isinstance(network, DclsSpikingJelly)
        network.set_dropout(job.dropout)
    first = data.train.events.select(range(2 * config.optimiser.batch_size))
    set_rate(network, dense_counts(first, data.train.duration_ms, STEP_MS), RATE_HZ)
    optimiser = optimiser_of(network, job.rate, config.optimiser.weight_decay)
    best, accuracy, epochs = copy.deepcopy(network.state_dict()), 0.0, 0
    for epoch in range(job.epochs):
        if not train_epoch(job, network, optimiser, data, config, epoch):
            break
        with _Evaluated(network) as evaluated:
            decisions, _ = decide(job.system, evaluated, data.validation.events, config)
            right = (decisions == data.validation.labels).float().mean().item()
            if right > accuracy:
                best, accuracy = copy.deepcopy(evaluated.state_dict()), right
        epochs += 1
    network.load_state_dict(best)
    return network.eval(), accuracy, max(epochs, 1)


def run_network(job: Job, data_folder: Path, folder: Path) -> dict[str, Any]:
    """Train a network, ours or a peer, and read the test set."""
    config = training_config(job)
    torch.set_num_threads(config.threads)
    data = load_dataset(config.data, data_folder, job.seed)
    forget_peak()
    loaded, started, core_started = peak_mib(), time.perf_counter(), time.process_time()
    if job.system == "ours":
        # Checkpoints of other settings or sources are not its own.
        depends_on = hashlib.sha256(json.dumps([asdict(job), source_sha256("bridge", "training")]).encode()).hexdigest()
        trained = fit(config, data, job.seed, folder / f"{job.name}-{depends_on[:12]}", progress=False)
        history = trained.history
        validation = history[trained.best_epoch].accuracy_validation
        run: Network = trained.network
        epochs = len(history)
    else:
        # Narrow kernels of DCLS have subnormal weights, with which an Intel Xeon took three times as long.
        torch.set_flush_denormal(True)
        run, validation, epochs = train_peer(job, data, config)
    seconds, core_seconds = time.perf_counter() - started, time.process_time() - core_started
    decisions, rate_hz = decide(job.system, run, data.test.events, config)
    right = (decisions == torch.as_tensor(data.test.labels)).numpy()
    return {
        "accuracy": by_group(right, data.test),
        "validation": validation,
        "rate_hz": None if job.system == "gru" else rate_hz,
        "seconds_per_epoch": seconds / epochs,
        "core_seconds_per_epoch": core_seconds / epochs,
        "peak_mib": peak_mib(),
        "loaded_mib": loaded,
    }


def run_machine(job: Job, data_folder: Path) -> dict[str, Any]:
    """A support vector machine on the same split; its penalty is chosen on the held-out speaker."""
    config = training_config(job).data
    fitted, test = read_events(config, data_folder)
    split = split_validation(
        fitted, fraction=config.validation_share, seed=job.seed, speakers=config.validation_speakers or None
    )
    forget_peak()
    loaded, started, core_started = peak_mib(), time.perf_counter(), time.process_time()
    features = MACHINES[job.system]
    right = machine(features(fitted.events, config), features(test.events, config), fitted.labels, test.labels, split)
    trials = test.trials(split.fitted_speakers, split.held_out_speakers or ())
    return {
        "accuracy": by_group(right, trials),
        "validation": None,
        "rate_hz": None,
        "seconds_per_epoch": time.perf_counter() - started,
        "core_seconds_per_epoch": time.process_time() - core_started,
        "peak_mib": peak_mib(),
        "loaded_mib": loaded,
    }


def run_job(job: Job, data_folder: Path, folder: Path) -> dict[str, Any]:
    """What a child process does."""
    return run_machine(job, data_folder) if job.system in MACHINES else run_network(job, data_folder, folder)
