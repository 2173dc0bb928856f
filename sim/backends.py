"""Brian2's global state, touched here and nowhere else."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import brian2
from brian2.devices.device import all_devices, get_device, reset_device, set_device

from spikebridge.bridge.errors import SpecError
from spikebridge.sim.options import SimulationOptions

# Brian2's default flags include -ffast-math, which reorders sums; these keep IEEE arithmetic, operation by operation,
# so that C++, Cython and NumPy give the same bits. They cost nothing measurable.
STRICT_FLAGS = ["-w", "-O3", "-ffp-contract=off", "-std=c++11"]

# Brian2's key of compiled Cython code ignores the flags: code compiled with others must not be found.
CYTHON_CACHE = "~/.cython/spikebridge_strict"

type OnProgress = Callable[[float], None]
"""Called with the share of the run that is done, 0 to 1."""

type Run = Callable[[Any, Any, OnProgress], None]
"""Run a `brian2.Network` for a duration, a quantity of time."""


@contextmanager
def backend(options: SimulationOptions) -> Iterator[Run]:
    """Activate a back end: build, run and read inside. Device and preferences are as before afterwards.

    Raises:
        SpecError: it needs a compiler that is not there, or the caller has a standalone simulation of his own open.
    """
    _require_compiler(options.backend)
    preferences = _preferences(options.backend)
    saved = {name: brian2.prefs[name] for name in preferences}
    activate = _standalone if options.backend == "cpp" else _runtime
    try:
        for name, value in preferences.items():
            brian2.prefs[name] = value
        with activate() as run:
            yield run
    finally:
        for name, value in saved.items():
            brian2.prefs[name] = value


def _preferences(name: str) -> dict[str, object]:
    """Everything a user's own preferences could change about the result, and the code generation target."""
    return {
        "codegen.target": "auto" if name == "cpp" else name,
        "codegen.cpp.extra_compile_args": None,
        "codegen.cpp.extra_compile_args_gcc": STRICT_FLAGS,
        "codegen.runtime.cython.cache_dir": CYTHON_CACHE,
        "core.default_float_dtype": brian2.float64,
        # By default Brian2 answers Ctrl-C by ending the run early, and a part of it would pass for the whole.
        "core.stop_on_keyboard_interrupt": False,
        # Threads lose on networks of this size, up to 30 times with one copy; use processes.
        "devices.cpp_standalone.openmp_threads": 0,
        # Brian2's default is an unlimited number of compilers at once, 0.2 to 0.7 GB each.
        "devices.cpp_standalone.extra_make_args_unix": [f"-j{os.cpu_count() or 1}"],
        "legacy.refractory_timing": False,
    }


def _require_compiler(name: str) -> None:
    wanted = {"numpy": [], "cython": [_compiler()], "cpp": [_compiler(), "make"]}[name]
    missing = [program for program in wanted if shutil.which(program) is None]
    if missing:
        raise SpecError(
            f"backend {name!r} needs {' and '.join(missing)}, not found on the PATH (Debian, Ubuntu: apt install g++ "
            "make; macOS: xcode-select --install); backend 'numpy' needs no compiler"
        )


def _compiler() -> str:
    return (os.environ.get("CXX") or "g++").split()[0]


@contextmanager
def _runtime() -> Iterator[Run]:
    def run(network: Any, duration: Any, on_progress: OnProgress) -> None:
        def report(_elapsed: Any, completed: float, _start: Any, _duration: Any) -> None:
            on_progress(completed)

        network.run(duration, namespace={}, report=report, report_period=0.5 * brian2.second)

    set_device("runtime")
    try:
        yield run
    finally:
        reset_device()


@contextmanager
def _standalone() -> Iterator[Run]:
    """C++ standalone in a temporary directory, which is gone afterwards."""
    if get_device() is not all_devices["runtime"]:
        raise SpecError(
            "a Brian2 standalone device is active in this process; finish that simulation and call "
            "brian2.device.reinit() and brian2.reset_device() first, or use backend 'numpy' or 'cython'"
        )
    with tempfile.TemporaryDirectory(prefix="spikebridge-", ignore_cleanup_errors=True) as directory:

        def run(network: Any, duration: Any, on_progress: OnProgress) -> None:
            network.run(duration, namespace={})
            brian2.device.build(directory=directory, compile=True, run=True, debug=False, with_output=False)
            on_progress(1.0)

        set_device("cpp_standalone", build_on_run=False, directory=directory)
        try:
            yield run
        finally:
            brian2.device.reinit()
            reset_device()
