"""Accuracy of the spiking network and of support vector machines, on the same files, split and test samples.

    python benchmarks/accuracy.py --data DATA [--out runs/digits5] [--config examples/spoken_digits.toml] [--seeds 5]

The seed draws the held-out speaker. Network and machines are fitted on the same samples, choose their epoch or their
penalty on the same held-out ones, and read the test set once. `seen` are test samples of speakers that were fitted on,
`unseen` of those who took no part in the training. Trainings found in --out are used, so the benchmark can follow a
run. Results are appended to RESULTS.md.
"""

import argparse
from pathlib import Path

import numpy as np
from common import append_results
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.svm import SVC

from spikebridge.bridge.recording import Trials
from spikebridge.bridge.recording_file import load_recording
from spikebridge.bridge.spikes import Events, bin_events
from spikebridge.bridge.timing import whole_steps
from spikebridge.cli.config import load_config
from spikebridge.cli.stages import REFERENCE, seeds_and_folders, train
from spikebridge.training.config_data import DataConfig
from spikebridge.training.data.split import Split, split_validation
from spikebridge.training.dataset import read_events

GROUPS = ("all", "seen", "unseen")
PENALTIES = (1.0, 10.0, 100.0)
RELATIVE_BINS = 10


def binned(events: Events, config: DataConfig) -> np.ndarray:
    """The network's own input: counts per channel and training step, flattened; square roots even out the variance."""
    trains, _ = bin_events(events, config.step_ms, whole_steps("duration", config.duration_ms, config.step_ms))
    return np.sqrt(trains.counts(np.float64).reshape(events.n_samples, -1))


def relative(events: Events, config: DataConfig) -> np.ndarray:
    """Counts per channel in ten bins between the first and the last spike of each sample, flattened, square roots."""
    features = np.zeros((events.n_samples, RELATIVE_BINS, events.n_channels))
    for sample in range(events.n_samples):
        own = slice(events.offsets[sample], events.offsets[sample + 1])
        time_s = events.time_s[own]
        share = (time_s - time_s.min()) / (np.ptp(time_s) + 1e-9)
        np.add.at(features[sample], ((share * RELATIVE_BINS).astype(int), events.channel[own]), 1)
    return np.sqrt(features.reshape(events.n_samples, -1))


def machine(x: np.ndarray, x_test: np.ndarray, labels: np.ndarray, test_labels: np.ndarray, split: Split) -> np.ndarray:
    """Which test samples an RBF machine decides right; its penalty is chosen on the held-out speaker."""
    fitted, held_out = x[split.train], x[split.validation]
    gamma = 1.0 / (x.shape[1] * fitted.var())  # the library's "scale"; kernels by matrix products, many times faster
    kernel = rbf_kernel(fitted, fitted, gamma)
    machines = [SVC(C=c, kernel="precomputed").fit(kernel, labels[split.train]) for c in PENALTIES]
    to_held_out = rbf_kernel(held_out, fitted, gamma)
    best = max(machines, key=lambda m: m.score(to_held_out, labels[split.validation]))
    return np.asarray(best.predict(rbf_kernel(x_test, fitted, gamma)) == test_labels)


def by_group(right: np.ndarray, trials: Trials) -> list[float]:
    assert trials.seen is not None
    assert trials.held_out is not None
    unseen = ~trials.seen & ~trials.held_out
    return [float(right.mean()), float(right[trials.seen].mean()), float(right[unseen].mean())]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, type=Path)
    parser.add_argument("--config", default="examples/spoken_digits.toml")
    parser.add_argument("--out", default=Path("runs/digits5"), type=Path)
    parser.add_argument("--seeds", default=5, type=int)
    options = parser.parse_args()
    config = load_config(options.config, [f"realisations={options.seeds}"])
    data = config.training.data
    fitted, test = read_events(data, options.data)
    found: dict[str, list[list[float]]] = {
        "spiking network": [],
        "SVM, binned counts": [],
        "SVM, relative time bins": [],
    }
    features = {
        "SVM, binned counts": (binned(fitted.events, data), binned(test.events, data)),
        "SVM, relative time bins": (relative(fitted.events, data), relative(test.events, data)),
    }
    rates: list[float] = []
    for seed, folder in seeds_and_folders(config, options.out):
        train(config, options.data, seed, folder, progress=True)
        reference = load_recording(folder / REFERENCE)
        right = reference.decisions == reference.trials.labels
        found["spiking network"].append(by_group(right, reference.trials))
        spikes = sum(trains.n_spikes for trains in reference.spikes.values())
        neurons = sum(trains.n_neurons for trains in reference.spikes.values())
        rates.append(spikes / neurons / reference.trials.n_samples / reference.duration_s)
        split = split_validation(
            fitted, fraction=data.validation_share, seed=seed, speakers=data.validation_speakers or None
        )
        for name, (x, x_test) in features.items():
            right = machine(x, x_test, fitted.labels, test.labels, split)
            found[name].append(by_group(right, reference.trials))
        print(f"seed {seed}: " + "; ".join(f"{name} {values[-1][0]:.3f}" for name, values in found.items()), flush=True)
    lines = ["| | " + " | ".join(GROUPS) + " |", "|---|" + "---|" * len(GROUPS)]
    for name, values in found.items():
        mean, deviation = np.mean(values, axis=0), np.std(values, axis=0, ddof=1) if len(values) > 1 else np.zeros(3)
        cells = [f"{m:.3f} ± {d:.3f}" for m, d in zip(mean, deviation, strict=True)]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    lines.append("")
    if config.training.augmentation.shift_channels:
        lines.append("The network's samples were shifted along the channels at random, those of the machines were not.")
    lines.append(
        f"Mean rate of hidden neurons {np.mean(rates):.2f} Hz. Mean ± standard deviation over {options.seeds} seeds."
    )
    append_results(
        "Accuracy on spoken digits",
        "python benchmarks/accuracy.py --data DATA "
        f"--config {options.config} --seeds {options.seeds} --out {options.out}",
        lines,
        {"train": fitted.source_sha256[:16], "test": test.source_sha256[:16]},
    )


if __name__ == "__main__":
    main()
