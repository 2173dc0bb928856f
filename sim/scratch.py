"""Folders for temporary files, which go with the process that made them, even if it was killed."""

from __future__ import annotations

import shutil
import tempfile
import time
import weakref
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self, final

from spikebridge.bridge.errors import DataError
from spikebridge.bridge.folder_lock import LOCK, FolderLock
from spikebridge.bridge.full_disk import explain_full_disk

PREFIX = "spikebridge-"
UNLOCKED_S = 60.0
"""A folder gets its lock at once; one that is without for so long never will."""
ADVICE = (
    "temporary files go where the environment variable TMPDIR says; free some space there, or let it name a folder "
    "with more, and run the same command again"
)


@final
class Scratch:
    """A folder below TMPDIR, locked while its process lives. A context manager, at whose end it is removed.

    What killed processes have left is removed when the next one is made: the numbers of a large network take gigabytes.

    Attributes:
        folder: empty but for the lock.

    Raises:
        DataError: there is no space for it.
    """

    def __init__(self) -> None:
        with explain_full_disk(Path(tempfile.gettempdir()) / PREFIX, advice=ADVICE):
            remove_left()
            self.folder, self._lock = _made()
        self._removed = weakref.finalize(self, _clear, self.folder)  # at exit, too

    def remove(self) -> None:
        """Remove it and all that is in it; does nothing the second time."""
        self._removed()
        self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.remove()


def _made() -> tuple[Path, FolderLock]:
    """A new folder and the lock on it."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX))
        try:
            return folder, FolderLock(folder, folder)
        except DataError:  # another process took it for one that was left, before it was locked, and removes it
            continue
        except OSError:
            shutil.rmtree(folder, ignore_errors=True)
            raise


def remove_left() -> None:
    """Remove folders that processes which were killed have left: nobody holds their lock. Those of other users stay."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(DataError, OSError):  # DataError: it is in use
            if (folder / LOCK).is_file():
                lock = FolderLock(folder, folder)
                _clear(folder)
                lock.release()
            elif time.time() - folder.stat().st_mtime > UNLOCKED_S:  # its process was killed before it had the lock
                shutil.rmtree(folder, ignore_errors=True)


def _clear(folder: Path) -> None:
    """Remove a folder, its lock last: one without a lock could not be told from one that is being made."""
    with suppress(OSError):
        for path in folder.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            elif path.name != LOCK:
                path.unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
