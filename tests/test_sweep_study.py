"""The record of a sweep outlives the program: what is resumed, concluded, refused, and drawn again."""

import json
import random
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from interruptible import interruptible
from optuna.storages import RDBStorage
from optuna.trial import TrialState
from small_training import SMALL, changed
from sweeps import SPACE, Imagined, found, imagined, refusing

from spikebridge.bridge.errors import ConfigError, DataError
from spikebridge.training import sweep_schedule
from spikebridge.training.config_sweep import SweepConfig
from spikebridge.training.sweep_schedule import Sweep
from spikebridge.training.sweep_study import SweepStudy, scores_of
from spikebridge.training.sweep_work import Outcome, Realisation

SWEEP = SweepConfig(trials=8, realisations=3, startup_trials=3, pruning_errors=1.0, space=SPACE)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> SweepStudy:
    return Imagined(tmp_path_factory.mktemp("undisturbed"), SWEEP).run()


def test_a_sweep_ends_with_its_number_of_trials_some_of_them_stopped(undisturbed: SweepStudy) -> None:
    trials = found(undisturbed)
    assert len(trials) == undisturbed.concluded == SWEEP.trials
    assert undisturbed.trials(TrialState.RUNNING, TrialState.FAIL) == []
    assert {state for state, *_ in trials} == {"COMPLETE", "PRUNED"}
    for state, _, values, scores in trials:
        realisations = len(scores.accuracy)  # type: ignore[attr-defined]
        assert realisations == 3 if state == "COMPLETE" else 2 <= realisations < 3
        assert (values is None) == (state == "PRUNED")


def test_objectives_are_means_over_realisations(undisturbed: SweepStudy) -> None:
    for trial in undisturbed.trials(TrialState.COMPLETE):
        kept = [trial.user_attrs[f"realisation seed {seed}"] for seed in range(3)]
        means = [sum(each[key] for each in kept) / 3 for key in ("accuracy", "rate_hz")]
        assert trial.values == pytest.approx(means, rel=1e-12)
        assert trial.user_attrs["accuracy standard deviation"] > 0
    for trial in undisturbed.trials(TrialState.PRUNED):
        better = int(trial.user_attrs["stopped"].split(" trial ")[1].split()[0])
        (other,) = (each for each in undisturbed.trials(TrialState.COMPLETE) if each.number == better)
        assert other.values[0] > trial.user_attrs["accuracy mean"]
        assert other.values[1] < trial.user_attrs["rate_hz mean"]


@pytest.mark.parametrize("seed", range(3))
def test_interrupted_again_and_again_it_is_the_same_sweep(tmp_path: Path, undisturbed: SweepStudy, seed: int) -> None:
    sweep, source = Imagined(tmp_path, SWEEP), random.Random(seed)
    for _ in range(5):
        sweep.run(outcomes=source.randrange(5))
    assert sweep.study().concluded < SWEEP.trials
    assert found(sweep.run()) == found(undisturbed)


def test_recorded_realisations_are_not_given_out_again(tmp_path: Path) -> None:
    sweep = Imagined(tmp_path, SWEEP)
    study = sweep.study()
    schedule = sweep.schedule(study, capacity=2)
    tasks = schedule.tasks()
    first, second = (next(tasks) for _ in range(2))
    assert first is not None
    assert second is not None
    assert next(tasks) is None, "no more than the capacity"
    assert [(task.trial, task.seed) for _, task in (first, second)] == [(0, 0), (0, 1)]
    schedule.take(imagined(second[1]))
    again = sweep.schedule(sweep.study(), capacity=9).tasks()
    given = [task[1] for task in (next(again) for _ in range(4)) if task is not None]
    assert [(task.trial, task.seed) for task in given] == [(0, 0), (0, 2), (1, 0), (1, 1)]
    assert given[0].config == first[1].config


