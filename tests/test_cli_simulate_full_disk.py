"""No space for a recording, temporary files or compiled simulations: said in words, and continued afterwards."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from command_line import SAMPLES, LongSimulation
from evaluated import digest
from test_recording_parts_interrupted import can_mount

IN_A_SMALL_FILE_SYSTEM = """
size=$1; folder=$2; outside=$3; shift 3
mount -t tmpfs -o size=$size none "$folder" || exit 99
"$@"; echo "exit code $?" >&2
mount -o remount,size=100m "$folder" || exit 99
"$@"; echo "exit code $?" >&2
ls -A "$folder" >&2
[ ! -e "$folder/r.h5" ] || cp "$folder/r.h5" "$outside"
"""

WITH_SMALL_FILES = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)
os.execvp(sys.argv[2], sys.argv[2:])
"""

pytestmark = pytest.mark.slow
needs_mount = pytest.mark.skipif(not can_mount(), reason="no file system may be mounted here, not even in a namespace")


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> LongSimulation:
    return LongSimulation.made(tmp_path_factory.mktemp("long"))


@pytest.fixture(scope="module")
def expected(long: LongSimulation, tmp_path_factory: pytest.TempPathFactory) -> str:
    out = tmp_path_factory.mktemp("undisturbed") / "r.h5"
    code, said = long.run(out)
    assert code == 0, said
    return digest(out)


def twice(
    command: list[str], environment: Mapping[str, str], *, size: str, folder: Path, outside: Path
) -> tuple[str, str, str]:
    """Run a command on a small file system, and again when it is larger: what it said twice, and the files there."""
    namespace = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", IN_A_SMALL_FILE_SYSTEM, "sh")
    done = subprocess.run(
        [*namespace, size, folder, outside, *command],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
        timeout=300,
        check=True,
    )
    first, code, rest = done.stderr.partition("exit code 3\n")
    if not code:
        first, code, rest = done.stderr.partition("exit code 4\n")
    assert code, done.stderr
    second, code, files = rest.partition("exit code 0\n")
    assert code, done.stderr
    assert "Traceback" not in done.stderr
    return first, second, files


@needs_mount
def test_a_full_disk_is_explained_and_with_more_space_it_goes_on(
    long: LongSimulation, tmp_path: Path, expected: str
) -> None:
    small = tmp_path / "small"
    small.mkdir()
    command = long.command(small / "r.h5")
    first, second, files = twice(command, long.environment, size="300k", folder=small, outside=tmp_path / "r.h5")
    assert f"{small}/.r.h5.parts/part-" in first
    assert "the disk is full" in first
    assert f"of {SAMPLES} samples computed so far are kept in {small}/.r.h5.parts; free some space and run" in first
    assert f"of {SAMPLES} samples were computed before; continuing" in second
    assert f": 0 of {SAMPLES}" not in second
    assert files == "r.h5\n"
    assert digest(tmp_path / "r.h5") == expected


@needs_mount
@pytest.mark.parametrize("size", ["4k", "100k"])
def test_full_temporary_files_are_explained(long: LongSimulation, tmp_path: Path, expected: str, size: str) -> None:
    small, out = tmp_path / "small", tmp_path / "r.h5"
    small.mkdir()
    environment = {**os.environ, "TMPDIR": str(small)}
    first, _, files = twice(long.command(out), environment, size=size, folder=small, outside=tmp_path)
    assert f"error: {small}/spikebridge-" in first
    assert "the disk is full" in first
    assert (
        "where the environment variable TMPDIR says; free some space there, or let it name a folder with more" in first
    )
    assert "spikebridge-" not in files
    assert digest(out) == expected


@needs_mount
@pytest.mark.skipif(shutil.which("g++") is None, reason="compiles")
@pytest.mark.parametrize(("size", "said"), [("100k", "cannot keep a compiled"), ("1m", "failed for lack of space in")])
def test_a_full_cache_is_explained(long: LongSimulation, tmp_path: Path, expected: str, size: str, said: str) -> None:
    small, out = tmp_path / "small", tmp_path / "r.h5"
    small.mkdir()
    environment = {**long.environment, "SPIKEBRIDGE_CACHE": str(small)}
    first, second, _ = twice(long.command(out), environment, size=size, folder=small, outside=tmp_path)
    (line,) = (line for line in first.splitlines() if "error:" in line and line.startswith("spikebridge"))
    assert said in line
    assert str(small) in line
    assert "SPIKEBRIDGE_CACHE" in line
    assert "No space left on device" in first
    assert len(first) < 4000
    assert "compiled simulation" in second
    assert digest(out) == expected


def test_a_limit_on_the_size_of_files_is_explained_and_without_it_goes_on(
    long: LongSimulation, tmp_path: Path, expected: str
) -> None:
    out = tmp_path / "r.h5"
    parts_fit = 500_000
    code, said = long.run(out, before=(sys.executable, "-c", WITH_SMALL_FILES, str(parts_fit)))
    assert code == 3, said
    assert f"{out}: the file would be larger than allowed here (`ulimit -f`)" in said
    assert f"the {SAMPLES} of {SAMPLES} samples computed so far are kept" in said
    assert not out.exists()
    code, said = long.run(out)
    assert code == 0, said
    assert f"{SAMPLES} of {SAMPLES} samples were computed before" in said
    assert digest(out) == expected
    assert out.stat().st_size > parts_fit
    assert long.left == []
