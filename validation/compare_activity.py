"""Activities compared statistic by statistic and population by population, corrected for the number of comparisons."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np

from spikebridge.bridge.arrays import IntArray
from spikebridge.bridge.errors import SpecError
from spikebridge.bridge.recording import Recording
from spikebridge.bridge.spikes import SpikeTrains
from spikebridge.validation.compare_correction import benjamini_hochberg, holm
from spikebridge.validation.compare_scores import Score, ScoreValue, standard_scores
from spikebridge.validation.compare_values import Values, neuron_values

MIN_VALUES = 5
"""With fewer values in one of both samples no score is computed."""

LEVEL = 0.05


@dataclass(frozen=True, slots=True, eq=False)
class Activity:
    """Spikes to be compared, of a network or of an animal.

    Attributes:
        name: unique among those compared.
        populations: by name, all of the same trials on one grid.
        labels: (S,) stimulus of each trial, None where unknown.
        origin: what it is, in words, for readers.
        network_sha256: the network that ran, None where there is none.
        trials_sha256: checksum of the presented data, None where unknown.
    """

    name: str
    populations: Mapping[str, SpikeTrains]
    labels: IntArray | None
    origin: str
    network_sha256: str | None = None
    trials_sha256: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "populations", MappingProxyType(dict(self.populations)))
        grids = {(each.n_samples, each.n_steps, each.step_ms) for each in self.populations.values()}
        if len(grids) > 1:
            raise SpecError(f"{self.name}: its populations have different trials or grids: {sorted(grids)}")
        if grids and self.labels is not None and self.labels.shape != (next(iter(grids))[0],):
            raise SpecError(f"{self.name}: {self.labels.size} labels of {next(iter(grids))[0]} trials")


def activity_of(recording: Recording, name: str) -> Activity:
    """The spikes of a recording under a name."""
    return Activity(
        name,
        recording.spikes,
        recording.trials.labels,
        f"{recording.executor}, steps of {recording.step_ms:g} ms, {recording.trials.n_samples} trials of "
        f"{recording.trials.source}",
        recording.network_sha256,
        recording.trials.source_sha256,
    )


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """One statistic of one population of an activity against the reference's.

    Attributes:
        reference, other: names of the activities.
        reference_population, other_population: names of the populations; equal unless one activity has only one.
        reference_values, other_values: the values.
        scores: by key of the score; empty where undefined.
        undefined: why there is no score, None where there is one.
        p: of the test, None where undefined.
        p_holm, p_fdr: corrected over all comparisons of the call (Holm; Benjamini & Hochberg).
    """

    reference: str
    other: str
    reference_population: str
    other_population: str
    reference_values: Values
    other_values: Values
    scores: Mapping[str, ScoreValue]
    undefined: str | None
    p: float | None = None
    p_holm: float | None = None
    p_fdr: float | None = None

    @property
    def differs(self) -> bool:
        """Whether the difference holds at 5 % after Holm's correction."""
        return self.p_holm is not None and self.p_holm <= LEVEL


def compare_activities(
    activities: Sequence[Activity], *, scores: Sequence[Score] | None = None, seed: int = 0
) -> tuple[Comparison, ...]:
    """Every activity after the first against the first.

    Args:
        activities: with unique names.
        scores: by default `standard_scores`; p values are those of the first score that tests something.
        seed: of the bootstrap. Adding an activity does not change the intervals of the others.

    Raises:
        SpecError: two activities have one name.
    """
    names = [each.name for each in activities]
    if len(set(names)) < len(names):
        raise SpecError(f"two activities have the same name: {', '.join(names)}; give them different ones")
    measured = {each.name: {name: neuron_values(t) for name, t in each.populations.items()} for each in activities}
    chosen = standard_scores() if scores is None else scores
    found = [
        _compare(reference.name, other.name, ours, theirs, key, measured, chosen, seed)
        for reference, other in ((activities[0], each) for each in activities[1:])
        for ours, theirs in matched_populations(reference, other)
        for key in measured[reference.name][ours]
    ]
    return _corrected(found)


