"""Spikes of many samples: as events in continuous time, and on a grid of integer steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from spikebridge.bridge.arrays import FloatArray, Int32Array, IntArray, frozen_int_vector
from spikebridge.bridge.errors import SpecError
from spikebridge.bridge.timing import timestep


def _check_offsets(offsets: IntArray, n_events: int) -> None:
    if offsets.size == 0 or offsets[0] != 0 or offsets[-1] != n_events or (np.diff(offsets) < 0).any():
        raise SpecError(
            f"offsets must rise from 0 to the number of events ({n_events}); one more than there are samples"
        )


@dataclass(frozen=True, slots=True, eq=False)
class Events:
    """Spike events in continuous time, ragged over samples.

    Attributes:
        time_s: (E,) spike times in seconds from the sample's start, at least 0, finite.
        channel: (E,) which input channel, 0 .. n_channels - 1.
        offsets: (S + 1,) sample s owns events `offsets[s]:offsets[s + 1]`.
        n_channels: number of channels.
    """

    time_s: FloatArray
    channel: Int32Array
    offsets: IntArray
    n_channels: int

    def __post_init__(self) -> None:
        time_s = np.array(self.time_s, dtype=np.float64)
        time_s.setflags(write=False)
        object.__setattr__(self, "time_s", time_s)
        object.__setattr__(self, "channel", frozen_int_vector("channel", self.channel, dtype=np.int32))
        object.__setattr__(self, "offsets", frozen_int_vector("offsets", self.offsets))
        if time_s.shape != self.channel.shape:
            raise SpecError(f"{time_s.size} times but {self.channel.size} channels")
        _check_offsets(self.offsets, time_s.size)
        if not np.isfinite(time_s).all() or (time_s < 0).any():
            raise SpecError("event times must be finite and not negative")
        if self.channel.size and (self.channel.min() < 0 or self.channel.max() >= self.n_channels):
            raise SpecError(f"event channels must be 0 .. {self.n_channels - 1}")

    @property
    def n_samples(self) -> int:
        """Number of samples."""
        return int(self.offsets.size - 1)

    @property
    def sample(self) -> IntArray:
        """(E,) the sample each event belongs to."""
        return np.repeat(np.arange(self.n_samples, dtype=np.int64), np.diff(self.offsets))

    def select(self, samples: npt.ArrayLike) -> Self:
        """The given samples (indices or a boolean mask), in the given order."""
        picked, offsets = _select(self.offsets, samples)
        return type(self)(self.time_s[picked], self.channel[picked], offsets, self.n_channels)


@dataclass(frozen=True, slots=True, eq=False)
class SpikeTrains:
    """Spikes of one population on a grid, ragged over samples; an entry that repeats is a count above one.

    Sorted by sample, then step, then neuron, so that two equal sets of spikes are equal arrays.

    Attributes:
        step: (E,) the step in which the spike was emitted, 0 .. n_steps - 1.
        neuron: (E,) which neuron, 0 .. n_neurons - 1.
        offsets: (S + 1,) sample s owns entries `offsets[s]:offsets[s + 1]`.
        n_steps: steps per sample.
        n_neurons: size of the population.
        step_ms: length of a step in milliseconds.
    """

    step: Int32Array
    neuron: Int32Array
    offsets: IntArray
    n_steps: int
    n_neurons: int
    step_ms: float

    def __post_init__(self) -> None:
        step = frozen_int_vector("step", self.step, dtype=np.int32)
        neuron = frozen_int_vector("neuron", self.neuron, dtype=np.int32)
        offsets = frozen_int_vector("offsets", self.offsets)
        if step.shape != neuron.shape:
            raise SpecError(f"{step.size} steps but {neuron.size} neurons")
        _check_offsets(offsets, step.size)
        if self.step_ms <= 0 or not np.isfinite(self.step_ms):
            raise SpecError(f"step_ms is {self.step_ms}; it must be above 0")
        for name, values, bound in (("step", step, self.n_steps), ("neuron", neuron, self.n_neurons)):
            if values.size and (values.min() < 0 or values.max() >= bound):
                raise SpecError(f"{name} must be 0 .. {bound - 1}, found {values.min()} .. {values.max()}")
        sample = np.repeat(np.arange(offsets.size - 1), np.diff(offsets))
        if not _is_sorted(sample, step, neuron):
            order = _sorting(sample, step, neuron, self.n_steps, self.n_neurons)
            step, neuron = step[order], neuron[order]
        for name, values in (("step", step), ("neuron", neuron), ("offsets", offsets)):
            values.setflags(write=False)
            object.__setattr__(self, name, values)

    @property
    def n_samples(self) -> int:
        """Number of samples."""
        return int(self.offsets.size - 1)

    @property
    def n_spikes(self) -> int:
        """Number of spikes over all samples, counts included."""
        return int(self.step.size)

    @property
    def sample(self) -> IntArray:
        """(E,) the sample each spike belongs to."""
        return np.repeat(np.arange(self.n_samples, dtype=np.int64), np.diff(self.offsets))

    @property
    def duration_s(self) -> float:
        """Seconds per sample."""
        return self.n_steps * self.step_ms / 1000.0

    @property
    def time_ms(self) -> FloatArray:
        """(E,) time of each spike in ms: the start of its step."""
        return self.step.astype(np.float64) * self.step_ms

    @property
    def centre_ms(self) -> FloatArray:
        """(E,) the middle of each spike's step in ms, (k + 1/2) h: `crossing_ms` of neurons with smooth potentials."""
        return self.crossing_ms(0.5)

    def crossing_ms(self, within_step: float) -> FloatArray:
        """(E,) when each spike crossed the threshold, in ms: (k + `within_step`) h, by which grids are compared.

        The threshold is tested after the propagation from k h to (k + 1) h, so that a spike of step k is a crossing
        within (k h, (k + 1) h]: on average in the middle of it (1/2) where the potential is smooth. A jump that was
        delivered at the end of step k - 1 crosses at k h (0), at the start of the step that finds it above. Any other
        value is off by a part of the step, more the coarser the grid is.

        Raises:
            SpecError: `within_step` is not 0 .. 1.
        """
        if not 0 <= within_step <= 1:
            raise SpecError(f"within_step is {within_step}; a crossing lies within its step, at 0 .. 1 of it")
        return (self.step.astype(np.float64) + within_step) * self.step_ms

    def select(self, samples: npt.ArrayLike) -> Self:
        """The given samples (indices or a boolean mask), in the given order."""
        picked, offsets = _select(self.offsets, samples)
        return type(self)(self.step[picked], self.neuron[picked], offsets, self.n_steps, self.n_neurons, self.step_ms)

    def counts(self, dtype: npt.DTypeLike = np.int32) -> npt.NDArray[np.generic]:
        """Dense counts, shape (samples, steps, neurons). Select a batch first: this is S x T x N values.

        Raises:
            SpecError: a count is too large for an integer `dtype`.
        """
        shape = (self.n_samples, self.n_steps, self.n_neurons)
        flat = (self.sample * self.n_steps + self.step) * self.n_neurons + self.neuron
        counts = np.bincount(flat, minlength=int(np.prod(shape))).reshape(shape)
        kind = np.dtype(dtype)
        if kind.kind in "iu" and counts.size and counts.max() > np.iinfo(kind).max:
            raise SpecError(f"a count of {counts.max()} does not fit {kind}; ask for a wider type")
        return counts.astype(kind)

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """The samples of all parts, at least one, in order; all on one grid."""
        first = parts[0]
        lengths = np.concatenate([np.diff(part.offsets) for part in parts])
        return cls(
            np.concatenate([part.step for part in parts]),
            np.concatenate([part.neuron for part in parts]),
            np.concatenate([[0], np.cumsum(lengths)]),
            first.n_steps,
            first.n_neurons,
            first.step_ms,
        )

    @classmethod
    def from_counts(cls, counts: npt.NDArray[np.generic], step_ms: float) -> Self:
        """The inverse of `counts`: shape (samples, steps, neurons), whole numbers of at least 0."""
        samples, n_steps, n_neurons = counts.shape
        sample, step, neuron = np.nonzero(counts)
        repeats = counts[sample, step, neuron]
        whole = repeats.astype(np.int64)
        if (whole != repeats).any() or (whole < 0).any():
            raise SpecError("spike counts must be whole numbers of at least 0")
        offsets = np.zeros(samples + 1, dtype=np.int64)
        np.cumsum(np.bincount(np.repeat(sample, whole), minlength=samples), out=offsets[1:])
        return cls(np.repeat(step, whole), np.repeat(neuron, whole), offsets, n_steps, n_neurons, step_ms)


