"""What settings are worth on the spoken digits: trainings with settings drawn at random, each with a seed of its own.

    python benchmarks/factors.py --data DATA [--coarse 64] [--fine 22] [--workers 2]

Judged by the held-out training speaker alone; the test set is not opened. Every training tells something of every
setting (a random fraction of a factorial design; Box, Hunter & Hunter 2005, chapter 6): effects are a least-squares fit
of accuracy by speaker and setting, without interactions. The seeds are none that other studies report. What lies in
--out is not trained again, whatever the sources of the library are by then. Appends to RESULTS.md.
"""

import argparse
import json
import random
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from common import append_results
from frontier import GRID

from spikebridge.bridge.provenance import source_sha256
from spikebridge.bridge.storage import atomic_path
from spikebridge.cli.config import load_config
from spikebridge.training.dataset import load_dataset
from spikebridge.training.fit import fit

LATE_EPOCHS = 5
"""What counts is the mean of the accuracy of the best epoch, which is optimistic, and of that of the last ones."""

RIDGE = 0.5
"""Trainings worth of doubt that a setting has any effect; it keeps levels that few trainings have near 0."""

YES_NO = ("true", "false")

type Result = dict[str, Any]


class Stage(NamedTuple):
    """Settings, and the values of which each training draws one."""

    first_seed: int
    factors: dict[str, tuple[Any, ...]]


STAGES = {
    "coarse": Stage(
        1000,
        {
            "network.dropout": (0.1, 0.2, 0.35, 0.5),
            "network.recurrent": YES_NO,
            "neuron.adaptation": YES_NO,
            "network.max_delay_ms": (150.0, 250.0, 350.0),
            "optimiser.weight_rate": (0.0025, 0.005, 0.01),
            "optimiser.weight_decay": (1e-5, 1e-4),
            "optimiser.batch_size": (32, 64),
            "optimiser.delay_rate_ms": (2.0, 6.0),
            "regulariser.high_hz": (2.0, 5.0),
            "network.initial_potential_std": (0.4, 0.8),
            "network.initial_recurrent_scale": (0.3, 1.0),
            "network.readout_delays": YES_NO,
            "neuron.surrogate_width": (0.5, 1.0),
            "augmentation.shift_channels": (3, 6, 10),
            "augmentation.stretch_time": (0.0, 0.2),
            "augmentation.drop_spikes": (0.0, 0.3),
            "augmentation.blend_share": (0.0, 0.5),
        },
    ),
    "fine": Stage(
        2000,
        {
            "network.dropout": (0.0, 0.1, 0.2),
            "network.recurrent": YES_NO,
            "neuron.adaptation": YES_NO,
            "network.max_delay_ms": (100.0, 150.0, 250.0),
            "optimiser.weight_rate": (0.005, 0.01, 0.02),
            "optimiser.weight_decay": (1e-5, 1e-4, 1e-3),
            "optimiser.neuron_rate": (0.01, 0.03),
            "regulariser.high_hz": (1.0, 2.0, 4.0),
            "network.initial_potential_std": (0.4, 0.8, 1.2),
            "network.readout_delays": YES_NO,
            "optimiser.sigma_share": (0.25, 0.5),
            "neuron.tau_membrane_ms": ("[20.0, 100.0]", "[10.0, 50.0]"),
            "optimiser.gradient_norm": (1.5, 5.0),
            "optimiser.batch_size": (32, 64),
        },
    ),
}


def drawn(stage: Stage, seed: int) -> dict[str, str]:
    """The settings of one training."""
    rng = random.Random(seed)
    return {name: str(rng.choice(values)) for name, values in stage.factors.items()}


def example(config: str) -> dict[str, str]:
    """What the configuration has for every factor, as values are written here."""
    training = load_config(config, list(GRID)).training
    found = {}
    for stage in STAGES.values():
        for name, values in stage.factors.items():
            section, key = name.split(".")
            value = getattr(getattr(training, section), key)
            text = str(value).lower() if isinstance(value, bool) else str(value).replace("(", "[").replace(")", "]")
            found[name] = next(str(v) for v in values if str(v) == text or _same(v, value))
    return found


def _same(listed: object, value: object) -> bool:
    return isinstance(listed, float | int) and isinstance(value, float | int) and float(listed) == float(value)


def trained(settings: dict[str, str], seed: int, shared: tuple[str, ...], config: str, data: Path, out: Path) -> Result:
    """One training: what a child process does."""
    resolved = load_config(config, [*shared, "threads=1", *(f"{k}={v}" for k, v in settings.items())]).training
    dataset = load_dataset(resolved.data, data, seed)
    run = fit(resolved, dataset, seed, out / f"training-{seed}", progress=False)
    return {
        "seed": seed,
        "chosen": settings,
        "held": list(dataset.split.held_out_speakers or ()),
        "best": run.history[run.best_epoch].accuracy_validation,
        "late": float(np.mean([epoch.accuracy_validation for epoch in run.history[-LATE_EPOCHS:]])),
        "code": source_sha256("bridge", "training"),
    }


