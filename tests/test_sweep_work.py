"""The unit of work of a sweep: the training that `train` does, without the test set, in whatever process is at hand."""

import json
import threading
import time
from dataclasses import replace
from multiprocessing.reduction import ForkingPickler
from pathlib import Path

import pytest
from data_files import write_shd
from small_training import SMALL, changed

from spikebridge.bridge.errors import DataError, DivergedError, SpecError
from spikebridge.bridge.folder_lock import LOCK, FolderLock
from spikebridge.training import sweep_work
from spikebridge.training.dataset import load_dataset, load_fitting_data
from spikebridge.training.fit import fit
from spikebridge.training.sweep_work import Realisation, SweepJob, train_realisation, training_environment

SHORT = changed(optimiser={"epochs": 2})


@pytest.fixture
def job(tmp_path: Path) -> SweepJob:
    (tmp_path / LOCK).touch()
    return SweepJob(tmp_path, None, training_environment())


def test_it_is_the_training_that_train_does(job: SweepJob, tmp_path: Path) -> None:
    sent = ForkingPickler.dumps((job, Realisation(3, 1, SHORT)))  # as to a worker process
    outcome = train_realisation(*ForkingPickler.loads(sent))
    trained = fit(SHORT, load_dataset(SHORT.data, None, 1), 1, tmp_path / "train", progress=False)
    best = trained.history[trained.best_epoch]
    assert (outcome.trial, outcome.seed, outcome.failure) == (3, 1, None)
    assert (outcome.accuracy, outcome.rate_hz) == (best.accuracy_validation, best.rate_hz)
    assert outcome.epoch == trained.best_epoch + 1
    checkpoint = tmp_path / "trial-3" / "seed-1" / "checkpoint.pt"
    before = checkpoint.stat().st_mtime_ns
    again = train_realisation(job, Realisation(3, 1, SHORT))
    assert again == outcome
    assert checkpoint.stat().st_mtime_ns == before


def test_two_threads_of_a_process_do_not_take_each_others_random_numbers(job: SweepJob) -> None:
    alone = {seed: train_realisation(job, Realisation(0, seed, SHORT)) for seed in (0, 1)}
    found = {}

    def work(seed: int) -> None:
        found[seed] = train_realisation(job, Realisation(1, seed, SHORT))

    threads = [threading.Thread(target=work, args=(seed,)) for seed in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for seed, outcome in found.items():
        assert (outcome.accuracy, outcome.rate_hz) == (alone[seed].accuracy, alone[seed].rate_hz)


def test_the_test_set_is_not_opened(job: SweepJob, tmp_path: Path) -> None:
    config = changed(
        SHORT,
        data={"source": "files", "train_file": "train.h5", "test_file": "missing.h5", "channels": 14},
    )
    write_shd(tmp_path / "train.h5")
    with pytest.raises(DataError, match=r"missing.h5"):
        load_dataset(config.data, tmp_path, 0)
    data = load_fitting_data(config.data, tmp_path, 0)
    assert sorted(data.provenance) == ["data.train", "data.validation"]
    outcome = train_realisation(replace(job, data=tmp_path), Realisation(0, 0, config))
    assert outcome.data == data.provenance["data.train"]
    assert outcome.accuracy >= 0


def test_a_validation_file_is_among_the_data_that_must_stay_the_same(job: SweepJob, tmp_path: Path) -> None:
    files = {"train_file": "train.h5", "validation_file": "valid.h5", "source": "files", "channels": 14}
    config = changed(SHORT, data=files)
    write_shd(tmp_path / "train.h5")
    found = set()
    for trial, labels in enumerate([(0, 1, 0), (1, 1, 0)]):
        write_shd(tmp_path / "valid.h5", labels=labels)
        found.add(train_realisation(replace(job, data=tmp_path), Realisation(trial, 0, config)).data)
    assert len(found) == 2
    assert all("train.h5 sha256" in data and "valid.h5 sha256" in data for data in found)


def test_a_training_that_diverges_is_an_outcome(job: SweepJob, monkeypatch: pytest.MonkeyPatch) -> None:
    def diverge(*arguments: object, **options: object) -> None:
        raise DivergedError("the loss became nan")

    monkeypatch.setattr(sweep_work, "fit", diverge)
    assert train_realisation(job, Realisation(0, 0, SHORT)).failure == "the loss became nan"


def test_a_realisation_that_another_process_still_trains_is_waited_for(
    job: SweepJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep_work, "LOOK_AGAIN_S", 0.02)
    folder = job.realisation_folder(0, 0)
    other = FolderLock(folder, folder)
    found = []
    thread = threading.Thread(target=lambda: found.append(train_realisation(job, Realisation(0, 0, SHORT))))
    thread.start()
    time.sleep(0.3)
    assert not (folder / "checkpoint.pt").exists()
    other.release()
    thread.join()
    assert json.loads((folder / "metrics.json").read_text())["epochs"][-1]["epoch"] == 1
    assert len(found) == 1


def test_a_worker_that_differs_or_does_not_see_the_folder_is_refused(job: SweepJob, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"worker on .* has source = .*, the sweep another: install the same"):
        train_realisation(replace(job, environment={"source": "another"}), Realisation(0, 0, SHORT))
    with pytest.raises(SpecError, match=r"worker on .* does not see .*elsewhere: --out of a sweep must be a "):
        train_realisation(replace(job, folder=tmp_path / "elsewhere"), Realisation(0, 0, SHORT))
    assert not (tmp_path / "elsewhere").exists()


def test_divergence_is_raised_as_such(tmp_path: Path) -> None:
    wild = changed(optimiser={"weight_rate": 1e30, "gradient_norm": 1e30, "warm_up_share": 0.0})
    with pytest.raises(DivergedError, match="became"):
        fit(replace(wild, seed=0), load_dataset(SMALL.data, None, 0), 0, tmp_path, progress=False)