def matched_populations(reference: Activity, other: Activity) -> tuple[tuple[str, str], ...]:
    """Pairs of equal name; where one activity has a single population of another name, it with each of the other's."""
    equal = [name for name in reference.populations if name in other.populations]
    if equal:
        return tuple((name, name) for name in equal)
    if 1 in (len(reference.populations), len(other.populations)):
        return tuple((ours, theirs) for ours in reference.populations for theirs in other.populations)
    return ()


def not_comparable(activities: Sequence[Activity]) -> tuple[tuple[str, str], ...]:
    """(subject, explanation) of what the comparison leaves out or cannot tell apart."""
    notes = []
    for reference, other in ((activities[0], each) for each in activities[1:]):
        pairs = matched_populations(reference, other)
        for activity, side in ((reference, 0), (other, 1)):
            left = [name for name in activity.populations if name not in {pair[side] for pair in pairs}]
            if left:
                notes.append((f"{reference.name} and {other.name}", f"{', '.join(left)}: only in {activity.name}."))
        notes += [(f"{reference.name} and {other.name}", text) for text in _differences(reference, other)]
    return tuple(notes)


def _differences(reference: Activity, other: Activity) -> Iterator[str]:
    a, b = (next(iter(each.populations.values()), None) for each in (reference, other))
    if reference.trials_sha256 is None or other.trials_sha256 is None or reference.trials_sha256 != other.trials_sha256:
        yield "Different stimuli: a difference of activity may be one of stimuli."
    if reference.network_sha256 is not None and reference.network_sha256 == other.network_sha256:
        yield "The same network: neurons are paired, which the tests do not use; they are conservative here."
    if a is None or b is None:
        return
    if a.step_ms != b.step_ms:
        yield (
            f"Different grids ({a.step_ms:g} and {b.step_ms:g} ms): intervals are multiples of the step, so that burst "
            "fractions and variation of short intervals differ by the grid alone."
        )
    if a.n_samples * a.duration_s != b.n_samples * b.duration_s:
        yield (
            f"{a.n_samples * a.duration_s:g} s and {b.n_samples * b.duration_s:g} s were recorded: values of the "
            "shorter one scatter more, which widens its distributions."
        )


def _compare(
    reference: str,
    other: str,
    our_population: str,
    their_population: str,
    key: str,
    measured: Mapping[str, Mapping[str, Mapping[str, Values]]],
    scores: Sequence[Score],
    seed: int,
) -> Comparison:
    ours, theirs = measured[reference][our_population][key], measured[other][their_population][key]
    few = [
        f"{name} has {values.values.size} of {values.n_total} neurons with a value"
        for name, values in ((reference, ours), (other, theirs))
        if values.values.size < MIN_VALUES
    ]
    found: dict[str, ScoreValue] = {}
    if not few:
        # Not of the names of the activities: equal spikes have equal intervals, whatever their file is called.
        place = zlib.crc32("\n".join((our_population, their_population, key)).encode())
        rng = np.random.default_rng([seed, place])
        found = {score.key: score.measure(ours.values, theirs.values, rng) for score in scores}
    p = next((value.p for value in found.values() if value.p is not None), None)
    why = f"{'; '.join(few)}; at least {MIN_VALUES} are needed" if few else None
    return Comparison(reference, other, our_population, their_population, ours, theirs, found, why, p)


def _corrected(found: Sequence[Comparison]) -> tuple[Comparison, ...]:
    tested = [each for each in found if each.p is not None]
    p = [each.p for each in tested if each.p is not None]
    adjusted = dict(zip(map(id, tested), zip(holm(p), benjamini_hochberg(p), strict=True), strict=True))
    return tuple(
        replace(each, p_holm=float(adjusted[id(each)][0]), p_fdr=float(adjusted[id(each)][1]))
        if id(each) in adjusted
        else each
        for each in found
    )
