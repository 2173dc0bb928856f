"""Work in blocks on threads: results in order, also in a forked process, which has none of its parent's threads."""

import gc
import multiprocessing
import signal
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from networks import network, neurons, on_training_grid

from spikebridge.training.executor import neuron_tensors
from spikebridge.training.fused_scan import fused_scan
from spikebridge.training.surrogate import Surrogate
from spikebridge.training.threads import FEWEST_NUMBERS, in_blocks

SAMPLES = 4


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def small_scan() -> tuple[torch.Tensor, torch.Tensor]:
    grid = on_training_grid(network([neurons(size=3, a=0.5, b=0.2, bias=0.1)], []))
    arrivals = torch.linspace(0, 1.5, SAMPLES * 20 * 3, dtype=torch.float64).reshape(SAMPLES, 20, 3)
    return fused_scan(neuron_tensors(grid.populations[0]), arrivals, Surrogate("boxcar", 1.0))


def on_two_threads() -> None:
    """Two blocks of which each waits for the other."""
    torch.set_num_threads(2)  # PyTorch sets one in a forked process
    together = threading.Barrier(2, timeout=10)
    in_blocks(2, lambda _first, _last: together.wait())


def scan_again(spikes: torch.Tensor, potentials: torch.Tensor) -> None:
    """What the child does; a difference ends it with another exit code than 0."""
    on_two_threads()
    found, again = small_scan()
    assert torch.equal(found, spikes)
    assert torch.equal(again, potentials)


def test_blocks_cover_the_range_and_results_are_in_order() -> None:
    assert in_blocks(5, lambda first, last: (first, last)) == [(0, 2), (2, 5)]
    assert in_blocks(1, lambda first, last: (first, last)) == [(0, 1)]


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="this system has no fork")
def test_a_forked_process_has_threads_of_its_own() -> None:
    """The pool is kept for the next call; its threads do not exist in a child, which would wait for them forever."""
    spikes, potentials = small_scan()
    assert spikes.any()
    on_two_threads()
    assert any(thread.name.startswith("spikebridge") for thread in threading.enumerate())
    child = multiprocessing.get_context("fork").Process(target=scan_again, args=(spikes, potentials))
    # Python warns of what this test is about: a lock that another thread held stays locked in the child.
    with pytest.warns(DeprecationWarning, match="multi-threaded, use of fork"):
        child.start()
    child.join(timeout=20)
    hangs = child.is_alive()
    if hangs:
        child.kill()
        child.join()
    assert not hangs
    assert child.exitcode == 0


@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("size", [0, 1, 2, 7])
def test_blocks_cover_the_range_in_order_and_depend_on_size_and_threads_alone(size: int, number: int) -> None:
    torch.set_num_threads(number)
    blocks = in_blocks(size, lambda first, last: (first, last))
    assert [k for first, last in blocks for k in range(first, last)] == list(range(size))
    assert len(blocks) == max(min(size, number), 1)
    assert blocks == in_blocks(size, lambda first, last: (first, last))


def test_the_first_block_is_done_by_who_calls_and_the_others_at_the_same_time() -> None:
    torch.set_num_threads(3)
    together = threading.Barrier(3, timeout=20)

    def work(_first: int, _last: int) -> str:
        together.wait()
        return threading.current_thread().name

    names = in_blocks(3, work)
    assert names[0] == threading.current_thread().name
    assert all(name.startswith("spikebridge") for name in names[1:])
    assert len(set(names)) == 3


@contextmanager
def helpers_elsewhere() -> Iterator[None]:
    """The threads are with another call and stay there."""
    inside, ended = threading.Barrier(4, timeout=20), threading.Event()

    def long(_first: int, _last: int) -> None:
        inside.wait()
        assert ended.wait(timeout=20)

    other = threading.Thread(target=in_blocks, args=(3, long))
    other.start()
    inside.wait()
    try:
        yield
    finally:
        ended.set()
        other.join()


def test_blocks_that_nobody_has_begun_are_done_by_who_calls() -> None:
    torch.set_num_threads(3)
    here = threading.current_thread().name
    with helpers_elsewhere():
        blocks = in_blocks(5, lambda first, last: (first, last, threading.current_thread().name))
    assert blocks == [(0, 1, here), (1, 3, here), (3, 5, here)]


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt])
def test_after_an_error_nothing_else_begins(kind: type[BaseException]) -> None:
    torch.set_num_threads(3)
    done: list[int] = []

    def work(first: int, _last: int) -> None:
        done.append(first)
        raise kind(str(first))

    with helpers_elsewhere(), pytest.raises(kind, match="0"):
        in_blocks(3, work)
    assert done == [0]
    assert in_blocks(3, lambda first, _last: first) == [0, 1, 2]


