"""The training loop: one realisation, resumable after every epoch to the same bits."""

from __future__ import annotations

import copy
import logging
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm

from spikebridge.bridge.decoding import Decoding
from spikebridge.training.batches import Batch, epoch_batches, number_of_batches
from spikebridge.training.checkpoint import Start, fingerprint, load_checkpoint, save_checkpoint
from spikebridge.training.config import TrainingConfig
from spikebridge.training.config_recipe import OptimiserConfig
from spikebridge.training.dataset import FittingData, Samples, dense_counts
from spikebridge.training.delays import SIGMA_END_STEPS
from spikebridge.training.device import device_of, on_processor, same_bits_every_time, training_device
from spikebridge.training.interrupt import interrupts_between
from spikebridge.training.loss import decode_tensor, rate_penalty, rates_hz
from spikebridge.training.metrics import EpochMetrics, EpochTotals, write_metrics
from spikebridge.training.network import Activity, SpikingNetwork, scale_weights_to_data

log = logging.getLogger("spikebridge")

CHECKPOINT = "checkpoint.pt"


@dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """The network of the best epoch, and how it got there."""

    network: SpikingNetwork
    history: tuple[EpochMetrics, ...]
    best_epoch: int


def _agreement(config: TrainingConfig, data: FittingData, seed: int, start: Start | None) -> str:
    return fingerprint(config, data.provenance | ({} if start is None else start.provenance), seed)


def require_same_training(
    config: TrainingConfig, data: FittingData, seed: int, folder: Path, start: Start | None = None
) -> None:
    """Refuse a folder that holds another training, before anything in it is touched.

    Raises:
        ConfigError: the checkpoint belongs to another configuration, data set, seed or version of PyTorch.
    """
    load_checkpoint(folder / CHECKPOINT, _agreement(config, data, seed, start))


def fit(
    config: TrainingConfig,
    data: FittingData,
    seed: int,
    folder: Path,
    *,
    start: Start | None = None,
    progress: bool = True,
) -> Trained:
    """Train one realisation, or continue the one whose checkpoint is in `folder`.

    With a `start`, its weights are trained further, and delay kernels are narrow from the first batch.

    Of the epochs of the last phase, after all warm-ups, the one with the highest validation accuracy
    is kept, the lower validation loss deciding between equals. Every epoch draws its random numbers from a generator
    seeded with (seed, epoch), so a run that was killed and started again passes through the same states as one that
    never stopped.

    Raises:
        ConfigError: the checkpoint in `folder` belongs to another configuration, data set or seed, or there is no GPU
            where one is asked for.
        DivergedError: the loss or its gradient became NaN or infinite.
    """
    torch.set_num_threads(config.threads)
    same_bits_every_time()
    device = training_device(config.device)
    agreement = _agreement(config, data, seed, start)
    # Drawn on the processor, so that a network starts with the same weights everywhere.
    run = _Run(SpikingNetwork(config, len(data.class_names), seed).to(device), config)
    run.network.narrow_from_start = start is not None
    state = load_checkpoint(folder / CHECKPOINT, agreement)
    if state is not None:
        run.restore(state)
    elif start is not None:
        run.network.load_state_dict(start.weights)
        run.network.clamp_()
    else:
        coarsest_ms = max(config.phases[0].steps_ms)
        first = data.train.events.select(range(min(2 * config.optimiser.batch_size, data.train.events.n_samples)))
        counts = dense_counts(first, data.train.duration_ms, coarsest_ms, device)
        scale_weights_to_data(run.network, counts, coarsest_ms)
    done, total = len(run.history), config.optimiser.epochs
    if done:
        log.info("%d of %d epochs were trained already", done, total)
    shown = None if progress else True  # None: only on a terminal
    bar = tqdm(total=total, initial=done, desc=f"training (seed {seed})", unit="epoch", disable=shown)
    with bar, interrupts_between() as raise_if_interrupted:

        def between(text: str) -> None:
            bar.set_postfix_str(text, refresh=True)
            raise_if_interrupted()

        for epoch in range(done, total):
            run.keep(_epoch(run.network, run.optimiser, data, config, seed, epoch, between))
            save_checkpoint(folder / CHECKPOINT, run.state(), agreement)
            write_metrics(run.history, folder, run.best_epoch)
            bar.update()
    write_metrics(run.history, folder, run.best_epoch)  # a kill may have come between checkpoint and metrics
    run.network.load_state_dict(run.best)
    return Trained(run.network.eval(), tuple(run.history), run.best_epoch)


