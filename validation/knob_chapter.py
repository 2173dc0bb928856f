"""The realism knobs as a part of the report of a run."""

from __future__ import annotations

from dataclasses import replace

from spikebridge.validation.chapter import Chapter
from spikebridge.validation.knob_analysis import KnobAnalysis
from spikebridge.validation.knob_report import build_knob_report, knob_findings
from spikebridge.validation.section import Folded

KEY = "knobs"


def knob_chapter(analysis: KnobAnalysis) -> Chapter:
    """What `knobs.html` and `knobs.json` say, for `report.html` and `report.json`.

    The decisions of every single simulation, and the classes of the samples, stay in `knobs.json`.
    """
    page = build_knob_report(analysis)
    summary, *knobs, settings = page.sections
    accuracy = tuple(replace(section.tables[0], caption=section.title) for section in knobs)
    definitions = tuple((section.title, knob.definition) for section, knob in zip(knobs, analysis.knobs, strict=True))
    section = replace(
        summary,
        key=KEY,
        introduction=f"{summary.introduction} {settings.introduction}",
        findings=knob_findings(analysis),
        pictures=tuple(picture for section in knobs for picture in section.pictures),
        folded=(
            Folded("What is changed, and accuracy at every amount", accuracy, definitions),
            Folded("Samples, seed, versions and options of the knobs", settings.tables),
        ),
    )
    origin = analysis.origin
    where = f"{origin.executor} at {origin.step_ms:g} ms, {origin.n_samples} samples"
    found = " ".join(knob_findings(analysis))
    return Chapter(
        key=KEY,
        sentence=f"Realism knobs ({where}). {found}",
        cards=(),
        sections=(section,),
        numbers={key: value for key, value in page.numbers.items() if key not in ("labels", "results")},
    )
