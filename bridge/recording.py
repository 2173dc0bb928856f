"""What an executor did with a network: spikes, readout and the inputs that caused them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np

from spikebridge.bridge.arrays import BoolArray, FloatArray, IntArray, frozen_int_vector
from spikebridge.bridge.decoding import decide
from spikebridge.bridge.errors import SpecError
from spikebridge.bridge.spikes import Events, SpikeTrains


@dataclass(frozen=True, slots=True, eq=False)
class Trials:
    """The samples that were presented: the same object for every executor.

    Attributes:
        events: input spikes at their true times.
        labels: (S,) true class.
        class_names: one per class.
        speakers: (S,) who spoke, or None where unknown.
        seen: (S,) whether the weights were fitted on samples of that speaker, or None where speakers are unknown.
        held_out: (S,) whether the epoch was chosen on samples of that speaker, who is then neither seen nor unseen.
        source: file name (without its folder) or generator of the samples.
        source_sha256: checksum of that file, or of the generated arrays.
    """

    events: Events
    labels: IntArray
    class_names: tuple[str, ...]
    speakers: IntArray | None
    seen: BoolArray | None
    source: str
    source_sha256: str
    held_out: BoolArray | None = None

    def __post_init__(self) -> None:
        n = self.events.n_samples
        object.__setattr__(self, "labels", frozen_int_vector("labels", self.labels))
        if self.speakers is not None:
            object.__setattr__(self, "speakers", frozen_int_vector("speakers", self.speakers))
        if (self.speakers is None) != (self.seen is None):
            raise SpecError("speakers and seen go together: give both or neither")
        for name in ("labels", "speakers", "seen", "held_out"):
            value = getattr(self, name)
            if value is not None and value.shape != (n,):
                raise SpecError(f"{name} has shape {value.shape}, but there are {n} samples")
        if self.held_out is not None and (self.seen is None or (self.seen & self.held_out).any()):
            raise SpecError("a sample cannot be of a speaker that was fitted on and held out, or held out and unknown")
        if n and (self.labels.min() < 0 or self.labels.max() >= len(self.class_names)):
            raise SpecError(f"labels must be 0 .. {len(self.class_names) - 1}")

    @property
    def n_samples(self) -> int:
        """Number of samples."""
        return self.events.n_samples

    def select(self, samples: IntArray) -> Trials:
        """The given samples (indices), in the given order."""
        return Trials(
            self.events.select(samples),
            self.labels[samples],
            self.class_names,
            None if self.speakers is None else self.speakers[samples],
            None if self.seen is None else self.seen[samples],
            self.source,
            self.source_sha256,
            None if self.held_out is None else self.held_out[samples],
        )


@dataclass(frozen=True, slots=True, eq=False)
class RecordingHeader:
    """What a recording says of all its samples: everything but spikes, scores and readout.

    Attributes:
        executor: for example `pytorch`, `numpy`, `brian2-numpy`, `brian2-cpp`.
        network_sha256: content checksum of the network that ran.
        step_ms, n_steps: the executor's grid.
        trials: the inputs with labels.
        provenance: versions, seeds, options.
    """

    executor: str
    network_sha256: str
    step_ms: float
    n_steps: int
    trials: Trials
    provenance: Mapping[str, str]

    def __post_init__(self) -> None:
        object.__setattr__(self, "provenance", MappingProxyType(dict(self.provenance)))


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """What one executor did on some trials, on its own grid.

    Attributes:
        executor: for example `pytorch`, `numpy`, `brian2-numpy`, `brian2-cpp`.
        network_sha256: content checksum of the network that ran.
        step_ms, n_steps: the executor's grid.
        trials: the inputs with labels; the inputs as the executor saw them are `bin_events(trials.events, ...)`.
        spikes: per spiking population, in the network's order.
        scores: (S, C) from the network's decoding rule.
        readout: (S, T, C) potentials after each step's propagation, or None if they were decoded on the fly.
        provenance: versions, seeds, options.
    """

    executor: str
    network_sha256: str
    step_ms: float
    n_steps: int
    trials: Trials
    spikes: Mapping[str, SpikeTrains]
    scores: FloatArray
    readout: FloatArray | None
    provenance: Mapping[str, str]

    def __post_init__(self) -> None:
        object.__setattr__(self, "spikes", MappingProxyType(dict(self.spikes)))
        object.__setattr__(self, "provenance", MappingProxyType(dict(self.provenance)))
        n = self.trials.n_samples
        for name, trains in self.spikes.items():
            if (trains.n_samples, trains.n_steps, trains.step_ms) != (n, self.n_steps, self.step_ms):
                raise SpecError(
                    f"population {name!r} was recorded on {trains.n_samples} samples x {trains.n_steps} steps of "
                    f"{trains.step_ms} ms, the recording on {n} x {self.n_steps} of {self.step_ms} ms"
                )
        classes = len(self.trials.class_names)
        if self.scores.shape != (n, classes):
            raise SpecError(f"scores have shape {self.scores.shape}, expected {(n, classes)}")
        if self.readout is not None and self.readout.shape != (n, self.n_steps, classes):
            raise SpecError(f"readout has shape {self.readout.shape}, expected {(n, self.n_steps, classes)}")
        if not np.isfinite(self.scores).all():
            raise SpecError("scores are not finite: the simulation diverged")

    def select(self, samples: IntArray) -> Recording:
        """The given samples (indices), in the given order."""
        return replace(
            self,
            trials=self.trials.select(samples),
            spikes={name: trains.select(samples) for name, trains in self.spikes.items()},
            scores=self.scores[samples],
            readout=None if self.readout is None else self.readout[samples],
        )

    @property
    def header(self) -> RecordingHeader:
        """Everything but spikes, scores and readout."""
        return RecordingHeader(
            self.executor, self.network_sha256, self.step_ms, self.n_steps, self.trials, self.provenance
        )

    @property
    def decisions(self) -> IntArray:
        """(S,) the class each sample was assigned to."""
        return decide(self.scores)

    @property
    def duration_s(self) -> float:
        """Seconds per sample."""
        return self.n_steps * self.step_ms / 1000.0
