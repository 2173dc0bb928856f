"""NIX files through Neo: `write_nix`, `read_nix`."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import neo

from spikebridge.bridge.errors import ConfigError, DataError
from spikebridge.bridge.recording import Recording
from spikebridge.bridge.storage import atomic_path
from spikebridge.validation.neo_block import block_of, spikes_of_block
from spikebridge.validation.neo_dependencies import require
from spikebridge.validation.trial_spikes import TrialSpikes

MAX_TRAINS = 20_000
"""More spike trains are not written to NIX unless asked for."""

BYTES_PER_TRAIN = 27_000
"""Measured with nixio 1.5: every train is several HDF5 groups, however few spikes it has."""


def write_nix(recording: Recording, path: Path, *, max_trains: int | None = MAX_TRAINS) -> None:
    """Write a recording's spikes, whole or not at all.

    Args:
        recording: what to write.
        path: the file.
        max_trains: refuse more spike trains (neurons times trials) than that; None for any number.

    Raises:
        ConfigError: nixio is not installed, or there are too many trains.
        DataError: there is no space for it.
    """
    require("nixio", "writing NIX files")
    trains = recording.trials.n_samples * sum(each.n_neurons for each in recording.spikes.values())
    if max_trains is not None and trains > max_trains:
        fitting = max(1, max_trains * recording.trials.n_samples // trains)
        raise ConfigError(
            f"{trains:,} spike trains (one per neuron and trial) would take about "
            f"{trains * BYTES_PER_TRAIN / 1e9:.1f} GB and many minutes in NIX; write fewer trials "
            f"with --samples {fitting}, or use --to nwb"
        )
    needed = trains * BYTES_PER_TRAIN
    with atomic_path(path, needed_bytes=needed) as temporary:
        # nixio opens its file itself, and HDF5 may pass over a disk that gets full: see Hdf5Output.
        if shutil.disk_usage(temporary.parent).free < needed:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        with neo.io.NixIO(str(temporary), "ow") as file:
            file.write_block(block_of(recording))


def read_nix(path: Path) -> TrialSpikes:
    """Read the spikes of a NIX file that Neo wrote.

    Raises:
        ConfigError: nixio is not installed.
        DataError: missing, damaged, without a block or with several, or with trains that cannot be assigned to neurons.
    """
    nixio = require("nixio", "reading NIX files")
    if not path.is_file():
        raise DataError("no such file", path=path)
    try:
        with neo.io.NixIO(str(path), mode="ro") as file:
            blocks = file.read_all_blocks()
    except (OSError, KeyError, RuntimeError, TypeError, ValueError, nixio.exceptions.InvalidFile) as error:
        raise DataError(f"cannot be read as NIX written by Neo ({error})", path=path) from error
    if len(blocks) != 1:
        raise DataError(f"holds {len(blocks)} blocks; give a file with one", path=path)
    return spikes_of_block(blocks[0], path)
