"""`spikebridge diverge` from end to end: a planted fault is found, explained and drawn."""

import json
import logging
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from executed import delayed

from spikebridge.bridge.network_file import load_network, save_network
from spikebridge.bridge.recording_file import load_recording, save_recording
from spikebridge.cli.main import build_parser, main

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def made(small_demo: Path) -> Path:
    """`run/` of a small training, and beside it `faulty.h5` and its simulation `faulty_grid.h5`."""
    folder, run = small_demo.parent, small_demo
    spec = load_network(run / "network.h5")
    strongest = int(np.abs(spec.projections[0].weight).argmax())
    faulty = delayed(spec.projections[0], strongest, 1)
    save_network(replace(spec, projections=(faulty, *spec.projections[1:])), folder / "faulty.h5")
    command = ["simulate", str(folder / "faulty.h5"), "--inputs", str(run / "reference.h5"), "--quiet"]
    assert main([*command, "--out", str(folder / "faulty_grid.h5")]) == 0
    return folder


@pytest.fixture(autouse=True)
def _quiet_logging_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)  # a picture without --out goes to the current folder
    yield
    logging.getLogger("spikebridge").setLevel(logging.NOTSET)


def numbers(path: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(path.read_text())
    return loaded


def wrong_target(made: Path) -> tuple[int, int]:
    """Source and target neuron of the synapse whose delay was moved."""
    first = load_network(made / "run" / "network.h5").projections[0]
    strongest = int(np.abs(first.weight).argmax())
    return int(first.source_index[strongest]), int(first.target_index[strongest])


def test_a_planted_fault_is_found_explained_and_drawn(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "where.png"
    files = [str(made / "run" / "reference.h5"), str(made / "faulty_grid.h5")]
    assert main(["diverge", *files, "--network-b", str(made / "faulty.h5"), "--out", str(out)]) == 5
    shown = capsys.readouterr()
    source, target = wrong_target(made)
    assert "First difference: population hidden1" in shown.out
    assert "The fault starts in hidden1." in shown.out
    assert f"the synapse from input neuron {source} has a delay of" in shown.out
    assert shown.out.count("as recorded") == 2
    assert "A and B differ, first in population hidden1" in shown.err
    assert out.read_bytes().startswith(b"\x89PNG")
    found = numbers(tmp_path / "where.json")
    assert found["first"]["population"] == "hidden1"
    assert found["first"]["neuron"] == target
    assert found["populations"]["hidden2"]["samples_itself"] == 0
    assert found["traces"]["B"]["first_unexplained_step"] is None


def test_without_the_second_network_it_is_said_how_to_give_it(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [str(made / "run" / "reference.h5"), str(made / "faulty_grid.h5")]
    assert main(["diverge", *files, "--out", str(tmp_path / "where.svg")]) == 5
    shown = capsys.readouterr().out
    assert "B: no trace" in shown
    assert "would not give what it recorded" in shown
    assert "--network-b NETWORK.h5" in shown
    assert numbers(tmp_path / "where.json")["traces"]["B"] is None


def test_networks_are_matched_by_checksum_not_by_order(made: Path, tmp_path: Path) -> None:
    """A is the faulty one, and --network names what B ran."""
    files = [str(made / "faulty_grid.h5"), str(made / "run" / "reference.h5")]
    out = tmp_path / "where.png"
    assert main(["diverge", *files, "--network", str(made / "faulty.h5"), "--out", str(out)]) == 5
    found = numbers(tmp_path / "where.json")
    assert found["recordings"]["A"]["network_file"] == str(made / "faulty.h5")
    assert found["recordings"]["B"]["network_file"] == str(made / "run" / "network.h5")  # beside B
    assert None not in found["traces"].values()


def test_a_chosen_sample_and_population_are_shown(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [str(made / "run" / "reference.h5"), str(made / "faulty_grid.h5"), "--network-b", str(made / "faulty.h5")]
    command = ["diverge", *files, "--out", str(tmp_path / "where.png")]
    assert main([*command, "--population", "hidden2"]) == 5
    shown = numbers(tmp_path / "where.json")
    assert shown["shown"]["population"] == "hidden2"
    assert shown["first"]["population"] == "hidden1"
    assert {difference["source"] for difference in shown["inputs"]} <= {"hidden1", "hidden2"}
    assert "Its inputs differ" in capsys.readouterr().out
    sample = shown["shown"]["sample"]
    assert main([*command, "--sample", str(sample)]) == 5
    assert numbers(tmp_path / "where.json")["shown"]["sample"] == sample
    assert main([*command, "--sample", "1000"]) == 4
    assert main([*command, "--population", "hidden9"]) == 4
    assert "hidden9" in capsys.readouterr().err


def test_where_nothing_differs_there_is_nothing_to_draw(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reference = load_recording(made / "run" / "reference.h5")
    assert reference.readout is not None
    readout = reference.readout.copy()
    readout[4, 10, 1] += 1e-6
    save_recording(replace(reference, readout=readout), tmp_path / "b.h5")
    network = ["--network", str(made / "run" / "network.h5")]
    command = ["diverge", str(made / "run" / "reference.h5"), str(tmp_path / "b.h5"), *network]
    assert main([*command, "--sample", "3", "--out", str(tmp_path / "none.png")]) == 5
    assert "nothing to draw" in capsys.readouterr().out
    assert not (tmp_path / "none.png").exists()
    assert main([*command, "--out", str(tmp_path / "some.png")]) == 5
    shown = numbers(tmp_path / "some.json")["shown"]
    assert (shown["population"], shown["neuron"], shown["sample"], shown["step"]) == ("readout", 1, 4, 10)


@pytest.mark.parametrize("name", ["grid.h5", "replay.h5"])
def test_the_same_is_said_to_be_the_same(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    out = tmp_path / "none.png"
    files = [str(made / "run" / "reference.h5"), str(made / "run" / name)]
    assert main(["diverge", *files, "--out", str(out)]) == 0
    assert "No difference" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


def test_fewer_samples_are_compared_and_said_to_be(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = made / "run"
    command = ["simulate", str(run / "network.h5"), "--inputs", str(run / "reference.h5"), "--quiet"]
    assert main([*command, "--samples", "7", "--out", str(tmp_path / "s.h5")]) == 0
    assert main(["diverge", str(tmp_path / "s.h5"), str(run / "reference.h5")]) == 0
    shown = capsys.readouterr().out
    assert "comparing the first 7 of 30 samples" in shown
    assert "in 7 samples" in shown


def test_what_cannot_be_compared_is_refused(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reference, faulty = str(made / "run" / "reference.h5"), str(made / "faulty_grid.h5")
    for arguments, code, said in (
        ([reference, str(made / "run" / "step_5ms.h5")], 4, "--step-ms 10 (as A) or 5 (as B)"),
        ([reference, str(tmp_path / "nothing.h5")], 3, "no such file"),
        ([reference, faulty, "--network", str(tmp_path / "nothing.h5")], 3, "no such file"),
        ([reference, faulty, "--out", str(tmp_path)], 2, "ending in .png or .svg"),
        ([reference, faulty, "--network-b", str(made / "run" / "network.h5")], 4, "which B did not run"),
    ):
        assert main(["diverge", *arguments]) == code
        error = capsys.readouterr().err
        assert said in error
        assert "Traceback" not in error


def test_a_network_of_neither_is_refused(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = load_network(made / "run" / "network.h5")
    save_network(replace(spec, metadata={"other": "yes"}), tmp_path / "network.h5")
    files = [str(made / "run" / "reference.h5"), str(made / "faulty_grid.h5")]
    assert main(["diverge", *files, "--network", str(tmp_path / "network.h5")]) == 4
    assert "which neither A nor B ran" in capsys.readouterr().err
    # What merely lies beside A is no error until it is needed.
    for name in ("reference.h5", "grid.h5"):
        shutil.copy(made / "run" / name, tmp_path / name)
    assert main(["diverge", str(tmp_path / "reference.h5"), str(tmp_path / "grid.h5")]) == 0


def test_without_any_network_the_place_is_still_said(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(made / "run" / "reference.h5", tmp_path / "a.h5")
    shutil.copy(made / "faulty_grid.h5", tmp_path / "b.h5")
    assert main(["diverge", str(tmp_path / "a.h5"), str(tmp_path / "b.h5"), "--out", str(tmp_path / "x.png")]) == 3
    shown = capsys.readouterr()
    assert "First difference: population hidden1" in shown.out
    assert "give it with --network NETWORK.h5" in shown.err
    assert not (tmp_path / "x.png").exists()


def test_scores_without_potentials_fail_too(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fine = load_recording(made / "run" / "step_5ms.h5")
    assert fine.readout is None
    save_recording(replace(fine, scores=fine.scores + 1e-3), tmp_path / "b.h5")
    assert main(["diverge", str(made / "run" / "step_5ms.h5"), str(tmp_path / "b.h5")]) == 5
    assert "class scores differ by up to 0.001" in capsys.readouterr().out


def test_the_page_says_what_the_command_line_takes() -> None:
    page = (ROOT / "docs" / "diverge.md").read_text()
    lines = [line.strip() for line in page.splitlines() if line.strip().startswith("spikebridge ")]
    assert sum(line.startswith("spikebridge diverge ") for line in lines) >= 2
    for line in lines:
        build_parser().parse_args(line.split()[1:])
    assert "python examples/plant_fault.py" in page
    assert (ROOT / "examples" / "plant_fault.py").is_file()
