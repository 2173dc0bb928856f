"""Ours against other trainers, in one process run: speed, and accuracy on the spoken digits.

    python benchmarks/peers.py --speed-only [--json FILE] [--repeats 7] [--no-curves]
    python benchmarks/peers.py --data DATA [--seeds 5] [--epochs 30] [--systems ours,gru] [--out runs/peers]

The peers come from the package registry: `pip install -c constraints.txt -e '.[dev,peers]'`; one that is not installed
is left out. Speed: forward, loss and backward of the same random batch (64 samples, 100 steps of 10 ms, 5 % of the
entries 1; 140 - 256 - 256 - 20), all systems in turn, the fastest of the repeats. Accuracy: the network of the example
on one grid of 10 ms, trained by each; what lies in --out already is not computed again, so an interrupted run
continues. Results are appended to RESULTS.md.
"""

import argparse
import json
import os
import platform
from pathlib import Path
from typing import Any

from common import append_results, processor  # first: it sets how threads wait, before PyTorch starts any

# isort: split
import torch
from peer_accuracy import PACKAGES, RATES, SYSTEMS, Search, accuracy_table, installed, results
from peer_curves import FIGURE, curves, machine_rate
from peer_models import PEERS
from peer_ours import RATE_HZ
from peer_shape import Shape
from peer_speed import as_json, interleaved, our_networks, peer_networks, random_batch, table
from peer_training import LABELS, Job

from spikebridge.bridge.provenance import versions
from spikebridge.bridge.storage import atomic_path

DENSITY = 0.05


def speed(options: argparse.Namespace) -> dict[str, Any]:
    """Measure, append to RESULTS.md, and return what goes into the JSON file."""
    shape = Shape()
    counts, labels = random_batch(options.batch, options.steps, shape, DENSITY)
    networks = our_networks(shape, counts) | peer_networks(shape, counts)
    timings = interleaved(networks, counts, labels, options.repeats)
    found = as_json(timings, options.batch)
    found |= {
        "settings": {
            "batch": options.batch,
            "steps": options.steps,
            "sizes": shape.sizes,
            "delay_steps": shape.delay_steps,
            "input_density": DENSITY,
            "rate_hz": RATE_HZ,
            "threads": options.threads,
            "repeats": options.repeats,
        },
        "versions": {
            name.removeprefix("version."): value for name, value in versions("torch", "numba", *PACKAGES).items()
        },
        "machine": {"processor": processor(), "cores": os.cpu_count(), "system": platform.system()},
    }
    lines = [*table(timings, options.batch), "", *said(found)]
    if not options.no_curves:
        found["multiply_adds_per_s"] = machine_rate()
        found["curves"] = curves(found["multiply_adds_per_s"], options.curve_repeats)
        lines += [
            "",
            f"![cost against batch, steps, width and maximum delay]({FIGURE.name})",
            "",
            "In the curves, the bound is what the spikes cost if nothing else did: every spike that a projection "
            "carries meets every target once forward, once for the gradient of the weight and, from neurons, once "
            f"for that of the spike, at {found['multiply_adds_per_s'] / 1e9:.1f} billion multiply-adds per second, "
            "measured with the same threads on rows of 256 floats in the cache.",
        ]
    command = f"python benchmarks/peers.py --speed-only --batch {options.batch} --repeats {options.repeats}"
    append_results("Training: against other libraries, speed", command, lines)
    return found


def said(found: dict[str, Any]) -> list[str]:
    """The ratios in words."""
    wall, core = found["ratio"], found["ratio_core_time"]
    words = {
        "dcls_spikingjelly_lif": "LIF with delays against DCLS + SpikingJelly, like for like, over a training",
        "dcls_spikingjelly": "recurrent adLIF with delays against DCLS + SpikingJelly, over a training",
        "best_without_delays": "recurrent adLIF without delays against the fastest peer without delays",
        "best_without_delays_for_delays": "recurrent adLIF with delays against that peer",
        "best_without_delays_lif": "LIF without recurrence and delays against that peer",
    }
    for name in ("dcls_spikingjelly_lif", "dcls_spikingjelly"):
        words[f"{name}_start"] = (
            f"{words[name].removesuffix(', over a training')}, at its start, kernels at their widest"
        )
        words[f"{name}_end"] = (
            f"{words[name].removesuffix(', over a training')}, from a quarter of it on, kernels narrow"
        )
        words[f"{name}_wide"] = f"{words[name]}, kernels of DCLS at their widest throughout"
    missing = [peer.label for peer in PEERS.values() if not peer.installed]
    return [
        "| ratio of samples/s | wall time | core time |",
        "|---|---|---|",
        *(f"| {words[name]} | {value:.2f} | {core[name]:.2f} |" for name, value in wall.items()),
        "",
        f"Ours has kernels of the end of a training and {RATE_HZ:g} Hz in hidden layers where nothing else is said; "
        "its cost depends on both. Over a training: kernels narrow during the first quarter, trapezoids between the "
        "rows above. One weight in 25 of the narrow kernels of DCLS is subnormal, below 1.2e-38 and not 0, with which "
        "its convolution is slow on some processors; its widest kernels have none, nor would others if PyTorch took "
        "such numbers for 0 in all its threads (torch.set_flush_denormal before they begin). "
        "Peers without normalisation were given the same rate by scaling their weights. LeakyParallel has "
        "no reset and is left out of the fastest peer.",
        *([f"Not installed: {', '.join(missing)}."] if missing else []),
    ]


