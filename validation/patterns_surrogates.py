"""Data sets without the timing between neurons: what chance makes of the same spikes.

All but `trial_shift` draw uniformly from everything that agrees with the data in what they keep, so that a surrogate
of a surrogate is distributed as a surrogate is. docs/patterns.md says what follows from that, and what each one keeps.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from spikebridge.validation.patterns_jitter import pattern_jitter
from spikebridge.validation.patterns_parameters import PatternParameters
from spikebridge.validation.patterns_spikes import TrialSpikes

PHASE_STREAM = 4  # as a part of seeds, see `STREAMS` of `patterns_tasks`


def window_phase_ms(parameters: PatternParameters, stream: int) -> float:
    """Where the first whole window begins: at random, once for a data set and all that is made of it.

    Args:
        parameters: length of the windows and seed.
        stream: of the data set.
    """
    rng = np.random.default_rng([parameters.seed, stream, PHASE_STREAM])
    return float(rng.uniform(0.0, parameters.jitter_window_ms))


def make_surrogate(
    spikes: TrialSpikes, parameters: PatternParameters, phase_ms: float, rng: np.random.Generator
) -> TrialSpikes:
    """One surrogate of the kind that the parameters name.

    Args:
        spikes: what it is made of.
        parameters: kind, windows, bins.
        phase_ms: where the first whole window begins, the same for a data set and all that is made of it.
        rng: of this surrogate.
    """
    match parameters.surrogate:
        case "pattern_jitter":
            return jitter(spikes, parameters, phase_ms, rng)
        case "window_rotation":
            return window_rotation(spikes, parameters.jitter_window_ms, phase_ms, rng)
        case "trial_exchange":
            return trial_exchange(spikes, rng)
        case "trial_shift":
            return trial_shift(spikes, parameters.shift_ms, rng)


def make_independent(
    spikes: TrialSpikes, parameters: PatternParameters, phase_ms: float, rng: np.random.Generator
) -> TrialSpikes:
    """A data set of independent neurons that surrogates of the chosen kind could take for patterns.

    Trials are exchanged, which no surrogate of small shifts does: every neuron keeps its trains, and its mean rate over
    trials however sharply that changes. Where exchanges are the surrogates, spikes are jittered instead, which keeps
    what neurons have in common in a trial on longer times.
    """
    if parameters.surrogate == "trial_exchange":
        return jitter(spikes, parameters, phase_ms, rng)
    return trial_exchange(spikes, rng)


def jitter(
    spikes: TrialSpikes, parameters: PatternParameters, phase_ms: float, rng: np.random.Generator
) -> TrialSpikes:
    """Pattern jitter that keeps intervals within the window of a search."""
    p = parameters
    return pattern_jitter(spikes, p.jitter_window_ms, phase_ms, p.window_ms, p.bin_ms, rng)


def window_rotation(spikes: TrialSpikes, rotation_ms: float, phase_ms: float, rng: np.random.Generator) -> TrialSpikes:
    """In every window of every trial, the spikes of each neuron are rotated by one uniform time.

    Windows lie side by side; those at the ends of a trial are what is left. Kept is the number of spikes of each neuron
    in each window. Intervals are cut where a window ends and where the rotation does.
    """
    window = np.floor((spikes.time_ms - phase_ms) / rotation_ms).astype(np.int64) + 1
    start = np.maximum(0.0, phase_ms + (window - 1) * rotation_ms)
    length = np.minimum(spikes.duration_ms, phase_ms + window * rotation_ms) - start
    windows = int(np.ceil(spikes.duration_ms / rotation_ms)) + 2
    turned = rng.random((spikes.n_trials, spikes.n_neurons, windows))[spikes.trial, spikes.neuron, window]
    length = np.maximum(length, np.finfo(np.float64).tiny)  # a spike at the very end
    return replace(spikes, time_ms=start + np.mod(spikes.time_ms - start + turned * length, length))


def trial_exchange(spikes: TrialSpikes, rng: np.random.Generator) -> TrialSpikes:
    """Every neuron's trials in another order, each neuron in its own: the shift predictor, at random.

    Kept are trains as a whole and the rate over all trials at full sharpness, lost what neurons share in one trial.
    """
    order = np.argsort(rng.random((spikes.n_neurons, spikes.n_trials)), axis=1)
    return replace(spikes, trial=order[spikes.neuron, spikes.trial])


def trial_shift(spikes: TrialSpikes, shift_ms: float, rng: np.random.Generator) -> TrialSpikes:
    """Trial shifting (Stella et al. 2022, eNeuro 9(3)): every neuron in every trial by its own shift.

    Shifts are uniform in +-shift_ms and wrap around the trial, as in `elephant.spike_train_surrogates.trial_shifting`.
    Kept are the number of spikes of each neuron in each trial, the intervals between them (but for the wrap), and what
    rates do over times longer than the shift. Shifting twice is not shifting once.
    """
    shifts = rng.uniform(-shift_ms, shift_ms, (spikes.n_trials, spikes.n_neurons))
    moved = np.mod(spikes.time_ms + shifts[spikes.trial, spikes.neuron], spikes.duration_ms)
    return replace(spikes, time_ms=moved)
