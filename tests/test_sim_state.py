"""Nothing of a simulation stays behind in Brian2, whatever happened, and nothing of the caller's gets into it."""

import gc
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import brian2
import numpy as np
import pytest
from brian2.core.base import BrianObject
from brian2.devices.device import all_devices, get_device, reset_device, set_device
from networks import edges, network, neurons, random_trials

from spikebridge.bridge.errors import SpecError
from spikebridge.bridge.recording import Trials
from spikebridge.bridge.spec import NetworkSpec, SynapseKind
from spikebridge.sim.backends import CYTHON_CACHE, STRICT_FLAGS, backend, project_device
from spikebridge.sim.options import SimulationOptions
from spikebridge.sim.run import simulate

BACKENDS = ["numpy", "cython", "cpp"]
SETTINGS = {
    "codegen.target": "cython",
    "codegen.cpp.extra_compile_args": ["-O0"],
    "codegen.cpp.extra_compile_args_gcc": ["-O1"],
    "core.default_float_dtype": np.float32,
    "legacy.refractory_timing": True,
    "devices.cpp_standalone.openmp_threads": 3,
}
"""Preferences under which a simulation of ours would come out wrong, or slow."""


def options(name: str) -> SimulationOptions:
    return SimulationOptions(backend=name)  # type: ignore[arg-type]


def example() -> tuple[NetworkSpec, Trials]:
    """Small, but with refractoriness and spikes, on which the settings above act."""
    pulse = edges("input", "hidden", [(0, 0, 3.0, 1)], SynapseKind.PULSE, pulse_steps=2)
    read = edges("hidden", "readout", [(0, 0, 0.7, 0)])
    spec = network([neurons(a=0.3, b=0.2, refractory_steps=2)], [pulse, read], n_steps=15)
    return spec, random_trials(spec, 3)


def state() -> tuple[object, ...]:
    """What a run could leave changed."""
    return {name: brian2.prefs[name] for name in SETTINGS}, get_device(), float(brian2.defaultclock.dt), Path.cwd()


@pytest.fixture
def callers_own_settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name, value in SETTINGS.items():
        monkeypatch.setitem(brian2.prefs, name, value)
    dt = brian2.defaultclock.dt
    brian2.defaultclock.dt = 0.25 * brian2.ms
    yield
    brian2.defaultclock.dt = dt


def test_settings_of_the_caller_neither_matter_nor_change(request: pytest.FixtureRequest) -> None:
    spec, trials = example()
    expected = simulate(spec, trials, step_ms=10.0)
    request.getfixturevalue("callers_own_settings")
    before = state()
    np.testing.assert_array_equal(simulate(spec, trials, step_ms=10.0).readout, expected.readout)
    assert state() == before


@pytest.mark.usefixtures("callers_own_settings")
@pytest.mark.parametrize("name", BACKENDS)
def test_an_error_leaves_everything_as_it_was(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = state()

    def fail() -> None:
        with project_device(tmp_path / "project", headers=[]) if name == "cpp" else backend(name):
            assert brian2.prefs["codegen.cpp.extra_compile_args_gcc"] == STRICT_FLAGS
            assert brian2.prefs["codegen.runtime.cython.cache_dir"] == CYTHON_CACHE
            assert brian2.prefs["core.default_float_dtype"] is np.float64
            brian2.NeuronGroup(3, "v : 1")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert state() == before
    assert list(tmp_path.iterdir()) == []


def test_flags_keep_ieee_arithmetic() -> None:
    assert "-ffp-contract=off" in STRICT_FLAGS
    assert not any("fast" in flag for flag in STRICT_FLAGS)


def test_no_object_of_a_simulation_stays_alive() -> None:
    spec, trials = example()
    gc.collect()
    before = set(BrianObject.__instances__())
    simulate(spec, trials, step_ms=10.0)
    gc.collect()
    assert set(BrianObject.__instances__()) <= before


def test_a_standalone_simulation_of_the_caller_is_not_touched(tmp_path: Path) -> None:
    """C++ standalone has one device per process; the runtime back ends go around it."""
    spec, trials = example()
    set_device("cpp_standalone", directory=str(tmp_path), build_on_run=False)
    try:
        mine = brian2.NeuronGroup(3, "v : 1")
        device = get_device()
        with pytest.raises(SpecError, match="standalone device is active"):
            simulate(spec, trials, step_ms=10.0, options=options("cpp"))
        assert np.isfinite(simulate(spec, trials, step_ms=10.0).scores).all()
        assert get_device() is device
        assert any(var.owner is not None and var.owner.name == mine.name for var in device.arrays)
    finally:
        get_device().reinit()
        reset_device()


def test_a_network_of_the_caller_runs_on_as_if_nothing_had_happened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(brian2.prefs, "codegen.target", "numpy")
    group = brian2.NeuronGroup(1, "dv/dt = (1 - v) / (10 * ms) : 1", method="euler", namespace={"ms": brian2.ms})
    mine = brian2.Network(group)
    mine.run(1 * brian2.ms)
    spec, trials = example()
    simulate(spec, trials, step_ms=10.0)
    mine.run(1 * brian2.ms)
    assert float(mine.t) == pytest.approx(2e-3)
    assert float(group.v[0]) == pytest.approx(1 - 0.99**20)


@pytest.mark.slow
def test_standalone_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    spec, trials = example()
    expected = simulate(spec, trials, step_ms=10.0)
    before = state()
    found = simulate(spec, trials, step_ms=10.0, options=options("cpp"))
    assert found.executor == "brian2-cpp"
    np.testing.assert_array_equal(found.readout, expected.readout)
    assert state() == before
    assert [path for path in tmp_path.iterdir() if path.name.startswith("spikebridge")] == []
    np.testing.assert_array_equal(simulate(spec, trials, step_ms=10.0).readout, expected.readout)


@pytest.mark.parametrize("held", ["numpy", "cpp"])
def test_threads_use_brian2_one_at_a_time(held: str, tmp_path: Path) -> None:
    """A worker of a Dask cluster may have several threads, and Brian2 has one device for all of them."""
    came = threading.Event()
    flags = []

    def other() -> None:
        with backend("numpy"):
            flags.append((brian2.prefs["codegen.target"], get_device() is all_devices["runtime"]))
            came.set()

    thread = threading.Thread(target=other)
    with project_device(tmp_path / "project", headers=[]) if held == "cpp" else backend(held):
        thread.start()
        assert not came.wait(0.3)
        assert (get_device() is all_devices["runtime"]) == (held == "numpy")
    thread.join()
    assert flags == [("numpy", True)]
