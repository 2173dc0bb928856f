"""What a GPU needs on a machine: each thing that is missing is named, with how to get it."""

import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cuda_machines import fake_toolkit, programs, small_network
from networks import random_trials

from spikebridge.bridge.errors import SpecError
from spikebridge.sim import cuda_toolkit
from spikebridge.sim.cuda_toolkit import find_toolkit, parse_architectures, parse_folder, parse_version
from spikebridge.sim.options import SimulationOptions
from spikebridge.sim.run import simulate


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH with a compiler and make, and no CUDA."""
    monkeypatch.setenv("PATH", f"{programs(tmp_path / 'programs', 'g++', 'make')}:/usr/bin:/bin")
    monkeypatch.setattr(shutil, "which", _only_in(tmp_path / "programs"))
    for name in ("CXX", "CUDA_PATH", "CUDA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SPIKEBRIDGE_CACHE", str(tmp_path / "cache"))
    return tmp_path


def _only_in(folder: Path) -> Callable[[str], str | None]:
    return lambda name: str(folder / name) if (folder / name).is_file() else None


def test_a_toolkit_is_found_where_its_compiler_says_it_is(bare: Path) -> None:
    """The nvcc on the PATH may be a script that calls another."""
    toolkit = fake_toolkit(bare / "cuda")
    (bare / "programs" / "nvcc").write_text(f'#!/bin/sh\nexec {bare}/cuda/bin/nvcc "$@"\n')
    (bare / "programs" / "nvcc").chmod(0o755)
    assert find_toolkit() == toolkit
    assert find_toolkit().nvcc == bare / "cuda" / "bin" / "nvcc"


def test_a_toolkit_off_the_path_is_found_by_its_variable(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toolkit = fake_toolkit(bare / "cuda", "12.4")
    monkeypatch.setenv("CUDA_HOME", str(bare / "cuda"))
    assert find_toolkit() == toolkit


def test_curand_is_taken_from_its_wheel_where_the_toolkit_has_none(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_toolkit(bare / "cuda", curand=False)
    monkeypatch.setenv("CUDA_PATH", str(bare / "cuda"))
    wheel = bare / "site" / "nvidia" / "cu13"
    for name in ("include/curand.h", "include/cuda_runtime.h", "lib/libcurand.so.10"):
        (wheel / name).parent.mkdir(parents=True, exist_ok=True)
        (wheel / name).write_text(name)
    (bare / "site" / "nvidia" / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(bare / "site"))
    monkeypatch.delitem(sys.modules, "nvidia", raising=False)
    for _ in range(2):  # the second time they are there
        toolkit = find_toolkit()
        (include,), (library,) = toolkit.include_folders, toolkit.library_folders
        assert [path.name for path in include.iterdir()] == ["curand.h"], "no other header of the wheel"
        assert (library / "libcurand.so").read_text() == "lib/libcurand.so.10"
    (library / "libcurand.so").unlink()
    assert (find_toolkit().library_folders[0] / "libcurand.so").is_file(), "links that were damaged are made again"


@pytest.mark.parametrize(
    ("version", "said"),
    [("11.8", "CUDA 11.8, which is not supported.*version 12 or 13"), ("14.0", "CUDA 14.0, which is not supported")],
)
def test_another_version_is_refused(bare: Path, monkeypatch: pytest.MonkeyPatch, version: str, said: str) -> None:
    fake_toolkit(bare / "cuda", version)
    monkeypatch.setenv("CUDA_PATH", str(bare / "cuda"))
    with pytest.raises(SpecError, match=said):
        find_toolkit()


def test_what_is_missing_is_named(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda_toolkit, "USUAL_FOLDER", str(bare / "nowhere"))
    with pytest.raises(
        SpecError, match=r"needs nvcc.*developer\.nvidia\.com/cuda-downloads.*backend 'cpp' does the same"
    ):
        find_toolkit()
    (bare / "programs" / "make").unlink()
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(SpecError, match=r"needs g\+\+ and make, not found.*apt install"):
        find_toolkit()


def test_without_brian2cuda_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "brian2cuda" else found(name))
    with pytest.raises(SpecError, match=r"pip install \"spikebridge\[cuda\]\"; backend 'cpp' does the same on a CPU"):
        simulate(small_network(), random_trials(small_network(), 2), step_ms=10.0, options=SimulationOptions("cuda"))


def test_without_curand_it_says_how_to_install_it(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_toolkit(bare / "cuda", "12.4", curand=False)
    monkeypatch.setenv("CUDA_PATH", str(bare / "cuda"))
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "nvidia" else found(name))
    with pytest.raises(SpecError, match=r"no cuRAND.*libcurand-dev-12-4.*pip install nvidia-curand-cu12"):
        find_toolkit()


def test_nothing_imports_brian2cuda_before_it_is_used() -> None:
    code = "import sys, spikebridge.sim.run; assert not any(name.startswith('brian2cuda') for name in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_what_nvcc_prints_is_read() -> None:
    assert parse_version("Built on Wed\nCuda compilation tools, release 12.8, V12.8.93\n") == (12, 8)
    with pytest.raises(SpecError, match="does not say which release"):
        parse_version("bash: nvcc: no such thing")
    assert parse_folder("#$ _HERE_=/x\n#$ TOP=/opt/cuda/bin/..\n", Path("/usr/bin/nvcc")) == Path("/opt/cuda")
    assert parse_folder("", Path("/opt/cuda-12/bin/nvcc")) == Path("/opt/cuda-12")
    assert parse_architectures("sm_75\nsm_90\nsm_103\nsm_120\n") == {"7.5", "9.0", "10.3", "12.0"}
