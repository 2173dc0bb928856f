"""What each command does with its parsed arguments."""

from __future__ import annotations

import argparse
from pathlib import Path

from spikebridge.bridge.errors import ConfigError
from spikebridge.bridge.physical import PhysicalUnits
from spikebridge.cli import stages
from spikebridge.cli.config import RunConfig, load_config, save_config


def _configured(options: argparse.Namespace) -> tuple[RunConfig, Path, Path | None]:
    """The resolved configuration, the output and the data folder."""
    config = load_config(options.config, options.overrides)
    return config, Path(options.out), None if options.data is None else Path(options.data)


def run(options: argparse.Namespace) -> None:
    """All stages for every realisation, then the summary if there are several."""
    config, out, data = _configured(options)
    for seed, folder in stages.seeds_and_folders(config, out):
        stages.train(config, data, seed, folder, progress=not options.quiet)
        stages.simulate_run(config, folder, progress=not options.quiet)
        stages.validate_run(config, folder)
    if config.training.realisations > 1:
        save_config(config, out / stages.CONFIG)
        stages.summarise(config, out)
    print(f"report: {out / 'report.html'}")


def train(options: argparse.Namespace) -> None:
    """Train and export every realisation."""
    config, out, data = _configured(options)
    for seed, folder in stages.seeds_and_folders(config, out):
        stages.train(config, data, seed, folder, progress=not options.quiet)
    if config.training.realisations > 1:
        save_config(config, out / stages.CONFIG)


def simulate(options: argparse.Namespace) -> None:
    """One simulation of an exported network."""
    stages.simulate_file(
        Path(options.network),
        Path(options.inputs),
        Path(options.out),
        step_ms=options.step_ms,
        backend=options.backend,
        samples=options.samples,
        replay=options.replay,
        physical=_physical(options),
        progress=not options.quiet,
    )


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