def test_calls_of_several_threads_at_once_and_within_calls_do_not_get_in_each_others_way() -> None:
    torch.set_num_threads(3)

    def within(first: int, last: int) -> int:
        return sum(in_blocks(last - first, lambda a, b: sum(range(first + a, first + b))))

    def many(wrong: list[int]) -> None:
        wrong.extend(size for size in range(2, 300) if sum(in_blocks(size, within)) != size * (size - 1) // 2)

    on_two_threads()
    torch.set_num_threads(3)
    in_blocks(3, within)
    before = sum(thread.name.startswith("spikebridge") for thread in threading.enumerate())
    wrong: list[int] = []
    callers = [threading.Thread(target=many, args=(wrong,)) for _ in range(3)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert wrong == []
    assert sum(thread.name.startswith("spikebridge") for thread in threading.enumerate()) == before


class Large:
    """What a call works with."""


def soon_gone(reference: weakref.ref[Large]) -> bool:
    """The thread that helped lets go of it just after it has said that it is done."""
    for _ in range(1000):
        if reference() is None:
            return True
        time.sleep(0.001)
    return False


def test_nothing_of_a_call_is_kept_after_it() -> None:
    large = Large()
    gone = weakref.ref(large)
    together = threading.Barrier(2, timeout=20)
    in_blocks(2, lambda _first, _last, held=large: together.wait())  # type: ignore[misc]
    del large
    assert soon_gone(gone)


# What a signal raises within a callback of the collector, as Hypothesis has one, is lost, and said.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no timers that interrupt")
def test_an_interrupt_at_any_moment_ends_the_call_and_none_waits_without_end() -> None:
    torch.set_num_threads(3)

    class Interrupt(BaseException):
        pass

    def interrupt(*_: object) -> None:
        raise Interrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    rng, caught = np.random.default_rng(0), 0
    gc.disable()
    try:
        for _ in range(3000):
            try:
                signal.setitimer(signal.ITIMER_REAL, rng.uniform(1e-6, 150e-6))
                in_blocks(6, lambda _first, _last: None)
                signal.setitimer(signal.ITIMER_REAL, 0)
            except Interrupt:
                caught += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        gc.enable()
    assert caught > 100
    assert in_blocks(6, lambda first, last: (first, last)) == [(0, 2), (2, 4), (4, 6)]


def test_an_interrupt_is_raised_before_errors_and_errors_in_order() -> None:
    torch.set_num_threads(3)
    together = threading.Barrier(3, timeout=20)

    def work(first: int, _last: int) -> None:
        together.wait()
        raise errors[first]

    errors: list[BaseException] = [ValueError("0"), ValueError("1"), ValueError("2")]
    for _ in range(20):
        with pytest.raises(ValueError, match="0"):
            in_blocks(3, work)
    errors[2] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        in_blocks(3, work)


def test_a_call_that_failed_keeps_nothing() -> None:
    def fails(first: int, _last: int, held: Large) -> None:
        raise ValueError(str(first))

    large = Large()
    gone = weakref.ref(large)
    gc.collect()
    gc.disable()
    try:
        with pytest.raises(ValueError, match="0"):
            in_blocks(2, lambda first, last, held=large: fails(first, last, held))  # type: ignore[misc]
        del large
        assert soon_gone(gone)
    finally:
        gc.enable()


@pytest.mark.parametrize("bad", [0, 1, 2])
def test_an_error_waits_for_the_blocks_that_have_begun(bad: int) -> None:
    torch.set_num_threads(3)
    together = threading.Barrier(3, timeout=20)
    done = []

    def work(first: int, _last: int) -> None:
        together.wait()
        if first == bad:
            raise ValueError(str(first))
        time.sleep(0.05)
        done.append(first)

    with pytest.raises(ValueError, match=str(bad)):
        in_blocks(3, work)
    assert sorted(done) == sorted({0, 1, 2} - {bad})


def test_few_numbers_are_one_block_whatever_the_threads() -> None:
    torch.set_num_threads(3)
    here = threading.current_thread().name
    assert in_blocks(5, lambda *block: (*block, threading.current_thread().name), 1000) == [(0, 5, here)]
    assert len(in_blocks(5, lambda *block: block, FEWEST_NUMBERS)) == 3
