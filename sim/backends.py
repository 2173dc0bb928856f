"""Brian2's global state, touched here and nowhere else."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import brian2
from brian2.devices.device import all_devices, get_device, reset_device, set_device

from spikebridge.bridge.errors import SpecError
from spikebridge.sim.engine import OnProgress

# Brian2's default flags include -ffast-math, which reorders sums; these keep IEEE arithmetic, operation by operation,
# so that C++, Cython and NumPy give the same bits. They cost nothing measurable.
STRICT_FLAGS = ["-w", "-O3", "-ffp-contract=off", "-std=c++11"]

# Brian2's key of compiled Cython code ignores the flags: code compiled with others must not be found.
CYTHON_CACHE = "~/.cython/spikebridge_strict"

one_at_a_time = threading.RLock()
"""Held by whoever builds or runs: Brian2 has one device and one set of preferences for all threads of a process."""

type Run = Callable[[Any, Any, OnProgress], None]
"""Run a `brian2.Network` for a duration, a quantity of time."""


@contextmanager
def backend(name: str) -> Iterator[Run]:
    """Activate a back end: build, run and read inside. Device and preferences are as before afterwards.

    Other threads wait until then.

    Raises:
        SpecError: it needs a compiler that is not there, or the caller has a standalone simulation of his own open.
    """
    _require_compiler(name)
    with one_at_a_time, preferences(strict_preferences(name)), _runtime() as run:
        yield run


@contextmanager
def preferences(wanted: Mapping[str, object]) -> Iterator[None]:
    """Set preferences of Brian2, and set them back."""
    saved = {name: brian2.prefs[name] for name in wanted}
    try:
        for name, value in wanted.items():
            brian2.prefs[name] = value
        yield
    finally:
        for name, value in saved.items():
            brian2.prefs[name] = value


@contextmanager
def project_device(directory: Path, *, headers: Sequence[str]) -> Iterator[None]:
    """Activate C++ standalone to generate a project in `directory`, not to compile or run it.

    Raises:
        SpecError: as `backend`.
    """
    _require_compiler("cpp")
    wanted = strict_preferences("cpp") | {"codegen.cpp.headers": list(headers)}
    with one_at_a_time:
        require_no_standalone()
        with preferences(wanted):
            set_device("cpp_standalone", build_on_run=False, directory=str(directory))
            try:
                yield
            finally:
                brian2.device.reinit()
                reset_device()


def strict_preferences(name: str) -> dict[str, object]:
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
        "legacy.refractory_timing": False,
    }


def _require_compiler(name: str) -> None:
    wanted = {"numpy": [], "cython": [compiler_command()], "cpp": [compiler_command(), "make"]}[name]
    missing = [program for program in wanted if shutil.which(program) is None]
    if missing:
        raise SpecError(
            f"backend {name!r} needs {' and '.join(missing)}, not found on the PATH (Debian, Ubuntu: apt install g++ "
            "make; macOS: xcode-select --install); backend 'numpy' needs no compiler"
        )


def compiler_command() -> str:
    """The C++ compiler that Brian2's makefiles call."""
    return (os.environ.get("CXX") or "g++").split()[0]


def require_no_standalone() -> None:
    """Refuse to take over a standalone simulation that the caller has begun.

    Raises:
        SpecError: saying how to finish it.
    """
    if get_device() is not all_devices["runtime"]:
        raise SpecError(
            "a Brian2 standalone device is active in this process; finish that simulation and call "
            "brian2.device.reinit() and brian2.reset_device() first, or use backend 'numpy' or 'cython'"
        )


@contextmanager
def _runtime() -> Iterator[Run]:
    def run(network: Any, duration: Any, on_progress: OnProgress) -> None:
        def report(_elapsed: Any, completed: float, _start: Any, _duration: Any) -> None:
            on_progress(completed)

        try:
            network.run(duration, namespace={}, report=report, report_period=0.5 * brian2.second)
        finally:
            # Brian2 leaves this set after an error, and its handler then swallows the next Ctrl-C.
            brian2.Network._globally_running = False

    set_device("runtime")
    try:
        yield run
    finally:
        reset_device()
