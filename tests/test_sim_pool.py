"""Local pools: every task once, whatever becomes of the workers."""

import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from interruptible import interruptible
from pool_work import (
    Chain,
    Chunk,
    CountedJob,
    answer,
    count_calls,
    counted,
    die_at_3,
    ended,
    fail_at_3,
    mark_and_wait,
    random_tasks,
    wait_for_files,
)

from spikebridge.bridge.errors import DataError, SpecError
from spikebridge.sim.pool import TASKS_PER_WORKER, LocalPool, open_pool

Kind = Literal["threads", "processes"]


@pytest.fixture(scope="module")
def processes() -> Iterator[LocalPool]:
    with LocalPool(2, "processes") as pool:
        yield pool


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32), workers=st.integers(1, 4), number=st.integers(0, 40), jobs=st.integers(1, 3))
def test_threads_do_every_task_once(seed: int, workers: int, number: int, jobs: int) -> None:
    tasks = random_tasks(seed, number, jobs, longest_s=0.003)
    with LocalPool(workers) as pool:
        results = list(pool.run(answer, ["a", "b", "c"][:jobs], tasks))
    assert sorted(index for index, _ in results) == list(range(number))
    assert all(name == "abc"[tasks[index][0]] and value == index for index, (name, value, _) in results)


@pytest.mark.parametrize("seed", range(3))
def test_processes_do_every_task_once_and_get_each_job_once(processes: LocalPool, tmp_path: Path, seed: int) -> None:
    jobs = [CountedJob(name, tmp_path / "log") for name in "abc"]
    tasks = random_tasks(seed, 24, 3)
    results = list(processes.run(answer, jobs, tasks))
    assert sorted(index for index, _ in results) == list(range(24))
    assert all(name == "abc"[tasks[index][0]] and value == index for index, (name, value, _) in results)
    pids = {pid for _, (_, _, pid) in results}
    assert len(pids) == 2
    assert os.getpid() not in pids
    arrivals = Counter((tmp_path / "log").read_text().splitlines())
    assert set(arrivals.values()) == {1}
    assert {(int(pid), name) for pid, name in map(str.split, arrivals)} == {(r[2], r[0]) for _, r in results}


def test_globals_stay_with_a_process(processes: LocalPool) -> None:
    before = dict(result for _, result in processes.run(count_calls, ["a"], [(0, 0)] * 6))
    after = dict(result for _, result in processes.run(count_calls, ["b"], [(0, 0)] * 6))
    assert sum(after.values()) > sum(before.values())
    assert set(before) & set(after)


@pytest.mark.parametrize("kind", ["threads", "processes"])
def test_a_task_may_depend_on_the_results_before(kind: Kind) -> None:
    chain = Chain(6)
    with LocalPool(2, kind) as pool:
        numbers = []
        for number, (_, value, _) in pool.run(answer, ["a"], chain.tasks()):
            numbers.append(number)
            chain.take(value)
    assert numbers == chain.taken == list(range(6))


def test_where_nothing_is_under_way_no_task_now_is_the_end() -> None:
    with LocalPool(2) as pool:
        assert list(pool.run(answer, ["a"], [(0, Chunk(0)), None, None, None])) != []
        assert list(pool.run(answer, ["a"], [None, (0, Chunk(0))])) == []


@pytest.mark.parametrize("kind", ["threads", "processes"])
def test_tasks_are_asked_for_when_they_are_needed(kind: Kind) -> None:
    asked: list[int] = []
    with LocalPool(2, kind) as pool:
        results = pool.run(answer, ["a"], counted([(0, Chunk(n)) for n in range(20)], asked))
        assert asked == []
        done = 0
        for _ in results:
            done += 1
            # Those ended at once have made room before they are handed over one by one.
            assert len(asked) <= done + 2 * TASKS_PER_WORKER * pool.workers
    assert done == 20