def accuracy(options: argparse.Namespace) -> None:
    """Train every system, and append the table to RESULTS.md."""
    systems = options.systems.split(",") if options.systems else [name for name in SYSTEMS if installed(name)]
    if unknown := set(systems) - set(LABELS):
        raise SystemExit(f"error: --systems names {sorted(unknown)}; there are {', '.join(LABELS)}")
    hidden = tuple(int(size) for size in options.hidden.split(","))
    rates = tuple(float(rate) for rate in options.rates.split(","))
    job = Job("", 0, options.epochs, None, options.config, hidden, options.threads)
    dropouts = tuple(float(share) for share in options.dropouts.split(",")) if options.dropouts else ()
    search = Search(rates, dropouts, options.search_seeds)
    found = results(systems, job, options.seeds, search, options.data, options.out)
    lines = [
        *accuracy_table(found),
        "",
        f"Test samples right, percent; mean ± standard deviation over {options.seeds} seeds. {options.epochs} epochs; "
        f"hidden populations of {options.hidden}; bins of 10 ms; the same augmentation for all networks. "
        f"Learning rate: of {options.rates} the one best on validation at seeds below {options.search_seeds}, "
        "for every network"
        + (f", and of DCLS a dropout of 0.4, as published, or {options.dropouts}" if options.dropouts else "")
        + "; penalty of the machines: of three. Epoch chosen on the held-out speaker. Core seconds per epoch with "
        f"validation, {options.threads} threads, of the fastest seed (of the machines: their whole fit). Memory: peak "
        "of a process of its own after the data were loaded, and above what it held then.",
    ]
    command = (
        f"python benchmarks/peers.py --data DATA --seeds {options.seeds} --epochs {options.epochs} "
        f"--hidden {options.hidden} --rates {options.rates} --threads {options.threads} --config {options.config}"
        f" --search-seeds {options.search_seeds}"
    )
    command += f" --dropouts {options.dropouts}" if options.dropouts else ""
    command += f" --systems {options.systems}" if options.systems else ""
    append_results("Accuracy on spoken digits: against other libraries", command, lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--speed-only", action="store_true", help="no training")
    parser.add_argument("--json", type=Path, metavar="FILE", help="with --speed-only: write ratios and figures there")
    parser.add_argument("--batch", default=64, type=int)
    parser.add_argument("--steps", default=100, type=int)
    parser.add_argument("--threads", default=2, type=int)
    parser.add_argument("--repeats", default=7, type=int)
    parser.add_argument("--curve-repeats", default=3, type=int)
    parser.add_argument("--no-curves", action="store_true")
    parser.add_argument("--data", type=Path, help="folder of the spoken digits")
    parser.add_argument("--config", default="examples/spoken_digits.toml")
    parser.add_argument("--out", default=Path("runs/peers"), type=Path, help="where results of trainings are kept")
    parser.add_argument("--seeds", default=5, type=int)
    parser.add_argument("--epochs", default=30, type=int)
    parser.add_argument("--hidden", default="128,128")
    parser.add_argument("--rates", default=",".join(f"{rate:g}" for rate in RATES), help="learning rates tried")
    parser.add_argument("--dropouts", help="tried beside the published one of peers that have dropout")
    parser.add_argument("--search-seeds", default=1, type=int, help="at how many seeds settings are tried")
    parser.add_argument("--systems", help="only these, with commas between")
    options = parser.parse_args()
    if not options.speed_only and options.data is None:
        parser.error("give --data FOLDER, or --speed-only")
    torch.set_num_threads(options.threads)
    if not options.speed_only:
        accuracy(options)
        return
    found = speed(options)
    if options.json is not None:
        with atomic_path(options.json) as temporary:
            temporary.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
