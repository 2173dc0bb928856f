"""Workers as jobs of SLURM: submitted, submitted again when one ends early, cancelled at the end."""

from __future__ import annotations

import shutil
import subprocess
import threading
from time import monotonic
from typing import Any

import dask
from distributed.core import Status

from spikebridge.bridge.errors import SpecError
from spikebridge.sim.cluster import SlurmJobs
from spikebridge.sim.signals import handlers_kept

with handlers_kept():  # dask-jobqueue 0.9 makes Ctrl-C an exit with status 0
    from dask_jobqueue.slurm import SLURMCluster, SLURMJob

RESUBMISSIONS_PER_JOB = 10
QUEUE_CHECK_S = 30.0
SUBMISSION_S = 60.0


class SlurmWorkers:
    """The jobs of one pool; one worker process of one thread per core.

    Attributes:
        cluster: Dask's cluster; its scheduler runs in this process.
        planned: workers there will be once every job runs.

    Raises:
        SpecError: SLURM is not on this machine, the memory of a job is not given, or a job is refused.
    """

    def __init__(self, options: SlurmJobs, scheduler_options: dict[str, Any]) -> None:
        if shutil.which("sbatch") is None:
            raise SpecError("there is no command 'sbatch' here: run this on a machine that submits to SLURM")
        self.refusals: list[str] = []
        self.submissions = 0
        self.answered = threading.Condition()
        self.jobs = options.jobs
        self.cluster = slurm_cluster(options, scheduler_options, self._job_class())
        self.planned = self.jobs * self.cluster._dummy_job.worker_processes
        self._checked = monotonic()

    def start(self) -> None:
        """Submit all jobs and wait until SLURM has taken them, not until they run.

        Raises:
            SpecError: as `submit`.
        """
        self.submit()
        with self.answered:
            self.answered.wait_for(lambda: self.refusals or self.submissions >= self.jobs, timeout=SUBMISSION_S)
        self.submit()

    def submit(self) -> None:
        """Ask for all jobs, or again for those that ended.

        Raises:
            SpecError: SLURM refused one, or jobs have ended too often.
        """
        self.cluster.scale(jobs=self.jobs)
        if self.refusals:
            raise SpecError(f"SLURM did not take a job; its script was\n{self.script()}\n{self.refusals[0].strip()}")
        if self.submissions > self.jobs * (1 + RESUBMISSIONS_PER_JOB):
            raise SpecError(
                f"jobs of SLURM ended {self.submissions - self.jobs} times before the work was done: give them more "
                "walltime or memory, and look into their output (slurm:logs=FOLDER)"
            )

    def tend(self, workers: int) -> None:
        """To be called now and then with the number of workers there are.

        Raises:
            SpecError: as `submit`; or every job has ended without a worker.
        """
        if workers >= self.planned:
            return
        self.submit()
        if workers == 0 and monotonic() - self._checked > QUEUE_CHECK_S:
            self._checked = monotonic()
            ids = [job.job_id for job in self.cluster.workers.values() if job.job_id]
            if ids and not queued(ids):
                raise SpecError(
                    f"the jobs {', '.join(ids)} of SLURM ended and no worker had connected: look into their output "
                    "(slurm:logs=FOLDER); usually the nodes lack this Python or cannot reach this machine over "
                    f"{self.cluster.scheduler_address} (slurm:interface=...). The script was\n{self.script()}"
                )

    def script(self) -> str:
        """The job script, as SLURM gets it."""
        return str(self.cluster.job_script())

    def close(self) -> None:
        """Cancel the jobs and end the scheduler."""
        self.cluster.close()

    def _job_class(self) -> type[SLURMJob]:
        counted = self

        class Job(SLURMJob):
            async def start(self) -> None:
                try:
                    await super().start()  # type: ignore[no-untyped-call]
                except (RuntimeError, ValueError, OSError) as error:
                    # Raised here it would end in Dask's log and leave this process waiting for a worker.
                    counted.refusals.append(str(error))
                    self.status = Status.running
                with counted.answered:
                    counted.submissions += 1
                    counted.answered.notify_all()

            async def close(self) -> None:
                await super().close()  # type: ignore[no-untyped-call]
                self.status = Status.closed  # dask-jobqueue 0.9 leaves it, and Dask's cluster then fails to close

        return Job


def slurm_cluster(
    options: SlurmJobs, scheduler_options: dict[str, Any], job_class: type[SLURMJob] = SLURMJob
) -> SLURMCluster:
    """A cluster without jobs; `job_script()` of it needs no SLURM.

    Raises:
        SpecError: neither `options` nor Dask's configuration give the memory of a job.
    """
    configured = dask.config.get("jobqueue.slurm", {})
    given = options.given
    given.setdefault("cores", configured.get("cores") or 1)
    if "memory" not in given and not configured.get("memory"):
        raise SpecError(
            "how much memory a job of SLURM needs is not known: write for example slurm:memory=8GB, or set "
            "jobqueue.slurm.memory in Dask's configuration (~/.config/dask/jobqueue.yaml)"
        )
    return SLURMCluster(
        **given,
        processes=given["cores"],
        job_cls=job_class,  # type: ignore[arg-type]  # annotated as an instance
        scheduler_options={**(configured.get("scheduler-options") or {}), **scheduler_options},
    )


def queued(ids: list[str]) -> bool:
    """Whether SLURM still has one of these jobs, waiting or running; yes if it does not answer."""
    command = shutil.which("squeue")
    if command is None:
        return True
    answer = subprocess.run([command, "-h", "-o", "%i", "-j", ",".join(ids)], capture_output=True, text=True)
    return bool(answer.stdout.strip()) if answer.returncode == 0 else "Invalid job id" not in answer.stderr
