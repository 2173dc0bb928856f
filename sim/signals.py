"""Signal handlers that a library sets when it is imported."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

CHANGED_BY_LIBRARIES = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def handlers_kept() -> Iterator[None]:
    """Put handlers back afterwards; in the main thread, the only one that may."""
    before = {number: signal.getsignal(number) for number in CHANGED_BY_LIBRARIES}
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            for number, handler in before.items():
                if handler is not None:  # None is one that was not set from Python
                    signal.signal(number, handler)
