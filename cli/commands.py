"""What each command does with its parsed arguments."""

from __future__ import annotations

import argparse
from pathlib import Path

from spikebridge.bridge.disturbance import Disturbance
from spikebridge.bridge.errors import ConfigError
from spikebridge.bridge.physical import PhysicalUnits
from spikebridge.cli import files, stages
from spikebridge.cli.analyses import analyse_run
from spikebridge.cli.config import RunConfig, full, load_config, save_config
from spikebridge.cli.plan import describe_plan
from spikebridge.cli.simulation import SimulationRequest, evaluations, simulate_request
from spikebridge.sim.cluster import parse_cluster, require_dask, require_no_gpu
from spikebridge.sim.options import SimulationOptions


def _configured(options: argparse.Namespace) -> tuple[RunConfig, Path, Path | None]:
    """The resolved configuration, the output and the data folder."""
    config = load_config(options.config, options.overrides)
    return config, Path(options.out), None if options.data is None else Path(options.data)


def _start(options: argparse.Namespace, config: RunConfig, folder: Path, out: Path) -> Path | None:
    """The folder of the training to start from: with several realisations, that of the same seed."""
    if options.start_from is None:
        return None
    start = Path(options.start_from)
    if start.resolve() == out.resolve():
        raise ConfigError(f"--start-from {start} is the output folder itself; give --out another name")
    return start if config.training.realisations == 1 else start / folder.relative_to(out)


def run(options: argparse.Namespace) -> None:
    """All stages for every realisation, then the summary if there are several."""
    config, out, data = _configured(options)
    config = full(config) if options.full else config
    _check_cluster(options, config.simulation)
    progress, runs = not options.quiet, dict(stages.seeds_and_folders(config, out))
    for seed, folder in runs.items():
        start_from = _start(options, config, folder, out)
        stages.train(config, data, seed, folder, start_from=start_from, progress=progress)
        if options.cluster is None:
            stages.simulate_run(config, folder, progress=progress)
            _report(config, folder, None, progress)
    if options.cluster is not None:
        stages.simulate_on_cluster(config, list(runs.values()), options.cluster, progress=progress)
        for folder in runs.values():
            _report(config, folder, options.cluster, progress)
    if config.training.realisations > 1:
        save_config(config, out / files.CONFIG)
        stages.summarise(config, out)
    print(f"report: {out / 'report.html'}")


def _report(config: RunConfig, folder: Path, cluster: str | None, progress: bool) -> None:
    """Analyses and the report; one that was refused fails when the report of everything else is written."""
    refused = analyse_run(config, folder, cluster=cluster, progress=progress)
    stages.validate_run(config, folder)
    if refused is not None:
        raise refused


def train(options: argparse.Namespace) -> None:
    """Train and export every realisation."""
    config, out, data = _configured(options)
    for seed, folder in stages.seeds_and_folders(config, out):
        start_from = _start(options, config, folder, out)
        stages.train(config, data, seed, folder, start_from=start_from, progress=not options.quiet)
    if config.training.realisations > 1:
        save_config(config, out / files.CONFIG)


def simulate(options: argparse.Namespace) -> None:
    """Simulations of exported networks, or only what they would cost."""
    if options.out is None and not options.plan:
        raise ConfigError("simulate needs --out, the file to write; only --plan does without")
    request = SimulationRequest(
        networks=tuple(Path(name) for name in options.networks),
        inputs=Path(options.inputs),
        out=None if options.out is None else Path(options.out),
        steps_ms=tuple(options.step_ms or ()),
        options=SimulationOptions(
            backend=options.backend or "auto",
            lanes=options.lanes,
            workers=options.workers,
            keep_readout=options.keep_readout,
        ),
        samples=options.samples,
        replay=options.replay,
        physical=_physical(options),
        disturbance=_disturbance(options),
    )
    _check_cluster(options, request.options)
    if options.plan:
        print("\n\n".join(describe_plan(path, what) for path, what in evaluations(request).items()))
    else:
        simulate_request(request, cluster=options.cluster, progress=not options.quiet)


def _check_cluster(options: argparse.Namespace, simulation: SimulationOptions) -> None:
    """Refuse a cluster that is none, or that does not go with the options, now, not after a training."""
    if options.cluster is None:
        return
    require_dask(parse_cluster(options.cluster))
    require_no_gpu(simulation)
    if simulation.workers is not None:
        raise ConfigError(
            f"workers = {simulation.workers} are processes of this machine; a --cluster has workers of its own. Leave "
            f"one of them out (--cluster local:{simulation.workers} is a cluster of so many here)"
        )


def _disturbance(options: argparse.Namespace) -> Disturbance:
    """The disturbance asked for."""
    found = Disturbance(options.membrane_noise, options.transmission_failure, options.noise_seed or 0)
    if options.noise_seed is not None and not found.any:
        raise ConfigError(
            "--noise-seed: only with --membrane-noise or --transmission-failure above 0, whose random numbers it seeds"
        )
    return found


def _physical(options: argparse.Namespace) -> PhysicalUnits | None:
    """The physical units asked for, None without `--physical`."""
    names = ("capacitance_pf", "leak_ns", "rest_mv", "threshold_mv")
    given = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    if options.physical:
        return PhysicalUnits(**given)
    if given:
        flags = ", ".join("--" + name.replace("_", "-") for name in given)
        raise ConfigError(f"{flags}: only with --physical, which runs the network in mV, pA, pF and nS; add it")
    return None


def validate(options: argparse.Namespace) -> None:
    """A report on recordings."""
    stages.validate_files(
        Path(options.network),
        Path(options.reference),
        [Path(name) for name in options.simulations],
        Path(options.out),
        same_network=not options.allow_other_network,
    )


def download(options: argparse.Namespace) -> None:
    """Fetch a published data set."""
    from spikebridge.training.data.download import BASE_URL
    from spikebridge.training.data.download import download as fetch

    base_url = BASE_URL if options.base_url is None else options.base_url
    for path in fetch(options.dataset, Path(options.out), base_url=base_url, progress=not options.quiet):
        print(path)


def info(options: argparse.Namespace) -> None:
    """Describe a file."""
    from spikebridge.cli.info import describe

    print(describe(Path(options.file)))
