"""What two recordings must share before they may be compared: each refusal says which thing differs."""

from __future__ import annotations

import numpy as np

from spikebridge.bridge.errors import SpecError
from spikebridge.bridge.recording import Recording, Trials


def require_same_trials(reference: Recording, other: Recording) -> None:
    """Both executors were given the same inputs, with the same labels, in the same order.

    Raises:
        SpecError: naming the first thing that differs.
    """
    different = _different_field(reference.trials, other.trials)
    if different is not None:
        raise SpecError(
            f"trials differ in {different}: {_name(reference)} ran on {_describe(reference.trials)}, {_name(other)} on "
            f"{_describe(other.trials)}; compare recordings of the same samples in the same order"
        )


def require_same_populations(reference: Recording, other: Recording) -> None:
    """Both recorded the same populations, of the same sizes.

    Raises:
        SpecError: naming what is missing, additional, or of another size.
    """
    missing = sorted(set(reference.spikes) - set(other.spikes))
    additional = sorted(set(other.spikes) - set(reference.spikes))
    if missing or additional:
        raise SpecError(
            f"populations differ: {_name(other)} lacks {missing} and has {additional} "
            f"besides those of {_name(reference)}"
        )
    for name, trains in reference.spikes.items():
        if other.spikes[name].n_neurons != trains.n_neurons:
            raise SpecError(
                f"populations differ: {name!r} has {trains.n_neurons} neurons in {_name(reference)}, "
                f"{other.spikes[name].n_neurons} in {_name(other)}"
            )


def require_same_grid(reference: Recording, other: Recording) -> None:
    """Both ran on the same grid of steps.

    Raises:
        SpecError: with both grids.
    """
    if not on_same_grid(reference, other):
        raise SpecError(
            f"grids differ: {_name(reference)} ran {reference.n_steps} steps of {reference.step_ms:g} ms, "
            f"{_name(other)} {other.n_steps} of {other.step_ms:g} ms; spikes are compared one by one on one grid only"
        )


def require_same_network(reference: Recording, other: Recording) -> None:
    """Both ran the network with the same content checksum.

    Raises:
        SpecError: with the start of both checksums.
    """
    if reference.network_sha256 != other.network_sha256:
        raise SpecError(
            f"networks differ: {_name(reference)} ran {reference.network_sha256[:12]}..., {_name(other)} "
            f"{other.network_sha256[:12]}...; simulate the exported network again (to see what a "
            "deliberate change does: --allow-other-network, in Python same_network=False)"
        )


def require_same_duration(reference: Recording, other: Recording) -> None:
    """Both ran equally long samples, on whatever steps.

    Raises:
        SpecError: with both durations.
    """
    if not np.isclose(reference.duration_s, other.duration_s, rtol=1e-9, atol=0.0):
        raise SpecError(
            f"durations differ: samples last {reference.duration_s:g} s in {_name(reference)}, "
            f"{other.duration_s:g} s in {_name(other)}; simulate the whole sample"
        )


def on_same_grid(reference: Recording, other: Recording) -> bool:
    """Whether both have the same step and the same number of steps."""
    return (reference.step_ms, reference.n_steps) == (other.step_ms, other.n_steps)


def _different_field(a: Trials, b: Trials) -> str | None:
    """The first field in which two sets of trials differ, or None."""
    if a is b:
        return None
    if a.n_samples != b.n_samples:
        return "the number of samples"
    if a.class_names != b.class_names:
        return "class names"
    if (a.source, a.source_sha256) != (b.source, b.source_sha256):
        return "source"
    for name in ("labels", "speakers", "seen", "held_out"):
        if not _same(getattr(a, name), getattr(b, name)):
            return name
    if a.events.n_channels != b.events.n_channels:
        return "the number of input channels"
    events = ("offsets", "channel", "time_s")
    return None if all(_same(getattr(a.events, name), getattr(b.events, name)) for name in events) else "input spikes"


def _same(a: object, b: object) -> bool:
    """Equal arrays, or both None."""
    if a is None or b is None:
        return a is b
    return np.array_equal(np.asarray(a), np.asarray(b))


def _describe(trials: Trials) -> str:
    return f"{trials.n_samples} samples of {trials.source} ({trials.source_sha256[:12]})"


def _name(recording: Recording) -> str:
    return f"the recording of {recording.executor}"
