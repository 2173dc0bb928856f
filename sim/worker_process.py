"""A worker process of this machine: it is sent each job once, then chunk after chunk, and ends with its parent."""

from __future__ import annotations

import os
import signal
import threading
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from multiprocessing.reduction import ForkingPickler
from pickle import PickleError
from types import FrameType
from typing import Any

from spikebridge.bridge.errors import SpecError

ALLOWED_LOSSES = 3
SECONDS_TO_END = 5.0
SPAWN = get_context("spawn")  # a fork would copy the threads' locks of this process, held or not
Jobs = dict[tuple[int, int], tuple[Callable[[Any, Any], Any], Any]]


class Stopped(CancelledError):
    """The run a task belongs to was given up while the task was running."""


class WorkerProcess:
    """One process, started when it is first needed and again after it was lost. `call` is for one thread at a time."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._process: SpawnProcess | None = None
        self._link: Connection | None = None
        self._has: set[tuple[int, int]] = set()

    def call(
        self,
        work: Callable[[Any, Any], Any],
        job_key: tuple[int, int],
        job: object,
        chunk: object,
        *,
        task: int,
        given_up: threading.Event,
    ) -> Any:
        """`work(job, chunk)` in the process.

        Args:
            work: a function of a module.
            job_key: number of the run and of the job in it; the process forgets the jobs of earlier runs.
            job: sent if the process does not have it yet.
            chunk: sent each time.
            task: number of the task, for messages.
            given_up: set before `stop` by whoever no longer wants the result.

        Raises:
            Stopped: `given_up` is set.
            SpecError: the task has ended several processes.
        """
        for _ in range(ALLOWED_LOSSES):
            link = self._started(given_up)
            try:
                link.send((job_key, None if job_key in self._has else (work, job), chunk))
                self._has.add(job_key)
                failed, result = link.recv()
            except (EOFError, ConnectionError):
                ending = self._end()
                continue
            if failed:
                self._end()
                raise result
            return result
        if given_up.is_set():
            raise Stopped
        raise SpecError(
            f"task {task} (job {job_key[1]}) ended {ALLOWED_LOSSES} worker processes, the last {ending}. Killed by "
            "SIGKILL usually means that memory ran out: use fewer workers or fewer samples per chunk. What a process "
            "wrote before it ended is in the error output above"
        )

    def ask_to_end(self) -> None:
        """Tell the process to end, whatever it is doing, and return at once."""
        with self._lock:
            if self._process is not None:
                self._process.terminate()

    def stop(self) -> None:
        """End the process, by force if it does not by itself. A later `call` starts another."""
        with self._lock:
            if self._process is not None:
                self._process.terminate()
                _wait_for(self._process)
        # The link is left open: a thread may be reading from it, and now sees its end.

    def _started(self, given_up: threading.Event) -> Connection:
        with self._lock:
            if given_up.is_set():
                raise Stopped
            if self._process is not None and not self._process.is_alive():
                self._end()  # stopped, or killed while it had nothing to do: no task's fault
            if self._link is None:
                self._link, its_end = SPAWN.Pipe()
                # A daemon: also ended where this program ends without closing its pool.
                self._process = SPAWN.Process(target=serve, args=(its_end,), name="spikebridge-worker", daemon=True)
                self._process.start()
                its_end.close()  # its death is then an end of file here
            return self._link

    def _end(self) -> str:
        """Put away the process, which is ending, and say how it ended; by the thread that calls."""
        with self._lock:
            process, link = self._process, self._link
            self._process = self._link = None
            self._has.clear()
            assert process is not None
            assert link is not None
            link.close()
            _wait_for(process)
        code = process.exitcode
        return f"killed by {signal.Signals(-code).name}" if code is not None and code < 0 else f"with exit code {code}"


def _wait_for(process: SpawnProcess) -> None:
    process.join(SECONDS_TO_END)
    process.kill()
    process.join()


def end_all(processes: Sequence[WorkerProcess]) -> None:
    """Stop processes side by side."""
    for process in processes:
        process.ask_to_end()
    for process in processes:
        process.stop()


def serve(link: Connection) -> None:
    """The process: answer chunks with (False, result), or (True, exception) and end, until the parent is gone."""
    # Ctrl-C reaches every process of a terminal; the parent decides. A handler, unlike SIG_IGN, is not inherited by
    # the programs that `work` starts.
    signal.signal(signal.SIGINT, _ignore)
    signal.signal(signal.SIGTERM, _exit)
    threading.Thread(target=_end_with_parent, name="end-with-parent", daemon=True).start()
    jobs: Jobs = {}
    while True:
        try:
            message = link.recv_bytes()
        except (EOFError, ConnectionError):
            return
        try:
            answer = _answer(message, jobs)
        except SystemExit:
            raise
        except BaseException as error:
            link.send_bytes(_failure(error))
            raise SystemExit(1) from error
        link.send_bytes(answer)


def _answer(message: bytes, jobs: Jobs) -> memoryview:
    key, sent, chunk = ForkingPickler.loads(message)
    if sent is not None:
        for known in [known for known in jobs if known[0] != key[0]]:
            del jobs[known]
        jobs[key] = sent
    work, job = jobs[key]
    return ForkingPickler.dumps((False, work(job, chunk)))


def _failure(error: BaseException) -> memoryview:
    error.add_note("In a worker process:\n" + "".join(traceback.format_exception(error)))
    try:
        answer = ForkingPickler.dumps((True, error))
        ForkingPickler.loads(answer)
    except (TypeError, AttributeError, ValueError, PickleError):
        lines = "".join(traceback.format_exception(error))
        answer = ForkingPickler.dumps((True, RuntimeError(f"an error that cannot be sent between processes:\n{lines}")))
    return answer


def _ignore(number: int, frame: FrameType | None) -> None:
    pass


def _exit(number: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, _ignore)  # a second one would come in the middle of the end, and leave a traceback
    raise SystemExit(128 + number)


def _end_with_parent() -> None:
    """A parent that is killed says nothing; wait for it, then end as `stop` does."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)
        threading.Event().wait(SECONDS_TO_END)
        os._exit(1)
