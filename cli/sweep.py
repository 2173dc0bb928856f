"""`spikebridge sweep`: search configurations that are accurate at a low rate, on one machine or a cluster."""

from __future__ import annotations

import argparse
import logging
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from spikebridge.bridge.errors import ConfigError, DataError
from spikebridge.bridge.folder_lock import FolderLock
from spikebridge.cli.arguments import add_configuration, add_workers, count
from spikebridge.cli.config import valid_keys
from spikebridge.cli.sweep_request import SweepRequest, sweep_request
from spikebridge.training.config import TrainingConfig

if TYPE_CHECKING:
    from spikebridge.training.sweep_study import SweepStudy

log = logging.getLogger("spikebridge")

HELP = "search configurations for accuracy at a low rate: sweep.html, sweep.json, and an Optuna study"
EXAMPLES = (
    "  spikebridge sweep demo --out runs/sweep --trials 20\n"
    "  spikebridge sweep examples/spoken_digits.toml --data DATA --out runs/sweep --set threads=1\n"
    "  spikebridge sweep demo --out runs/sweep --set 'sweep.space.network.dropout={low=0.0,high=0.3}'\n"
    "  spikebridge sweep demo --out /shared/sweep --set threads=1 --cluster tcp://scheduler:8786\n\n"
    "An interrupted sweep continues where it stopped when the same command is given again; see docs/sweep.md.\n"
)
DATABASE = "study.db"
TRIALS = "trials"
STUDY = "spikebridge"


def configure(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    add_configuration(parser, "a TOML file, or demo; its table [sweep] says what is searched")
    parser.add_argument("--trials", type=count, metavar="N", help="how many configurations; the same as sweep.trials")
    add_workers(parser, "train", "trainings at once on this machine")
    parser.add_argument("--storage", metavar="URL", help=f"database of the study; default: {DATABASE} in the folder")
    parser.set_defaults(function=sweep)


def sweep(options: argparse.Namespace) -> None:
    """Search, and write what was found.

    Raises:
        ConfigError: Optuna is missing, the configuration or its space is wrong, or the folder holds another sweep.
        SpecError: the cluster cannot be used, or was lost.
        DataError: a data file, the database or a result cannot be read or written.
    """
    if find_spec("optuna") is None:
        raise ConfigError("a sweep needs Optuna, which is not installed: pip install 'spikebridge[sweep]'")
    request = sweep_request(options)
    from spikebridge.cli.sweep_output import write_output
    from spikebridge.training.dataset import require_fitting_files
    from spikebridge.training.sweep_space import search_space
    from spikebridge.training.sweep_study import SweepStudy, storage_errors
    from spikebridge.training.sweep_work import training_environment

    config = request.config
    space = search_space(config.sweep, config.training, valid_keys(TrainingConfig), request.training)
    here = request.cluster is None or request.cluster.startswith("local")
    require_fitting_files(config.training.data, request.data, look=here)
    lock = _locked(request.out)
    storage = request.storage or _database(request.out / DATABASE)
    try:
        with storage_errors(storage):
            study = SweepStudy(
                storage,
                STUDY if request.storage is None else request.out.name,
                folder=None if request.storage is None else str(request.out),
                sweep=config.sweep,
                base=config.training,
                space=space,
                environment=training_environment(),
            )
            _train(request, study)
            report, paths = write_output(request, study, space)
    finally:
        lock.release()
    print(report.verdict.headline)
    for sentence in report.verdict.sentences:
        print(f"  {sentence}")
    print(f"wrote {paths[0]} and {paths[1]}")


def _locked(out: Path) -> FolderLock:
    try:
        return FolderLock(out / TRIALS, out)
    except OSError as error:
        raise DataError(
            f"a folder for the trainings cannot be made in it ({error.strerror}); give an --out that is a folder, or "
            "none yet, and can be written",
            path=out,
        ) from error


def _train(request: SweepRequest, study: SweepStudy) -> None:
    """Train until the sweep is done."""
    from spikebridge.sim.pool import open_pool
    from spikebridge.training.sweep_schedule import Sweep
    from spikebridge.training.sweep_work import SweepJob, train_realisation, training_environment

    config = request.config
    if study.concluded >= config.sweep.trials:
        return
    job = SweepJob(request.out / TRIALS, request.data, training_environment())
    with open_pool(request.cluster, request.workers, "processes") as pool:
        schedule = Sweep(
            study,
            config.sweep,
            first_seed=config.training.seed,
            configure=request.training,
            capacity=lambda: pool.workers,
        )
        log.info("up to %d trainings at once; %d of %d trials are done", pool.workers, *schedule.progress)
        for _, outcome in pool.run(train_realisation, [job], schedule.tasks()):
            schedule.take(outcome)
            if schedule.done:
                return  # what is still under way belongs to trials that were stopped


def _database(path: Path) -> str:
    from sqlalchemy.engine import URL

    return URL.create("sqlite", database=str(path)).render_as_string()