def test_a_killed_process_is_replaced_and_its_task_runs_again(tmp_path: Path) -> None:
    killers = [tmp_path / "first", tmp_path / "second"]
    for path in killers:
        path.touch()
    jobs = [CountedJob(name, tmp_path / "log") for name in "ab"]
    tasks = [(n % 2, Chunk(n, 0.01)) for n in range(12)]
    tasks[4] = (0, Chunk(4, kill_once=killers[0]))
    tasks[9] = (1, Chunk(9, kill_once=killers[1]))
    with LocalPool(2, "processes") as pool:
        results = list(pool.run(answer, jobs, tasks))
    assert sorted(index for index, _ in results) == list(range(12))
    assert all(name == "ab"[index % 2] and value == index for index, (name, value, _) in results)
    assert not any(path.exists() for path in killers)


def test_a_process_killed_from_outside_in_the_middle_of_a_task(tmp_path: Path) -> None:
    jobs = [CountedJob("a", tmp_path / "log")]
    with LocalPool(2, "processes") as pool:
        warm = list(pool.run(answer, jobs, [(0, Chunk(n, 0.1)) for n in range(4)]))
        victim = warm[-1][1][2]
        timer = threading.Timer(0.2, os.kill, (victim, signal.SIGKILL))
        timer.start()
        results = list(pool.run(answer, jobs, [(0, Chunk(n, 0.15)) for n in range(6)]))
        timer.join()
    assert sorted(index for index, _ in results) == list(range(6))
    assert len({pid for _, (_, _, pid) in results}) == 3


def test_an_idle_process_that_is_killed_costs_nothing(processes: LocalPool) -> None:
    for _ in range(4):
        ((_, (_, _, pid)),) = processes.run(answer, ["a"], [(0, Chunk(0))])
        os.kill(pid, signal.SIGKILL)
        assert ended(pid)


def test_a_task_that_kills_three_processes_is_named() -> None:
    with LocalPool(1, "processes") as pool:
        results = pool.run(die_at_3, ["a"], [(0, n) for n in range(5)])
        # What has ended at the same time comes in any order.
        assert sorted(next(results) for _ in range(3)) == [(0, 0), (1, 1), (2, 2)]
        with pytest.raises(SpecError, match=r"task 3 \(job 0\) ended 3 worker processes, .* SIGKILL.*fewer workers"):
            next(results)
        assert list(pool.run(fail_at_3, ["a"], [(0, 1)])) == [(0, 1)]


@pytest.mark.parametrize("kind", ["threads", "processes"])
def test_what_the_work_raises_arrives_unchanged_and_ends_the_run(kind: Kind) -> None:
    asked: list[int] = []
    with LocalPool(2, kind) as pool:
        with pytest.raises(ValueError, match="chunk 3 is wrong") as plain:
            list(pool.run(fail_at_3, ["ValueError"], counted([(0, n) for n in range(100)], asked)))
        assert plain.value.args == ("chunk 3 is wrong",)  # a note may say where
        assert len(asked) < 20
        with pytest.raises(DataError, match="is damaged") as caught:
            list(pool.run(fail_at_3, ["DataError"], [(0, 3)]))
        assert str(caught.value) == "some.h5, field 'units', sample 7: is damaged"
        assert (caught.value.path, caught.value.sample, caught.value.field) == (Path("some.h5"), 7, "units")
        assert len(list(pool.run(fail_at_3, [""], [(0, 1)]))) == 1


def test_an_exception_that_cannot_be_sent_is_told(processes: LocalPool) -> None:
    with pytest.raises(RuntimeError, match=r"(?s)cannot be sent between processes.*pool_work.Unpicklable: one"):
        list(processes.run(fail_at_3, ["Unpicklable"], [(0, 3)]))


def test_what_cannot_be_sent_is_an_error_here(processes: LocalPool) -> None:
    with pytest.raises(AttributeError, match="local object"):
        list(processes.run(lambda job, chunk: chunk, ["a"], [(0, 0)]))
    assert list(processes.run(fail_at_3, ["a"], [(0, 1)])) == [(0, 1)]


def test_an_error_of_the_tasks_themselves_arrives(processes: LocalPool) -> None:
    def tasks() -> Iterator[tuple[int, int]]:
        yield 0, 1
        raise OSError("the samples are gone")

    with pytest.raises(OSError, match="the samples are gone"):
        list(processes.run(fail_at_3, ["a"], tasks()))


