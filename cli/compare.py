"""`spikebridge compare`: runs side by side, recordings statistic by statistic, and published ranges."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from spikebridge.bridge.errors import ConfigError, DataError
from spikebridge.bridge.recording_file import load_recording
from spikebridge.cli.arguments import duration_ms
from spikebridge.cli.files import CONTINUOUS, GRID, REFERENCE

if TYPE_CHECKING:
    from spikebridge.validation.compare_activity import Activity
    from spikebridge.validation.compare_runs import Run

log = logging.getLogger("spikebridge")

HELP = "put runs and recordings side by side, with published ranges of cortical activity: compare.html and compare.json"
EXAMPLES = (
    "  spikebridge compare runs/demo runs/digits --out runs/compared\n"
    "  spikebridge compare runs/demo/reference.h5 runs/demo/continuous.h5 --out runs/compared\n"
    "  spikebridge compare my_cells.nwb runs/digits/continuous.h5 --duration-ms 500 --out runs/compared\n"
)

OF_A_RUN = (CONTINUOUS, GRID, REFERENCE)
"""The recording that stands for a run: the first of these that it has."""


def configure(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    parser.add_argument(
        "inputs",
        nargs="+",
        metavar="RUN_OR_RECORDING",
        help="folders of runs, recordings (.h5), Neo files (.nix), NWB files (.nwb); all are compared with the first",
    )
    parser.add_argument("--out", required=True, metavar="DIR", help="folder of compare.html and compare.json")
    parser.add_argument(
        "--duration-ms",
        type=duration_ms,
        metavar="MS",
        help="of .nix and .nwb files use only so much of every trial; needed where trials last differently",
    )
    parser.add_argument("--ranges", metavar="FILE.toml", help="published ranges instead of those of the package")
    parser.add_argument("--seed", type=_seed, default=0, metavar="N", help="of the bootstrap intervals; default 0")
    parser.set_defaults(function=compare)


def compare(options: argparse.Namespace) -> None:
    """Compare what was named and write the page and its numbers.

    Raises:
        ConfigError: the same input twice, or a file of an unknown kind.
        DataError: an input is missing or damaged.
        SpecError: inputs that cannot be told apart.
    """
    from spikebridge.validation.compare_report import build_comparison, write_comparison
    from spikebridge.validation.plausibility import load_ranges

    ranges = None if options.ranges is None else load_ranges(Path(options.ranges))
    runs: list[Run] = []
    activities: list[Activity] = []
    for name, path in named_inputs([Path(text) for text in options.inputs]).items():
        if path.is_dir():
            run, activity = _run(path, name)
            runs.append(run)
            activities += [] if activity is None else [activity]
        else:
            activities.append(_activity(path, name, options.duration_ms))
    report = build_comparison(runs, activities, ranges=ranges, seed=options.seed)
    html, numbers = write_comparison(report, Path(options.out))
    print(report.verdict.headline)
    for sentence in report.verdict.sentences:
        print(f"  {sentence}")
    print(f"wrote {html} and {numbers}")


def named_inputs(paths: Sequence[Path]) -> dict[str, Path]:
    """Inputs by their own name, by the path as it was given where two have the same name.

    Raises:
        ConfigError: an input was given twice.
        DataError: it does not exist.
    """
    own = [path.resolve().name for path in paths]
    named: dict[str, Path] = {}
    for path, name in zip(paths, own, strict=True):
        if not path.exists():
            raise DataError("no such folder or file; give a run, a recording, or a NIX or NWB file", path=path)
        if path.resolve() in {each.resolve() for each in named.values()}:
            raise ConfigError(f"{path} was given twice; give each input once")
        named[name if own.count(name) == 1 else str(path)] = path
    return named


def _run(folder: Path, name: str) -> tuple[Run, Activity | None]:
    from spikebridge.validation.compare_activity import activity_of
    from spikebridge.validation.compare_runs import load_run

    run = load_run(folder, name)
    file = next((folder / each for each in OF_A_RUN if (folder / each).is_file()), None)
    if file is None:
        log.info("%s has no recording of its own, so that only its report is compared; give its seed-* folders", folder)
        return run, None
    return run, activity_of(load_recording(file, readout=False), f"{name}/{file.name}")


def _activity(path: Path, name: str, duration: float | None) -> Activity:
    from spikebridge.validation.compare_activity import activity_of
    from spikebridge.validation.trial_spikes import on_grid

    match path.suffix.lower():
        case ".h5":
            return activity_of(load_recording(path, readout=False), name)
        case ".nix":
            from spikebridge.validation.nix_file import read_nix

            return on_grid(read_nix(path), name, path, duration)
        case ".nwb":
            from spikebridge.validation.nwb_file import read_nwb

            return on_grid(read_nwb(path), name, path, duration)
    raise ConfigError(f"{path} is of no known kind; give the folder of a run, or a file ending in .h5, .nix or .nwb")


def _seed(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no seed; give a whole number of at least 0")
    return int(text)
