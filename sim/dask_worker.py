"""What runs on the workers of a Dask cluster. The scheduler imports this file too, so it imports no simulator."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from types import FrameType
from typing import Any

from distributed import Worker, WorkerPlugin
from distributed.protocol import pickle

from spikebridge.bridge.errors import SpecError
from spikebridge.bridge.provenance import source_sha256

ABSENT = "missing"
NEEDED = ("brian2",)


@dataclass(frozen=True, slots=True, eq=False)
class LoadedJob:
    """The function of a run and one of its jobs, as a worker holds them."""

    work: Callable[[Any, Any], Any]
    job: Any


def load_job(payload: bytes) -> LoadedJob:
    """A task of its own, so that the scheduler can have it run again where the worker that holds the job is lost."""
    return LoadedJob(*pickle.loads(payload))


def run_chunk(loaded: LoadedJob, payload: bytes, expected_source: str) -> Any:
    """One task.

    Raises:
        SpecError: this worker joined later, and lacks a module or has another spikebridge.
    """
    for name in NEEDED:
        if name not in sys.modules and find_spec(name) is None:
            raise SpecError(f"a worker that joined the cluster lacks {name}: install it in every worker's environment")
    if own_source() != expected_source:
        raise SpecError(
            "a worker that joined the cluster has another spikebridge than this process: install the same version, or "
            "the same checkout, in the environment of every worker"
        )
    return loaded.work(loaded.job, pickle.loads(payload))


@cache
def own_source() -> str:
    """Checksum of the spikebridge this process imports: what a simulation depends on."""
    return source_sha256("bridge", "sim")


def environment_probe(*modules: str) -> Callable[[], dict[str, str]]:
    """A function for workers: versions of `modules`, and `spikebridge`'s checksum; `missing` where there is none.

    Being defined in here it is sent as code, not as a name: it works where spikebridge is not installed.
    """

    def probe() -> dict[str, str]:
        import importlib
        import sys

        found = {"python": ".".join(map(str, sys.version_info[:2]))}
        for name in modules:
            try:
                found[name] = str(importlib.import_module(name).__version__)
            except ImportError:
                found[name] = "missing"
        try:
            found["spikebridge"] = importlib.import_module("spikebridge.sim.dask_worker").own_source()
        except ImportError:
            found["spikebridge"] = "missing"
        return found

    return probe


class ImportInMainThread(WorkerPlugin):
    """Imports the simulator when a worker starts.

    Brian2 installs a handler of Ctrl-C when it is imported, which Python allows in the main thread only, and tasks run
    in others.

    Args:
        ignores_interrupts: whether Ctrl-C is left to another process, which ends this one.
    """

    name = "spikebridge-import-in-main-thread"

    def __init__(self, *, ignores_interrupts: bool) -> None:
        self._ignores_interrupts = ignores_interrupts

    def setup(self, worker: Worker) -> None:
        """Called by Dask in the main thread of the worker; `run_chunk` says so if the simulator is missing."""
        with suppress(ModuleNotFoundError):
            for name in NEEDED:
                import_module(name)
        if self._ignores_interrupts:
            signal.signal(signal.SIGINT, _ignore)


def _ignore(number: int, frame: FrameType | None) -> None:
    pass
