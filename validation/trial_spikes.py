"""Spikes of trials in continuous time, as files of the field hold them, and the way onto a grid."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spikebridge.bridge.arrays import FloatArray, IntArray
from spikebridge.bridge.errors import DataError
from spikebridge.bridge.spikes import SpikeTrains
from spikebridge.bridge.timing import timestep
from spikebridge.validation.compare_activity import Activity

log = logging.getLogger("spikebridge")

FINE_STEP_MS = 0.1
"""The grid of spikes whose file names none."""


@dataclass(frozen=True, slots=True, eq=False)
class PopulationSpikes:
    """Spikes of one population, in any order.

    Attributes:
        time_ms: (E,) from the start of the trial.
        neuron, trial: (E,) which.
        n_neurons: size of the population, silent neurons included.
    """

    time_ms: FloatArray
    neuron: IntArray
    trial: IntArray
    n_neurons: int


@dataclass(frozen=True, slots=True, eq=False)
class TrialSpikes:
    """What was read from a file.

    Attributes:
        populations: by name.
        duration_ms: (S,) length of every trial.
        labels: (S,) stimulus of every trial, None where unknown.
        step_ms: grid that the file names, None where it names none.
        origin: what it is, in words.
        network_sha256, trials_sha256: of a recording of ours, else None.
    """

    populations: Mapping[str, PopulationSpikes]
    duration_ms: FloatArray
    labels: IntArray | None
    step_ms: float | None
    origin: str
    network_sha256: str | None = None
    trials_sha256: str | None = None


def class_numbers(labels: Sequence[object]) -> IntArray:
    """(S,) whole numbers as they are, anything else numbered in the order of its text."""
    values = np.asarray(labels)
    if values.dtype.kind in "iu":
        return values.astype(np.int64)
    return np.unique([str(label) for label in labels], return_inverse=True)[1].astype(np.int64)


def on_grid(spikes: TrialSpikes, name: str, path: Path, duration_ms: float | None) -> Activity:
    """Put spikes on the grid that their file names, else on one of 0.1 ms.

    Args:
        spikes: what was read.
        name: of the activity.
        path: of the file, for messages.
        duration_ms: use only so much of every trial; None where all last equally long.

    Raises:
        DataError: no trials, trials of different lengths without `duration_ms`, or shorter than it; spikes before the
            start of a trial.
    """
    if not spikes.duration_ms.size:
        raise DataError("has no trials, so there is nothing to compare", path=path)
    step_ms = spikes.step_ms or FINE_STEP_MS
    shortest, longest = float(spikes.duration_ms.min()), float(spikes.duration_ms.max())
    if duration_ms is None and longest - shortest > step_ms / 2:
        raise DataError(
            f"its trials last from {shortest:g} to {longest:g} ms, and are compared over equal times only; use the "
            f"first of each with --duration-ms {shortest:g}, or less",
            path=path,
        )
    wanted = shortest if duration_ms is None else duration_ms
    if wanted > shortest + step_ms / 2:
        short = int(spikes.duration_ms.argmin())
        raise DataError(f"lasts {shortest:g} ms, shorter than the {wanted:g} ms asked for", path=path, sample=short)
    n_steps = int(timestep(wanted, step_ms))
    if n_steps < 1:
        raise DataError(f"trials of {wanted:g} ms are shorter than a step of {step_ms:g} ms", path=path)
    trials = spikes.duration_ms.size
    populations = {
        key: _trains(each, trials, n_steps, step_ms, f"{path}, population {key}", path)
        for key, each in spikes.populations.items()
    }
    origin = f"{spikes.origin}, {trials} trials of {n_steps * step_ms:g} ms on a grid of {step_ms:g} ms"
    return Activity(name, populations, spikes.labels, origin, spikes.network_sha256, spikes.trials_sha256)


def _trains(spikes: PopulationSpikes, trials: int, n_steps: int, step_ms: float, where: str, path: Path) -> SpikeTrains:
    if spikes.time_ms.size and not (np.isfinite(spikes.time_ms) & (spikes.time_ms > -step_ms / 1000)).all():
        first = int(spikes.trial[np.argmin(np.where(np.isfinite(spikes.time_ms), spikes.time_ms, -np.inf))])
        raise DataError("has a spike before the start of the trial, or at no finite time", path=path, sample=first)
    step = timestep(np.minimum(spikes.time_ms, (n_steps + 1) * step_ms), step_ms)
    kept = step < n_steps
    if not kept.all():
        log.info("%s: %d of %d spikes lie past the end of the time compared", where, int((~kept).sum()), kept.size)
    order = np.argsort(spikes.trial[kept], kind="stable")
    offsets = np.concatenate([[0], np.cumsum(np.bincount(spikes.trial[kept], minlength=trials))])
    steps, neurons = step[kept][order].astype(np.int32), spikes.neuron[kept][order].astype(np.int32)
    return SpikeTrains(steps, neurons, offsets.astype(np.int64), n_steps, spikes.n_neurons, step_ms)
