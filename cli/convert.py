"""`spikebridge convert`: a recording as a file of the field."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from spikebridge.bridge.errors import ConfigError
from spikebridge.bridge.recording_file import load_recording
from spikebridge.cli.arguments import count

HELP = "write the spikes of a recording as NIX (through Neo) or NWB (through pynwb)"
EXAMPLES = (
    "  spikebridge convert runs/demo/continuous.h5 --to nwb demo.nwb\n"
    "  spikebridge convert runs/demo/continuous.h5 --to nix demo.nix --samples 50\n"
)

FORMATS = ("nix", "nwb")


def configure(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    parser.add_argument("recording", metavar="RECORDING.h5", help="what `run`, `train` or `simulate` wrote")
    parser.add_argument("file", metavar="FILE", help="the file to write")
    parser.add_argument("--to", choices=FORMATS, help="its format; default: that of its ending")
    parser.add_argument("--samples", type=count, metavar="N", help="only the first N samples")
    parser.set_defaults(function=convert)


def convert(options: argparse.Namespace) -> None:
    """Write a recording in another format.

    Raises:
        ConfigError: no format, a library is missing, or more than NIX can hold in reasonable time.
        DataError: the recording is missing or damaged, or there is no space.
    """
    path = Path(options.file)
    form = options.to or path.suffix.lower().removeprefix(".")
    if form not in FORMATS:
        raise ConfigError(f"{path}: say which format to write with --to {' or --to '.join(FORMATS)}")
    if path.exists() and path.resolve() == Path(options.recording).resolve():
        raise ConfigError(f"{path} is the recording itself; give another name")
    recording = load_recording(Path(options.recording), readout=False)
    if options.samples is not None:
        recording = recording.select(np.arange(min(options.samples, recording.trials.n_samples)))
    if form == "nix":
        from spikebridge.validation.nix_file import MAX_TRAINS, write_nix

        write_nix(recording, path, max_trains=MAX_TRAINS if options.samples is None else None)
    else:
        from spikebridge.validation.nwb_file import write_nwb

        write_nwb(recording, path)
    spikes = sum(trains.n_spikes for trains in recording.spikes.values())
    print(f"wrote {path}: {spikes:,} spikes of {recording.trials.n_samples:,} samples")
