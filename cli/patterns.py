"""`spikebridge patterns`: spatio-temporal spike patterns in a recording, with what would have been found by chance."""

from __future__ import annotations

import argparse
import json
import tomllib
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from spikebridge.bridge.errors import ConfigError
from spikebridge.bridge.recording_file import load_recording
from spikebridge.cli.arguments import add_workers, require_one_pool
from spikebridge.cli.config import apply_override
from spikebridge.cli.search import searched

if TYPE_CHECKING:
    from spikebridge.validation.patterns_parameters import PatternParameters

HELP = "search a recording for spike patterns (SPADE) with controls: patterns.html and patterns.json"
EXAMPLES = (
    "  spikebridge patterns runs/digits/continuous.h5 --out runs/digits/patterns\n"
    "  spikebridge patterns runs/digits/continuous.h5 --out out --population hidden2 --class zero --class one\n"
    "  spikebridge patterns runs/digits/continuous.h5 --out out --set window_bins=20 --set shift_ms=15.0\n"
    "  spikebridge patterns runs/digits/continuous.h5 --out out --cluster tcp://scheduler:8786\n\n"
    "An interrupted search continues where it stopped when the same command is given again; see docs/patterns.md.\n"
)
TABLE = "patterns"


def configure(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    parser.add_argument("recording", metavar="RECORDING.h5", help="what `train` or `simulate` wrote")
    parser.add_argument("--out", required=True, metavar="DIR", help="folder of the report")
    parser.add_argument(
        "--config", metavar="FILE", help="a TOML file with a table [patterns]; other tables are ignored"
    )
    parser.add_argument(
        "--set", action="append", default=[], dest="overrides", metavar="KEY=VALUE", help="override one parameter"
    )
    parser.add_argument("--population", action="append", metavar="NAME", help="only this one; may be repeated")
    parser.add_argument(
        "--class", action="append", dest="classes", metavar="NAME", help="only trials of this class; may be repeated"
    )
    add_workers(parser, "search", "processes on this machine; default: one per core")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    parser.set_defaults(function=patterns)


def patterns(options: argparse.Namespace) -> None:
    """Search, and write the report.

    Raises:
        ConfigError: a parameter is unknown or out of range, or workers and a cluster are both given.
        SpecError: it would take more memory or time than allowed, or there is nothing to search.
        DataError: a file is missing, damaged or cannot be written.
    """
    from spikebridge.validation.patterns_report import build_pattern_report, write_pattern_report

    require_one_pool(options.cluster, options.workers)
    parameters = load_parameters(options.config, options.overrides)
    recording = load_recording(Path(options.recording), readout=False)
    out = Path(options.out)
    with searched(
        recording,
        parameters,
        out,
        cluster=options.cluster,
        workers=options.workers,
        progress=not options.quiet,
        populations=options.population,
        classes=options.classes,
    ) as analysis:
        report = build_pattern_report(analysis)
        paths = write_pattern_report(report, out)
    print(report.verdict.headline)
    for sentence in report.verdict.sentences:
        print(f"  {sentence}")
    print(f"wrote {paths[0]} and {paths[1]}")


def load_parameters(path: str | None, overrides: Sequence[str] = ()) -> PatternParameters:
    """Parameters from the table [patterns] of a file, with overrides.

    Raises:
        ConfigError: no such file or no TOML, an unknown key, a wrong type or a value out of range.
    """
    from spikebridge.validation.patterns_parameters import PatternParameters

    values = {} if path is None else _table(Path(path))
    for override in overrides:
        apply_override(values, override.removeprefix(f"{TABLE}."))
    known = [field.name for field in fields(PatternParameters)]
    unknown = sorted(values.keys() - set(known))
    if unknown:
        raise ConfigError(f"unknown key patterns.{unknown[0]}; there are {', '.join(known)}")
    try:
        return TypeAdapter(PatternParameters).validate_json(json.dumps(values, default=str), strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"patterns.{where}: {first['msg']}, got {first.get('input')!r}") from None


def _table(path: Path) -> dict[str, Any]:
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"no configuration file {str(path)!r}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: no valid TOML: {error}") from None
    table = document.get(TABLE, {})
    if not isinstance(table, dict):
        raise ConfigError(f"{path}: {TABLE} is a value, not a table")
    return table
