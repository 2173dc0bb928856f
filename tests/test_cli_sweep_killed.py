"""A sweep, a worker or the scheduler is killed: nothing is lost, nothing trained twice, and the result is the same."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
import pytest
from command_line import Session
from sweeps import SweepCommand, finished, kill, reached, trainers
from test_sim_dask_pool import workers_without_nanny

from spikebridge.sim.processors import available_processors
from spikebridge.training.sweep_study import INTERRUPTED

pytestmark = [
    pytest.mark.slow,  # tests/test_sweep_study.py interrupts sweeps without any training
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are found in /proc"),
    pytest.mark.skipif(available_processors() < 2, reason="two workers need two processors"),
]

EPOCHS = 6
REALISATIONS = 6
"""Of three trials together."""


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> SweepCommand:
    return SweepCommand.made(tmp_path_factory.mktemp("command"), EPOCHS)


@pytest.fixture(scope="module")
def expected(command: SweepCommand, tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """All trials of an undisturbed run, one realisation after the other."""
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    code, said = command.run(out, "--workers", "1")
    assert code == 0, said
    return reached(out)


def wait_for_the_middle(session: Session, number: int = 2) -> dict[Path, int]:
    """Until so many realisations are finished, another is being trained, and the sweep is not through: its trainers."""
    found: dict[Path, int] = {}

    def in_the_middle() -> bool:
        # Kept, because a moment later there may be none: between two realisations.
        found.clear()
        found.update(trainers(session.out, EPOCHS))
        return len(finished(session.out, EPOCHS)) >= number and bool(found)

    session.wait_until(in_the_middle)
    assert len(finished(session.out, EPOCHS)) < REALISATIONS
    return found


def require_whole(out: Path, expected: list[Any]) -> None:
    """Every realisation once, with the result of the undisturbed run, and the study with exactly these trials.

    In place of a trial that is killed while it is drawn another one is, with the same values and the next number.
    """
    assert [trial | {"number": None} for trial in reached(out)] == [trial | {"number": None} for trial in expected]
    study = optuna.load_study(study_name=None, storage=f"sqlite:///{out / 'study.db'}")
    drawn = [trial for trial in study.trials if INTERRUPTED not in trial.user_attrs]
    assert [trial.state.name for trial in drawn] == ["COMPLETE"] * 3
    assert len(finished(out, EPOCHS)) == REALISATIONS


def finish(command: SweepCommand, out: Path, expected: list[Any], *extra: str) -> None:
    """Give the command again."""
    before = finished(out, EPOCHS)
    code, said = command.run(out, *extra)
    assert code == 0, said
    require_whole(out, expected)
    assert before.items() <= finished(out, EPOCHS).items(), "a finished realisation was trained again"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_killed_or_interrupted_with_all_its_processes_it_goes_on(
    command: SweepCommand, tmp_path: Path, expected: list[Any], number: signal.Signals
) -> None:
    out = tmp_path / "out"
    with command.started(out, "--workers", "2") as session:
        wait_for_the_middle(session)
        session.signal_all(number)
        code, said = session.end()
        session.wait_for_no_process()
    assert code == (130 if number == signal.SIGINT else -signal.SIGKILL), said
    assert "Traceback" not in said
    assert not (out / "sweep.json").exists()
    finish(command, out, expected, "--workers", "2")


def test_where_only_the_command_itself_is_killed_its_workers_end(
    command: SweepCommand, tmp_path: Path, expected: list[Any]
) -> None:
    out = tmp_path / "out"
    with command.started(out, "--workers", "2") as session:
        wait_for_the_middle(session)
        session.process.kill()
        session.wait_for_no_process()
    finish(command, out, expected, "--workers", "1")


@pytest.mark.parametrize("extra", [("--workers", "2"), ("--cluster", "local:2")])
def test_one_of_two_workers_is_killed_half_way_and_nothing_is_lost(
    command: SweepCommand, tmp_path: Path, expected: list[Any], extra: tuple[str, ...]
) -> None:
    out = tmp_path / "out"
    with command.started(out, *extra) as session:
        folder, worker = next(iter(wait_for_the_middle(session).items()))
        before = finished(out, EPOCHS)
        assert worker != session.process.pid
        kill(worker)
        code, said = session.end()
        session.wait_for_no_process()
    assert code == 0, said
    assert folder in finished(out, EPOCHS)
    assert before.items() <= finished(out, EPOCHS).items()
    require_whole(out, expected)


def free_port() -> int:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return int(unused.getsockname()[1])


@contextmanager
def scheduler(port: int) -> Iterator[subprocess.Popen[bytes]]:
    """`dask scheduler` as a process of its own."""
    paths = os.pathsep.join(path for path in sys.path if path)
    command = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", str(port)]
    process = subprocess.Popen(
        [*command, "--no-dashboard"], env=os.environ | {"PYTHONPATH": paths}, stderr=subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_the_scheduler_is_killed_and_the_same_command_goes_on_with_another(
    command: SweepCommand, tmp_path: Path, expected: list[Any]
) -> None:
    out, address = tmp_path / "out", f"tcp://127.0.0.1:{(port := free_port())}"
    with scheduler(port) as first, workers_without_nanny(address, 2):
        with command.started(out, "--cluster", address) as session:
            wait_for_the_middle(session)
            first.kill()
            code, said = session.end()
        assert code == 4, said
        assert f"connection to the scheduler of {address} is lost" in said
        time.sleep(1.0)  # workers that have lost it may still be training
    with scheduler(port), workers_without_nanny(address, 2):
        finish(command, out, expected, "--cluster", address)
