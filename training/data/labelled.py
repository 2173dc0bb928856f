"""Whole spike events with a class, and where known a speaker, per sample: what every data source yields."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from spikebridge.bridge.arrays import IntArray, frozen_int_vector
from spikebridge.bridge.errors import SpecError
from spikebridge.bridge.recording import Trials
from spikebridge.bridge.spikes import Events


@dataclass(frozen=True, slots=True, eq=False)
class LabelledEvents:
    """Samples of a classification task, as events in continuous time.

    Attributes:
        events: S samples, nothing dropped and nothing binned.
        labels: (S,) class of each sample, 0 .. n_classes - 1.
        speakers: (S,) who spoke, or None where unknown. A number means the same speaker in every file of a data set.
        class_names: one per class, also for classes that no sample has.
        source: file name (without its folder) or generator of the samples.
        source_sha256: checksum of that file, or of the generated arrays.

    Raises:
        SpecError: shapes do not fit, or a label has no class.
    """

    events: Events
    labels: IntArray
    speakers: IntArray | None
    class_names: tuple[str, ...]
    source: str
    source_sha256: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "labels", frozen_int_vector("labels", self.labels))
        object.__setattr__(self, "class_names", tuple(self.class_names))
        if self.speakers is not None:
            object.__setattr__(self, "speakers", frozen_int_vector("speakers", self.speakers))
        for name, values in (("labels", self.labels), ("speakers", self.speakers)):
            if values is not None and values.size != self.n_samples:
                raise SpecError(f"{values.size} {name}, but there are {self.n_samples} samples")
        if self.labels.size and (self.labels.min() < 0 or self.labels.max() >= self.n_classes):
            raise SpecError(
                f"labels must be 0 .. {self.n_classes - 1}, found {self.labels.min()} .. {self.labels.max()}"
            )

    @property
    def n_samples(self) -> int:
        """Number of samples, S."""
        return self.events.n_samples

    @property
    def n_classes(self) -> int:
        """Number of classes, named ones that no sample has included."""
        return len(self.class_names)

    def select(self, samples: npt.ArrayLike) -> Self:
        """The given samples (indices or a boolean mask), in the given order; the source stays the whole file's."""
        index = np.asarray(samples)
        if index.size == 0:  # an empty list is an array of floats, which cannot index
            index = index.astype(np.int64)
        return type(self)(
            self.events.select(index),
            self.labels[index],
            None if self.speakers is None else self.speakers[index],
            self.class_names,
            self.source,
            self.source_sha256,
        )

    def trials(self, fitted_speakers: Collection[int] | None, held_out_speakers: Collection[int] = ()) -> Trials:
        """These samples as the trials that every executor is presented with.

        Args:
            fitted_speakers: the speakers whose samples the weights were fitted on, or None where that is unknown; then
                whether a speaker was seen is unknown too, and the trials carry no speakers.
            held_out_speakers: the speakers on whose samples the epoch was chosen.

        Raises:
            SpecError: speakers were fitted on, but these samples do not say who spoke.
        """
        if fitted_speakers is not None and self.speakers is None:
            raise SpecError(f"{self.source} names no speakers, so none can be called seen; give fitted_speakers=None")
        speakers = None if fitted_speakers is None else self.speakers
        return Trials(
            events=self.events,
            labels=self.labels,
            class_names=self.class_names,
            speakers=speakers,
            seen=None if speakers is None else np.isin(speakers, sorted(fitted_speakers or ())),
            source=self.source,
            source_sha256=self.source_sha256,
            held_out=None if speakers is None else np.isin(speakers, sorted(held_out_speakers)),
        )
