"""What `spikebridge sweep` was asked for, checked before anything is trained."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from spikebridge.bridge.errors import ConfigError
from spikebridge.cli.config import RunConfig, load_config, parse_config
from spikebridge.sim.cluster import LocalWorkers, parse_cluster, require_dask
from spikebridge.sim.processors import available_processors
from spikebridge.training.config import TrainingConfig

log = logging.getLogger("spikebridge")


@dataclass(frozen=True, slots=True)
class SweepRequest:
    """What was asked for.

    Attributes:
        name: of the configuration.
        config: all of it.
        out: folder, absolute, for other machines.
        data: folder of the data, likewise.
        cluster, workers: where trainings run; one of them is None.
        storage: address of the database; None for a file in the folder.
    """

    name: str
    config: RunConfig
    out: Path
    data: Path | None
    cluster: str | None
    workers: int | None
    storage: str | None

    def configured(self, values: Mapping[str, Any]) -> RunConfig:
        """The configuration with some values replaced and no sweep: what `run` needs to train a trial again.

        Args:
            values: by dotted key.

        Raises:
            ConfigError: the values do not go together.
        """
        nested = asdict(self.config)
        document = {**nested.pop("training"), **nested}
        document["realisations"] = self.config.sweep.realisations
        del document["sweep"]
        for key, value in values.items():
            *tables, last = key.split(".")
            table = document
            for part in tables:
                table = table[part]
            table[last] = value
        return parse_config(document, self.name)

    def training(self, values: Mapping[str, Any]) -> TrainingConfig:
        """The same without what concerns simulations."""
        return self.configured(values).training


def sweep_request(options: argparse.Namespace) -> SweepRequest:
    """What the arguments ask for.

    Raises:
        ConfigError: the configuration is wrong, or the workers need more processors than there are.
        SpecError: the cluster is none, or Dask is missing.
    """
    overrides = list(options.overrides)
    if options.trials is not None:
        overrides.append(f"sweep.trials={options.trials}")
    config = load_config(options.config, overrides)
    cluster, workers = where(options.cluster, options.workers, config.training.threads)
    return SweepRequest(
        name=options.config,
        config=config,
        out=Path(options.out).resolve(),
        data=None if options.data is None else Path(options.data).resolve(),
        cluster=cluster,
        workers=workers,
        storage=options.storage,
    )


def where(cluster: str | None, workers: int | None, threads: int) -> tuple[str | None, int | None]:
    """Cluster and workers, of which those on this machine have as many processors as threads.

    Raises:
        ConfigError: both are given, or they need more processors than there are.
        SpecError: the cluster is none, or Dask is missing.
    """
    processors = available_processors()
    fitting = max(1, processors // threads)
    if cluster is None:
        _require_processors(workers or 1, threads, processors, "--workers")
        return None, workers or fitting
    if workers is not None:
        raise ConfigError("--workers are processes of this machine, a --cluster has its own; leave one of them out")
    parsed = parse_cluster(cluster)
    require_dask(parsed)
    if isinstance(parsed, LocalWorkers):
        _require_processors(parsed.workers or 1, threads, processors, "--cluster local:")
        return f"local:{parsed.workers or fitting}", None
    if threads > 1:
        log.warning("every worker trains with %d threads; for workers of one core add --set threads=1", threads)
    return cluster, None


def _require_processors(workers: int, threads: int, processors: int, flag: str) -> None:
    if workers > 1 and workers * threads > processors:
        raise ConfigError(
            f"{flag}{'' if flag.endswith(':') else ' '}{workers} with threads = {threads} needs {workers * threads} "
            f"processors, and there are {processors}: --set threads=1, or fewer workers"
        )
