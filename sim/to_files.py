"""Simulations straight to files: in parts while they run, so that nothing of an interrupted one is lost."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np

from spikebridge.bridge.errors import DataError
from spikebridge.bridge.part_file import Part
from spikebridge.bridge.recording import RecordingHeader, Trials
from spikebridge.bridge.recording_file import load_provenance
from spikebridge.bridge.recording_parts import RecordingParts
from spikebridge.sim.evaluation import Evaluation
from spikebridge.sim.tasks import Work, run_tasks

log = logging.getLogger("spikebridge")

EVALUATION = "evaluation_sha256"
"""Provenance entry of a recording in a file: checksum of everything the result depends on."""


def simulate_to_files(
    evaluations: Mapping[Path, Evaluation], *, cluster: str | None = None, progress: bool = False
) -> None:
    """Simulate and write one recording per file; what an interrupted call has done is not done again.

    Neither are recordings that are there already, of the same evaluation and whole.

    Memory does not grow with the number of samples, except for the inputs themselves.

    Args:
        evaluations: what to simulate, by the file to write.
        cluster: a Dask cluster as `spikebridge.sim.cluster.parse_cluster` reads it; this machine if None.
        progress: show a progress bar, if standard error is a terminal.

    Raises:
        SpecError: a compiler is missing, the result is not finite, or workers are lost again and again.
        DataError: a file cannot be written, or the disk is full; what was done is kept.
    """
    identities = {path: identity(what) for path, what in evaluations.items()}
    todo = {path: what for path, what in evaluations.items() if not _is_done(path, identities[path])}
    with ExitStack() as stack:
        parts = [
            stack.enter_context(RecordingParts.open(path, identities[path], what.trials.n_samples))
            for path, what in todo.items()
        ]
        headers = [_header(what, identities[path]) for path, what in todo.items()]
        works = [Work(what.job, what.inputs) for what in todo.values()]
        wanted = [stored.missing for stored in parts]
        left = [samples.size for samples in wanted]
        for index in np.flatnonzero(np.array(left) == 0):
            _finish(parts[index], headers[index])
        for done in run_tasks(works, wanted, cluster=cluster, progress=progress):
            result = done.result
            parts[done.work].add(Part(done.samples, result.spikes, result.scores, result.readout))
            left[done.work] -= done.samples.size
            if left[done.work] == 0:
                _finish(parts[done.work], headers[done.work])


def identity(what: Evaluation) -> dict[str, str]:
    """Everything the result depends on: parts of a simulation that differs in any of it are not used."""
    taken = ("units", "replay", "roundings", "source_sha256", "disturbance")
    return {
        **{key: value for key, value in what.provenance.items() if key in taken or key.startswith("version.")},
        "executor": what.executor,
        "network_sha256": what.network_sha256,
        "step_ms": repr(what.grid.step_ms),
        "readout": "kept" if what.job.keep_readout else "not kept",
        "trials_sha256": _trials_sha256(what.trials),
        "inputs_sha256": _inputs_sha256(what),
    }


def _is_done(path: Path, identity: Mapping[str, str]) -> bool:
    """Whether a recording of the same evaluation is there; an interrupted call may have written some of several."""
    if not path.is_file():
        return False
    try:
        found = load_provenance(path).get(EVALUATION)
    except DataError as error:
        log.warning("%s; it is computed again", error)
        return False
    if found == _evaluation_sha256(identity):
        log.info("%s is up to date", path)
        return True
    return False


def _header(what: Evaluation, identity: Mapping[str, str]) -> RecordingHeader:
    header = what.header
    return replace(header, provenance={**header.provenance, EVALUATION: _evaluation_sha256(identity)})


def _evaluation_sha256(identity: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


def _finish(parts: RecordingParts, header: RecordingHeader) -> None:
    parts.finish(header)
    log.info("wrote %s", parts.target)


def _trials_sha256(trials: Trials) -> str:
    events = trials.events
    digest = hashlib.sha256(repr((trials.class_names, trials.source, trials.source_sha256)).encode())
    speakers = (trials.speakers, trials.seen, trials.held_out)
    for values in (events.time_s, events.channel, events.offsets, trials.labels, *speakers):
        digest.update(b"none" if values is None else np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()


def _inputs_sha256(what: Evaluation) -> str:
    """Of what is played, which for a replay is more than the trials."""
    digest = hashlib.sha256()
    for name, trains in what.inputs.items():
        digest.update(name.encode())
        for values in (trains.step, trains.neuron, trains.offsets):
            digest.update(values.tobytes())
    return digest.hexdigest()
