"""From a configuration to samples: training, validation and test sets, with what cutting them to length lost."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from spikebridge.bridge.arrays import Int32Array, IntArray
from spikebridge.bridge.errors import ConfigError, DataError
from spikebridge.bridge.recording import Trials
from spikebridge.bridge.spikes import CropReport, Events, bin_events
from spikebridge.bridge.timing import timestep, whole_steps
from spikebridge.training.compiled import compiled
from spikebridge.training.config_data import DataConfig
from spikebridge.training.data.labelled import LabelledEvents
from spikebridge.training.data.manifold import SplitName, random_manifolds
from spikebridge.training.data.pooling import pool_channels
from spikebridge.training.data.shd import read_shd
from spikebridge.training.data.split import Split, given_validation, split_validation


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


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class FittingData:
    """What training reads: samples to fit on, and others that choose the epoch."""

    train: Samples
    validation: Samples
    split: Split
    class_names: tuple[str, ...]
    provenance: dict[str, str]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Dataset(FittingData):
    """Everything a realisation reads. The test set is whole trials: it is read once, after the epoch is chosen."""

    test: Trials


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
    data = _fitting(fitted, config, folder, seed)
    return Dataset(
        train=data.train,
        validation=data.validation,
        test=test.trials(data.split.fitted_speakers, data.split.held_out_speakers or ()),
        split=data.split,
        class_names=data.class_names,
        provenance=data.provenance | {"data.test": f"{test.source} sha256 {test.source_sha256}"},
    )


def load_fitting_data(config: DataConfig, folder: Path | None, seed: int) -> FittingData:
    """As `load_dataset`, without the test set: its file is not opened."""
    if config.source == "manifolds":
        return _fitting(_generated(config, "train", config.manifold_samples_per_class), config, folder, seed)
    if folder is None:
        raise _no_folder(config)
    return _fitting(_read_file(config.train_file, config, folder), config, folder, seed)


def require_fitting_files(config: DataConfig, folder: Path | None, *, look: bool = True) -> None:
    """Refuse what `load_fitting_data` would, as far as that is seen without reading the files.

    Args:
        config: which files.
        folder: that holds them.
        look: whether `folder` is one of this machine, so that its files can be looked for.

    Raises:
        ConfigError: the data are files and no folder was named.
        DataError: one of them is missing.
    """
    if config.source != "files":
        return
    if folder is None:
        raise _no_folder(config)
    for name in (config.train_file, config.validation_file):
        if look and name is not None and not (folder / name).is_file():
            raise DataError("no such file; check the path, or download the data first", path=folder / name)


def _fitting(fitted: LabelledEvents, config: DataConfig, folder: Path | None, seed: int) -> FittingData:
    split, validation = _validation(fitted, config, folder, seed)
    return FittingData(
        train=_samples(fitted.select(split.train), config),
        validation=_samples(validation, config),
        split=split,
        class_names=fitted.class_names,
        provenance={
            "data.train": f"{fitted.source} sha256 {fitted.source_sha256}",
            "data.validation": _describe(split, validation),
        },
    )


def _validation(
    fitted: LabelledEvents, config: DataConfig, folder: Path | None, seed: int
) -> tuple[Split, LabelledEvents]:
    if config.validation_file is not None and config.source == "files" and folder is not None:
        validation = _read_file(config.validation_file, config, folder)
        _require_same_classes(fitted, config.train_file, validation, config.validation_file)
        return given_validation(fitted, validation), validation
    split = split_validation(
        fitted, fraction=config.validation_share, seed=seed, speakers=config.validation_speakers or None
    )
    return split, fitted.select(split.validation)


def read_events(config: DataConfig, folder: Path | None) -> tuple[LabelledEvents, LabelledEvents]:
    """The samples to fit on and to test on, whole, channels pooled; arguments and errors as in `load_dataset`."""
    if config.source == "manifolds":
        return (
            _generated(config, "train", config.manifold_samples_per_class),
            _generated(config, "test", config.manifold_test_samples_per_class),
        )
    if folder is None:
        raise _no_folder(config)
    fitted, test = (_read_file(name, config, folder) for name in (config.train_file, config.test_file))
    _require_same_classes(fitted, config.train_file, test, config.test_file)
    return fitted, test


def _generated(config: DataConfig, split: SplitName, samples: int) -> LabelledEvents:
    return random_manifolds(
        n_classes=config.manifold_classes,
        n_channels=config.channels,
        samples_per_class=samples,
        duration_ms=0.6 * config.duration_ms,
        seed=config.manifold_seed,
        split=split,
    )


def _no_folder(config: DataConfig) -> ConfigError:
    return ConfigError(
        f"the data are files ({config.train_file}, {config.test_file}): say where they are with --data FOLDER, or set "
        "data.source = 'manifolds' for the generated set"
    )


def _read_file(name: str, config: DataConfig, folder: Path) -> LabelledEvents:
    data = read_shd(folder / name, n_channels=config.file_channels)
    return LabelledEvents(
        pool_channels(data.events, config.channels),
        data.labels,
        data.speakers,
        data.class_names,
        data.source,
        data.source_sha256,
    )


def _require_same_classes(first: LabelledEvents, first_name: str, second: LabelledEvents, second_name: str) -> None:
    if first.class_names != second.class_names:
        only = sorted(set(first.class_names) ^ set(second.class_names))
        raise ConfigError(
            f"{first_name} and {second_name} have different classes (in one of them only: {only}); give files of the "
            "same data set, or name its classes in `extra/keys` of both"
        )


def _samples(data: LabelledEvents, config: DataConfig) -> Samples:
    _, crop = bin_events(data.events, config.step_ms, whole_steps("duration", config.duration_ms, config.step_ms))
    return Samples(data.events, torch.from_numpy(data.labels.copy()), crop, config.duration_ms)


def _describe(split: Split, validation: LabelledEvents) -> str:
    if split.method == "file":
        return f"{validation.source} sha256 {validation.source_sha256}"
    how = f"{split.validation.size} of {split.validation.size + split.train.size} training samples, {split.method}"
    return how if split.held_out_speakers is None else f"{how}: {sorted(map(int, split.held_out_speakers))}"


def dense_counts(events: Events, duration_ms: float, step_ms: float, device: torch.device | None = None) -> Tensor:
    """Spike counts on a grid, (samples, steps, channels) float32: the bins of `bin_events`, unsorted.

    Args:
        events: the samples.
        duration_ms: their length; what comes later is left out.
        step_ms: the grid.
        device: where the counts are wanted; None is the processor.
    """
    shape = (events.n_samples, whole_steps("duration", duration_ms, step_ms), events.n_channels)
    if device is not None and device.type != "cpu":
        return counts_on(device, events, shape, duration_ms, step_ms)
    # What lies far past the end would not fit into an integer.
    step = timestep(np.minimum(events.time_s * 1000.0, 2 * duration_ms), step_ms)
    counts = torch.zeros(shape, dtype=torch.float32)
    _count(events.offsets, step, events.channel, counts.numpy())
    return counts


@compiled
def _count(offsets: IntArray, step: IntArray, channel: Int32Array, counts: npt.NDArray[np.float32]) -> None:
    """Add 1 for every event before the end; float32 is exact as far as a count goes."""
    for sample in range(counts.shape[0]):
        for event in range(offsets[sample], offsets[sample + 1]):
            if step[event] < counts.shape[1]:
                counts[sample, step[event], channel[event]] += 1


def counts_on(
    device: torch.device, events: Events, shape: tuple[int, int, int], duration_ms: float, step_ms: float
) -> Tensor:
    """The same counts, in this shape, put on the grid by a GPU: the same operations in double precision, in order."""
    samples, steps, channels = shape
    time_s, channel = (torch.tensor(values, device=device) for values in (events.time_s, events.channel))
    per_sample = torch.tensor(np.diff(events.offsets), device=device)
    sample = torch.repeat_interleave(per_sample, output_size=len(time_s))
    # By a number on the GPU: one of the processor is turned over first and multiplied with, which rounds otherwise.
    width_ms = torch.tensor(step_ms, dtype=torch.float64, device=device)
    step = ((torch.clamp(time_s * 1000.0, max=2 * duration_ms) + 1e-3 * step_ms) / width_ms).long()
    # What lies past the end is counted behind everything else: leaving it out would wait for how much it is.
    place = torch.where(step < steps, (sample * steps + step) * channels + channel, samples * steps * channels)
    counts = torch.bincount(place, minlength=samples * steps * channels + 1)
    return counts[:-1].view(shape).float()
