"""Pools on Dask: every task once where workers are lost, and clusters that cannot be used are refused in words."""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from distributed import LocalCluster
from pool_work import (
    Chain,
    Chunk,
    CountedJob,
    answer,
    count_calls,
    counted,
    die_at_3,
    fail_at_3,
    import_brian2,
    mark_and_wait,
    random_tasks,
    wait_for_files,
)

from spikebridge.bridge.errors import DataError, SpecError
from spikebridge.sim import dask_cluster
from spikebridge.sim.cluster import LocalWorkers, RunningScheduler
from spikebridge.sim.dask_cluster import SCHEDULER_OPTIONS, differences
from spikebridge.sim.dask_pool import DaskPool
from spikebridge.sim.pool import TASKS_PER_WORKER, open_pool


@pytest.fixture(scope="module")
def pool() -> Iterator[DaskPool]:
    with DaskPool(LocalWorkers(2)) as pool:
        yield pool


@contextmanager
def workers_without_nanny(address: str, number: int, environment: dict[str, str] | None = None) -> Iterator[list[int]]:
    """`dask worker` processes that nobody restarts; their process numbers."""
    paths = os.pathsep.join(path for path in sys.path if path)
    command = [sys.executable, "-m", "distributed.cli.dask_worker", address, "--no-nanny", "--nthreads", "1"]
    command += ["--no-dashboard"]
    started = [
        subprocess.Popen(
            command, env=os.environ | {"PYTHONPATH": paths} | (environment or {}), stderr=subprocess.DEVNULL
        )
        for _ in range(number)
    ]
    try:
        yield [process.pid for process in started]
    finally:
        for process in started:
            process.kill()
            process.wait()


@contextmanager
def scheduler_alone() -> Iterator[LocalCluster]:
    with LocalCluster(
        n_workers=0,
        dashboard_address=":0",
        silence_logs=50,
        scheduler_kwargs={"allowed_failures": SCHEDULER_OPTIONS["allowed_failures"]},
    ) as cluster:
        yield cluster


@pytest.mark.parametrize("seed", range(3))
def test_every_task_arrives_once_and_each_job_goes_to_a_worker_once(pool: DaskPool, tmp_path: Path, seed: int) -> None:
    jobs = [CountedJob(name, tmp_path / "log") for name in "abc"]
    tasks = random_tasks(seed, 24, 3)
    results = list(pool.run(answer, jobs, tasks))
    assert sorted(index for index, _ in results) == list(range(24))
    assert all(name == "abc"[tasks[index][0]] and value == index for index, (name, value, _) in results)
    assert len({pid for _, (_, _, pid) in results}) == pool.workers == 2
    arrivals = Counter((tmp_path / "log").read_text().splitlines())
    assert set(arrivals.values()) == {1}


def test_tasks_are_asked_for_when_they_are_needed(pool: DaskPool) -> None:
    asked: list[int] = []
    done = 0
    for _ in pool.run(answer, ["a"], counted([(0, Chunk(n)) for n in range(20)], asked)):
        done += 1
        assert len(asked) <= done + TASKS_PER_WORKER * pool.workers
    assert done == 20


def test_a_task_may_depend_on_the_results_before(pool: DaskPool) -> None:
    chain = Chain(6)
    for number, (_, value, _) in pool.run(answer, ["a"], chain.tasks()):
        assert number == value
        chain.take(value)
    assert chain.taken == list(range(6))


def test_nothing_to_do(pool: DaskPool) -> None:
    assert list(pool.run(answer, ["a"], [])) == []


def test_the_work_may_import_brian2(pool: DaskPool) -> None:
    assert {version for _, version in pool.run(import_brian2, ["a"], [(0, 0)] * 4)} == {import_brian2("a", 0)}


def test_globals_stay_with_a_worker(pool: DaskPool) -> None:
    list(pool.run(count_calls, ["a"], [(0, 0)] * 6))
    after = dict(result for _, result in pool.run(count_calls, ["b"], [(0, 0)] * 6))
    assert sum(after.values()) > 6


def test_a_worker_killed_in_the_middle_is_replaced(pool: DaskPool, tmp_path: Path) -> None:
    killer = tmp_path / "killer"
    killer.touch()
    jobs = [CountedJob(name, tmp_path / "log") for name in "ab"]
    tasks = [(n % 2, Chunk(n, 0.02)) for n in range(16)]
    tasks[6] = (0, Chunk(6, kill_once=killer))
    results = list(pool.run(answer, jobs, tasks))
    assert sorted(index for index, _ in results) == list(range(16))
    assert all(name == "ab"[index % 2] and value == index for index, (name, value, _) in results)
    assert not killer.exists()


def test_what_the_work_raises_arrives_unchanged_and_ends_the_run(pool: DaskPool) -> None:
    asked: list[int] = []
    with pytest.raises(ValueError, match="chunk 3 is wrong") as plain:
        list(pool.run(fail_at_3, ["ValueError"], counted([(0, n) for n in range(100)], asked)))
    assert plain.value.args == ("chunk 3 is wrong",)
    assert len(asked) < 20
    with pytest.raises(DataError, match="is damaged") as caught:
        list(pool.run(fail_at_3, ["DataError"], [(0, 3)]))
    assert str(caught.value) == "some.h5, field 'units', sample 7: is damaged"
    with pytest.raises(TimeoutError, match="of the task"):
        list(pool.run(fail_at_3, ["TimeoutError"], [(0, 3)]))
    assert list(pool.run(fail_at_3, ["a"], [(0, 1)])) == [(0, 1)]


