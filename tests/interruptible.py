"""Ctrl-C is an interrupt, however the tests themselves were started."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def interruptible() -> Iterator[None]:
    """SIGINT raises KeyboardInterrupt here, and a process started inside has it at its default, as on a terminal.

    Otherwise it may be ignored, as it is in workers of the test runner and in what a shell runs in the background: a
    process inherits that, and Python leaves it so. A handler is not inherited. Brian2's own calls the one before it,
    and one that ignores cannot be called.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
