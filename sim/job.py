"""One network at one step, as a worker needs it to simulate any of its samples, wherever the worker is."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from spikebridge.bridge.arrays import IntArray
from spikebridge.bridge.discretise import discretise
from spikebridge.bridge.disturbance import Disturbance
from spikebridge.bridge.errors import SpecError, WorkerError
from spikebridge.bridge.physical import PhysicalUnits
from spikebridge.bridge.spec import NetworkSpec
from spikebridge.bridge.spikes import SpikeTrains
from spikebridge.sim.batch_engine import BatchEngine
from spikebridge.sim.cuda_engine import CudaEngine
from spikebridge.sim.engine import Engine, OnProgress, Simulated
from spikebridge.sim.options import SimulationOptions
from spikebridge.sim.planner import Plan
from spikebridge.sim.scratch import Scratch, remove_left
from spikebridge.sim.stream_engine import StreamEngine
from spikebridge.sim.stream_project import Prepared, is_compiled, prepare

ATTEMPTS = 3
"""How often a sample is tried whose process was lost."""

OPEN_ENGINES = 1
"""Engines that a worker keeps open: each holds its synapses in memory, plans count one, and tasks come job by job."""


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """A network at one step.

    Attributes:
        key: jobs with the same key are the same.
        spec: the network that runs.
        step_ms: time step.
        plan: how it runs.
        capacity: spikes per channel that an input plays in one step at most, see `stream_engine.spikes_per_channel`.
        keep_readout: whether readout traces are returned.
        physical: units, None for none.
        disturbance: noise and failures, None for none.
    """

    key: str
    spec: NetworkSpec
    step_ms: float
    plan: Plan
    capacity: int
    keep_readout: bool
    physical: PhysicalUnits | None
    disturbance: Disturbance | None = None

    @property
    def options(self) -> SimulationOptions:
        """With back end, lanes and workers decided."""
        return self.plan.options

    @property
    def lanes(self) -> int:
        """Copies of the network side by side."""
        return self.options.lanes or 1


@dataclass(frozen=True, slots=True, eq=False)
class Chunk:
    """Some samples: their numbers, and their input spikes by name of the input."""

    samples: IntArray
    inputs: Mapping[str, SpikeTrains]


class _Worker(threading.local):
    """The engines that this thread keeps open, by key of their job, the last used last."""

    def __init__(self) -> None:
        self.engines: OrderedDict[str, Engine] = OrderedDict()


_worker = _Worker()
_lock = threading.RLock()
_shared: set[str] = set()
"""Keys of jobs that `prepare_job` has prepared for all threads: kept until they are closed."""
_prepared: dict[str, tuple[Scratch, Prepared]] = {}
_opened: list[tuple[str, Engine]] = []


def simulate_chunk(job: Job, chunk: Chunk, on_progress: OnProgress = lambda _: None) -> Simulated:
    """Simulate some samples of a job; what a worker does with every task.

    A process of ours that dies on the way (somebody killed it, memory ran out) is started again.

    Raises:
        SpecError: no compiler, a result that is not finite, or a process that dies again and again.
    """
    for attempt in range(ATTEMPTS):
        try:
            return _engine(job).run(chunk.inputs, on_progress, chunk.samples)
        except WorkerError as error:
            _drop(job.key)
            if attempt == ATTEMPTS - 1:
                raise SpecError(
                    f"samples {chunk.samples[0]} to {chunk.samples[-1]} were tried {ATTEMPTS} times: {error}; if "
                    "memory ran out, use fewer workers (`simulate --plan` says how much each needs)"
                ) from error
    raise AssertionError


def prepare_job(job: Job) -> None:
    """Generate and compile what all workers of this process share.

    Raises:
        SpecError: no compiler, or compiling failed.
    """
    if job.options.backend == "cpp":
        _prepare(job)
        _shared.add(job.key)


def is_prepared(job: Job) -> bool:
    """Whether `prepare_job` would compile nothing."""
    if job.options.backend != "cpp":
        return True
    grid = discretise(job.spec, job.step_ms)
    return is_compiled(grid, job.lanes, job.capacity, job.physical, job.disturbance)


def close_jobs(jobs: Sequence[Job]) -> None:
    """End the simulations of these jobs that any thread of this process started, and remove their files.

    Files that a worker left which was killed are removed too.
    """
    keys = {job.key for job in jobs}
    with _lock:
        for key, engine in _opened:
            if key in keys:
                engine.close()
        _opened[:] = [(key, engine) for key, engine in _opened if key not in keys]
        for key in keys:
            _shared.discard(key)
            _forget(key)
    for key in keys & _worker.engines.keys():
        del _worker.engines[key]
    remove_left()


def _engine(job: Job) -> Engine:
    engines = _worker.engines
    if job.key not in engines:
        while len(engines) >= OPEN_ENGINES:
            _drop(next(iter(engines)))
        with _lock:  # what it needs is not forgotten meanwhile
            engines[job.key] = engine = _open(job)
            _opened.append((job.key, engine))
    engines.move_to_end(job.key)
    return engines[job.key]


def _drop(key: str) -> None:
    engine = _worker.engines.pop(key)
    engine.close()
    with _lock:
        _opened[:] = [(other, opened) for other, opened in _opened if opened is not engine]
        _forget(key)


def _forget(key: str) -> None:
    """Remove the files of a job that nothing needs any more: a worker of a cluster outlives many jobs."""
    if key in _prepared and key not in _shared and all(other != key for other, _ in _opened):
        _prepared.pop(key)[0].remove()


def _open(job: Job) -> Engine:
    grid = discretise(job.spec, job.step_ms)
    if job.options.backend == "cpp":
        return StreamEngine(grid, _prepare(job), keep_readout=job.keep_readout)
    if job.options.backend == "cuda":
        return CudaEngine(grid, job.options, job.physical, keep_readout=job.keep_readout)
    return BatchEngine(
        grid, job.options, job.lanes, job.physical, keep_readout=job.keep_readout, disturbance=job.disturbance
    )


def _prepare(job: Job) -> Prepared:
    with _lock:  # Brian2 generates code in global state
        if job.key not in _prepared:
            scratch = Scratch()
            grid = discretise(job.spec, job.step_ms)
            try:
                prepared = prepare(grid, job.lanes, job.capacity, job.physical, scratch.folder, job.disturbance)
            except BaseException:
                scratch.remove()
                raise
            _prepared[job.key] = scratch, prepared
        return _prepared[job.key][1]
