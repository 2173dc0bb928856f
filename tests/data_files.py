"""Small files in SHD's layout, good ones and ones that are wrong in a chosen way."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import h5py
import numpy as np
import numpy.typing as npt
import pytest

TIMES: tuple[list[float], ...] = ([0.0, 0.25, 0.5], [], [0.125, 1.5])
UNITS: tuple[list[int], ...] = ([0, 699, 3], [], [5, 5])
LABELS = (1, 0, 1)
SPEAKERS = (4, 4, 2)
KEYS = (b"zero", b"one")


def write_shd(
    path: Path,
    *,
    times: Sequence[npt.ArrayLike] = TIMES,
    units: Sequence[npt.ArrayLike] = UNITS,
    labels: npt.ArrayLike = LABELS,
    speakers: npt.ArrayLike | None = SPEAKERS,
    keys: npt.ArrayLike | None = KEYS,
    time_dtype: npt.DTypeLike = np.float16,
    unit_dtype: npt.DTypeLike = np.uint16,
) -> Path:
    """Three samples, the second without spikes, unless told otherwise; None leaves a dataset out."""
    with h5py.File(path, "w") as file:
        write_ragged(file, "spikes/times", times, time_dtype)
        write_ragged(file, "spikes/units", units, unit_dtype)
        file["labels"] = labels
        for name, values in (("extra/speaker", speakers), ("extra/keys", keys)):
            if values is not None:
                file[name] = np.asarray(values)
    return path


def write_ragged(file: h5py.File, name: str, rows: Sequence[npt.ArrayLike], dtype: npt.DTypeLike) -> None:
    """One row of its own length per sample."""
    dataset = file.create_dataset(name, (len(rows),), dtype=h5py.vlen_dtype(np.dtype(dtype)))
    for index, row in enumerate(rows):
        dataset[index] = np.asarray(row, dtype=dtype)


def damage(path: Path, change: Callable[[h5py.File], None]) -> Path:
    """Change an HDF5 file in place."""
    with h5py.File(path, "r+") as file:
        change(file)
    return path


def truncate(path: Path, share: float) -> Path:
    """Keep only the beginning of a file."""
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    return path


def spoken_digits_folder() -> Path:
    """Where the spoken digits are; skips the test, saying how to provide them, where they are not."""
    folder = Path(os.environ.get("SPIKEBRIDGE_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no spoken digits at {folder}; set SPIKEBRIDGE_DATA to the folder of fsdd_train.h5")
    return folder
