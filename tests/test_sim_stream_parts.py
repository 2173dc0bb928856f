"""Pieces of the C++ engine that need no simulation: how samples lie side by side, edges, room for counts, flags."""

import pickle
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import edges, network, neurons, on_training_grid, played
from streaming import differences, everything, everything_on_grid, play, prepared, reference, samples

from spikebridge.bridge.arrays import IntArray
from spikebridge.bridge.discretise import GridProjection
from spikebridge.bridge.errors import SpecError
from spikebridge.bridge.network_file import network_sha256
from spikebridge.bridge.spikes import SpikeTrains
from spikebridge.sim import stream_build, stream_project
from spikebridge.sim.binaries import Binary
from spikebridge.sim.edges import MAX_SYNAPSES, LaneEdges, lane_edges, require_countable
from spikebridge.sim.sample_process import StepEvents
from spikebridge.sim.stream_engine import one_by_one, side_by_side, spikes_per_channel
from spikebridge.sim.stream_project import prepare
from spikebridge.sim.unity_build import MAKE


@st.composite
def trains(draw: st.DrawFn, most: int = 3) -> SpikeTrains:
    """Counts of a few samples."""
    shape = tuple(draw(st.integers(1, size)) for size in (4, 6, 5))
    counts = draw(st.lists(st.integers(0, most), min_size=int(np.prod(shape)), max_size=int(np.prod(shape))))
    return SpikeTrains.from_counts(np.array(counts, dtype=np.int32).reshape(shape), 10.0)


@given(trains(), st.integers(0, 2), st.integers(0, 2**32 - 1))
@settings(deadline=None)
def test_samples_side_by_side_come_back_one_by_one(made: SpikeTrains, idle: int, seed: int) -> None:
    """Whatever order spikes of a step come in, and whatever lanes without a sample do."""
    events = side_by_side(made)
    assert (np.diff(events.step) >= 0).all()
    lanes, size = made.n_samples + idle, made.n_neurons
    rng = np.random.default_rng(seed)
    idle_steps = rng.integers(0, made.n_steps, 5 * idle)
    idle_neurons = rng.integers(made.n_samples * size, lanes * size, 5 * idle) if idle else idle_steps
    step = np.concatenate([events.step, idle_steps])
    neuron = np.concatenate([events.neuron, idle_neurons]).astype(np.int32)
    order = np.lexsort((rng.random(step.size), step))
    grid = replace(on_training_grid(network([neurons()], [])), n_steps=made.n_steps)
    back = one_by_one(StepEvents(step[order].astype(np.int32), neuron[order]), made.n_samples, size, grid)
    for name in ("step", "neuron", "offsets", "n_steps", "n_neurons", "step_ms"):
        np.testing.assert_array_equal(getattr(back, name), getattr(made, name), err_msg=name)


@given(trains(most=40), trains(most=40))
@settings(deadline=None)
def test_there_is_room_for_the_spikes_of_every_step(one: SpikeTrains, other: SpikeTrains) -> None:
    room = spikes_per_channel({"one": one, "other": other})
    assert room >= 4
    assert room & (room - 1) == 0
    needed = max(int(t.counts().sum(axis=2).max()) / t.n_neurons for t in (one, other))
    assert room >= needed
    assert room == 4 or room / 2 < needed


def test_the_room_is_a_power_of_two() -> None:
    grid = on_training_grid(network([neurons()], []))
    rooms = {n: spikes_per_channel({"input": played([(0, 3, 0)] * n, grid)["input"]}) for n in (0, 1, 4, 5, 8, 9, 100)}
    assert rooms == {0: 4, 1: 4, 4: 4, 5: 8, 8: 8, 9: 16, 100: 128}


def listed(found: LaneEdges) -> list[tuple[int, int, float, int]]:
    return list(
        zip(
            found.source.tolist(), found.target.tolist(), found.weight.tolist(), found.delay_steps.tolist(), strict=True
        )
    )