def test_one_run_at_a_time(pool: DaskPool) -> None:
    first = pool.run(fail_at_3, ["a"], [(0, 0), (0, 1)])
    next(first)
    with pytest.raises(SpecError, match="running already"):
        next(pool.run(fail_at_3, ["a"], [(0, 0)]))
    first.close()  # type: ignore[attr-defined]


@pytest.mark.slow
def test_a_task_that_kills_three_workers_is_named() -> None:
    with DaskPool(LocalWorkers(1)) as pool, pytest.raises(SpecError, match=r"task \d \(job 0\) was on 3 workers"):
        list(pool.run(die_at_3, ["a"], [(0, n) for n in range(5)]))


def test_a_worker_without_nanny_is_killed_and_the_other_does_the_rest(tmp_path: Path) -> None:
    jobs = [CountedJob(name, tmp_path / "log") for name in "ab"]
    with scheduler_alone() as cluster, workers_without_nanny(cluster.scheduler_address, 2) as pids:
        cluster.wait_for_workers(2, timeout=60)
        with DaskPool(RunningScheduler(cluster.scheduler_address)) as pool:
            assert pool.workers == 2
            results = []
            for result in pool.run(answer, jobs, [(n % 2, Chunk(n, 0.05)) for n in range(16)]):
                results.append(result)
                if len(results) == 6:
                    os.kill(pids[0], signal.SIGKILL)
        assert {pid for _, (_, _, pid) in results} == set(pids)
    assert sorted(index for index, _ in results) == list(range(16))
    assert all(name == "ab"[index % 2] and value == index for index, (name, value, _) in results)


def test_a_cluster_that_loses_all_workers_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask_cluster, "FIRST_WORKER_S", 1.0)
    with scheduler_alone() as cluster:
        address = cluster.scheduler_address
        with pytest.raises(SpecError, match=f"{address} has no workers: start some with `dask worker"):
            DaskPool(RunningScheduler(address))
        with workers_without_nanny(address, 1) as pids:
            cluster.wait_for_workers(1, timeout=60)
            with DaskPool(RunningScheduler(address)) as pool:
                results = pool.run(mark_and_wait, [tmp_path], [(0, 0)])
                threading.Thread(target=_kill_when_there, args=(tmp_path / "task0", pids[0])).start()
                with pytest.raises(SpecError, match=f"{address} has had no worker for 1 s"):
                    next(results)


def _kill_when_there(path: Path, pid: int) -> None:
    wait_for_files([path])
    os.kill(pid, signal.SIGKILL)


def test_workers_with_another_spikebridge_are_refused(tmp_path: Path) -> None:
    other = tmp_path / "spikebridge"
    for name in ("bridge", "sim"):
        (other / name).mkdir(parents=True)
        for path in (Path(__file__).resolve().parent.parent / name).glob("*.py"):
            (other / name / path.name).write_text(path.read_text() + "# another\n")
    paths = os.pathsep.join([str(tmp_path), *(path for path in sys.path if path)])
    with scheduler_alone() as cluster, workers_without_nanny(cluster.scheduler_address, 1, {"PYTHONPATH": paths}):
        cluster.wait_for_workers(1, timeout=60)
        with pytest.raises(SpecError, match=r"(?s)tcp://[^ ]*: spikebridge is another one .*Install the same"):
            DaskPool(RunningScheduler(cluster.scheduler_address))


def test_differences_of_environments() -> None:
    here = {"python": "3.12", "brian2": "2.10.1", "spikebridge": "a" * 64}
    assert differences(here, here) == []
    assert differences(here | {"brian2": "missing"}, here) == ["brian2 is not installed"]
    assert differences(here | {"brian2": "2.9.0"}, here) == ["brian2 is 2.9.0, here 2.10.1"]
    assert differences(here | {"spikebridge": "missing"}, here) == ["spikebridge is not installed"]


def test_an_address_where_nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask_cluster, "CONNECT_S", 0.5)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # and does not listen
        address = f"tcp://127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(SpecError, match=f"no Dask scheduler answers at {address} .*`dask scheduler --port"):
            open_pool(address)


def test_a_scheduler_that_goes_away(tmp_path: Path) -> None:
    with scheduler_alone() as cluster, workers_without_nanny(cluster.scheduler_address, 1):
        cluster.wait_for_workers(1, timeout=60)
        with DaskPool(RunningScheduler(cluster.scheduler_address)) as pool:
            results = pool.run(mark_and_wait, [tmp_path], [(0, 0)])
            threading.Thread(target=_close_when_there, args=(tmp_path / "task0", cluster)).start()
            with pytest.raises(SpecError, match=r"connection to the scheduler of tcp://.* is lost"):
                next(results)


def _close_when_there(path: Path, cluster: LocalCluster) -> None:
    wait_for_files([path])
    cluster.close()
