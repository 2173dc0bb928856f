"""How many copies of a network fit on a card: against what brian2cuda allocates, and against every limit."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from cuda_machines import CARD, MEMORY, counted_inputs, fake_toolkit, generated, on_grid, small_network
from networks import edges, every_kind_network, network, neurons

from spikebridge.bridge.discretise import GridNetwork, discretise
from spikebridge.bridge.errors import SpecError
from spikebridge.sim.cuda_memory import (
    INT_MAX,
    PARALLEL_BLOCKS,
    Footprint,
    Memory,
    balanced_lanes,
    footprint,
    heap_mib,
    most_lanes,
    require_lanes,
)
from spikebridge.sim.cuda_plan import gpu_costs, spread, steady
from spikebridge.sim.layout import MIB, gap_steps
from spikebridge.sim.options import SimulationOptions
from spikebridge.sim.planner import plan

SIZE = Footprint(
    lane=40 * MIB,
    sample=8 * MIB,
    fixed=100 * MIB,
    queues=(10 * MIB, 50 * MIB),
    synapses=100_000,
    pathways=3,
    objects=20,
    largest=(70_000, "synapses from 'a' to 'b'"),
)


def digits(hidden: int = 256, classes: int = 20) -> GridNetwork:
    """140 inputs, two hidden populations and a readout, fully connected, delays to 250 ms, one second at 0.1 ms."""
    rng = np.random.default_rng(0)
    nodes = [("input", 140), ("hidden1", hidden), ("hidden2", hidden), ("readout", classes)]
    projections = [
        edges(a, b, [(i, j, 1.0, int(rng.integers(0, 2501))) for i in range(n) for j in range(m)], step_ms=0.1)
        for (a, n), (b, m) in pairwise(nodes)
    ]
    populations = [neurons(name, size, step_ms=0.1, spiking=name != "readout") for name, size in nodes[1:]]
    spec = network(populations, projections, inputs={"input": 140}, n_steps=10_000, step_ms=0.1)
    return discretise(spec, 0.1)


def test_what_is_set_from_arrays_is_counted_to_the_byte(tmp_path: Path) -> None:
    """The static arrays of synapses, from the files that a generated program reads, are on the card twice."""
    grid = on_grid(small_network())
    inputs = counted_inputs(grid, 3, seed=0)
    toolkit = fake_toolkit(tmp_path / "cuda")
    one, three = (
        generated(tmp_path / str(lanes), grid, inputs, toolkit, lanes).project / "static_arrays" for lanes in (1, 3)
    )
    per_lane = {
        name.name: (name.stat().st_size - (one / name.name).stat().st_size) / 2
        for name in three.iterdir()
        if (one / name.name).is_file()
    }
    synapses = sum(size for name, size in per_lane.items() if "_synapses_" in name and "readout" not in name)
    # Sources, targets, weights and one delay of 2 + 2 synapses, and the delay that ends the pulse of 2 of them.
    assert synapses == 4 * (4 + 4 + 8 + 8) + 2 * 8
    size = footprint(grid, {"input": 1}, 5.0)
    assert size.synapses == 4
    assert size.lane - size.queues[0] > 2 * sum(per_lane.values())


def test_the_footprint_of_a_network_of_known_size() -> None:
    grid = digits()
    size = footprint(grid, {"input": 1}, 2100.0)
    assert size.synapses == 140 * 256 + 256 * 256 + 256 * 20 == 106_496
    assert size.largest == (256 * 256, "synapses from 'hidden1' to 'hidden2'")
    without_queues = (size.lane - size.queues[0]) / size.synapses
    assert 72 < without_queues < 85, "72 bytes a synapse, and the neurons and their bundles"
    trace = 8 * (10_000 + 2_500 + 1) * 20
    assert trace < size.sample < 2 * trace
    doubled = footprint(grid, {"input": 2}, 2100.0)
    assert doubled.synapses == size.synapses + 140 * 256


def test_the_number_of_lanes_follows_the_memory() -> None:
    grid = digits()
    size = footprint(grid, {"input": 1}, 2100.0)
    small, large = (most_lanes(size, Memory(mib, 10**6)) for mib in (8_000, 80_000))
    assert 100 < small < large
    assert large / small == pytest.approx(10, rel=0.1)
    used = size.fixed + large * (size.lane + size.sample)
    assert used <= 0.85 * 80_000 * MIB < used + size.lane + size.sample
    assert most_lanes(size, Memory(80_000, 1_000)) == 1_000 * MIB // 2 // (size.synapses * 250)


def test_lanes_are_limited_by_what_is_counted_in_int32() -> None:
    huge = Memory(10**9, 10**9)
    assert most_lanes(SIZE, huge) == INT_MAX // 70_000
    require_lanes(INT_MAX // 70_000, SIZE, huge)
    with pytest.raises(
        SpecError, match=r"30679 lanes have 2,147,530,000 synapses from 'a' to 'b'; .*at most 30678 lanes"
    ):
        require_lanes(INT_MAX // 70_000 + 1, SIZE, huge)
    with pytest.raises(SpecError, match=r"one copy of the network has 3,000,000,000 synapses.* use backend 'cpp'"):
        most_lanes(replace(SIZE, largest=(3 * 10**9, "synapses")), huge)


def test_few_synapses_of_many_neurons_are_limited_too() -> None:
    """brian2cuda multiplies the number of a neuron by that of its parallel blocks, in int32."""
    grid = on_grid(network([neurons("hidden", 1000)], [edges("input", "hidden", [(0, 0, 1.0, 0)])]))
    size = footprint(grid, {"input": 1}, 1.0)
    assert size.largest == (1000 * PARALLEL_BLOCKS, "neurons of 'hidden' times 128 parallel blocks")


def test_lanes_that_do_not_fit_are_refused_with_those_that_do() -> None:
    fits = most_lanes(SIZE, MEMORY)
    require_lanes(fits, SIZE, MEMORY)
    with pytest.raises(SpecError, match=f"{fits + 1} lanes need about .* MiB of the GPU, .* use at most {fits} lanes"):
        require_lanes(fits + 1, SIZE, MEMORY)
    with pytest.raises(
        SpecError, match=r"one copy of the network needs about 174 MiB of the GPU's memory; 50 MiB are free"
    ):
        most_lanes(SIZE, Memory(50, 10**6))
    with pytest.raises(SpecError, match=r"setting up 100,000 synapses takes about 48 MiB of this machine's memory"):
        most_lanes(SIZE, Memory(80_000, 40))


def test_lanes_balance_set_up_and_rounds() -> None:
    few, many = (balanced_lanes(SIZE, samples, 12_500) for samples in (100, 10_000))
    assert 1 < few <= 100
    assert many == pytest.approx(10 * few, rel=0.02) or few == 100
    assert balanced_lanes(SIZE, 10_000, 1_250) < many
    assert balanced_lanes(replace(SIZE, synapses=10**12), 10_000, 1_250) == 1
    assert balanced_lanes(SIZE, 3, 10**6) == 3


def test_spikes_in_flight_get_what_is_left() -> None:
    few, many = (heap_mib(SIZE, lanes, 100, MEMORY) for lanes in (10, 100))
    assert few - many == 90 * 30, "a lane without its queues"
    assert many == int(0.85 * 80_000) - (50 + 100 * 30 + 100 * 8)
    assert heap_mib(SIZE, 10, 10, Memory(10, 10)) == 50 + 10 * 10 + 1, "never less than what the assumed rate needs"


def test_what_a_plan_says_of_a_gpu_is_called_an_estimate() -> None:
    grid = digits()
    inputs = counted_inputs(grid, 4, 0)
    few, many = (
        gpu_costs(grid, inputs, plan(grid, inputs, SimulationOptions(backend="cuda", lanes=lanes))) for lanes in (1, 4)
    )
    assert "estimates that no card has confirmed" in few.reason
    assert few.run_s > many.run_s > 0, "four rounds take longer than setting up four lanes"
    assert many.python_bytes - few.python_bytes >= 3 * 106_496 * 250
    assert few.prepare_s == many.prepare_s > 1
    assert few.worker_bytes == 0


def test_a_gap_is_longer_by_at_most_an_eighth_and_takes_few_values() -> None:
    gaps = range(1, 3000)
    assert all(gap <= steady(gap) <= 1.125 * gap for gap in gaps)
    assert len({steady(gap) for gap in gaps}) < 80
    assert steady(2501) == steady(2503) == 2560


def test_batches_have_one_layout_and_sizes_that_fit_the_largest(tmp_path: Path) -> None:
    grid = on_grid(every_kind_network())
    inputs = counted_inputs(grid, 23, seed=0)
    toolkit = fake_toolkit(tmp_path / "cuda")
    options = SimulationOptions(backend="cuda", lanes=4, readout_limit_mib=1)
    plan = spread(grid, inputs, options, toolkit, CARD, MEMORY)
    assert np.concatenate(plan.batches).tolist() == list(range(23))
    assert plan.layout.lanes == 4
    assert plan.layout.lanes * plan.layout.rounds >= max(batch.size for batch in plan.batches)
    spikes = next(iter(inputs.values())).step.size
    (source,) = plan.sources.values()
    assert source.bits == 1
    assert source.entries / 2 < spikes <= source.entries
    assert source.entries.bit_count() == 1
    free = spread(grid, inputs, replace(options, lanes=None), toolkit, CARD, MEMORY)
    assert 1 <= free.layout.lanes <= 23
    assert plan.layout.gap_steps == steady(gap_steps(grid))
    assert spread(grid, inputs, replace(options, lanes=100), toolkit, CARD, MEMORY).layout.lanes == 23
    with pytest.raises(SpecError, match=r"lanes need about .*use at most"):
        spread(digits(), counted_inputs(digits(), 8, 0), replace(options, lanes=8), toolkit, CARD, Memory(200, 9000))
