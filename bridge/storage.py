"""HDF5 files: versioned, self-describing, checked, and written whole or not at all."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
import numpy.typing as npt

from spikebridge.bridge.deferred_signals import signals_deferred
from spikebridge.bridge.errors import DataError
from spikebridge.bridge.full_disk import ADVICE, explain_full_disk
from spikebridge.bridge.hdf5_output import Hdf5Output

FORMAT_VERSION = 1
CHUNK_BYTES = 256 * 1024
"""What HDF5 compresses at a time; well below its cache of 1 MiB, as a chunk larger than that is not cached at all."""
SLICE_BYTES = 4 * 1024 * 1024
"""What a checksum holds in memory at a time."""


@contextmanager
def atomic_path(target: Path, *, needed_bytes: int | None = None, advice: str = ADVICE) -> Iterator[Path]:
    """A temporary name beside `target`, renamed to it when the block succeeds and deleted when it does not.

    The bytes are on the disk before they get the name, so that a power failure leaves the old file or the new one. The
    temporary name is fixed, so that what a killed writer left is replaced; two processes must not write one target at
    a time.

    Args:
        target: the file to be written.
        needed_bytes: roughly its size, where that is known, for the message about a full disk.
        advice: what that message says to do.

    Raises:
        DataError: there is no space for it, or something other than a file has its name.
    """
    target = Path(target)
    require_replaceable(target)
    temporary = target.with_name(f".{target.name}.part")
    with explain_full_disk(target, needed_bytes=needed_bytes, advice=advice):
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary.unlink(missing_ok=True)  # what a killed writer left
        try:
            yield temporary
            _flush_to_disk(temporary)
            temporary.replace(target)
            _flush_to_disk(target.parent)
        finally:
            temporary.unlink(missing_ok=True)


def require_replaceable(target: Path) -> None:
    """Refuse to put a file in the place of anything else: a device such as /dev/null would be gone afterwards.

    Raises:
        DataError: there is something at `target` that is no ordinary file.
    """
    if target.exists() and not target.is_file():
        what = "a folder" if target.is_dir() else "a device or a pipe"
        raise DataError(f"is {what}, which would be replaced by a file; give another name", path=target)


def _flush_to_disk(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def content_sha256(group: h5py.Group) -> str:
    """Checksum of names, attributes, types, shapes and values of `group` and all below.

    Compression and chunks do not matter. Of a large dataset only a slice is in memory at a time.
    """
    digest = hashlib.sha256()

    def add(name: str, item: h5py.Group | h5py.Dataset) -> None:
        digest.update(name.encode())
        for key in sorted(item.attrs):
            digest.update(f"@{key}={np.asarray(item.attrs[key]).tolist()!r}".encode())
        if isinstance(item, h5py.Dataset):
            if item.dtype.kind == "O":
                digest.update(repr(np.asarray(item.asstr()[()]).tolist()).encode())
            else:
                digest.update(f"{item.dtype.str}{item.shape}".encode())
                for values in _slices(item):
                    digest.update(values.tobytes())

    names: list[str] = []
    group.visit(names.append)
    add("", group)
    for name in sorted(names):
        add(name, group[name])
    return digest.hexdigest()


def _slices(dataset: h5py.Dataset) -> Iterator[np.ndarray]:
    """The values in order, whole rows at a time: as many as `SLICE_BYTES` hold, but no chunk is read twice."""
    if not dataset.shape:
        yield np.asarray(dataset[()])
        return
    chunk_rows = dataset.chunks[0] if dataset.chunks else 1
    row_bytes = max(1, math.prod(dataset.shape[1:]) * dataset.dtype.itemsize)
    rows = max(1, SLICE_BYTES // (row_bytes * chunk_rows)) * chunk_rows
    for start in range(0, dataset.shape[0], rows):
        yield dataset[start : start + rows]


@contextmanager
def write_file(
    target: Path, kind: str, *, needed_bytes: int | None = None, advice: str = ADVICE
) -> Iterator[h5py.Group]:
    """Open a new file of our format; on success its content is checksummed and it gets its name.

    Args and errors are those of `atomic_path`.
    """
    with (
        signals_deferred(),  # an exception in the middle of a write of HDF5 is a write that failed: see Hdf5Output
        atomic_path(target, needed_bytes=needed_bytes, advice=advice) as temporary,
        Hdf5Output(temporary) as output,
        h5py.File(temporary, "w", driver="fileobj", fileobj=output) as file,
    ):
        content = file.create_group("content")
        yield content
        file.flush()
        if output.error is None:  # otherwise there is nothing to read back, and leaving the block raises the error
            file.attrs["format"] = f"spikebridge/{kind}"
            file.attrs["format_version"] = FORMAT_VERSION
            file.attrs["content_sha256"] = content_sha256(content)


@contextmanager
def read_file(source: Path, kind: str) -> Iterator[h5py.Group]:
    """Open a file of our format, checked for kind, version and damage.

    Raises:
        DataError: the file is missing, of another kind, newer than this version, or damaged.
    """
    source = Path(source)
    if not source.is_file():
        raise DataError(f"no such file; a {kind} file is written by `spikebridge run` or its stages", path=source)
    try:
        file = h5py.File(source, "r")
    except OSError as error:
        raise DataError(f"cannot be read as HDF5 ({error}); it is damaged or no HDF5 file", path=source) from error
    with file:
        try:
            found = file_kind(file, source)
            if found != kind:
                raise DataError(f"is a {found} file, expected a {kind} file", path=source)
            intact = content_sha256(file["content"]) == file.attrs["content_sha256"]
        except (OSError, KeyError, RuntimeError, TypeError, ValueError) as error:  # what h5py raises on damaged bytes
            raise DataError(f"is damaged ({error}); write it again", path=source) from error
        if not intact:
            raise DataError(
                "content does not match its checksum; it was changed or damaged, write it again", path=source
            )
        yield file["content"]


def file_kind(file: h5py.File, source: Path) -> str:
    """`network` or `recording`.

    Raises:
        DataError: not a file of ours, or written by a newer version.
    """
    name = file.attrs.get("format", "")
    if not isinstance(name, str) or not name.startswith("spikebridge/"):
        raise DataError("is no spikebridge file (no `format` attribute)", path=source)
    version = int(file.attrs.get("format_version", 0))
    if version != FORMAT_VERSION:
        raise DataError(
            f"has format version {version}, this spikebridge reads {FORMAT_VERSION}; use the version that wrote it",
            path=source,
        )
    return name.removeprefix("spikebridge/")


def write_array(group: h5py.Group, name: str, values: np.ndarray, unit: str = "") -> None:
    """A dataset with its unit as an attribute; compressed where that pays."""
    create_array(group, name, values.shape, values.dtype, unit)[...] = values


def create_array(
    group: h5py.Group,
    name: str,
    shape: tuple[int, ...],
    dtype: npt.DTypeLike,
    unit: str = "",
    *,
    rows_per_chunk: int | None = None,
) -> h5py.Dataset:
    """A dataset as `write_array` makes it, to be filled piece by piece; large ones in chunks of at most `CHUNK_BYTES`.

    Args:
        group: the group to make it in.
        name: its name.
        shape: of the whole dataset.
        dtype: of its values.
        unit: an attribute, unless empty.
        rows_per_chunk: at most so many rows of the first axis in one chunk; None for as many as fit.
    """
    options: dict[str, object] = {}
    if math.prod(shape) > 1024:
        rows, *others = _chunk_shape(shape, np.dtype(dtype).itemsize)
        chunks = (min(rows, rows_per_chunk or rows), *others)
        options = {"chunks": chunks, "compression": "gzip", "compression_opts": 4, "shuffle": True}
    dataset = group.create_dataset(name, shape=shape, dtype=dtype, **options)
    if unit:
        dataset.attrs["unit"] = unit
    return dataset


def _chunk_shape(shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    """Whole rows of the first axis, as many as fit into a chunk; a row that does not fit is divided itself."""
    if not shape:
        return ()
    row_bytes = math.prod(shape[1:]) * itemsize
    rows = min(shape[0], max(1, CHUNK_BYTES // row_bytes))
    return (rows, *(shape[1:] if row_bytes <= CHUNK_BYTES else _chunk_shape(shape[1:], itemsize)))


def read_strings(group: h5py.Group, name: str) -> tuple[str, ...]:
    """A dataset of strings."""
    return tuple(str(value) for value in group[name].asstr()[()])
