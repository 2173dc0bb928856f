"""Freed memory stays with the process for the next batch.

A batch needs and frees some hundred megabytes of arrays. The C library gives the top of what is free back to the
system and is given new pages with the next batch: thousands of page faults, each of which clears a page. Thresholds
that a user sets in the environment are left alone, and so are other C libraries than glibc.
"""

from __future__ import annotations

import ctypes
import os
import platform

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
KEPT_BYTES = 512 * 1024**2
"""So much may be free at the top of the heap before any of it is given back."""
MAPPED_BYTES = 32 * 1024**2
"""Larger arrays have pages of their own, which go back at once; glibc accepts no larger number."""

_SET_BY_USER = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TOP_PAD_", "GLIBC_TUNABLES")


def keep_freed_memory() -> bool:
    """Tell the C library; whether it listened."""
    if platform.libc_ver()[0] != "glibc" or any(name in os.environ for name in _SET_BY_USER):
        return False
    option = ctypes.CDLL(None).mallopt
    # One alone would end glibc's own adjustment of the other.
    return bool(option(_MMAP_THRESHOLD, MAPPED_BYTES)) and bool(option(_TRIM_THRESHOLD, KEPT_BYTES))
