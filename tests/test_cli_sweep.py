"""`spikebridge sweep` from the command line to files that other commands read."""

import importlib.util
import json
from pathlib import Path

import pytest
from sweeps import SweepCommand, checkpoints, reached

from spikebridge.bridge.folder_lock import FolderLock
from spikebridge.cli import sweep, sweep_request
from spikebridge.cli.config import load_config
from spikebridge.cli.main import main


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> SweepCommand:
    return SweepCommand.made(tmp_path_factory.mktemp("sweep"), epochs=2)


@pytest.fixture(scope="module")
def swept(command: SweepCommand, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("swept") / "out"
    code, said = command.run(out, "--workers", "1")
    assert code == 0, said
    assert "3 of 3 trials are done" in said
    assert "Traceback" not in said
    return out


def test_a_configuration_of_the_frontier_trains_to_what_the_sweep_says(swept: Path, tmp_path: Path) -> None:
    trials = {trial["number"]: trial for trial in reached(swept)}
    frontier = json.loads((swept / "sweep.json").read_text())["frontier"]
    assert sorted(path.name for path in swept.glob("*.toml")) == sorted(f"frontier-trial-{n}.toml" for n in frontier)
    config = load_config(str(swept / f"frontier-trial-{frontier[0]}.toml"))
    assert config.training.realisations == 2
    assert list(config.training.network.hidden) == trials[frontier[0]]["settings"]["network.hidden"]
    assert main(["train", str(swept / f"frontier-trial-{frontier[0]}.toml"), "--out", str(tmp_path), "--quiet"]) == 0
    for seed in (0, 1):
        metrics = json.loads((tmp_path / f"seed-{seed}" / "metrics.json").read_text())
        best = metrics["epochs"][metrics["best_epoch"]]
        assert best["accuracy_validation"] == trials[frontier[0]]["accuracy"]["values"][seed]
        assert best["rate_hz"] == trials[frontier[0]]["rate_hz"]["values"][seed]


def test_given_again_it_trains_nothing_and_more_trials_continue_it(command: SweepCommand, swept: Path) -> None:
    before, trials = checkpoints(swept), reached(swept)
    (swept / "frontier-trial-99.toml").touch()  # as of a trial that has left the frontier
    assert main(["sweep", str(command.config), "--out", str(swept), "--workers", "1"]) == 0
    assert checkpoints(swept) == before
    assert reached(swept) == trials
    assert not (swept / "frontier-trial-99.toml").exists()
    assert main(["sweep", str(command.config), "--out", str(swept), "--workers", "1", "--trials", "4"]) == 0
    after = checkpoints(swept)
    assert len(after) == 8
    assert before.items() <= after.items()


def test_it_is_not_continued_with_another_configuration(
    command: SweepCommand, swept: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sweep", str(command.config), "--out", str(swept), "--set", "optimiser.epochs=3"]) == 2
    assert "was begun with optimiser.epochs = 2, now it is 3" in capsys.readouterr().err


def test_two_at_a_time_are_refused(command: SweepCommand, swept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lock = FolderLock(swept / sweep.TRIALS, swept)
    try:
        assert main(["sweep", str(command.config), "--out", str(swept)]) == 3
    finally:
        lock.release()
    assert "is being written by another process" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--workers", "3"], "--workers 3 with threads = 1 needs 3 processors, and there are 2: --set threads=1"),
        (["--cluster", "local:3"], "--cluster local:3 with threads = 1 needs 3 processors"),
        (["--workers", "2", "--set", "threads=2"], "--workers 2 with threads = 2 needs 4 processors"),
        (["--workers", "1", "--cluster", "local"], "leave one of them out"),
        (["--cluster", "locla"], "unknown cluster 'locla' (did you mean 'local'?)"),
        (["--set", "sweep.trails=3"], "unknown key 'sweep.trails'; did you mean 'sweep.trials'?"),
        (["--set", "sweep.space.network.dropuot={low=0,high=1}"], "did you mean 'network.dropout'?"),
        (["--set", "sweep.space.threads={choices=[1,2]}"], "sweep.space.threads cannot be searched"),
        (["--set", "sweep.space.network.dropout={choices=[]}"], "has no values; write either {low = ..., high = ...}"),
        (["--set", "data.source=files"], "say where they are with --data FOLDER"),
        (["--set", "data.source=files", "--data", "nowhere"], "nowhere/shd_train.h5: no such file"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_trained(
    command: SweepCommand,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    extra: list[str],
    message: str,
) -> None:
    monkeypatch.setattr(sweep_request, "available_processors", lambda: 2)
    assert main(["sweep", str(command.config), "--out", str(tmp_path / "out"), *extra]) in (2, 3, 4)
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_file_is_no_folder_for_a_sweep(
    command: SweepCommand, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert main(["sweep", str(command.config), "--out", str(tmp_path / "file")]) == 3
    assert "give an --out that is a folder, or none yet" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("storage", "message"),
    [
        ("nonsense", "such as sqlite:///study.db or postgresql://"),
        ("nosuch://localhost/x", "such as sqlite:///study.db"),
    ],
)
def test_a_storage_that_is_none_says_what_one_is(
    command: SweepCommand, tmp_path: Path, capsys: pytest.CaptureFixture[str], storage: str, message: str
) -> None:
    assert main(["sweep", str(command.config), "--out", str(tmp_path), "--storage", storage]) == 2
    assert message in capsys.readouterr().err


def test_workers_fit_the_machine_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep_request, "available_processors", lambda: 8)
    assert sweep_request.where(None, None, 2) == (None, 4)
    assert sweep_request.where(None, None, 16) == (None, 1)
    assert sweep_request.where("local", None, 3) == ("local:2", None)
    assert sweep_request.where("local:8", None, 1) == ("local:8", None)
    assert sweep_request.where("tcp://host:8786", None, 1) == ("tcp://host:8786", None)


def test_without_optuna_it_says_how_to_install_it(
    command: SweepCommand, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(sweep, "find_spec", lambda name: None if name == "optuna" else real(name))
    assert main(["sweep", str(command.config), "--out", str(tmp_path)]) == 2
    assert "pip install 'spikebridge[sweep]'" in capsys.readouterr().err


def test_a_study_may_lie_in_a_database_of_others(command: SweepCommand, tmp_path: Path) -> None:
    import optuna

    storage = f"sqlite:///{tmp_path / 'shared.db'}"
    arguments = ["sweep", str(command.config), "--workers", "1", "--trials", "1", "--storage", storage]
    for name in ("one", "two"):
        assert main([*arguments, "--out", str(tmp_path / name)]) == 0
        assert not (tmp_path / name / "study.db").exists()
    assert sorted(optuna.get_all_study_names(storage)) == ["one", "two"]
    assert reached(tmp_path / "one") == reached(tmp_path / "two")
