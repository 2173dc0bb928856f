"""Downloads against a server on loopback that cuts connections, ignores ranges and serves the wrong file."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from data_files import write_shd
from loopback_server import Behaviour, closed_port, serve

from spikebridge.bridge.errors import ConfigError, DataError
from spikebridge.training.data import download as download_module
from spikebridge.training.data.download import DATASETS, Archive, download, fetch
from spikebridge.training.data.shd import read_shd

CONTENT = np.random.default_rng(0).bytes(300_000)


def _zip(name: str, content: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr(name, content)
    return buffer.getvalue()


PACKED = _zip("set.h5", CONTENT)
ARCHIVE = Archive("set.h5.zip", hashlib.md5(PACKED).hexdigest())


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")


@pytest.fixture
def server() -> Iterator[Behaviour]:
    with serve(Behaviour({"/set.h5.zip": PACKED})) as behaviour:
        yield behaviour


def _fetch(server: Behaviour, folder: Path) -> Path:
    return fetch(ARCHIVE, folder, server.url, progress=False)


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_file_is_unpacked_and_nothing_else_is_left(server: Behaviour, tmp_path: Path) -> None:
    path = fetch(ARCHIVE, tmp_path / "new" / "folder", server.url + "/", progress=True)
    assert path.read_bytes() == CONTENT
    assert _names(path.parent) == ["set.h5"]


def test_complete_file_is_not_fetched_again(server: Behaviour, tmp_path: Path) -> None:
    assert _fetch(server, tmp_path) == _fetch(server, tmp_path)
    assert len(server.ranges) == 1


def test_connection_cut_half_way_resumes_in_the_same_call(server: Behaviour, tmp_path: Path) -> None:
    server.cut_after = [100_000, 50_000]
    assert _fetch(server, tmp_path).read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=100000-", "bytes=150000-"]


def test_part_of_an_earlier_run_is_continued(server: Behaviour, tmp_path: Path) -> None:
    (tmp_path / "set.h5.zip.part").write_bytes(PACKED[:1234])
    assert _fetch(server, tmp_path).read_bytes() == CONTENT
    assert server.ranges == ["bytes=1234-"]
    assert _names(tmp_path) == ["set.h5"]


def test_server_that_ignores_ranges_sends_all_again(server: Behaviour, tmp_path: Path) -> None:
    server.ignore_range = True
    server.cut_after = [100_000]
    assert _fetch(server, tmp_path).read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=100000-"]


def test_attempts_end_when_they_bring_nothing_and_what_came_is_kept(server: Behaviour, tmp_path: Path) -> None:
    server.cut_after = [1000, 0]
    with pytest.raises(DataError, match=r"the connection was cut.*1000 bytes so far are kept"):
        _fetch(server, tmp_path)
    assert (tmp_path / "set.h5.zip.part").read_bytes() == PACKED[:1000]
    assert _fetch(server, tmp_path).read_bytes() == CONTENT
    assert server.ranges[-1] == "bytes=1000-"


def test_part_that_is_whole_needs_no_network(tmp_path: Path) -> None:
    (tmp_path / "set.h5.zip.part").write_bytes(PACKED)
    assert fetch(ARCHIVE, tmp_path, closed_port(), progress=False).read_bytes() == CONTENT


def test_part_longer_than_the_file_is_fetched_anew(server: Behaviour, tmp_path: Path) -> None:
    (tmp_path / "set.h5.zip.part").write_bytes(PACKED + b"more")
    assert _fetch(server, tmp_path).read_bytes() == CONTENT
    assert server.ranges == [f"bytes={len(PACKED) + 4}-", None]


def test_part_of_full_length_with_wrong_bytes_is_deleted(server: Behaviour, tmp_path: Path) -> None:
    part = tmp_path / "set.h5.zip.part"
    part.write_bytes(b"x" + PACKED[1:])
    with pytest.raises(DataError, match="it was deleted"):
        _fetch(server, tmp_path)
    assert not part.exists()
    assert _fetch(server, tmp_path).read_bytes() == CONTENT


def test_wrong_checksum_leaves_nothing(server: Behaviour, tmp_path: Path) -> None:
    server.files["/set.h5.zip"] = _zip("set.h5", b"something else")
    with pytest.raises(DataError, match=rf"has MD5 [0-9a-f]{{32}}, expected {ARCHIVE.md5}; it was deleted"):
        _fetch(server, tmp_path)
    assert _names(tmp_path) == []


def test_offline_says_what_where_and_how_to_go_on(tmp_path: Path) -> None:
    url = closed_port()
    (tmp_path / "set.h5.zip.part").write_bytes(PACKED[:10])
    with pytest.raises(DataError) as caught:
        fetch(ARCHIVE, tmp_path, url, progress=False)
    for words in (f"{url}/set.h5.zip", "10 bytes so far are kept", "running this again continues", str(tmp_path)):
        assert words in str(caught.value)
    assert (tmp_path / "set.h5.zip.part").read_bytes() == PACKED[:10]


@pytest.mark.parametrize(("status", "hint"), [(404, "check the address"), (503, "try again later")])
def test_refusals_of_the_server_are_told(server: Behaviour, tmp_path: Path, status: int, hint: str) -> None:
    server.status = status
    with pytest.raises(DataError, match=f"answered {status}.*{hint}"):
        _fetch(server, tmp_path)


def test_archive_put_there_by_hand_is_used_and_kept(tmp_path: Path) -> None:
    (tmp_path / "set.h5.zip").write_bytes(PACKED)
    assert fetch(ARCHIVE, tmp_path, closed_port(), progress=False).read_bytes() == CONTENT
    assert _names(tmp_path) == ["set.h5", "set.h5.zip"]


def test_wrong_archive_put_there_by_hand_is_named_and_kept(tmp_path: Path) -> None:
    (tmp_path / "set.h5.zip").write_bytes(PACKED[:-1])
    with pytest.raises(DataError, match=r"set\.h5\.zip: has MD5 .* delete it"):
        fetch(ARCHIVE, tmp_path, closed_port(), progress=False)
    assert _names(tmp_path) == ["set.h5.zip"]


@pytest.mark.parametrize("packed", [b"PK, but no archive", _zip("other.h5", CONTENT)])
def test_archive_that_cannot_be_unpacked_leaves_no_data_file(server: Behaviour, tmp_path: Path, packed: bytes) -> None:
    server.files["/set.h5.zip"] = packed
    with pytest.raises(DataError, match=r"cannot be unpacked|expected one set\.h5"):
        fetch(Archive("set.h5.zip", hashlib.md5(packed).hexdigest()), tmp_path, server.url, progress=False)
    assert not (tmp_path / "set.h5").exists()


def test_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DataError, match="cannot be made"):
        fetch(ARCHIVE, tmp_path / "file" / "below", closed_port(), progress=False)


def test_whole_data_set_is_fetched_and_readable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = write_shd(tmp_path / "source.h5").read_bytes()
    packed = {f"/{archive.name}": _zip(archive.content, content) for archive in DATASETS["ssc"]}
    archives = tuple(Archive(name[1:], hashlib.md5(body).hexdigest()) for name, body in packed.items())
    monkeypatch.setitem(download_module.DATASETS, "ssc", archives)
    with serve(Behaviour(packed)) as server:
        paths = download("ssc", tmp_path / "ssc", base_url=server.url, progress=False)
    assert [path.name for path in paths] == ["ssc_train.h5", "ssc_valid.h5", "ssc_test.h5"]
    assert [read_shd(path).n_samples for path in paths] == [3, 3, 3]


def test_unknown_data_set_and_address_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"'mnist'.*shd.*ssc"):
        download("mnist", tmp_path)
    with pytest.raises(ConfigError, match="must start with http"):
        download("shd", tmp_path, base_url="file:///etc")
