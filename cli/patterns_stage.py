"""The search for patterns as a stage of a run: `patterns_search.json`, from which the report has its chapter."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from spikebridge.bridge.errors import DataError
from spikebridge.bridge.recording_file import load_recording
from spikebridge.cli.config import RunConfig
from spikebridge.cli.files import CONTINUOUS, GRID, PATTERNS
from spikebridge.cli.search import searched

if TYPE_CHECKING:
    from spikebridge.validation.chapter import Chapter

log = logging.getLogger("spikebridge")


def compute(config: RunConfig, out: Path, cluster: str | None, progress: bool) -> None:
    """Search what Brian2 did in continuous time, or else on the grid, unless that has been done.

    Raises:
        SpecError: it would take more memory or time than allowed, or there is nothing to search.
        DataError: another search is at work in `out`, or it cannot be written.
    """
    from spikebridge.validation.patterns_file import load_search, save_search

    recording = load_recording(_searched_file(config, out), readout=False)
    path = out / PATTERNS
    try:
        if load_search(path, recording, config.patterns) is not None:
            log.info("%s is up to date", path)
            return
    except DataError as error:
        log.warning("%s; it is made again", error)
    workers = None if cluster is not None else config.simulation.workers
    with searched(recording, config.patterns, out, cluster=cluster, workers=workers, progress=progress) as analysis:
        save_search(analysis, recording, path)


def chapter(config: RunConfig, out: Path) -> Chapter | None:
    """What was found, None if this recording was not searched with these parameters.

    Raises:
        DataError: the file is damaged.
    """
    from spikebridge.validation.patterns_chapter import pattern_chapter
    from spikebridge.validation.patterns_file import load_search

    recording = load_recording(_searched_file(config, out), readout=False)
    analysis = load_search(out / PATTERNS, recording, config.patterns)
    return None if analysis is None else pattern_chapter(analysis)


def _searched_file(config: RunConfig, out: Path) -> Path:
    return out / (CONTINUOUS if config.stages.continuous else GRID)
