"""The report's chapters on activity and effort: extreme populations, tables, pictures, documentation."""

import importlib.util
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from recordings import make_network, make_recording, make_trains, make_trials, random_recording

from spikebridge.bridge.recording import Recording
from spikebridge.bridge.spikes import SpikeTrains
from spikebridge.validation.activity_tables import plural, value_text
from spikebridge.validation.evidence import collect_evidence
from spikebridge.validation.observations import Definition, Observations
from spikebridge.validation.page import Report, render_html
from spikebridge.validation.plot_distributions import Panel, draw_distributions
from spikebridge.validation.report import build_report
from spikebridge.validation.statistics import standard_statistics
from spikebridge.validation.statistics_numbers import definitions, statistics_numbers

ROOT = Path(__file__).resolve().parent.parent
LABELS = np.array([0, 0, 1])
SAMPLES, STEPS = 3, 60


@pytest.fixture(scope="module", autouse=True)
def _constructed_recordings_are_of_the_network() -> Iterator[None]:
    """Constructed recordings carry a made-up checksum."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("spikebridge.validation.evidence.network_sha256", lambda _: random_recording().network_sha256)
        yield


def recording_of(*populations: SpikeTrains) -> Recording:
    first = populations[0]
    trials = make_trials(np.random.default_rng(0), samples=first.n_samples, classes=2, duration_s=0.6)
    spikes = {f"hidden{i}": trains for i, trains in enumerate(populations, start=1)}
    readout = np.random.default_rng(1).normal(size=(first.n_samples, first.n_steps, 2))
    return make_recording(trials, spikes, steps=first.n_steps, readout=readout)


def report_of(recording: Recording) -> Report:
    return build_report(make_network(recording), recording, {"grid": replace(recording, executor="brian2-numpy")})


SILENT = make_trains([], samples=SAMPLES, steps=STEPS, neurons=4)
ONE_SPIKE = make_trains(
    [(s, 7 * n + s, n) for s in range(SAMPLES) for n in range(4)], samples=SAMPLES, steps=STEPS, neurons=4
)
ONE_NEURON = make_trains(
    [(s, t, 0) for s in range(SAMPLES) for t in (3, 9, 12)], samples=SAMPLES, steps=STEPS, neurons=1
)
BUSY = make_trains(
    [(s, t, n) for s in range(SAMPLES) for n in range(4) for t in range(n, STEPS, n + 2 + s)],
    samples=SAMPLES,
    steps=STEPS,
    neurons=4,
)
EMPTY = make_trains([], samples=SAMPLES, steps=STEPS, neurons=0)
NO_SAMPLE = make_trains([], samples=0, steps=STEPS, neurons=4)


@pytest.mark.parametrize("trains", [SILENT, ONE_SPIKE, ONE_NEURON, BUSY, EMPTY, NO_SAMPLE])
@pytest.mark.parametrize("known", [True, False])
def test_every_statistic_counts_what_is_undefined(trains: SpikeTrains, known: bool) -> None:
    labels = LABELS[: trains.n_samples] if known else None
    for statistic in standard_statistics():
        seen = statistic.observe(trains, labels)
        assert seen.n_defined + sum(seen.undefined.values()) == seen.n_total, statistic.key
        assert (seen.mean is None) == (seen.n_defined == 0), statistic.key


def test_what_needs_intervals_is_undefined_for_single_spikes_and_rates_are_not() -> None:
    seen = {statistic.key: statistic.observe(ONE_SPIKE, LABELS) for statistic in standard_statistics()}
    for key in ("isi_cv", "isi_cv2", "isi_lv", "isi_lvr"):
        assert (seen[key].mean, dict(seen[key].undefined)) == (None, {"fewer than 3 spikes": 12})
    assert seen["spike_contrast"].mean is None
    assert seen["spikes_per_burst"].mean is None
    assert seen["rate_hz"].mean == pytest.approx(1 / 0.6)
    assert seen["burst_fraction"].mean == 0.0
    assert seen["silent_fraction"].mean == 0.0
    assert seen["population_fano"].n_defined == 3


def test_one_sample_leaves_comparisons_between_samples_undefined() -> None:
    seen = {statistic.key: statistic.observe(BUSY.select([0]), LABELS[:1]) for statistic in standard_statistics()}
    assert dict(seen["fano_factor"].undefined) == {"one sample of the class": 4}
    assert seen["residual_correlation"].mean is None
    assert seen["isi_lv"].n_defined == 4
    assert seen["count_correlation"].n_defined > 0


@pytest.mark.parametrize(
    "populations",
    [
        pytest.param((SILENT, ONE_SPIKE, ONE_NEURON, BUSY), id="four populations"),
        pytest.param((BUSY.select([0]),), id="one sample"),
    ],
)
def test_extreme_recordings_are_reported(populations: tuple[SpikeTrains, ...]) -> None:
    report = report_of(recording_of(*populations))
    text = json.dumps(report.numbers, allow_nan=False)
    html = render_html(report)
    assert "nan" not in re.sub(r"data:image[^\"]*", "", html).lower().split()
    assert json.loads(text)["statistics"]["grid"]["hidden1"] == json.loads(text)["statistics"]["training"]["hidden1"]
    keys = {section.key for section in report.sections}
    assert {"activity", "effort"} <= keys


def test_the_numbers_say_what_is_undefined_and_why() -> None:
    recording = recording_of(BUSY, SILENT)
    evidence = collect_evidence(make_network(recording), recording, {"grid": recording})
    numbers = statistics_numbers(evidence)
    silent = numbers["statistics"]["training"]["hidden2"]
    assert silent["isi_lv"]["undefined"] == {"fewer than 3 spikes": 12}
    assert silent["population_fano"] == {
        "value": None,
        "n_defined": 0,
        "n_total": 3,
        "undefined": {"no spike in the sample": 3},
        "quartiles": None,
    }
    assert numbers["rate_lognormal"]["grid"]["hidden2"]["reason"] == "0 neurons fire; a fit needs 8"
    assert numbers["power_spectrum"]["grid"]["hidden2"]["reason"] == "no spike in any sample"
    spectrum = numbers["power_spectrum"]["grid"]["hidden1"]
    assert len(spectrum["frequency_hz"]) == len(spectrum["power_hz"]) == 30
    assert spectrum["peak_hz"] in spectrum["frequency_hz"] or spectrum["peak_hz"] == pytest.approx(
        min(spectrum["frequency_hz"], key=lambda f: abs(f - spectrum["peak_hz"])), rel=1e-5
    )
    assert numbers["network_statistics"]["training"]["neuron_updates"]["value"] == (4 + 4 + 2) * STEPS
    assert numbers["network_statistics"]["training"]["spikes_per_decision"]["value"] == BUSY.n_spikes / 3


def test_every_figure_of_the_chapters_has_numbers_definition_and_source() -> None:
    report = report_of(recording_of(BUSY, ONE_SPIKE))
    for section in report.sections:
        if section.key in ("activity", "effort"):
            for picture in section.pictures:
                assert picture.tables[0].rows
                assert picture.alternative
                assert picture.notes or picture.key == "rates"
    html = render_html(report)
    for sentence in ("fewer than 3 spikes", "Shinomoto", "Ciba", "Merolla", "Cotterill", "Welch", "Cohen"):
        assert sentence in html


def test_every_statistic_is_documented_with_its_source() -> None:
    script = ROOT / "docs" / "make_statistics.py"
    spec = importlib.util.spec_from_file_location("make_statistics", script)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    page = (ROOT / "docs" / "statistics.md").read_text(encoding="utf-8")
    assert page == module.page(), "run `python docs/make_statistics.py`"
    recording = recording_of(BUSY)
    evidence = collect_evidence(make_network(recording), recording, {"grid": recording})
    for definition in definitions(evidence):
        assert f"| `{definition.key}` |" in page


def test_at_most_three_executors_are_drawn_with_styles_that_differ_without_colour() -> None:
    recording = recording_of(BUSY)
    others = {label: replace(recording, executor="brian2-cpp") for label in ("grid", "continuous", "step_5")}
    evidence = collect_evidence(make_network(recording), recording, others)
    shown = {executor.label: executor.title for executor in evidence.headline}
    assert list(shown) == ["training", "grid", "continuous"]
    statistic = next(s for s in evidence.statistics if s.key == "isi_lv")
    figure = draw_distributions([Panel(statistic, 1.0)], shown, evidence.observations)
    assert isinstance(figure, Figure)
    lines = [line for line in figure.axes[0].get_lines() if np.asarray(line.get_ydata()).max() == 1.0]
    assert len({line.get_linestyle() for line in lines[:3]}) == 3


def test_a_line_rises_by_the_share_of_values_up_to_there() -> None:
    values = np.array([1.0, 1.0, 2.0, 4.0])
    seen = {"training": {"a": {"x": Observations(values, 4)}}, "grid": {"a": {"x": Observations(np.empty(0), 4)}}}
    statistic = Definition("x", "X", "", "neuron", "", "")
    figure = draw_distributions([Panel(statistic)], {"training": "training", "grid": "grid"}, seen)
    (line,) = figure.axes[0].get_lines()
    assert np.asarray(line.get_xdata()).tolist() == [1.0, 1.0, 2.0, 2.0, 4.0, 4.0]
    assert np.asarray(line.get_ydata()).tolist() == [0.0, 0.5, 0.5, 0.75, 0.75, 1.0]


def test_words_and_digits() -> None:
    assert plural("neuron, class and window") == "neurons, classes and windows"
    assert plural("train") == "trains"
    rate = Definition("r", "R", "Hz", "neuron", "", "")
    assert [value_text(rate, v) for v in (None, 0.0, 0.0312, 1.5, 12345.6)] == [
        *("undefined", "0.00", "0.031", "1.50", "12,346"),
    ]
    assert value_text(replace(rate, unit="share"), 0.25) == "25.0%"