def test_with_several_at_once_every_realisation_comes_once_and_the_first_draws_are_the_same(
    tmp_path: Path, undisturbed: SweepStudy
) -> None:
    sweep = Imagined(tmp_path, replace(SWEEP, pruning=False))
    sweep.run(capacity=4, outcomes=7, shuffle=1)
    study = sweep.run(capacity=4, shuffle=2)
    assert study.concluded == SWEEP.trials
    assert study.trials(TrialState.RUNNING, TrialState.FAIL) == []
    assert all(len(scores.accuracy) == 3 for *_, scores in found(study))  # type: ignore[attr-defined]
    assert [each[1] for each in found(study)][:3] == [each[1] for each in found(undisturbed)][:3]


def test_what_ends_after_its_trial_was_stopped_changes_nothing(tmp_path: Path) -> None:
    sweep = Imagined(tmp_path, SWEEP)
    study = sweep.study()
    schedule = sweep.schedule(study, capacity=2)
    tasks = schedule.tasks()
    for _ in range(2):
        next(tasks)
    nan = float("nan")
    schedule.take(Outcome(0, 0, nan, nan, 0, 0.0, "made up", "the loss became nan"))
    schedule.take(Outcome(0, 1, 0.5, 1.0, 1, 0.1, "made up"))
    (stopped,) = study.trials(TrialState.PRUNED)
    assert stopped.user_attrs["stopped"] == "seed 0: the loss became nan"
    assert schedule.under_way == 0
    task = next(tasks)
    assert task is not None
    assert task[1].trial == 1


def test_more_trials_continue_a_sweep_and_fewer_are_there_already(tmp_path: Path, undisturbed: SweepStudy) -> None:
    Imagined(tmp_path, replace(SWEEP, trials=5)).run()
    assert Imagined(tmp_path, replace(SWEEP, trials=2)).run().concluded == 5
    assert found(Imagined(tmp_path, SWEEP).run()) == found(undisturbed)


def test_a_trial_that_was_killed_while_it_was_drawn_is_drawn_again(tmp_path: Path, undisturbed: SweepStudy) -> None:
    sweep = Imagined(tmp_path, SWEEP)
    sweep.run(outcomes=3)
    sweep.study().study.ask()  # a trial without values
    study = sweep.run()
    assert found(study) == found(undisturbed)
    (failed,) = study.trials(TrialState.FAIL)
    assert failed.user_attrs == {"interrupted": "while it was drawn"}


