"""How many copies of a network fit on a GPU side by side: arithmetic on sizes, nothing here asks a GPU.

Counted from what brian2cuda 1.0b1 allocates. It never frees the copy of a static array on the GPU, so that whatever is
set from an array is there twice.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from spikebridge.bridge.discretise import GridNetwork
from spikebridge.bridge.equations import brian_model
from spikebridge.bridge.errors import SpecError
from spikebridge.sim.cost import pathways as deliveries
from spikebridge.sim.layout import MIB, gap_steps

INT_MAX = 2**31 - 1
PARALLEL_BLOCKS = 128
"""Parts into which the targets of a projection are split, each with its queue: about one per multiprocessor."""

# Sources, targets (int32) and weights (float64) twice, index of the target and of the source (int32).
BYTES_PER_SYNAPSE = 2 * (4 + 4 + 8) + 4 + 4
# Per pathway delays twice, the synapse's number, and its bundle (size, offset, delay), of which it may be alone.
BYTES_PER_SYNAPSE_AND_PATHWAY = 2 * 8 + 4 + 3 * 4
# Index, step and time of a spike that is played in, twice.
BYTES_PER_INPUT_SPIKE = 2 * 28
# Neuron and time of a recorded spike, while the array that grows is copied.
BYTES_PER_RECORDED_SPIKE = 36
# A queue is a vector of its own on the GPU's heap: its head, and its smallest allocation.
BYTES_PER_QUEUE = 80
# An entry of a queue (int32), in a vector that at least doubles when it grows and leaves the old one behind.
BYTES_PER_QUEUED = 16
# Rate for which spikes are provided for; what is left over of the memory goes to the queues.
ASSUMED_RATE_HZ = 20.0
# Left to the driver, to kernels and to the granularity of allocations.
USABLE_SHARE = 0.85
# Of the host, while the synapses are sorted into bundles and before they are on the GPU.
HOST_BYTES_PER_SYNAPSE = 250
# Estimates, to balance copies side by side against rounds one after another: setting up a synapse on the host, and
# launching the kernels of one object for one step. `benchmarks/gpu.py` measures the sums.
SETUP_S_PER_SYNAPSE = 2e-7
LAUNCH_S_PER_OBJECT = 1e-5
# Measured with nvcc 13.0 on a core of an AMD EPYC: 29 files in 190 core-seconds.
COMPILE_CORE_S_PER_FILE = 6.6


@dataclass(frozen=True, slots=True)
class Footprint:
    """Memory on the GPU in bytes, and what is counted in int32.

    Attributes:
        lane: of one copy of the network, its queues included.
        sample: of what is played in and recorded of one sample.
        fixed: independent of both.
        queues: the part of `lane` and `fixed` that is on the heap, as (per lane, fixed).
        synapses: of one copy.
        pathways: queues of spikes: one per projection, two where a pulse of several steps ends.
        objects: groups, pathways and monitors that run in every step.
        largest: the largest number that one copy adds to an index in int32, and what it counts.
    """

    lane: int
    sample: int
    fixed: int
    queues: tuple[int, int]
    synapses: int
    pathways: int
    objects: int
    largest: tuple[int, str]


@dataclass(frozen=True, slots=True)
class Memory:
    """What a machine has: free memory of its GPU and memory of its host, in MiB."""

    gpu_free_mib: int
    host_mib: int


def footprint(grid: GridNetwork, bits: Mapping[str, int], spikes_per_sample: float) -> Footprint:
    """What a network takes.

    Args:
        grid: the network on its grid.
        bits: copies of every channel, by input name.
        spikes_per_sample: spikes played into one sample, over all inputs.
    """
    kinds = {population.population.name: population for population in grid.populations}
    synapses = pathways = lane = queued = fixed = 0
    counts = [(0, "synapses")]
    for projection in grid.projections:
        edges, per_channel = projection.projection, bits.get(projection.projection.source, 1)
        size = edges.weight.size * per_channel
        ways = deliveries(grid, projection)
        sources = grid.spec.sizes[edges.source] * per_channel
        synapses += size
        pathways += ways
        lane += size * (BYTES_PER_SYNAPSE + ways * BYTES_PER_SYNAPSE_AND_PATHWAY)
        lane += ways * sources * 4 * PARALLEL_BLOCKS
        delay_steps = int(projection.delay_steps.max(initial=0)) + kinds[edges.target].pulse_steps
        queued += ways * math.ceil(size * ASSUMED_RATE_HZ * delay_steps * grid.step_ms / 1000) * BYTES_PER_QUEUED
        fixed += ways * (delay_steps + 1) * PARALLEL_BLOCKS * BYTES_PER_QUEUE
        counts.append((size, f"synapses from {edges.source!r} to {edges.target!r}"))
        for name in (edges.source, edges.target):
            parts = grid.spec.sizes[name] * bits.get(name, 1) * PARALLEL_BLOCKS
            counts.append((parts, f"neurons of {name!r} times {PARALLEL_BLOCKS} parallel blocks"))
    for population in grid.populations:
        model = brian_model(population)
        lane += population.population.size * 16 * (len(model.constants) + len(model.state) + 4)
    spiking = sum(grid.spec.sizes[name] for name in grid.spec.spiking_populations)
    period = grid.n_steps + gap_steps(grid)
    recorded = spiking * ASSUMED_RATE_HZ * grid.n_steps * grid.step_ms / 1000
    sample = 8 * period * grid.spec.sizes[grid.spec.readout.population]
    sample += math.ceil(recorded * BYTES_PER_RECORDED_SPIKE + 2 * spikes_per_sample * BYTES_PER_INPUT_SPIKE)
    return Footprint(
        lane=lane + queued,
        sample=sample,
        fixed=fixed,
        queues=(queued, fixed),
        synapses=synapses,
        pathways=pathways,
        objects=2 * pathways + 6 * len(grid.populations) + len(grid.spec.inputs),
        largest=max(counts),
    )


def most_lanes(size: Footprint, memory: Memory) -> int:
    """Copies that fit side by side: into the GPU, into the host while they are set up, and into int32.

    Raises:
        SpecError: not even one does.
    """
    number = f"{size.largest[0]:,} {size.largest[1]}"
    usable = int(memory.gpu_free_mib * MIB * USABLE_SHARE) - size.fixed
    on_gpu = usable // (size.lane + size.sample)
    on_host = memory.host_mib * MIB // 2 // max(size.synapses * HOST_BYTES_PER_SYNAPSE, 1)
    counted = INT_MAX // max(size.largest[0], 1)
    if counted < 1:
        raise SpecError(f"one copy of the network has {number}; brian2cuda counts to {INT_MAX:,}: use backend 'cpp'")
    if on_gpu < 1:
        need = (size.fixed + size.lane + size.sample) / MIB / USABLE_SHARE
        raise SpecError(
            f"one copy of the network needs about {need:,.0f} MiB of the GPU's memory; {memory.gpu_free_mib:,} MiB are "
            "free: close other programs, use another card, or backend 'cpp'"
        )
    if on_host < 1:
        need = 2 * size.synapses * HOST_BYTES_PER_SYNAPSE / MIB
        raise SpecError(
            f"setting up {size.synapses:,} synapses takes about {need:,.0f} MiB of this machine's memory, which has "
            f"{memory.host_mib:,} MiB: use a machine with more, or backend 'cpp'"
        )
    return min(on_gpu, on_host, counted)


def balanced_lanes(size: Footprint, samples: int, period_steps: int) -> int:
    """Copies for which setting them up takes about as long as the rounds that they leave to run.

    Launching the kernels of a step takes the same time whatever the number of copies, setting up takes time per copy.
    """
    one_round_s = period_steps * size.objects * LAUNCH_S_PER_OBJECT
    one_copy_s = max(size.synapses, 1) * SETUP_S_PER_SYNAPSE
    return max(1, min(samples, round(math.sqrt(samples * one_round_s / one_copy_s))))


def run_seconds(size: Footprint, lanes: int, rounds: int, period_steps: int) -> float:
    """Estimated seconds of one batch: setting up all lanes, and launching the kernels of all rounds."""
    return lanes * size.synapses * SETUP_S_PER_SYNAPSE + rounds * period_steps * size.objects * LAUNCH_S_PER_OBJECT


def require_lanes(lanes: int, size: Footprint, memory: Memory) -> None:
    """Refuse a number of copies that does not fit; brian2cuda would print a line and go on with wrong numbers.

    Raises:
        SpecError: saying why, and how many do.
    """
    fits = most_lanes(size, memory)
    if lanes * size.largest[0] > INT_MAX:
        raise SpecError(
            f"{lanes} lanes have {lanes * size.largest[0]:,} {size.largest[1]}; brian2cuda counts to {INT_MAX:,}: use "
            f"at most {fits} lanes"
        )
    if lanes > fits:
        on_gpu = (size.fixed + lanes * (size.lane + size.sample)) / MIB
        on_host = lanes * size.synapses * HOST_BYTES_PER_SYNAPSE / MIB
        raise SpecError(
            f"{lanes} lanes need about {on_gpu:,.0f} MiB of the GPU, of which {memory.gpu_free_mib:,} MiB are free, "
            f"and {on_host:,.0f} MiB of the host's {memory.host_mib:,}: use at most {fits} lanes"
        )


def heap_mib(size: Footprint, lanes: int, samples: int, memory: Memory) -> int:
    """The heap for spikes in flight: what is left of the GPU's memory, at least what the assumed rate needs."""
    rest = size.fixed - size.queues[1] + lanes * (size.lane - size.queues[0]) + samples * size.sample
    left = int(memory.gpu_free_mib * USABLE_SHARE) - rest // MIB
    return max(left, (size.queues[1] + lanes * size.queues[0]) // MIB + 1)
