"""Which back end, how many lanes and workers, how many samples a task: decided from measured costs, and said."""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace

from spikebridge.bridge.discretise import GridNetwork
from spikebridge.bridge.disturbance import Disturbance
from spikebridge.bridge.spikes import SpikeTrains
from spikebridge.sim import cost
from spikebridge.sim.backends import compiler_command
from spikebridge.sim.options import RUNTIME_LANES, Backend, SimulationOptions
from spikebridge.sim.processors import available_processors

TASK_S = 2.0
"""A task of about this long is not slowed down by being one, and not much is lost with it."""

MAX_TASK_SAMPLES = 64

RUNTIME_TASK_S = 20.0
"""The same for Brian2's runtime, which builds a Network for every task: a few percent of this."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How samples of one network will be simulated, and what that should cost.

    Attributes:
        options: with back end, lanes and workers decided.
        reason: for the back end, in words.
        samples: how many there are.
        load: of a sample.
        prepare_s: generating and compiling code, if this shape was never compiled on this machine.
        run_s: all samples on all workers.
        python_bytes: peak of this process.
        worker_bytes: peak of each process that it starts; 0 where it simulates itself.
    """

    options: SimulationOptions
    reason: str
    samples: int
    load: cost.Load
    prepare_s: float
    run_s: float
    python_bytes: int
    worker_bytes: int

    @property
    def workers(self) -> int:
        """Processes that simulate."""
        return self.options.workers or 1

    @property
    def task_samples(self) -> int:
        """Samples per task on this machine; what is lost at most, per worker, when a simulation is interrupted."""
        return self.task_size(self.samples, self.workers)

    def task_size(self, samples: int, workers: int) -> int:
        """Samples per task where so many are left for so many workers.

        Every worker gets several tasks, or one where a Network is built for each, and lanes are filled. A GPU sets
        everything up for every task, and has one.
        """
        lanes, load = self.options.lanes or 1, self.load
        if self.options.backend == "cuda":
            return max(samples, 1)
        if self.options.backend == "cpp":
            wanted = min(int(TASK_S / load.cpp_s), MAX_TASK_SAMPLES, math.ceil(samples / (4 * workers)))
            return max(wanted // lanes, 1) * lanes
        round_s = load.runtime_s(lanes) - cost.RUNTIME_BUILD_S
        rounds = min(int(RUNTIME_TASK_S / round_s), math.ceil(samples / (workers * lanes)))
        return max(rounds, 1) * lanes

    def total_bytes(self, *, compiled: bool) -> int:
        """Peak memory of everything together; compilers run before the processes that simulate."""
        running = self.workers * self.worker_bytes
        return self.python_bytes + (running if compiled else max(running, cost.COMPILER_BYTES))


def plan(
    grid: GridNetwork,
    inputs: Mapping[str, SpikeTrains],
    options: SimulationOptions,
    rates_hz: Mapping[str, float] | None = None,
    disturbance: Disturbance | None = None,
) -> Plan:
    """Decide what `options` leave open.

    Args:
        grid: the network on its grid.
        inputs: of all samples.
        options: what the user asked for.
        rates_hz: of populations, where they are known; else `cost.ASSUMED_RATE_HZ`.
        disturbance: noise and failures, None for none.
    """
    samples = next(iter(inputs.values())).n_samples
    spikes = cost.spikes_per_sample(grid, inputs, rates_hz or {})
    load = cost.load(grid, spikes, disturbance)
    backend, reason = _backend(load, samples, options)
    compiled = backend == "cpp"
    # Side by side, samples share the cost of a step. In the runtime that is most of the cost; in C++ it is 0.1 us, and
    # four lanes saved at most a fifth (networks below 150 neurons), while synapses of many lanes leave the cache.
    lanes = options.lanes or (1 if compiled else RUNTIME_LANES)
    lanes = min(lanes, max(samples, 1))
    cores = available_processors()
    workers = options.workers or (min(cores, max(samples // lanes, 1)) if compiled else 1)
    decided = replace(options, backend=backend, lanes=lanes, workers=workers)
    if compiled:
        run_s = samples * load.cpp_s / min(workers, cores)
        return Plan(
            decided,
            reason,
            samples,
            load,
            cost.CPP_GENERATE_S + cost.CPP_COMPILE_S,
            run_s,
            cost.python_bytes(grid, inputs, lanes),
            cost.cpp_worker_bytes(grid, lanes, spikes, disturbance),
        )
    batches = math.ceil(samples / lanes)
    memory = cost.python_bytes(grid, inputs, lanes) + lanes * load.synapses * 60
    run_s = batches * load.runtime_s(lanes) / min(workers, cores)
    alone = workers == 1
    return Plan(decided, reason, samples, load, 0.0, run_s, memory, 0 if alone else memory)


def _backend(load: cost.Load, samples: int, options: SimulationOptions) -> tuple[Backend, str]:
    if options.backend != "auto":
        return options.backend, "as asked for"
    missing = [program for program in (compiler_command(), "make") if shutil.which(program) is None]
    if missing:
        return "numpy", f"there is no {' and no '.join(missing)} to compile C++ with"
    lanes = min(options.lanes or RUNTIME_LANES, max(samples, 1))
    cores = available_processors()
    runtime_s = math.ceil(samples / lanes) * load.runtime_s(lanes) / min(options.workers or 1, cores)
    compiled_s = cost.CPP_GENERATE_S + cost.CPP_COMPILE_S
    compiled_s += samples * load.cpp_s / min(options.workers or cores, cores, max(samples, 1))
    if runtime_s <= compiled_s:
        return "numpy", f"about {runtime_s:.0f} s without compiling; C++ would compile for {cost.CPP_COMPILE_S:.0f} s"
    return "cpp", f"about {samples * load.cpp_s:.3g} core-seconds after compiling; NumPy would take {runtime_s:.3g} s"
