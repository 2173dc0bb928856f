"""`compare.html` and `compare.json`: runs side by side, recordings, the card; one offline page."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from blank_pictures import pictures_blank
from recordings import make_network, make_trains, random_recording, with_spikes

from spikebridge.bridge.errors import DataError, SpecError
from spikebridge.bridge.network_file import network_sha256
from spikebridge.validation.compare_activity import Activity, activity_of
from spikebridge.validation.compare_report import build_comparison, write_comparison
from spikebridge.validation.compare_runs import load_run
from spikebridge.validation.plausibility import load_ranges
from spikebridge.validation.report import build_report, write_report
from spikebridge.validation.summary import write_summary


def report_in(folder: Path, seed: int = 0) -> Path:
    """A run's folder with the report of a constructed recording that the simulation repeats."""
    recording = random_recording(seed, samples=30)
    network = make_network(recording)
    recording = replace(recording, network_sha256=network_sha256(network))
    simulated = with_spikes(recording, "hidden1", recording.spikes["hidden1"])
    with pictures_blank():
        write_report(build_report(network, recording, {"grid": simulated}), folder)
    return folder


def numbers(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "compare.json").read_text())
    return found


def test_runs_are_side_by_side_with_the_numbers_of_their_reports(tmp_path: Path) -> None:
    folders = [report_in(tmp_path / name, seed) for seed, name in enumerate(("first", "second"))]
    runs = [load_run(folder, folder.name) for folder in folders]
    write_comparison(build_comparison(runs, []), tmp_path / "out")
    found = numbers(tmp_path / "out")
    for folder in folders:
        report = json.loads((folder / "report.json").read_text())
        mine = found["runs"][folder.name]
        assert mine["parity"] == {"grid": "same", "replay": "not run", "physical": "not run"}
        assert mine["quantities"]["accuracy.training.unseen"]["value"] == report["accuracy"]["training"]["unseen"]
        rate = report["rate_hz"]["grid"]["populations"]["hidden2"]
        assert mine["quantities"]["rate_hz.grid.populations.hidden2"] == {"value": rate, "deviation": None}
    assert found["reference"] is None
    assert found["comparisons"] == found["plausibility"] == []
    html = (tmp_path / "out" / "compare.html").read_text()
    assert "Runs side by side" in html
    assert "Plausibility card" not in html


@pytest.mark.slow
def test_a_summary_shows_its_deviation(tmp_path: Path) -> None:
    folders = {seed: report_in(tmp_path / "many" / f"seed-{seed}", seed) for seed in (0, 1, 2)}
    summary = write_summary(folders, tmp_path / "many")
    run = load_run(tmp_path / "many", "many")
    assert run.realisations == 3
    quantity = run.quantities["accuracy.training.all"]
    assert quantity.value == summary["accuracy"]["training"]["all"]
    assert quantity.deviation == summary["standard_deviation"]["accuracy"]["training"]["all"]
    html = write_comparison(build_comparison([run], []), tmp_path / "out")[0].read_text()
    assert re.search(r"<td>\d+\.\d ± \d+\.\d %</td>", html)


def test_what_only_one_run_has_and_other_samples_are_said(tmp_path: Path) -> None:
    run = load_run(report_in(tmp_path / "run"), "run")
    kept = {key: q for key, q in run.quantities.items() if key != "accuracy.training.unseen"}
    other = replace(run, name="other", quantities=kept, source_sha256="0" * 64)
    found = build_comparison([run, other], []).numbers["not_comparable"]
    assert found == [
        ["run and other", "Different test samples: accuracies are not of the same task."],
        ["run and other", "Only in run: accuracy.training.unseen."],
    ]


