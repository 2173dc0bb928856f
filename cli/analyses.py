"""Analyses of a finished run that are chapters of its report. A further one is one more entry of `ANALYSES`."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from spikebridge.bridge.errors import ConfigError, SpecError, SpikebridgeError
from spikebridge.cli import knobs_stage, patterns_stage
from spikebridge.cli.config import RunConfig

if TYPE_CHECKING:
    from spikebridge.validation.chapter import Chapter

log = logging.getLogger("spikebridge")


@dataclass(frozen=True, slots=True)
class Analysis:
    """One analysis; both functions take the configuration and the folder of the run.

    Attributes:
        name: as in `[stages]`.
        asked: whether the configuration asks for it.
        compute: does what is missing and writes a file into the folder; `cluster` and `progress` as in `run`.
        chapter: of that file; None if there is none, or one that does not fit the run any more.
    """

    name: str
    asked: Callable[[RunConfig], bool]
    compute: Callable[[RunConfig, Path, str | None, bool], None]
    chapter: Callable[[RunConfig, Path], Chapter | None]


# In the order of `spikebridge.validation.chapter.CHAPTERS`.
ANALYSES = (
    Analysis("patterns", lambda config: config.stages.patterns, patterns_stage.compute, patterns_stage.chapter),
    Analysis("knobs", lambda config: config.stages.knobs, knobs_stage.compute, knobs_stage.chapter),
)


def analyse_run(config: RunConfig, out: Path, *, cluster: str | None, progress: bool) -> SpikebridgeError | None:
    """Compute what is missing of the analyses that a configuration asks for.

    Returns:
        Why one was refused, so that the report of everything else can be written first.
    """
    refused: SpikebridgeError | None = None
    for analysis in ANALYSES:
        if analysis.asked(config):
            try:
                analysis.compute(config, out, cluster, progress)
            except (ConfigError, SpecError) as error:
                log.warning("%s: %s", analysis.name, error)
                refused = refused or error
    return refused


def run_chapters(config: RunConfig, out: Path) -> list[Chapter]:
    """The chapters of all analyses that were asked for and are there; one whose file is damaged is left out."""
    chapters = []
    for analysis in ANALYSES:
        if analysis.asked(config):
            try:
                chapter = analysis.chapter(config, out)
            except SpikebridgeError as error:
                log.warning("%s: %s; the report is written without it", analysis.name, error)
                continue
            if chapter is not None:
                chapters.append(chapter)
    return chapters
