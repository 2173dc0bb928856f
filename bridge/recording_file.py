"""`reference.h5` and simulated recordings on disk.

Layout below `content/`: attributes `executor`, `network_sha256`, `step_ms`, `n_steps`; `trials/` (events, labels,
speakers), `spikes/<population>/` (step, neuron, offsets), `scores`, optionally `readout`, `provenance`.
"""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

from spikebridge.bridge.recording import Recording, Trials
from spikebridge.bridge.spikes import Events, SpikeTrains
from spikebridge.bridge.storage import read_file, read_strings, write_array, write_file


def save_recording(recording: Recording, path: Path) -> None:
    """Write a recording, whole or not at all."""
    with write_file(path, "recording") as content:
        content.attrs.update(
            {
                "executor": recording.executor,
                "network_sha256": recording.network_sha256,
                "step_ms": recording.step_ms,
                "n_steps": recording.n_steps,
            }
        )
        _write_trials(recording.trials, content.create_group("trials"))
        for order, (name, trains) in enumerate(recording.spikes.items()):
            group = content.create_group(f"spikes/{name}")
            group.attrs.update({"order": order, "n_neurons": trains.n_neurons})
            write_array(group, "step", trains.step, "step")
            write_array(group, "neuron", trains.neuron)
            write_array(group, "offsets", trains.offsets)
        write_array(content, "scores", recording.scores)
        if recording.readout is not None:
            write_array(content, "readout", recording.readout)
        content.create_group("provenance").attrs.update(dict(recording.provenance))


def load_recording(path: Path) -> Recording:
    """Read a recording.

    Raises:
        DataError: missing, damaged or of another kind.
        SpecError: readable, but inconsistent.
    """
    with read_file(path, "recording") as content:
        step_ms, n_steps = float(content.attrs["step_ms"]), int(content.attrs["n_steps"])
        stored = content.get("spikes", {})
        spikes = {
            name: SpikeTrains(
                group["step"][()],
                group["neuron"][()],
                group["offsets"][()],
                n_steps,
                int(group.attrs["n_neurons"]),
                step_ms,
            )
            for name, group in sorted(stored.items(), key=lambda item: int(item[1].attrs["order"]))
        }
        return Recording(
            executor=str(content.attrs["executor"]),
            network_sha256=str(content.attrs["network_sha256"]),
            step_ms=step_ms,
            n_steps=n_steps,
            trials=_read_trials(content["trials"]),
            spikes=spikes,
            scores=content["scores"][()],
            readout=content["readout"][()] if "readout" in content else None,
            provenance={key: str(value) for key, value in content["provenance"].attrs.items()},
        )


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
