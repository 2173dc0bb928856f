"""Cost against batch, steps, width and maximum delay, with the bound that the number of spikes sets."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import torch
from peer_models import PEERS
from peer_ours import OURS, OurNetwork
from peer_shape import STEP_MS, Shape
from peer_speed import Timing, interleaved, random_batch
from torch import Tensor, nn

from spikebridge.training.compiled import compiled
from spikebridge.training.event_lists import Floats, Ints
from spikebridge.training.threads import in_blocks

mpl.use("Agg")
from matplotlib import pyplot as plt

FIGURE = Path(__file__).parent / "peers.svg"
DENSITY = 0.05
SWEEPS: dict[str, tuple[int, ...]] = {
    "batch": (8, 32, 64, 128),
    "steps": (50, 100, 200, 400),
    "width": (64, 128, 256, 512),
    "maximum delay / steps": (5, 12, 25, 50),
}
STYLES = {
    "ours": ("o-", "ours, narrow kernels"),
    "ours_start": ("s-", "ours, widest kernels"),
    "dcls_spikingjelly": ("^-", "DCLS + SpikingJelly, widest kernels"),
    "bound": ("k--", "bound by the spikes"),
}


@compiled
def add_rows(first: int, last: int, pick: Ints, rows: Floats, total: Floats) -> None:
    """Multiply-adds of the picked rows onto the totals of a thread."""
    for k in range(first, last):
        row = rows[pick[k]]
        into = total[k % total.shape[0]]
        for n in range(row.size):
            into[n] += row[n] * row[0]


def machine_rate(repeats: int = 5) -> float:
    """Multiply-adds per second of a loop over rows of 256 floats in the cache, on the threads of PyTorch."""
    rng = np.random.default_rng(0)
    rows, total = rng.random((64, 256), np.float32), np.zeros((4, 256), np.float32)
    pick = rng.integers(0, len(rows), 400_000)
    add_rows(0, 1, pick, rows, total)
    fastest = float("inf")
    for _ in range(repeats):
        started = time.perf_counter()
        in_blocks(len(pick), lambda first, last: add_rows(first, last, pick, rows, total.copy()))
        fastest = min(fastest, time.perf_counter() - started)
    return pick.size * rows.shape[1] / fastest


def spike_operations(counts: Tensor, rates_hz: list[float], shape: Shape, *, recurrent: bool) -> float:
    """Multiply-adds that the spikes of a batch cannot do without: see the text in `peers.py`."""
    batch, steps, _ = counts.shape
    spikes = [float(torch.count_nonzero(counts))]
    spikes += [
        rate / 1000.0 * STEP_MS * batch * steps * size for rate, size in zip(rates_hz, shape.sizes[1:-1], strict=True)
    ]
    total = 0.0
    for k, fired in enumerate(spikes):
        targets = shape.sizes[k + 1] + (shape.sizes[k] if recurrent and k > 0 else 0)
        total += fired * targets * (2 if k == 0 else 3)
    return total


def point(batch: int, steps: int, width: int, delay_steps: int, rate: float, repeats: int) -> dict[str, float]:
    """Milliseconds per sample of ours, of the peer if installed, and the bound."""
    shape = Shape((140, width, width, 20), delay_steps)
    counts, labels = random_batch(batch, steps, shape, DENSITY)
    networks: dict[str, tuple[str, nn.Module]] = {
        "ours": ("", OurNetwork(OURS["ours"], shape, counts)),
        "ours_start": ("", OurNetwork(OURS["ours"], shape, counts, done=0.0)),
    }
    peer = PEERS["dcls_spikingjelly"]
    if peer.installed:
        networks["dcls_spikingjelly"] = ("", peer.build(shape))
    timings: dict[str, Timing] = interleaved(networks, counts, labels, repeats)
    found = {name: timing.best_s * 1000.0 / batch for name, timing in timings.items()}
    operations = spike_operations(counts, timings["ours"].rates_hz, shape, recurrent=True)
    return found | {"bound": operations / rate * 1000.0 / batch}


def curves(rate: float, repeats: int, sweeps: dict[str, tuple[int, ...]] | None = None) -> dict[str, Any]:
    """Every sweep around 64 samples, 100 steps, width 256 and delays of 25 steps; drawn into `FIGURE`."""
    found: dict[str, Any] = {}
    for number, (name, values) in enumerate((sweeps or SWEEPS).items()):
        found[name] = {}
        for value in values:
            setting = [64, 100, 256, 25]
            setting[number] = value
            found[name][value] = point(*setting, rate, repeats)
            print(f"{name} {value}: " + ", ".join(f"{k} {v:.3g} ms" for k, v in found[name][value].items()), flush=True)
    draw(found, FIGURE)
    return found


def draw(found: dict[str, Any], path: Path) -> None:
    figure, axes = plt.subplots(1, len(found), figsize=(14, 3.9), layout="constrained", sharey=True, squeeze=False)
    for axis, (name, values) in zip(axes[0], found.items(), strict=True):
        for key, (style, label) in STYLES.items():
            points = [(value, costs[key]) for value, costs in values.items() if key in costs]
            if points:
                axis.loglog(*zip(*points, strict=True), style, label=label, markersize=5)
        axis.set(xlabel=name)
        axis.set_xticks(list(values), labels=[str(value) for value in values])
        axis.minorticks_off()
        axis.grid(alpha=0.3)
    axes[0][0].set(ylabel="forward and backward / ms per sample")
    axes[0][0].legend(fontsize=8)
    figure.savefig(path)
    plt.close(figure)