def test_ctrl_c_waits_for_the_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the middle of a statement it would leave a cursor behind that SQLAlchemy complains of, with a traceback."""
    sweep = Imagined(tmp_path, SWEEP)
    study = sweep.study()
    task = next(sweep.schedule(study).tasks())
    assert task is not None
    original = RDBStorage.set_trial_user_attr

    def interrupted(self: RDBStorage, trial_id: int, key: str, value: Any) -> None:
        signal.raise_signal(signal.SIGINT)
        original(self, trial_id, key, value)

    with interruptible(), monkeypatch.context() as patched:
        patched.setattr(RDBStorage, "set_trial_user_attr", interrupted)
        with pytest.raises(KeyboardInterrupt):
            study.record(imagined(task[1]))
    (trial,) = sweep.study().trials(TrialState.RUNNING)
    assert len(scores_of(trial).accuracy) == 1


def schedule_refusing(sweep: Imagined, configure: Any) -> Sweep:
    return Sweep(sweep.study(), sweep.sweep, first_seed=0, configure=configure, capacity=lambda: 1)


def test_values_that_do_not_go_together_are_drawn_again_and_do_not_count(tmp_path: Path) -> None:
    sweep = Imagined(tmp_path, replace(SWEEP, trials=4, pruning=False))
    schedule = schedule_refusing(sweep, refusing)
    for task in schedule.tasks():
        assert task is not None
        schedule.take(imagined(task[1]))
    study = sweep.study()
    assert study.concluded == 4
    assert all(values["network.hidden"] == [8] for _, values, *_ in found(study))
    refused = study.trials(TrialState.FAIL)
    assert refused
    assert all("other than [8]" in trial.user_attrs["no valid configuration"] for trial in refused)


def test_a_space_without_any_configuration_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep_schedule, "ALLOWED_DRAWS", 4)

    def never(values: object) -> Any:
        raise ConfigError("network.hidden: no")

    schedule = schedule_refusing(Imagined(tmp_path, SWEEP), never)
    with pytest.raises(ConfigError, match=r"4 draws in a row .* network.hidden: no.* Narrow"):
        next(schedule.tasks())


def test_a_sweep_is_not_continued_with_another_configuration(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    sweep = Imagined(tmp_path, SWEEP)
    sweep.study()
    for changes, message in (
        ({"base": changed(optimiser={"epochs": 7})}, "config|optimiser.epochs = 3, now it is 7"),
        ({"sweep": replace(SWEEP, realisations=4)}, "sweep.realisations = 3, now it is 4"),
        ({"base": replace(SMALL, seed=4)}, "seed = 0, now it is 4"),
    ):
        with pytest.raises(ConfigError, match=message):
            sweep.study(**changes)
    sweep.study(base=replace(SMALL, realisations=9))  # sweep.realisations counts
    assert caplog.text == ""
    sweep.study(environment={"source": "b"})
    assert "was begun with other code (source)" in caplog.text


def test_a_study_of_another_folder_in_the_same_database_is_left_alone(tmp_path: Path) -> None:
    sweep = Imagined(tmp_path, SWEEP)
    sweep.study(folder="/one/sweep")
    sweep.study(folder="/one/sweep")
    with pytest.raises(ConfigError, match=r"'spikebridge' in .* has its trainings in /one/sweep, not in /two/sweep"):
        sweep.study(folder="/two/sweep")


def test_other_training_data_are_noticed(tmp_path: Path) -> None:
    sweep = Imagined(tmp_path, SWEEP)
    schedule = sweep.schedule(sweep.study())
    tasks = schedule.tasks()

    def task() -> Realisation:
        found = next(tasks)
        assert found is not None
        return found[1]

    schedule.take(imagined(task()))
    with pytest.raises(ConfigError, match=r"fitted on other data, those before on made up: give --data"):
        schedule.take(replace(imagined(task()), data="other data"))


def test_what_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "study.db").write_text("no database, but text that is long enough to be looked at " * 20)
    sweep = Imagined(tmp_path, SWEEP)
    with pytest.raises(DataError, match=r"study.db: the study cannot be read or written \(.*not a database"):
        sweep.study()
    driver: dict[str, Any] = {"folder": None, "sweep": SWEEP, "base": SMALL, "space": sweep.space, "environment": {}}
    with pytest.raises(
        ConfigError, match=r"no address of a database that is known .*nosuch.*such as sqlite:///study.db"
    ):
        SweepStudy("nosuch://x", "a", **driver)
    with pytest.raises(ConfigError, match=r"--storage mysql://me:\*\*\*@x: .* install"):
        SweepStudy("mysql://me:secret@x", "a", **driver)


def test_any_program_of_optuna_can_load_the_study(tmp_path: Path, undisturbed: SweepStudy) -> None:
    """What its dashboard does: a process that knows nothing of spikebridge."""
    Imagined(tmp_path, SWEEP).run()
    script = (
        "import json, optuna, sys\n"
        "study = optuna.load_study(study_name=None, storage=sys.argv[1])\n"
        "states = [trial.state.name for trial in study.trials]\n"
        "best = [trial.number for trial in study.best_trials]\n"
        "print(json.dumps([study.metric_names, states, best, [d.name for d in study.directions]]))\n"
    )
    command = [sys.executable, "-W", "error", "-c", script, f"sqlite:///{tmp_path / 'study.db'}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    names, states, best, directions = json.loads(done.stdout)
    assert names == ["validation accuracy", "rate in Hz"]
    assert directions == ["MAXIMIZE", "MINIMIZE"]
    assert states == [trial.state.name for trial in undisturbed.study.trials]
    assert best == [trial.number for trial in undisturbed.study.best_trials]
