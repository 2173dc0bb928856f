"""Connect to a Dask cluster, or start one, and refuse it before any task if its workers have another spikebridge."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import dask
from distributed import Client, LocalCluster

from spikebridge.bridge.errors import SpecError
from spikebridge.sim.cluster import Cluster, LocalWorkers, RunningScheduler, SlurmJobs
from spikebridge.sim.dask_worker import ABSENT, NEEDED, ImportInMainThread, environment_probe, own_source
from spikebridge.sim.processors import available_processors

# Of schedulers started here. Dask gives up a task after one loss more than `allowed_failures`; any free port will do
# for its status page, so that two programs do not ask for the same one.
SCHEDULER_OPTIONS = {"allowed_failures": 2, "dashboard_address": ":0"}
# Also theirs: jobs stay with the workers that have them, whether or not a task is waiting for them.
SCHEDULER_CONFIG = {"distributed.scheduler.active-memory-manager.start": False}
CONNECT_S = 10.0
FIRST_WORKER_S = 30.0


@dataclass(frozen=True, slots=True, eq=False)
class Connection:
    """A client and what ends with it.

    Attributes:
        client: connected.
        place: the cluster, for messages.
        planned: workers there will be; None for those there are.
        patience_s: how long to wait for a worker where there is none.
        tend: to be called now and then with the number of workers.
        started: what this process has started, closed in reverse order.
    """

    client: Client
    place: str
    planned: int | None
    patience_s: float
    tend: Callable[[int], None]
    started: ExitStack


def connect(cluster: Cluster) -> Connection:
    """Start or reach a cluster and check the workers it has.

    Raises:
        SpecError: it cannot be reached or started, or a worker has another spikebridge or no Brian2.
    """
    with ExitStack() as started:
        match cluster:
            case LocalWorkers():
                found = _local(cluster, started)
            case RunningScheduler():
                found = _running(cluster, started)
            case SlurmJobs():
                found = _slurm(cluster, started)
        check_environments(found.client, found.place)
        # Ctrl-C reaches every process of a terminal, local workers among them; this one decides what it means.
        found.client.register_plugin(ImportInMainThread(ignores_interrupts=isinstance(cluster, LocalWorkers)))
        found.started.push(started.pop_all())
        return found
    raise AssertionError  # an ExitStack may swallow exceptions; this one does not


def _local(cluster: LocalWorkers, started: ExitStack) -> Connection:
    workers = cluster.workers or available_processors()
    with dask.config.set(SCHEDULER_CONFIG):
        local = LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            dashboard_address=SCHEDULER_OPTIONS["dashboard_address"],
            scheduler_kwargs={"allowed_failures": SCHEDULER_OPTIONS["allowed_failures"]},
            silence_logs=logging.ERROR,
        )
    started.enter_context(local)
    client = started.enter_context(Client(local))
    return Connection(client, "the local Dask cluster", workers, FIRST_WORKER_S, _nothing, ExitStack())


def _running(cluster: RunningScheduler, started: ExitStack) -> Connection:
    address = cluster.address
    try:
        client = started.enter_context(Client(address, timeout=CONNECT_S))
    except (OSError, TypeError) as error:  # TypeError: tls:// without certificates in Dask's configuration
        raise SpecError(
            f"no Dask scheduler answers at {address} ({error}). Start one with `dask scheduler --port PORT` on that "
            "machine and workers with `dask worker ADDRESS --nworkers N --nthreads 1`, and check that a firewall lets "
            "you through; tls:// needs certificates in Dask's configuration (distributed.comm.tls)"
        ) from error
    try:
        client.wait_for_workers(1, timeout=FIRST_WORKER_S)
    except TimeoutError:
        raise SpecError(
            f"the Dask scheduler at {address} has no workers: start some with `dask worker {address} --nworkers N "
            "--nthreads 1`"
        ) from None
    return Connection(client, address, None, FIRST_WORKER_S, _nothing, ExitStack())


def _slurm(cluster: SlurmJobs, started: ExitStack) -> Connection:
    from spikebridge.sim.dask_slurm import SlurmWorkers

    with dask.config.set(SCHEDULER_CONFIG):
        slurm = SlurmWorkers(cluster, SCHEDULER_OPTIONS)
    started.callback(slurm.close)
    client = started.enter_context(Client(slurm.cluster))
    slurm.start()
    return Connection(client, "SLURM", slurm.planned, math.inf, slurm.tend, ExitStack())


def check_environments(client: Client, place: str) -> None:
    """Compare scheduler and workers with this process.

    Raises:
        SpecError: another Python, another spikebridge or no Brian2; names the machines and what they have.
    """
    expected = {**environment_probe(*NEEDED)(), "spikebridge": own_source()}
    versions: Any = client.get_versions()
    found = {"the scheduler": versions["scheduler"], **versions["workers"]}
    pythons = {name: minor_version(there["packages"]["python"]) for name, there in found.items() if there}
    wrong = [
        f"{name} runs Python {python}, this process {expected['python']}"
        for name, python in pythons.items()
        if python != expected["python"]
    ]
    if not wrong:  # code is not sent to another Python: it could not read it
        scheduler = client.run_on_scheduler(environment_probe())
        environments = {"the scheduler": scheduler, **client.run(environment_probe(*NEEDED))}
        wrong = [
            f"{name}: {difference}"
            for name, there in environments.items()
            for difference in differences(there, {key: expected[key] for key in there})
        ]
    if wrong:
        raise SpecError(
            f"not every worker of {place} can run this simulation:\n  "
            + "\n  ".join(wrong)
            + "\nInstall the same spikebridge (pip install 'spikebridge[cluster]', or the same checkout) in the "
            "environment that starts them, and start them again"
        )


def minor_version(python: str) -> str:
    """`3.12` of `3.12.4.final.0`."""
    return ".".join(python.split(".")[:2])


def differences(there: dict[str, str], here: dict[str, str]) -> list[str]:
    """What an environment lacks or has otherwise, in words."""
    found = []
    for name, expected in here.items():
        if there[name] == ABSENT:
            found.append(f"{name} is not installed")
        elif there[name] != expected and name == "spikebridge":
            found.append(f"spikebridge is another one (source {there[name][:12]}, here {expected[:12]})")
        elif there[name] != expected:
            found.append(f"{name} is {there[name]}, here {expected}")
    return found


def _nothing(workers: int) -> None:
    pass
