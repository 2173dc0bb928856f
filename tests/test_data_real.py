"""The spoken digits, where they are: read whole, and agreeing with their own description."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from data_files import spoken_digits_folder

from spikebridge.bridge.spikes import bin_events
from spikebridge.training.data.labelled import LabelledEvents
from spikebridge.training.data.pooling import pool_channels
from spikebridge.training.data.shd import read_shd
from spikebridge.training.data.split import split_validation


@pytest.fixture(scope="module")
def folder() -> Path:
    return spoken_digits_folder()


@pytest.fixture(scope="module")
def test_set(folder: Path) -> LabelledEvents:
    return read_shd(folder / "fsdd_test.h5")


def test_checksum_is_the_published_one(folder: Path, test_set: LabelledEvents) -> None:
    published = (folder / "SHA256SUMS").read_text().split()
    assert published[published.index("fsdd_test.h5") - 1] == test_set.source_sha256


def test_every_sample_is_the_file_s(folder: Path, test_set: LabelledEvents) -> None:
    assert test_set.n_samples == 700
    assert test_set.n_classes == 10
    assert test_set.class_names[7] == "seven"
    counts = np.diff(test_set.events.offsets)
    assert (counts.min(), counts.max(), round(counts.mean())) == (2071, 8744, 4969)
    with h5py.File(folder / "fsdd_test.h5") as file:
        for sample in (0, 350, 699):
            part = slice(*test_set.events.offsets[sample : sample + 2])
            np.testing.assert_array_equal(test_set.events.time_s[part], file["spikes/times"][sample])
            np.testing.assert_array_equal(test_set.events.channel[part], file["spikes/units"][sample])


def test_training_set_is_read_and_split_by_speaker(folder: Path) -> None:
    data = read_shd(folder / "fsdd_train.h5")
    split = split_validation(data, fraction=0.2, seed=0)
    assert (split.method, split.train.size, split.validation.size) == ("speaker", 1350, 450)


def test_crop_at_one_second_is_counted(test_set: LabelledEvents) -> None:
    pooled = pool_channels(test_set.events)
    binned, crop = bin_events(pooled, step_ms=10.0, n_steps=100)
    assert binned.n_spikes + crop.spikes_dropped == crop.spikes == test_set.events.time_s.size
    assert (crop.spikes_dropped, crop.samples_cropped) == (1364, 16)


def test_most_test_samples_are_of_an_unheard_speaker(test_set: LabelledEvents) -> None:
    trials = test_set.trials(fitted_speakers=(0, 1, 3, 4))
    assert trials.seen is not None
    assert np.count_nonzero(trials.seen) == 200
