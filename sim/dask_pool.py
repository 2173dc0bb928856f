"""A pool whose workers are those of a Dask cluster."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Any

import dask
from distributed import Client, Future, KilledWorker
from distributed.protocol import pickle

from spikebridge.bridge.errors import SpecError
from spikebridge.sim.cluster import Cluster
from spikebridge.sim.dask_cluster import Connection, connect
from spikebridge.sim.dask_worker import load_job, own_source, run_chunk
from spikebridge.sim.feed import Feed
from spikebridge.sim.pool import TASKS_PER_WORKER, Pool, one_run

WATCH_S = 2.0
# Jobs are large on purpose; Dask would warn of each.
LARGE_IS_MEANT = {"distributed.admin.large-graph-warning-threshold": 2**60}


class DaskPool(Pool):
    """Workers of a Dask cluster: started here, on SLURM, or running already.

    A job is a task of its own, so that Dask runs it again where the worker that holds it is lost; the same holds for
    every task that worker had. Each task is given to the worker with the fewest, which others may take over.

    Args:
        cluster: what `parse_cluster` returns.

    Raises:
        SpecError: the cluster cannot be reached or started, or a worker has another spikebridge or no Brian2.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._connection = connect(cluster)
        with ExitStack() as at_failure:
            at_failure.push(self._connection.started)
            self._workers = _Workers(self._connection)
            at_failure.pop_all()
        self._busy = threading.Lock()

    @property
    def workers(self) -> int:  # type: ignore[override]
        """Threads of all workers: those there are, or those there will be."""
        return self._workers.expected

    def run[J, C, R](
        self, work: Callable[[J, C], R], jobs: Sequence[J], tasks: Iterable[tuple[int, C] | None]
    ) -> Iterator[tuple[int, R]]:
        """See `Pool.run`. A task that is given up ends where it runs; its result is dropped."""
        feed = Feed(tasks)
        results: list[tuple[int, R]] = []
        with one_run(self._busy):
            run = _DaskRun(self._connection.client, self._connection.place, work, jobs, self._workers)
            try:
                while True:
                    for task, job, chunk in feed.take(run.room):
                        run.submit(task, job, chunk)
                    yield from results
                    if results and feed.waits:
                        results = []
                        continue
                    if not run.pending:
                        return
                    results = [run.next_result()]
            finally:
                run.cancel()

    def close(self) -> None:
        """Disconnect, and end the workers that were started here."""
        self._connection.started.close()


class _Workers:
    """The workers there are, asked for now and then: they come and go."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._seen = monotonic()
        self.threads: dict[str, int] = {}
        self.look()

    @property
    def expected(self) -> int:
        return self._connection.planned or max(1, sum(self.threads.values()))

    def look_if_due(self) -> None:
        """`look`, if that was a while ago."""
        if monotonic() - self._looked > WATCH_S:
            self.look()

    def look(self) -> None:
        """Ask the scheduler.

        Raises:
            SpecError: it does not answer, or there has been no worker for too long.
        """
        self._looked = monotonic()
        place = self._connection.place
        try:
            self.threads = self._connection.client.nthreads()
        except OSError as error:
            raise _scheduler_lost(place) from error
        self._connection.tend(len(self.threads))
        if self.threads:
            self._seen = monotonic()
        elif monotonic() - self._seen > self._connection.patience_s:
            raise SpecError(
                f"{place} has had no worker for {self._connection.patience_s:g} s: look into the output of the workers "
                "for why they ended, and start them again"
            )


@dataclass(slots=True, eq=False)
class _Pending:
    future: Future[Any]
    job: int
    worker: str | None


@dataclass(slots=True, eq=False)
class _DaskRun:
    """What is under way of one run."""

    client: Client
    place: str
    work: Callable[[Any, Any], Any]
    jobs: Sequence[Any]
    workers: _Workers
    pending: dict[int, _Pending] = field(default_factory=dict)
    token: str = field(default_factory=lambda: uuid.uuid4().hex[:12])
    _loads: dict[int, Future[Any]] = field(default_factory=dict)
    _ended: SimpleQueue[int] = field(default_factory=SimpleQueue)

    @property
    def room(self) -> int:
        """How many more tasks may be submitted."""
        return max(0, TASKS_PER_WORKER * self.workers.expected - len(self.pending))

    def submit(self, task: int, job: int, chunk: object) -> None:
        worker = self._least_loaded()
        future = self.client.submit(
            run_chunk,
            self._load(job),
            pickle.dumps(chunk),
            own_source(),
            key=f"spikebridge-chunk-{self.token}-{task}",
            workers=None if worker is None else [worker],
            allow_other_workers=worker is not None,
        )
        self.pending[task] = _Pending(future, job, worker)
        future.add_done_callback(lambda _, task=task: self._ended.put(task))

    def next_result(self) -> tuple[int, Any]:
        """Wait for a task to end.

        Raises:
            SpecError: it has ended several workers, or the cluster is lost.
            Exception: what the task raised.
        """
        task = None
        while task is None:
            self.workers.look_if_due()
            with suppress(Empty):
                task = self._ended.get(timeout=WATCH_S)
        result = self._result(task, self.pending[task])
        del self.pending[task]
        return task, result

    def cancel(self) -> None:
        """Forget all tasks and jobs of this run."""
        futures = [*(one.future for one in self.pending.values()), *self._loads.values()]
        if self.client.status == "running" and self.pending:
            self.client.cancel(futures)
        self.pending.clear()
        self._loads.clear()

    def _load(self, job: int) -> Future[Any]:
        if job not in self._loads:
            payload = pickle.dumps((self.work, self.jobs[job]))
            with dask.config.set(LARGE_IS_MEANT):
                key = f"spikebridge-job-{self.token}-{job}"
                self._loads[job] = self.client.submit(load_job, payload, key=key)
        return self._loads[job]

    def _least_loaded(self) -> str | None:
        load = dict.fromkeys(self.workers.threads, 0)
        for one in self.pending.values():
            if one.worker in load:
                load[one.worker] += 1
        return min(load, key=lambda name: load[name] / self.workers.threads[name], default=None)

    def _result(self, task: int, one: _Pending) -> Any:
        while True:
            try:
                return one.future.result(timeout=WATCH_S)
            except TimeoutError:
                if one.future.status == "error":  # the task's own
                    raise
                self.workers.look_if_due()  # its worker was lost with the result, and it runs again
            except KilledWorker as error:
                raise SpecError(
                    f"task {task} (job {one.job}) was on {error.allowed_failures + 1} workers of {self.place} that "
                    "ended; it, or a task that waited there, ends them. Most often memory runs out: give workers more, "
                    "or use fewer samples per chunk. The output of the workers says more"
                ) from error
            except CancelledError as error:
                if one.future.status == "cancelled":
                    raise _scheduler_lost(self.place) from error
                raise


def _scheduler_lost(place: str) -> SpecError:
    return SpecError(
        f"the connection to the scheduler of {place} is lost: results not yet received have to be computed again"
    )
