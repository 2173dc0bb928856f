"""For tests of the C++ engine: one network shape with everything in it, and samples that leave a lot behind."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
from networks import STEP_MS, Kind, edges, network, neurons, on_training_grid, played, random_network

from spikebridge.bridge.discretise import GridNetwork
from spikebridge.bridge.physical import PhysicalUnits
from spikebridge.bridge.reference import run_reference
from spikebridge.bridge.spec import NetworkSpec, Reset, SynapseKind
from spikebridge.bridge.spikes import SpikeTrains
from spikebridge.sim.engine import Simulated
from spikebridge.sim.sample_process import SampleProcess
from spikebridge.sim.stream_engine import StreamEngine, spikes_per_channel
from spikebridge.sim.stream_project import Prepared, prepare

type Streamable = tuple[GridNetwork, dict[str, SpikeTrains], Prepared]
"""A network, samples for it, and its compiled simulation."""

KINDS = (
    Kind("lif", SynapseKind.DELTA, Reset.SUBTRACT, 0, 1, True),
    Kind("adaptive", SynapseKind.DELTA, Reset.TO_VALUE, 3, 1, True),
    Kind("oscillatory", SynapseKind.PULSE, Reset.SUBTRACT, 2, 1, True),
    Kind("mixed", SynapseKind.PULSE, Reset.TO_VALUE, 1, 3, True),
    Kind("adaptive", SynapseKind.EXPONENTIAL, Reset.SUBTRACT, 5, 1, True),
)
"""All synapses, resets, and refractory periods of no, one and several steps."""

N_STEPS = 30


def everything(seed: int = 0, *, max_delay: int = N_STEPS + 10, step_ms: float = STEP_MS) -> NetworkSpec:
    """Networks of one shape, other numbers and other edges for every seed.

    Two inputs, feedback, delays up to longer than a sample. In every population one neuron spikes in the first step,
    when it must be free, and by its constant current alone, so that it is refractory wherever a sample ends.
    """
    spec = random_network(
        KINDS,
        seed=seed,
        inputs=(4, 2),
        recurrence=7,
        max_delay=max_delay,
        feedback=True,
        step_ms=step_ms,
        n_steps=N_STEPS,
    )
    driven = []
    for population in spec.populations:
        bias = population.bias.copy()
        if population.spiking:
            bias[0] = 40.0
        driven.append(replace(population, bias=bias))
    return replace(spec, populations=tuple(driven))


def samples(grid: GridNetwork, seed: int = 0) -> dict[str, SpikeTrains]:
    """Seven samples: silent ones, sparse ones, counts far above one, and one that spikes in its last step only."""
    rng = np.random.default_rng(seed)
    made = {}
    for node in grid.spec.inputs:
        rate = np.array([0.3, 0.0, 4.0, 0.05, 0.3, 0.0, 1.0])[:, None, None]
        counts = rng.poisson(rate, (rate.shape[0], grid.n_steps, node.size))
        counts[5, -1] = 3
        made[node.name] = SpikeTrains.from_counts(counts, grid.step_ms)
    return made


def relay(n_steps: int = 10) -> NetworkSpec:
    """The smallest network: one input channel, one neuron, one readout."""
    wires = [edges("input", "hidden", [(0, 0, 1.5, 1)]), edges("hidden", "readout", [(0, 0, 1.0, 2)])]
    return network([neurons(refractory_steps=2)], wires, n_steps=n_steps)


def relay_inputs(grid: GridNetwork) -> dict[str, SpikeTrains]:
    """Three samples, two of which spike."""
    return played([(0, 1, 0), (0, 4, 0), (2, 9, 0), (2, 3, 0)], grid, samples=3)


@contextmanager
def prepared(
    grid: GridNetwork,
    inputs: Mapping[str, SpikeTrains],
    lanes: int = 1,
    physical: PhysicalUnits | None = None,
    room: int | None = None,
) -> Iterator[Prepared]:
    """The compiled simulation of a network, with the room that its inputs need unless told otherwise."""
    with tempfile.TemporaryDirectory() as folder:
        yield prepare(grid, lanes, room or spikes_per_channel(inputs), physical, Path(folder))


def play(made: Prepared, grid: GridNetwork, inputs: Mapping[str, SpikeTrains]) -> Simulated:
    """All samples, in order, through one new process."""
    engine = StreamEngine(grid, made, keep_readout=True)
    try:
        return engine.run(inputs, lambda _: None)
    finally:
        engine.close()


def streamed(grid: GridNetwork, inputs: Mapping[str, SpikeTrains], lanes: int = 1) -> Simulated:
    """The same, prepared for nothing else."""
    with prepared(grid, inputs, lanes) as made:
        return play(made, grid, inputs)


def process(made: Prepared, grid: GridNetwork) -> SampleProcess:
    """The process of an engine, without the engine."""
    classes = grid.spec.sizes[grid.spec.readout.population]
    return SampleProcess(made, len(grid.spec.spiking_populations), made.lanes * classes)


def reference(grid: GridNetwork, inputs: Mapping[str, SpikeTrains]) -> Simulated:
    """What the NumPy reference does; it has no samples in sequence that could leak."""
    spikes, potentials = run_reference(grid, dict(inputs))
    return Simulated(spikes, np.zeros(0), potentials[grid.spec.readout.population])


def differences(found: Simulated, expected: Simulated) -> list[str]:
    """The populations, and the readout, of which not every bit is the same."""
    names = [
        name
        for name, trains in expected.spikes.items()
        if not all(
            np.array_equal(getattr(found.spikes[name], part), getattr(trains, part))
            for part in ("step", "neuron", "offsets")
        )
    ]
    assert set(found.spikes) == set(expected.spikes)
    assert found.readout is not None
    assert expected.readout is not None
    return names if np.array_equal(found.readout, expected.readout) else [*names, "readout"]


def picked(whole: Simulated, order: list[int]) -> Simulated:
    """Some samples, in the given order."""
    assert whole.readout is not None
    spikes = {name: trains.select(order) for name, trains in whole.spikes.items()}
    return Simulated(spikes, whole.scores, whole.readout[order])


def everything_on_grid(seed: int = 0) -> GridNetwork:
    """`everything` on its training grid."""
    return on_training_grid(everything(seed))
