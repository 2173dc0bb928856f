"""The result in plain language: what a reader should know before any figure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from spikebridge.validation.accuracy import Accuracy
from spikebridge.validation.compatibility import on_same_grid
from spikebridge.validation.evidence import Evidence
from spikebridge.validation.formatting import counted, number, percent, share, signed_percent, small, whole
from spikebridge.validation.labelled import PHYSICAL, REPLAY
from spikebridge.validation.parity import READOUT_TOLERANCE, FirstMismatch, Parity
from spikebridge.validation.refinement import Refinement


class Status(StrEnum):
    """What the comparison showed."""

    SAME = "same"
    DIFFERENT = "different"
    UNCHECKED = "unchecked"
    """No simulation ran on the training's grid, so that spikes could not be compared one by one."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The status with a headline and sentences that explain it."""

    status: Status
    headline: str
    sentences: tuple[str, ...]


def reach_verdict(evidence: Evidence) -> Verdict:
    """Put the evidence into words."""
    # A simulation in physical units on a finer grid is compared too, but not with the training.
    reference = evidence.reference.recording
    trained = {s.label for s in evidence.simulations if on_same_grid(reference, s.recording)}
    on_grid = {label: parity for label, parity in evidence.parity.items() if label in trained}
    compared = list(evidence.parity.values())
    sentences = _comparisons(evidence)
    if any(not parity.same_network for parity in compared):
        sentences.append("Note: a simulated network is not the exported one; their checksums differ.")
    sentences += _accuracy_sentences(evidence)
    sentences += _continuous_sentence(evidence.refinement) + _changed_sentence(evidence.refinement)
    if evidence.reference.recording.spikes:
        rates = ", ".join(f"{number(evidence.mean_rate_hz(e.label))} Hz ({e.label})" for e in evidence.headline)
        sentences.append(f"A hidden neuron fires on average at {rates}.")
    if not on_grid and all(parity.ok for parity in compared):
        return Verdict(Status.UNCHECKED, "The whole network was not compared spike for spike.", tuple(sentences))
    if all(parity.mismatches == 0 for parity in compared) and not all(parity.ok for parity in compared):
        return Verdict(Status.DIFFERENT, "Every spike is the same, but the readout is not.", tuple(sentences))
    if not all(parity.ok for parity in compared):
        return Verdict(Status.DIFFERENT, "The executors do not agree.", tuple(sentences))
    everywhere = all(simulation.label in on_grid for simulation in evidence.simulations)
    headline = "Every spike is the same." if everywhere else "On the training's grid, every spike is the same."
    return Verdict(Status.SAME, headline, tuple(sentences))


def describe_mismatch(first: FirstMismatch) -> str:
    """One sentence that says where two executors first differ."""
    alone = 0 in (first.reference_spikes, first.other_spikes)
    return (
        f"population {first.population}, neuron {first.neuron}, sample {first.sample}, {first.time_ms:g} ms "
        f"(step {first.step}): {first.executor} fired{', the other did not' if alone else ' more often'}"
    )


def _comparisons(evidence: Evidence) -> list[str]:
    """One sentence per comparison; those that failed come first."""
    told = []
    for label, parity in evidence.parity.items():
        if label == REPLAY:
            sentence = _replay_sentence(parity)
        elif label == PHYSICAL:
            sentence = _physical_sentence(parity)
        else:
            sentence = _parity_sentence(evidence, label, parity)
        told.append((parity.ok, sentence))
    return [sentence for _, sentence in sorted(told, key=lambda each: each[0])]


