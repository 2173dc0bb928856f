"""A run on a GPU is believed only if it did everything; here the program is a stand-in that knows the results."""

import sys
from pathlib import Path
from typing import Any

import brian2
import numpy as np
import pytest
from brian2.core.variables import ArrayVariable
from cuda_machines import CARD, MEMORY, fake_toolkit, on_grid, script, small_network
from interruptible import interruptible
from networks import every_kind_network, random_inputs

from spikebridge.bridge.errors import SpecError
from spikebridge.bridge.reference import run_reference
from spikebridge.sim import cuda_device, cuda_engine
from spikebridge.sim.backends import backend
from spikebridge.sim.binaries import Binary
from spikebridge.sim.build import build
from spikebridge.sim.cuda_engine import CudaEngine
from spikebridge.sim.cuda_plan import CudaPlan, spread
from spikebridge.sim.cuda_run import execute, require_no_error
from spikebridge.sim.options import SimulationOptions

type Values = dict[tuple[str, str], np.ndarray[Any, Any]]

PROGRAM = """#!{python}
import os, shutil, sys
from pathlib import Path

assert sys.argv[1] == "--results_dir" and sys.argv[2].endswith("results/")
assert os.environ["CUDA_VISIBLE_DEVICES"] == "GPU-0a1b2c3d" and int(os.environ["SPIKEBRIDGE_GPU_HEAP_MIB"]) > 0
assert list(Path("static_arrays").iterdir()), "run where the numbers are"
shutil.copytree("{results}", sys.argv[2], dirs_exist_ok=True)
print("INFO: synapses_0 creation took 0.1s")
{more}
"""


def values(network: Any) -> Values:
    """Every array of every object, by names of object and variable."""
    return {
        (thing.name, name): np.array(variable.get_value())
        for thing in network.objects
        for name, variable in getattr(thing, "variables", {}).items()
        if isinstance(variable, ArrayVariable) and variable.owner.name == thing.name
    }


def shuffled_within_steps(found: Values, seed: int) -> None:
    """Spikes of a step in any order, as a GPU records them."""
    rng = np.random.default_rng(seed)
    for monitor in {thing for thing, name in found if (thing, "count") in found}:
        order = np.lexsort((rng.random(found[monitor, "t"].size), found[monitor, "t"]))
        for name in ("i", "t"):
            found[monitor, name] = found[monitor, name][order]


class Stand:
    """Stands in for compiler and card: what NumPy computes for a batch, its program brings as the results."""

    def __init__(self, folder: Path, grid: Any, more: str = "") -> None:
        self.folder, self.grid, self.more = folder, grid, more
        self.plan: CudaPlan | None = None
        self.runs = 0
        self.lost: set[str] = set()

    def spread(self, grid: Any, inputs: Any, options: SimulationOptions) -> CudaPlan:
        toolkit = fake_toolkit(self.folder / "cuda")
        self.plan = spread(grid, inputs, options, toolkit, CARD, MEMORY)
        self.results = []
        for picked in self.plan.batches:
            chosen = {name: trains.select(picked) for name, trains in inputs.items()}
            with backend("numpy") as run:
                built = build(grid, chosen, self.plan.layout, None, self.plan.sources)
                run(built.network, self.plan.layout.total_steps * (grid.step_ms * brian2.ms), lambda _: None)
                self.results.append(values(built.network))
                shuffled_within_steps(self.results[-1], seed=len(self.results))
            del built
        return self.plan

    def cached_binary(self, project: Path, *, make: list[str], compiler: list[str]) -> Binary:
        assert make[0] == "make"
        assert compiler[1] == "--version"
        results = self.folder / f"results{self.runs}"
        results.mkdir()
        device = brian2.device
        found = self.results[self.runs]
        for table in (device.arrays, device.dynamic_arrays, device.dynamic_arrays_2d):
            for variable in table:
                key = (variable.owner.name, variable.name)
                if key in found and variable.name not in self.lost:
                    content = np.asarray(found[key], dtype=variable.dtype)
                    content.tofile(results / Path(device.get_array_filename(variable)).name)
        (results / "last_run_info.txt").write_text("0.5 1\n")
        self.runs += 1
        text = PROGRAM.format(python=sys.executable, results=results, more=self.more)
        return Binary(script(self.folder / f"cache{self.runs}" / "main", text), "0" * 64, 0.0)