def test_edges_lie_lane_after_lane_by_source_and_delay() -> None:
    wire = edges("input", "hidden", [(1, 2, 0.5, 3), (0, 1, 0.25, 2), (1, 0, 0.75, 1), (0, 0, 0.125, 0)])
    grid = on_training_grid(network([neurons(size=3)], [wire], inputs={"input": 2}))
    found = lane_edges(grid.projections[0], 2, grid.spec.sizes)
    first = [(0, 0, 0.125, 0), (0, 1, 0.25, 2), (1, 0, 0.75, 1), (1, 2, 0.5, 3)]
    assert listed(found) == [*first, *((i + 2, j + 3, weight, delay) for i, j, weight, delay in first)]
    assert found.size == 8
    assert found.source.dtype == found.target.dtype == np.int32


def shuffled(found: LaneEdges) -> LaneEdges:
    order: IntArray = np.random.default_rng(0).permutation(found.size)
    return LaneEdges(
        found.source[order], found.target[order], found.weight[order], found.delay_steps[order], found.edge[order]
    )


def test_the_order_of_edges_does_not_matter_for_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    grid = everything_on_grid(2)
    inputs = samples(grid, 2)
    monkeypatch.setattr(stream_build, "lane_edges", lambda *args: shuffled(lane_edges(*args)))
    with prepared(grid, inputs) as made:
        assert differences(play(made, grid, inputs), reference(grid, inputs)) == []


class Large:
    """A projection of so many synapses, without having them."""

    def __init__(self, size: int) -> None:
        self.projection = self
        self.weight = self
        self.size = size
        self.label = "hidden->hidden"


@pytest.mark.parametrize(
    ("size", "lanes", "said"),
    [
        (2**30, 2, "1,073,741,824 synapses; 2 lanes .* use at most 1 lanes"),
        (10**9, 5, "use at most 2 lanes"),
        (2**31, 1, "split the projection"),
    ],
)
def test_more_synapses_than_brian2_counts_are_refused(size: int, lanes: int, said: str) -> None:
    grid: GridProjection = Large(size)  # type: ignore[assignment]
    with pytest.raises(SpecError, match=f"hidden->hidden has .*{said}"):
        require_countable(grid, lanes)
    require_countable(Large(MAX_SYNAPSES // lanes), lanes)  # type: ignore[arg-type]


def test_a_network_travels_to_other_processes() -> None:
    spec = replace(everything(), metadata={"origin": "a test"})
    again = pickle.loads(pickle.dumps(spec))  # noqa: S301 - our own bytes
    assert network_sha256(again) == network_sha256(spec)
    assert again.metadata == {"origin": "a test"}
    assert again.sizes == spec.sizes
    with pytest.raises(TypeError):
        again.metadata["origin"] = "elsewhere"


def test_everything_in_a_loop_is_compiled_with_strict_flags(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_project, "cached_binary", lambda project, **_: Binary(project / "main", "", 0.0))
    prepare(everything_on_grid(), 1, 4, None, tmp_path)
    command = [*MAKE, "-n", "--no-print-directory"]  # under `make test` a make of its own would print its folder
    done = subprocess.run(command, cwd=tmp_path / "project", capture_output=True, text=True, check=True)
    loops, arrays, link = done.stdout.splitlines()
    assert loops.split()[-3:] == ["loops.cpp", "-o", "loops.o"]
    assert {"-O3", "-ffp-contract=off"} <= set(loops.split())
    assert "-O0" not in loops
    assert "fast-math" not in done.stdout
    assert arrays.split()[-3:] == ["objects.cpp", "-o", "objects.o"]
    assert "-o main" in link
    source = (tmp_path / "project" / "loops.cpp").read_text()
    written = {path.name for path in (tmp_path / "project").rglob("*.cpp")} - {"loops.cpp", "objects.cpp"}
    included = re.findall(r'#include "(?:.*/)?(.*\.cpp)"', source)
    assert sorted(included) == sorted(written)
