"""Networks of any size, for benchmarks of the simulation: 140 inputs, two hidden populations, a readout."""

import numpy as np

from spikebridge.bridge.decoding import Decoding
from spikebridge.bridge.recording import Trials
from spikebridge.bridge.rounding import round_weights
from spikebridge.bridge.spec import Input, NetworkSpec, Population, Projection, Readout, Reset, SynapseKind
from spikebridge.bridge.spikes import Events

CHANNELS = 140
CLASSES = 20
DURATION_MS = 1000.0
INPUT_RATE_HZ = 15.0


def network(
    hidden: int,
    *,
    fan_in: int | None = None,
    recurrent: bool = True,
    seed: int = 0,
    max_delay_ms: float = 250.0,
    gain: float = 1.6,
) -> NetworkSpec:
    """140 - hidden - hidden - 20 adaptive neurons with a delay on every synapse and a refractory period of 5 ms.

    Args:
        hidden: neurons of each hidden population.
        fan_in: synapses per neuron and projection, at most as many as there are sources; all of them if None.
        recurrent: whether hidden populations project onto themselves.
        seed: of weights, delays and connections.
        max_delay_ms: delays are whole milliseconds from 0 to this.
        gain: of the weights; more of it is more spikes.
    """
    rng = np.random.default_rng(seed)

    def project(source: str, target: str, sources: int, targets: int, scale: float) -> Projection:
        fan = min(fan_in or sources, sources)
        if fan == sources:
            pre, post = (index.ravel() for index in np.meshgrid(np.arange(sources), np.arange(targets), indexing="ij"))
        else:
            post = np.repeat(np.arange(targets), fan)
            pre = rng.integers(0, sources, post.size)
        weight = round_weights(rng.normal(0.1 * scale, scale, post.size) / np.sqrt(fan), 2.0**-20)
        delay_ms = rng.integers(0, int(max_delay_ms) + 1, post.size).astype(np.float64)
        return Projection(source, target, pre, post, weight, delay_ms, SynapseKind.PULSE, pulse_ms=10.0)

    names = ("hidden1", "hidden2")
    projections = [
        project("input", "hidden1", CHANNELS, hidden, 3.0 * gain),
        project("hidden1", "hidden2", hidden, hidden, 8.0 * gain),
        project("hidden2", "readout", hidden, CLASSES, 1.0),
    ]
    if recurrent:
        projections += [project(name, name, hidden, hidden, gain) for name in names]
    populations = (
        *(_neurons(name, hidden, spiking=True) for name in names),
        _neurons("readout", CLASSES, spiking=False),
    )
    return NetworkSpec(
        (Input("input", CHANNELS),),
        populations,
        tuple(projections),
        Readout("readout", Decoding.SOFTMAX_SUM),
        training_step_ms=1.0,
        duration_ms=DURATION_MS,
    )


def _neurons(name: str, size: int, *, spiking: bool) -> Population:
    def every(value: float) -> np.ndarray:
        return np.full(size, value)

    adaptation = every(0.5 if spiking else 0.0)
    return Population(
        name,
        size,
        every(20.0),
        every(150.0),
        adaptation,
        adaptation,
        every(1.0),
        every(0.0),
        Reset.SUBTRACT,
        0.0,
        5.0 if spiking else 0.0,
        spiking,
    )


def trials(samples: int, seed: int = 1) -> Trials:
    """Poisson spikes of 15 Hz on every channel for a second."""
    rng = np.random.default_rng(seed)
    counts = rng.poisson(CHANNELS * INPUT_RATE_HZ * DURATION_MS / 1000.0, samples)
    offsets = np.concatenate([[0], np.cumsum(counts)])
    times_s = rng.uniform(0.0, DURATION_MS / 1000.0, offsets[-1])
    channels = rng.integers(0, CHANNELS, offsets[-1])
    labels = rng.integers(0, CLASSES, samples)
    names = tuple(str(number) for number in range(CLASSES))
    events = Events(times_s, channels, offsets, CHANNELS)
    return Trials(events, labels, names, None, None, f"Poisson, seed {seed}", "generated")
