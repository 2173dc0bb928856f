"""A validation split held out of the training set: by speaker where speakers are known, else stratified by class.

Held-out speakers make validation ask the question a test on unheard speakers asks. Held-out samples of heard speakers
would choose the model that remembers voices.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

import numpy as np

from spikebridge.bridge.arrays import BoolArray, IntArray
from spikebridge.bridge.errors import ConfigError
from spikebridge.training.data.labelled import LabelledEvents


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Which samples fit the weights and which choose the model.

    Attributes:
        train: indices of the samples to fit on, rising.
        validation: indices of the held-out samples, rising; with `train`, every sample exactly once. With the method
            `file` both are all samples of their own file.
        method: `speaker` (whole speakers held out), `stratified` (the same share of every class), or `file` (the data
            set has a validation file of its own).
        fitted_speakers: speakers of `train`, or None where unknown.
        held_out_speakers: speakers of `validation` alone, or None where unknown; none when stratified.
    """

    train: IntArray
    validation: IntArray
    method: Literal["speaker", "stratified", "file"]
    fitted_speakers: tuple[int, ...] | None
    held_out_speakers: tuple[int, ...] | None


def split_validation(
    data: LabelledEvents, *, fraction: float, seed: int, speakers: Collection[int] | None = None
) -> Split:
    """Hold a share of the samples out.

    With two or more speakers, speakers are put in random order and as many of them are held out as bring the share of
    samples closest to `fraction`; at least one is held out and one kept. Else every class gives the nearest whole
    number of samples, at least one where it has two or more, and never all.

    Args:
        data: the training set.
        fraction: share of the samples to hold out, above 0 and below 1.
        seed: at least 0. Same data and seed, same split; which speakers are held out does not depend on the order of
            the samples.
        speakers: hold out exactly these instead; `fraction` and `seed` are then without effect.

    Raises:
        ConfigError: fraction or seed out of range, unknown speakers, or nothing would be left on one side.
    """
    if not 0.0 < fraction < 1.0:
        raise ConfigError(f"the validation fraction is {fraction}; it must lie between 0 and 1")
    if seed < 0:
        raise ConfigError(f"the split's seed is {seed}; it must be at least 0")
    if speakers is not None:
        return _split(data, _spoken_by(data, _chosen(speakers, data)), "speaker")
    if data.speakers is not None and np.unique(data.speakers).size > 1:
        return _split(data, _spoken_by(data, _rotated(data.speakers, fraction, seed)), "speaker")
    return _split(data, _stratified(data, fraction, seed), "stratified")


def given_validation(data: LabelledEvents, validation: LabelledEvents) -> Split:
    """Fit on all of `data`, choose the model on all of `validation`, a file of its own.

    Speakers that are in both count as fitted.
    """
    fitted = others = None
    if data.speakers is not None:
        fitted = tuple(np.unique(data.speakers).tolist())
        spoke = () if validation.speakers is None else validation.speakers
        others = tuple(np.setdiff1d(spoke, fitted).tolist())
    return Split(np.arange(data.n_samples), np.arange(validation.n_samples), "file", fitted, others)


def _split(data: LabelledEvents, held_out: BoolArray, method: Literal["speaker", "stratified"]) -> Split:
    train, validation = np.flatnonzero(~held_out), np.flatnonzero(held_out)
    fitted = others = None
    if data.speakers is not None:
        fitted = tuple(np.unique(data.speakers[train]).tolist())
        others = tuple(np.setdiff1d(data.speakers[validation], fitted).tolist())
    return Split(train, validation, method, fitted, others)


def _spoken_by(data: LabelledEvents, held_out: IntArray) -> BoolArray:
    assert data.speakers is not None
    return np.isin(data.speakers, held_out)


def _chosen(speakers: Collection[int], data: LabelledEvents) -> IntArray:
    source = data.source
    if data.speakers is None:
        raise ConfigError(f"{source} names no speakers, so none can be held out; leave the validation speakers out")
    known = np.unique(data.speakers)
    chosen = np.unique(np.array(sorted(speakers), dtype=np.int64))
    unknown = np.setdiff1d(chosen, known)
    if unknown.size:
        raise ConfigError(f"validation speakers {unknown.tolist()} are not in {source}; it has {known.tolist()}")
    if not 0 < chosen.size < known.size:
        raise ConfigError(
            f"{chosen.size} of {known.size} speakers would be held out; "
            f"hold out at least one and keep at least one of {known.tolist()}"
        )
    return chosen


def _rotated(speakers: IntArray, fraction: float, seed: int) -> IntArray:
    """Successive seeds hold out successive speakers of one fixed random order, so that few seeds cover many."""
    known, samples = np.unique(speakers, return_counts=True)
    order = np.roll(np.random.default_rng(0).permutation(known.size), -(seed % known.size))
    share = np.cumsum(samples[order])[:-1] / speakers.size
    return known[order[: int(np.argmin(np.abs(share - fraction))) + 1]]


def _stratified(data: LabelledEvents, fraction: float, seed: int) -> BoolArray:
    rng = np.random.default_rng(seed)
    held_out = np.zeros(data.n_samples, dtype=np.bool_)
    for label in range(data.n_classes):
        samples = np.flatnonzero(data.labels == label)
        if samples.size > 1:
            wanted = min(max(round(fraction * samples.size), 1), samples.size - 1)
            held_out[rng.choice(samples, size=wanted, replace=False)] = True
    if not held_out.any():
        raise ConfigError(f"{data.source} has at most one sample per class; nothing can be held out for validation")
    return held_out
