"""From files to training, validation and test sets."""

from pathlib import Path

import pytest
from data_files import write_shd
from pydantic import ValidationError

from spikebridge.bridge.errors import ConfigError
from spikebridge.training.config_data import DataConfig
from spikebridge.training.dataset import load_dataset

FILES = DataConfig(train_file="train.h5", validation_file="valid.h5", test_file="test.h5", channels=140)


def test_a_validation_file_chooses_and_nothing_is_held_out(tmp_path: Path) -> None:
    write_shd(tmp_path / "train.h5", labels=(0, 0, 1), speakers=(4, 4, 2))
    write_shd(tmp_path / "valid.h5", labels=(1, 1, 1), speakers=(2, 7, 9))
    write_shd(tmp_path / "test.h5", speakers=(4, 7, 1))
    data = load_dataset(FILES, tmp_path, seed=3)
    assert data.train.labels.tolist() == [0, 0, 1]
    assert data.validation.labels.tolist() == [1, 1, 1]
    assert data.split.method == "file"
    assert data.split.fitted_speakers == (2, 4)
    assert data.split.held_out_speakers == (7, 9)
    assert data.provenance["data.validation"].startswith("valid.h5 sha256 ")
    assert data.test.seen is not None
    assert data.test.held_out is not None
    assert data.test.seen.tolist() == [True, False, False]
    assert data.test.held_out.tolist() == [False, True, False]


def test_files_without_speakers_have_a_validation_file_too(tmp_path: Path) -> None:
    for name in ("train", "valid", "test"):
        write_shd(tmp_path / f"{name}.h5", speakers=None)
    data = load_dataset(FILES, tmp_path, seed=0)
    assert data.split.fitted_speakers is None
    assert data.test.seen is None


def test_a_validation_file_of_other_classes_is_refused(tmp_path: Path) -> None:
    for name, keys in (("train", (b"zero", b"one")), ("valid", (b"zero", b"two")), ("test", (b"zero", b"one"))):
        write_shd(tmp_path / f"{name}.h5", keys=keys)
    with pytest.raises(ConfigError, match=r"train\.h5 and valid\.h5 have different classes .*'one', 'two'"):
        load_dataset(FILES, tmp_path, seed=0)


def test_held_out_speakers_and_a_validation_file_exclude_each_other() -> None:
    with pytest.raises(ValidationError, match="with a validation file nobody is held out"):
        DataConfig(validation_file="valid.h5", validation_speakers=(1,))


@pytest.mark.parametrize("name", ["train.h5", "test.h5"])
def test_samples_that_choose_the_epoch_are_neither_fitted_on_nor_tested(name: str) -> None:
    with pytest.raises(ValidationError, match=f"validation_file is '{name}', which is also"):
        DataConfig(train_file="train.h5", test_file="test.h5", validation_file=name)
