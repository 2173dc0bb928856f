"""Physical units from the command line: the stage of `run`, the options of `simulate`, and what `validate` refuses."""

import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_training import COARSE_DEMO

from spikebridge.bridge.recording_file import load_recording, save_recording
from spikebridge.bridge.spikes import SpikeTrains
from spikebridge.cli.main import main
from spikebridge.validation.summary import summarise

SMALL = [
    *COARSE_DEMO,
    "--quiet",
    "--set=threads=1",
    "--set=network.hidden=[12]",
    "--set=network.max_delay_ms=60",
    "--set=data.channels=12",
    "--set=data.duration_ms=200",
    "--set=data.manifold_samples_per_class=8",
    "--set=data.manifold_test_samples_per_class=4",
    "--set=optimiser.epochs=1",
    "--set=stages.finer_steps_ms=[5.0]",
    "--set=stages.physical=true",
]


pytestmark = pytest.mark.usefixtures("blank_pictures")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With its pictures."""
    out = tmp_path_factory.mktemp("run") / "small"
    assert main(["run", "demo", "--out", str(out), *SMALL]) == 0
    return out


@pytest.fixture(autouse=True)
def _quiet_logging() -> Iterator[None]:
    yield
    logging.getLogger("spikebridge").setLevel(logging.NOTSET)


def report(folder: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((folder / "report.json").read_text())
    return loaded


def simulate(run: Path, out: Path, *extra: str) -> int:
    network, reference = str(run / "network.h5"), str(run / "reference.h5")
    return main(["simulate", network, "--inputs", reference, "--out", str(out), "--quiet", *extra])


def validate(run: Path, out: Path, *simulations: Path) -> int:
    files = [run / "network.h5", run / "reference.h5", *simulations]
    return main(["validate", *(str(path) for path in files), "--out", str(out)])


def test_the_stage_runs_at_the_finest_step_and_is_compared_there(run: Path) -> None:
    made = load_recording(run / "physical.h5")
    assert made.step_ms == 5.0
    assert made.provenance["units"].startswith("physical (C = 200.0 pF")
    assert load_recording(run / "grid.h5").provenance["units"] == "dimensionless"
    numbers = report(run)
    parity = numbers["parity"]
    assert set(parity["physical"]) == set(parity["grid"])
    fine = load_recording(run / "step_5ms.h5")
    assert parity["physical"]["spikes"] == sum(trains.n_spikes for trains in fine.spikes.values()) > 0
    assert (parity["physical"]["mismatches"], parity["physical"]["ok"]) == (0, True)
    assert parity["physical"]["reference"] == "step_5 (brian2-numpy)"
    assert numbers["accuracy"]["physical"] == numbers["accuracy"]["step_5"]
    assert numbers["verdict"]["status"] == "same"
    page = (run / "report.html").read_text()
    assert "In mV, pA, pF and nS the same network fires the same" in page
    assert "physical (C = 200.0 pF, g_L = C / tau, E_L = -70.0 mV, V_th = -50.0 mV at theta = 1)" in page
    both = summarise({0: numbers, 1: numbers})
    assert both["parity"]["physical"]["spikes"] == 2 * parity["physical"]["spikes"]


def test_a_second_run_computes_nothing_again_but_what_has_other_units(
    run: Path, caplog: pytest.LogCaptureFixture
) -> None:
    names = ("grid.h5", "replay.h5", "step_5ms.h5", "physical.h5")
    stamps = {name: (run / name).stat().st_mtime_ns for name in names}
    with caplog.at_level(logging.INFO, "spikebridge"):
        assert main(["run", "demo", "--out", str(run), *SMALL]) == 0
    assert {name: (run / name).stat().st_mtime_ns for name in names} == stamps
    assert caplog.text.count("is up to date") == 4
    (run / "physical.h5").write_bytes((run / "step_5ms.h5").read_bytes())
    assert main(["run", "demo", "--out", str(run), *SMALL]) == 0
    assert load_recording(run / "physical.h5").provenance["units"].startswith("physical")


def test_every_parameter_can_be_chosen(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = tmp_path / "p.h5"
    chosen = ("--leak-ns", "12.5", "--rest-mv", "-65", "--threshold-mv", "-52.5")
    assert simulate(run, made, "--physical", *chosen) == 0
    assert main(["info", str(made)]) == 0
    units = "units: physical (g_L = 12.5 nS, C = g_L tau, E_L = -65.0 mV, V_th = -52.5 mV at theta = 1)"
    assert units in capsys.readouterr().out
    assert validate(run, tmp_path, run / "grid.h5", made) == 0
    numbers = report(tmp_path)
    assert numbers["parity"]["physical"]["reference"] == "grid (brian2-numpy)"
    assert numbers["parity"]["physical"]["readout_max_difference"] <= 1e-9
    assert simulate(run, made, "--physical", "--capacitance-pf", "80", "--step-ms", "5") == 0
    assert "C = 80.0 pF" in load_recording(made).provenance["units"]
    assert validate(run, tmp_path, run / "step_5ms.h5", made) == 0


def test_a_spike_that_is_not_the_same_is_an_error(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = load_recording(run / "physical.h5")
    name, trains = next(iter(found.spikes.items()))
    counts = np.array(trains.counts(np.int32))
    counts[2, 5, 1] += 1
    changed = {**found.spikes, name: SpikeTrains.from_counts(counts, trains.step_ms)}
    save_recording(replace(found, spikes=changed), tmp_path / "p.h5")
    assert validate(run, tmp_path, run / "grid.h5", run / "step_5ms.h5", tmp_path / "p.h5") == 5
    numbers = report(tmp_path)
    assert numbers["verdict"]["status"] == "different"
    assert numbers["parity"]["grid"]["ok"] is True
    assert numbers["parity"]["physical"]["mismatches"] == 1
    assert "In mV, pA, pF and nS the network has 1 mismatch against the" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("extra", "code", "said"),
    [
        (["--rest-mv", "-60"], 2, "--rest-mv: only with --physical"),
        (["--capacitance-pf", "100"], 2, "--capacitance-pf: only with --physical"),
        (["--physical", "--threshold-mv", "-80"], 2, "the threshold must lie above rest"),
        (["--physical", "--capacitance-pf", "-1"], 2, "capacitance_pf is -1.0; it must be above 0"),
        (["--physical", "--leak-ns", "0"], 2, "leak_ns is 0.0; it must be above 0"),
        (["--physical", "--replay"], 4, "give one of them"),
    ],
)
def test_impossible_units_are_refused(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], extra: list[str], code: int, said: str
) -> None:
    assert simulate(run, tmp_path / "p.h5", *extra) == code
    assert said in capsys.readouterr().err
    assert not (tmp_path / "p.h5").exists()


def test_capacitance_and_leak_together_are_refused(run: Path, tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as stopped:
        simulate(run, tmp_path / "p.h5", "--physical", "--capacitance-pf", "100", "--leak-ns", "10")
    assert stopped.value.code == 2


def test_recordings_without_a_partner_or_twice_are_refused(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert validate(run, tmp_path, run / "grid.h5", run / "physical.h5") == 4
    assert "no simulation without units on that grid" in capsys.readouterr().err
    assert validate(run, tmp_path, run / "step_5ms.h5", run / "physical.h5", run / "physical.h5") == 4
    assert "a second simulation in physical units; give one" in capsys.readouterr().err
    assert not (tmp_path / "report.json").exists()
