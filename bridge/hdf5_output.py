"""The file that HDF5 writes to, and that never fails it.

The HDF5 library does not survive a write that fails: on a full disk h5py 3.16 passes over the error of a dataset's last
chunks in silence, leaves the file open (so that its space stays taken after it is deleted), or ends the process by a
segmentation fault when it closes the file. So h5py writes through Python (its `fileobj` driver) to an object that keeps
the first error to itself, drops what follows, and raises the error when HDF5 is through.
"""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import Self, final


@final
class Hdf5Output:
    """A new file for `h5py.File(output, "w")`; on leaving the block it is on the disk, or the first error is raised.

    Raises:
        OSError: on leaving the block, the first error of a write; an error that followed from it is its cause.
    """

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
        self._position = 0
        self._size = 0
        self.error: OSError | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if raised is None and self.error is None:
                os.fsync(self._descriptor)  # where a network drive or a quota says that there was no space after all
        finally:
            os.close(self._descriptor)
        if self.error is not None:
            raise self.error from raised

    def write(self, data: memoryview) -> int:
        """Write all of `data` at the current position; once that failed, nothing more is written."""
        view = memoryview(data).cast("B")
        done = 0
        while done < len(view) and self.error is None:
            try:
                done += os.pwrite(self._descriptor, view[done:], self._position + done)
            except OSError as error:
                self.error = error
        self._position += len(view)
        self._size = max(self._size, self._position)
        return len(view)

    def readinto(self, buffer: memoryview) -> int:
        """Fill `buffer` from the current position; with zeros where nothing was written."""
        view = memoryview(buffer).cast("B")
        found = os.pread(self._descriptor, len(view), self._position)
        view[: len(found)] = found
        view[len(found) :] = bytes(len(view) - len(found))
        self._position += len(view)
        return len(view)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to a position counted from the start, from here or from the end."""
        self._position = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        return self._position

    def tell(self) -> int:
        """The current position."""
        return self._position

    def truncate(self, size: int) -> int:
        """Make the file `size` bytes long."""
        if self.error is None:
            try:
                os.ftruncate(self._descriptor, size)
            except OSError as error:
                self.error = error
        self._size = size
        return size

    def flush(self) -> None:
        """Do nothing: no byte is held back."""