class _Run:
    """What changes while training, and what of it a checkpoint holds."""

    def __init__(self, network: SpikingNetwork, config: TrainingConfig) -> None:
        self.network = network
        self.optimiser = build_optimiser(network, config.optimiser)
        self._first_candidate = first_candidate(config)
        self.history: list[EpochMetrics] = []
        self.best: dict[str, Tensor] = {}
        self.best_epoch = -1

    def keep(self, epoch: EpochMetrics) -> None:
        """Note an epoch, and its weights if it is the best so far."""
        self.history.append(epoch)
        if epoch.epoch < self._first_candidate:
            return
        if self.best_epoch < 0 or _quality(epoch) > _quality(self.history[self.best_epoch]):
            self.best = copy.deepcopy(on_processor(self.network.state_dict()))
            self.best_epoch = len(self.history) - 1

    def state(self) -> dict[str, Any]:
        """Everything that `restore` needs, the same whatever device it was trained on."""
        return {
            "network": on_processor(self.network.state_dict()),
            "optimiser": on_processor(self.optimiser.state_dict()),
            "random": torch.get_rng_state(),
            "history": [asdict(row) for row in self.history],
            "best": self.best,
            "best_epoch": self.best_epoch,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a checkpoint."""
        self.network.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])
        torch.set_rng_state(state["random"])
        self.history = [EpochMetrics(**row) for row in state["history"]]
        self.best, self.best_epoch = state["best"], state["best_epoch"]


def _quality(epoch: EpochMetrics) -> tuple[float, float]:
    return epoch.accuracy_validation, -epoch.loss_validation


def build_optimiser(network: SpikingNetwork, config: OptimiserConfig) -> torch.optim.Adam:
    """Adam with the groups `weights` (decayed), `delays` and `neurons`; constants are left out."""
    groups: dict[str, list[Tensor]] = {"weights": [], "delays": [], "neurons": []}
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            kind = "delays" if name.endswith("delay_ms") else "weights" if "weight" in name else "neurons"
            groups[kind].append(parameter)
    rates = {"weights": config.weight_rate, "delays": config.delay_rate_ms, "neurons": config.neuron_rate}
    decay = {"weights": config.weight_decay, "delays": 0.0, "neurons": 0.0}
    return torch.optim.Adam(
        [
            {"params": members, "lr": rates[kind], "base_rate": rates[kind], "weight_decay": decay[kind]}
            for kind, members in groups.items()
            if members
        ]
    )


def learning_rate_factor(progress: float, warm_up_share: float) -> float:
    """Linear from 0 to 1 over the warm-up, then a cosine from 1 to 0; `progress` runs from 0 to 1."""
    if progress < warm_up_share:
        return progress / warm_up_share
    return 0.5 * (1 + math.cos(math.pi * (progress - warm_up_share) / (1 - warm_up_share)))


def first_candidate(config: TrainingConfig) -> int:
    """The first epoch that may be chosen: in the last phase, with the whole penalty and refractory period."""
    last, epochs = len(config.phases) - 1, config.optimiser.epochs
    in_last_phase = next(epoch for epoch in range(epochs) if config.phase_of_epoch(epoch) == last)
    return max(in_last_phase, config.warm_up_epochs)


def _epoch(
    network: SpikingNetwork,
    optimiser: torch.optim.Adam,
    data: FittingData,
    config: TrainingConfig,
    seed: int,
    epoch: int,
    between: Callable[[str], None],
) -> EpochMetrics:
    started = time.perf_counter()
    torch.manual_seed(seed * 1_000_003 + epoch)
    network.train()
    totals = EpochTotals()
    steps_ms, batches = config.phases[config.phase_of_epoch(epoch)].steps_ms, number_of_batches(data.train, config)
    running: tuple[Tensor, int] | None = None
    for number, batch in enumerate(epoch_batches(data.train, config, epoch, device_of(network))):
        # Asked for when the next batch is ready: until then a GPU works by itself.
        totals.add(running)
        network.set_progress(batch.begins)
        factor = learning_rate_factor(batch.middle, config.optimiser.warm_up_share)
        for group in optimiser.param_groups:
            group["lr"] = group["base_rate"] * factor
        running = _train_batch(network, optimiser, batch, config), len(batch.labels)
        between(f"epoch {epoch + 1}, batch {number + 1}/{batches}")
    totals.add(running)
    samples = len(data.train.labels)
    sigma_ms = max(network.layers[0].projection.sigma_ms, SIGMA_END_STEPS * min(steps_ms))
    accuracy, loss, rate = evaluate(network, data.validation, config)
    return EpochMetrics(
        epoch=epoch,
        loss=totals.loss / samples,
        rate_penalty=totals.penalty / samples,
        accuracy_train=totals.right / samples,
        accuracy_validation=accuracy,
        loss_validation=loss,
        rate_hz=rate,
        step_ms=min(steps_ms),
        sigma_ms=sigma_ms,
        seconds=time.perf_counter() - started,
    )


def _train_batch(network: SpikingNetwork, optimiser: torch.optim.Adam, batch: Batch, config: TrainingConfig) -> Tensor:
    """Loss, rate penalty, share of right decisions and size of the gradient, (4,), where the network is."""
    activity = network(batch.counts, batch.step_ms)
    scores = _scores(activity, config, batch.step_ms)
    penalty = rate_penalty(activity.spikes, batch.step_ms, config.regulariser, batch.begins)
    loss = functional.cross_entropy(scores, batch.labels) + penalty
    optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    nn_parameters = [p for group in optimiser.param_groups for p in group["params"]]
    norm = torch.nn.utils.clip_grad_norm_(nn_parameters, config.optimiser.gradient_norm)
    optimiser.step()
    network.clamp_()
    right = (scores.argmax(dim=1) == batch.labels).float().mean()
    return torch.stack([loss, penalty, right, norm]).detach()


def _scores(activity: Activity, config: TrainingConfig, step_ms: float) -> Tensor:
    """Class scores; a sum over steps counts in reference steps, so that the loss means the same on every grid."""
    return decode_tensor(activity.potentials, Decoding(config.network.decoding), step_ms / config.reference_step_ms)


@torch.no_grad()
def evaluate(
    network: SpikingNetwork, data: Samples, config: TrainingConfig, step_ms: float | None = None
) -> tuple[float, float, float]:
    """Accuracy, cross-entropy and mean rate of hidden neurons in Hz, with rounded delays and without dropout.

    Args:
        network: the trained module.
        data: samples.
        config: for decoding and batch size.
        step_ms: the grid, by default that of the export.
    """
    step_ms = config.data.step_ms if step_ms is None else step_ms
    network.eval()
    device = device_of(network)
    right, loss, rate = 0.0, 0.0, 0.0
    for picked in torch.split(torch.arange(len(data.labels)), config.optimiser.batch_size):
        labels = data.labels[picked].to(device)
        counts = dense_counts(data.events.select(picked.numpy()), data.duration_ms, step_ms, device)
        activity = network(counts, step_ms)
        scores = _scores(activity, config, step_ms)
        right += (scores.argmax(dim=1) == labels).float().sum().item()
        loss += functional.cross_entropy(scores, labels, reduction="sum").item()
        layer_rates = torch.cat([rates_hz(spikes, step_ms) for spikes in activity.spikes])
        rate += layer_rates.mean().item() * len(labels)
    samples = len(data.labels)
    return right / samples, loss / samples, rate / samples
