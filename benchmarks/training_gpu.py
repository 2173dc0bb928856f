"""Training on a GPU: seconds per epoch on as much data as SHD has, ours and other trainers.

    python benchmarks/training_gpu.py [--batch 64 256] [--samples 8156] [--systems fused,plain,...] [--json FILE]
    python benchmarks/training_gpu.py --device cpu --samples 256

8,156 samples of a second on 140 channels in 100 steps of 10 ms, random spikes, 8,000 per sample (an assumption,
to be changed with --spikes); 140 - 256 - 256 - 20. Ours: recurrent adLIF with a delay per synapse up to 250 ms, whole
epochs of `fit`. The first compiles kernels and has wide ones; the fastest of the others counts. Peers: forward, loss,
backward and Adam on the same data, some batches of an epoch, times their number. Appended to RESULTS.md. Without a GPU
it says what is missing, unless --device cpu is given.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

from common import append_results, forget_peak, peak_mib, processor  # first: it sets how threads wait

# isort: split
import numpy as np
import torch
from peer_models import PEERS, Gru, set_rate
from peer_ours import RATE_HZ
from peer_shape import STEP_MS, Shape
from torch.nn import functional

from spikebridge.bridge.errors import ConfigError
from spikebridge.bridge.spikes import CropReport, Events
from spikebridge.bridge.storage import atomic_path
from spikebridge.training.config import NetworkConfig, TrainingConfig
from spikebridge.training.config_data import DataConfig
from spikebridge.training.config_recipe import OptimiserConfig
from spikebridge.training.data.split import Split
from spikebridge.training.dataset import FittingData, Samples, dense_counts
from spikebridge.training.device import training_device
from spikebridge.training.fit import fit

DURATION_MS = 1000.0
VALIDATION_SAMPLES = 64
OURS: dict[str, Literal["fused", "plain"]] = {"fused": "fused", "plain": "plain"}


@dataclass(frozen=True)
class Measured:
    """One system at one size of batches.

    Attributes:
        epoch_s: of the fastest epoch, or that many batches like the fastest half of those that were run.
        first_s: of the first epoch, which compiles; None for peers.
        peak_mib: memory on the GPU, or of the process where there is none.
        failure: why there are no numbers.
    """

    system: str
    batch: int
    epoch_s: float | None = None
    first_s: float | None = None
    peak_mib: float | None = None
    failure: str | None = None


def random_events(samples: int, spikes: float, channels: int, seed: int) -> Events:
    """Poisson counts, channels and times uniform."""
    rng = np.random.default_rng(seed)
    offsets = np.concatenate([[0], np.cumsum(rng.poisson(spikes, samples))])
    times_s = rng.random(offsets[-1]) * DURATION_MS / 1000.0
    return Events(times_s, rng.integers(0, channels, offsets[-1]).astype(np.int32), offsets, channels)


def random_data(options: argparse.Namespace, shape: Shape) -> FittingData:
    """Samples to fit on and a few that choose the epoch; no class can be told from another."""

    def samples(count: int, seed: int) -> Samples:
        events = random_events(count, options.spikes, shape.sizes[0], seed)
        labels = torch.from_numpy(np.random.default_rng(seed).integers(0, shape.sizes[-1], count))
        return Samples(events, labels, CropReport(len(events.time_s), 0, count, 0), DURATION_MS)

    names = tuple(str(number) for number in range(shape.sizes[-1]))
    split = Split(np.arange(options.samples), np.arange(VALIDATION_SAMPLES), "file", None, None)
    train, validation = samples(options.samples, 0), samples(min(VALIDATION_SAMPLES, options.samples), 1)
    return FittingData(train=train, validation=validation, split=split, class_names=names, provenance={})


def our_config(
    options: argparse.Namespace, shape: Shape, batch: int, kernels: Literal["fused", "plain"]
) -> TrainingConfig:
    return TrainingConfig(
        kernels=kernels,
        device=options.device,
        threads=options.threads,
        data=DataConfig(channels=shape.sizes[0], duration_ms=DURATION_MS, step_ms=STEP_MS),
        network=NetworkConfig(hidden=shape.sizes[1:-1], max_delay_ms=shape.delay_steps * STEP_MS),
        optimiser=OptimiserConfig(epochs=options.epochs, batch_size=batch),
    )


def our_epochs(options: argparse.Namespace, shape: Shape, data: FittingData, batch: int, system: str) -> Measured:
    """A whole training; its epochs as they report themselves, validation on a few samples included."""
    with tempfile.TemporaryDirectory() as folder:
        trained = fit(our_config(options, shape, batch, OURS[system]), data, 0, Path(folder), progress=False)
    first, *others = (epoch.seconds for epoch in trained.history)
    return Measured(system, batch, min(others), first)


def peer_epoch(options: argparse.Namespace, shape: Shape, data: FittingData, batch: int, system: str) -> Measured:
    """Some batches of an epoch, data included; with PyTorch's default algorithms, as peers are used."""
    torch.use_deterministic_algorithms(False)
    torch.manual_seed(0)
    device = torch.device(options.device)
    network = (Gru(shape) if system == "gru" else PEERS[system].build(shape)).to(device)
    batches = torch.split(torch.randperm(len(data.train.labels)), batch)
    first = dense_counts(data.train.events.select(batches[0][:16].numpy()), DURATION_MS, STEP_MS, device)
    set_rate(network, first, RATE_HZ)
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-3)
    took = []
    for picked in batches[: options.peer_batches + 1]:
        started = time.perf_counter()
        counts = dense_counts(data.train.events.select(picked.numpy()), DURATION_MS, STEP_MS, device)
        potentials, _ = network(counts)
        loss = functional.cross_entropy(potentials.softmax(dim=-1).sum(dim=1), data.train.labels[picked].to(device))
        optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        optimiser.step()
        loss.item()  # waits until the GPU is done
        took.append(time.perf_counter() - started)
    # The first one warms up, and is all there is of few samples.
    counted = sorted(took[1:] or took)
    return Measured(system, batch, statistics.mean(counted[: max(len(counted) // 2, 1)]) * len(batches))


def measured(options: argparse.Namespace, shape: Shape, data: FittingData, batch: int, system: str) -> Measured:
    """One system with its memory; one that fails leaves the others their turn."""
    on_card = options.device == "cuda"
    if on_card:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    else:
        forget_peak()
    run: Callable[..., Measured] = our_epochs if system in OURS else peer_epoch
    try:
        found = run(options, shape, data, batch, system)
    except RuntimeError as error:  # out of memory, or a peer that leaves tensors on the processor
        return Measured(system, batch, failure=str(error).splitlines()[0])
    peak = torch.cuda.max_memory_allocated() / 2**20 if on_card else peak_mib()
    return replace(found, peak_mib=peak)


def label(system: str) -> str:
    if system in OURS:
        return f"ours, {system}: recurrent adLIF with delays"
    return "GRU" if system == "gru" else PEERS[system].label


def table(rows: list[Measured], samples: int) -> list[str]:
    """Rows of the results; the ratio is to ours, fused, with the same batches."""
    ours = {row.batch: row.epoch_s for row in rows if row.system == "fused"}
    lines = [
        "| | batch | seconds per epoch | samples/s | first epoch | times ours, fused | peak memory |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        if row.epoch_s is None or row.peak_mib is None:
            lines.append(f"| {label(row.system)} | {row.batch} | did not run: {row.failure} | | | | |")
            continue
        first = "" if row.first_s is None else f"{row.first_s:.2f} s"
        base = ours.get(row.batch)
        ratio = "" if base is None else f"{row.epoch_s / base:.2f}"
        lines.append(
            f"| {label(row.system)} | {row.batch} | {row.epoch_s:.3f} | {samples / row.epoch_s:.0f} | {first} | "
            f"{ratio} | {row.peak_mib:.0f} MiB |"
        )
    return lines


def arguments(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--samples", default=8156, type=int)
    parser.add_argument("--spikes", default=8000.0, type=float, help="per sample, in the mean")
    parser.add_argument("--hidden", default=256, type=int, help="neurons of each of the two hidden populations")
    parser.add_argument("--batch", default=[64, 256], type=int, nargs="+")
    parser.add_argument("--epochs", default=4, type=int, help="of ours; the first one does not count")
    parser.add_argument("--peer-batches", default=16, type=int)
    parser.add_argument("--threads", default=min(os.cpu_count() or 1, 8), type=int)
    parser.add_argument("--systems", help="only these, with commas between")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    options = parser.parse_args(words)
    if options.epochs < 2:
        parser.error("--epochs must be at least 2: the first one does not count")
    if min(options.samples, options.hidden, options.peer_batches, options.threads, *options.batch) < 1:
        parser.error("--samples, --hidden, --batch, --peer-batches and --threads must be at least 1")
    known = [*OURS, *(name for name, peer in PEERS.items() if peer.installed), "gru"]
    options.systems = options.systems.split(",") if options.systems else known
    if unknown := set(options.systems) - {*OURS, *PEERS, "gru"}:
        parser.error(f"--systems names {sorted(unknown)}; there are {', '.join([*OURS, *PEERS, 'gru'])}")
    if missing := set(options.systems) - set(known):
        parser.error(f"not installed: {', '.join(sorted(missing))}; pip install -e '.[peers]'")
    return options


def main(words: list[str]) -> int:
    options = arguments(words)
    try:
        training_device(options.device)
    except ConfigError as error:
        print(f"error: {error} (here: --device cpu)", file=sys.stderr)
        return 1
    torch.set_num_threads(options.threads)
    shape = Shape((140, options.hidden, options.hidden, 20))
    data = random_data(options, shape)
    where = torch.cuda.get_device_name() if options.device == "cuda" else processor()
    rows: list[Measured] = []
    for batch in options.batch:
        for system in options.systems:
            rows.append(measured(options, shape, data, batch, system))
            print(table(rows, options.samples)[-1], flush=True)
    lines = [
        f"{where}; PyTorch in full single precision.",
        "",
        *table(rows, options.samples),
        "",
        f"{options.samples} samples, {options.spikes:g} spikes each, {' - '.join(str(size) for size in shape.sizes)}, "
        f"100 steps of 10 ms. Ours: the fastest of epochs 2 to {options.epochs}, data and validation on "
        f"{VALIDATION_SAMPLES} samples included. Peers: {options.peer_batches} batches, data included, the mean of the "
        "faster half times the batches of an epoch.",
    ]
    append_results("Training on a GPU", f"python benchmarks/training_gpu.py {' '.join(words)}".rstrip(), lines)
    if options.json is not None:
        found = {"device": where, "samples": options.samples, "rows": [asdict(row) for row in rows]}
        with atomic_path(options.json) as temporary:
            temporary.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
