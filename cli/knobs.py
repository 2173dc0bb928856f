"""`spikebridge knobs`: accuracy and activity as functions of one change at a time, without training again."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Literal

from spikebridge.bridge.knobs import KNOBS, parse_knobs
from spikebridge.cli.arguments import add_workers, count, duration_ms, require_one_pool
from spikebridge.cli.knobs_run import DROP_POINTS, SOME_SAMPLES, KnobsRequest, write_knobs
from spikebridge.sim.options import SimulationOptions

HELP = "change one thing at a time in Brian2 (jitter, noise, losses, kinetics): knobs.html, knobs.json, pictures"
EXAMPLES = (
    "  spikebridge knobs runs/demo/network.h5 --inputs runs/demo/reference.h5 --out runs/demo/knobs\n"
    "  spikebridge knobs runs/demo/network.h5 --inputs runs/demo/reference.h5 --out out --knob weight_jitter \\\n"
    "      --knob dropped_spikes=0.1,0.3,0.5 --draws 5 --samples all\n\n"
    "knobs: " + ", ".join(knob.key for knob in KNOBS) + "\n\n"
    "Interrupted, it continues where it stopped when the same command is given again; see docs/knobs.md.\n"
)


def configure(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    parser.add_argument("network", metavar="NETWORK.h5", help="what `train` exported")
    parser.add_argument("--inputs", required=True, metavar="RECORDING.h5", help="a recording that holds the inputs")
    parser.add_argument("--out", required=True, metavar="DIR", help="folder of the report and the pictures")
    parser.add_argument("--step-ms", type=duration_ms, default=0.1, metavar="MS", help="time step; default 0.1")
    parser.add_argument(
        "--samples",
        type=_samples,
        metavar="N|all",
        help=f"drawn with the seed, equally many of every class; default {SOME_SAMPLES}",
    )
    parser.add_argument(
        "--knob",
        action="append",
        metavar="NAME[=AMOUNT,...]",
        help="only this one, at these amounts; may be repeated; default: all",
    )
    parser.add_argument("--draws", type=count, default=3, metavar="K", help="of every random condition; default 3")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of draws and samples; default 0")
    parser.add_argument(
        "--drop-points",
        type=float,
        default=DROP_POINTS,
        metavar="N",
        help=f"the summary says where so many percentage points of accuracy are lost; default {DROP_POINTS:g}",
    )
    parser.add_argument(
        "--backend", choices=("auto", "numpy", "cython", "cpp"), default="auto", help="of Brian2, as for `simulate`"
    )
    add_workers(parser, "simulate", "processes on this machine; default: one per core")
    parser.add_argument("--quiet", action="store_true", help="no progress bars")
    parser.set_defaults(function=knobs)


def knobs(options: argparse.Namespace) -> None:
    """Turn the knobs and write the report.

    Raises:
        ConfigError: no such knob, an amount out of range, more samples than there are, or a cluster that is none.
        SpecError: network and inputs do not fit together, or the simulation failed.
        DataError: a file is missing, damaged or cannot be written.
    """
    require_one_pool(options.cluster, options.workers)
    request = KnobsRequest(
        network=Path(options.network),
        inputs=Path(options.inputs),
        out=Path(options.out),
        step_ms=options.step_ms,
        samples=options.samples or "some",
        knobs=parse_knobs(options.knob),
        draws=options.draws,
        seed=options.seed,
        drop_points=options.drop_points,
        options=SimulationOptions(backend=options.backend, workers=options.workers),
    )
    report, paths = write_knobs(request, cluster=options.cluster, progress=not options.quiet)
    print(report.verdict.headline)
    for sentence in report.verdict.sentences:
        print(f"  {sentence}")
    pictures = len(paths) - 2
    print(f"wrote {paths[0]}, {paths[1]} and {pictures} picture{'' if pictures == 1 else 's'}")


def _samples(text: str) -> int | Literal["all"]:
    return "all" if text == "all" else count(text)
