"""What a simulation will cost, before it runs: time and memory from sizes and rates.

Constants fitted on a core of an AMD EPYC with Brian2 2.10.1, to networks of benchmarks/synthetic.py with 16 to 1,024
neurons per population at 10, 1 and 0.1 ms; `benchmarks/simulation.py` measures what they add up to. Another machine
differs by a factor, which changes no choice between ways on the same machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from spikebridge.bridge.discretise import GridNetwork, GridProjection
from spikebridge.bridge.disturbance import Disturbance
from spikebridge.bridge.spikes import SpikeTrains

ASSUMED_RATE_HZ = 5.0
"""Rate of a population before it has run."""

CACHED_SYNAPSES = 200_000
"""So many fit into a core's cache; beyond, an event costs more."""

CPP_STEP_S = 0.1e-6
CPP_NEURON_S = 3.4e-9
CPP_EVENT_S = 4e-9  # one synapse of one spike, per pathway
CPP_FAR_EVENT_S = 7e-9
CPP_READOUT_S = 20e-9  # a potential that is sent, decoded and perhaps kept
CPP_NORMAL_S = 40e-9  # membrane noise of a neuron and step
CPP_LOTTERY_S = 12e-9  # whether an event arrives
CPP_COMPILE_S = 3.0
CPP_GENERATE_S = 1.5
RUNTIME_BUILD_S = 0.6
RUNTIME_STEP_S = 0.3e-3
RUNTIME_NEURON_S = 90e-9
RUNTIME_EVENT_S = 30e-9
RUNTIME_DRAW_S = 0.5e-3  # random numbers of a step, however few
RUNTIME_NORMAL_S = 35e-9
RUNTIME_LOTTERY_S = 15e-9

PROGRAM_BYTES = 12 * 2**20
PYTHON_BYTES = 180 * 2**20
INPUT_EVENT_BYTES = 72  # of what is played in, while it is sorted
COMPILER_BYTES = 380 * 2**20  # two compilers at once


@dataclass(frozen=True, slots=True)
class Load:
    """What one sample asks of the machine.

    Attributes:
        steps: how many.
        neurons: of all populations.
        events: synapses times spikes, a second pathway counted again.
        potentials: readout neurons times steps.
        synapses: of all projections.
        normals: random numbers for the noise of membranes.
        lotteries: events of which it is drawn whether they arrive.
    """

    steps: int
    neurons: int
    events: float
    potentials: int
    synapses: int
    normals: int = 0
    lotteries: float = 0.0

    @property
    def cpp_s(self) -> float:
        """Core seconds in C++."""
        event_s = CPP_EVENT_S if self.synapses <= CACHED_SYNAPSES else CPP_FAR_EVENT_S
        loop = self.steps * (CPP_STEP_S + CPP_NEURON_S * self.neurons)
        drawn = self.normals * CPP_NORMAL_S + self.lotteries * CPP_LOTTERY_S
        return loop + self.events * event_s + self.potentials * CPP_READOUT_S + drawn

    def runtime_s(self, lanes: int) -> float:
        """Seconds of `lanes` samples side by side in Brian2's runtime with NumPy, building them included."""
        step_s = RUNTIME_STEP_S + RUNTIME_NEURON_S * self.neurons * lanes
        drawn = lanes * (self.normals * RUNTIME_NORMAL_S + self.lotteries * RUNTIME_LOTTERY_S)
        if drawn:
            step_s += RUNTIME_DRAW_S
        return RUNTIME_BUILD_S + self.steps * step_s + lanes * self.events * RUNTIME_EVENT_S + drawn


