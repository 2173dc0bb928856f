"""`reference.h5` and simulated recordings on disk.

Layout below `content/`: attributes `executor`, `network_sha256`, `step_ms`, `n_steps`; `trials/` (events, labels,
speakers), `spikes/<population>/` (step, neuron, offsets), `scores`, optionally `readout`, `provenance`.
"""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

from spikebridge.bridge.recording import Recording, RecordingHeader, Trials
from spikebridge.bridge.sample_blocks import SampleSource, in_memory, stored_populations, write_samples
from spikebridge.bridge.spikes import Events, SpikeTrains
from spikebridge.bridge.storage import read_file, read_strings, write_array, write_file


def save_recording(recording: Recording, path: Path) -> None:
    """Write a recording, whole or not at all.

    Raises:
        DataError: there is no space for it.
    """
    with write_file(path, "recording") as content:
        samples = in_memory(recording.spikes, recording.scores, recording.readout)
        write_recording(content, recording.header, samples)


def write_recording(content: h5py.Group, header: RecordingHeader, samples: SampleSource) -> None:
    """Write a recording below `content`; its samples need not all be in memory."""
    content.attrs.update(
        {
            "executor": header.executor,
            "network_sha256": header.network_sha256,
            "step_ms": header.step_ms,
            "n_steps": header.n_steps,
        }
    )
    _write_trials(header.trials, content.create_group("trials"))
    write_samples(content, samples)
    content.create_group("provenance").attrs.update(dict(header.provenance))


def load_recording(path: Path, *, readout: bool = True) -> Recording:
    """Read a recording.

    Args:
        path: the file.
        readout: whether its readout traces, which can be most of it, are wanted.

    Raises:
        DataError: missing, damaged or of another kind.
        SpecError: readable, but inconsistent.
    """
    with read_file(path, "recording") as content:
        step_ms, n_steps = float(content.attrs["step_ms"]), int(content.attrs["n_steps"])
        spikes = {
            name: SpikeTrains(
                group["step"][()],
                group["neuron"][()],
                group["offsets"][()],
                n_steps,
                int(group.attrs["n_neurons"]),
                step_ms,
            )
            for name, group in stored_populations(content)
        }
        return Recording(
            executor=str(content.attrs["executor"]),
            network_sha256=str(content.attrs["network_sha256"]),
            step_ms=step_ms,
            n_steps=n_steps,
            trials=_read_trials(content["trials"]),
            spikes=spikes,
            scores=content["scores"][()],
            readout=content["readout"][()] if readout and "readout" in content else None,
            provenance=_read_provenance(content),
        )


def load_provenance(path: Path) -> dict[str, str]:
    """What a recording says about how it came about; the whole file is checked for damage.

    Raises:
        DataError: missing, damaged or of another kind.
    """
    with read_file(path, "recording") as content:
        return _read_provenance(content)


def _read_provenance(content: h5py.Group) -> dict[str, str]:
    return {key: str(value) for key, value in content["provenance"].attrs.items()}


def _write_trials(trials: Trials, group: h5py.Group) -> None:
    group.attrs.update(
        {
            "n_channels": trials.events.n_channels,
            "source": trials.source,
            "source_sha256": trials.source_sha256,
        }
    )
    group.create_dataset("class_names", data=np.array(trials.class_names, dtype=h5py.string_dtype()))
    write_array(group, "event_time_s", trials.events.time_s, "s")
    write_array(group, "event_channel", trials.events.channel)
    write_array(group, "event_offsets", trials.events.offsets)
    write_array(group, "labels", trials.labels)
    if trials.speakers is not None and trials.seen is not None:
        write_array(group, "speakers", trials.speakers)
        write_array(group, "seen", trials.seen)
    if trials.held_out is not None:
        write_array(group, "held_out", trials.held_out)


def _read_trials(group: h5py.Group) -> Trials:
    events = Events(
        group["event_time_s"][()],
        group["event_channel"][()],
        group["event_offsets"][()],
        int(group.attrs["n_channels"]),
    )
    return Trials(
        events=events,
        labels=group["labels"][()],
        class_names=read_strings(group, "class_names"),
        speakers=group["speakers"][()] if "speakers" in group else None,
        seen=group["seen"][()] if "seen" in group else None,
        source=str(group.attrs["source"]),
        source_sha256=str(group.attrs["source_sha256"]),
        held_out=group["held_out"][()] if "held_out" in group else None,
    )
