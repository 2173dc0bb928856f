"""The stages of a run as functions from files to files. Whatever exists and still fits is not computed again."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from spikebridge.bridge.errors import ParityError, SpecError, SpikebridgeError
from spikebridge.bridge.network_file import load_network, save_network
from spikebridge.bridge.physical import PhysicalUnits
from spikebridge.bridge.provenance import source_sha256, versions
from spikebridge.bridge.recording import Recording
from spikebridge.bridge.recording_file import load_recording, save_recording
from spikebridge.cli.analyses import run_chapters
from spikebridge.cli.config import RunConfig, save_config
from spikebridge.cli.files import CONFIG, CONTINUOUS, GRID, NETWORK, PHYSICAL, REFERENCE, REPLAY
from spikebridge.validation.labelled import CONTINUOUS_STEP_MS

if TYPE_CHECKING:  # Brian2 takes seconds to import
    from spikebridge.sim.evaluation import Evaluation
    from spikebridge.validation.chapter import Chapter

log = logging.getLogger("spikebridge")


def other_steps(config: RunConfig) -> dict[str, float]:
    """File and step of every simulation at another step than the training's, each step once."""
    continuous = {CONTINUOUS: CONTINUOUS_STEP_MS} if config.stages.continuous else {}
    elsewhere = {config.training.data.step_ms, *continuous.values()}
    return {f"step_{ms:g}ms.h5": ms for ms in config.stages.finer_steps_ms if ms not in elsewhere} | continuous


def seeds_and_folders(config: RunConfig, out: Path) -> Iterator[tuple[int, Path]]:
    """Each realisation with its folder: `out` itself for one, `out/seed-<n>` for several."""
    training = config.training
    for seed in range(training.seed, training.seed + training.realisations):
        yield seed, out if training.realisations == 1 else out / f"seed-{seed}"


def train(
    config: RunConfig,
    data_folder: Path | None,
    seed: int,
    out: Path,
    *,
    start_from: Path | None = None,
    progress: bool,
) -> None:
    """Train one realisation and write `network.h5` and `reference.h5`; continues after an interruption.

    `start_from` is the folder of a training whose network is trained further.
    """
    from spikebridge.training.checkpoint import load_start
    from spikebridge.training.dataset import load_dataset
    from spikebridge.training.device import training_device
    from spikebridge.training.executor import run_pytorch
    from spikebridge.training.export import export
    from spikebridge.training.fit import fit, require_same_training

    training = config.training
    training_device(training.device)  # before data are read
    data = load_dataset(training.data, data_folder, seed)
    log.info("training samples: %s; validation samples: %s", data.train.crop, data.validation.crop)
    start = None if start_from is None else load_start(start_from, training, data.provenance, seed)
    require_same_training(training, data, seed, out, start)
    save_config(replace(config, training=replace(training, seed=seed, realisations=1)), out / CONFIG)
    trained = fit(training, data, seed, out, start=start, progress=progress)
    chosen = trained.history[trained.best_epoch]
    log.info(
        "epoch %d of %d chosen: validation accuracy %.3f, mean rate %.2f Hz",
        trained.best_epoch + 1,
        len(trained.history),
        chosen.accuracy_validation,
        chosen.rate_hz,
    )
    metadata = {
        **versions("torch", "numba"),
        "source_sha256": source_sha256("bridge", "training"),
        **data.provenance,
        **({} if start is None else start.provenance),
        "seed": str(seed),
        "epoch": f"{trained.best_epoch + 1} of {len(trained.history)}",
        "data.crop": str(data.train.crop),
    }
    spec = export(trained.network, metadata)
    save_network(spec, out / NETWORK)
    reference = run_pytorch(spec, data.test, step_ms=spec.training_step_ms)
    save_recording(reference, out / REFERENCE)
    log.info("wrote %s and %s", out / NETWORK, out / REFERENCE)


def simulate_run(config: RunConfig, out: Path, *, progress: bool) -> None:
    """Grid simulation, replay, other steps and physical units of the network in `out`, each written as a recording."""
    from spikebridge.sim.to_files import simulate_to_files

    for path, prepare in _simulations(config, out).items():
        simulate_to_files({path: prepare()}, progress=progress)


def simulate_on_cluster(config: RunConfig, folders: Sequence[Path], cluster: str, *, progress: bool) -> None:
    """The simulations of `simulate_run` for several folders, all at once: every sample of each is a task for itself."""
    from spikebridge.sim.to_files import simulate_to_files

    needed = {path: prepare for folder in folders for path, prepare in _simulations(config, folder).items()}
    if needed:
        evaluations = {path: prepare() for path, prepare in needed.items()}
        simulate_to_files(evaluations, cluster=cluster, progress=progress)


