"""What a cluster may be called, and what is said about what it may not."""

import re

import pytest

from spikebridge.bridge.errors import SpecError
from spikebridge.sim.cluster import Cluster, LocalWorkers, RunningScheduler, SlurmJobs, parse_cluster


@pytest.mark.parametrize(
    ("text", "cluster"),
    [
        ("local", LocalWorkers(None)),
        (" local:3 ", LocalWorkers(3)),
        ("tcp://10.0.0.5:8786", RunningScheduler("tcp://10.0.0.5:8786")),
        ("tls://node-1.cluster:1", RunningScheduler("tls://node-1.cluster:1")),
        ("tcp://[fe80::1%eth0]:8786", RunningScheduler("tcp://[fe80::1%eth0]:8786")),
        ("slurm", SlurmJobs()),
        (
            "slurm:jobs=8,queue=main,walltime=02:00:00,memory=8GB",
            SlurmJobs(jobs=8, queue="main", walltime="02:00:00", memory="8GB"),
        ),
        (
            "slurm: cores=4, account=lab_7, walltime=1-00:00:00, memory=1.5 GiB, scratch=/tmp/x, interface=ib0",
            SlurmJobs(
                cores=4, account="lab_7", walltime="1-00:00:00", memory="1.5 GiB", scratch="/tmp/x", interface="ib0"
            ),
        ),
    ],
)
def test_every_form_is_read(text: str, cluster: Cluster) -> None:
    assert parse_cluster(text) == cluster


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "unknown cluster ''"),
        ("locl:2", "did you mean 'local'"),
        ("http://host:8786", "unknown cluster 'http://host:8786'"),
        ("slurm://host:1", "unknown cluster"),
        ("local:", "ends after its colon"),
        ("slurm:", "ends after its colon"),
        ("local:two", "whole number, not 'two'"),
        ("local:0", "at least 1 worker, not 0"),
        ("local:-1", "at least 1 worker, not -1"),
        ("tcp://host", "no address of a Dask scheduler"),
        ("tcp://host:port", "no address of a Dask scheduler"),
        ("tcp://host:8786/", "no address of a Dask scheduler"),
        ("tcp://host:0", "between 1 and 65535, not 0"),
        ("tcp://host:70000", "between 1 and 65535, not 70000"),
        ("slurm:job=8", "unknown key 'job' (did you mean 'jobs'?)"),
        ("slurm:nodes=8", "keys are jobs, cores, memory"),
        ("slurm:jobs", "'jobs' is no key=value"),
        ("slurm:jobs=", "'jobs=' is no key=value"),
        ("slurm:jobs=1,", "'' is no key=value"),
        ("slurm:jobs=1,jobs=2", "jobs is given twice, 1 and '2'"),
        ("slurm:jobs=many", "jobs must be a whole number, not 'many'"),
        ("slurm:jobs=0", "jobs must be at least 1, not 0"),
        ("slurm:cores=0", "cores must be at least 1, not 0"),
        ("slurm:memory=8", "memory='8' needs a unit"),
        ("slurm:memory=lots", "memory='lots' needs a unit"),
        ("slurm:walltime=2h", "walltime='2h' is none of"),
        ("slurm:queue=a b", "queue='a b' has characters"),
        ("slurm:queue=main;reboot", "queue='main;reboot' has characters"),
        ("slurm:python=$(id)", "python='$(id)' has characters"),
    ],
)
def test_anything_else_is_refused_in_words(text: str, message: str) -> None:
    with pytest.raises(SpecError, match=re.escape(message)):
        parse_cluster(text)


def test_options_go_by_the_names_of_dask() -> None:
    options = SlurmJobs(jobs=3, cores=2, scratch="/scratch", logs="logs")
    assert options.given == {"cores": 2, "local_directory": "/scratch", "log_directory": "logs"}
