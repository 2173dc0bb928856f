"""brian2cuda as a back end: generate a program for a GPU, compile it unless it is there, run it.

What differs from the C++ engine is only how the same Network is executed. Nothing imports brian2cuda before it is used.
"""

from __future__ import annotations

import gc
import importlib
import logging
import subprocess
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import brian2
from brian2.devices.device import get_device, reset_device, set_device

from spikebridge.sim.backends import (
    compiler_command,
    one_at_a_time,
    preferences,
    require_no_standalone,
    strict_preferences,
)
from spikebridge.sim.binaries import cached_binary
from spikebridge.sim.build import CLOCK
from spikebridge.sim.cuda_memory import PARALLEL_BLOCKS
from spikebridge.sim.cuda_patches import apply, patches, sort_resizes
from spikebridge.sim.cuda_plan import CudaPlan, host_mib
from spikebridge.sim.cuda_run import execute, require_complete
from spikebridge.sim.cuda_toolkit import Toolkit, require_brian2cuda
from spikebridge.sim.processors import available_processors

# Like the C++ flags: IEEE arithmetic, operation by operation. nvcc would otherwise contract a product and a sum into
# one operation that rounds once; brian2cuda's own flags include -use_fast_math.
STRICT_NVCC_FLAGS = ["-w", "-fmad=false", "-prec-div=true", "-prec-sqrt=true", "-ftz=false"]
# brian2cuda's makefile says -std=c++11, too old for the thrust of CUDA 13; the last one counts.
STANDARD = "-std=c++17"
MIB_PER_COMPILER = 1024


@dataclass(frozen=True, slots=True)
class CudaSeconds:
    """Where the time of a run on a GPU goes.

    Attributes:
        generate_s: writing sources and numbers, in Python.
        compile_s: compiling, 0 where the program was there.
        program_s: the program: setting up synapses, its loop, and writing results.
        loop_s: of that, the loop over the steps.
    """

    generate_s: float = 0.0
    compile_s: float = 0.0
    program_s: float = 0.0
    loop_s: float = 0.0

    def __add__(self, other: CudaSeconds) -> CudaSeconds:
        return CudaSeconds(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))


