"""Blocks of a range on threads: compiled loops release Python's lock, so threads are enough and nothing is copied."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import cache
from itertools import pairwise

import torch

FEWEST_NUMBERS = 300_000
"""To wake a thread takes as long as a loop takes for half as many: measured."""


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="spikebridge")


# The threads of the pool do not exist in a forked process.
os.register_at_fork(after_in_child=_pool.cache_clear)


def in_blocks[Result](size: int, work: Callable[[int, int], Result], numbers: float = math.inf) -> list[Result]:
    """`work(first, last)` over consecutive blocks of `range(size)`, one per thread of PyTorch; results in order.

    The calling thread does the first block, and any that no other thread has begun by then: to wake one takes as long
    as some of the blocks. The blocks depend on the arguments and the number of threads alone, so sums over them are the
    same every time.

    Args:
        size: of the range.
        work: what is done.
        numbers: how many numbers it goes through, about; few are one block.
    """
    threads = max(min(torch.get_num_threads(), size), 1) if numbers >= FEWEST_NUMBERS else 1
    edges = [size * k // threads for k in range(threads + 1)]
    if threads == 1:
        return [work(0, size)]
    blocks = list(pairwise(edges))
    others: list[Future[Result]] = []
    try:
        # One by one, so that those that run are known if another cannot be started.
        others.extend(_pool(threads - 1).submit(work, *block) for block in blocks[1:])
        results = [work(*blocks[0])]
        # The last first: threads begin with the first.
        late = {k: work(*blocks[k + 1]) for k in reversed(range(len(others))) if others[k].cancel()}
    finally:
        # Those that run use the same memory.
        wait([other for other in others if not other.cancel()])
    return results + [late[k] if k in late else other.result() for k, other in enumerate(others)]
