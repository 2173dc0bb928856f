"""NWB files through pynwb: one unit per neuron, one row of the trials table per sample, times in seconds of a session.

Trials follow one another with a pause, because a unit of NWB has one list of spike times. `notes` (JSON) has what NWB
has no place for. Read are files with a `units` and a `trials` table, ours or another's.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from spikebridge.bridge.arrays import FloatArray, IntArray
from spikebridge.bridge.deferred_signals import signals_deferred
from spikebridge.bridge.errors import DataError
from spikebridge.bridge.hdf5_output import Hdf5Output
from spikebridge.bridge.recording import Recording
from spikebridge.bridge.storage import atomic_path
from spikebridge.validation.neo_dependencies import require
from spikebridge.validation.trial_spikes import PopulationSpikes, TrialSpikes, class_numbers

PAUSE_S = 1.0
NO_DATE = datetime(1970, 1, 1, tzinfo=UTC)
"""NWB demands a date of the session; a simulation has none, and equal recordings make equal contents."""


def write_nwb(recording: Recording, path: Path) -> None:
    """Write a recording's spikes, whole or not at all.

    Raises:
        ConfigError: pynwb is not installed.
        DataError: there is no space for it.
    """
    pynwb = require("pynwb", "writing NWB files")
    trials = recording.trials
    file = pynwb.NWBFile(
        session_description=f"Spikes of a simulated network ({recording.executor}); 1970 stands for no date.",
        identifier=f"{recording.network_sha256[:16]}-{trials.source_sha256[:16]}-{recording.executor}",
        session_start_time=NO_DATE,
        notes=json.dumps({"spikebridge": _notes(recording)}),
    )
    starts_s = np.arange(trials.n_samples) * (recording.duration_s + PAUSE_S)
    observed_s = np.stack([starts_s, starts_s + recording.duration_s], axis=1)
    file.add_trial_column("sample", "index of the sample in the recording")
    file.add_trial_column("label", "stimulus class, a number")
    file.add_trial_column("class_name", "stimulus class, its name")
    for sample, (start, label) in enumerate(zip(starts_s.tolist(), trials.labels.tolist(), strict=True)):
        stop, class_name = start + recording.duration_s, trials.class_names[label]
        file.add_trial(start_time=start, stop_time=stop, sample=sample, label=label, class_name=class_name)
    file.units = pynwb.misc.Units(
        name="units", description="one per neuron; times are starts of steps", resolution=recording.step_ms / 1000.0
    )
    file.add_unit_column("population", "population of the network")
    file.add_unit_column("neuron", "index within the population")
    for name, trains in recording.spikes.items():
        order = np.lexsort((trains.step, trains.sample, trains.neuron))
        time_s = (starts_s[trains.sample] + trains.step * (trains.step_ms / 1000.0))[order]
        ends = np.cumsum(np.bincount(trains.neuron, minlength=trains.n_neurons))
        for neuron, times in enumerate(np.split(time_s, ends[:-1])[: trains.n_neurons]):
            file.add_unit(spike_times=times, obs_intervals=observed_s, population=name, neuron=neuron)
    # Opened here and not by pynwb: a full disk is noticed (see Hdf5Output), and a name without .nwb brings no warning.
    with (
        signals_deferred(),
        atomic_path(path) as temporary,
        Hdf5Output(temporary) as written,
        h5py.File(temporary, "w", driver="fileobj", fileobj=written) as opened,
        pynwb.NWBHDF5IO(mode="w", file=opened) as output,
    ):
        output.write(file)


def read_nwb(path: Path) -> TrialSpikes:
    """Read the spikes of an NWB file with units and trials.

    Populations are the values of the units' column `population`, else all units are one, `units`. Stimulus labels are
    the trials' column `label`, where there is one. Spikes between trials are left out.

    Raises:
        ConfigError: pynwb is not installed.
        DataError: missing, damaged, or without units or trials.
    """
    pynwb = require("pynwb", "reading NWB files")
    if not path.is_file():
        raise DataError("no such file", path=path)
    try:
        with pynwb.NWBHDF5IO(str(path), "r") as opened:
            return _spikes(opened.read(), path)
    except DataError:
        raise
    except (OSError, KeyError, RuntimeError, TypeError, ValueError) as error:  # what hdmf and h5py raise
        raise DataError(f"cannot be read as NWB ({error})", path=path) from error


def _notes(recording: Recording) -> dict[str, Any]:
    return {
        "populations": {name: trains.n_neurons for name, trains in recording.spikes.items()},
        "step_ms": recording.step_ms,
        "n_steps": recording.n_steps,
        "executor": recording.executor,
        "network_sha256": recording.network_sha256,
        "trials_source": recording.trials.source,
        "trials_sha256": recording.trials.source_sha256,
    }


def _spikes(file: Any, path: Path) -> TrialSpikes:
    for table, what in ((file.units, "units"), (file.trials, "trials")):
        if table is None or len(table) == 0:
            raise DataError(
                f"has no {what}; a reference needs a units table with spike times and a trials table",
                path=path,
                field=what,
            )
    ours = _our_notes(file.notes)
    start_s = np.asarray(file.trials["start_time"][:], dtype=np.float64)
    stop_s = np.asarray(file.trials["stop_time"][:], dtype=np.float64)
    if not (np.isfinite(start_s) & (stop_s > start_s)).all() or (start_s[1:] < stop_s[:-1]).any():
        raise DataError("trials must follow one another, each ending after its start", path=path, field="trials")
    sizes: dict[str, int] = dict(ours.get("populations", {}))
    named = file.units["population"][:] if "population" in file.units.colnames else ["units"] * len(file.units)
    parts: dict[str, list[tuple[FloatArray, IntArray, int]]] = {name: [] for name in sizes}
    for unit, name in enumerate(map(str, named)):
        mine = parts.setdefault(name, [])
        neuron = int(file.units["neuron"][unit]) if ours else len(mine)
        mine.append((*_within_trials(np.asarray(file.units["spike_times"][unit]), start_s, stop_s), neuron))
        sizes[name] = max(sizes.get(name, 0), neuron + 1)
    labels = file.trials["label"][:] if "label" in file.trials.colnames else None
    return TrialSpikes(
        {name: _joined(each, sizes[name]) for name, each in parts.items()},
        (stop_s - start_s) * 1000.0,
        None if labels is None else class_numbers(labels),
        ours.get("step_ms"),
        f"{ours['executor']}, from an NWB file" if ours else "an NWB file",
        ours.get("network_sha256"),
        ours.get("trials_sha256"),
    )


def _our_notes(notes: str | None) -> dict[str, Any]:
    """What `write_nwb` wrote, or nothing."""
    try:
        found = json.loads(notes or "")
    except ValueError:
        return {}
    ours = found.get("spikebridge", {}) if isinstance(found, dict) else {}
    return ours if isinstance(ours, dict) else {}


def _within_trials(time_s: FloatArray, start_s: FloatArray, stop_s: FloatArray) -> tuple[FloatArray, IntArray]:
    """Times in ms from the start of their trials, and the trials; a nanosecond before a start is at it."""
    trial = np.searchsorted(start_s, time_s + 1e-9, side="right") - 1
    inside = (trial >= 0) & (time_s < stop_s[np.maximum(trial, 0)])
    return (time_s[inside] - start_s[trial[inside]]) * 1000.0, trial[inside].astype(np.int64)


def _joined(parts: list[tuple[FloatArray, IntArray, int]], n_neurons: int) -> PopulationSpikes:
    if not parts:
        return PopulationSpikes(np.empty(0), np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64), n_neurons)
    lengths = [time_ms.size for time_ms, _, _ in parts]
    return PopulationSpikes(
        np.concatenate([time_ms for time_ms, _, _ in parts]),
        np.repeat(np.array([neuron for _, _, neuron in parts], dtype=np.int64), lengths),
        np.concatenate([trial for _, trial, _ in parts]),
        n_neurons,
    )
