"""Ctrl-C during a simulation ends in an exception, never in a recording of a part of it."""

import os
import signal
import threading
from collections.abc import Iterator

import brian2
import pytest
from networks import every_kind_network, random_trials

from spikebridge.sim.options import SimulationOptions
from spikebridge.sim.run import simulate


@pytest.fixture(autouse=True)
def _handler_as_on_a_terminal() -> Iterator[None]:
    """Brian2's handler on top of Python's own, as when it is imported on a terminal."""
    before = signal.signal(signal.SIGINT, brian2._InterruptHandler(signal.default_int_handler))
    yield
    signal.signal(signal.SIGINT, before)


def test_an_interrupted_simulation_is_no_recording(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = every_kind_network(n_steps=4000)
    trials = random_trials(spec, 1)
    running = threading.Event()
    original = brian2.Network.run

    def run(network: brian2.Network, *args: object, **kwargs: object) -> None:
        running.set()
        original(network, *args, **kwargs)

    monkeypatch.setattr(brian2.Network, "run", run)

    def interrupt() -> None:
        running.wait()
        threading.Event().wait(1.0)  # into the loop over steps, which takes several times as long
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        simulate(spec, trials, step_ms=10.0, options=SimulationOptions(backend="numpy"))
    assert not brian2.Network._globally_running  # else Brian2's handler swallows the next Ctrl-C