def _sorting(sample: IntArray, step: Int32Array, neuron: Int32Array, n_steps: int, n_neurons: int) -> IntArray:
    """What sorts by sample, then step, then neuron.

    Spikes come nearly sorted, and one key per spike is then sorted some 20 times as fast as three.
    """
    if (int(sample[-1]) + 1) * n_steps * n_neurons >= 2**63:
        return np.lexsort((neuron, step, sample)).astype(np.int64)
    return np.argsort((sample * n_steps + step) * n_neurons + neuron, kind="stable").astype(np.int64)


def _is_sorted(sample: IntArray, step: npt.NDArray[np.integer], neuron: npt.NDArray[np.integer]) -> bool:
    """Whether spikes are in order, as those selected from sorted ones are; sorting takes ten times as long."""
    later = (sample[1:] > sample[:-1]) | (step[1:] > step[:-1])
    same = (step[1:] == step[:-1]) & (neuron[1:] >= neuron[:-1])
    return bool((later | same).all())


def _select(offsets: IntArray, samples: npt.ArrayLike) -> tuple[IntArray, IntArray]:
    """Positions of the events of `samples`, and the offsets of the selection."""
    index = np.asarray(samples)
    if index.dtype == np.bool_:
        index = np.flatnonzero(index)
    index = index.astype(np.int64)
    lengths = np.diff(offsets)[index]
    new_offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    starts = np.repeat(offsets[:-1][index] - new_offsets[:-1], lengths)
    return starts + np.arange(new_offsets[-1], dtype=np.int64), new_offsets


