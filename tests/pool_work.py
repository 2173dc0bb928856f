"""What workers do in the tests of pools: module-level functions, because processes import them by name."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from spikebridge.bridge.errors import DataError

calls = 0


@dataclass
class CountedJob:
    """Writes a line into a file each time it arrives in another process."""

    name: str
    log: Path

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)
        with self.log.open("a") as log:
            log.write(f"{os.getpid()} {self.name}\n")


@dataclass(frozen=True)
class Chunk:
    """What a task does before it answers with its value."""

    value: int
    sleep_s: float = 0.0
    kill_once: Path | None = None


def answer(job: CountedJob | str, chunk: Chunk) -> tuple[str, int, int]:
    """(name of the job, value, process); ends its process by SIGKILL if the file `kill_once` is still there."""
    if chunk.kill_once is not None and _taken(chunk.kill_once):
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(chunk.sleep_s)
    return (job if isinstance(job, str) else job.name), chunk.value, os.getpid()


def mark_and_wait(job: Path, chunk: int) -> int:
    """Leave a file with the process' number in the folder `job` and take a minute."""
    (job / f"task{chunk}.tmp").write_text(str(os.getpid()))
    (job / f"task{chunk}.tmp").rename(job / f"task{chunk}")
    time.sleep(60)
    return chunk


def count_calls(job: str, chunk: int) -> tuple[int, int]:
    """Process and the calls in it so far: a global stays with its worker."""
    global calls
    calls += 1
    return os.getpid(), calls


def die(job: str, chunk: int) -> NoReturn:
    """End the process as the kernel does where memory runs out."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def die_at_3(job: str, chunk: int) -> int:
    """`chunk`, or the end of the process."""
    if chunk == 3:
        die(job, chunk)
    return chunk


class Unpicklable(Exception):
    """An exception that needs two arguments and keeps one, so that it cannot be made again from a pickle."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(first)


def fail_at_3(job: str, chunk: int) -> int:
    """`chunk`, or the error that `job` names."""
    if chunk == 3:
        if job == "DataError":
            raise DataError("is damaged", path="some.h5", sample=7, field="units")
        if job == "Unpicklable":
            raise Unpicklable("one", "two")
        if job == "TimeoutError":
            raise TimeoutError("of the task")
        raise ValueError("chunk 3 is wrong")
    time.sleep(0.02)
    return chunk


def random_tasks(seed: int, number: int, jobs: int, longest_s: float = 0.05) -> list[tuple[int, Chunk]]:
    """Tasks of random jobs and durations; the value of a task is its index."""
    source = random.Random(seed)
    return [(source.randrange(jobs), Chunk(task, source.uniform(0, longest_s))) for task in range(number)]


def counted[T](tasks: Iterable[T], asked: list[int]) -> Iterator[T]:
    """The tasks one by one; `asked` grows by each that is asked for."""
    for number, task in enumerate(tasks):
        asked.append(number)
        yield task


def ended(pid: int, within_s: float = 15.0) -> bool:
    """Whether a process is gone (or a zombie, which its parent has still to collect) within some seconds."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.05)
    return False


def wait_for_files(paths: list[Path], within_s: float = 60.0) -> None:
    """Return once all are there."""
    deadline = time.monotonic() + within_s
    while not all(path.exists() for path in paths):
        assert time.monotonic() < deadline, [path for path in paths if not path.exists()]
        time.sleep(0.05)


def _taken(path: Path) -> bool:
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    return True


def import_brian2(job: str, chunk: int) -> str:
    """Brian2's version; importing it fails outside a process' main thread."""
    import brian2

    return str(brian2.__version__)


class Chain:
    """Tasks of which each depends on the last result: its value is one more.

    Attributes:
        taken: results that were given to `take`.
    """

    def __init__(self, length: int) -> None:
        self._length = length
        self._under_way = False
        self.taken: list[int] = []

    def tasks(self) -> Iterator[tuple[int, Chunk] | None]:
        """None while a task is under way."""
        while len(self.taken) < self._length:
            if self._under_way:
                yield None
            else:
                self._under_way = True
                yield 0, Chunk(self.taken[-1] + 1 if self.taken else 0)

    def take(self, value: int) -> None:
        """A result."""
        self.taken.append(value)
        self._under_way = False
