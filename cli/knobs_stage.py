"""The realism knobs as a stage of a run: a folder with pages of its own, from which the report has its chapter."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from spikebridge.bridge.errors import DataError
from spikebridge.cli.config import RunConfig
from spikebridge.cli.files import KNOBS, NETWORK, REFERENCE
from spikebridge.cli.knobs_run import KnobsRequest, found_knobs, write_knobs
from spikebridge.validation.labelled import CONTINUOUS_STEP_MS

if TYPE_CHECKING:
    from spikebridge.validation.chapter import Chapter

log = logging.getLogger("spikebridge")


def compute(config: RunConfig, out: Path, cluster: str | None, progress: bool) -> None:
    """Turn the knobs of the network in `out` in continuous time, or else on its grid, unless that has been done.

    Raises:
        SpecError: a change leads to no valid network.
        ConfigError: more samples than there are.
        DataError: another command is at work in the folder, or it cannot be written.
    """
    request = _request(config, out)
    try:
        if found_knobs(request) is not None:
            log.info("%s is up to date", request.out)
            return
    except DataError as error:
        log.warning("%s; it is made again", error)
    write_knobs(request, cluster=cluster, progress=progress)


def chapter(config: RunConfig, out: Path) -> Chapter | None:
    """What was found, None if this network was not looked at in this way.

    Raises:
        DataError: the file is damaged.
    """
    from spikebridge.validation.knob_chapter import knob_chapter

    analysis = found_knobs(_request(config, out))
    return None if analysis is None else knob_chapter(analysis)


def _request(config: RunConfig, out: Path) -> KnobsRequest:
    knobs = config.knobs
    return KnobsRequest(
        network=out / NETWORK,
        inputs=out / REFERENCE,
        out=out / KNOBS,
        step_ms=CONTINUOUS_STEP_MS if config.stages.continuous else config.training.data.step_ms,
        samples="some" if knobs.samples is None else knobs.samples,
        draws=knobs.draws,
        seed=knobs.seed,
        drop_points=knobs.drop_points,
        options=config.simulation,
    )
