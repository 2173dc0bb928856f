"""What a simulation on a GPU runs with: toolkit, card, batches and sizes, decided before anything is built."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from spikebridge.bridge.arrays import IntArray
from spikebridge.bridge.discretise import GridNetwork
from spikebridge.bridge.errors import SpecError
from spikebridge.bridge.spikes import SpikeTrains
from spikebridge.sim.cuda_card import Card, find_card
from spikebridge.sim.cuda_memory import (
    COMPILE_CORE_S_PER_FILE,
    HOST_BYTES_PER_SYNAPSE,
    INT_MAX,
    Memory,
    balanced_lanes,
    footprint,
    heap_mib,
    most_lanes,
    require_lanes,
    run_seconds,
)
from spikebridge.sim.cuda_toolkit import Toolkit, find_toolkit
from spikebridge.sim.layout import MIB, Layout, batches, gap_steps, plan_layout
from spikebridge.sim.options import SimulationOptions
from spikebridge.sim.planner import Plan
from spikebridge.sim.processors import available_processors
from spikebridge.sim.sources import SourceSize, bits_needed

SMALLEST_SOURCE = 64


@dataclass(frozen=True, slots=True, eq=False)
class CudaPlan:
    """How samples are spread over a GPU; every batch has the same layout and sizes, so that one program runs them all.

    Attributes:
        toolkit: compiles.
        card: runs.
        batches: the samples of each batch; the last may leave lanes and rounds without one.
        layout: of every batch.
        sources: sizes of the spike generators, by input name.
        heap_mib: memory on the card for spikes in flight.
        optimisation: `-O3`, or less where a program is only compiled.
    """

    toolkit: Toolkit
    card: Card
    batches: tuple[IntArray, ...]
    layout: Layout
    sources: dict[str, SourceSize]
    heap_mib: int
    optimisation: str = "-O3"


def plan_cuda(grid: GridNetwork, inputs: Mapping[str, SpikeTrains], options: SimulationOptions) -> CudaPlan:
    """Plan a simulation on the GPU of this machine.

    Raises:
        SpecError: there is none, something to compile with is missing, or the network does not fit.
    """
    toolkit = find_toolkit()
    card = find_card(toolkit)
    return spread(grid, inputs, options, toolkit, card, Memory(card.free_mib, host_mib()))


def with_lanes(grid: GridNetwork, inputs: Mapping[str, SpikeTrains], options: SimulationOptions) -> SimulationOptions:
    """The same options with `lanes` decided, where they are for a GPU.

    Raises:
        SpecError: as `plan_cuda`; or several workers are asked for, which would share the card without knowing it.
    """
    if options.backend != "cuda":
        return options
    if (options.workers or 1) > 1:
        raise SpecError(
            f"backend 'cuda' runs on one card with one worker, not {options.workers}: use more lanes instead"
        )
    return replace(options, lanes=plan_cuda(grid, inputs, options).layout.lanes)


def gpu_costs(grid: GridNetwork, inputs: Mapping[str, SpikeTrains], decided: Plan) -> Plan:
    """The same plan with the times and the memory of a GPU's host; estimates, until a card has confirmed them."""
    bits = {name: bits_needed(trains) for name, trains in inputs.items()}
    size = footprint(grid, bits, sum(trains.step.size for trains in inputs.values()) / decided.samples)
    lanes = decided.options.lanes or 1
    planned = batches(grid, decided.samples, lanes, decided.options.readout_limit_mib)
    rounds = -(-planned[0].size // lanes)
    period = grid.n_steps + steady(gap_steps(grid))
    files = 8 + 7 * len(grid.populations) + 4 * size.pathways
    return replace(
        decided,
        reason=f"{decided.reason}; on a GPU these are estimates that no card has confirmed",
        prepare_s=files * COMPILE_CORE_S_PER_FILE / available_processors(),
        run_s=len(planned) * run_seconds(size, lanes, rounds, period),
        python_bytes=decided.python_bytes + lanes * size.synapses * HOST_BYTES_PER_SYNAPSE,
        worker_bytes=0,
    )


def spread(
    grid: GridNetwork,
    inputs: Mapping[str, SpikeTrains],
    options: SimulationOptions,
    toolkit: Toolkit,
    card: Card,
    memory: Memory,
) -> CudaPlan:
    """Spread samples over copies side by side and rounds one after another, and fix every size.

    Args:
        grid: the network on its grid.
        inputs: what is played in, by input name.
        options: `lanes`, where set, and `readout_limit_mib`.
        toolkit: compiles.
        card: runs.
        memory: what the machine has.

    Raises:
        SpecError: it does not fit, or there are no samples.
    """
    samples = next(iter(inputs.values())).n_samples
    bits = {name: bits_needed(trains) for name, trains in inputs.items()}
    played = sum(trains.step.size for trains in inputs.values())
    size = footprint(grid, bits, played / max(samples, 1))
    period = grid.n_steps + steady(gap_steps(grid))
    if options.lanes is None:
        per_batch = options.readout_limit_mib * MIB // (8 * period * grid.spec.sizes[grid.spec.readout.population])
        together = max(min(samples, per_batch), 1)
        lanes = min(balanced_lanes(size, together, period), most_lanes(size, memory))
    else:
        lanes = max(min(options.lanes, samples), 1)
        require_lanes(lanes, size, memory)
    planned = batches(grid, samples, lanes, options.readout_limit_mib)
    layout = plan_layout(grid, planned[0].size, lanes)
    layout = replace(layout, gap_steps=steady(layout.gap_steps))
    sources = {name: _source_size(name, trains, planned, bits[name], layout) for name, trains in inputs.items()}
    return CudaPlan(
        toolkit, card, tuple(planned), layout, sources, heap_mib(size, lanes, layout.lanes * layout.rounds, memory)
    )


def steady(gap: int) -> int:
    """A gap at least as long, by at most an eighth: the sources, which have it in them, outlive a change of delays."""
    unit = 1 << max(gap.bit_length() - 4, 0)
    return -(-gap // unit) * unit


def host_mib() -> int:
    """Memory of this machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // MIB


def _source_size(name: str, trains: SpikeTrains, planned: list[IntArray], bits: int, layout: Layout) -> SourceSize:
    """A power of two that holds the spikes of any batch; a count has at most as many bits set as it has spikes."""
    per_sample = np.diff(trains.offsets)
    most = max(int(per_sample[picked].sum()) for picked in planned)
    entries = max(1 << (most - 1).bit_length() if most else 1, SMALLEST_SOURCE)
    late = entries // (layout.lanes * bits * trains.n_neurons) + 2
    if entries > INT_MAX or layout.total_steps + late > INT_MAX:
        raise SpecError(
            f"a batch plays {most:,} spikes of {name!r} in {layout.total_steps:,} steps; brian2cuda counts both to "
            f"{INT_MAX:,}: lower readout_limit_mib or lanes"
        )
    return SourceSize(bits, entries)
