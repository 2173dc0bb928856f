"""An analysis of realism knobs with real statistics and chosen accuracies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from recordings import make_network, random_recording

from spikebridge.bridge.knobs import KNOBS, Condition, Knob
from spikebridge.validation.knob_analysis import KnobAnalysis, Origin
from spikebridge.validation.knob_measures import Gathering, Measured
from spikebridge.validation.presynaptic import played_inputs

SAMPLES = 100
RECORDING = random_recording(samples=12)
NETWORK = make_network(RECORDING)
KNOB = {knob.key: knob for knob in KNOBS}


def measured() -> Measured:
    """Statistics of a recording that arrives in two parts."""
    gathering = Gathering(NETWORK, RECORDING.trials, played_inputs(NETWORK, RECORDING))
    halves = [np.arange(5, 12), np.arange(5)]
    assert [gathering.add(samples, RECORDING.select(samples)) for samples in halves] == [False, True]
    return gathering.measured({})


def with_hits(plain: Measured, hits: int) -> Measured:
    """The same with another accuracy: the first samples are right."""
    decisions = (0,) * hits + (1,) * (SAMPLES - hits)
    return replace(plain, correct={"all": (hits, SAMPLES)}, decisions=decisions)


def analysis(
    plain: Measured,
    knobs: Sequence[Knob],
    hits: Mapping[str, Mapping[float, Sequence[int]]],
    *,
    before: int = 80,
    neutral: float | None = 0.0,
    points: float = 5.0,
) -> KnobAnalysis:
    """Knobs with so many hits of 100 per amount and draw."""
    results = {
        Condition(knob.key, amount, draw, 0).key: with_hits(plain, each)
        for knob in knobs
        for amount, draws in hits[knob.key].items()
        for draw, each in enumerate(draws)
    }
    turned = tuple(knob.with_amounts(tuple(hits[knob.key])) for knob in knobs)
    origin = Origin("a" * 64, "brian2-cpp", 0.1, 500.0, "constructed.h5", "b" * 64, SAMPLES, 700, 4, 2, 0)
    own = dict.fromkeys((knob.key for knob in knobs), neutral)
    labels = (0,) * SAMPLES
    undisturbed = with_hits(plain, before)
    return KnobAnalysis(origin, turned, own, labels, undisturbed, results, points, "c" * 64, {"version": "1"})


def two_knobs() -> KnobAnalysis:
    """Weights jittered in two draws, and inputs backwards."""
    weights = replace(measured(), realised={"weights_sign_changed": 0.1})
    found = analysis(
        weights,
        [KNOB["weight_jitter"], KNOB["reversed_input"]],
        {"weight_jitter": {0.2: [79, 78], 0.4: [70, 60]}, "reversed_input": {1.0: [30]}},
    )
    by_speaker = {"all": (80, SAMPLES), "seen": (40, 45), "unseen": (40, 55), "held_out": (20, 25)}
    return replace(found, undisturbed=replace(found.undisturbed, correct=by_speaker))