@dataclass(frozen=True, slots=True)
class CropReport:
    """What cutting samples to a fixed duration lost."""

    spikes: int
    spikes_dropped: int
    samples: int
    samples_cropped: int

    def __str__(self) -> str:
        share = self.spikes_dropped / self.spikes if self.spikes else 0.0
        return (
            f"{self.spikes_dropped} of {self.spikes} spikes ({share:.3%}) lie past the end, "
            f"in {self.samples_cropped} of {self.samples} samples"
        )


def bin_events(events: Events, step_ms: float, n_steps: int) -> tuple[SpikeTrains, CropReport]:
    """Put events on a grid: an event at time t belongs to step `timestep(t)`, counts above one are kept.

    Returns:
        The binned spikes, and what lay at or past `n_steps` and was dropped.
    """
    # What lies far past the end would not fit into an integer.
    step = timestep(np.minimum(events.time_s * 1000.0, (n_steps + 1) * step_ms), step_ms)
    kept = step < n_steps
    sample = events.sample
    offsets = np.zeros(events.n_samples + 1, dtype=np.int64)
    np.cumsum(np.bincount(sample[kept], minlength=events.n_samples), out=offsets[1:])
    trains = SpikeTrains(
        step[kept].astype(np.int32), events.channel[kept], offsets, n_steps, events.n_channels, step_ms
    )
    dropped = int((~kept).sum())
    cropped = int(np.unique(sample[~kept]).size)
    return trains, CropReport(events.time_s.size, dropped, events.n_samples, cropped)
