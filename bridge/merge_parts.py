"""Parts of a recording, put into the order of samples with a bounded amount of memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise, product

import h5py
import numpy as np

from spikebridge.bridge.arrays import IntArray
from spikebridge.bridge.part_file import StoredPart
from spikebridge.bridge.sample_blocks import Block, ReadoutSource, SampleSource

WINDOW_BYTES = 8 * 1024 * 1024
"""Spikes that are in memory at a time, and once more as read from a part; those of one sample if that is more."""
BYTES_PER_SPIKE = 8


def merged(parts: Sequence[StoredPart], n_samples: int) -> SampleSource:
    """All samples in order. Spikes are read a window at a time, the readout goes from file to file as it is.

    Args:
        parts: at least one, of one layout; together every sample of 0 .. n_samples - 1 once, in any order.
        n_samples: number of samples.
    """
    layout = parts[0].layout
    offsets = {name: np.zeros(n_samples + 1, dtype=np.int64) for name, _ in layout.n_neurons}
    scores = np.empty((n_samples, layout.classes))
    for part in parts:
        scores[part.samples] = part.scores
        for name, counted in offsets.items():
            counted[part.samples + 1] = np.diff(part.offsets[name])
    for counted in offsets.values():
        np.cumsum(counted, out=counted)

    def fill(readout: h5py.Dataset) -> None:
        for part in parts:
            _copy_readout(part, readout)

    return SampleSource(
        offsets=offsets,
        n_neurons=dict(layout.n_neurons),
        blocks=(_gathered(parts, offsets, start, stop) for start, stop in pairwise(_window_bounds(offsets, n_samples))),
        scores=scores,
        readout=None if layout.readout_steps is None else ReadoutSource(layout.readout_steps, fill),
    )


def _window_bounds(offsets: Mapping[str, IntArray], n_samples: int) -> list[int]:
    """First samples of the windows, and the end."""
    before = sum(offsets.values(), start=np.zeros(n_samples + 1, dtype=np.int64)) * BYTES_PER_SPIKE
    bounds = [0]
    while bounds[-1] < n_samples:
        fitting = int(np.searchsorted(before, before[bounds[-1]] + WINDOW_BYTES, side="right")) - 1
        bounds.append(max(fitting, bounds[-1] + 1))
    return bounds


def _gathered(parts: Sequence[StoredPart], offsets: Mapping[str, IntArray], start: int, stop: int) -> Block:
    """Samples `start` .. `stop - 1`. Samples of a part are increasing: those in the window follow each other in it."""
    begins = {name: counted[start : stop + 1] - counted[start] for name, counted in offsets.items()}
    spikes = {
        name: (np.empty(begin[-1], dtype=np.int32), np.empty(begin[-1], dtype=np.int32))
        for name, begin in begins.items()
    }
    for part in parts:
        low, high = np.searchsorted(part.samples, (start, stop))
        if low == high:
            continue
        places = part.samples[low:high] - start
        with h5py.File(part.path, "r") as file:
            for name, arrays in spikes.items():
                own = part.offsets[name][low : high + 1]
                group = file[f"content/spikes/{name}"]
                for key, values in zip(("step", "neuron"), arrays, strict=True):
                    found = group[key][own[0] : own[-1]]
                    for place, (first, last) in zip(places, pairwise(own - own[0]), strict=True):
                        values[begins[name][place] : begins[name][place + 1]] = found[first:last]
    return Block(start, spikes)


def _copy_readout(part: StoredPart, target: h5py.Dataset) -> None:
    """Copy the samples of a part to their places, compressed as they are: numbers hardly compress, and slowly.

    No chunk holds two samples, so that the order in which they are written does not matter.
    """
    with h5py.File(part.path, "r") as file:
        source = file["content/readout"]
        if source.chunks is None or source.chunks != target.chunks:  # too few values to be compressed
            for row, sample in enumerate(part.samples):
                target[sample] = source[row]
            return
        corners = [range(0, size, chunk) for size, chunk in zip(source.shape[1:], source.chunks[1:], strict=True)]
        for (row, sample), corner in product(enumerate(part.samples.tolist()), product(*corners)):
            filter_mask, data = source.id.read_direct_chunk((row, *corner))
            target.id.write_direct_chunk((sample, *corner), data, filter_mask)
