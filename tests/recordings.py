"""Recordings, trials and networks for tests, built directly from spikes."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np

from spikebridge.bridge.arrays import BoolArray, FloatArray, IntArray
from spikebridge.bridge.decoding import Decoding, decode
from spikebridge.bridge.recording import Recording, Trials
from spikebridge.bridge.spec import Decision, Input, NetworkSpec, Population, Projection, Readout, SynapseKind
from spikebridge.bridge.spikes import Events, SpikeTrains

STEP_MS = 10.0
NETWORK_SHA256 = "a" * 64


def make_trains(
    spikes: list[tuple[int, int, int]], *, samples: int, steps: int, neurons: int, step_ms: float = STEP_MS
) -> SpikeTrains:
    """Spike trains from (sample, step, neuron) in any order."""
    array = np.array(sorted(spikes), dtype=np.int64).reshape(-1, 3)
    offsets = np.concatenate([[0], np.cumsum(np.bincount(array[:, 0], minlength=samples))])
    step, neuron = array[:, 1].astype(np.int32), array[:, 2].astype(np.int32)
    return SpikeTrains(step, neuron, offsets, steps, neurons, step_ms)


def random_trains(
    rng: np.random.Generator, *, samples: int, steps: int, neurons: int, rate_hz: float, step_ms: float = STEP_MS
) -> SpikeTrains:
    """Bernoulli spikes, with rates that differ between neurons (log-normal around `rate_hz`)."""
    per_step = rate_hz * rng.lognormal(-0.5, 1.0, neurons) * step_ms / 1000.0
    counts = rng.random((samples, steps, neurons)) < np.minimum(per_step, 0.9)
    return SpikeTrains.from_counts(counts.astype(np.int32), step_ms)


def make_trials(
    rng: np.random.Generator,
    *,
    samples: int,
    classes: int,
    channels: int = 20,
    duration_s: float = 0.5,
    speakers: bool = True,
) -> Trials:
    """Random input events; every third sample is of a speaker who was not in the training set."""
    per_sample = rng.integers(5, 60, samples)
    offsets = np.concatenate([[0], np.cumsum(per_sample)]).astype(np.int64)
    total = int(offsets[-1])
    events = Events(
        rng.random(total) * duration_s, rng.integers(0, channels, total).astype(np.int32), offsets, channels
    )
    who: IntArray | None = np.arange(samples) % 3 if speakers else None
    seen: BoolArray | None = None if who is None else np.asarray(who != 2)
    labels = rng.integers(0, classes, samples)
    names = tuple(f"class {k}" for k in range(classes))
    return Trials(events, labels, names, who, seen, "constructed.h5", "b" * 64)


def make_recording(
    trials: Trials,
    spikes: dict[str, SpikeTrains],
    *,
    steps: int,
    step_ms: float = STEP_MS,
    executor: str = "pytorch",
    readout: FloatArray | None = None,
    scores: FloatArray | None = None,
) -> Recording:
    """A recording; scores are decoded from the readout unless given, and all 0 without either."""
    if scores is None:
        shape = (trials.n_samples, len(trials.class_names))
        scores = np.zeros(shape)
        if readout is not None:
            scores = decode(readout, Decoding.MEAN, step_ms=step_ms, training_step_ms=step_ms)
    provenance = {"version": "1.0", "seed": "1"}
    return Recording(executor, NETWORK_SHA256, step_ms, steps, trials, spikes, scores, readout, provenance)


def random_recording(
    seed: int = 0,
    *,
    samples: int = 12,
    steps: int = 50,
    sizes: tuple[int, ...] = (8, 6),
    classes: int = 4,
    rate_hz: float = 6.0,
) -> Recording:
    """Populations `hidden1`, `hidden2`, ... of the given sizes, with a readout that often favours the true class."""
    rng = np.random.default_rng(seed)
    trials = make_trials(rng, samples=samples, classes=classes, duration_s=steps * STEP_MS / 1000.0)
    spikes = {
        f"hidden{i}": random_trains(rng, samples=samples, steps=steps, neurons=size, rate_hz=rate_hz)
        for i, size in enumerate(sizes, start=1)
    }
    drive = rng.normal(0.0, 0.05, (samples, steps, classes))
    drive[np.arange(samples), :, trials.labels] += 0.02
    return make_recording(trials, spikes, steps=steps, readout=np.cumsum(drive, axis=1))


def with_spikes(recording: Recording, population: str, trains: SpikeTrains, *, executor: str = "brian2") -> Recording:
    """The same recording with other spikes in one population, by another executor."""
    return replace(recording, executor=executor, spikes={**recording.spikes, population: trains})


def make_network(recording: Recording, *, max_delay_ms: float = 250.0, seed: int = 0) -> NetworkSpec:
    """A feed-forward network with recurrence in every hidden population, whose sizes fit a recording."""
    rng = np.random.default_rng(seed)
    hidden = tuple(
        Population(
            name,
            trains.n_neurons,
            tau_membrane_ms=rng.uniform(5.0, 25.0, trains.n_neurons),
            tau_adaptation_ms=rng.uniform(60.0, 300.0, trains.n_neurons),
            adaptation_coupling=rng.uniform(0.0, 1.0, trains.n_neurons),
            adaptation_jump=rng.uniform(0.0, 2.0, trains.n_neurons),
            threshold=np.ones(trains.n_neurons),
            bias=np.zeros(trains.n_neurons),
            refractory_ms=recording.step_ms,
        )
        for name, trains in recording.spikes.items()
    )
    classes = len(recording.trials.class_names)
    ten, none = np.array(10.0), np.array(0.0)
    readout = Population("readout", classes, ten, ten, none, none, np.array(1.0), none, spiking=False)
    nodes = [("input", recording.trials.events.n_channels), *((p.name, p.size) for p in hidden), ("readout", classes)]
    projections = [
        _dense(rng, source, target, max_delay_ms, recording.step_ms)
        for source, target in (*pairwise(nodes), *((n, n) for n in nodes[1:-1]))
    ]
    return NetworkSpec(
        inputs=(Input("input", recording.trials.events.n_channels),),
        populations=(*hidden, readout),
        projections=tuple(projections),
        readout=Readout("readout", Decoding.MEAN),
        training_step_ms=recording.step_ms,
        duration_ms=recording.n_steps * recording.step_ms,
        decisions=(Decision("refractory period", "One step of the training grid, which every grid has by itself."),),
        metadata={"torch": "2.0", "seed": "1"},
    )


def _dense(
    rng: np.random.Generator, source: tuple[str, int], target: tuple[str, int], max_delay_ms: float, step_ms: float
) -> Projection:
    n = source[1] * target[1]
    pre, post = np.divmod(np.arange(n), target[1])
    steps = rng.beta(0.8, 1.6, n) * max_delay_ms / step_ms
    delay_ms = np.round(steps) * step_ms if source != target else np.full(n, step_ms)
    weight = rng.normal(0.0, 0.3, n)
    return Projection(
        source[0], target[0], pre.astype(np.int32), post.astype(np.int32), weight, delay_ms, SynapseKind.DELTA
    )
