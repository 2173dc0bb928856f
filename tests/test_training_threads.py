"""Blocks of a range on threads: all of the range, in order, and nothing runs on after an error."""

import threading
import time
from collections.abc import Iterator

import pytest
import torch

from spikebridge.training.threads import in_blocks


@pytest.fixture(autouse=True)
def _one_thread_after() -> Iterator[None]:
    yield
    torch.set_num_threads(1)


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("size", [0, 1, 2, 7])
def test_blocks_cover_the_range_in_order_and_depend_on_size_and_threads_alone(size: int, threads: int) -> None:
    torch.set_num_threads(threads)
    blocks = in_blocks(size, lambda first, last: (first, last))
    assert [k for first, last in blocks for k in range(first, last)] == list(range(size))
    assert len(blocks) == max(min(size, threads), 1)
    assert blocks == in_blocks(size, lambda first, last: (first, last))


def test_the_first_block_is_done_by_who_calls() -> None:
    torch.set_num_threads(3)
    names = in_blocks(3, lambda first, last: threading.current_thread().name)
    assert names[0] == threading.current_thread().name
    assert all(name.startswith("spikebridge") for name in names[1:])


@pytest.mark.parametrize("bad", [0, 1, 2])
def test_an_error_waits_for_the_other_blocks(bad: int) -> None:
    torch.set_num_threads(3)
    done = []

    def work(first: int, _last: int) -> None:
        if first == bad:
            raise ValueError(str(first))
        time.sleep(0.05)
        done.append(first)

    with pytest.raises(ValueError, match=str(bad)):
        in_blocks(3, work)
    assert sorted(done) == sorted({0, 1, 2} - {bad})
