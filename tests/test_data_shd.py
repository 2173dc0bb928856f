"""Files in SHD's layout: what good ones yield, and which error each kind of bad one gets."""

from __future__ import annotations

import gzip
import hashlib
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from data_files import TIMES, UNITS, damage, truncate, write_ragged, write_shd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spikebridge.bridge.errors import ConfigError, DataError
from spikebridge.training.data.shd import read_shd


def test_good_file_yields_every_event(tmp_path: Path) -> None:
    path = write_shd(tmp_path / "good.h5")
    data = read_shd(path)
    np.testing.assert_array_equal(data.events.time_s, np.concatenate(TIMES))
    np.testing.assert_array_equal(data.events.channel, np.concatenate(UNITS))
    np.testing.assert_array_equal(data.events.offsets, [0, 3, 3, 5])
    np.testing.assert_array_equal(data.labels, [1, 0, 1])
    np.testing.assert_array_equal(data.speakers, [4, 4, 2])
    assert data.class_names == ("zero", "one")
    assert data.events.n_channels == 700
    assert data.source == "good.h5"
    assert data.source_sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


_SAMPLES = st.lists(
    st.lists(
        st.tuples(st.floats(0, 1000, width=32).map(abs), st.integers(0, 699)),  # abs: -0.0 is 0.0
        max_size=20,
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(samples=_SAMPLES)
def test_round_trip(tmp_path: Path, samples: list[list[tuple[float, int]]]) -> None:
    times = [[time for time, _ in sample] for sample in samples]
    units = [[unit for _, unit in sample] for sample in samples]
    labels = list(range(len(samples)))
    path = write_shd(
        tmp_path / "trip.h5", times=times, units=units, labels=labels, speakers=labels, keys=None, time_dtype=np.float32
    )
    data = read_shd(path)
    assert data.events.time_s.tolist() == [time for sample in times for time in sample]
    assert data.events.channel.tolist() == [unit for sample in units for unit in sample]
    assert np.diff(data.events.offsets).tolist() == [len(sample) for sample in samples]
    assert data.class_names == tuple(str(label) for label in labels)


@pytest.mark.parametrize(("time_dtype", "unit_dtype"), [("f4", "i8"), ("f8", "u1"), ("f2", "u4")])
def test_other_number_types_are_read(tmp_path: Path, time_dtype: str, unit_dtype: str) -> None:
    path = write_shd(tmp_path / "a.h5", units=([0, 7, 3], [], [5, 5]), time_dtype=time_dtype, unit_dtype=unit_dtype)
    data = read_shd(path)
    assert data.events.time_s.tolist() == [0.0, 0.25, 0.5, 0.125, 1.5]
    assert data.events.channel.tolist() == [0, 7, 3, 5, 5]


def test_other_byte_order_is_refused_not_misread(tmp_path: Path) -> None:
    other = np.dtype("u2").newbyteorder()
    with pytest.raises(DataError, match="byte order"):
        read_shd(write_shd(tmp_path / "a.h5", unit_dtype=other))


def test_file_without_extra_has_no_speakers_and_numbered_classes(tmp_path: Path) -> None:
    data = read_shd(write_shd(tmp_path / "a.h5", speakers=None, keys=None, labels=(2, 0, 1)))
    assert data.speakers is None
    assert data.class_names == ("0", "1", "2")


def test_extra_that_is_no_group_is_left_alone(tmp_path: Path) -> None:
    path = write_shd(tmp_path / "a.h5", speakers=None, keys=None)
    data = read_shd(damage(path, lambda file: file.update({"extra": [1, 2]})))
    assert data.speakers is None


def test_named_speakers_get_the_same_number_in_every_file(tmp_path: Path) -> None:
    one = read_shd(write_shd(tmp_path / "a.h5", speakers=np.array([b"ann", b"bob", b"ann"]))).speakers
    two = read_shd(write_shd(tmp_path / "b.h5", speakers=np.array([b"cat", b"ann", b"bob"]))).speakers
    assert one is not None
    assert two is not None
    assert one[0] == one[2] == two[1]
    assert one[1] == two[2]
    assert len({*one.tolist(), *two.tolist()}) == 3
    assert min(one.min(), two.min()) >= 0


def test_class_names_are_text(tmp_path: Path) -> None:
    path = write_shd(tmp_path / "a.h5", keys=None)

    def add(file: h5py.File) -> None:
        file.create_dataset("extra/keys", data=["null", "fünf"], dtype=h5py.string_dtype())

    assert read_shd(damage(path, add)).class_names == ("null", "fünf")


def _replace(name: str, value: Any) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        del file[name]
        if value is not None:
            file[name] = value

    return change


def _replace_ragged(name: str, rows: list[list[float]], dtype: str) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        del file[name]
        write_ragged(file, name, rows, dtype)

    return change


CASES = {
    # what: (change to a good file, sample, field, words of the message)
    "times missing": (_replace("spikes/times", None), None, "spikes/times", "is missing; the file has extra, labels"),
    "units missing": (_replace("spikes/units", None), None, "spikes/units", "is missing"),
    "labels missing": (_replace("labels", None), None, "labels", "is missing"),
    "spikes missing": (_replace("spikes", None), None, "spikes/times", "is missing"),
    "times not ragged": (_replace("spikes/times", np.zeros((3, 4))), None, "spikes/times", r"of shape \(3, 4\)"),
    "times not floats": (
        _replace_ragged("spikes/times", [[0], [0], [0]], "i4"), None, "spikes/times", "ragged int32",
    ),
    "units not integers": (
        _replace_ragged("spikes/units", [[0], [0], [0]], "f4"), None, "spikes/units", "expected one ragged row of int",
    ),
    "labels not integers": (_replace("labels", [0.5, 1.0, 0.0]), None, "labels", "float64"),
    "labels not a vector": (_replace("labels", [[0, 1, 0]]), None, "labels", r"shape \(1, 3\)"),
    "fewer labels": (_replace("labels", [0, 1]), None, "labels", "has 2 entries, but spikes/times has 3 samples"),
    "fewer rows of units": (
        _replace_ragged("spikes/units", [[0, 1, 2], []], "u2"), None, "spikes/units", "has 2 entries",
    ),
    "fewer speakers": (_replace("extra/speaker", [0, 1]), None, "extra/speaker", "has 2 entries"),
    "speakers not whole": (_replace("extra/speaker", [0.5, 1.0, 2.0]), None, "extra/speaker", "integers or texts"),
    "keys not texts": (_replace("extra/keys", [1, 2]), None, "extra/keys", "expected one dimension of texts"),
    "one unit too few": (
        _replace_ragged("spikes/units", [[0, 1, 2], [], [5]], "u2"), 2, "spikes/units", "has 1 entries, but .* has 2",
    ),
    "unit too large": (
        _replace_ragged("spikes/units", [[0, 1, 2], [], [5, 700]], "u2"), 2, "spikes/units",
        r"spike 1 is on unit 700, outside 0 \.\. 699",
    ),
    "unit negative": (
        _replace_ragged("spikes/units", [[0, -1, 2], [], [5, 5]], "i2"), 0, "spikes/units", "spike 1 is on unit -1",
    ),
    "time negative": (
        _replace_ragged("spikes/times", [[0, 1, 2], [], [-0.5, 1]], "f2"), 2, "spikes/times", r"spike 0 is at -0\.5 s",
    ),
    "time NaN": (
        _replace_ragged("spikes/times", [[0, 1, np.nan], [], [0, 1]], "f2"), 0, "spikes/times", "spike 2 is at nan s",
    ),
    "time infinite": (
        _replace_ragged("spikes/times", [[0, 1, 2], [], [0, np.inf]], "f2"), 2, "spikes/times", "spike 1 is at inf s",
    ),
    "label too large": (
        _replace("labels", np.array([0, 1, 2], "u2")), 2, "labels",
        r"is 2, expected 0 \.\. 1, the classes that extra/keys names",
    ),
    "label negative": (_replace("labels", [0, -1, 1]), 1, "labels", "is -1"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_bad_file_is_named_with_sample_and_field(tmp_path: Path, case: str) -> None:
    change, sample, field, words = CASES[case]
    path = damage(write_shd(tmp_path / "bad.h5"), change)
    with pytest.raises(DataError, match=words) as caught:
        read_shd(path)
    assert caught.value.path == path
    assert caught.value.sample == sample
    assert caught.value.field == field
    assert str(path) in str(caught.value)


def test_negative_label_without_class_names(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is -3, expected at least 0"):
        read_shd(write_shd(tmp_path / "bad.h5", keys=None, labels=(0, -3, 1)))


def test_file_without_samples(tmp_path: Path) -> None:
    path = write_shd(tmp_path / "bad.h5", times=(), units=(), labels=np.zeros(0, int), speakers=np.zeros(0, int))
    with pytest.raises(DataError, match="holds no samples"):
        read_shd(path)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        read_shd(tmp_path / "absent.h5")
    with pytest.raises(DataError, match="is a folder"):
        read_shd(tmp_path)


@pytest.mark.parametrize("content", [b"", b"not HDF5 at all" * 100])
def test_file_that_is_not_hdf5(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.h5"
    path.write_bytes(content)
    with pytest.raises(DataError, match="is no HDF5 file"):
        read_shd(path)


def test_file_that_is_still_packed(tmp_path: Path) -> None:
    good = write_shd(tmp_path / "good.h5")
    packed = tmp_path / "good.h5.gz"
    packed.write_bytes(gzip.compress(good.read_bytes()))
    with pytest.raises(DataError, match="is a gzip archive; unpack it"):
        read_shd(packed)
    with zipfile.ZipFile(tmp_path / "good.h5.zip", "w") as archive:
        archive.write(good)
    with pytest.raises(DataError, match="is a zip archive; unpack it"):
        read_shd(tmp_path / "good.h5.zip")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_truncated_file(tmp_path: Path, share: float) -> None:
    path = truncate(write_shd(tmp_path / "bad.h5"), share)
    with pytest.raises(DataError, match="is cut short or damaged"):
        read_shd(path)


def test_damage_inside_a_dataset(tmp_path: Path) -> None:
    path = tmp_path / "bad.h5"
    write_shd(path, labels=(0, 0, 0))
    with h5py.File(path, "r+") as file:
        del file["labels"]
        labels = file.create_dataset("labels", data=np.zeros(3, int), chunks=(3,), compression="gzip")
        start = labels.id.get_chunk_info(0).byte_offset
    content = bytearray(path.read_bytes())
    content[start : start + 4] = b"\xff\xff\xff\xff"
    path.write_bytes(content)
    with pytest.raises(DataError, match="is damaged") as caught:
        read_shd(path)
    assert caught.value.field == "labels"


def test_number_of_channels_is_a_parameter(tmp_path: Path) -> None:
    path = write_shd(tmp_path / "a.h5", units=([0, 799, 3], [], [5, 5]))
    assert read_shd(path, n_channels=800).events.n_channels == 800
    with pytest.raises(DataError, match=r"set data\.file_channels"):
        read_shd(path)
    with pytest.raises(ConfigError, match="n_channels is 0"):
        read_shd(path, n_channels=0)