def effects(results: list[Result], base: dict[str, str]) -> tuple[list[tuple[str, int, float, float]], float]:
    """Points of accuracy by which a value differs from that of `base`, and what is left unexplained.

    Returns:
        Name and value, how many trainings had it, effect and its standard error; the deviation of a training.
    """
    speakers = sorted({result["held"][0] for result in results})
    columns = [[result["held"][0] == speaker for result in results] for speaker in speakers]
    names: list[tuple[str, int]] = []
    for name, usual in base.items():
        values = [str(result["chosen"].get(name, usual)) for result in results]
        for value in sorted(set(values) - {usual}):
            columns.append([each == value for each in values])
            names.append((f"{name} = {value}, not {usual}", sum(columns[-1])))
    design = np.array(columns, dtype=np.float64).T
    accuracy = np.array([50 * (result["best"] + result["late"]) for result in results])
    prior = np.diag([0.0] * len(speakers) + [RIDGE] * len(names))
    inverse = np.linalg.inv(design.T @ design + prior)
    fitted = inverse @ design.T @ accuracy
    left = accuracy - design @ fitted
    deviation = float(np.sqrt(left @ left / max(len(accuracy) - design.shape[1], 1)))
    errors = deviation * np.sqrt(np.diag(inverse))
    of_settings = zip(names, fitted[len(speakers) :], errors[len(speakers) :], strict=True)
    return [(name, count, float(effect), float(error)) for (name, count), effect, error in of_settings], deviation


def collect(numbers: dict[str, int], options: argparse.Namespace, shared: tuple[str, ...]) -> list[Result]:
    """The results of all trainings, from their files or trained now."""
    options.out.mkdir(parents=True, exist_ok=True)
    jobs = {
        stage.first_seed + k: drawn(stage, stage.first_seed + k)
        for name, stage in STAGES.items()
        for k in range(numbers[name])
    }
    files = {seed: options.out / f"{seed}.json" for seed in jobs}
    missing = [seed for seed, file in files.items() if not file.exists()]
    with ProcessPoolExecutor(options.workers, mp_context=get_context("spawn"), max_tasks_per_child=1) as pool:
        arguments = (shared, options.config, options.data, options.out)
        running = {pool.submit(trained, jobs[seed], seed, *arguments): seed for seed in missing}
        for number, future in enumerate(as_completed(running), 1):
            with atomic_path(files[running[future]]) as temporary:
                temporary.write_text(json.dumps(future.result(), indent=1) + "\n", encoding="utf-8")
            print(f"{number}/{len(missing)} {future.result()['best']:.3f} {future.result()['chosen']}", flush=True)
    return [json.loads(file.read_text(encoding="utf-8")) for file in files.values()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, type=Path, help="folder of the spoken digits")
    parser.add_argument("--config", default="examples/spoken_digits.toml")
    parser.add_argument("--coarse", default=64, type=int, help="trainings of the first stage")
    parser.add_argument("--fine", default=22, type=int, help="trainings of the second stage")
    parser.add_argument("--epochs", default=20, type=int)
    parser.add_argument("--hidden", default="128,128")
    parser.add_argument("--workers", default=2, type=int, help="trainings at a time, one thread each")
    parser.add_argument("--out", default=Path("runs/factors"), type=Path)
    options = parser.parse_args()
    hidden = [int(size) for size in options.hidden.split(",")]
    shared = (*GRID, f"optimiser.epochs={options.epochs}", f"network.hidden={hidden}")
    found = collect({"coarse": options.coarse, "fine": options.fine}, options, shared)
    rows, deviation = effects(found, example(options.config))
    lines = [
        "| setting | trainings | points |",
        "|---|---|---|",
        *(f"| {name} | {count} | {effect:+.1f} ± {error:.1f} |" for name, count, effect, error in rows),
        "",
        f"Accuracy on the held-out training speaker, {len(found)} trainings of one seed each, {options.epochs} epochs, "
        f"hidden populations of {options.hidden}, bins of 10 ms; effects ± standard error of a fit without "
        f"interactions, which leaves a deviation of {deviation:.1f} points. The test set was not opened.",
    ]
    command = (
        f"python benchmarks/factors.py --data DATA --coarse {options.coarse} --fine {options.fine} "
        f"--epochs {options.epochs} --hidden {options.hidden}"
    )
    append_results("Settings of a training, on held-out speakers", command, lines)


if __name__ == "__main__":
    main()