def installed(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> Stand:
    monkeypatch.setattr(cuda_engine, "plan_cuda", stand.spread)
    monkeypatch.setattr(cuda_device, "cached_binary", stand.cached_binary)
    return stand


@pytest.mark.parametrize("lanes", [2, 3])
def test_a_whole_run_gives_the_spikes_of_the_reference(
    lanes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every kind of neuron and synapse, counts above one, a last batch that is not full, spikes unsorted."""
    grid = on_grid(every_kind_network(seed=3))
    inputs = random_inputs(grid, 7, seed=2)
    stand = installed(Stand(tmp_path, grid), monkeypatch)
    monkeypatch.setattr("spikebridge.sim.cuda_plan.batches", lambda *_: np.split(np.arange(7), [4]))
    options = SimulationOptions(backend="cuda", lanes=lanes)
    shares: list[float] = []
    found = CudaEngine(grid, options, None, keep_readout=True).run(inputs, shares.append)
    assert stand.runs == 2
    assert shares == [4 / 7, 1.0]
    spikes, potentials = run_reference(grid, inputs)
    assert sum(trains.step.size for trains in found.spikes.values()) > 100
    for name, trains in found.spikes.items():
        for field in ("step", "neuron", "offsets"):
            assert np.array_equal(getattr(trains, field), getattr(spikes[name], field)), name
    assert found.readout is not None
    assert np.array_equal(found.readout, potentials["readout"])


def test_a_monitor_that_lacks_spikes_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    grid = on_grid(small_network())
    stand = installed(Stand(tmp_path, grid), monkeypatch)
    whole = stand.spread

    def lossy(*arguments: Any) -> CudaPlan:
        plan = whole(*arguments)
        for (thing, name), array in stand.results[0].items():
            if name == "count" and thing.endswith("hidden_spikes"):
                array[0] += 1
        return plan

    monkeypatch.setattr(cuda_engine, "plan_cuda", lossy)
    engine = CudaEngine(grid, SimulationOptions(backend="cuda", lanes=2), None, keep_readout=False)
    with pytest.raises(SpecError, match=r"population_0_hidden_spikes recorded \[\d+, \d+\] spikes, depending on how"):
        engine.run(random_inputs(grid, 5, seed=1), lambda _: None)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("sys.exit(3)", r"failed with exit code 3: backend 'cpp'.*\nINFO: synapses_0 creation"),
        ('print("ERROR: There are more Synapses (3) than an int can hold")', "exit code 0: .*\nERROR: There are more"),
        ('print("Error opening static array x.")', "Error opening static array x"),
        ("Path(sys.argv[2], 'last_run_info.txt').write_text('1 0.4')", "ended before its time"),
        ("Path(sys.argv[2], 'last_run_info.txt').unlink()", "ended before its time"),
    ],
)
def test_a_program_that_fails_or_says_so_is_an_error(
    more: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grid = on_grid(small_network())
    installed(Stand(tmp_path, grid, more), monkeypatch)
    engine = CudaEngine(grid, SimulationOptions(backend="cuda", lanes=2), None, keep_readout=False)
    with pytest.raises(SpecError, match=said):
        engine.run(random_inputs(grid, 5, seed=1), lambda _: None)


@pytest.mark.parametrize(
    ("code", "line", "said"),
    [
        (0, "ERROR while allocating 4096 bytes in cudaVector.h/reserve()", r"more than the 1,234 MiB.*fewer lanes"),
        (
            255,
            "brianlib/cudaVector.h:166: void reserve(): block: [3,0,0] Assertion `new_data != NULL` failed.",
            "1,234",
        ),
        (255, "ERROR: cudaMalloc failed at objects.cu:1 : out of memory", "memory is used up; use fewer lanes"),
        (
            255,
            "ERROR: cudaSetDevice(0) failed at main.cu:84 : CUDA driver version is insufficient",
            "update the driver",
        ),
        (255, "ERROR: x failed : no kernel image is available for execution on the device", "update the driver"),
        (139, "nothing known", r"\(NVIDIA H100, 80 GiB, driver 580.65.06\) failed with exit code 139: backend 'cpp'"),
    ],
)
def test_what_is_known_to_go_wrong_is_explained(code: int, line: str, said: str) -> None:
    with pytest.raises(SpecError, match=said):
        require_no_error(code, f"INFO: start\n{line}\n", CARD, 1234)
    require_no_error(0, "INFO connectivity matrix has size 3\nWARNING Not enough ressources\n", CARD, 1234)


def test_an_interruption_ends_the_program(tmp_path: Path) -> None:
    program = script(
        tmp_path / "cache" / "main", "#!/bin/sh\necho $$ > pid\nsleep 0.5\nkill -INT $PPID\nexec sleep 60\n"
    )
    with interruptible(), pytest.raises(KeyboardInterrupt):
        execute(program, tmp_path, CARD, 1)
    assert not Path("/proc", (tmp_path / "pid").read_text().strip()).exists()
