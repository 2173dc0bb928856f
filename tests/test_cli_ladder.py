"""The parity ladder from the command line: `run` with other steps and continuous time, and `validate` on its files."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_training import COARSE_DEMO

from spikebridge.bridge.recording_file import load_recording
from spikebridge.cli.main import main

SMALL = [
    *COARSE_DEMO,
    "--quiet",
    "--set=threads=1",
    "--set=network.hidden=[12, 10]",
    "--set=network.max_delay_ms=20",
    "--set=data.channels=12",
    "--set=data.duration_ms=100",
    "--set=data.manifold_samples_per_class=10",
    "--set=data.manifold_test_samples_per_class=2",
    "--set=optimiser.epochs=1",
]


@pytest.fixture(autouse=True)
def _quiet_logging() -> Iterator[None]:
    yield
    logging.getLogger("spikebridge").setLevel(logging.NOTSET)


pytestmark = pytest.mark.usefixtures("blank_pictures")


@pytest.fixture(scope="module")
def ladder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Trained at 10 ms, two realisations, simulated at finer steps and in continuous time; with its pictures."""
    out = tmp_path_factory.mktemp("ladder") / "run"
    steps = ["--set=stages.finer_steps_ms=[5.0, 2.0, 1.0]", "--set=stages.continuous=true", "--set=realisations=2"]
    assert main(["run", "demo", "--out", str(out), *SMALL, *steps]) == 0
    return out


def report(folder: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((folder / "report.json").read_text())
    return loaded


def test_a_run_climbs_the_ladder(ladder: Path) -> None:
    folder = ladder / "seed-0"
    assert load_recording(folder / "continuous.h5").step_ms == 0.1
    numbers = report(folder)
    assert list(numbers["refinement"]["steps"]) == ["grid", "step_5", "step_2", "step_1", "continuous"]
    headline = numbers["refinement"]["continuous"]
    before, after = numbers["accuracy"]["training"]["all"], numbers["accuracy"]["continuous"]["all"]
    assert headline["accuracy_lost_points"] == pytest.approx(100 * (before - after))
    rates = [numbers["rate_hz"][label]["populations"]["hidden1"] for label in ("training", "continuous")]
    assert headline["rate_change"]["hidden1"] == pytest.approx(rates[1] / rates[0] - 1)
    grid = numbers["refinement"]["steps"]["grid"]
    assert grid["distance"] == {"hidden1": 0.0, "hidden2": 0.0}
    assert all(0 < numbers["refinement"]["steps"]["continuous"]["distance"][name] <= 1 for name in grid["distance"])
    html = (folder / "report.html").read_text()
    assert "What changes with the time step?" in html
    assert "In continuous time (steps of 0.1 ms) the accuracy is" in html


def test_the_summary_averages_the_ladder_over_realisations(ladder: Path) -> None:
    each = [report(ladder / f"seed-{seed}") for seed in (0, 1)]
    summary = report(ladder)
    accuracy = [numbers["accuracy"]["continuous"]["all"] for numbers in each]
    assert summary["accuracy"]["continuous"]["all"] == pytest.approx(np.mean(accuracy))
    distances = [numbers["refinement"]["steps"]["step_1"]["distance"]["hidden2"] for numbers in each]
    assert summary["refinement"]["steps"]["step_1"]["distance"]["hidden2"] == pytest.approx(np.mean(distances))
    deviation = summary["standard_deviation"]["refinement"]["steps"]["step_1"]["distance"]["hidden2"]
    assert deviation == pytest.approx(np.std(distances, ddof=1))
    assert "In continuous time (steps of 0.1 ms) the accuracy is" in (ladder / "report.html").read_text()


def test_validate_finds_the_continuous_one_among_files_in_any_order(ladder: Path, tmp_path: Path) -> None:
    names = ("network.h5", "reference.h5", "continuous.h5", "step_1ms.h5", "grid.h5", "replay.h5")
    files = [str(ladder / "seed-1" / name) for name in names]
    assert main(["validate", *files, "--out", str(tmp_path)]) == 0
    found, complete = report(tmp_path)["refinement"], report(ladder / "seed-1")["refinement"]
    assert list(found["steps"]) == ["grid", "step_1", "continuous"]
    assert found["continuous"] == complete["continuous"]


def test_a_network_trained_at_1_ms_can_be_run_coarser_and_in_continuous_time(tmp_path: Path) -> None:
    extra = ["data.step_ms=1", "network.synapse=exponential", "stages.finer_steps_ms=[10.0]", "stages.continuous=true"]
    assert main(["run", "demo", "--out", str(tmp_path), *SMALL, *(f"--set={each}" for each in extra)]) == 0
    numbers = report(tmp_path)
    assert numbers["parity"]["grid"]["mismatches"] == 0
    assert {label: step["step_ms"] for label, step in numbers["refinement"]["steps"].items()} == {
        "step_10": 10.0,
        "grid": 1.0,
        "continuous": 0.1,
    }
    assert numbers["refinement"]["continuous"]["accuracy_training"] == numbers["accuracy"]["grid"]["all"]


def test_a_step_that_does_not_fit_is_refused_before_any_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    extra = ["--set=data.step_ms=1", "--set=stages.finer_steps_ms=[10.0]"]
    assert main(["run", "demo", "--out", str(out), *SMALL, *extra]) == 2
    error = capsys.readouterr().err
    assert "which is no multiple of a step of 10 ms" in error
    assert not out.exists()
