"""How far apart two populations' spikes are in time, on whatever grids: the distance of van Rossum.

Elephant's `van_rossum_distance` takes one list of trains and compares each with each. Here every train of one executor
has one counterpart, in up to hundreds of thousands of pairs, so that the same sums are formed for all pairs at once
(the recursion of Houghton & Kreuz 2012, Network 23:48, which Elephant uses within a pair); a test compares the two.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spikebridge.bridge.arrays import FloatArray, IntArray
from spikebridge.bridge.errors import SpecError
from spikebridge.bridge.spikes import SpikeTrains

TIME_CONSTANT_MS = 10.0


@dataclass(frozen=True, slots=True, eq=False)
class VanRossum:
    """Squared distances of all trains (a neuron in a sample, `sample * n_neurons + neuron`), each of shape (K,).

    In Elephant's normalisation a train with one spike has the distance 1 from the empty one.

    Attributes:
        apart: between the two trains.
        reference, other: of each from the empty train.
    """

    apart: FloatArray
    reference: FloatArray
    other: FloatArray

    @property
    def normalised(self) -> float:
        """sqrt(sum of `apart` / (sum of `reference` + sum of `other`)), 0 .. 1.

        0: all trains are the same, also where all are empty. 1: no spike has one of the other executor in its
        neighbourhood (within a few time constants), or only one of the two fires at all.
        """
        largest = float(self.reference.sum() + self.other.sum())
        # Sums of different terms: without a counterpart, rounding could leave them a last bit above 1.
        return min(1.0, float(np.sqrt(self.apart.sum() / largest))) if largest else 0.0


def van_rossum(
    reference: SpikeTrains,
    other: SpikeTrains,
    time_constant_ms: float = TIME_CONSTANT_MS,
    *,
    within_step: float = 0.5,
) -> VanRossum:
    """Distance of van Rossum 2001 (Neural Comput. 13:751) of every train of two populations.

    Each train is convolved with exp(-t / tau), t >= 0; the squared distance is 2 / tau times the integral of the
    squared difference, which is sum_ij s_i s_j exp(-|t_i - t_j| / tau) over the spikes of both, s being +1 in one
    train and -1 in the other. Two single spikes d apart: 2 (1 - exp(-d / tau)).

    Args:
        reference: one executor's spikes.
        other: the other's, of the same samples and neurons, on any grid.
        time_constant_ms: tau.
        within_step: where in its step a spike is, 0 .. 1 (`SpikeTrains.crossing_ms`).

    Raises:
        SpecError: numbers of samples or neurons differ, the time constant is not above 0, or `within_step` not 0 .. 1.
    """
    require_same_trains(reference, other)
    if not (np.isfinite(time_constant_ms) and time_constant_ms > 0):
        raise SpecError(f"the time constant of a van Rossum distance is {time_constant_ms} ms; it must be above 0")
    n_trains = reference.n_samples * reference.n_neurons
    train = np.concatenate([train_of_spike(trains) for trains in (reference, other)])
    time_ms = np.concatenate([trains.crossing_ms(within_step) for trains in (reference, other)])
    # One column per sum: the difference, the reference alone, the other alone.
    signs = np.repeat([[1.0, 1.0, 0.0], [-1.0, 0.0, 1.0]], [reference.n_spikes, other.n_spikes], axis=0)
    order = np.lexsort((time_ms, train))
    train, signs = train[order], signs[order]
    # sum_ij = sum_i s_i (s_i + 2 sum of the earlier ones, decayed).
    terms = signs * (signs + 2.0 * _earlier(train, time_ms[order] / time_constant_ms, signs))
    sums = [np.bincount(train, weights=column, minlength=n_trains) for column in terms.T]
    # Rounding may leave the last bit of a difference of 0.
    return VanRossum(*(np.maximum(column, 0.0) for column in sums))


def require_same_trains(reference: SpikeTrains, other: SpikeTrains) -> None:
    """Both have the same number of samples and neurons, so that every train has its counterpart.

    Raises:
        SpecError: with both shapes.
    """
    shapes = [(trains.n_samples, trains.n_neurons) for trains in (reference, other)]
    if shapes[0] != shapes[1]:
        raise SpecError(f"trains of {shapes[0]} samples x neurons cannot be compared with those of {shapes[1]}")


def train_of_spike(trains: SpikeTrains) -> IntArray:
    """(E,) which train each spike belongs to: `sample * n_neurons + neuron`."""
    return np.asarray(trains.sample * trains.n_neurons + trains.neuron, dtype=np.int64)


def _earlier(train: IntArray, time: FloatArray, signs: FloatArray) -> FloatArray:
    """(E, C) sum over the earlier spikes j of the same train of s_j exp(-(t_i - t_j)); sorted by train, then time."""
    sums = np.zeros_like(signs)
    _, start, count = np.unique(train, return_index=True, return_counts=True)
    # The second spikes of all trains at once, then the third ones: as many passes as the busiest train has spikes.
    for rank in range(1, int(count.max(initial=0))):
        here = start[count > rank] + rank
        decay = np.exp(time[here - 1] - time[here])
        sums[here] = (sums[here - 1] + signs[here - 1]) * decay[:, None]
    return sums
