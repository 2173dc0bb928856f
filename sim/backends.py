"""Brian2's global state, touched here and nowhere else."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import brian2
from brian2.devices.device import reset_device

from spikebridge.bridge.errors import SpecError
from spikebridge.sim.build import Built
from spikebridge.sim.options import SimulationOptions

# Brian2's default flags include -ffast-math, which reorders sums; these keep IEEE arithmetic, operation by operation, so
# that C++, Cython and NumPy give the same bits. They cost nothing measurable.
STRICT_FLAGS = ["-w", "-O3", "-ffp-contract=off", "-std=c++11"]

PREFERENCES = {
    "codegen.target": lambda backend: backend if backend != "cpp" else "auto",
    "codegen.cpp.extra_compile_args_gcc": lambda _: STRICT_FLAGS,
    "codegen.cpp.extra_compile_args": lambda _: STRICT_FLAGS,
}


@contextmanager
def backend(options: SimulationOptions) -> Iterator[Callable[[Built, int, Any], None]]:
    """Activate a back end; yields `run(built, steps, dt)`. Device and preferences are as before afterwards.

    Raises:
        SpecError: the C++ back end is asked for and there is no compiler.
    """
    if options.backend == "cpp" and not (shutil.which("g++") and shutil.which("make")):
        raise SpecError(
            "backend 'cpp' needs g++ and make (Debian, Ubuntu: apt install g++ make); backend 'numpy' needs no compiler"
        )
    saved = {name: brian2.prefs[name] for name in PREFERENCES}
    try:
        for name, value in PREFERENCES.items():
            brian2.prefs[name] = value(options.backend)
        if options.backend == "cpp":
            with _standalone() as run:
                yield run
        else:
            yield lambda built, steps, dt: built.network.run(steps * dt, namespace={})
    finally:
        for name, value in saved.items():
            brian2.prefs[name] = value


@contextmanager
def _standalone() -> Iterator[Callable[[Built, int, Any], None]]:
    """C++ standalone in a temporary directory, which is gone afterwards: read results inside the block."""
    with tempfile.TemporaryDirectory(prefix="spikebridge-", ignore_cleanup_errors=True) as directory:
        brian2.set_device("cpp_standalone", build_on_run=False, directory=directory)

        def run(built: Built, steps: int, dt: Any) -> None:
            built.network.run(steps * dt, namespace={})
            brian2.device.build(directory=directory, compile=True, run=True, debug=False, with_output=False)

        try:
            yield run
        finally:
            brian2.device.reinit()
            reset_device()
