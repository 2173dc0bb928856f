"""Ctrl-C while a library calls back into Python: an exception there reaches C code that cannot handle it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def signals_deferred() -> Iterator[None]:
    """Hold back every signal that Python handles, SIGINT among them, until the block is left; for blocks of seconds.

    Outside the main thread nothing changes: Python runs handlers in the main thread only.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handlers = {int(number): signal.getsignal(number) for number in signal.valid_signals()}
    came: dict[int, None] = {}

    def remember(number: int, _frame: FrameType | None) -> None:
        came[number] = None

    held = [number for number, handler in handlers.items() if callable(handler)]
    try:
        for number in held:
            signal.signal(number, remember)
        yield
    finally:
        for number in held:
            signal.signal(number, handlers[number])
        for number in came:
            signal.raise_signal(number)
