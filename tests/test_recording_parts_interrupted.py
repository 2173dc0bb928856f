"""Evaluations that are killed, or run out of space, and go on: the recording is that of an undisturbed one."""

import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from evaluated import IDENTITY, digest, evaluate, part_of, result

from spikebridge.bridge.errors import DataError
from spikebridge.bridge.recording_file import load_recording, save_recording
from spikebridge.bridge.recording_parts import RecordingParts, parts_folder

SCRIPT = Path(__file__).with_name("evaluated.py")


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("undisturbed") / "r.h5"
    save_recording(result(), path)
    return digest(path)


def start(*arguments: str | Path) -> "subprocess.Popen[str]":
    return subprocess.Popen([sys.executable, SCRIPT, *arguments], stdout=subprocess.PIPE, text=True)


def output(*arguments: str | Path, before: tuple[str, ...] = ()) -> list[str]:
    done = subprocess.run(
        [*before, sys.executable, SCRIPT, *arguments], stdout=subprocess.PIPE, text=True, check=True, timeout=300
    )
    return done.stdout.splitlines()


def test_killed_before_any_call_of_the_system_it_goes_on(tmp_path: Path, expected: str) -> None:
    lines = [line.split() for line in output("kills", tmp_path, str(random.randrange(10**6)))]
    assert sum(int(killed) for killed, _, _ in lines) >= 6
    for number, (_, found, names) in enumerate(lines):
        assert found == expected
        assert names == f"{number}.h5"  # nothing is left beside the recording


def test_killed_from_outside_it_goes_on(tmp_path: Path, expected: str) -> None:
    target = tmp_path / "r.h5"
    stored = 0
    for _ in range(4):
        with start("slowly", target) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "started\n"
            time.sleep(random.uniform(0.0, 0.1))
            process.kill()
        with RecordingParts.open(target, IDENTITY, 24) as parts:
            assert 24 - parts.missing.size >= stored
            stored = 24 - parts.missing.size
        assert not target.exists() or digest(target) == expected
    evaluate(target, result())
    assert digest(target) == expected
    load_recording(target)


def test_a_worker_that_outlives_its_parent_does_not_keep_the_lock(tmp_path: Path) -> None:
    target = tmp_path / "r.h5"
    with start("orphan", target) as process:
        assert process.stdout is not None
        worker = int(process.stdout.readline())
        assert process.wait() == -signal.SIGKILL
    try:
        os.kill(worker, 0)  # it is alive
        RecordingParts.open(target, IDENTITY, 24).close()
    finally:
        os.kill(worker, signal.SIGKILL)


def can_mount() -> bool:
    if shutil.which("unshare") is None:
        return False
    trial = ["unshare", "--user", "--map-root-user", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"]
    return subprocess.run(trial, capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not can_mount(), reason="no file system may be mounted here, not even in a namespace of one's own")
def test_a_full_disk_is_explained_and_with_more_space_it_goes_on(tmp_path: Path, expected: str) -> None:
    namespace = ("unshare", "--user", "--map-root-user", "--mount")
    *messages, last = output("full", tmp_path, "80k", "300k", "10m", before=namespace)
    assert len(messages) == 2  # once while computing, once while merging
    first, second = messages
    assert "part-" in first
    assert "r.h5: the disk is full" in second
    for message in messages:
        assert "are free" in message
        assert "are needed" in message
        assert "of 24 samples computed so far are kept in" in message
        assert "run the same command again" in message
    assert "the 24 of 24 samples" in second
    assert last == f"{expected} r.h5"


@contextmanager
def file_size_limit(limit: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_limit_on_the_size_of_files_is_explained_too(tmp_path: Path, expected: str) -> None:
    target = tmp_path / "r.h5"
    recording = result()
    with RecordingParts.open(target, IDENTITY, 24) as parts:
        parts.add(part_of(recording, range(3)))
        with (
            file_size_limit(5000),
            pytest.raises(DataError, match=r"part-0000003\.h5: the file would be larger .* the 3 of 24 samples"),
        ):
            parts.add(part_of(recording, range(3, 6)))
        assert parts.missing[0] == 3
        assert [path.name for path in parts_folder(target).glob("*part*")] == ["part-0000000.h5"]
        for first in range(3, 24, 3):
            parts.add(part_of(recording, range(first, first + 3)))
        for limit in (0, 1000, 20_000, 60_000, 80_000):
            with file_size_limit(limit), pytest.raises(DataError, match=r"r\.h5: .* the 24 of 24 samples"):
                parts.finish(recording.header)
            assert [path.name for path in tmp_path.iterdir()] == [".r.h5.parts"]
        parts.finish(recording.header)
    assert digest(target) == expected
