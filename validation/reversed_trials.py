"""Inputs played backwards: a network that uses timing does worse, one that counts spikes does not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from spikebridge.bridge.recording import Trials
from spikebridge.bridge.spikes import Events


def reversed_trials(trials: Trials, duration_ms: float) -> Trials:
    """The same trials with every input event at `duration_ms` minus its time; counts per channel are the same.

    Simulate them with `spikebridge.sim.run.simulate` and compare accuracy and patterns with those of the trials as they
    were. Events at or past the end of the trial were cut off by the simulation and are left out. An event at time 0
    comes right before the end, so that it stays in the trial.

    Args:
        trials: labels, speakers and the order of trials are kept; the checksum stays that of the source.
        duration_ms: length of a trial in the simulation.
    """
    events, end_s = trials.events, duration_ms / 1000.0
    kept = events.time_s < end_s
    counts = np.bincount(events.sample[kept], minlength=events.n_samples)
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    # A ten-thousandth of the trial before its end: grids take what is a thousandth of a step early for the next step.
    time_s = np.minimum(end_s - events.time_s[kept], end_s * (1 - 1e-4))
    return replace(
        trials,
        events=Events(time_s, events.channel[kept], offsets, events.n_channels),
        source=f"{trials.source}, reversed in time",
    )
