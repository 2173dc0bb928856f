"""The generated sources compile and link with the machine's nvcc, without a GPU; with one, they run."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from cuda_machines import CARD, generated, on_grid, small_network
from networks import every_kind_network, random_inputs

from spikebridge.bridge.errors import SpecError
from spikebridge.bridge.reference import run_reference
from spikebridge.sim.binaries import cached_binary
from spikebridge.sim.cuda_run import execute
from spikebridge.sim.cuda_toolkit import find_toolkit
from spikebridge.sim.options import SimulationOptions
from spikebridge.sim.run import run_network

needs_nvcc = pytest.mark.skipif(shutil.which("nvcc") is None, reason="nvcc (CUDA toolkit 12 or 13) is not on the PATH")
needs_card = pytest.mark.skipif(shutil.which("nvidia-smi") is None, reason="no NVIDIA driver, hence no GPU")


@pytest.mark.slow
@needs_nvcc
def test_a_small_network_compiles_and_links_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """29 files, about 190 core-seconds with -O1: a pulse of two steps, adaptation, refractoriness, rounds."""
    monkeypatch.setenv("SPIKEBRIDGE_CACHE", str(tmp_path / "cache"))
    toolkit = find_toolkit()
    grid = on_grid(small_network())
    made = generated(tmp_path / "project", grid, random_inputs(grid, 5, seed=1), toolkit)
    compiler = [str(toolkit.nvcc), "--version"]
    binary = cached_binary(made.project, make=["make", "-j2"], compiler=compiler)
    assert binary.compile_s > 0
    again = cached_binary(made.project, make=["false"], compiler=compiler)
    assert (again.path, again.compile_s) == (binary.path, 0.0)
    # It starts, and says that this machine has no such card.
    with pytest.raises(SpecError, match=r"failed with exit code 255: .*\nERROR: cudaSetDevice\(0\) failed"):
        execute(binary.path, made.project, CARD, 64)


@pytest.mark.slow
@needs_nvcc
@needs_card
def test_a_card_gives_the_spikes_of_the_reference() -> None:
    grid = on_grid(every_kind_network(seed=3))
    inputs = random_inputs(grid, 7, seed=2)
    found = run_network(grid, inputs, SimulationOptions(backend="cuda", lanes=2))
    spikes, potentials = run_reference(grid, inputs)
    assert found.readout is not None
    assert np.array_equal(found.readout, potentials["readout"])
    for name, trains in found.spikes.items():
        for field in ("step", "neuron", "offsets"):
            assert np.array_equal(getattr(trains, field), getattr(spikes[name], field)), name
