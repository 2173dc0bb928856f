"""Freed memory stays with the process for the next batch, and lies in large pages where the system has them.

A batch needs and frees some hundred megabytes of arrays. The C library gives the top of what is free back to the
system and is given new pages with the next batch: thousands of page faults, each of which clears a page. And the loops
walk through arrays in steps of many lines, for which a processor knows the addresses of too few pages of 4 KiB. What a
user sets in the environment is left alone, and so are other C libraries than glibc.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import platform
import threading
from functools import cache

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3
KEPT_BYTES = 1024**3
"""So much may be free at the top of the heap before any of it is given back."""
MAPPED_BYTES = 32 * 1024**2
"""Larger arrays have pages of their own, which go back at once; glibc accepts no larger number."""
LARGE_PAGES_BYTES = KEPT_BYTES - 2 * MAPPED_BYTES
"""Of the heap, for which large pages are asked for: addresses, of which memory is taken when it is written to."""
_TOP_PAD_BYTES = 128 * 1024
"""What glibc lets the heap grow by at least."""

_SET_BY_USER = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TOP_PAD_", "GLIBC_TUNABLES")


@cache
def keep_freed_memory() -> bool:
    """Tell the C library, once in a process; whether it listened.

    Large pages are asked for where the main thread calls: other threads have heaps of their own, which stay small.
    """
    if platform.libc_ver()[0] != "glibc" or any(name in os.environ for name in _SET_BY_USER):
        return False
    library = ctypes.CDLL(None)
    option = library.mallopt
    # One alone would end glibc's own adjustment of the other.
    listens = bool(option(_MMAP_THRESHOLD, MAPPED_BYTES)) and bool(option(_TRIM_THRESHOLD, KEPT_BYTES))
    if listens and hasattr(mmap, "MADV_HUGEPAGE") and threading.current_thread() is threading.main_thread():
        _ask_for_large_pages(library)
    return listens


def _ask_for_large_pages(library: ctypes.CDLL) -> None:
    """For the memory that the heap grows into: what the system is told of memory is lost where the heap ends.

    So the heap is made to grow once by all of it, for one block, which is free again at once and was not written to but
    for its size. A system that has no large pages, or less memory to promise, says no, which changes nothing.
    """
    library.malloc.restype, library.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
    library.free.restype, library.free.argtypes = None, [ctypes.c_void_p]
    library.sbrk.restype, library.sbrk.argtypes = ctypes.c_void_p, [ctypes.c_ssize_t]
    library.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    library.mallopt(_TOP_PAD, LARGE_PAGES_BYTES - MAPPED_BYTES)
    block = library.malloc(MAPPED_BYTES - mmap.PAGESIZE)
    library.mallopt(_TOP_PAD, _TOP_PAD_BYTES)
    end = library.sbrk(0)
    if block and end and block < end <= block + 2 * LARGE_PAGES_BYTES:
        begin = block // mmap.PAGESIZE * mmap.PAGESIZE
        library.madvise(begin, end - begin, mmap.MADV_HUGEPAGE)
    library.free(block)