@contextmanager
def cuda_backend(plan: CudaPlan) -> Iterator[Callable[[Any, Any], CudaSeconds]]:
    """Activate the GPU: build, run (a network for a duration) and read inside. Everything is as before afterwards.

    Args:
        plan: what to compile and run with.

    Raises:
        SpecError: brian2cuda is missing, or the caller has a standalone simulation of his own open; when run, compiling
            failed, or the program did not do all of it.
    """
    with tempfile.TemporaryDirectory(prefix="spikebridge-", ignore_cleanup_errors=True) as directory:
        project = Path(directory)
        with cuda_project(project, plan.toolkit, plan.card.compute_capability, plan.optimisation):

            def run(network: Any, duration: Any) -> CudaSeconds:
                start = time.perf_counter()
                generate(network, duration, project)
                generated = time.perf_counter()
                jobs = max(min(available_processors(), host_mib() // MIB_PER_COMPILER), 1)
                compiler = [str(plan.toolkit.nvcc), "--version"]
                binary = cached_binary(project, make=["make", f"-j{jobs}"], compiler=compiler)
                compiled = time.perf_counter()
                loop_s = execute(binary.path, project, plan.card, plan.heap_mib)
                program_s = time.perf_counter() - compiled
                get_device().has_been_run = True  # results can be read
                require_complete(network, plan.layout)
                return CudaSeconds(generated - start, binary.compile_s, program_s, loop_s)

            yield run


@contextmanager
def cuda_project(project: Path, toolkit: Toolkit, compute_capability: str, optimisation: str = "-O3") -> Iterator[None]:
    """Activate CUDA standalone to generate a project in a folder, not to compile or run it.

    Args:
        project: the folder.
        toolkit: what will compile it.
        compute_capability: what it will be compiled for, as "9.0".
        optimisation: `-O3`, or less where a program is only compiled.

    Raises:
        SpecError: as `cuda_backend`.
    """
    require_brian2cuda()
    with one_at_a_time:
        require_no_standalone()
        importlib.import_module("brian2cuda")  # registers the device and its preferences
        gputools = importlib.import_module("brian2cuda.utils.gputools")
        gc.collect()  # dead objects would still occupy their names, and names are in the sources
        wanted = cuda_preferences(toolkit, compute_capability, optimisation)
        with preferences(wanted), _quiet("brian2.brian2cuda"):
            _forget_gpu(gputools)
            set_device("cuda_standalone", build_on_run=False, directory=str(project))
            try:
                yield
            finally:
                brian2.device.reinit()
                reset_device()
                _forget_gpu(gputools)


def cuda_preferences(toolkit: Toolkit, compute_capability: str, optimisation: str) -> dict[str, object]:
    """Everything a user's own preferences could change about the result, and what brian2cuda would ask a GPU for."""
    device, cuda = "devices.cuda_standalone.", "devices.cuda_standalone.cuda_backend."
    links = [flag for folder in toolkit.library_folders for flag in (f"-L{folder}", f"-Wl,-rpath,{folder}")]
    return strict_preferences("cpp") | {
        "codegen.cpp.extra_compile_args_gcc": ["-w", optimisation, "-ffp-contract=off", STANDARD],
        "codegen.cpp.extra_link_args": links,
        f"{device}SM_multiplier": 1,
        f"{device}parallel_blocks": PARALLEL_BLOCKS,
        f"{device}launch_bounds": False,
        f"{device}syn_launch_bounds": False,
        f"{device}calc_occupancy": True,
        f"{device}extra_threshold_kernel": True,
        f"{device}push_synapse_bundles": True,
        f"{device}threads_per_synapse_bundle": "{max}",
        f"{device}bundle_threads_warp_multiple": False,
        f"{device}no_pre_references": False,
        f"{device}no_post_references": False,
        f"{device}use_atomics": True,
        f"{device}profile_statemonitor_copy_to_host": None,
        f"{cuda}gpu_heap_size": 128,  # replaced by what the environment says when it runs
        f"{cuda}detect_gpus": False,
        f"{cuda}gpu_id": 0,  # of those that CUDA_VISIBLE_DEVICES leaves: one
        f"{cuda}compute_capability": float(compute_capability),
        f"{cuda}detect_cuda": True,
        f"{cuda}cuda_path": str(toolkit.folder),
        f"{cuda}cuda_runtime_version": float("{}.{}".format(*toolkit.version)),
        f"{cuda}extra_compile_args_nvcc": [
            *STRICT_NVCC_FLAGS,
            optimisation,
            STANDARD,
            *(f"-I{folder}" for folder in toolkit.include_folders),
        ],
    }


def generate(network: Any, duration: Any, project: Path) -> None:
    """Write the sources of a network and what they are compiled with into the folder of the active device.

    Args:
        network: a `brian2.Network` of `spikebridge.sim.build`.
        duration: a quantity of time.
        project: the folder given to `cuda_project`.
    """
    network.run(duration, namespace={})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # brian2cuda leaves it to Python to close what it writes
        brian2.device.build(directory=str(project), compile=False, run=False, debug=False, with_output=False)
    apply(project, patches(CLOCK))
    sort_resizes(project)
    host = subprocess.run([compiler_command(), "--version"], capture_output=True, text=True, check=False)
    # nvcc calls the host's compiler, so that its version decides what the program is; the checksum covers this file.
    (project / "host_compiler.txt").write_text(host.stdout)


def _forget_gpu(gputools: Any) -> None:
    """Let brian2cuda look up preferences again, which it does once per process."""
    gputools.reset_cuda_installation()
    gputools.reset_gpu_selection()


@contextmanager
def _quiet(name: str) -> Iterator[None]:
    """Leave out a package's messages that are no warnings: brian2cuda lists all its preferences at every build."""
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)
