"""A recording as a Neo block and back: segments are trials, with one spike train per neuron and trial.

Annotations of the block: `populations` (JSON: sizes by name, in order), `step_ms`, `n_steps`, `executor`,
`network_sha256`, `trials_source`, `trials_sha256`. Of a segment: `sample`, `label`, `class_name`. Of a spike train:
`population`, `neuron`, `sample`, `label`. Times are in ms from the start of the trial, each the start of its step,
t_stop is the end of the trial; a count above one is a repeated time.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import neo
import numpy as np
import quantities as pq

from spikebridge.bridge.errors import DataError
from spikebridge.bridge.recording import Recording
from spikebridge.validation.neo_trains import neo_trains
from spikebridge.validation.trial_spikes import PopulationSpikes, TrialSpikes, class_numbers


def block_of(recording: Recording) -> neo.Block:
    """A recording's spikes; inputs, readout and scores stay behind."""
    block = neo.Block(
        name="spikebridge recording",
        description="Spikes per population and trial; annotations say which.",
        populations=json.dumps({name: trains.n_neurons for name, trains in recording.spikes.items()}),
        step_ms=recording.step_ms,
        n_steps=recording.n_steps,
        executor=recording.executor,
        network_sha256=recording.network_sha256,
        trials_source=recording.trials.source,
        trials_sha256=recording.trials.source_sha256,
    )
    for sample, label in enumerate(recording.trials.labels.tolist()):
        class_name = recording.trials.class_names[label]
        segment = neo.Segment(name=f"sample {sample}", sample=sample, label=label, class_name=class_name)
        for name, trains in recording.spikes.items():
            for train in neo_trains(trains, sample) if trains.n_neurons else ():
                train.annotate(population=name, label=label)
                segment.spiketrains.append(train)
        block.segments.append(segment)
    return block


def spikes_of_block(block: neo.Block, path: Path) -> TrialSpikes:
    """The spikes of a Neo block, ours or another's.

    Without annotations `population` and `neuron`, all trains are one population, `units`, and the position within the
    segment is the neuron; every segment must then have equally many.

    Raises:
        DataError: no segments, trains that do not say which neuron they are, or one neuron twice in a segment.
    """
    notes = block.annotations
    ours = {"populations", "step_ms", "executor", "network_sha256", "trials_sha256"} <= set(notes)
    sizes = _declared_sizes(str(notes["populations"]), path) if ours else {}
    counts = {len(segment.spiketrains) for segment in block.segments}
    numbered = all("neuron" in train.annotations for segment in block.segments for train in segment.spiketrains)
    if not numbered and len(counts) > 1:
        raise DataError(
            f"its segments have {min(counts)} to {max(counts)} spike trains without the annotation `neuron`, so that "
            "nobody knows which belong together; annotate every train with `neuron` (and `population`)",
            path=path,
        )
    parts: dict[str, list[tuple[np.ndarray, int, int]]] = {name: [] for name in sizes}
    for trial, segment in enumerate(block.segments):
        seen: set[tuple[str, int]] = set()
        for name, neuron, train in _named_trains(segment, numbered):
            if (name, neuron) in seen or neuron < 0:
                raise DataError(f"neuron {neuron} of {name} occurs twice or is negative", path=path, sample=trial)
            seen.add((name, neuron))
            times = (train.times - train.t_start).rescale(pq.ms).magnitude
            parts.setdefault(name, []).append((np.asarray(times, dtype=np.float64), neuron, trial))
            sizes[name] = max(sizes.get(name, 0), neuron + 1)
    labels = [segment.annotations.get("label") for segment in block.segments]
    return TrialSpikes(
        {name: _joined(each, sizes[name]) for name, each in parts.items()},
        np.array([_duration_ms(segment) for segment in block.segments], dtype=np.float64),
        None if any(label is None for label in labels) else class_numbers(labels),
        float(notes["step_ms"]) if ours else None,
        f"{notes['executor']}, from a Neo file" if ours else "a Neo file",
        str(notes["network_sha256"]) if ours else None,
        str(notes["trials_sha256"]) if ours else None,
    )


def _declared_sizes(text: str, path: Path) -> dict[str, int]:
    try:
        return {str(name): int(size) for name, size in json.loads(text).items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise DataError(f"is no JSON of sizes by name ({error})", path=path, field="populations") from error


def _named_trains(segment: neo.Segment, numbered: bool) -> Iterator[tuple[str, int, neo.SpikeTrain]]:
    for position, train in enumerate(segment.spiketrains):
        name = str(train.annotations.get("population", "units"))
        yield name, int(train.annotations["neuron"]) if numbered else position, train


def _duration_ms(segment: neo.Segment) -> float:
    ends = {float((train.t_stop - train.t_start).rescale(pq.ms).magnitude) for train in segment.spiketrains}
    return min(ends, default=0.0)


def _joined(parts: list[tuple[np.ndarray, int, int]], n_neurons: int) -> PopulationSpikes:
    lengths = [times.size for times, _, _ in parts]
    return PopulationSpikes(
        np.concatenate([times for times, _, _ in parts]) if parts else np.empty(0),
        np.repeat(np.array([neuron for _, neuron, _ in parts], dtype=np.int64), lengths),
        np.repeat(np.array([trial for _, _, trial in parts], dtype=np.int64), lengths),
        n_neurons,
    )
