"""One writer at a time in a folder; the kernel releases the lock when that process dies, however it dies."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import final

from spikebridge.bridge.errors import DataError

LOCK = "lock"


@final
class FolderLock:
    """The lock on a folder, held from its construction until `release`.

    Raises:
        DataError: another process, or another writer in this one, holds it.
    """

    def __init__(self, folder: Path, target: Path) -> None:
        """Make `folder` and lock it; `target` is what is written with its help, for the message."""
        self._descriptor: int | None = None
        path = folder / LOCK
        while self._descriptor is None:
            folder.mkdir(parents=True, exist_ok=True)
            try:
                descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            except FileNotFoundError:  # another writer finished and removed the folder just now
                continue
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # Whoever finishes removes the folder: the lock must be on the file that lies there now.
                if path.exists() and os.path.samestat(os.fstat(descriptor), path.stat()):
                    os.truncate(descriptor, 0)
                    os.pwrite(descriptor, str(os.getpid()).encode(), 0)
                    self._descriptor = descriptor
            except BlockingIOError:
                holder = os.pread(descriptor, 20, 0).decode(errors="replace") or "unknown"
                raise DataError(
                    f"is being written by another process (id {holder}); wait for it, or give another output file",
                    path=target,
                ) from None
            finally:
                if self._descriptor is None:
                    os.close(descriptor)
        _held.add(self)

    def release(self) -> None:
        """Give the lock back; does nothing the second time, or in a forked process."""
        _held.discard(self)
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)


_held: set[FolderLock] = set()


def _release_in_child() -> None:
    """A worker that was forked shares the lock: it must not keep it when the process that took it has died."""
    for lock in list(_held):
        lock.release()


os.register_at_fork(after_in_child=_release_in_child)
