"""HDF5 files: versioned, self-describing, checked, and written whole or not at all."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np

from spikebridge.bridge.errors import DataError

FORMAT_VERSION = 1


@contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """A temporary name beside `target`, renamed to it when the block succeeds and deleted when it does not.

    The name is fixed, so that what a killed writer left is replaced; two processes must not write one target at a time.
    """
    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.part")
    temporary.unlink(missing_ok=True)  # what a killed writer left
    try:
        yield temporary
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def content_sha256(group: h5py.Group) -> str:
    """Checksum of names, attributes, types, shapes and values of `group` and all below; compression does not matter."""
    digest = hashlib.sha256()

    def add(name: str, item: h5py.Group | h5py.Dataset) -> None:
        digest.update(name.encode())
        for key in sorted(item.attrs):
            digest.update(f"@{key}={np.asarray(item.attrs[key]).tolist()!r}".encode())
        if isinstance(item, h5py.Dataset):
            values = item[()]
            if item.dtype.kind == "O":
                digest.update(repr(np.asarray(item.asstr()[()]).tolist()).encode())
            else:
                digest.update(f"{item.dtype.str}{item.shape}".encode())
                digest.update(np.ascontiguousarray(values).tobytes())

    names: list[str] = []
    group.visit(names.append)
    add("", group)
    for name in sorted(names):
        add(name, group[name])
    return digest.hexdigest()


@contextmanager
def write_file(target: Path, kind: str) -> Iterator[h5py.Group]:
    """Open a new file of our format; on success its content is checksummed and it gets its name."""
    with atomic_path(target) as temporary, h5py.File(temporary, "w") as file:
        content = file.create_group("content")
        yield content
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
    options = {"compression": "gzip", "compression_opts": 4, "shuffle": True} if values.size > 1024 else {}
    dataset = group.create_dataset(name, data=values, **options)
    if unit:
        dataset.attrs["unit"] = unit


def read_strings(group: h5py.Group, name: str) -> tuple[str, ...]:
    """A dataset of strings."""
    return tuple(str(value) for value in group[name].asstr()[()])
