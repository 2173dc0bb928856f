"""Opening and reading HDF5 files of others, with errors that say what is wrong with the file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from spikebridge.bridge.arrays import IntArray
from spikebridge.bridge.errors import DataError

_ARCHIVES = {b"PK\x03\x04": "zip", b"\x1f\x8b": "gzip"}


@contextmanager
def open_hdf5(path: Path) -> Iterator[h5py.File]:
    """Open a file for reading.

    Raises:
        DataError: it is missing, a folder, unreadable, still packed, no HDF5 file, or cut short.
    """
    if path.is_dir():
        raise DataError("is a folder; name one of the .h5 files in it", path=path)
    try:
        with path.open("rb") as raw:
            start = raw.read(4)
    except FileNotFoundError as error:
        raise DataError("no such file; check the path, or download the data first", path=path) from error
    except OSError as error:
        raise DataError(f"cannot be read ({error.strerror}); check its permissions", path=path) from error
    for magic, kind in _ARCHIVES.items():
        if start.startswith(magic):
            raise DataError(f"is a {kind} archive; unpack it and name the .h5 file inside", path=path)
    if not h5py.is_hdf5(path):
        raise DataError("is no HDF5 file (its signature is missing); get or write it again", path=path)
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise DataError(f"is cut short or damaged ({error}); get or write it again", path=path) from error
    with file:
        yield file


def read_vector(file: h5py.File, name: str, path: Path, *, kinds: str, expected: str) -> npt.NDArray[Any]:
    """A whole one-dimensional dataset.

    Args:
        file: the open file.
        name: the dataset's name in the file.
        path: the file's path, for messages.
        kinds: allowed NumPy kind characters of its elements, for example `iu`.
        expected: what these are, in words, for messages.

    Raises:
        DataError: no such dataset, of another type or number of dimensions, or unreadable.
    """
    with _reading(name, path):
        dataset = _dataset(file, name, path)
        if dataset.ndim != 1 or dataset.dtype.kind not in kinds:
            found = f"{dataset.dtype} of shape {dataset.shape}"
            raise DataError(f"holds {found}, expected one dimension of {expected}", path=path, field=name)
        return np.asarray(dataset[()])


def read_ragged(
    file: h5py.File, name: str, path: Path, *, kinds: str, expected: str
) -> tuple[npt.NDArray[Any], IntArray]:
    """A dataset of S vectors of different lengths; arguments and errors as for `read_vector`.

    Returns:
        All elements one after the other, shape (E,), and the length of each vector, shape (S,).
    """
    with _reading(name, path):
        dataset = _dataset(file, name, path)
        base = h5py.check_vlen_dtype(dataset.dtype)
        if dataset.ndim != 1 or base is None or np.dtype(base).kind not in kinds:
            found = f"{'ragged ' if base else ''}{base or dataset.dtype} of shape {dataset.shape}"
            raise DataError(f"holds {found}, expected one ragged row of {expected} per sample", path=path, field=name)
        if not np.dtype(base).isnative:
            # h5py 3.16 returns such rows with their bytes unswapped: 1 is read as 256.
            problem = f"holds ragged {base} in the other byte order, which h5py misreads; write it in this machine's"
            raise DataError(problem, path=path, field=name)
        rows = list(dataset[()])
    lengths = np.fromiter((row.size for row in rows), dtype=np.int64, count=len(rows))
    return np.concatenate([np.empty(0, dtype=base), *rows]), lengths


def has_dataset(file: h5py.File, name: str, path: Path) -> bool:
    """Whether there is a dataset of that name, for what a file may leave out.

    Raises:
        DataError: the file is damaged there.
    """
    with _reading(name, path):
        return isinstance(file.get(name), h5py.Dataset)


def _dataset(file: h5py.File, name: str, path: Path) -> h5py.Dataset:
    item = file.get(name)
    if not isinstance(item, h5py.Dataset):
        top = ", ".join(map(str, file)) or "nothing"
        raise DataError(f"is missing; the file has {top} at its top. Is it in SHD's layout?", path=path, field=name)
    return item


@contextmanager
def _reading(name: str, path: Path) -> Iterator[None]:
    # h5py has no exception of its own: these are what it raised for files with random bytes changed.
    try:
        yield
    except (OSError, RuntimeError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"is damaged ({error}); get or write the file again", path=path, field=name) from error
