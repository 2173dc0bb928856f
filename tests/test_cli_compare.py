"""`spikebridge compare` and `convert` at the command line: what is written, names, and wrong input."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from recordings import random_recording
from test_compare_report import report_in

from spikebridge.bridge.recording_file import save_recording
from spikebridge.cli.main import main


@pytest.fixture(autouse=True)
def _quiet_logging_elsewhere() -> Iterator[None]:
    yield
    logging.getLogger("spikebridge").setLevel(logging.NOTSET)


def recorded(path: Path, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_recording(random_recording(seed, samples=10), path)
    return path


def compared(tmp_path: Path, *inputs: Path | str) -> dict[str, Any]:
    assert main(["compare", *map(str, inputs), "--out", str(tmp_path / "out")]) == 0
    found: dict[str, Any] = json.loads((tmp_path / "out" / "compare.json").read_text())
    return found


def test_runs_with_their_recordings_and_a_recording(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recorded(report_in(tmp_path / "one") / "grid.h5")
    recorded(report_in(tmp_path / "two", 1) / "reference.h5", 1)
    recorded(tmp_path / "two" / "continuous.h5", 2)
    found = compared(tmp_path, tmp_path / "one", tmp_path / "two", recorded(tmp_path / "other.h5", 3))
    assert list(found["runs"]) == ["one", "two"]
    assert list(found["activities"]) == ["one/grid.h5", "two/continuous.h5", "other.h5"]
    assert found["reference"] == "one/grid.h5"
    shown = capsys.readouterr().out
    assert "2 runs and 3 recordings compared." in shown
    assert "compare.html and" in shown
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["compare.html", "compare.json"]


def test_a_converted_recording_is_the_same_activity(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    original = recorded(tmp_path / "r.h5")
    for form in ("nix", "nwb"):
        assert main(["convert", str(original), "--to", form, str(tmp_path / f"r.{form}")]) == 0
    assert "spikes of 10 samples" in capsys.readouterr().out
    found = compared(tmp_path, original, tmp_path / "r.nix", tmp_path / "r.nwb")
    deltas = {c["scores"]["cliffs_delta"]["value"] for c in found["comparisons"] if c["undefined"] is None}
    assert deltas == {0.0}
    cards = [[p["value"] for p in found["plausibility"] if p["activity"] == name] for name in found["activities"]]
    assert cards[0] == cards[1] == cards[2]
    assert {text.split(":")[0] for _, text in found["not_comparable"]} == {"The same network"}


def test_convert_takes_the_format_from_the_ending_and_fewer_samples(tmp_path: Path) -> None:
    original = recorded(tmp_path / "r.h5")
    assert main(["convert", str(original), str(tmp_path / "r.nwb"), "--samples", "3"]) == 0
    found = compared(tmp_path, original, tmp_path / "r.nwb")
    assert found["activities"]["r.nwb"]["populations"]["hidden1"]["trials"] == 3


def test_two_inputs_of_one_name_keep_their_paths(tmp_path: Path) -> None:
    a, b = recorded(tmp_path / "a" / "grid.h5"), recorded(tmp_path / "b" / "grid.h5", 1)
    assert list(compared(tmp_path, a, b)["activities"]) == [str(a), str(b)]


def test_a_run_alone_and_one_without_recordings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = compared(tmp_path, report_in(tmp_path / "one"))
    assert found["activities"] == {}
    alone = compared(tmp_path, recorded(tmp_path / "r.h5"))
    assert alone["comparisons"] == []
    assert alone["plausibility"]
    assert "1 recording compared." in capsys.readouterr().out


def test_ranges_of_ones_own(tmp_path: Path) -> None:
    text = '[[range]]\nid = "mine"\nstatistic = "highest_rate_hz"\nhigh = 0.001\n'
    text += "".join(f'{key} = "x"\n' for key in ("species", "area", "condition", "finding", "differs", "citation"))
    (tmp_path / "mine.toml").write_text(text)
    found = compared(tmp_path, recorded(tmp_path / "r.h5"), "--ranges", tmp_path / "mine.toml")
    assert {(p["range"], p["place"]) for p in found["plausibility"]} == {("mine", "above")}


@pytest.mark.parametrize(
    ("command", "code", "message"),
    [
        (["compare", "{tmp}/none"], 3, "no such folder or file"),
        (["compare", "{tmp}"], 3, "there is no report.json"),
        (["compare", "{tmp}/r.h5", "{tmp}/../{name}/r.h5"], 2, "was given twice"),
        (["compare", "{tmp}/notes.txt"], 2, "is of no known kind"),
        (["compare", "{tmp}/r.h5", "--ranges", "{tmp}/notes.txt"], 3, "cannot be read as TOML"),
        (["compare", "{tmp}/bad.h5"], 3, "cannot be read as HDF5"),
        (["compare", "{tmp}/bad.nwb"], 3, "cannot be read as NWB"),
        (["convert", "{tmp}/r.h5", "{tmp}/x.dat"], 2, "say which format to write with --to nix or --to nwb"),
        (["convert", "{tmp}/none.h5", "{tmp}/x.nwb"], 3, "no such file"),
        (["convert", "{tmp}/r.h5", "{tmp}/r.h5", "--to", "nwb"], 2, "is the recording itself"),
    ],
)
def test_wrong_input_is_explained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: list[str], code: int, message: str
) -> None:
    recorded(tmp_path / "r.h5")
    for name in ("notes.txt", "bad.h5", "bad.nwb"):
        (tmp_path / name).write_text("no such thing")
    filled = [part.format(tmp=tmp_path, name=tmp_path.name) for part in command]
    before = (tmp_path / "r.h5").read_bytes()
    out = ["--out", str(tmp_path / "out")] if command[0] == "compare" else []
    assert main([*filled, *out]) == code
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert (tmp_path / "r.h5").read_bytes() == before


def test_a_seed_that_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["compare", "x", "--out", "y", "--seed", "-1"])
    assert "is no seed" in capsys.readouterr().err
