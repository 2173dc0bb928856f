"""Arguments that several commands have; numbers are refused there with the name of the argument."""

from __future__ import annotations

import argparse
import math

from spikebridge.bridge.errors import ConfigError
from spikebridge.sim.cluster import parse_cluster, require_dask


def count(text: str) -> int:
    """A whole number of at least 1.

    Raises:
        ArgumentTypeError: anything else.
    """
    try:
        value = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number; give 1 or more") from None
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is too few; give 1 or more")
    return value


def duration_ms(text: str) -> float:
    """A finite number of milliseconds above 0.

    Raises:
        ArgumentTypeError: anything else.
    """
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no number; give milliseconds, for example 0.1") from None
    if not (math.isfinite(value) and value > 0):
        raise argparse.ArgumentTypeError(f"{text} ms is no duration; give milliseconds above 0, for example 0.1")
    return value


def add_configuration(parser: argparse.ArgumentParser, config_help: str) -> None:
    """A configuration with overrides, the folder of the data, and that of the results."""
    parser.add_argument("config", metavar="CONFIG", help=config_help)
    parser.add_argument("--out", required=True, metavar="DIR", help="folder for everything that is written")
    parser.add_argument("--data", metavar="DIR", help="folder of the data files, where the configuration reads files")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        dest="overrides",
        metavar="SECTION.KEY=VALUE",
        help="override one value of the configuration; may be repeated",
    )


def add_workers(parser: argparse.ArgumentParser, what: str, workers: str) -> None:
    """`--workers`, explained by `workers`, and `--cluster` to do `what` on."""
    parser.add_argument("--workers", type=count, metavar="N", help=workers)
    add_cluster(parser, what)


def add_cluster(parser: argparse.ArgumentParser, what: str) -> None:
    """`--cluster`, to do `what` on."""
    parser.add_argument(
        "--cluster",
        nargs="?",
        const="local",
        metavar="CLUSTER",
        help=f"{what} on a Dask cluster: local (if no value), local:N, tcp://HOST:PORT, slurm:... (docs/cluster.md)",
    )


def require_one_pool(cluster: str | None, workers: int | None) -> None:
    """Refuse a cluster that cannot be used, or workers beside one.

    Raises:
        SpecError: no such cluster, or Dask is missing.
        ConfigError: both were given.
    """
    if cluster is not None:
        require_dask(parse_cluster(cluster))
        if workers is not None:
            raise ConfigError("--workers are processes of this machine, a --cluster has its own; leave one of them out")
