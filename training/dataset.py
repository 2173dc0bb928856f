"""From a configuration to samples: training, validation and test sets, with what cutting them to length lost."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from spikebridge.bridge.errors import ConfigError
from spikebridge.bridge.recording import Trials
from spikebridge.bridge.spikes import CropReport, Events, bin_events
from spikebridge.bridge.timing import timestep, whole_steps
from spikebridge.training.config import DataConfig
from spikebridge.training.data.labelled import LabelledEvents
from spikebridge.training.data.manifold import SplitName, random_manifolds
from spikebridge.training.data.pooling import pool_channels
from spikebridge.training.data.shd import read_shd
from spikebridge.training.data.split import Split, split_validation


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """Samples as events at their true times, put on a grid when a batch asks for it.

    Attributes:
        events: input spikes.
        labels: (samples,) int64.
        crop: what cutting samples to their duration lost.
        duration_ms: length of a sample.
    """

    events: Events
    labels: Tensor
    crop: CropReport
    duration_ms: float

    def counts(self, step_ms: float) -> Tensor:
        """All samples on a grid, as `dense_counts`."""
        return dense_counts(self.events, self.duration_ms, step_ms)


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """Everything a realisation reads. The test set is whole trials: it is read once, after the epoch is chosen."""

    train: Samples
    validation: Samples
    test: Trials
    split: Split
    class_names: tuple[str, ...]
    provenance: dict[str, str]


def load_dataset(config: DataConfig, folder: Path | None, seed: int) -> Dataset:
    """Read or generate the data and split off the validation set by `seed`.

    Args:
        config: which data.
        folder: where the files are; None where none are needed.
        seed: of the split.

    Raises:
        ConfigError: files are wanted but no folder was given.
        DataError: a file is missing or damaged.
    """
    fitted, test = read_events(config, folder)
    split = split_validation(
        fitted, fraction=config.validation_share, seed=seed, speakers=config.validation_speakers or None
    )
    trials = test.trials(split.fitted_speakers, split.held_out_speakers or ())
    return Dataset(
        train=_samples(fitted.select(split.train), config),
        validation=_samples(fitted.select(split.validation), config),
        test=trials,
        split=split,
        class_names=fitted.class_names,
        provenance={
            "data.train": f"{fitted.source} sha256 {fitted.source_sha256}",
            "data.test": f"{test.source} sha256 {test.source_sha256}",
            "data.validation": _describe(split),
        },
    )


def read_events(config: DataConfig, folder: Path | None) -> tuple[LabelledEvents, LabelledEvents]:
    """The samples to fit on and to test on, whole, channels pooled; arguments and errors as in `load_dataset`."""
    if config.source == "manifolds":
        sizes: tuple[tuple[SplitName, int], ...] = (
            ("train", config.manifold_samples_per_class),
            ("test", config.manifold_test_samples_per_class),
        )
        sets = [
            random_manifolds(
                n_classes=config.manifold_classes,
                n_channels=config.channels,
                samples_per_class=samples,
                duration_ms=0.6 * config.duration_ms,
                seed=config.manifold_seed,
                split=split,
            )
            for split, samples in sizes
        ]
        return sets[0], sets[1]
    if folder is None:
        raise ConfigError(
            f"the data are files ({config.train_file}, {config.test_file}): say where they are with --data FOLDER, or "
            "set data.source = 'manifolds' for the generated set"
        )
    files = [read_shd(folder / name, n_channels=config.file_channels) for name in (config.train_file, config.test_file)]
    if files[0].class_names != files[1].class_names:
        only = sorted(set(files[0].class_names) ^ set(files[1].class_names))
        raise ConfigError(
            f"{config.train_file} and {config.test_file} have different classes (in one of them only: {only}); give "
            "files of the same data set, or name its classes in `extra/keys` of both"
        )
    pooled = [
        LabelledEvents(
            pool_channels(data.events, config.channels),
            data.labels,
            data.speakers,
            data.class_names,
            data.source,
            data.source_sha256,
        )
        for data in files
    ]
    return pooled[0], pooled[1]


def _samples(data: LabelledEvents, config: DataConfig) -> Samples:
    _, crop = bin_events(data.events, config.step_ms, whole_steps("duration", config.duration_ms, config.step_ms))
    return Samples(data.events, torch.from_numpy(data.labels.copy()), crop, config.duration_ms)


def _describe(split: Split) -> str:
    how = f"{split.validation.size} of {split.validation.size + split.train.size} training samples, {split.method}"
    return how if split.held_out_speakers is None else f"{how}: {sorted(map(int, split.held_out_speakers))}"


def dense_counts(events: Events, duration_ms: float, step_ms: float) -> Tensor:
    """Spike counts on a grid, (samples, steps, channels) float32: the bins of `bin_events`, unsorted."""
    shape = (events.n_samples, whole_steps("duration", duration_ms, step_ms), events.n_channels)
    # What lies far past the end would not fit into an integer.
    step = timestep(np.minimum(events.time_s * 1000.0, 2 * duration_ms), step_ms)
    kept = step < shape[1]
    place = (events.sample * shape[1] + step) * shape[2] + events.channel
    dense = np.bincount(place[kept], minlength=int(np.prod(shape))).astype(np.float32)
    return torch.from_numpy(dense.reshape(shape))
