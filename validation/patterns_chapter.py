"""The search for patterns as a part of the report of a run."""

from __future__ import annotations

from dataclasses import replace

from spikebridge.validation.chapter import Chapter
from spikebridge.validation.patterns_report import build_pattern_report
from spikebridge.validation.patterns_result import PatternAnalysis
from spikebridge.validation.section import Folded

KEY = "patterns"


def pattern_chapter(analysis: PatternAnalysis) -> Chapter:
    """What `patterns.html` and `patterns.json` say, for `report.html` and `report.json`."""
    page = build_pattern_report(analysis)
    found, controls, settings = page.sections
    where = f"{analysis.executor} at {analysis.step_ms:g} ms"
    return Chapter(
        key=KEY,
        sentence=f"Spike patterns (SPADE, {where}): {page.verdict.headline}",
        cards=page.cards[:1],
        sections=(
            replace(
                found,
                key=KEY,
                findings=(page.verdict.headline, *page.verdict.sentences),
                tables=(),
                folded=(Folded("Every population and class, and the largest patterns", found.tables),),
            ),
            replace(
                controls,
                key=f"{KEY}-{controls.key}",
                introduction=f"{controls.introduction} {settings.introduction}",
                folded=(Folded("Parameters, seed and versions of the search", settings.tables),),
            ),
        ),
        numbers=page.numbers,
    )
