"""What every test runs under, and what several modules share."""

from __future__ import annotations

import fcntl
import gc
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from blank_pictures import pictures_blank
from small_training import SMALL_DEMO

from spikebridge.cli.main import main


def pytest_collection_finish() -> None:
    """Take what the test modules have imported out of the garbage collector's sight.

    Brian2 collects garbage at every run, and so do we: among the million objects of PyTorch, Brian2, Numba and pytest
    that takes longer than a small simulation.
    """
    gc.collect()
    gc.freeze()
    brian2_devices = sys.modules.get("brian2.devices.device")
    for device in brian2_devices.all_devices.values() if brian2_devices else ():
        # Its tables would never be collected, nor what the first network enters in them: the next one would have other
        # names, hence other sources to compile.
        device.reinit()


@pytest.fixture(scope="session")
def _small_demo(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """The folder of `spikebridge run demo` with `SMALL_DEMO`, made once for all workers of the test runner."""
    workers = hasattr(request.config, "workerinput")
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if workers else base) / "small-demo"
    with Path(f"{folder}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # until it is whole, or the worker that makes it has died
        if not (folder / "whole").exists():
            shutil.rmtree(folder, ignore_errors=True)
            assert main(["run", "demo", "--out", str(folder / "run"), *SMALL_DEMO]) == 0
            (folder / "whole").touch()
    return folder / "run"


@pytest.fixture(scope="module")
def small_demo(_small_demo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of it that belongs to the module."""
    return Path(shutil.copytree(_small_demo, tmp_path_factory.mktemp("small-demo") / "run"))


@pytest.fixture
def blank_pictures() -> Iterator[None]:
    """`pictures_blank` for one test; what module fixtures have made has its pictures."""
    with pictures_blank():
        yield


@pytest.fixture(scope="module")
def blocks_on_threads() -> Iterator[None]:
    """Small work is done in as many blocks as there are threads, like large work."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("spikebridge.training.threads.FEWEST_NUMBERS", 0)
        yield
