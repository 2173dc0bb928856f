"""`spikebridge diverge`: where two recordings first differ, why, and a picture of it."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from spikebridge.bridge.errors import DataError, ParityError, SpecError
from spikebridge.bridge.network_file import load_network, network_sha256
from spikebridge.bridge.recording import Recording
from spikebridge.bridge.recording_file import load_recording
from spikebridge.bridge.spec import NetworkSpec
from spikebridge.cli.files import NETWORK

if TYPE_CHECKING:
    from spikebridge.validation.closeup import Side

HELP = "say where two recordings first differ and why, and draw the membrane around it: a picture and diverge.json"
EXAMPLES = (
    "  spikebridge diverge runs/demo/reference.h5 runs/demo/grid.h5\n"
    "  spikebridge diverge runs/demo/reference.h5 runs/faulty_grid.h5 --network-b runs/faulty.h5 --out where.svg\n"
    "  spikebridge diverge runs/demo/reference.h5 runs/faulty_grid.h5 --sample 12 --population hidden2\n"
)


def configure(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    parser.add_argument("a", metavar="A.h5", help="a recording")
    parser.add_argument("b", metavar="B.h5", help="another recording of the same samples, on the same grid")
    parser.add_argument("--network", metavar="NETWORK.h5", help=f"what A ran; default: {NETWORK} beside A")
    parser.add_argument(
        "--network-b", metavar="NETWORK.h5", help=f"what B ran; default: that of A, or {NETWORK} beside B"
    )
    parser.add_argument("--sample", type=int, metavar="S", help="look at the first difference in this sample")
    parser.add_argument("--population", metavar="NAME", help="look at the first difference of this population")
    parser.add_argument(
        "--out", default="diverge.png", metavar="FILE", help="picture, .png or .svg; the numbers go beside it as .json"
    )
    parser.set_defaults(function=diverge)


def diverge(options: argparse.Namespace) -> None:
    """Compare two recordings; print where they differ, draw it, and fail if they do.

    Raises:
        ParityError: they differ.
        SpecError: they cannot be compared, or a network is not what they ran.
        DataError: a file is missing or damaged.
        ConfigError: the picture's name says no format.
    """
    from spikebridge.validation.closeup import look_closely, origins
    from spikebridge.validation.diverge import find_divergence
    from spikebridge.validation.divergence_text import describe_closeup, describe_origins, overview, what, where
    from spikebridge.validation.write_divergence import require_picture_name, write_divergence

    out = Path(options.out)
    require_picture_name(out)
    a, b = _sides(options)
    known = a.network or b.network
    divergence = find_divergence(
        a.recording, b.recording, readout="readout" if known is None else known.readout.population
    )
    place = divergence.choose(sample=options.sample, population=options.population)
    for side in (a, b):
        print(f"{side.label}: {side.file} ({side.recording.executor}, network {side.recording.network_sha256[:12]}...)")
    _print(overview(divergence))
    if divergence.same:
        return
    first = divergence.first
    if first is None:
        raise ParityError("A and B differ in their class scores")
    if known is None:
        raise DataError(
            "is missing, or not what A or B ran: causes and membrane traces need the network; give it with --network "
            f"NETWORK.h5 (A ran {a.recording.network_sha256[:12]}..., B {b.recording.network_sha256[:12]}...)",
            path=Path(options.a).parent / NETWORK,
        )
    found = origins(divergence, a, b)
    _print(describe_origins(found))
    if place is None:
        print("Nothing differs in the sample and population asked for, so there is nothing to draw.")
    else:
        closeup = look_closely(place, a, b)
        _print(describe_closeup(closeup))
        picture, numbers = write_divergence(divergence, found, closeup, out)
        print(f"wrote {picture} and {numbers}")
    raise ParityError(f"A and B differ, first in {where(first)}: {what(first)}")


def _sides(options: argparse.Namespace) -> tuple[Side, Side]:
    """Both recordings, the longer one cut to the samples of the shorter, each with the network it ran."""
    from spikebridge.validation.closeup import Side

    paths = [Path(options.a), Path(options.b)]
    recordings = [load_recording(path) for path in paths]
    samples = [recording.trials.n_samples for recording in recordings]
    if samples[0] != samples[1]:
        print(f"comparing the first {min(samples)} of {max(samples)} samples: the other recording has no more")
        recordings = [recording.select(np.arange(min(samples))) for recording in recordings]
    networks = _networks(options, recordings)
    names = [_short(paths, path) for path in paths]
    sides = []
    for label, name, recording in zip("AB", names, recordings, strict=True):
        spec, file = networks.get(recording.network_sha256, (None, None))
        sides.append(Side(label, name, recording, spec, None if file is None else str(file)))
    return sides[0], sides[1]


def _networks(options: argparse.Namespace, recordings: Sequence[Recording]) -> dict[str, tuple[NetworkSpec, Path]]:
    """Networks by checksum. What was named must be one that A or B ran; what merely lies beside them may be another.

    Raises:
        SpecError: a named network is not what was recorded.
    """
    wanted = [recording.network_sha256 for recording in recordings]
    named = {"--network": (options.network, wanted), "--network-b": (options.network_b, wanted[1:])}
    found: dict[str, tuple[NetworkSpec, Path]] = {}
    for option, (name, accepted) in named.items():
        if name is None:
            continue
        spec = load_network(Path(name))
        checksum = network_sha256(spec)
        if checksum not in accepted:
            who = "B" if option == "--network-b" else "neither A nor B"
            raise SpecError(
                f"{option} {name} is network {checksum[:12]}..., which {who} {'did not run' if who == 'B' else 'ran'} "
                f"(A: {wanted[0][:12]}..., B: {wanted[1][:12]}...); give the network that was recorded"
            )
        found[checksum] = (spec, Path(name))
    for recording_path, unnamed in ((options.a, options.network is None), (options.b, options.network_b is None)):
        path = Path(recording_path).parent / NETWORK
        if unnamed and path.is_file():
            spec = load_network(path)
            found.setdefault(network_sha256(spec), (spec, path))
    return found


def _short(paths: Sequence[Path], path: Path) -> str:
    """The file's name, with its folders where both files are called the same."""
    return str(path) if paths[0].name == paths[1].name else path.name


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        print(line)
