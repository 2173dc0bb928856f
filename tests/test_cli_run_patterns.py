"""The search for patterns as a stage of a run: resumed, up to date, and in the report."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pattern_data import SMALL, as_recording, poisson_spikes, with_pattern
from reports import pattern_analysis
from small_training import SMALL_DEMO

from spikebridge.bridge.errors import DataError
from spikebridge.cli import analyses
from spikebridge.cli.analyses import Analysis
from spikebridge.cli.config import RunConfig, full, load_config, save_config
from spikebridge.cli.main import main
from spikebridge.validation.patterns_file import load_search, save_search
from spikebridge.validation.patterns_numbers import pattern_numbers
from spikebridge.validation.patterns_parameters import PatternParameters

FEW = [
    "--set=patterns.surrogates=80",
    "--set=patterns.planted_spikes=[4]",
    "--set=patterns.planted_occurrences=[4]",
    "--set=patterns.planted_sets=1",
    "--set=knobs.samples=6",
    "--set=knobs.draws=1",
]


@pytest.fixture(autouse=True)
def _quiet_logging() -> Iterator[None]:
    yield
    logging.getLogger("spikebridge").setLevel(logging.NOTSET)


def numbers(folder: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((folder / "report.json").read_text())
    return loaded


@pytest.mark.slow
@pytest.mark.usefixtures("blank_pictures")
def test_full_on_a_finished_run_does_only_what_is_missing(small_demo: Path, caplog: pytest.LogCaptureFixture) -> None:
    out = small_demo
    command = ["run", "demo", "--out", str(out), *SMALL_DEMO, *FEW]
    assert main(command) == 0
    assert numbers(out)["patterns"] is None
    assert numbers(out)["knobs"] is None
    before = {path.name: path.stat().st_mtime_ns for path in out.glob("*.h5")}
    assert main([*command, "--full"]) == 0
    made = {path.name: path.stat().st_mtime_ns for path in out.iterdir()}
    assert set(made) >= {"continuous.h5", "patterns_search.json", "knobs"}
    assert not any(name.startswith(".") for name in made)
    for name in ("grid.h5", "replay.h5", "step_5ms.h5"):
        assert made[name] == before[name]
    found = numbers(out)["patterns"]
    assert found["recording"]["step_ms"] == 0.1
    assert found["parameters"]["surrogates"] == 80
    page = (out / "report.html").read_text()
    assert 'id="patterns"' in page
    assert 'id="patterns-controls"' in page
    assert 'id="knobs"' in page
    knobs = numbers(out)["knobs"]
    assert knobs["origin"]["n_samples"] == 6
    assert knobs["origin"]["step_ms"] == 0.1
    made_knobs = {path.name: path.stat().st_mtime_ns for path in (out / "knobs").iterdir()}
    assert {"knobs.html", "knobs.json", "knob_weight_jitter.svg"} <= made_knobs.keys()

    # Again: nothing is searched; the same report.
    caplog.clear()
    with caplog.at_level(logging.INFO, "spikebridge"):
        assert main([*command, "--full"]) == 0
    assert f"{out / 'patterns_search.json'} is up to date" in caplog.text
    assert f"{out / 'knobs'} is up to date" in caplog.text
    assert numbers(out)["knobs"] == knobs
    assert {path.name: path.stat().st_mtime_ns for path in (out / "knobs").iterdir()} == made_knobs
    assert numbers(out)["patterns"] == found
    assert (out / "patterns_search.json").stat().st_mtime_ns == made["patterns_search.json"]

    # What the stage refuses does not keep the report of everything else from being written.
    (out / "report.json").unlink()
    assert main([*command, "--full", "--set=patterns.memory_limit_gib=0.01", "--set=patterns.seed=1"]) == 4
    assert numbers(out)["patterns"] is None


def test_a_search_is_read_back_as_it_was_and_only_for_what_was_searched(tmp_path: Path) -> None:
    analysis = pattern_analysis(tmp_path)
    first, second = (poisson_spikes(seed, neurons=10) for seed in (0, 1))
    recording = as_recording(with_pattern(first, occurrences=20), second)
    path = tmp_path / "patterns_search.json"
    assert load_search(path, recording, SMALL) is None
    save_search(analysis, recording, path)
    again = load_search(path, recording, SMALL)
    assert again is not None
    assert pattern_numbers(again) == pattern_numbers(analysis)
    for ours, theirs in zip(analysis.found, again.found, strict=True):
        assert np.array_equal(ours.chance, theirs.chance)
        assert np.array_equal(ours.significant_sizes(0.05), theirs.significant_sizes(0.05))
    assert load_search(path, recording, PatternParameters()) is None
    assert load_search(path, as_recording(first, second), SMALL) is None
    path.write_text(path.read_text()[:-20])
    with pytest.raises(DataError, match="delete it, and it is made again"):
        load_search(path, recording, SMALL)


def test_full_asks_for_everything_that_the_training_step_allows(tmp_path: Path) -> None:
    stages = full(RunConfig()).stages
    assert (stages.continuous, stages.patterns, stages.knobs) == (True, True, True)
    (tmp_path / "fine.toml").write_text("[data]\nstep_ms = 0.1\nduration_ms = 100.0\n[network]\nsynapse = 'delta'\n")
    assert full(load_config(str(tmp_path / "fine.toml"))).stages.continuous is False


def test_the_table_of_patterns_is_checked_and_kept(tmp_path: Path) -> None:
    config = load_config("demo", ["patterns.surrogates=90", "patterns.planted_spikes=[3, 4]", "stages.patterns=true"])
    assert config.patterns == PatternParameters(surrogates=90, planted_spikes=(3, 4))
    save_config(config, tmp_path / "config.toml")
    assert load_config(str(tmp_path / "config.toml")) == config


def test_a_damaged_chapter_does_not_keep_the_report_from_being_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def damaged(*_: object) -> None:
        raise DataError("is damaged", path=tmp_path / "patterns_search.json")

    asked = Analysis("patterns", lambda _: True, lambda *_: None, damaged)
    monkeypatch.setattr(analyses, "ANALYSES", (asked,))
    with caplog.at_level(logging.WARNING, "spikebridge"):
        assert analyses.run_chapters(load_config("demo"), tmp_path) == []
    assert "patterns_search.json: is damaged; the report is written without it" in caplog.text
