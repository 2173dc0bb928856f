"""Where tasks run on a Dask cluster, as a user writes it: `local:8`, `tcp://host:8786`, `slurm:jobs=8,memory=8GB`."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, field, fields
from importlib.util import find_spec

from spikebridge.bridge.errors import SpecError
from spikebridge.sim.options import SimulationOptions

FORMS = "'local', 'local:8', 'tcp://host:8786', 'tls://host:8786' or 'slurm:jobs=8,queue=main,memory=8GB'"
ADDRESS = re.compile(r"(tcp|tls)://(\[[0-9A-Za-z:.%]+\]|[A-Za-z0-9._-]+):([0-9]+)")
MEMORY = re.compile(r"[0-9]+(\.[0-9]+)?\s?([kKMGTP]i?B)")
WALLTIME = re.compile(r"([0-9]+-)?[0-9]{1,2}:[0-9]{2}(:[0-9]{2})?|[0-9]+")
# These values are written into a job script, which a shell reads.
WORD = re.compile(r"[A-Za-z0-9_./~+@-]+")


@dataclass(frozen=True, slots=True)
class LocalWorkers:
    """Dask worker processes of one thread each on this machine.

    Attributes:
        workers: their number; not set, one per processor this process may use.
    """

    workers: int | None = None

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 1:
            raise SpecError(f"cluster 'local' needs at least 1 worker, not {self.workers}: write local:1 or more")


@dataclass(frozen=True, slots=True)
class RunningScheduler:
    """A Dask scheduler somebody has started; its workers are what it has.

    Attributes:
        address: `tcp://host:port` or `tls://host:port`.
    """

    address: str

    def __post_init__(self) -> None:
        match = ADDRESS.fullmatch(self.address)
        if match is None:
            raise SpecError(
                f"{self.address!r} is no address of a Dask scheduler: write tcp://host:port or tls://host:port, as "
                "`dask scheduler` prints it, for example tcp://10.0.0.5:8786"
            )
        if not 1 <= int(match[3]) <= 65535:
            raise SpecError(f"{self.address!r}: a port is between 1 and 65535, not {match[3]}")


@dataclass(frozen=True, slots=True)
class SlurmJobs:
    """Workers in jobs of a SLURM cluster; what is not set comes from `jobqueue.slurm` in Dask's configuration.

    Attributes:
        jobs: how many jobs are submitted.
        cores: cores of one job, which runs as many worker processes of one thread.
        memory: of one job, for example `8GB`.
        queue: partition.
        account: account that is charged.
        walltime: of one job, for example `02:00:00`.
        interface: network interface by which workers reach the scheduler, for example `ib0`.
        scratch: folder on the nodes for what workers put aside.
        logs: folder for the jobs' output.
        python: interpreter on the nodes; not set, this one.
    """

    jobs: int = 1
    cores: int | None = None
    memory: str | None = None
    queue: str | None = None
    account: str | None = None
    walltime: str | None = None
    interface: str | None = None
    scratch: str | None = field(default=None, metadata={"dask": "local_directory"})
    logs: str | None = field(default=None, metadata={"dask": "log_directory"})
    python: str | None = None

    def __post_init__(self) -> None:
        for name in ("jobs", "cores"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise SpecError(f"cluster 'slurm': {name} must be at least 1, not {value}")
        if self.memory is not None and not MEMORY.fullmatch(self.memory):
            raise SpecError(f"cluster 'slurm': memory={self.memory!r} needs a unit, for example memory=8GB")
        if self.walltime is not None and not WALLTIME.fullmatch(self.walltime):
            raise SpecError(
                f"cluster 'slurm': walltime={self.walltime!r} is none of hours:minutes:seconds (02:00:00), "
                "days-hours:minutes:seconds (1-12:00:00) and minutes (90)"
            )
        for name in ("queue", "account", "interface", "scratch", "logs", "python"):
            value = getattr(self, name)
            if value is not None and not WORD.fullmatch(value):
                raise SpecError(
                    f"cluster 'slurm': {name}={value!r} has characters that cannot be written here; use letters, "
                    "digits and . _ / ~ + @ -, or set it in Dask's configuration (jobqueue.yaml)"
                )

    @property
    def given(self) -> dict[str, str | int]:
        """The options that are set, by the names `dask_jobqueue.SLURMCluster` gives them; without `jobs`."""
        values = {item.metadata.get("dask", item.name): getattr(self, item.name) for item in fields(self)}
        return {name: value for name, value in values.items() if name != "jobs" and value is not None}


Cluster = LocalWorkers | RunningScheduler | SlurmJobs


def parse_cluster(text: str) -> Cluster:
    """Read a cluster as it is written on a command line.

    Args:
        text: `local`, `local:N`, `tcp://host:port`, `tls://host:port`, `slurm` or `slurm:key=value,...` with the
            attributes of `SlurmJobs` as keys.

    Raises:
        SpecError: none of these, an unknown or repeated key, or a value out of range.
    """
    text = text.strip()
    if text.startswith(("tcp://", "tls://")):
        return RunningScheduler(text)
    kind, colon, rest = text.partition(":")
    if "://" in text or kind not in ("local", "slurm"):
        raise SpecError(f"unknown cluster {text!r}{_nearest(kind, ('local', 'slurm'))}: write {FORMS}")
    if colon and not rest:
        raise SpecError(f"cluster {text!r} ends after its colon: write {FORMS}")
    if kind == "local":
        return LocalWorkers(_integer("local", "the number of workers", rest) if rest else None)
    return _slurm(rest)


def require_no_gpu(options: SimulationOptions) -> None:
    """Refuse a GPU on a cluster: it is planned for the card of this machine, which several workers would share.

    Raises:
        SpecError: the back end is `cuda`.
    """
    if options.backend == "cuda":
        raise SpecError(
            "backend 'cuda' runs on the card of this machine: leave out the cluster, or use another backend"
        )


def require_dask(cluster: Cluster) -> None:
    """Refuse to go on without Dask; nothing is imported.

    Raises:
        SpecError: saying how to install it.
    """
    for name in ("distributed", "dask_jobqueue") if isinstance(cluster, SlurmJobs) else ("distributed",):
        if find_spec(name) is None:
            raise SpecError(f"a cluster needs Dask, and {name!r} is missing: pip install 'spikebridge[cluster]'")


def _slurm(text: str) -> SlurmJobs:
    kinds = {item.name: item.type for item in fields(SlurmJobs)}
    given: dict[str, str | int] = {}
    for pair in text.split(",") if text else ():
        name, equals, value = (part.strip() for part in pair.partition("="))
        if not equals or not value:
            raise SpecError(f"cluster 'slurm': {pair!r} is no key=value; write for example slurm:jobs=8,queue=main")
        if name not in kinds:
            raise SpecError(
                f"cluster 'slurm': unknown key {name!r}{_nearest(name, tuple(kinds))}; keys are {', '.join(kinds)}. "
                "Everything else is set in Dask's configuration (jobqueue.yaml)"
            )
        if name in given:
            raise SpecError(f"cluster 'slurm': {name} is given twice, {given[name]!r} and {value!r}")
        given[name] = _integer("slurm", name, value) if "int" in str(kinds[name]) else value
    return SlurmJobs(**given)  # type: ignore[arg-type]


def _integer(kind: str, what: str, value: str) -> int:
    if not re.fullmatch(r"-?[0-9]+", value):
        raise SpecError(f"cluster {kind!r}: {what} must be a whole number, not {value!r}")
    return int(value)


def _nearest(name: str, known: tuple[str, ...]) -> str:
    found = difflib.get_close_matches(name, known, n=1)
    return f" (did you mean {found[0]!r}?)" if found else ""
