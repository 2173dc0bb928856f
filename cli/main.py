"""`spikebridge`: the command line. Heavy libraries are imported by the stage that needs them."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence

from spikebridge.bridge.errors import DataError, SpikebridgeError
from spikebridge.bridge.provenance import versions
from spikebridge.cli import commands, compare, convert, diverge, knobs, patterns, sweep
from spikebridge.cli.arguments import add_cluster, add_configuration, count, duration_ms

EXIT_CODES = """\
exit codes:
  0  done
  1  failed for a reason the message gives
  2  wrong command line or configuration
  3  a data or result file is missing, damaged or cannot be written
  4  a network or recording is inconsistent, or asks for what cannot be done
  5  recordings that should be the same, spike for spike, are not
  130  interrupted; `run`, `train`, `simulate`, `patterns`, `knobs` and `sweep` continue where they stopped
"""

CONFIG_HELP = "a TOML file, or the name of a built-in configuration (demo)"


def build_parser() -> argparse.ArgumentParser:
    """The whole command line."""
    parser = argparse.ArgumentParser(
        prog="spikebridge",
        description="Train spiking networks in PyTorch, run them in Brian2, and check that every spike is the same.",
        epilog="examples:\n"
        "  spikebridge run demo --out runs/demo\n"
        "  spikebridge run examples/spoken_digits.toml --data DATA --out runs/digits --set optimiser.epochs=10\n"
        "  spikebridge COMMAND --help\n\n" + EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"spikebridge {versions()['version.spikebridge']}")
    parser.add_argument("--debug", action="store_true", help="show where in the code an error arose")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_run(subparsers)
    _add_train(subparsers)
    _add_simulate(subparsers)
    _add_validate(subparsers)
    diverge.configure(_command(subparsers, "diverge", diverge.HELP, diverge.EXAMPLES))
    compare.configure(_command(subparsers, "compare", compare.HELP, compare.EXAMPLES))
    convert.configure(_command(subparsers, "convert", convert.HELP, convert.EXAMPLES))
    patterns.configure(_command(subparsers, "patterns", patterns.HELP, patterns.EXAMPLES))
    knobs.configure(_command(subparsers, "knobs", knobs.HELP, knobs.EXAMPLES))
    sweep.configure(_command(subparsers, "sweep", sweep.HELP, sweep.EXAMPLES))
    _add_data(subparsers)
    _add_info(subparsers)
    return parser


type _Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]


def _command(subparsers: _Subparsers, name: str, help_text: str, examples: str) -> argparse.ArgumentParser:
    return subparsers.add_parser(
        name,
        help=help_text,
        description=help_text[0].upper() + help_text[1:] + ".",
        epilog="examples:\n" + examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def _add_config(parser: argparse.ArgumentParser) -> None:
    add_configuration(parser, CONFIG_HELP)
    parser.add_argument(
        "--start-from",
        metavar="DIR",
        help="train the network of another run further, for example at a finer step; the folder it was trained in",
    )
    parser.add_argument("--quiet", action="store_true", help="no progress bars")


def _add_run(subparsers: _Subparsers) -> None:
    parser = _command(
        subparsers,
        "run",
        "train, export, simulate in Brian2 and validate, continuing whatever an interrupted run has finished",
        "  spikebridge run demo --out runs/demo\n"
        "  spikebridge run examples/spoken_digits.toml --data DATA --out runs/digits\n"
        "  spikebridge run examples/spoken_digits.toml --data DATA --out runs/digits --full\n"
        "  spikebridge run examples/spoken_digits.toml --data DATA --out runs/five --set realisations=5\n",
    )
    _add_config(parser)
    parser.add_argument(
        "--full",
        action="store_true",
        help="with everything the report can have: 0.1 ms, spike patterns, realism knobs; the same as "
        "--set stages.continuous=true --set stages.patterns=true --set stages.knobs=true. On a finished run only what "
        "is missing is done",
    )
    add_cluster(parser, "simulate")
    parser.set_defaults(function=commands.run)


def _add_train(subparsers: _Subparsers) -> None:
    parser = _command(
        subparsers,
        "train",
        "train and export: network.h5, reference.h5, metrics.csv, metrics.json",
        "  spikebridge train demo --out runs/demo\n"
        "  spikebridge train examples/spoken_digits.toml --data DATA --out runs/digits --set seed=3\n",
    )
    _add_config(parser)
    parser.set_defaults(function=commands.train)


def _add_simulate(subparsers: _Subparsers) -> None:
    parser = _command(
        subparsers,
        "simulate",
        "run an exported network in Brian2 on the inputs of a recording",
        "  spikebridge simulate runs/demo/network.h5 --inputs runs/demo/reference.h5 --out grid.h5\n"
        "  spikebridge simulate runs/demo/network.h5 --inputs runs/demo/reference.h5 --out cont.h5 --step-ms 0.1\n"
        "  spikebridge simulate runs/demo/network.h5 --inputs runs/demo/reference.h5 --out replay.h5 --replay\n"
        "  spikebridge simulate runs/demo/network.h5 --inputs runs/demo/reference.h5 --out mv.h5 --physical\n"
        "  spikebridge simulate runs/demo/network.h5 --inputs runs/demo/reference.h5 --step-ms 0.1 --plan\n"
        "  spikebridge simulate runs/five/seed-*/network.h5 --inputs runs/five/seed-0/reference.h5 --out fine \\\n"
        "      --step-ms 1 --step-ms 0.1 --cluster tcp://scheduler:8786\n\n"
        "An interrupted simulation continues where it stopped when the same command is given again; see\n"
        "docs/simulation.md.\n",
    )
    parser.add_argument("networks", metavar="NETWORK.h5", nargs="+", help="what `train` exported")
    parser.add_argument("--inputs", required=True, metavar="RECORDING.h5", help="a recording that holds the inputs")
    parser.add_argument(
        "--out", metavar="FILE.h5|DIR", help="the recording to write; a folder for several networks or several steps"
    )
    parser.add_argument(
        "--step-ms", type=duration_ms, action="append", metavar="MS", help="may be repeated; default: training's step"
    )
    parser.add_argument(
        "--backend",
        choices=("auto", "numpy", "cython", "cpp", "cuda"),
        help="Brian2's runtime with NumPy or Cython, C++, or an NVIDIA GPU; default: auto, what should be done first",
    )
    parser.add_argument(
        "--workers", type=count, metavar="N", help="processes on this machine; default: one per core in C++"
    )
    parser.add_argument("--lanes", type=count, metavar="N", help="copies of the network side by side in each process")
    parser.add_argument("--samples", type=count, metavar="N", help="only the first N samples")
    parser.add_argument(
        "--replay", action="store_true", help="drive every population alone with the recorded spikes of its sources"
    )
    parser.add_argument("--keep-readout", action="store_true", help="store readout traces off the training grid too")
    parser.add_argument("--plan", action="store_true", help="say what it would take on this machine, and do not run it")
    add_cluster(parser, "simulate")
    parser.add_argument("--quiet", action="store_true", help="no progress bars")
    _add_physical(parser)
    _add_disturbance(parser)
    parser.set_defaults(function=commands.simulate)


def _add_physical(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("physical units")
    group.add_argument(
        "--physical", action="store_true", help="run in mV, pA, pF and nS; `validate` compares it with no units"
    )
    electric = group.add_mutually_exclusive_group()
    electric.add_argument("--capacitance-pf", type=float, metavar="PF", help="of every membrane; default 200")
    electric.add_argument("--leak-ns", type=float, metavar="NS", help="of every membrane, instead of the capacitance")
    group.add_argument("--rest-mv", type=float, metavar="MV", help="resting potential; default -70")
    group.add_argument("--threshold-mv", type=float, metavar="MV", help="potential of threshold 1; default -50")


def _add_disturbance(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("disturbances", "not on a GPU; docs/model.md defines them")
    group.add_argument(
        "--membrane-noise",
        type=float,
        default=0.0,
        metavar="SD",
        help="noise of every hidden neuron's membrane: its standard deviation without input, where the threshold is 1",
    )
    group.add_argument(
        "--transmission-failure",
        type=float,
        default=0.0,
        metavar="P",
        help="probability that a spike is lost at a synapse",
    )
    group.add_argument("--noise-seed", type=int, metavar="N", help="of what is drawn; default 0")


def _add_validate(subparsers: _Subparsers) -> None:
    parser = _command(
        subparsers,
        "validate",
        "compare simulations with the reference: report.html and report.json",
        "  spikebridge validate runs/demo/network.h5 runs/demo/reference.h5 runs/demo/grid.h5 runs/demo/replay.h5 \\\n"
        "      --out runs/demo\n",
    )
    parser.add_argument("network", metavar="NETWORK.h5")
    parser.add_argument("reference", metavar="REFERENCE.h5", help="what PyTorch did")
    parser.add_argument("simulations", metavar="SIMULATION.h5", nargs="+", help="what `simulate` wrote")
    parser.add_argument("--out", required=True, metavar="DIR", help="folder of the report")
    parser.add_argument(
        "--allow-other-network",
        action="store_true",
        help="accept simulations of another network, to see what a deliberate change does",
    )
    parser.set_defaults(function=commands.validate)


def _add_data(subparsers: _Subparsers) -> None:
    parser = _command(
        subparsers,
        "data",
        "download SHD or SSC; an interrupted download resumes",
        "  spikebridge data shd --out DATA\n  spikebridge data ssc --out DATA\n",
    )
    parser.add_argument("dataset", choices=("shd", "ssc"))
    parser.add_argument("--out", required=True, metavar="DIR", help="where the files go")
    parser.add_argument("--base-url", metavar="URL", help="a mirror to use instead of the publisher's server")
    parser.add_argument("--quiet", action="store_true", help="no progress bars")
    parser.set_defaults(function=commands.download)


def _add_info(subparsers: _Subparsers) -> None:
    parser = _command(
        subparsers,
        "info",
        "say what is in a network, a recording or a data file",
        "  spikebridge info runs/demo/network.h5\n  spikebridge info DATA/shd_train.h5\n",
    )
    parser.add_argument("file", metavar="FILE")
    parser.set_defaults(function=commands.info)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    options = build_parser().parse_args(arguments)
    _log_to_standard_error()
    # Threads that spin while they wait slow each other down by a factor of ten when the machine is shared.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    try:
        options.function(options)
    except SpikebridgeError as error:
        if options.debug:
            raise
        print(f"spikebridge: error: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        if options.debug:
            raise
        print(f"spikebridge: error: {error.filename or 'file'}: {error.strerror or error}", file=sys.stderr)
        return DataError.exit_code
    except KeyboardInterrupt:
        print(
            "spikebridge: interrupted; `run`, `train`, `simulate`, `patterns`, `knobs`, `sweep` and `data` continue "
            "where they stopped when the same command is given again",
            file=sys.stderr,
        )
        return 130
    return 0


def _log_to_standard_error() -> None:
    """What spikebridge says, and warnings of libraries: Dask alone would say forty lines about every cluster."""
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(_worth_showing)
    logging.basicConfig(format="%(message)s", handlers=[handler])
    logging.getLogger("spikebridge").setLevel(logging.INFO)
    # Brian2 keeps a log in TMPDIR. If that is full, its tracebacks must not hide what we say about it.
    logging.raiseExceptions = False


def _worth_showing(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.WARNING or record.name.split(".")[0] == "spikebridge"


if __name__ == "__main__":
    sys.exit(main())
