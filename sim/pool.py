"""Where independent pieces of simulation run: threads, processes, or a Dask cluster (in `dask_pool`)."""

from __future__ import annotations

import itertools
import queue
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import partial
from types import TracebackType
from typing import Any, Literal, Self

from spikebridge.bridge.errors import SpecError
from spikebridge.sim.cluster import LocalWorkers, parse_cluster, require_dask
from spikebridge.sim.feed import Feed
from spikebridge.sim.processors import available_processors
from spikebridge.sim.worker_process import WorkerProcess, end_all

TASKS_PER_WORKER = 2  # one at work, one waiting: a worker is not idle while this process produces and stores chunks


class Pool(ABC):
    """Runs tasks of several jobs, each task once. A context manager; one run at a time.

    Attributes:
        workers: how many tasks are at work at once.
    """

    workers: int

    @abstractmethod
    def run[J, C, R](
        self, work: Callable[[J, C], R], jobs: Sequence[J], tasks: Iterable[tuple[int, C] | None]
    ) -> Iterator[tuple[int, R]]:
        """Run `work(job, chunk)` for every task.

        Args:
            work: a function of a module that workers can import. It may be called from several threads of a process;
                what it keeps for a job in a global of its module stays with the worker.
            jobs: what tasks share, large or not: sent to a worker once.
            tasks: index of a job and a chunk, small. May be a generator: it is asked for the next task when a worker
                is about to need it. None says that there is none now; it is asked again when the results there are
                have been taken. With nothing under way it is the end.

        Yields:
            (number of the task, counted from 0; its result), once for every task, in the order in which they end.

        Raises:
            SpecError: a task ended the workers it ran in, or the workers cannot be reached.
            Exception: what `work` or `tasks` raised, unchanged; tasks not begun are cancelled.
        """

    @abstractmethod
    def close(self) -> None:
        """Cancel what is pending and end the workers this pool has started."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class LocalPool(Pool):
    """Threads of this process, or processes of this machine.

    Threads suit work that waits for programs it has started; a task that has begun ends before `close` returns.
    Processes suit work in Python. One that is killed is replaced and its task runs again, at most three times; a task
    that is given up is stopped. Processes import the main module, so a script needs `if __name__ == "__main__":`.

    Args:
        workers: their number.
        kind: `threads` or `processes`.

    Raises:
        SpecError: fewer than one worker, or an unknown kind.
    """

    def __init__(self, workers: int, kind: Literal["threads", "processes"] = "threads") -> None:
        if workers < 1:
            raise SpecError(f"a pool needs at least 1 worker, not {workers}")
        if kind not in ("threads", "processes"):
            raise SpecError(f"unknown kind of workers {kind!r}: choose 'threads' or 'processes'")
        self.workers = workers
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="spikebridge-worker")
        self._processes = [WorkerProcess() for _ in range(workers)] if kind == "processes" else []
        self._idle: queue.LifoQueue[WorkerProcess] = queue.LifoQueue()
        for process in self._processes:
            self._idle.put(process)
        self._numbers = itertools.count()
        self._busy = threading.Lock()
        self._given_up = threading.Event()

    def run[J, C, R](
        self, work: Callable[[J, C], R], jobs: Sequence[J], tasks: Iterable[tuple[int, C] | None]
    ) -> Iterator[tuple[int, R]]:
        """See `Pool.run`."""
        feed = Feed(tasks)
        pending: dict[Future[R], int] = {}
        ended: list[tuple[int, R]] = []
        with one_run(self._busy), self._given_up_at_the_end(pending) as given_up:
            key = next(self._numbers)
            while True:
                for task, job, chunk in feed.take(TASKS_PER_WORKER * self.workers - len(pending)):
                    call = partial(self._call, given_up, (key, job), work, jobs[job], chunk, task)
                    pending[self._threads.submit(call)] = task
                yield from ended  # after the next tasks are given out: the caller may take its time
                if ended and feed.waits:
                    ended = []
                    continue
                if not pending:
                    return
                done, _ = wait(pending, return_when=FIRST_COMPLETED)
                ended = [(pending.pop(future), future.result()) for future in done]

    def close(self) -> None:
        """End the workers; a thread first ends its task."""
        self._given_up.set()
        self._threads.shutdown(wait=False, cancel_futures=True)
        end_all(self._processes)
        self._threads.shutdown()

    def _call(
        self,
        given_up: threading.Event,
        key: tuple[int, int],
        work: Callable[[Any, Any], Any],
        job: Any,
        chunk: Any,
        task: int,
    ) -> Any:
        if not self._processes:
            return work(job, chunk)
        process = self._idle.get()
        try:
            return process.call(work, key, job, chunk, task=task, given_up=given_up)
        finally:
            self._idle.put(process)

    @contextmanager
    def _given_up_at_the_end(self, pending: Collection[Future[Any]]) -> Iterator[threading.Event]:
        """An event that is set when a run ends; what is pending then is cancelled or stopped."""
        self._given_up = given_up = threading.Event()
        try:
            yield given_up
        finally:
            given_up.set()
            if pending:
                for future in pending:
                    future.cancel()
                end_all(self._processes)


@contextmanager
def one_run(busy: threading.Lock) -> Iterator[None]:
    """Refuse a second run while one is going on."""
    if not busy.acquire(blocking=False):
        raise SpecError("this pool is running already: read all results of one run, or close it, before the next")
    try:
        yield
    finally:
        busy.release()


def open_pool(
    cluster: str | None = None,
    workers: int | None = None,
    kind: Literal["threads", "processes"] = "threads",
) -> Pool:
    """The pool a user asks for.

    Args:
        cluster: a Dask cluster as `parse_cluster` reads it; none for this process or machine.
        workers: how many; not set, one per processor this process may use, or what the cluster has.
        kind: what workers are where there is no cluster.

    Raises:
        SpecError: the cluster is none, cannot be reached or has another spikebridge; or has a number of workers of
            its own.
    """
    if cluster is None:
        return LocalPool(available_processors() if workers is None else workers, kind)
    parsed = parse_cluster(cluster)
    if workers is not None:
        if parsed != LocalWorkers(None):
            raise SpecError(f"the cluster {cluster!r} has a number of workers of its own: leave out workers={workers}")
        parsed = LocalWorkers(workers)
    require_dask(parsed)
    from spikebridge.sim.dask_pool import DaskPool

    return DaskPool(parsed)
