"""Recordings for tests that are what a network did, by the NumPy reference, and networks with one thing changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from spikebridge.bridge.decoding import decode
from spikebridge.bridge.discretise import discretise
from spikebridge.bridge.network_file import network_sha256
from spikebridge.bridge.recording import Recording, Trials
from spikebridge.bridge.reference import run_reference
from spikebridge.bridge.spec import NetworkSpec, Population, Projection
from spikebridge.bridge.spikes import Events, SpikeTrains
from spikebridge.validation.presynaptic import played_inputs


def timed_trials(
    spikes: list[tuple[int, int, int]], spec: NetworkSpec, *, samples: int = 1, step_ms: float = 10.0
) -> Trials:
    """Trials whose events (sample, step, channel) lie in the middle of their steps."""
    ordered = sorted(spikes)
    counts = np.bincount([sample for sample, _, _ in ordered], minlength=samples)
    events = Events(
        np.array([(step + 0.5) * step_ms / 1000.0 for _, step, _ in ordered]),
        np.array([channel for _, _, channel in ordered], dtype=np.int32),
        np.concatenate([[0], np.cumsum(counts)]),
        spec.inputs[0].size,
    )
    names = tuple(f"class {k}" for k in range(spec.sizes[spec.readout.population]))
    return Trials(events, np.zeros(samples, dtype=np.int64), names, None, None, "constructed", "c" * 64)


def execute(
    spec: NetworkSpec,
    trials: Trials,
    executor: str = "pytorch",
    *,
    claims: NetworkSpec | None = None,
    step_ms: float | None = None,
) -> Recording:
    """What `spec` does on its training grid, or on that of `step_ms`.

    `claims` is the network whose checksum the recording carries instead.
    """
    grid = discretise(spec, spec.training_step_ms if step_ms is None else step_ms)
    empty = np.zeros((trials.n_samples, len(trials.class_names)))
    blank = Recording(executor, network_sha256(claims or spec), grid.step_ms, grid.n_steps, trials, {}, empty, None, {})
    spikes, potentials = run_reference(grid, played_inputs(spec, blank))
    readout = potentials[spec.readout.population]
    scores = decode(readout, spec.readout.decoding, step_ms=grid.step_ms, training_step_ms=spec.training_step_ms)
    return replace(blank, spikes=spikes, readout=readout, scores=scores)


def with_population(spec: NetworkSpec, name: str, **values: object) -> NetworkSpec:
    """The network with some fields of one population replaced."""
    changed = tuple(replace(p, **values) if p.name == name else p for p in spec.populations)  # type: ignore[arg-type]
    return replace(spec, populations=changed)


def with_projection(spec: NetworkSpec, label: str, change: Callable[[Projection], Projection]) -> NetworkSpec:
    """The network with one projection changed."""
    return replace(spec, projections=tuple(change(p) if p.label == label else p for p in spec.projections))


def raised_threshold(population: Population, neuron: int, factor: float) -> dict[str, object]:
    """Values for `with_population`: one neuron's threshold multiplied."""
    threshold = population.threshold.copy()
    threshold[neuron] *= factor
    return {"threshold": threshold}


def delayed(projection: Projection, synapse: int, steps: int, step_ms: float = 10.0) -> Projection:
    """One delay made longer."""
    delay_ms = projection.delay_ms.copy()
    delay_ms[synapse] += steps * step_ms
    return replace(projection, delay_ms=delay_ms)


def without_spike(recording: Recording, population: str, place: tuple[int, int, int]) -> Recording:
    """The recording without the spike at (sample, step, neuron)."""
    counts = recording.spikes[population].counts().copy()
    assert counts[place] == 1
    counts[place] = 0
    spikes = {**recording.spikes, population: SpikeTrains.from_counts(counts, recording.step_ms)}
    return replace(recording, spikes=spikes)
