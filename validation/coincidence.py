"""Which share of spikes the other executor fires too, at about the same time: what a reader understands at once."""

from __future__ import annotations

import numpy as np

from spikebridge.bridge.errors import SpecError
from spikebridge.bridge.spikes import SpikeTrains
from spikebridge.validation.spike_distance import require_same_trains, train_of_spike

WINDOW_MS = 5.0

# Two times that differ by the window exactly are coincident, whatever the last bits of their sums are.
TOLERANCE_MS = 1e-6


def coincident_share(
    reference: SpikeTrains, other: SpikeTrains, window_ms: float = WINDOW_MS, *, within_step: float = 0.5
) -> float | None:
    """Share of the reference's spikes with a spike of the same neuron and sample within +-`window_ms` in the other.

    A definition of this project. Several spikes may share one counterpart, and spikes that only the other fired do not
    count.

    Args:
        reference: one executor's spikes.
        other: the other's, of the same samples and neurons, on any grid.
        window_ms: the largest difference of coincident times.
        within_step: where in its step a spike is, 0 .. 1 (`SpikeTrains.crossing_ms`).

    Returns:
        0 .. 1, or None if the reference has no spikes.

    Raises:
        SpecError: numbers of samples or neurons differ, the window is negative, or `within_step` not 0 .. 1.
    """
    require_same_trains(reference, other)
    if not (np.isfinite(window_ms) and window_ms >= 0):
        raise SpecError(f"the window of coincidences is {window_ms} ms; it must be at least 0")
    if reference.n_spikes == 0:
        return None
    if other.n_spikes == 0:
        return 0.0
    # All trains one after another on one axis of time, too far apart to reach into each other.
    duration_ms = 1000.0 * max(reference.duration_s, other.duration_s) + 2.0 * window_ms + 1.0
    ours, theirs = (train_of_spike(t) * duration_ms + t.crossing_ms(within_step) for t in (reference, other))
    theirs = np.sort(theirs)
    after = np.searchsorted(theirs, ours)
    gap_before = ours - theirs[np.maximum(after - 1, 0)]
    gap_after = theirs[np.minimum(after, theirs.size - 1)] - ours
    # Past either end the one neighbour is looked at twice, once from the wrong side: hence the absolute value.
    nearest = np.minimum(np.abs(gap_before), np.abs(gap_after))
    return float((nearest <= window_ms + TOLERANCE_MS).mean())
