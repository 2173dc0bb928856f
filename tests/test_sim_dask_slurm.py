"""Jobs of SLURM: the script they run, and a pool on a SLURM that is two shell scripts."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import dask
import pytest
from pool_work import Chunk, answer, ended

from spikebridge.bridge.errors import SpecError
from spikebridge.sim import dask_slurm
from spikebridge.sim.cluster import SlurmJobs, parse_cluster
from spikebridge.sim.dask_cluster import SCHEDULER_OPTIONS
from spikebridge.sim.dask_slurm import queued, slurm_cluster
from spikebridge.sim.pool import open_pool

RUN = """setsid bash -c "$(cat "$1")" > /dev/null 2>&1 &
echo "Submitted batch job $!" | tee -a "$(dirname "$0")/submitted\""""
CANCEL = 'echo "$1" >> "$(dirname "$0")/cancelled"; kill -TERM -- "-$1"'


@pytest.fixture(autouse=True)
def _on_this_machine() -> Iterator[None]:
    here = {"jobqueue.slurm.scheduler-options": {"host": "127.0.0.1"}, "distributed.deploy.lost-worker-timeout": "1s"}
    with dask.config.set(here):
        yield


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that is searched for commands first."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path for path in sys.path if path))
    return folder


def command(folder: Path, name: str, body: str) -> None:
    (folder / name).write_text(f"#!/usr/bin/env bash\n{body}\n")
    (folder / name).chmod(0o755)


def numbers(path: Path) -> list[int]:
    return [int(line.split()[-1]) for line in path.read_text().splitlines()]


def job_script(text: str) -> list[str]:
    options = parse_cluster(text)
    assert isinstance(options, SlurmJobs)
    with slurm_cluster(options, SCHEDULER_OPTIONS) as cluster:
        return str(cluster.job_script()).splitlines()


def test_the_job_script_asks_for_what_was_written() -> None:
    lines = job_script("slurm:jobs=8,cores=4,queue=main,account=lab,walltime=02:00:00,memory=8GiB,scratch=/scratch/me")
    for line in [
        "#SBATCH -p main",
        "#SBATCH -A lab",
        "#SBATCH -t 02:00:00",
        "#SBATCH --cpus-per-task=4",
        "#SBATCH --mem=8G",
    ]:
        assert line in lines
    (worker,) = [line for line in lines if "dask_worker" in line]
    assert worker.startswith(sys.executable)
    assert "--nthreads 1 --memory-limit 2.00GiB --nworkers 4 --nanny" in worker
    assert "--local-directory /scratch/me" in worker
    assert "tcp://127.0.0.1:" in worker


def test_what_is_not_written_comes_from_the_configuration_of_dask() -> None:
    configured = {"memory": "6GiB", "cores": 3, "queue": "long", "job-script-prologue": ["module load gcc"]}
    with dask.config.set({f"jobqueue.slurm.{key}": value for key, value in configured.items()}):
        lines = job_script("slurm:queue=short")
    assert "#SBATCH -p short" in lines
    assert "#SBATCH --cpus-per-task=3" in lines
    assert "#SBATCH --mem=6G" in lines
    assert "module load gcc" in lines
    assert any("--nworkers 3" in line for line in lines)


def test_ctrl_c_remains_an_interrupt() -> None:
    code = "import signal; before = [signal.getsignal(n) for n in (2, 15)]; import spikebridge.sim.dask_slurm; "
    code += "assert before == [signal.getsignal(n) for n in (2, 15)], signal.getsignal(2)"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)


def test_memory_has_to_be_given() -> None:
    with pytest.raises(SpecError, match=r"write for example slurm:memory=8GB, or set jobqueue.slurm.memory"):
        job_script("slurm:jobs=2")


def test_without_slurm(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SpecError, match="no command 'sbatch' here"):
        open_pool("slurm:memory=1GB")


def test_a_job_that_slurm_refuses(commands: Path) -> None:
    command(commands, "sbatch", "echo 'sbatch: error: invalid partition specified: mian' >&2; exit 1")
    with pytest.raises(SpecError, match=r"(?s)did not take a job.*#SBATCH -p mian.*invalid partition specified: mian"):
        open_pool("slurm:memory=1GB,queue=mian")


@pytest.mark.slow
def test_jobs_run_tasks_and_are_submitted_again_and_cancelled(commands: Path) -> None:
    command(commands, "sbatch", RUN)
    command(commands, "scancel", CANCEL)
    with ExitStack() as at_the_end:
        at_the_end.callback(_kill_all, commands / "submitted")
        with open_pool("slurm:jobs=2,memory=1GB") as pool:
            assert pool.workers == 2
            first = dict(pool.run(answer, ["a"], [(0, Chunk(n, 0.3)) for n in range(12)]))
            assert {index: result[1] for index, result in first.items()} == {n: n for n in range(12)}
            for job in numbers(commands / "submitted"):
                os.killpg(job, signal.SIGKILL)
            second = dict(pool.run(answer, ["a"], [(0, Chunk(n, 0.3)) for n in range(12)]))
            assert {index: result[1] for index, result in second.items()} == {n: n for n in range(12)}
        jobs = numbers(commands / "submitted")
        assert len(jobs) in (3, 4)
        assert set(jobs[2:]) <= set(numbers(commands / "cancelled"))
        workers = {pid for _, _, pid in first.values()} | {pid for _, _, pid in second.values()}
        assert all(map(ended, [*jobs, *workers]))


def _kill_all(jobs: Path) -> None:
    for job in numbers(jobs):
        with suppress(ProcessLookupError):
            os.killpg(job, signal.SIGKILL)


def test_jobs_that_end_without_a_worker(commands: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask_slurm, "QUEUE_CHECK_S", 0.5)
    command(commands, "sbatch", "echo 'Submitted batch job 4711'")
    command(commands, "scancel", "exit 1")
    command(commands, "squeue", "exit 0")
    with open_pool("slurm:memory=1GB") as pool, pytest.raises(SpecError, match="the jobs 4711 of SLURM ended and no"):
        list(pool.run(answer, ["a"], [(0, Chunk(0))]))


def test_jobs_that_end_again_and_again(commands: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask_slurm, "RESUBMISSIONS_PER_JOB", -1)  # one job is too many
    command(commands, "sbatch", "echo 'Submitted batch job 4711'")
    command(commands, "scancel", "exit 1")
    with pytest.raises(SpecError, match="give them more walltime or memory"):
        open_pool("slurm:memory=1GB")


@pytest.mark.parametrize(
    ("answer", "known"),
    [
        ("echo 17", True),
        ("exit 0", False),
        ("echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1", False),
        ("echo 'slurm_load_jobs error: Unable to contact slurm controller' >&2; exit 1", True),
    ],
)
def test_whether_slurm_still_has_a_job(commands: Path, answer: str, known: bool) -> None:
    command(commands, "squeue", answer)
    assert queued(["17"]) == known
