"""From what is to be simulated to tasks for workers, and back to results."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn

import numpy as np
from tqdm import tqdm

from spikebridge.bridge.arrays import IntArray
from spikebridge.bridge.spikes import SpikeTrains
from spikebridge.sim.cluster import require_no_gpu
from spikebridge.sim.engine import Simulated
from spikebridge.sim.job import Chunk, Job, close_jobs, prepare_job, simulate_chunk
from spikebridge.sim.pool import Pool, open_pool

type Bar = tqdm[NoReturn]

type Task = tuple[int, IntArray]
"""Which of the works, and its samples."""


@dataclass(frozen=True, slots=True, eq=False)
class Work:
    """A job and the inputs of all its samples, by name of the input, on its grid."""

    job: Job
    inputs: Mapping[str, SpikeTrains]

    @property
    def n_samples(self) -> int:
        """How many samples there are."""
        return next(iter(self.inputs.values())).n_samples


@dataclass(frozen=True, slots=True, eq=False)
class Done:
    """Some samples of `works[work]`: their numbers, and what the network did."""

    work: int
    samples: IntArray
    result: Simulated


def simulated(work: Work, *, progress: bool) -> Simulated:
    """All samples of one job, in order, by the workers of this machine.

    Raises:
        SpecError: a compiler is missing, or the result is not finite.
    """
    every = np.arange(work.n_samples, dtype=np.int64)
    parts = {int(done.samples[0]): done.result for done in run_tasks([work], [every], progress=progress)}
    return Simulated.joined([parts[first] for first in sorted(parts)])


def run_tasks(
    works: Sequence[Work], wanted: Sequence[IntArray], *, cluster: str | None = None, progress: bool
) -> Iterator[Done]:
    """Simulate samples of several jobs, each sample once, in any order.

    Args:
        works: jobs and inputs.
        wanted: (n,) the samples of each that are wanted.
        cluster: a Dask cluster as `spikebridge.sim.cluster.parse_cluster` reads it; this machine if None.
        progress: show a progress bar, if standard error is a terminal.

    Raises:
        SpecError: a compiler is missing, the result is not finite, workers are lost again and again, or a GPU is to
            run on a cluster.
    """
    if cluster is not None:
        for work in works:
            require_no_gpu(work.job.options)
    total = sum(samples.size for samples in wanted)
    if total == 0:
        return
    title = ", ".join(dict.fromkeys(f"Brian2 {w.job.options.backend}, {w.job.step_ms:g} ms" for w in works))
    bar: Bar
    with tqdm(total=total, desc=title, unit="sample", disable=None if progress else True) as bar:
        try:
            if cluster is not None:
                with open_pool(cluster) as pool:
                    yield from _in_pool(pool, works, _tasks(works, wanted, pool.workers), bar)
                return
            tasks = _tasks(works, wanted)
            number = min(max(work.job.plan.workers for work in works), len(tasks))
            if number == 1:
                yield from _here(works, tasks, bar)
            else:
                # Threads where compiled programs simulate, processes where Python does.
                compiled = all(work.job.options.backend == "cpp" for work in works)
                with open_pool(None, number, "threads" if compiled else "processes") as pool:
                    yield from _in_pool(pool, works, tasks, bar, prepare=compiled)
        finally:
            close_jobs([work.job for work in works])


def _tasks(works: Sequence[Work], wanted: Sequence[IntArray], workers: int | None = None) -> list[Task]:
    """Chunks of the samples that are wanted, for a number of workers, or for as many as each job has planned."""
    tasks: list[Task] = []
    for index, (work, samples) in enumerate(zip(works, wanted, strict=True)):
        size = work.job.plan.task_size(samples.size, workers or work.job.plan.workers)
        tasks += [(index, samples[first : first + size]) for first in range(0, samples.size, size)]
    return tasks


def _chunk(work: Work, samples: IntArray) -> Chunk:
    return Chunk(samples, {name: trains.select(samples) for name, trains in work.inputs.items()})


def _here(works: Sequence[Work], tasks: Sequence[Task], bar: Bar) -> Iterator[Done]:
    """In this thread, which can say how far it is within a task."""
    before = 0
    for index, samples in tasks:

        def show(share: float, before: int = before, size: int = samples.size) -> None:
            bar.update(before + int(share * size) - bar.n)

        yield Done(index, samples, simulate_chunk(works[index].job, _chunk(works[index], samples), show))
        before += samples.size


def _in_pool(
    pool: Pool, works: Sequence[Work], tasks: Sequence[Task], bar: Bar, *, prepare: bool = False
) -> Iterator[Done]:
    for task, result in pool.run(simulate_chunk, [work.job for work in works], _chunks(works, tasks, prepare)):
        index, samples = tasks[task]
        bar.update(samples.size)
        yield Done(index, samples, result)


def _chunks(works: Sequence[Work], tasks: Sequence[Task], prepare: bool) -> Iterator[tuple[int, Chunk]]:
    """The chunk of every task when a worker is about to need it.

    Code is generated here, which is in the thread that Brian2's global state belongs to, while workers are busy with
    the job before.
    """
    for index, samples in tasks:
        if prepare:
            prepare_job(works[index].job)
        yield index, _chunk(works[index], samples)