def load(grid: GridNetwork, spikes: Mapping[str, float], disturbance: Disturbance | None = None) -> Load:
    """The load of a sample in which populations and inputs fire so many spikes, see `spikes_per_sample`."""
    sizes = grid.spec.sizes
    events = 0.0
    for projection in grid.projections:
        source = projection.projection.source
        fan_out = projection.projection.weight.size / sizes[source]
        events += spikes[source] * fan_out * pathways(grid, projection)
    readout = sizes[grid.spec.readout.population]
    synapses = sum(projection.projection.weight.size for projection in grid.projections)
    neurons = sum(g.population.size for g in grid.populations)
    noisy = disturbance is not None and disturbance.membrane_noise > 0
    failing = disturbance is not None and disturbance.transmission_failure > 0
    return Load(
        grid.n_steps,
        neurons,
        events,
        readout * grid.n_steps,
        synapses,
        normals=grid.n_steps * sum(grid.spec.sizes[name] for name in grid.spec.spiking_populations) if noisy else 0,
        lotteries=events if failing else 0.0,
    )


def spikes_per_sample(
    grid: GridNetwork, inputs: Mapping[str, SpikeTrains], rates_hz: Mapping[str, float]
) -> dict[str, float]:
    """Spikes of every input, as they are, and of every population, at the rate given, else at `ASSUMED_RATE_HZ`."""
    duration_s = grid.n_steps * grid.step_ms / 1000.0
    fired = {
        g.population.name: rates_hz.get(g.population.name, ASSUMED_RATE_HZ) * duration_s * g.population.size
        for g in grid.populations
    }
    return fired | {name: trains.n_spikes / max(trains.n_samples, 1) for name, trains in inputs.items()}


def pathways(grid: GridNetwork, projection: GridProjection) -> int:
    """Deliveries per spike and synapse: a pulse of several steps is switched on and off."""
    target = next(g for g in grid.populations if g.population.name == projection.projection.target)
    return 2 if target.pulse_steps > 1 else 1


def cpp_worker_bytes(
    grid: GridNetwork, lanes: int, spikes: Mapping[str, float], disturbance: Disturbance | None = None
) -> int:
    """Peak memory of one process in C++.

    Per synapse two int32 indices, a float64 weight, and per pathway a float64 delay (until the queues are filled), an
    int32 delay and the index in the list of its source, whose capacity doubles as it grows; an index per event in
    flight; the readout's potentials. With a disturbance an int32 number per synapse and a float64 count per pathway.

    Args:
        grid: the network on its grid.
        lanes: copies side by side.
        spikes: of every input and population, see `spikes_per_sample`.
        disturbance: noise and failures, None for none.
    """
    sizes, potentials = grid.spec.sizes, grid.n_steps * grid.spec.sizes[grid.spec.readout.population]
    total = PROGRAM_BYTES + lanes * (2 * 8 * potentials + 64 * sum(g.population.size for g in grid.populations))
    for projection in grid.projections:
        edges, paths = projection.projection, pathways(grid, projection)
        if edges.weight.size:
            lists = np.bincount(edges.source_index, minlength=sizes[edges.source])
            capacity = int(np.sum(2.0 ** np.ceil(np.log2(lists[lists > 0]))))
            per_step = spikes[edges.source] / grid.n_steps * edges.weight.size / sizes[edges.source]
            in_flight = int(per_step * float(projection.delay_steps.mean()))
            per_synapse = 16 + 12 * paths + (0 if disturbance is None else 4 + 8 * paths)
            total += lanes * (edges.weight.size * per_synapse + paths * 4 * (capacity + 2 * in_flight))
            total += paths * 24 * (int(projection.delay_steps.max()) + 1)
    return total


def python_bytes(grid: GridNetwork, inputs: Mapping[str, SpikeTrains], lanes: int) -> int:
    """Peak memory of the process that prepares and collects: the network, one projection in every lane, all inputs."""
    sizes = [projection.projection.weight.size for projection in grid.projections]
    events = sum(trains.n_spikes for trains in inputs.values())
    preparing = 20 * sum(sizes) + max(sizes, default=0) * (48 + 24 * lanes)
    return PYTHON_BYTES + 24 * sum(sizes) + max(preparing, INPUT_EVENT_BYTES * events)
