"""The CUDA sources that are generated: the same for the same shape, with the flags and changes that results rest on."""

import gc
import shutil
from pathlib import Path

import brian2
import numpy as np
import pytest
from brian2.devices.device import all_devices, get_device
from cuda_machines import Generated, counted_inputs, fake_toolkit, generated, on_grid, small_network
from networks import every_kind_network

from spikebridge.bridge.errors import SpecError
from spikebridge.sim.binaries import project_key
from spikebridge.sim.cuda_device import STRICT_NVCC_FLAGS, cuda_project
from spikebridge.sim.cuda_patches import Patch, apply, patches
from spikebridge.sim.cuda_toolkit import Toolkit
from spikebridge.sim.sources import padded

COMPILER = ["true"]


@pytest.fixture(scope="module")
def toolkit(tmp_path_factory: pytest.TempPathFactory) -> Toolkit:
    return fake_toolkit(tmp_path_factory.mktemp("toolkit"))


@pytest.fixture(scope="module")
def every_kind(toolkit: Toolkit, tmp_path_factory: pytest.TempPathFactory) -> Generated:
    """All kinds of neurons and synapses, refractoriness, recurrence, feedback, in two lanes and three rounds."""
    grid = on_grid(every_kind_network(seed=0))
    return generated(tmp_path_factory.mktemp("every"), grid, counted_inputs(grid, 5, seed=1), toolkit)


def test_weights_inputs_and_delays_are_not_in_the_sources(toolkit: Toolkit, tmp_path: Path) -> None:
    """Three networks of one shape give one program; another shape, card or number of rounds gives another."""
    keys = {}
    for name, spec, samples, seed in [
        ("one", small_network(1.0, 3), 5, 1),
        ("other", small_network(0.625, 3, source_delay=1), 5, 2),
        ("fewer", small_network(1.0, 3), 6, 3),
        ("longer", small_network(1.0, 3, n_steps=13), 5, 1),
        ("rounds", small_network(1.0, 3), 7, 1),
    ]:
        grid = on_grid(spec)
        project = generated(tmp_path / name, grid, counted_inputs(grid, samples, seed), toolkit).project
        keys[name] = project_key(project, COMPILER)
        gc.collect()
    assert keys["one"] == keys["other"] == keys["fewer"]
    assert len(set(keys.values())) == 3
    spikes = [(tmp_path / name / "static_arrays").glob("*weight") for name in ("one", "other")]
    assert [path.read_bytes() for path in spikes[0]] != [path.read_bytes() for path in spikes[1]]


def test_no_number_of_the_network_is_in_the_sources(every_kind: Generated, toolkit: Toolkit, tmp_path: Path) -> None:
    grid = on_grid(every_kind_network(seed=0))
    for projection in grid.projections:
        assert projection.projection.weight.size > 1
    again = generated(tmp_path, grid, counted_inputs(grid, 5, seed=2), toolkit)
    gc.collect()
    assert project_key(again.project, COMPILER) == project_key(every_kind.project, COMPILER)


def test_flags_are_strict_and_new_enough(every_kind: Generated, toolkit: Toolkit) -> None:
    makefile = every_kind.text("makefile")
    (flags,) = (line for line in makefile.splitlines() if line.startswith("NVCCFLAGS"))
    for flag in STRICT_NVCC_FLAGS:
        assert f" {flag} " in flags
    assert "-use_fast_math" not in flags
    assert "-ffast-math" not in flags
    assert "-arch=sm_90" in flags
    device, host = flags.split("-Xcompiler")
    assert device.rindex("-std=c++17") > device.rindex("-std=c++11")
    assert "-std=c++17" in host
    assert "-ffp-contract=off" in host
    assert f"{toolkit.nvcc} -ccbin" in makefile
    assert (every_kind.project / "host_compiler.txt").read_text()


def test_the_card_and_its_heap_are_chosen_when_it_runs(every_kind: Generated) -> None:
    main = every_kind.text("main.cu")
    assert 'std::getenv("SPIKEBRIDGE_GPU_HEAP_MIB")' in main
    assert "cudaSetDevice(0)" in main
    assert "128 * 1024 * 1024" not in main
    assert "num_parallel_blocks = 128;" in every_kind.text("objects.cu")
    assert "std::signal(SIGINT" not in main, "interrupted, it is no shorter run"