def test_recordings_are_compared_and_judged_on_one_page_that_needs_nothing_else(tmp_path: Path) -> None:
    activities = [activity_of(random_recording(seed, samples=30, sizes=(20, 15)), f"r{seed}") for seed in range(3)]
    html_path, _ = write_comparison(build_comparison([], activities), tmp_path)
    found = numbers(tmp_path)
    assert found["reference"] == "r0"
    assert len(found["comparisons"]) == 2 * 2 * 6
    assert len(found["plausibility"]) == 3 * 2 * len(load_ranges())
    assert set(found["values"]["r1"]["hidden2"]) == set(found["definitions"]["statistics"])
    html = html_path.read_text()
    outside = [
        value
        for tag in re.findall(r"<(?:img|link|script|iframe)[^>]*>", html)
        for value in re.findall(r'(?:src|href)="([^"]*)"', tag)
        if not value.startswith("data:")
    ]
    assert outside == []
    assert html.count("<img") == 1
    assert "Being inside a published range proves nothing" in html
    for citation in {each.citation for each in load_ranges()}:
        assert citation in html.replace("&#39;", "'").replace("&gt;", ">")


def test_every_table_has_as_many_cells_as_headings(tmp_path: Path) -> None:
    class Tables(HTMLParser):
        headings = 0
        cells = 0
        rows = 0

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            if tag == "thead":
                self.headings = 0
            if tag == "tr":
                self.cells = 0
            self.headings += ("scope", "col") in attrs
            self.cells += tag == "td" or ("scope", "row") in attrs

        def handle_endtag(self, tag: str) -> None:
            if tag == "tr" and self.cells:
                self.rows += 1
                assert self.cells == self.headings

    parser = Tables()
    runs = [load_run(report_in(tmp_path / "run"), "run")]
    silent = make_trains([], samples=30, steps=50, neurons=8)
    recording = random_recording(samples=30)
    activities = [activity_of(recording, "a"), activity_of(with_spikes(recording, "hidden1", silent), "silent")]
    parser.feed(write_comparison(build_comparison(runs, activities), tmp_path)[0].read_text())
    assert parser.rows > 50


def test_silence_and_an_empty_population_are_undefined_not_zero(tmp_path: Path) -> None:
    recording = random_recording(samples=30)
    empty = Activity("empty", {"hidden1": make_trains([], samples=30, steps=50, neurons=0)}, None, "nothing")
    write_comparison(build_comparison([], [activity_of(recording, "a"), empty]), tmp_path)
    found = numbers(tmp_path)
    assert {c["undefined"] is None for c in found["comparisons"]} == {False}
    assert {c["p_holm"] for c in found["comparisons"]} == {None}
    assert {p["place"] for p in found["plausibility"] if p["activity"] == "empty"} == {"undefined"}


def test_the_same_inputs_give_the_same_page(tmp_path: Path) -> None:
    activities = [activity_of(random_recording(seed, samples=20), f"r{seed}") for seed in range(2)]
    first, second = (write_comparison(build_comparison([], activities, seed=4), tmp_path / d)[0] for d in "ab")
    assert first.read_bytes() == second.read_bytes()
    other = build_comparison([], activities, seed=5).numbers["comparisons"]
    same = numbers(tmp_path / "a")["comparisons"]
    deltas = [[c["scores"].get("cliffs_delta", {}) for c in found] for found in (same, other)]
    assert [d.get("value") for d in deltas[0]] == [d.get("value") for d in deltas[1]]
    assert [d.get("low") for d in deltas[0]] != [d.get("low") for d in deltas[1]]


def test_nothing_and_two_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="nothing to compare"):
        build_comparison([], [])
    run = load_run(report_in(tmp_path / "run"), "run")
    with pytest.raises(SpecError, match="two runs have the same name"):
        build_comparison([run, run], [])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "there is no report.json; give the folder of a finished"),
        ("{", "is no JSON"),
        ("[]", "is no report of this version"),
        ('{"format": "spikebridge/report", "format_version": 2}', "is no report of this version"),
        ('{"format": "spikebridge/report", "format_version": 1}', "lacks what a report has"),
    ],
)
def test_a_folder_without_a_usable_report(tmp_path: Path, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / "report.json").write_text(text)
    with pytest.raises(DataError, match=message):
        load_run(tmp_path, "run")
