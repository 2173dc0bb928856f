"""Folders for temporary files: gone with their process, and never taken from one that lives."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from spikebridge.bridge.folder_lock import LOCK
from spikebridge.sim.scratch import PREFIX, UNLOCKED_S, Scratch, remove_left

LEAVE = "import os; from spikebridge.sim.scratch import Scratch; s = Scratch(); print(s.folder, flush=True); {end}"


@pytest.fixture(autouse=True)
def _temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)


def run(end: str) -> Path:
    """A process that makes a folder and ends; the folder."""
    done = subprocess.run(
        [sys.executable, "-P", "-c", LEAVE.format(end=end)], stdout=subprocess.PIPE, text=True, check=False
    )
    return Path(done.stdout.strip())


def test_it_is_removed_with_all_that_is_in_it(tmp_path: Path) -> None:
    with Scratch() as scratch:
        (scratch.folder / "project").mkdir()
        (scratch.folder / "project" / "main.cpp").write_text("int main() {}")
        assert scratch.folder.parent == tmp_path
    assert list(tmp_path.iterdir()) == []
    scratch.remove()


def test_it_is_removed_when_the_process_ends_by_itself(tmp_path: Path) -> None:
    assert run("").parent == tmp_path
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_is_removed_by_the_next(tmp_path: Path) -> None:
    left = run("os.kill(os.getpid(), 9)")
    assert (left / LOCK).is_file()
    with Scratch() as scratch:
        assert list(tmp_path.iterdir()) == [scratch.folder]


def test_folders_in_use_and_of_others_stay(tmp_path: Path) -> None:
    (tmp_path / "spikebridge-notes").mkdir()  # not made by us: without a lock
    with Scratch() as first:
        (first.folder / "parameters.bin").write_bytes(b"1")
        assert run("").parent == tmp_path  # another process looks around
        with Scratch() as second:
            assert first.folder != second.folder
            assert (first.folder / "parameters.bin").read_bytes() == b"1"
    assert [path.name for path in tmp_path.iterdir()] == ["spikebridge-notes"]


def test_nobody_else_can_read_it() -> None:
    with Scratch() as scratch:
        assert scratch.folder.stat().st_mode & 0o077 == 0


def test_a_folder_that_never_got_its_lock_goes_after_a_minute(tmp_path: Path) -> None:
    made, old = tmp_path / f"{PREFIX}made", tmp_path / f"{PREFIX}old"
    for folder in (made, old):
        folder.mkdir()
    os.utime(old, (time.time() - 2 * UNLOCKED_S,) * 2)
    remove_left()
    assert list(tmp_path.iterdir()) == [made]