def test_every_pathway_waits_for_our_clock(every_kind: Generated) -> None:
    effects = sorted(every_kind.project.glob("code_objects/synapses_*_[po]*_codeobject.cu"))
    assert sum("_off_" in path.name for path in effects) == 3
    for path in effects:
        if "create_array" not in path.name:
            assert "defaultclock.timestep" not in path.read_text()
            assert "if (grid_clock.timestep[0] >= " in path.read_text()


def test_arrivals_are_added_by_atomic_operations(every_kind: Generated) -> None:
    for path in every_kind.project.glob("code_objects/synapses_*_pre_codeobject.cu"):
        assert path.read_text().count("_brian_atomicAdd(&_ptr_array_population_") >= 2
        assert "_arrivals[_postsynaptic_idx] = " not in path.read_text()


def test_locks_make_their_writes_visible(every_kind: Generated) -> None:
    text = every_kind.text("brianlib/spikequeue.h")
    assert text.index("__threadfence();\n        *lock = 0;") > text.index("!= 0);\n        __threadfence();")
    assert text.count("__threadfence();") == 2


def test_rounds_are_gated_and_reset_on_the_one_clock(every_kind: Generated) -> None:
    layout = every_kind.plan.layout
    assert (layout.lanes, layout.rounds) == (2, 3)
    thresholds = every_kind.text("code_objects/population_*_thresholder_codeobject.cu")
    assert thresholds.count(f"_brian_mod(t_in_timesteps, {layout.period_steps})) < {layout.active_steps}") == 6
    starts = every_kind.text("code_objects/population_*_start_codeobject.cu")
    assert starts.count(f"(_brian_mod(t_in_timesteps, {layout.period_steps})) != 0") == 7
    assert "lastspike" in thresholds


def test_a_line_that_is_not_there_is_an_error(every_kind: Generated, tmp_path: Path) -> None:
    project = tmp_path / "copy"
    shutil.copytree(every_kind.project, project)
    with pytest.raises(SpecError, match=r"0 times .* where 1 is expected: this is not version 1\.0b1"):
        apply(project, patches("grid_clock"))  # they are applied already
    with pytest.raises(SpecError, match=r"generates no brianlib/other\.h"):
        apply(project, (Patch("brianlib/other.h", "a", "b"),))


def test_nothing_stays_behind_in_brian2(toolkit: Toolkit, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    grid = on_grid(small_network())
    names = ("codegen.target", "codegen.cpp.extra_compile_args_gcc", "codegen.cpp.extra_link_args")
    before = {name: brian2.prefs[name] for name in names}
    generated(tmp_path / "project", grid, counted_inputs(grid, 2, 0), toolkit)
    cuda = "devices.cuda_standalone.cuda_backend."
    assert brian2.prefs[f"{cuda}detect_gpus"] is True
    assert brian2.prefs[f"{cuda}extra_compile_args_nvcc"] == ["-w", "-use_fast_math"]
    assert {name: brian2.prefs[name] for name in names} == before
    assert get_device() is all_devices["runtime"]
    assert "INFO" not in capfd.readouterr().err
    with (
        pytest.raises(SpecError, match="standalone device is active"),
        cuda_project(tmp_path, toolkit, "9.0"),
        cuda_project(tmp_path, toolkit, "9.0"),
    ):
        pass


def test_spikes_that_fill_up_a_generator_are_never_played() -> None:
    index, step = padded(np.array([1, 0]), np.array([0, 9]), 9, size=3, total_steps=10)
    assert index.tolist() == [1, 0, 0, 1, 2, 0, 1, 2, 0]
    assert step.tolist() == [0, 9, 11, 11, 11, 12, 12, 12, 13]
    assert len({*zip(index, step, strict=True)}) == 9
    with pytest.raises(ValueError, match="2 spikes do not fit into a generator of 1"):
        padded(index[:2], step[:2], 1, size=3, total_steps=10)
