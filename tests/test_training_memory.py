"""Memory that one batch has freed is there for the next one, without new pages from the system."""

import os
import platform
import subprocess
import sys

import pytest

from spikebridge.training.memory import keep_freed_memory

ROUNDS = """
import resource
import numpy as np
from spikebridge.training.memory import keep_freed_memory

if {listens}:
    assert keep_freed_memory()

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    arrays = [np.ones(1 << 20) for _ in range(8)]
    del arrays
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults(), faults()
print(min(faults() for _ in range(3)))
"""
SET_BY_USER = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TOP_PAD_", "GLIBC_TUNABLES")


def faults_of_a_round(*, listens: bool) -> int:
    environment = {name: value for name, value in os.environ.items() if name not in SET_BY_USER}
    command = [sys.executable, "-c", ROUNDS.format(listens=listens)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_arrays_of_a_second_round_have_the_pages_of_the_first() -> None:
    pages = 8 * (1 << 20) * 8 // os.sysconf("SC_PAGE_SIZE")
    assert faults_of_a_round(listens=True) < pages // 100
    assert faults_of_a_round(listens=False) > pages // 100


def test_what_a_user_set_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "1000000")
    assert not keep_freed_memory()
