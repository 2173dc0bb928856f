"""The benchmark of the GPU: its arguments, what it says without a card, and how it compares and divides the time."""

import importlib.util
import re
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from cuda_machines import CARD, MEMORY, counted_inputs, fake_toolkit, on_grid, small_network

from spikebridge.sim.cuda_device import CudaSeconds
from spikebridge.sim.cuda_engine import CudaEngine
from spikebridge.sim.cuda_plan import spread
from spikebridge.sim.options import SimulationOptions
from spikebridge.sim.run import run_network

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """`benchmarks/gpu.py`, imported by its path, as a script that finds the modules beside it."""
    script = ROOT / "benchmarks" / "gpu.py"
    monkeypatch.syspath_prepend(str(script.parent))
    monkeypatch.setenv("OMP_WAIT_POLICY", "passive")  # importing it sets this, for the script's own process
    spec = importlib.util.spec_from_file_location("gpu", script)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_arguments_have_the_defaults_of_the_benchmark(gpu: ModuleType) -> None:
    options = gpu.arguments([])
    assert (options.samples, options.step_ms, options.hidden, options.lanes) == (2264, 0.1, 256, None)
    options = gpu.arguments(["--network", "n.h5", "--recording", "r.h5", "--samples", "8", "--lanes", "4"])
    assert (options.network, options.recording, options.lanes) == (Path("n.h5"), Path("r.h5"), 4)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--network", "n.h5"], "--network and --recording go together"),
        (["--recording", "r.h5"], "--network and --recording go together"),
        (["--samples", "0"], "--samples must be above 0"),
        (["--step-ms", "-1"], "--step-ms must be above 0"),
        (["--samples", "many"], "invalid int value"),
    ],
)
def test_impossible_arguments_are_refused(
    words: list[str], said: str, gpu: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        gpu.arguments(words)
    assert said in capsys.readouterr().err


def test_without_a_gpu_it_says_what_is_missing_and_writes_nothing(
    gpu: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    toolkit = fake_toolkit(tmp_path / "cuda")
    monkeypatch.setattr("spikebridge.sim.cuda_plan.find_toolkit", lambda: toolkit)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(gpu, "IDENTITY_SAMPLES", 1)
    monkeypatch.setattr(gpu, "append_results", lambda *_: pytest.fail("nothing was measured"))
    assert gpu.main(["--hidden", "2", "--step-ms", "1"]) == 4
    assert "error: backend 'cuda' needs an NVIDIA GPU and its driver" in capsys.readouterr().err
    assert gpu.main(["--network", "none.h5", "--recording", "none.h5"]) == 3
    assert "none.h5" in capsys.readouterr().err


def test_differing_spikes_and_potentials_are_counted(gpu: ModuleType) -> None:
    grid = on_grid(small_network())
    one = run_network(grid, counted_inputs(grid, 6, seed=1), SimulationOptions(backend="numpy"))
    spikes, differing, potential = gpu.differences(one, one)
    assert spikes > 3
    assert (differing, potential) == (0, 0.0)
    hidden = one.spikes["hidden"]
    moved = replace(hidden, step=np.concatenate([hidden.step[:-1], hidden.step[-1:] + 1]).astype(np.int32))
    assert one.readout is not None
    other = replace(one, spikes={"hidden": moved}, readout=one.readout + 0.25)
    assert gpu.differences(one, other) == (spikes, 2, 0.25)


def test_the_time_is_divided_without_a_rest(gpu: ModuleType, tmp_path: Path) -> None:
    grid = on_grid(small_network())
    options = SimulationOptions(backend="cuda", lanes=2)
    plan = spread(grid, counted_inputs(grid, 6, 1), options, fake_toolkit(tmp_path / "cuda"), CARD, MEMORY)
    engine = CudaEngine(grid, options, None, keep_readout=False)
    engine.seconds = CudaSeconds(1.0, 100.0, 20.0, 5.0) + CudaSeconds(1.0, 0.0, 20.0, 5.0)
    row = gpu.row("first", plan, engine, 600, 150.0)
    assert row == "| first | 2 x 3 x 1 | 10.0 s | 100.0 s | 30.0 s | 10.0 s | 150.0 s | 4 |"
    *parts, total = (float(number) for number in re.findall(r"([\d.]+) s ", row))
    assert sum(parts) == total
