"""`report.html` and `report.json`: what validation found, for a reader and for a program."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from spikebridge.bridge.errors import SpecError
from spikebridge.bridge.recording import Recording
from spikebridge.bridge.spec import NetworkSpec
from spikebridge.bridge.storage import atomic_path
from spikebridge.validation.evidence import Evidence, collect_evidence
from spikebridge.validation.formatting import percent, whole
from spikebridge.validation.labelled import REPLAY
from spikebridge.validation.numbers import Json, report_numbers
from spikebridge.validation.plot_raster import typical_sample
from spikebridge.validation.section import Section
from spikebridge.validation.sections import report_sections
from spikebridge.validation.statistics import Criteria
from spikebridge.validation.verdict import Verdict, reach_verdict

TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True, slots=True, eq=False)
class Report:
    """What was found, ready to be written.

    Attributes:
        title: heading.
        verdict: the result in words.
        cards: (value, what it is) of the few numbers that come first.
        sections: chapters with tables and pictures.
        numbers: the content of `report.json`, keys as in `spikebridge.validation.numbers`.
    """

    title: str
    verdict: Verdict
    cards: tuple[tuple[str, str], ...]
    sections: tuple[Section, ...]
    numbers: Json


def build_report(
    network: NetworkSpec,
    reference: Recording,
    simulations: Mapping[str, Recording],
    *,
    replay: Recording | None = None,
    sample: int | None = None,
    same_network: bool = True,
    criteria: Criteria | None = None,
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

    Raises:
        SpecError: recordings that do not belong together, no simulation, or no such sample.
    """
    evidence = collect_evidence(
        network, reference, simulations, replay=replay, same_network=same_network, criteria=criteria
    )
    shown, why = _choose_sample(evidence, sample)
    verdict = reach_verdict(evidence)
    return Report(
        title=f"{reference.trials.source}: from {reference.executor} to {evidence.primary.recording.executor}",
        verdict=verdict,
        cards=_cards(evidence),
        sections=report_sections(evidence, shown, why),
        numbers=report_numbers(evidence, verdict, shown),
    )


def write_report(report: Report, directory: Path) -> tuple[Path, Path]:
    """Write `report.html` and `report.json` into a directory, each whole or not at all.

    Returns:
        Both paths, HTML first.
    """
    paths = (Path(directory) / "report.html", Path(directory) / "report.json")
    texts = (render_html(report), json.dumps(report.numbers, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
    for path, text in zip(paths, texts, strict=True):
        with atomic_path(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    return paths


def render_html(report: Report) -> str:
    """The report as one HTML file that needs nothing else."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html").render(report=report)


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
    for executor in evidence.executors:
        found = evidence.accuracy[executor.label].all
        cards.append((percent(None if found is None else found.value), f"accuracy, {executor.label}"))
    rate = evidence.mean_rate_hz(evidence.primary.label)
    cards.append(("undefined" if rate is None else f"{rate:.2f} Hz", f"mean firing rate, {evidence.primary.label}"))
    synapses = sum(projection.weight.size for projection in evidence.network.projections)
    cards.append((whole(synapses), "synapses with a weight and a delay each"))
    return tuple(cards)
