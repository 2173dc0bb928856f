"""A few samples that stand for all."""

import numpy as np
import pytest

from spikebridge.bridge.errors import ConfigError
from spikebridge.validation.balanced import balanced_samples


def test_classes_are_equally_many_but_for_one() -> None:
    labels = np.repeat(np.arange(7), 20)
    for number in (1, 5, 30, 139, 140):
        drawn = balanced_samples(labels, number, seed=3)
        assert drawn.size == np.unique(drawn).size == number
        assert (np.diff(drawn) > 0).all()
        counts = np.bincount(labels[drawn], minlength=7)
        assert counts.max() - counts.min() <= 1
    assert not np.array_equal(balanced_samples(labels, 30, 3), balanced_samples(labels, 30, 4))
    assert np.array_equal(balanced_samples(labels, 30, 3), balanced_samples(labels, 30, 3))


def test_a_small_class_gives_all_it_has() -> None:
    labels = np.array([0] * 2 + [1] * 50 + [2] * 50)
    counts = np.bincount(labels[balanced_samples(labels, 22, seed=0)])
    assert counts[0] == 2
    assert set(counts[1:]) == {10}


def test_more_than_there_are_is_an_error() -> None:
    with pytest.raises(ConfigError, match="5 samples are asked for, but there are 4; give 1 to 4"):
        balanced_samples(np.zeros(4, dtype=np.int64), 5, 0)
