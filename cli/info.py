"""What is in a file, in a few lines of text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import h5py

from spikebridge.bridge.errors import DataError
from spikebridge.bridge.network_file import load_network, network_sha256
from spikebridge.bridge.recording import Recording, Trials
from spikebridge.bridge.recording_file import load_recording
from spikebridge.bridge.spec import NetworkSpec
from spikebridge.bridge.storage import file_kind


def describe(path: Path) -> str:
    """A network, a recording, or a data file in SHD's layout.

    Raises:
        DataError: none of these, missing, or damaged.
    """
    if path.is_dir():
        raise DataError("is a folder; give a file in it, for example its network.h5 or reference.h5", path=path)
    if not path.is_file():
        raise DataError("no such file", path=path)
    try:
        with h5py.File(path, "r") as file:
            ours = "format" in file.attrs
            kind = file_kind(file, path) if ours else "data"
    except OSError as error:
        raise DataError(f"cannot be read as HDF5 ({error})", path=path) from error
    match kind:
        case "network":
            lines = _network(load_network(path))
        case "recording":
            lines = _recording(load_recording(path))
        case "data":
            lines = _data(path)
        case _:
            raise DataError(f"is a {kind} file, which this command does not know", path=path)
    return "\n".join(lines)


def _network(spec: NetworkSpec) -> Iterator[str]:
    grid = f"trained at {spec.training_step_ms:g} ms, samples of {spec.duration_ms:g} ms"
    yield f"network {network_sha256(spec)[:16]}, {grid}"
    for node in spec.inputs:
        yield f"  input {node.name}: {node.size} channels"
    for population in spec.populations:
        low, high = population.tau_membrane_ms.min(), population.tau_membrane_ms.max()
        kind = "leaky integrator" if not population.spiking else "adLIF" if population.adaptive else "LIF"
        text = f"  population {population.name}: {population.size} {kind}, tau_membrane {low:.3g} .. {high:.3g} ms"
        yield text + (f", t_ref {population.refractory_ms:g} ms" if population.spiking else "")
    for projection in spec.projections:
        text = f"  projection {projection.label}: {projection.weight.size} {projection.synapse} synapses"
        if projection.delay_ms.size:
            text += f", delays {projection.delay_ms.min():g} .. {projection.delay_ms.max():g} ms"
        yield text
    yield f"  readout: {spec.readout.population}, {spec.readout.decoding}"
    for decision in spec.decisions:
        yield f"  decided: {decision.subject}: {decision.text}"
    yield from _pairs(spec.metadata)


def _trials(trials: Trials) -> Iterator[str]:
    events = trials.events
    yield (
        f"  {trials.n_samples} samples of {trials.source} (sha256 {trials.source_sha256[:16]}), "
        f"{len(trials.class_names)} classes, {events.n_channels} channels, {events.time_s.size} input spikes"
    )


def _recording(recording: Recording) -> Iterator[str]:
    yield (
        f"recording of {recording.executor}, network {recording.network_sha256[:16]}, {recording.n_steps} steps of "
        f"{recording.step_ms:g} ms"
    )
    yield from _trials(recording.trials)
    seconds = recording.trials.n_samples * recording.duration_s
    for name, trains in recording.spikes.items():
        rate_hz = trains.n_spikes / trains.n_neurons / seconds if seconds else 0.0
        yield f"  {name}: {trains.n_spikes} spikes of {trains.n_neurons} neurons, {rate_hz:.3f} Hz"
    right = (recording.decisions == recording.trials.labels).mean()
    yield f"  accuracy {right:.4f}"
    yield from _pairs(recording.provenance)


def _data(path: Path) -> Iterator[str]:
    from spikebridge.training.data.shd import read_shd

    data = read_shd(path)
    counts = data.events.offsets[1:] - data.events.offsets[:-1]
    yield f"data in SHD's layout, sha256 {data.source_sha256[:16]}"
    yield f"  {data.n_samples} samples, {data.n_classes} classes: {', '.join(data.class_names)}"
    yield f"  spikes per sample: mean {counts.mean():.0f}, {counts.min()} .. {counts.max()}"
    if data.events.time_s.size:
        yield f"  last spike at {data.events.time_s.max():.3f} s"
    if data.speakers is None:
        yield "  speakers unknown"
    else:
        known = sorted(set(data.speakers.tolist()))
        yield f"  speakers: {', '.join(f'{s} ({int((data.speakers == s).sum())})' for s in known)}"


def _pairs(values: Mapping[str, str]) -> Iterator[str]:
    for key, value in values.items():
        yield f"  {key}: {value}"