def _simulations(config: RunConfig, out: Path) -> dict[Path, Callable[[], Evaluation]]:
    """What is missing of the simulations of a run, by file."""
    from spikebridge.sim.evaluation import asked, evaluation, replay_evaluation, units_text

    spec, reference = load_network(out / NETWORK), load_recording(out / REFERENCE, readout=False)
    options = config.simulation
    at_step = {out / GRID: spec.training_step_ms}
    at_step |= {out / name: step_ms for name, step_ms in other_steps(config).items()}
    units: dict[Path, PhysicalUnits] = {}
    if config.stages.physical:
        at_step[out / PHYSICAL] = min(at_step.values())
        units[out / PHYSICAL] = PhysicalUnits()
    needed = partial(evaluation, spec, reference.trials, options=options)
    jobs: dict[Path, Callable[[], Evaluation]] = {
        path: partial(needed, step_ms=step_ms, physical=units.get(path)) for path, step_ms in at_step.items()
    }
    jobs[out / REPLAY] = partial(replay_evaluation, spec, reference, options=options)
    for path in list(jobs):
        wanted = asked(options) | {"units": units_text(units.get(path))}
        if _is_current(path, reference, at_step.get(path), wanted):
            log.info("%s is up to date", path)
            del jobs[path]
    return jobs


def _is_current(path: Path, reference: Recording, step_ms: float | None, wanted: Mapping[str, str]) -> bool:
    """Whether a recording on disk is what would be computed: network, trials, step (None: a replay), options, code."""
    from spikebridge.validation.compatibility import require_same_trials

    if not path.exists():
        return False
    try:
        found = load_recording(path)
        require_same_trials(reference, found)
    except SpikebridgeError as error:
        log.warning("%s: %s; it is computed again", path, error)
        return False
    as_asked = is_replay(found) if step_ms is None else not is_replay(found) and found.step_ms == step_ms
    same_network = found.network_sha256 == reference.network_sha256
    return as_asked and same_network and wanted.items() <= found.provenance.items()


def is_replay(recording: Recording) -> bool:
    """Whether every population ran alone on recorded spikes."""
    return recording.provenance.get("replay", "no") != "no"


def validate_run(config: RunConfig, out: Path) -> None:
    """Report on the network in `out`, its reference and its simulations: `report.html` and `report.json`.

    Raises:
        ParityError: grid or replay are not spike for spike the reference, or the simulation in physical units is not
            the one without; the report says where.
    """
    paths = [out / GRID, out / REPLAY, *(out / name for name in other_steps(config))]
    paths += [out / PHYSICAL] if config.stages.physical else []
    chapters = run_chapters(config, out)
    validate_files(out / NETWORK, out / REFERENCE, paths, out, same_network=True, chapters=chapters)


def validate_files(
    network: Path,
    reference_path: Path,
    simulations: Sequence[Path],
    out: Path,
    *,
    same_network: bool,
    chapters: Sequence[Chapter] = (),
) -> None:
    """Write the report of some recordings and chapters, then fail if what must be identical is not.

    Raises:
        SpecError: recordings that do not belong together.
        ParityError: the simulation on the training grid, or the replay, differs from the reference, or the simulation
            in physical units from the one without.
    """
    from spikebridge.validation.labelled import is_physical, name_continuous, simulation_label
    from spikebridge.validation.report import build_report, write_report
    from spikebridge.validation.verdict import Status

    reference = load_recording(reference_path)
    if reference.executor.startswith("brian2"):
        raise SpecError(
            f"{reference_path}: is a simulation of {reference.executor}; REFERENCE is what PyTorch recorded"
        )
    found: dict[str, Recording] = {}
    replay: Recording | None = None
    for path in simulations:
        recording = load_recording(path)
        if recording.executor == reference.executor:
            raise SpecError(f"{path}: was recorded by {recording.executor}, like the reference; give what Brian2 did")
        if is_replay(recording):
            if replay is not None:
                raise SpecError(f"{path}: a second replay; give one")
            replay = recording
            continue
        label = simulation_label(reference, recording)
        if label in found:
            if is_physical(recording):
                raise SpecError(f"{path}: a second simulation in physical units; give one")
            raise SpecError(f"{path}: a second simulation at a step of {recording.step_ms:g} ms; give one per step")
        found[label] = recording
    found = name_continuous(found)
    shortest = min(recording.trials.n_samples for recording in [reference, *found.values()])
    if shortest < reference.trials.n_samples:
        log.info("comparing the first %d of %d samples", shortest, reference.trials.n_samples)
        first = np.arange(shortest)
        reference = reference.select(first)
        found = {label: recording.select(first) for label, recording in found.items()}
        replay = None if replay is None else replay.select(first)
    report = build_report(
        load_network(network), reference, found, replay=replay, same_network=same_network, chapters=chapters
    )
    html, _ = write_report(report, out)
    log.info("%s", report.verdict.headline)
    for sentence in report.verdict.sentences:
        log.info("  %s", sentence)
    if report.verdict.status is Status.DIFFERENT:
        raise ParityError(f"{report.verdict.headline} {report.verdict.sentences[0]} See {html}")


def summarise(config: RunConfig, out: Path) -> None:
    """Mean and standard deviation over the realisations in `out`."""
    from spikebridge.validation.summary import write_summary

    write_summary(dict(seeds_and_folders(config, out)), out)
