"""Writing files: checksums in slices, errors of the disk in the middle of HDF5, and signals that come then."""

import errno
import hashlib
import os
import resource
import signal
import tracemalloc
from pathlib import Path
from threading import Thread

import h5py
import numpy as np
import pytest
from interruptible import interruptible

from spikebridge.bridge import storage
from spikebridge.bridge.deferred_signals import signals_deferred
from spikebridge.bridge.errors import DataError
from spikebridge.bridge.full_disk import readable_bytes
from spikebridge.bridge.storage import atomic_path, content_sha256, create_array, read_file, write_array, write_file


def checksum_in_one_piece(group: h5py.Group) -> str:
    """The definition of the checksum."""
    digest = hashlib.sha256()
    names: list[str] = []
    group.visit(names.append)
    for name in ["", *sorted(names)]:
        item = group[name] if name else group
        digest.update(name.encode())
        for key in sorted(item.attrs):
            digest.update(f"@{key}={np.asarray(item.attrs[key]).tolist()!r}".encode())
        if isinstance(item, h5py.Dataset):
            if item.dtype.kind == "O":
                digest.update(repr(item.asstr()[()].tolist()).encode())
            else:
                digest.update(f"{item.dtype.str}{item.shape}".encode() + item[()].tobytes())
    return digest.hexdigest()


@pytest.mark.parametrize("slice_bytes", [1, 1000, 2**22])
@pytest.mark.parametrize("chunk_bytes", [64, 2**18])
def test_the_checksum_in_slices_is_that_of_the_whole(
    monkeypatch: pytest.MonkeyPatch, slice_bytes: int, chunk_bytes: int
) -> None:
    monkeypatch.setattr(storage, "SLICE_BYTES", slice_bytes)
    monkeypatch.setattr(storage, "CHUNK_BYTES", chunk_bytes)
    rng = np.random.default_rng(0)
    with h5py.File("x", "w", driver="core", backing_store=False) as file:
        group = file.create_group("content")
        group.attrs["a"] = 1.5
        group["scalar"] = 3
        group["text"] = np.array(["one", "two"], dtype=h5py.string_dtype())
        for shape in [(0,), (0, 3), (3, 0), (7,), (3000,), (70, 50), (9, 30, 11), (1, 40, 40)]:
            for dtype in ("int32", "float64", "bool"):
                write_array(group, f"{dtype}{shape}", (rng.normal(size=shape) * 9).astype(dtype), "ms")
        create_array(group, "rows", (9, 30, 11), "float64", rows_per_chunk=1)[...] = rng.normal(size=(9, 30, 11))
        group.create_dataset("guessed", data=rng.normal(size=(300, 80, 10)), compression="gzip")  # older files
        assert group["rows"].chunks[0] == 1
        assert content_sha256(group) == checksum_in_one_piece(group)


def test_checking_a_large_file_holds_slices_in_memory(tmp_path: Path) -> None:
    with write_file(tmp_path / "large.h5", "network") as content:
        dataset = create_array(content, "x", (4000, 1000), "float64")
        for start in range(0, 4000, 500):
            dataset[start : start + 500] = start
    tracemalloc.start()
    try:
        with read_file(tmp_path / "large.h5", "network") as content:
            assert content["x"].shape == (4000, 1000)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 3 * storage.SLICE_BYTES < 32_000_000


def open_descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def write_ten(target: Path) -> None:
    with write_file(target, "network", needed_bytes=2**20, advice="start again") as content:
        for number in range(10):
            write_array(content, f"d{number}", np.random.default_rng(number).integers(0, 2**31, 20_000))


def write_interrupted(target: Path) -> None:
    with write_file(target, "network") as content:
        signal.raise_signal(signal.SIGINT)
        content["x"] = 1


@pytest.mark.parametrize("kind", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
@pytest.mark.parametrize("successes", [0, 1, 2, 5, 20])
def test_no_space_in_the_middle_of_hdf5(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: int, successes: int
) -> None:
    """Without `Hdf5Output`, compressed datasets end the process by a segmentation fault here."""
    real, calls = os.pwrite, [0]

    def failing(descriptor: int, data: bytes, offset: int) -> int:
        calls[0] += 1
        if calls[0] > successes:
            raise OSError(kind, os.strerror(kind))
        return real(descriptor, data, offset)

    target = tmp_path / "r.h5"
    target.write_text("old")
    before = open_descriptors()
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", failing)
        with pytest.raises(DataError, match=r"r\.h5: .*are free, about 1\.0 MiB are needed\); start again"):
            write_ten(target)
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["r.h5"]
    assert open_descriptors() == before  # nothing keeps the space of the deleted file


def test_a_write_that_the_system_does_in_pieces_is_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.pwrite
    values = np.random.default_rng(0).integers(0, 2**31, 20_000)
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", lambda descriptor, data, offset: real(descriptor, data[:100], offset))
        with write_file(tmp_path / "r.h5", "network") as content:
            write_array(content, "x", values)
    with read_file(tmp_path / "r.h5", "network") as content:
        assert np.array_equal(content["x"][()], values)


def test_no_space_at_the_end_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Network drives say so when the file is brought to the disk."""

    def failing(descriptor: int) -> None:
        raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(DataError, match="quota is used up"), write_file(tmp_path / "r.h5", "network") as content:
        content["x"] = 1
    assert list(tmp_path.iterdir()) == []


def test_other_errors_of_the_disk_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_arguments: object) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "pwrite", failing)
    with pytest.raises(OSError, match="Input/output"), write_file(tmp_path / "r.h5", "network") as content:
        content["x"] = 1
    assert list(tmp_path.iterdir()) == []


def test_text_files_are_explained_too(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "metrics.json"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        with (
            pytest.raises(
                DataError, match=r"metrics\.json: the file would be larger than allowed .*run the same command"
            ),
            atomic_path(target) as temporary,
        ):
            temporary.write_text("x" * 1000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(target.parent.iterdir()) == []


def test_an_interrupt_waits_until_the_file_has_its_name(tmp_path: Path) -> None:
    target = tmp_path / "n.h5"
    with interruptible():
        before = signal.getsignal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            write_interrupted(target)
        assert signal.getsignal(signal.SIGINT) is before
    with read_file(target, "network") as content:
        assert content["x"][()] == 1


def test_in_another_thread_files_are_written_as_well(tmp_path: Path) -> None:
    def write() -> None:
        with write_file(tmp_path / "n.h5", "network") as content, signals_deferred():
            content["x"] = 1

    thread = Thread(target=write)
    thread.start()
    thread.join()
    with read_file(tmp_path / "n.h5", "network") as content:
        assert content["x"][()] == 1


def test_bytes_are_readable() -> None:
    assert [readable_bytes(n) for n in (0, 1023, 1536, 2**20, 5 * 2**40)] == [
        "0 bytes",
        "1023 bytes",
        "1.5 KiB",
        "1.0 MiB",
        "5.0 TiB",
    ]