def test_processes_given_up_end_at_once(tmp_path: Path) -> None:
    with LocalPool(2, "processes") as pool:
        results = pool.run(mark_and_wait, [tmp_path], ((0, n) for n in range(8)))
        threading.Timer(0.0, _raise_when_there, ([tmp_path / "task0", tmp_path / "task1"],)).start()
        with interruptible(), pytest.raises(KeyboardInterrupt):
            next(results)
        pids = [int((tmp_path / f"task{n}").read_text()) for n in range(2)]
        assert all(map(ended, pids))
        assert not (tmp_path / "task2").exists()


def _raise_when_there(paths: list[Path]) -> None:
    wait_for_files(paths)
    os.kill(os.getpid(), signal.SIGINT)


def test_closing_a_pool_in_the_middle_of_a_run_ends_its_processes(tmp_path: Path) -> None:
    pool = LocalPool(2, "processes")
    results = pool.run(mark_and_wait, [tmp_path], [(0, 0), (0, 1)])

    def read() -> None:
        with pytest.raises(CancelledError):
            next(results)
        over.set()

    over = threading.Event()
    waiting = threading.Thread(target=read)
    waiting.start()
    wait_for_files([tmp_path / "task0", tmp_path / "task1"])
    pool.close()
    waiting.join(timeout=30)
    assert over.is_set()
    assert all(ended(int((tmp_path / f"task{n}").read_text())) for n in range(2))


SCRIPT = """
import sys
from pathlib import Path
from pool_work import mark_and_wait
from spikebridge.sim.pool import open_pool

if __name__ == "__main__":
    cluster = sys.argv[2] or None
    with open_pool(cluster, None if cluster else 2, "processes") as pool:
        list(pool.run(mark_and_wait, [Path(sys.argv[1])], [(0, 0), (0, 1)]))
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
@pytest.mark.parametrize("cluster", ["", pytest.param("local:2", marks=pytest.mark.slow)])
def test_no_worker_outlives_the_program(tmp_path: Path, cluster: str, number: signal.Signals) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, str(tmp_path / "script.py"), str(tmp_path), cluster]
    with interruptible():
        program = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    try:
        wait_for_files([tmp_path / "task0", tmp_path / "task1"])
        program.send_signal(number)
        assert program.wait(timeout=60) != 0
    finally:
        program.kill()
        program.wait()
    pids = [int((tmp_path / f"task{n}").read_text()) for n in range(2)]
    assert len(set(pids)) == 2
    assert all(map(ended, pids))


def test_one_run_at_a_time() -> None:
    with LocalPool(1) as pool:
        first = pool.run(fail_at_3, ["a"], [(0, 0), (0, 1)])
        next(first)
        with pytest.raises(SpecError, match="running already"):
            next(pool.run(fail_at_3, ["a"], [(0, 0)]))
        first.close()  # type: ignore[attr-defined]
        assert list(pool.run(fail_at_3, ["a"], [(0, 0)])) == [(0, 0)]


def test_open_pool() -> None:
    with open_pool() as pool:
        assert pool.workers == len(os.sched_getaffinity(0))
    with open_pool(None, 3, "processes") as pool:
        assert pool.workers == 3
    for arguments, message in [
        ((None, 0, "threads"), "at least 1 worker, not 0"),
        ((None, 1, "fibres"), "unknown kind of workers 'fibres'"),
        (("local:4", 2, "threads"), "has a number of workers of its own"),
        (("tcp://host:1", 2, "threads"), "has a number of workers of its own"),
        (("cloud", None, "threads"), "unknown cluster 'cloud'"),
    ]:
        with pytest.raises(SpecError, match=message):
            open_pool(*arguments)  # type: ignore[arg-type]


def test_without_dask_a_cluster_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("spikebridge.sim.dask")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(
        SpecError, match=r"needs Dask, and 'distributed' is missing: pip install 'spikebridge\[cluster\]'"
    ):
        open_pool("local:1")
