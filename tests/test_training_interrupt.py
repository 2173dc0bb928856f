"""Ctrl-C is held back until it is safe, once."""

import signal
import threading
from collections.abc import Iterator

import pytest
from interruptible import interruptible

from spikebridge.training.interrupt import interrupts_between


@pytest.fixture(autouse=True)
def _python_s_own_handler() -> Iterator[None]:
    with interruptible():
        yield


def test_the_first_interrupt_waits_for_the_check() -> None:
    before = signal.getsignal(signal.SIGINT)
    went_on = False
    with pytest.raises(KeyboardInterrupt), interrupts_between() as raise_if_interrupted:  # noqa: PT012
        raise_if_interrupted()
        signal.raise_signal(signal.SIGINT)
        went_on = True
        raise_if_interrupted()
    assert went_on
    assert signal.getsignal(signal.SIGINT) is before


def test_an_interrupt_after_the_last_check_is_not_lost() -> None:
    with pytest.raises(KeyboardInterrupt), interrupts_between():
        signal.raise_signal(signal.SIGINT)


def test_the_second_interrupt_does_not_wait() -> None:
    with pytest.raises(KeyboardInterrupt), interrupts_between():  # noqa: PT012
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        pytest.fail("the second interrupt was held back")


def test_outside_the_main_thread_nothing_is_touched() -> None:
    worked = []

    def run() -> None:
        with interrupts_between() as raise_if_interrupted:
            raise_if_interrupted()
            worked.append(True)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert worked == [True]
