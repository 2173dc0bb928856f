"""`spikebridge patterns` from end to end."""

import json
import re
from pathlib import Path

import pytest
from pattern_data import as_recording, poisson_spikes, with_pattern

from spikebridge.bridge.errors import ConfigError
from spikebridge.bridge.recording_file import save_recording
from spikebridge.cli.main import main
from spikebridge.cli.patterns import load_parameters
from spikebridge.validation.patterns_store import FOLDER

FEW = ["--set", "surrogates=80", "--set", "planted_spikes=[4]", "--set", "planted_occurrences=[12]"]
FEW += ["--set", "independent_sets=20", "--set", "required_power=0.6", "--quiet"]


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pattern in `hidden1`, none in `hidden2`."""
    path = tmp_path_factory.mktemp("patterns") / "recording.h5"
    save_recording(as_recording(with_pattern(poisson_spikes(0)), poisson_spikes(1)), path)
    return path


@pytest.mark.slow
def test_the_report_says_what_was_found_and_what_would_have_been(
    recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["patterns", str(recording), "--out", str(tmp_path), "--workers", "2", *FEW]) == 0
    said = capsys.readouterr().out
    assert "hidden1: planted patterns of 4 spikes occurring 12 times were found with at least 60% power (" in said
    assert "(6 or more planted of each; the lowest 95% interval begins at 61%)" in said
    assert "hidden2: false positives" in said
    numbers = json.loads((tmp_path / "patterns.json").read_text())
    assert [bool(one["significant"]) for one in numbers["data_sets"]] == [True, False]
    assert numbers["parameters"]["surrogates"] == 80
    assert numbers["populations"]["hidden2"]["false_positives"]["samples"] == 80
    assert numbers["provenance"]["version.elephant"]
    page = (tmp_path / "patterns.html").read_text()
    assert page.count("<img ") == 3
    assert not re.search(r'(src|href)="https?:', page)
    assert not (tmp_path / FOLDER).exists()

    # The same file in one process.
    again = tmp_path / "again"
    assert main(["patterns", str(recording), "--out", str(again), "--workers", "1", *FEW]) == 0
    assert (again / "patterns.json").read_bytes() == (tmp_path / "patterns.json").read_bytes()
    assert (again / "patterns.html").read_bytes() == (tmp_path / "patterns.html").read_bytes()


def test_what_does_not_fit_exits_with_the_parameters_to_change(
    recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["patterns", str(recording), "--out", str(tmp_path), "--workers", "1"]
    assert main([*command, "--set", "memory_limit_gib=0.1"]) == 4
    assert "patterns.memory_limit_gib" in capsys.readouterr().err
    assert main([*command, "--population", "hidden9"]) == 4
    assert "no population 'hidden9' in this recording; there are hidden1, hidden2" in capsys.readouterr().err
    assert main([*command, "--cluster"]) == 2
    assert list(tmp_path.iterdir()) == []


def test_parameters_come_from_a_table_and_from_the_command_line(tmp_path: Path) -> None:
    file = tmp_path / "digits.toml"
    file.write_text("[data]\nsource = 'files'\n[patterns]\nwindow_bins = 20\nplanted_spikes = [4, 5]\n")
    found = load_parameters(str(file), ["patterns.shift_ms=30", "seed=7"])
    assert (found.window_bins, found.planted_spikes, found.shift_ms, found.seed) == (20, (4, 5), 30.0, 7)
    for overrides, message in (
        (["window=3"], "unknown key patterns.window; there are bin_ms"),
        (["surrogates=many"], "valid integer"),
        (["surrogates=10"], "at least 80"),
        (["surrogate=dither"], "'pattern_jitter', 'window_rotation'"),
        (["seed"], "section.key=value"),
    ):
        with pytest.raises(ConfigError, match=message):
            load_parameters(None, overrides)
    with pytest.raises(ConfigError, match="no configuration file"):
        load_parameters(str(tmp_path / "none.toml"))
    file.write_text("patterns = 3\n")
    with pytest.raises(ConfigError, match="not a table"):
        load_parameters(str(file))
