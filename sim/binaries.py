"""Compiled simulations, kept by the content of their sources: the same text is compiled once per machine."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import logging
import os
import platform
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from spikebridge.bridge.errors import SpecError

log = logging.getLogger("spikebridge")

_found: set[str] = set()

PROGRAM = "main"
NO_SPACE = os.strerror(errno.ENOSPC)
# What differs between runs of one binary, or is made from the rest.
IGNORED_FOLDERS = ("static_arrays", "results")


@dataclass(frozen=True, slots=True)
class Binary:
    """A compiled simulation.

    Attributes:
        path: the program.
        key: checksum of what it was compiled from.
        compile_s: seconds that compiling it took just now, 0 if it was there.
    """

    path: Path
    key: str
    compile_s: float


def cache_folder() -> Path:
    """Where compiled simulations are kept: $SPIKEBRIDGE_CACHE, or spikebridge in $XDG_CACHE_HOME or ~/.cache.

    Absolute: programs are started in other folders.
    """
    if chosen := os.environ.get("SPIKEBRIDGE_CACHE"):
        return Path(chosen).expanduser().absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser().absolute() / "spikebridge"


def cached_binary(project: Path, *, make: Sequence[str], compiler: Sequence[str]) -> Binary:
    """The program that `make` makes of a folder of sources, compiled only if none of these sources is there yet.

    Several processes may ask for the same one: the first compiles, the others wait for it.

    Args:
        project: the sources with their makefile; not changed.
        make: the command that compiles a copy of it, run in that copy; must leave a program called `main`.
        compiler: the command that says which compiler that is, version included.

    Raises:
        SpecError: compiling failed, with the last lines that the compiler wrote; or the cache cannot be written.
    """
    if found := find_binary(project, compiler):
        # Once per process: a hundred networks of one shape would say it a hundred times.
        level = logging.DEBUG if found.key in _found else logging.INFO
        _found.add(found.key)
        log.log(level, "compiled simulation %s found in %s", found.key[:12], found.path.parent.parent)
        return found
    key = project_key(project, compiler)
    folder = cache_folder() / "binaries"
    target = folder / key / PROGRAM
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(folder / f"{key}.lock"):
            if target.is_file():
                return Binary(target, key, 0.0)
            log.info("compiling simulation %s (once per network shape and machine)", key[:12])
            start = time.perf_counter()
            _compile(project, make, target)
    except OSError as error:
        raise SpecError(
            f"cannot keep a compiled simulation in {folder}: {_reason(error)}; set SPIKEBRIDGE_CACHE to a folder that "
            "can be written and has a few MiB of space"
        ) from error
    took = time.perf_counter() - start
    log.info("compiled simulation %s in %.0f s", key[:12], took)
    return Binary(target, key, took)


def find_binary(project: Path, compiler: Sequence[str]) -> Binary | None:
    """What `cached_binary` would find compiled."""
    key = project_key(project, compiler)
    target = cache_folder() / "binaries" / key / PROGRAM
    return Binary(target, key, 0.0) if target.is_file() else None


def project_key(project: Path, compiler: Sequence[str]) -> str:
    """Checksum of the sources in a folder, the compiler and the kind of machine."""
    digest = hashlib.sha256()
    version = subprocess.run([*compiler], capture_output=True, check=False)
    digest.update(repr((list(compiler), version.stdout, version.stderr, platform.machine())).encode())
    for path in sorted(p for p in project.rglob("*") if p.is_file()):
        relative = path.relative_to(project)
        if relative.parts[0] not in IGNORED_FOLDERS:
            content = path.read_bytes()
            digest.update(f"{relative.as_posix()} {len(content)}\n".encode())
            digest.update(content)
    return digest.hexdigest()


def _reason(error: OSError) -> str:
    """In one line: `shutil` lists every file that it could not copy."""
    return str(error.args[0][0][2]) if isinstance(error, shutil.Error) else str(error)


def _compile(project: Path, make: Sequence[str], target: Path) -> None:
    folder, prefix = target.parent.parent, f".compile-{target.parent.name[:16]}-"
    for left in folder.glob(f"{prefix}*"):
        # Of a compilation that was killed: nobody waits for it, we hold its lock. Its compiler may still be at work.
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=prefix, dir=folder) as temporary:
        sources = Path(temporary) / "sources"
        shutil.copytree(project, sources, ignore=shutil.ignore_patterns(*IGNORED_FOLDERS))
        done = subprocess.run(
            [*make], cwd=sources, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, errors="replace", check=False
        )
        program = sources / PROGRAM
        if done.returncode != 0 or not program.is_file():
            cause = ""
            if NO_SPACE in done.stdout:
                cause = f" for lack of space in {folder} (SPIKEBRIDGE_CACHE) or {tempfile.gettempdir()} (TMPDIR)"
            raise SpecError(f"compiling a simulation failed{cause} ({' '.join(make)}):\n{done.stdout[-2000:]}")
        target.parent.mkdir(exist_ok=True)
        # The name is there only when the program is whole; its folder may be left of a compilation that was killed.
        program.replace(target)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock that the system releases if this process dies."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
