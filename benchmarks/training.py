"""Compiled loops against PyTorch's own operations: forward and backward of the spoken-digit network, per step.

    python benchmarks/training.py --data DATA [--batch 64] [--repeats 5]

One batch of real samples, narrow delay kernels, the same network and threads; the fastest of the repeats. `plain` is
`kernels = "plain"`: dense convolutions for delays, a Python loop over time, checkpointing over time from 200 steps on.
Memory is the peak of a process above its peak while loading the data, 0 where it stayed below. Appended to
RESULTS.md.
"""

import argparse
import time
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import torch
from common import append_results, peak_mib
from torch.nn import functional

from spikebridge.bridge.decoding import Decoding
from spikebridge.cli.config import load_config
from spikebridge.training.config import Phase, ScheduleConfig, TrainingConfig
from spikebridge.training.dataset import dense_counts, load_dataset
from spikebridge.training.loss import decode_tensor, rate_penalty
from spikebridge.training.network import SpikingNetwork, scale_weights_to_data

STEPS_MS = (10.0, 5.0, 2.0, 1.0)
KERNELS = ("plain", "fused")


def measure(
    kernels: str, step_ms: float, config: TrainingConfig, data_folder: Path, repeats: int
) -> tuple[float, float]:
    """Seconds of the fastest batch and MiB above the loaded data, in a process of its own."""
    torch.set_num_threads(config.threads)
    config = replace(config, kernels=kernels)
    data = load_dataset(config.data, data_folder, seed=0)
    events = data.train.events.select(range(config.optimiser.batch_size))
    labels = data.train.labels[: config.optimiser.batch_size]
    counts = dense_counts(events, data.train.duration_ms, step_ms)
    network = SpikingNetwork(config, len(data.class_names), seed=0)
    scale_weights_to_data(network, dense_counts(events, data.train.duration_ms, 10.0), 10.0)
    network.set_progress(1.0)
    before, best = peak_mib(), float("inf")
    for _ in range(repeats):
        started = time.perf_counter()
        activity = network(counts, step_ms)
        scores = decode_tensor(activity.potentials, Decoding(config.network.decoding), step_ms / 10.0)
        loss = functional.cross_entropy(scores, labels) + rate_penalty(activity.spikes, step_ms, config.regulariser)
        torch.autograd.backward(loss)
        best = min(best, time.perf_counter() - started)
    return best, peak_mib() - before


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, type=Path)
    parser.add_argument("--batch", default=64, type=int)
    parser.add_argument("--repeats", default=5, type=int)
    options = parser.parse_args()
    config = load_config("examples/spoken_digits.toml", [f"optimiser.batch_size={options.batch}"]).training
    config = replace(config, schedule=ScheduleConfig(phases=(Phase(share=1.0, steps_ms=(10.0, 5.0, 2.0, 1.0)),)))
    lines = ["| step | plain | fused | ratio | memory, plain | memory, fused |", "|---|---|---|---|---|---|"]
    for step_ms in STEPS_MS:
        found = {}
        for kernels in KERNELS:
            with get_context("spawn").Pool(1) as pool:
                arguments = (kernels, step_ms, config, options.data, options.repeats)
                found[kernels] = pool.apply(measure, arguments)
        (plain, plain_mib), (fused, fused_mib) = found["plain"], found["fused"]
        rate = [f"{options.batch / seconds:.0f} samples/s" for seconds in (plain, fused)]
        memory = [f"{mib:.0f} MiB" for mib in (plain_mib, fused_mib)]
        lines.append(f"| {step_ms:g} ms | {rate[0]} | {rate[1]} | {plain / fused:.1f} | {memory[0]} | {memory[1]} |")
        print(lines[-1], flush=True)
    lines += [
        "",
        f"Batches of {options.batch} samples, {config.threads} threads. Memory: peak of the process above its peak "
        "while loading the data; 0 where it stayed below.",
    ]
    append_results(
        "Training: compiled loops against PyTorch's operations",
        f"python benchmarks/training.py --data DATA --batch {options.batch} --repeats {options.repeats}",
        lines,
    )


if __name__ == "__main__":
    main()
