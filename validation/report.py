"""`report.html` and `report.json`: what validation found, for a reader and for a program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from spikebridge.bridge.errors import SpecError
from spikebridge.bridge.recording import Recording
from spikebridge.bridge.spec import NetworkSpec
from spikebridge.validation.chapter import Chapter, chapter_numbers
from spikebridge.validation.evidence import Evidence, collect_evidence
from spikebridge.validation.formatting import percent, whole
from spikebridge.validation.labelled import REPLAY
from spikebridge.validation.numbers import report_numbers
from spikebridge.validation.page import Report, write_page
from spikebridge.validation.plot_raster import typical_sample
from spikebridge.validation.sections import report_sections
from spikebridge.validation.statistics import Criteria
from spikebridge.validation.verdict import reach_verdict


def build_report(
    network: NetworkSpec,
    reference: Recording,
    simulations: Mapping[str, Recording],
    *,
    replay: Recording | None = None,
    sample: int | None = None,
    same_network: bool = True,
    criteria: Criteria | None = None,
    chapters: Sequence[Chapter] = (),
) -> Report:
    """Compare simulations with the training's reference and describe what they did.

    Args:
        network: the exported network.
        reference: what the training did on the test samples.
        simulations: by label; `simulation_label` gives the usual one. Those on the reference's grid are checked for
            parity.
        replay: every population alone on recorded spikes (rung 2).
        sample: the sample that pictures show; by default that of the first mismatch, else a typical one.
        same_network: False allows a simulation of another network, to see what a planted fault does.
        criteria: parameters of the statistics.
        chapters: what further analyses found, in the order of `CHAPTERS`.

    Raises:
        SpecError: recordings that do not belong together, no simulation, or no such sample.
    """
    evidence = collect_evidence(
        network, reference, simulations, replay=replay, same_network=same_network, criteria=criteria
    )
    shown, why = _choose_sample(evidence, sample)
    verdict = reach_verdict(evidence)
    verdict = replace(verdict, sentences=(*verdict.sentences, *(chapter.sentence for chapter in chapters)))
    return Report(
        title=f"{reference.trials.source}: from {reference.executor} to {evidence.primary.recording.executor}",
        verdict=verdict,
        cards=(*_cards(evidence), *(card for chapter in chapters for card in chapter.cards)),
        sections=report_sections(evidence, shown, why, chapters),
        numbers=report_numbers(evidence, verdict, shown) | chapter_numbers(chapters),
    )


def write_report(report: Report, directory: Path) -> tuple[Path, Path]:
    """Write `report.html` and `report.json` into a directory, each whole or not at all; both paths, HTML first."""
    return write_page(report, directory, "report")


def _choose_sample(evidence: Evidence, sample: int | None) -> tuple[int, str]:
    reference = evidence.reference.recording
    if sample is not None:
        if not 0 <= sample < reference.trials.n_samples:
            raise SpecError(f"sample {sample} does not exist; there are 0 .. {reference.trials.n_samples - 1}")
        return sample, "the one asked for"
    primary = evidence.parity.get(evidence.primary.label)
    if primary is not None and primary.first_mismatch is not None:
        return primary.first_mismatch.sample, "the one with the earliest mismatch"
    return typical_sample(reference), "typical: its number of spikes is the median over all samples"


def _cards(evidence: Evidence) -> tuple[tuple[str, str], ...]:
    cards = []
    for label, parity in evidence.parity.items():
        if label != REPLAY:
            cards.append((whole(parity.mismatches), f"mismatches in {whole(parity.spikes)} spikes ({label})"))
    for executor in evidence.headline:
        found = evidence.accuracy[executor.label].all
        cards.append((percent(None if found is None else found.value), f"accuracy, {executor.label}"))
    rate = evidence.mean_rate_hz(evidence.primary.label)
    cards.append(("undefined" if rate is None else f"{rate:.2f} Hz", f"mean firing rate, {evidence.primary.label}"))
    synapses = sum(projection.weight.size for projection in evidence.network.projections)
    cards.append((whole(synapses), "synapses with a weight and a delay each"))
    return tuple(cards)
