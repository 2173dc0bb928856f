"""The command line from end to end on a network that trains in seconds."""

import json
import logging
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data_files import write_shd
from small_training import SMALL_DEMO

from spikebridge.bridge.network_file import load_network, save_network
from spikebridge.bridge.recording_file import load_recording
from spikebridge.cli.main import main

pytestmark = pytest.mark.usefixtures("blank_pictures")


@pytest.fixture(scope="module")
def run(small_demo: Path) -> Path:
    """Its report has its pictures."""
    return small_demo


@pytest.fixture(autouse=True)
def _quiet_logging() -> Iterator[None]:
    yield
    logging.getLogger("spikebridge").setLevel(logging.NOTSET)


def report(folder: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((folder / "report.json").read_text())
    return loaded


def test_run_writes_everything_a_user_needs(run: Path) -> None:
    names = {path.name for path in run.iterdir()}
    assert names == {
        "config.toml",
        "checkpoint.pt",
        "metrics.csv",
        "metrics.json",
        "network.h5",
        "reference.h5",
        "grid.h5",
        "replay.h5",
        "step_5ms.h5",
        "report.html",
        "report.json",
    }
    numbers = report(run)
    assert numbers["parity"]["grid"]["mismatches"] == 0
    assert numbers["parity"]["grid"]["spikes"] > 100
    assert numbers["parity"]["grid"]["readout_max_difference"] <= 1e-9
    assert numbers["parity"]["replay"]["mismatches"] == 0
    assert 0 <= numbers["accuracy"]["training"]["all"] <= 1
    assert numbers["accuracy"]["training"] == numbers["accuracy"]["grid"]
    assert numbers["accuracy"]["training"]["seen"] is None  # generated samples have no speakers
    assert numbers["rate_hz"]["training"]["mean"] > 0
    assert "step_5" in numbers["accuracy"]


def test_a_second_run_computes_nothing_again(run: Path, caplog: pytest.LogCaptureFixture) -> None:
    stamps = {
        name: (run / name).stat().st_mtime_ns for name in ("checkpoint.pt", "grid.h5", "replay.h5", "step_5ms.h5")
    }
    with caplog.at_level(logging.INFO, "spikebridge"):
        assert main(["run", "demo", "--out", str(run), *SMALL_DEMO]) == 0
    assert {name: (run / name).stat().st_mtime_ns for name in stamps} == stamps
    assert caplog.text.count("is up to date") == 3


def test_a_recording_at_another_step_does_not_pass_for_the_grid(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "copy"
    shutil.copytree(run, out)
    shutil.copy(out / "step_5ms.h5", out / "grid.h5")
    assert main(["run", "demo", "--out", str(out), *SMALL_DEMO]) == 0
    assert load_recording(out / "grid.h5").step_ms == 10.0


def test_another_configuration_in_the_same_folder_is_refused_and_changes_nothing(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    assert main(["run", "demo", "--out", str(run), *SMALL_DEMO, "--set=network.dropout=0.3"]) == 2
    assert "network.dropout = 0.1, now it is 0.3" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before


def test_the_saved_configuration_repeats_the_run(run: Path) -> None:
    stamp = (run / "checkpoint.pt").stat().st_mtime_ns
    assert main(["run", str(run / "config.toml"), "--out", str(run), "--quiet"]) == 0
    assert (run / "checkpoint.pt").stat().st_mtime_ns == stamp


def test_the_first_samples_alone_can_be_simulated_and_validated(run: Path, tmp_path: Path) -> None:
    reference = str(run / "reference.h5")
    command = ["simulate", str(run / "network.h5"), "--inputs", reference, "--out", str(tmp_path / "s.h5"), "--quiet"]
    assert main([*command, "--samples", "7"]) == 0
    assert main(["validate", str(run / "network.h5"), reference, str(tmp_path / "s.h5"), "--out", str(tmp_path)]) == 0
    assert report(tmp_path)["parity"]["grid"]["samples"] == 7


def test_a_replay_alone_is_no_proof_of_the_grid(run: Path, tmp_path: Path) -> None:
    files = [str(run / name) for name in ("network.h5", "reference.h5", "step_5ms.h5", "replay.h5")]
    assert main(["validate", *files, "--out", str(tmp_path)]) == 0
    assert report(tmp_path)["verdict"]["status"] == "unchecked"


def test_a_damaged_simulation_is_computed_again(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "copy"
    shutil.copytree(run, out)
    (out / "grid.h5").write_bytes((out / "grid.h5").read_bytes()[:1000])
    assert main(["run", "demo", "--out", str(out), *SMALL_DEMO]) == 0
    assert load_recording(out / "grid.h5").executor == "brian2-numpy"


def test_a_planted_fault_is_found_and_named(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One delay off by one step: the report names population, neuron, sample and time, and the exit code says so."""
    spec = load_network(run / "network.h5")
    first = spec.projections[0]
    delay_ms = first.delay_ms.copy()
    wrong = int(np.abs(first.weight).argmax())
    delay_ms[wrong] += 10.0
    save_network(
        replace(spec, projections=(replace(first, delay_ms=delay_ms), *spec.projections[1:])), tmp_path / "n.h5"
    )
    reference = str(run / "reference.h5")
    assert (
        main(["simulate", str(tmp_path / "n.h5"), "--inputs", reference, "--out", str(tmp_path / "s.h5"), "--quiet"])
        == 0
    )
    command = ["validate", str(run / "network.h5"), reference, str(tmp_path / "s.h5"), "--out", str(tmp_path)]
    assert main(command) == 4  # another network: refused unless it is meant
    assert "networks differ" in capsys.readouterr().err
    assert main([*command, "--allow-other-network"]) == 5
    found = report(tmp_path)["parity"]["grid"]
    assert found["mismatches"] > 0
    mismatch = found["first_mismatch"]
    assert mismatch["population"] == "hidden1"
    assert mismatch["time_ms"] == mismatch["step"] * 10.0
    # The wrong synapse ends on the neuron that differs first, unless recurrence has spread the difference already.
    assert mismatch["neuron"] == first.target_index[wrong]
    assert 0 <= mismatch["sample"] < 30
    error = capsys.readouterr().err
    assert "hidden1" in error
    assert f"sample {mismatch['sample']}" in error


def test_replay_of_a_faulty_network_is_refused(run: Path, tmp_path: Path) -> None:
    spec = load_network(run / "network.h5")
    save_network(replace(spec, metadata={"other": "yes"}), tmp_path / "n.h5")
    command = [
        "simulate",
        str(tmp_path / "n.h5"),
        "--inputs",
        str(run / "reference.h5"),
        "--out",
        str(tmp_path / "r.h5"),
    ]
    assert main([*command, "--replay", "--quiet"]) == 4
    assert not (tmp_path / "r.h5").exists()


def test_several_realisations_give_mean_and_deviation(tmp_path: Path) -> None:
    out = tmp_path / "several"
    assert (
        main(["run", "demo", "--out", str(out), *SMALL_DEMO, "--set=realisations=2", "--set=stages.finer_steps_ms=[]"])
        == 0
    )
    each = [report(out / f"seed-{seed}") for seed in (0, 1)]
    summary = report(out)
    values = [numbers["accuracy"]["training"]["all"] for numbers in each]
    assert summary["accuracy"]["training"]["all"] == pytest.approx(np.mean(values))
    assert summary["standard_deviation"]["accuracy"]["training"]["all"] == pytest.approx(np.std(values, ddof=1))
    assert summary["parity"]["grid"]["spikes"] == sum(numbers["parity"]["grid"]["spikes"] for numbers in each)
    assert summary["parity"]["grid"]["mismatches"] == 0
    html = (out / "report.html").read_text()
    assert 'href="seed-1/report.html"' in html
    assert "every spike is the same" in html


@pytest.mark.parametrize("name", ["network.h5", "reference.h5", "grid.h5"])
def test_info_describes_every_file(run: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(run / name)]) == 0
    shown = capsys.readouterr().out
    assert "hidden1" in shown
    assert "ms" in shown


def test_info_describes_a_data_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "shd.h5"
    write_shd(path)
    assert main(["info", str(path)]) == 0
    assert "samples" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["run", "demo", "--out", "{out}", "--set", "network.hiden=[3]"], 2, "did you mean 'network.hidden'"),
        (["run", "nowhere.toml", "--out", "{out}"], 2, "no configuration file"),
        (["train", "demo", "--out", "{out}", "--set", "data.source=files"], 2, "--data"),
        (["train", "demo", "--out", "{out}", "--set", "data.source=files", "--data", "{out}"], 3, "shd_train.h5"),
        (["info", "{out}/nothing.h5"], 3, "no such file"),
        (["info", "{out}"], 3, "is a folder; give a file in it"),
        (["train", "demo", "--out", "/dev/null/x", "--quiet"], 3, "/dev/null/x"),
        (["run", "demo", "--out", "{out}", "--set", "training.seed=1"], 2, "unknown key 'training'"),
        (["simulate", "{out}/n.h5", "--inputs", "{out}/r.h5", "--out", "{out}/s.h5"], 3, "no such file"),
    ],
)
def test_what_goes_wrong_has_a_message_and_an_exit_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, said: str
) -> None:
    assert main([argument.format(out=tmp_path) for argument in arguments]) == code
    error = capsys.readouterr().err
    assert said in error
    assert "Traceback" not in error


def test_what_cannot_be_compared_or_would_be_overwritten_is_refused(run: Path, tmp_path: Path) -> None:
    network, reference, grid = (str(run / name) for name in ("network.h5", "reference.h5", "grid.h5"))
    assert main(["validate", network, reference, reference, "--out", str(tmp_path)]) == 4  # with itself
    assert main(["validate", network, grid, reference, "--out", str(tmp_path)]) == 4  # swapped
    before = (run / "network.h5").read_bytes()
    for out in (network, reference, str(tmp_path)):
        assert main(["simulate", network, "--inputs", reference, "--out", out, "--quiet"]) == 4
    assert (run / "network.h5").read_bytes() == before


@pytest.mark.parametrize("extra", [["--step-ms", "3"], ["--samples", "1000"], ["--replay", "--step-ms", "1"]])
def test_impossible_simulations_are_refused(run: Path, tmp_path: Path, extra: list[str]) -> None:
    command = [
        "simulate",
        str(run / "network.h5"),
        "--inputs",
        str(run / "reference.h5"),
        "--out",
        str(tmp_path / "s.h5"),
    ]
    assert main([*command, *extra, "--quiet"]) == 4
    assert not (tmp_path / "s.h5").exists()


@pytest.mark.parametrize("command", ["run", "train", "simulate", "validate", "diverge", "data", "info"])
def test_every_command_has_help_with_examples(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([command, "--help"])
    assert stopped.value.code == 0
    assert f"spikebridge {command}" in capsys.readouterr().out.split("examples:")[1]
