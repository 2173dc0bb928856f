"""Which samples a network is trained on."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass

from spikebridge.training.config_fields import STRICT, Positive


@dataclass(frozen=True, config=STRICT)
class DataConfig:
    """Which samples, on which grid.

    Attributes:
        source: `files` reads SHD's HDF5 layout from the data folder; `manifolds` generates a timing-coded set.
        train_file, test_file: names inside the data folder, for `files`.
        validation_file: name of the file that chooses the epoch, for data sets that have one, as SSC does, and neither
            of the other two; where not set a part of the training samples is held out, see `validation_share`.
        file_channels: channels in the files (700 in SHD); pooled to `channels` by joining neighbours.
        duration_ms: samples are cut or padded to this; what a cut drops is counted and reported.
        step_ms: the grid of the export: validation, `reference.h5` and the comparison spike for spike run on it.
            Training runs on it too, unless `schedule.phases` says otherwise.
        validation_share: share of the training samples held out to choose the epoch; whole speakers where known.
        validation_speakers: hold out exactly these speakers instead of drawing them by seed.
        manifold_*: size of the generated set; its spikes lie in the first 60 % of `duration_ms`.
    """

    source: Literal["files", "manifolds"] = "files"
    train_file: str = "shd_train.h5"
    test_file: str = "shd_test.h5"
    validation_file: str | None = None
    file_channels: Annotated[int, Field(ge=1)] = 700
    channels: Annotated[int, Field(ge=1)] = 140
    duration_ms: Positive = 1000.0
    step_ms: Positive = 10.0
    validation_share: Annotated[float, Field(gt=0, lt=1)] = 0.2
    validation_speakers: tuple[int, ...] = ()
    manifold_classes: Annotated[int, Field(ge=2)] = 6
    manifold_samples_per_class: Annotated[int, Field(ge=5)] = 80
    manifold_test_samples_per_class: Annotated[int, Field(ge=1)] = 20
    manifold_seed: int = 0

    @model_validator(mode="after")
    def _one_source_of_validation(self) -> Self:
        if self.validation_file is not None and self.validation_speakers:
            raise ValueError(
                f"validation_file is {self.validation_file!r} and validation_speakers is "
                f"{list(self.validation_speakers)}: with a validation file nobody is held out; leave one of them out"
            )
        if self.validation_file in (self.train_file, self.test_file):
            raise ValueError(
                f"validation_file is {self.validation_file!r}, which is also train_file or test_file: samples that "
                "choose the epoch must be in neither; name another file, or leave validation_file out"
            )
        return self
