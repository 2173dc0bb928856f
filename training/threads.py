"""Blocks of a range on threads: compiled loops release Python's lock, so threads are enough and nothing is copied.

A batch has dozens of loops of a few hundred microseconds. The pool of `concurrent.futures` takes a hundred more of them
than the locks here to begin a block and to say that it is done.
"""

from __future__ import annotations

import math
import os
import threading
from _thread import LockType, allocate_lock
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise, repeat
from typing import Any, NamedTuple

import torch

FEWEST_NUMBERS = 300_000
"""To wake a thread takes as long as a loop takes for half as many: measured."""


class _Block(NamedTuple):
    """Some of the work of a call, which one thread does; `done` is locked until it has."""

    number: int
    first: int
    last: int
    done: LockType


class _Call:
    """Blocks that nobody has begun, from which every thread takes one after the other, and the results of all."""

    def __init__(self, work: Callable[[int, int], Any], edges: list[int]) -> None:
        self.work = work
        self.blocks = [_Block(k, *edge, allocate_lock()) for k, edge in enumerate(pairwise(edges))]
        self.waiting = self.blocks[:]
        self.here: list[_Block] = []
        """Of who called: done there, or by nobody."""
        self.ended: set[int] = set()
        """Numbers of blocks that helpers have done."""
        self.results: list[Any] = [None] * len(self.blocks)
        self.errors: dict[int, BaseException] = {}
        for block in self.blocks:
            block.done.acquire()

    def take(self) -> _Block | None:
        """The first block that nobody has begun; a list gives it to one thread only."""
        try:
            return self.waiting.pop(0)
        except IndexError:
            return None

    def take_here(self, which: int) -> _Block | None:
        """The same for who called, or the last one.

        No signal comes between taking a block and saying where it is, or it would be waited for without end.
        """
        try:
            self.here.extend(map(self.waiting.pop, (which,)))
        except IndexError:
            return None
        return self.here[-1]

    def do(self, block: _Block) -> None:
        """After an error nothing else begins."""
        try:
            self.results[block.number] = self.work(block.first, block.last)
        except BaseException as error:  # noqa: BLE001 - whoever called raises it
            self.errors[block.number] = error
            self.abandon()

    def abandon(self) -> None:
        """Nobody begins what nobody has begun."""
        with suppress(IndexError):
            self.here.extend(map(self.waiting.pop, repeat(-1)))

    def wait(self) -> None:
        """Until helpers have done what they began, in spite of an interrupt: they use the same memory."""
        interrupt: BaseException | None = None
        elsewhere = {block.number for block in self.blocks} - {block.number for block in self.here}
        for block in self.blocks:
            while block.number in elsewhere and block.number not in self.ended:
                try:
                    block.done.acquire(timeout=1.0)
                except BaseException as error:  # noqa: BLE001 - raised below
                    interrupt = error
        if interrupt is not None:
            raise interrupt

    def end(self) -> list[Any]:
        """The results, or the error of the first block with one, but an interrupt before other errors.

        A helper that has not woken yet keeps the call, which then keeps nothing else.
        """
        results, errors = self.results, self.errors
        self.work, self.results, self.errors = _nothing, [], {}
        if not errors:
            return results
        _, first = min((isinstance(error, Exception), number) for number, error in errors.items())
        error = errors[first]
        try:
            raise error
        finally:
            del error, errors  # no cycle of the error and the frames in its traceback


def _nothing(_first: int, _last: int) -> None:
    """The work of a call that has ended."""


class _Helper:
    """A thread that helps with one call after the other."""

    def __init__(self, number: int) -> None:
        self._wake, self._calls = allocate_lock(), deque[_Call]()
        self._wake.acquire()
        # It waits for as long as the process lives, which must not wait for it.
        threading.Thread(target=self._run, name=f"spikebridge_{number}", daemon=True).start()

    def offer(self, call: _Call) -> None:
        """Wake it for a call; it may come when nothing is left to do."""
        self._calls.append(call)
        with suppress(RuntimeError):  # it is awake already, and looks for calls before it sleeps
            self._wake.release()

    def _run(self) -> None:
        while True:
            self._wake.acquire()
            while self._calls:
                self._help()

    def _help(self) -> None:
        # By itself, so that no name keeps the arrays of a call until the next one.
        call = self._calls.popleft()
        while (block := call.take()) is not None:
            call.do(block)
            call.ended.add(block.number)
            block.done.release()


_helpers: list[_Helper] = []
_lock = threading.Lock()


def _forget_helpers() -> None:
    """The threads do not exist in a forked process."""
    global _lock
    _helpers.clear()
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_forget_helpers)


def _helpers_for(count: int) -> list[_Helper]:
    if len(_helpers) < count:
        with _lock:
            while len(_helpers) < count:
                _helpers.append(_Helper(len(_helpers)))
    return _helpers[:count]


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
    if threads == 1:
        return [work(0, size)]
    helpers = _helpers_for(threads - 1)
    call = _Call(work, [size * k // threads for k in range(threads + 1)])
    try:
        own = call.take_here(0)
        for helper in helpers:
            helper.offer(call)
        while own is not None:
            call.do(own)
            own = call.take_here(-1)  # helpers begin with the first
    finally:
        call.abandon()
        call.wait()
    return call.end()
