"""Networks and inputs for tests: small ones built by hand, and a hypothesis strategy for random ones."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from hypothesis import strategies as st

from spikebridge.bridge.arrays import FloatArray
from spikebridge.bridge.decoding import Decoding
from spikebridge.bridge.discretise import GridNetwork, discretise
from spikebridge.bridge.recording import Trials
from spikebridge.bridge.rounding import round_weights
from spikebridge.bridge.spec import Input, NetworkSpec, Population, Projection, Readout, Reset, SynapseKind
from spikebridge.bridge.spikes import Events, SpikeTrains

STEP_MS = 10.0
QUANTUM = 2.0**-20


def neurons(
    name: str = "hidden",
    size: int = 1,
    *,
    tau_ms: float = 20.0,
    tau_adaptation_ms: float = 100.0,
    a: float = 0.0,
    b: float = 0.0,
    theta: float = 1.0,
    bias: float = 0.0,
    reset: Reset = Reset.SUBTRACT,
    reset_value: float = 0.0,
    refractory_steps: float = 0,
    spiking: bool = True,
    step_ms: float = STEP_MS,
) -> Population:
    """LIF neurons unless told otherwise."""
    u, w, coupling, jump, threshold, current = (
        np.full(size, value) for value in (tau_ms, tau_adaptation_ms, a, b, theta, bias)
    )
    refractory_ms = refractory_steps * step_ms
    return Population(name, size, u, w, coupling, jump, threshold, current, reset, reset_value, refractory_ms, spiking)


def edges(
    source: str,
    target: str,
    synapses: Iterable[tuple[int, int, float, float]],
    kind: SynapseKind = SynapseKind.DELTA,
    *,
    pulse_steps: int = 1,
    tau_syn_ms: float = 15.0,
    step_ms: float = STEP_MS,
) -> Projection:
    """Synapses given as (source neuron, target neuron, weight, delay in steps)."""
    source_index, target_index, weight, delay = zip(*synapses, strict=True)
    return Projection(
        source,
        target,
        np.array(source_index),
        np.array(target_index),
        np.array(weight, dtype=np.float64),
        np.array(delay) * step_ms,
        kind,
        pulse_steps * step_ms if kind is SynapseKind.PULSE else None,
        tau_syn_ms if kind is SynapseKind.EXPONENTIAL else None,
    )


def network(
    populations: Iterable[Population],
    projections: Iterable[Projection],
    *,
    inputs: dict[str, int] | None = None,
    n_steps: int = 12,
    classes: int = 1,
    decoding: Decoding = Decoding.MEAN,
    step_ms: float = STEP_MS,
) -> NetworkSpec:
    """A network with an unconnected readout of `classes` integrators, unless one of the populations is `readout`."""
    populations = tuple(populations)
    if all(population.name != "readout" for population in populations):
        populations = (*populations, neurons("readout", classes, spiking=False))
    return NetworkSpec(
        inputs=tuple(Input(name, size) for name, size in (inputs or {"input": 1}).items()),
        populations=populations,
        projections=tuple(projections),
        readout=Readout("readout", decoding),
        training_step_ms=step_ms,
        duration_ms=n_steps * step_ms,
    )


def played(spikes: Iterable[tuple[int, int, int]], grid: GridNetwork, *, samples: int = 1) -> dict[str, SpikeTrains]:
    """Spikes (sample, step, channel) of the only input; a repeated entry is a count above one."""
    (node,) = grid.spec.inputs
    counts = np.zeros((samples, grid.n_steps, node.size), dtype=np.int32)
    for place in spikes:
        counts[place] += 1
    return {node.name: SpikeTrains.from_counts(counts, grid.step_ms)}


def random_inputs(grid: GridNetwork, samples: int, seed: int, rate: float = 0.3) -> dict[str, SpikeTrains]:
    """Poisson counts with a mean of `rate` per channel and step, some above one."""
    rng = np.random.default_rng(seed)
    return {
        node.name: SpikeTrains.from_counts(rng.poisson(rate, (samples, grid.n_steps, node.size)), grid.step_ms)
        for node in grid.spec.inputs
    }


def random_trials(spec: NetworkSpec, samples: int, seed: int = 0, rate_hz: float = 30.0) -> Trials:
    """Poisson events at real-valued times on the only input, some past the end of the sample."""
    (node,) = spec.inputs
    rng = np.random.default_rng(seed)
    duration_s = 1.1 * spec.duration_ms / 1000.0
    per_sample = rng.poisson(rate_hz * duration_s * node.size, samples)
    offsets = np.concatenate([[0], np.cumsum(per_sample)])
    events = Events(rng.random(offsets[-1]) * duration_s, rng.integers(0, node.size, offsets[-1]), offsets, node.size)
    classes = spec.sizes[spec.readout.population]
    names = tuple(f"class {k}" for k in range(classes))
    return Trials(events, rng.integers(0, classes, samples), names, None, None, "random", "0" * 64)


@dataclass(frozen=True)
class Kind:
    """What a random population is, and the synapses onto it."""

    neuron: str
    synapse: SynapseKind
    reset: Reset
    refractory_steps: int
    pulse_steps: int
    bias: bool
    reset_value: float = -0.2
    tau_syn_steps: float = 4.0


ADAPTIVE_KINDS = ("adaptive", "oscillatory", "equal", "equal_coupled", "nearly_equal", "critical", "mixed")
NEURON_KINDS = ("lif", *ADAPTIVE_KINDS)


def discriminant(population: Population) -> FloatArray:
    """(n,) (1/tau_u - 1/tau_w)^2 - 4 a / (tau_u tau_w), times tau_u tau_w: below 0, a neuron is oscillatory."""
    tau_u, tau_w = population.tau_membrane_ms, population.tau_adaptation_ms
    return np.asarray((tau_w - tau_u) ** 2 / (tau_u * tau_w) - 4 * population.adaptation_coupling)


def random_population(name: str, size: int, kind: Kind, rng: np.random.Generator, step_ms: float) -> Population:
    """A spiking population of the kind, with parameters that differ between neurons, time constants in steps."""
    tau_u = rng.uniform(1.0, 12.0, size) * step_ms
    tau_w = rng.uniform(3.0, 40.0, size) * step_ms
    if kind.synapse is SynapseKind.EXPONENTIAL:
        tau_u[::3] = kind.tau_syn_steps * step_ms  # degenerate too: membrane and synapse decay alike
    a, b = rng.uniform(-0.3, 1.0, size), rng.uniform(0.0, 1.0, size)
    match kind.neuron:
        case "lif":
            a = b = np.zeros(size)
        case "oscillatory":
            # Complex eigenvalues: (1/tau_u - 1/tau_w)^2 < 4 a / (tau_u tau_w).
            tau_w, a = tau_u * rng.uniform(0.7, 1.5, size), rng.uniform(1.0, 8.0, size)
        case "equal":
            tau_w, a = tau_u, np.zeros(size)
        case "equal_coupled":
            tau_w = tau_u
        case "nearly_equal":
            tau_w = tau_u * (1 + 10.0 ** rng.uniform(-15, -6, size))
            a = np.array([0.0, 1e-12, 1e-6])[rng.integers(0, 3, size)]
        case "critical":
            # Both eigenvalues equal, to rounding: (1/tau_u - 1/tau_w)^2 = 4 a / (tau_u tau_w).
            a = (tau_w - tau_u) ** 2 / (4 * tau_u * tau_w)
        case "mixed":
            a, b = a * rng.integers(0, 2, size), b * rng.integers(0, 2, size)
            b[0] = max(b[0], 0.1)  # a population without any adaptation would be of another kind
    bias = rng.uniform(-0.2, 0.6, size) if kind.bias else np.zeros(size)
    theta = rng.uniform(0.4, 1.2, size)
    value = kind.reset_value if kind.reset is Reset.TO_VALUE else 0.0
    return Population(name, size, tau_u, tau_w, a, b, theta, bias, kind.reset, value, kind.refractory_steps * step_ms)


def random_projection(
    source: tuple[str, int],
    target: tuple[str, int],
    kind: Kind,
    rng: np.random.Generator,
    *,
    scale: float,
    max_delay: int,
    step_ms: float,
) -> Projection:
    """Most of the possible synapses, with different weights and delays of 0 to `max_delay` steps."""
    pre, post = np.nonzero(rng.random((source[1], target[1])) < 0.85)
    current = 1.0 if kind.synapse is SynapseKind.DELTA else 2.5
    weight: FloatArray = round_weights(rng.normal(0.35 * scale, scale, pre.size) * current, QUANTUM)
    return Projection(
        source[0],
        target[0],
        pre.astype(np.int32),
        post.astype(np.int32),
        weight,
        np.asarray(rng.integers(0, max_delay + 1, pre.size) * step_ms, dtype=np.float64),
        kind.synapse,
        kind.pulse_steps * step_ms if kind.synapse is SynapseKind.PULSE else None,
        kind.tau_syn_steps * step_ms if kind.synapse is SynapseKind.EXPONENTIAL else None,
    )


def random_network(
    kinds: tuple[Kind, ...],
    *,
    seed: int,
    inputs: tuple[int, ...] = (4,),
    sizes: tuple[int, ...] | None = None,
    recurrence: int | None = 0,
    max_delay: int = 4,
    feedback: bool = False,
    classes: int = 3,
    readout: Kind | None = None,
    decoding: Decoding = Decoding.SOFTMAX_SUM,
    step_ms: float = STEP_MS,
    n_steps: int = 40,
) -> NetworkSpec:
    """A chain of populations of the given kinds, every one driven by all inputs too.

    Args:
        kinds: one per spiking population.
        seed: of the parameters, weights and delays.
        inputs: sizes of the inputs.
        sizes: of the populations; 5 each by default.
        recurrence: longest recurrent delay in steps, None for no recurrence.
        max_delay: longest other delay in steps.
        feedback: whether the last population projects back to the first.
        classes: of the readout.
        readout: whose synapses the readout has; those of the last population by default.
        decoding: of the readout.
        step_ms: training step.
        n_steps: steps per sample.
    """
    rng = np.random.default_rng(seed)
    sources = [(f"input{k}", size) for k, size in enumerate(inputs)]
    nodes = [(f"hidden{k}", size) for k, size in enumerate(sizes or (5,) * len(kinds))]
    populations = [random_population(*node, kind, rng, step_ms) for node, kind in zip(nodes, kinds, strict=True)]
    wiring = [
        (source, node, kind, 0.7, max_delay) for node, kind in zip(nodes, kinds, strict=True) for source in sources
    ]
    wiring += [(nodes[k], nodes[k + 1], kinds[k + 1], 0.7, max_delay) for k in range(len(nodes) - 1)]
    if recurrence is not None:
        wiring += [(node, node, kind, 0.3, recurrence) for node, kind in zip(nodes, kinds, strict=True)]
    if feedback:
        wiring.append((nodes[-1], nodes[0], kinds[0], 0.3, max_delay))
    wiring.append((nodes[-1], ("readout", classes), readout or kinds[-1], 0.5, max_delay))
    return NetworkSpec(
        inputs=tuple(Input(*source) for source in sources),
        populations=(*populations, neurons("readout", classes, tau_ms=5 * step_ms, spiking=False)),
        projections=tuple(
            random_projection(source, target, kind, rng, scale=scale, max_delay=delay, step_ms=step_ms)
            for source, target, kind, scale, delay in wiring
        ),
        readout=Readout("readout", decoding),
        training_step_ms=step_ms,
        duration_ms=n_steps * step_ms,
    )


def with_latencies(spec: NetworkSpec, seed: int) -> NetworkSpec:
    """The network for other grids: a latency of 0, 1/2 or 1 step per projection, half the delays between two steps."""
    rng = np.random.default_rng(seed)
    projections = []
    for projection in spec.projections:
        more = rng.uniform(0, 1, projection.delay_ms.size) * rng.integers(0, 2, projection.delay_ms.size)
        delay_ms = projection.delay_ms + more * spec.training_step_ms
        projections.append(replace(projection, delay_ms=delay_ms, latency_steps=float(rng.choice([0.0, 0.5, 1.0]))))
    return replace(spec, projections=tuple(projections))


def every_kind_network(seed: int = 0, n_steps: int = 40) -> NetworkSpec:
    """One network with all kinds of neurons, synapses, resets and refractory periods, and feedback; it spikes a lot."""
    kinds = (
        Kind("lif", SynapseKind.DELTA, Reset.SUBTRACT, 0, 1, True),
        Kind("adaptive", SynapseKind.DELTA, Reset.SUBTRACT, 3, 1, False),
        Kind("oscillatory", SynapseKind.PULSE, Reset.SUBTRACT, 2, 1, False),
        Kind("equal", SynapseKind.PULSE, Reset.TO_VALUE, 1, 3, True),
        Kind("mixed", SynapseKind.EXPONENTIAL, Reset.SUBTRACT, 4, 1, False),
        Kind("lif", SynapseKind.EXPONENTIAL, Reset.TO_VALUE, 0, 1, False),
    )
    return random_network(kinds, seed=seed, recurrence=2, feedback=True, n_steps=n_steps)


def little_to_compile(seed: int = 0, n_steps: int = 40) -> NetworkSpec:
    """Two populations and a readout with every kind of synapse and reset, adaptation and refractoriness or not.

    For Cython, which compiles each of Brian2's operations by itself, for seconds: `every_kind_network` has a hundred.
    """
    kinds = (
        Kind("oscillatory", SynapseKind.DELTA, Reset.SUBTRACT, 3, 1, False),
        Kind("lif", SynapseKind.PULSE, Reset.TO_VALUE, 0, 3, True),
    )
    readout = Kind("lif", SynapseKind.EXPONENTIAL, Reset.SUBTRACT, 0, 1, False)
    return random_network(kinds, seed=seed, recurrence=None, readout=readout, n_steps=n_steps)


kinds = st.builds(
    Kind,
    neuron=st.sampled_from(NEURON_KINDS),
    synapse=st.sampled_from(SynapseKind),
    reset=st.sampled_from(Reset),
    refractory_steps=st.integers(0, 4),
    pulse_steps=st.integers(1, 3),
    bias=st.booleans(),
    reset_value=st.floats(-0.5, 0.3),
    tau_syn_steps=st.sampled_from([0.7, 4.0]),
)


@st.composite
def network_specs(draw: st.DrawFn) -> NetworkSpec:
    """Random networks: structure drawn by hypothesis, numbers from a drawn seed."""
    drawn = draw(st.lists(kinds, min_size=1, max_size=3))
    return random_network(
        tuple(drawn),
        seed=draw(st.integers(0, 2**32 - 1)),
        inputs=tuple(draw(st.lists(st.integers(1, 5), min_size=1, max_size=2))),
        sizes=tuple(draw(st.lists(st.integers(1, 6), min_size=len(drawn), max_size=len(drawn)))),
        recurrence=draw(st.sampled_from([None, 0, 1, 5])),
        max_delay=draw(st.integers(0, 6)),
        feedback=draw(st.booleans()),
        classes=draw(st.integers(1, 4)),
        decoding=draw(st.sampled_from(Decoding)),
        step_ms=draw(st.sampled_from([10.0, 1.0, 0.5, 7.3])),
        n_steps=draw(st.integers(1, 40)),
    )


def on_training_grid(spec: NetworkSpec) -> GridNetwork:
    """The network on the grid it was trained on."""
    return discretise(spec, spec.training_step_ms)
