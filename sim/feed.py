"""The tasks of a run, counted, as many as there are at the moment."""

from __future__ import annotations

from collections.abc import Iterable, Iterator


class Feed[C]:
    """Asks for tasks when there is room for them.

    Args:
        tasks: pairs of a job and a chunk, and None where there is no task now but may be one when results were taken.

    Attributes:
        waits: whether the last answer was None.
    """

    def __init__(self, tasks: Iterable[tuple[int, C] | None]) -> None:
        self._tasks = iter(tasks)
        self._given = 0
        self.waits = False

    def take(self, room: int) -> Iterator[tuple[int, int, C]]:
        """Up to `room` times (number of the task, counted from 0; job; chunk), each asked for when it is needed."""
        self.waits = False
        for _ in range(room):
            try:
                task = next(self._tasks)
            except StopIteration:
                return
            if task is None:
                self.waits = True
                return
            number, self._given = self._given, self._given + 1
            yield number, *task