def _parity_sentence(evidence: Evidence, label: str, parity: Parity) -> str:
    neurons = sum(trains.n_neurons for trains in evidence.reference.recording.spikes.values())
    spikes, samples = counted(parity.spikes, "spike"), counted(parity.samples, "sample")
    if parity.mismatches == 0:
        readout, value = "readout potentials", parity.readout_max_difference
        if value is None:
            readout, value = "class scores (potentials were not recorded)", parity.score_max_difference
        end = "" if value <= READOUT_TOLERANCE else ", which is too much"
        return (
            f"All {spikes} of {counted(neurons, 'neuron')} in {samples} are the same in {parity.reference} and in "
            f"{parity.other} ({label}); {readout} differ by at most {small(value)} (limit {READOUT_TOLERANCE:g}){end}."
        )
    first = parity.first_mismatch
    where = "" if first is None else f" The earliest one: {describe_mismatch(first)}."
    return (
        f"{parity.other} ({label}) has {counted(parity.mismatches, 'mismatch', 'mismatches')} against the "
        f"{spikes} of {parity.reference}, in {whole(parity.samples_affected)} of {samples}.{where}"
    )


def _physical_sentence(parity: Parity) -> str:
    spikes = counted(parity.spikes, "spike")
    first = parity.first_mismatch
    if first is not None:
        return (
            f"In mV, pA, pF and nS the network has {counted(parity.mismatches, 'mismatch', 'mismatches')} against the "
            f"{spikes} without units in {parity.reference}, in {whole(parity.samples_affected)} of "
            f"{counted(parity.samples, 'sample')}. The earliest one: {describe_mismatch(first)}."
        )
    what, value = "readout potentials", parity.readout_max_difference
    if value is None:
        what, value = "class scores", parity.score_max_difference
    end = "" if value <= READOUT_TOLERANCE else ", which is too much"
    return (
        f"In mV, pA, pF and nS the same network fires the same {spikes} as without units in "
        f"{parity.reference}; {what} differ by at most {small(value)} (limit {READOUT_TOLERANCE:g}){end}."
    )


def _replay_sentence(parity: Parity) -> str:
    broken = parity.first_broken_population
    if broken is None:
        return "Each population alone, driven by the recorded spikes of its inputs, fires exactly the recorded spikes."
    return (
        f"Driven by the recorded spikes of its inputs, population {broken} is the first to differ: the fault lies in "
        "its neurons or in the synapses onto it."
    )


def _accuracy_sentences(evidence: Evidence) -> list[str]:
    """One sentence for all executors of equal accuracy; those at other steps have a chapter."""
    titles: dict[Accuracy, list[str]] = {}
    for executor in evidence.headline:
        titles.setdefault(evidence.accuracy[executor.label], []).append(executor.title)
    sentences: list[str] = []
    for found, names in titles.items():
        text = f"Accuracy of {' and of '.join(names)}: {share(found.all)} of {counted(evidence.n_samples, 'sample')}"
        if found.seen is not None or found.unseen is not None:
            text += f"; speakers heard in training {share(found.seen)}, others {share(found.unseen)}"
        sentences.append(text + ". In brackets: 95% interval." if not sentences else text + ".")
    return sentences


def _continuous_sentence(refinement: Refinement) -> list[str]:
    """Rung 4, the headline number: accuracy against training, and the largest change of a rate."""
    found, before = refinement.continuous, refinement.training.accuracy
    if found is None or found.accuracy is None or before is None:
        return []
    points = 100.0 * (before.value - found.accuracy.value)
    change = "no change" if points == 0 else f"{number(abs(points), 1)} points {'less' if points > 0 else 'more'}"
    text = (
        f"In continuous time (steps of {found.step_ms:g} ms) the accuracy is {percent(found.accuracy.value)} against "
        f"{percent(before.value)} in training, {change}"
    )
    largest = found.largest_rate_change
    if largest is not None:
        text += f"; the mean rate that changes most is that of {largest[0]}, by {signed_percent(largest[1])}"
    return [text + "."]


def _changed_sentence(refinement: Refinement) -> list[str]:
    """One sentence for all steps: how often each decides otherwise."""
    changed = [(s.label, s.decisions_changed) for s in refinement.other_steps if s.decisions_changed is not None]
    if not changed:
        return []
    (first, share_of_first), *others = changed
    text = f"Decided otherwise than in training are {percent(share_of_first.value)} of the samples in {first}"
    return [", ".join([text, *(f"{percent(found.value)} in {label}" for label, found in others)]) + "."]
