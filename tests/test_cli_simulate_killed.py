"""The command is killed, wholly or in part, or interrupted: the same command goes on, and its file is no other."""

import os
import random
import signal
import time
from pathlib import Path

import pytest
from command_line import PARTS, SAMPLES, LongSimulation, Session, parent
from evaluated import digest

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are found in /proc")


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> LongSimulation:
    return LongSimulation.made(tmp_path_factory.mktemp("long"))


@pytest.fixture(scope="module")
def expected(long: LongSimulation, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Checksum of the content, every array and attribute, of an undisturbed run."""
    out = tmp_path_factory.mktemp("undisturbed") / "r.h5"
    code, said = long.run(out)
    assert code == 0, said
    return digest(out)


def require_in_the_middle(session: Session, parts: int) -> None:
    """Some parts are there, and not all: a kill at another time would prove nothing."""
    assert parts <= session.parts < PARTS
    assert not session.out.exists()


def finish(long: LongSimulation, out: Path, expected: str, *extra: str) -> str:
    """Give the command again; what it said."""
    with long.started(out, *extra) as session:
        code, said = session.end()
        session.wait_for_no_process()
    assert code == 0, said
    assert digest(out) == expected
    assert sorted(path.name for path in out.parent.iterdir()) == [out.name, out.with_suffix(".txt").name]
    assert long.left == []
    return said


def kept(said: str) -> int:
    """How many samples were computed before."""
    (line,) = (line for line in said.splitlines() if "were computed before" in line)
    words = line.split(": ")[1].split()
    assert words[1:3] == ["of", str(SAMPLES)]
    return int(words[0])


def kill_in_the_middle(long: LongSimulation, out: Path, parts: int) -> None:
    with long.started(out) as session:
        session.wait_for_parts(parts)
        time.sleep(random.uniform(0.0, 0.2))
        require_in_the_middle(session, parts)
        session.signal_all(signal.SIGKILL)
        assert session.end()[0] == -signal.SIGKILL
        session.wait_for_no_process()


@pytest.mark.slow
def test_killed_with_all_its_processes_it_goes_on(long: LongSimulation, tmp_path: Path, expected: str) -> None:
    out = tmp_path / "r.h5"
    kill_in_the_middle(long, out, 3)
    assert kept(finish(long, out, expected)) >= 3 * 4


@pytest.mark.slow
def test_killed_at_random_moments_again_and_again_it_goes_on(
    long: LongSimulation, tmp_path: Path, expected: str
) -> None:
    out = tmp_path / "r.h5"
    for parts in (1, 3, 5):
        kill_in_the_middle(long, out, parts)
    before = kept(finish(long, out, expected))
    assert 5 * 4 <= before < SAMPLES
    out.unlink()
    for _ in range(4):  # also while it starts, or is through
        with long.started(out) as session:
            time.sleep(random.uniform(0.0, 8.0))
            session.kill_all()
    finish(long, out, expected)


def test_a_simulation_that_is_killed_is_started_again(long: LongSimulation, tmp_path: Path, expected: str) -> None:
    out = tmp_path / "r.h5"
    with long.started(out) as session:
        session.wait_for_parts(1)
        killed = session.simulators()[0]
        assert parent(killed) == session.process.pid
        require_in_the_middle(session, 1)
        os.kill(killed, signal.SIGKILL)
        session.wait_until(lambda: len(set(session.simulators()) - {killed}) == 2)
        code, said = session.end()
        session.wait_for_no_process()
    assert code == 0, said
    assert digest(out) == expected
    assert long.left == []


@pytest.mark.slow
def test_a_second_command_for_the_same_file_is_refused(long: LongSimulation, tmp_path: Path, expected: str) -> None:
    out = tmp_path / "r.h5"
    with long.started(out) as session:
        session.wait_until((tmp_path / ".r.h5.parts" / "lock").exists)
        os.kill(session.process.pid, signal.SIGSTOP)  # it must not end before the second one begins
        try:
            code, said = long.run(out)
        finally:
            os.kill(session.process.pid, signal.SIGCONT)
        assert code == 3, said
        assert f"{out}: is being written by another process (id {session.process.pid}); wait for it" in said
        assert session.end()[0] == 0
    assert digest(out) == expected


def test_where_only_the_command_itself_is_killed_its_simulations_end(long: LongSimulation, tmp_path: Path) -> None:
    with long.started(tmp_path / "r.h5") as session:
        session.wait_for_parts(1)
        assert len(session.simulators()) == 2
        session.process.kill()
        session.wait_for_no_process()


@pytest.mark.slow
def test_a_worker_of_a_cluster_that_is_killed_is_replaced(long: LongSimulation, tmp_path: Path, expected: str) -> None:
    out = tmp_path / "r.h5"
    with long.started(out, "--cluster", "local:2") as session:
        session.wait_for_parts(1)
        worker = parent(session.simulators()[0])
        assert worker != session.process.pid
        require_in_the_middle(session, 1)
        os.kill(worker, signal.SIGKILL)
        code, said = session.end()
        session.wait_for_no_process()
    assert code == 0, said
    assert digest(out) == expected
    assert long.left == []


@pytest.mark.parametrize("cluster", [(), pytest.param(("--cluster", "local:2"), marks=pytest.mark.slow)])
def test_interrupted_it_ends_at_once_and_goes_on(
    long: LongSimulation, tmp_path: Path, expected: str, cluster: tuple[str, ...]
) -> None:
    out = tmp_path / "r.h5"
    with long.started(out, *cluster) as session:
        session.wait_for_parts(2)
        require_in_the_middle(session, 2)
        session.signal_all(signal.SIGINT)
        code, said = session.end()
        parts = session.parts
        session.wait_for_no_process()
    assert code == 130, said
    assert "continue where they stopped when the same command is given again" in said
    assert "Traceback" not in said
    assert 2 <= parts < PARTS  # it did not run to the end first
    assert kept(finish(long, out, expected)) >= 2 * 4
