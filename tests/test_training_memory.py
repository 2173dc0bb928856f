"""Memory that one batch has freed is there for the next one, without new pages from the system."""

import os
import platform
import subprocess
import sys
from pathlib import Path

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
    keep_freed_memory.cache_clear()
    assert not keep_freed_memory()
    keep_freed_memory.cache_clear()


def has_large_pages() -> bool:
    setting = Path("/sys/kernel/mm/transparent_hugepage/enabled")
    return setting.exists() and "[madvise]" in setting.read_text()


LARGE_PAGES = """
from pathlib import Path
import torch
from spikebridge.training.memory import keep_freed_memory

def memory(name):
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name))

before = memory("Rss:")
assert keep_freed_memory()
assert memory("Rss:") - before < 10_000, "the heap was written to"
array = torch.ones(1 << 22)
print(memory("AnonHugePages:"))
"""


@pytest.mark.skipif(not has_large_pages(), reason="this system has no large pages on request")
def test_arrays_lie_in_large_pages_and_none_is_taken_before_it_is_needed() -> None:
    environment = {name: value for name, value in os.environ.items() if name not in SET_BY_USER}
    command = [sys.executable, "-c", LARGE_PAGES]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    if int(done.stdout) == 0:
        pytest.skip("no large page is free")
    assert int(done.stdout) * 1024 > (1 << 22) * 4 * 0.7  # all but the ends of the array
