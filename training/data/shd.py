"""Reader for the HDF5 layout of the Spiking Heidelberg Digits (SHD) and Spiking Speech Commands (SSC).

Layout (Cramer, Stradmann, Schemmel & Zenke, IEEE TNNLS, doi 10.1109/TNNLS.2020.3044364): `spikes/times` (ragged,
seconds), `spikes/units` (ragged, input channel), `labels`; where known `extra/speaker` and `extra/keys` (class names).
Times are kept as they are stored: in half precision a time near one second is known to about half a millisecond.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from spikebridge.bridge.arrays import BoolArray, IntArray
from spikebridge.bridge.errors import ConfigError, DataError
from spikebridge.bridge.spikes import Events
from spikebridge.training.data.hdf5 import has_dataset, open_hdf5, read_ragged, read_vector
from spikebridge.training.data.labelled import LabelledEvents

TIMES, UNITS, LABELS, SPEAKER, KEYS = "spikes/times", "spikes/units", "labels", "extra/speaker", "extra/keys"


def read_shd(path: Path | str, *, n_channels: int = 700) -> LabelledEvents:
    """Every event of every sample of a file in SHD's layout.

    Args:
        path: the unpacked .h5 file.
        n_channels: input channels of the recording; a unit outside 0 .. n_channels - 1 is an error.

    Returns:
        The samples in the file's order. Without `extra/speaker` speakers are None; speakers stored as text get a number
        that depends on the text alone. Without `extra/keys` the classes are named "0", "1", .. up to the largest label.

    Raises:
        DataError: the file is missing, damaged or inconsistent; names file, sample and field.
        ConfigError: n_channels is below 1.
    """
    path = Path(path)
    if n_channels < 1:
        raise ConfigError(f"n_channels is {n_channels}; it must be at least 1")
    with open_hdf5(path) as file:
        times, n_times = read_ragged(file, TIMES, path, kinds="f", expected="floats (seconds)")
        units, n_units = read_ragged(file, UNITS, path, kinds="iu", expected="integers (channels)")
        labels = read_vector(file, LABELS, path, kinds="iu", expected="integers")
        names = _class_names(file, path)
        speakers = _speakers(file, path)
    _check_sizes(path, n_times, n_units, labels, speakers)
    offsets = np.concatenate([[0], np.cumsum(n_times)]).astype(np.int64)
    _check_times(path, times, offsets)
    _check_units(path, units, offsets, n_channels)
    _check_labels(path, labels, names)
    if names is None:
        names = tuple(str(label) for label in range(int(labels.max()) + 1))
    events = Events(times.astype(np.float64), units.astype(np.int32), offsets, n_channels)
    return LabelledEvents(events, labels.astype(np.int64), speakers, names, path.name, file_sha256(path))


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, as `sha256sum` prints it."""
    with path.open("rb") as raw:
        return hashlib.file_digest(raw, "sha256").hexdigest()


def _class_names(file: h5py.File, path: Path) -> tuple[str, ...] | None:
    if not has_dataset(file, KEYS, path):
        return None
    keys = read_vector(file, KEYS, path, kinds="SOU", expected="texts")
    return tuple(_text(key) for key in keys.tolist())


def _speakers(file: h5py.File, path: Path) -> IntArray | None:
    if not has_dataset(file, SPEAKER, path):
        return None
    speakers = read_vector(file, SPEAKER, path, kinds="iuSOU", expected="integers or texts")
    if speakers.dtype.kind in "iu":
        return speakers.astype(np.int64)
    return np.array([_number(_text(speaker)) for speaker in speakers.tolist()], dtype=np.int64)


def _text(value: bytes | str) -> str:
    return value.decode("utf-8", errors="replace") if isinstance(value, bytes) else value


def _number(name: str) -> int:
    """The same number for the same name in every file, which counting the names of one file would not give."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8]) >> 1


def _check_sizes(
    path: Path, n_times: IntArray, n_units: IntArray, labels: npt.NDArray[Any], speakers: IntArray | None
) -> None:
    if n_times.size == 0:
        raise DataError("holds no samples; get or write the file again", path=path, field=TIMES)
    per_sample = [(UNITS, n_units.size), (LABELS, labels.size)]
    if speakers is not None:
        per_sample.append((SPEAKER, speakers.size))
    for field, size in per_sample:
        if size != n_times.size:
            problem = f"has {size} entries, but {TIMES} has {n_times.size} samples; get or write the file again"
            raise DataError(problem, path=path, field=field)
    different = n_times != n_units
    if different.any():
        sample = int(np.argmax(different))
        problem = f"has {n_units[sample]} entries, but {TIMES} has {n_times[sample]}; every spike needs both"
        raise DataError(problem, path=path, sample=sample, field=UNITS)


def _check_times(path: Path, times: npt.NDArray[Any], offsets: IntArray) -> None:
    # NaN compares false with everything, so this one test also refuses it.
    bad = ~((times >= 0) & (times < np.inf))
    if bad.any():
        sample, spike, value = _first(bad, times, offsets)
        problem = f"spike {spike} is at {value} s; times must be finite and at least 0. Remove the sample or mend it"
        raise DataError(problem, path=path, sample=sample, field=TIMES)


def _check_units(path: Path, units: npt.NDArray[Any], offsets: IntArray, n_channels: int) -> None:
    bad = (units < 0) | (units >= n_channels)
    if bad.any():
        sample, spike, value = _first(bad, units, offsets)
        problem = (
            f"spike {spike} is on unit {value}, outside 0 .. {n_channels - 1}; "
            "if the recording has more channels, set data.file_channels"
        )
        raise DataError(problem, path=path, sample=sample, field=UNITS)


def _check_labels(path: Path, labels: npt.NDArray[Any], names: tuple[str, ...] | None) -> None:
    bad = labels < 0 if names is None else (labels < 0) | (labels >= len(names))
    if bad.any():
        sample = int(np.argmax(bad))
        allowed = "at least 0" if names is None else f"0 .. {len(names) - 1}, the classes that {KEYS} names"
        raise DataError(f"is {labels[sample]}, expected {allowed}", path=path, sample=sample, field=LABELS)


def _first(bad: BoolArray, values: npt.NDArray[Any], offsets: IntArray) -> tuple[int, int, str]:
    """Sample, position within the sample, and value of the first bad event."""
    event = int(np.argmax(bad))
    sample = int(np.searchsorted(offsets, event, side="right")) - 1
    return sample, event - int(offsets[sample]), str(values[event])
