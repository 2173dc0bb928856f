"""When a network has decided, from the potentials of its readout."""

from __future__ import annotations

import numpy as np

from spikebridge.bridge.arrays import BoolArray, FloatArray, IntArray
from spikebridge.bridge.decoding import Decoding
from spikebridge.bridge.discretise import GridNetwork, discretise
from spikebridge.bridge.recording import Recording
from spikebridge.bridge.spec import NetworkSpec
from spikebridge.validation.observations import Definition, Observations, nothing
from spikebridge.validation.presynaptic import played_inputs
from spikebridge.validation.readout import readout_potentials

BATCH = 32

TIE = "two classes share the highest score at the end"
OTHERWISE = "the potentials lead to another decision than the recorded scores"
NO_STEP = "a sample has no step"

LATENCY = Definition(
    "decision_latency_ms",
    "Latency to decision",
    "ms",
    "sample",
    "Time from the start of the sample to the end of the first step from which on the class with the highest score, "
    "decoded from the readout's potentials up to then, is the final one. Right and wrong decisions count alike; while "
    "classes share the highest score nothing is decided. Where a recording kept no potentials they are computed from "
    "its spikes.",
    "A definition of this project.",
)


def decision_latencies_ms(recording: Recording, network: NetworkSpec) -> Observations:
    """Latency of every sample's decision in ms; see `LATENCY`.

    Args:
        recording: of that network; its readout is used if it was kept.
        network: for the decoding, and for the potentials where the recording has none.
    """
    n_samples = recording.trials.n_samples
    if recording.n_steps == 0:
        return nothing(n_samples, NO_STEP)
    grid = discretise(network, recording.step_ms)
    latencies: list[FloatArray] = [np.empty(0)]
    ties = otherwise = 0
    for start in range(0, n_samples, BATCH):
        batch = recording.select(np.arange(start, min(start + BATCH, n_samples)))
        scores = running_scores(_potentials(batch, network, grid), network.readout.decoding)
        since, leads = _since(scores, batch.decisions)
        final = scores[:, :, -1]
        tied = ~leads & ((final == final.max(axis=0)).sum(axis=0) > 1)
        ties, otherwise = ties + int(tied.sum()), otherwise + int((~leads & ~tied).sum())
        latencies.append((since[leads] + 1).astype(np.float64) * recording.step_ms)
    return Observations(np.concatenate(latencies), n_samples, {TIE: ties, OTHERWISE: otherwise})


def running_scores(potentials: FloatArray, decoding: Decoding) -> FloatArray:
    """The scores that `decode` gives for the steps up to each, but for a factor that no decision depends on.

    Args:
        potentials: (classes, samples, steps); the scores have that shape too.
        decoding: the rule.
    """
    match decoding:
        case Decoding.SOFTMAX_SUM:
            shifted = np.exp(potentials - potentials.max(axis=0))
            return np.asarray(np.cumsum(shifted / shifted.sum(axis=0), axis=-1))
        case Decoding.MEAN:
            return np.asarray(np.cumsum(potentials, axis=-1))
        case Decoding.MAX:
            return np.asarray(np.maximum.accumulate(potentials, axis=-1))
        case Decoding.LAST:
            return potentials


def _potentials(batch: Recording, network: NetworkSpec, grid: GridNetwork) -> FloatArray:
    if batch.readout is not None:
        return np.ascontiguousarray(np.moveaxis(batch.readout, -1, 0))
    return readout_potentials(grid, {**played_inputs(network, batch), **batch.spikes})


def _since(scores: FloatArray, decisions: IntArray) -> tuple[IntArray, BoolArray]:
    """(S,) the step from which on a sample's decision leads alone, and whether it does so at the end."""
    samples = np.arange(decisions.size)
    decided = scores[decisions, samples]
    others = scores.copy()
    others[decisions, samples] = -np.inf
    behind = decided <= others.max(axis=0)
    n_steps = behind.shape[1]
    last_behind = n_steps - 1 - np.argmax(behind[:, ::-1], axis=1)
    since = np.where(behind.any(axis=1), last_behind + 1, 0)
    return since, np.asarray(since < n_steps)
