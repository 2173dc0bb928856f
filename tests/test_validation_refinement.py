"""Rungs 3 and 4: labels, what is measured at other steps, and how the report says it."""

import base64
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.container import ErrorbarContainer
from recordings import make_network, make_recording, make_trains, make_trials, random_recording

from spikebridge.bridge.recording import Recording
from spikebridge.bridge.spikes import SpikeTrains
from spikebridge.bridge.timing import timestep
from spikebridge.validation.evidence import collect_evidence
from spikebridge.validation.labelled import name_continuous, simulation_label
from spikebridge.validation.ladder import ladder_section
from spikebridge.validation.page import Report, render_html
from spikebridge.validation.parity import compare_spikes
from spikebridge.validation.picture import render
from spikebridge.validation.plot_refinement import draw_refinement
from spikebridge.validation.refinement import measure_refinement, on_grid
from spikebridge.validation.refinement_section import refinement_section
from spikebridge.validation.report import build_report
from spikebridge.validation.summary import rows, summarise
from spikebridge.validation.verdict import reach_verdict

SAMPLES, STEPS = 8, 50
REFERENCE = random_recording(samples=SAMPLES, steps=STEPS)
NETWORK = make_network(REFERENCE)
SAME = replace(REFERENCE, executor="brian2-numpy")


@pytest.fixture(scope="module", autouse=True)
def _constructed_recordings_are_of_the_network() -> Iterator[None]:
    """Constructed recordings carry a made-up checksum."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("spikebridge.validation.evidence.network_sha256", lambda _: REFERENCE.network_sha256)
        yield


def at_step(recording: Recording, step_ms: float, *, wrong: int = 0, silent: str | None = None) -> Recording:
    """The same spikes at the same times on another grid, some decisions turned round, one population silenced."""
    spikes = {name: moved(trains, step_ms) for name, trains in recording.spikes.items()}
    if silent is not None:
        trains = spikes[silent]
        nothing = np.empty(0, dtype=np.int32)
        offsets = np.zeros(trains.n_samples + 1, dtype=np.int64)
        spikes[silent] = SpikeTrains(nothing, nothing, offsets, trains.n_steps, trains.n_neurons, step_ms)
    steps = round(1000.0 * recording.duration_s / step_ms)
    # Every decision right, but for the first `wrong` samples.
    labels, classes = recording.trials.labels, len(recording.trials.class_names)
    scores = np.eye(classes)[(labels + (np.arange(labels.size) < wrong)) % classes]
    return make_recording(
        recording.trials, spikes, steps=steps, step_ms=step_ms, executor="brian2-numpy", scores=scores
    )


def moved(trains: SpikeTrains, step_ms: float) -> SpikeTrains:
    """Every spike in the step that holds the beginning of its own."""
    steps = round(trains.n_steps * trains.step_ms / step_ms)
    step = timestep(trains.time_ms, step_ms).astype(np.int32)
    return SpikeTrains(step, trains.neuron, trains.offsets, steps, trains.n_neurons, step_ms)


RIGHT = at_step(REFERENCE, 10.0)
TRAINED = replace(RIGHT, executor="pytorch")


def report_of(simulations: Mapping[str, Recording], reference: Recording = TRAINED, **options: Any) -> Report:
    return build_report(NETWORK, reference, simulations, **options)


@pytest.fixture(scope="module")
def ladder() -> Report:
    """All of training right; one of eight samples wrong at 1 ms, two at 0.1 ms, where hidden2 is silent too."""
    simulations = {
        "grid": RIGHT,
        "continuous": at_step(REFERENCE, 0.1, wrong=2, silent="hidden2"),
        "step_1": at_step(REFERENCE, 1.0, wrong=1),
    }
    return report_of(simulations, replay=RIGHT)


def test_the_finest_step_of_at_most_a_tenth_of_a_millisecond_is_continuous() -> None:
    def labels(reference: Recording, *steps_ms: float) -> list[str]:
        found = [at_step(reference, step_ms) for step_ms in steps_ms]
        return list(name_continuous({simulation_label(reference, each): each for each in found}))

    assert labels(REFERENCE, 10.0, 1.0, 0.1) == ["grid", "step_1", "continuous"]
    assert labels(REFERENCE, 0.1, 0.05, 10.0) == ["step_0.1", "continuous", "grid"]
    assert labels(REFERENCE, 10.0, 1.0, 0.2) == ["grid", "step_1", "step_0.2"]
    assert labels(at_step(REFERENCE, 1.0), 1.0, 0.1, 10.0) == ["grid", "continuous", "step_10"]
    assert labels(at_step(REFERENCE, 0.1), 0.1, 1.0) == ["grid", "step_1"]  # trained in continuous time already
    fine = at_step(REFERENCE, 0.1)
    assert list(name_continuous({"physical": fine})) == ["physical"]
    assert list(name_continuous({"physical": fine, "step_0.1": fine})) == ["physical", "continuous"]


def test_the_same_spikes_on_the_same_grid_change_nothing() -> None:
    (grid,) = measure_refinement(NETWORK, REFERENCE, {"grid": SAME}).steps
    assert grid.accuracy is not None
    assert grid.decisions_changed is not None
    assert grid.decisions_changed.value == 0.0
    for name, change in grid.populations.items():
        assert (change.rate_ratio, change.distance, change.distance_of_binning) == (1.0, 0.0, 0.0)
        assert change.coincidence == 1.0
        assert change.rate_hz == pytest.approx(REFERENCE.spikes[name].n_spikes / change_seconds(name))


def change_seconds(population: str) -> float:
    return SAMPLES * REFERENCE.duration_s * REFERENCE.spikes[population].n_neurons


def test_a_known_shift_has_a_known_distance_and_binning_explains_its_part() -> None:
    """A spike at 0 .. 10 ms in training, at 2 .. 3 ms on steps of 1 ms: centres 5 and 2.5 ms."""
    trials = make_trials(np.random.default_rng(0), samples=2, classes=2)
    coarse = make_trains([(0, 0, 0), (1, 7, 0)], samples=2, steps=50, neurons=1)
    fine = make_trains([(0, 2, 0), (1, 72, 0)], samples=2, steps=500, neurons=1, step_ms=1.0)
    reference = make_recording(trials, {"hidden1": coarse}, steps=50)
    finer = make_recording(trials, {"hidden1": fine}, steps=500, step_ms=1.0)
    network = make_network(reference)
    for refinement in (
        measure_refinement(network, reference, {"step_1": finer}),
        measure_refinement(network, finer, {"step_10": reference}),  # trained fine, simulated on a coarser step
    ):
        change = refinement.steps[0].populations["hidden1"]
        assert change.distance == pytest.approx(np.sqrt(1 - np.exp(-0.25)))
        # Nothing but the grid differs, so binning explains all of it.
        assert change.distance_of_binning == pytest.approx(change.distance)
        assert change.coincidence == 1.0
        assert refinement.unrelated["hidden1"].distance == pytest.approx(1.0, abs=1e-2)
        assert refinement.unrelated["hidden1"].coincidence == 0.0


def test_a_coarser_grid_holds_each_spike_in_the_step_of_its_centre() -> None:
    fine = make_trains([(0, 0, 0), (0, 99, 0), (0, 100, 0), (0, 101, 0)], samples=1, steps=200, neurons=1, step_ms=0.1)
    assert on_grid(fine, 10.0).step.tolist() == [0, 0, 1, 1]
    assert on_grid(fine, 10.0).n_steps == 2
    odd = make_trains([(0, 2, 0)], samples=1, steps=10, neurons=1, step_ms=2.0)  # its centre is 5 ms, a boundary
    assert on_grid(odd, 5.0).step.tolist() == [1]


def test_steps_are_ordered_from_coarse_to_fine_and_rung_five_is_none_of_them() -> None:
    fine, one, other = (at_step(REFERENCE, step_ms) for step_ms in (0.1, 1.0, 25.0))
    refinement = measure_refinement(
        NETWORK, REFERENCE, {"continuous": fine, "step_1": one, "physical": fine, "grid": SAME, "step_25": other}
    )
    assert [step.label for step in refinement.steps] == ["step_25", "grid", "step_1", "continuous"]
    assert [step.label for step in refinement.other_steps] == ["step_25", "step_1", "continuous"]


def test_the_numbers_are_under_their_documented_keys(ladder: Report) -> None:
    numbers = json.loads(json.dumps(ladder.numbers, allow_nan=False))
    found = numbers["refinement"]
    assert set(found) == {"steps", "unrelated", "continuous", "definitions"}
    assert list(found["steps"]) == ["grid", "step_1", "continuous"]
    keys = {"step_ms", "accuracy", "decisions_changed", "rate_hz", "rate_ratio", "distance", "distance_of_binning"}
    assert set(found["steps"]["step_1"]) == keys | {"coincidence"}
    assert found["steps"]["step_1"]["accuracy"] == numbers["accuracy"]["step_1"]["all"] == 7 / 8
    assert found["steps"]["step_1"]["decisions_changed"] == numbers["decisions_changed"]["step_1"]["share"] == 1 / 8
    assert numbers["accuracy"]["continuous"]["all"] == 6 / 8
    assert numbers["rate_hz"]["continuous"]["populations"]["hidden2"] == 0.0
    assert found["steps"]["continuous"]["distance"]["hidden2"] == 1.0
    assert found["steps"]["continuous"]["coincidence"]["hidden2"] == 0.0
    assert found["continuous"] == {
        "step_ms": 0.1,
        "accuracy_training": 1.0,
        "accuracy": 0.75,
        "accuracy_lost_points": 25.0,
        "rate_change": {"hidden1": 0.0, "hidden2": -1.0},
        "largest_rate_change": -1.0,
    }
    assert set(found["unrelated"]) == {"hidden1", "hidden2"}
    assert 0.5 < found["unrelated"]["hidden1"]["distance"] <= 1.0


def test_what_was_not_run_or_is_undefined_is_null() -> None:
    quiet = at_step(TRAINED, 10.0, silent="hidden1")
    refinement = report_of({"grid": quiet}, replace(quiet, executor="pytorch")).numbers["refinement"]
    assert refinement["continuous"] is None
    assert refinement["steps"]["grid"]["rate_ratio"]["hidden1"] is None
    assert refinement["steps"]["grid"]["distance"]["hidden1"] == 0.0  # both silent: the same
    assert refinement["steps"]["grid"]["coincidence"]["hidden1"] is None


def test_the_verdict_says_the_headline_number(ladder: Report) -> None:
    sentences = ladder.verdict.sentences
    assert (
        "In continuous time (steps of 0.1 ms) the accuracy is 75.0% against 100.0% in training, 25.0 points less; the "
        "mean rate that changes most is that of hidden2, by -100.0%." in sentences
    )
    assert "Decided otherwise than in training are 12.5% of the samples in step_1, 25.0% in continuous." in sentences
    better = collect_evidence(NETWORK, at_step(REFERENCE, 10.0, wrong=4), {"continuous": at_step(REFERENCE, 0.1)})
    assert "100.0% against 50.0% in training, 50.0 points more" in " ".join(reach_verdict(better).sentences)
    equal = collect_evidence(NETWORK, TRAINED, {"continuous": at_step(REFERENCE, 0.1)})
    assert "in training, no change; " in " ".join(reach_verdict(equal).sentences)


def test_the_page_has_the_chapter_with_a_row_per_step_and_one_picture(ladder: Report) -> None:
    chapter = next(section for section in ladder.sections if section.key == "refinement")
    (decisions,) = chapter.tables
    (picture,) = chapter.pictures
    _, populations = picture.tables
    assert [row[:2] for row in decisions.rows] == [
        ("training", "10"),
        ("grid", "10"),
        ("step_1", "1"),
        ("continuous", "0.1"),
    ]
    assert decisions.rows[2][2:] == ("87.5% (52.9 to 97.8)", "-12.5", "12.5% (2.2 to 47.1)", "none")
    assert decisions.rows[3][5] == "-100.0% (hidden2)"
    assert [row[0] for row in populations.rows[5:]] == [
        "hidden2: training",
        "hidden2: grid",
        "hidden2: step_1",
        "hidden2: continuous",
        "hidden2: another sample",
    ]
    assert populations.rows[8][2:5] == ("0.00", "-100.0%", "1.000")
    image = base64.b64decode(picture.image.partition(",")[2])
    assert ElementTree.fromstring(image).tag.endswith("svg")
    assert "0.1 ms: accuracy 75.0%" in picture.alternative
    html = render_html(ladder)
    assert "What changes with the time step?" in html
    assert html.index('id="ladder"') < html.index('id="parity"') < html.index('id="refinement"')


def test_without_another_step_there_is_no_chapter() -> None:
    refinement = measure_refinement(NETWORK, REFERENCE, {"grid": SAME})
    assert refinement_section(refinement) is None
    assert "What changes with the time step?" not in render_html(report_of({"grid": RIGHT}))


def test_the_picture_shows_every_step_with_its_interval_and_the_training() -> None:
    simulations = {"grid": SAME, "step_1": at_step(REFERENCE, 1.0, wrong=3), "continuous": at_step(REFERENCE, 0.1)}
    refinement = measure_refinement(NETWORK, TRAINED, simulations)
    figure = draw_refinement(refinement)
    accuracy, changed, rates, distances = figure.axes
    (drawn,) = accuracy.containers
    assert isinstance(drawn, ErrorbarContainer)
    curve, _, (intervals,) = drawn.lines
    assert curve is not None
    assert np.asarray(curve.get_xdata()).tolist() == [10.0, 1.0, 0.1]
    assert np.asarray(curve.get_ydata())[1] == pytest.approx(100 * 5 / 8)
    bars = intervals.get_segments()
    interval = refinement.steps[1].accuracy
    assert interval is not None
    assert bars[1][:, 1].tolist() == pytest.approx([100 * interval.low, 100 * interval.high])
    assert accuracy.get_xscale() == "log"
    assert [tick.get_text() for tick in distances.get_xticklabels()] == ["0.1", "1", "10"]
    assert "broken line: training, 100.0%" in {text.get_text() for text in accuracy.texts}
    assert changed.get_ylabel() == "decisions changed (%)"
    legend = rates.get_legend()
    assert legend is not None
    named = {text.get_text() for text in legend.get_texts()}
    assert named == {"hidden1", "hidden2", "training"}
    # No meaning on colour alone: every population has a marker and a line style of its own.
    lines = [line for line in rates.get_lines() if line.get_label() in ("hidden1", "hidden2")]
    assert len({line.get_marker() for line in lines}) == len({str(line.get_linestyle()) for line in lines}) == 2
    assert render(figure, format="png").startswith(b"\x89PNG")


def test_a_network_without_hidden_populations_can_be_refined() -> None:
    recording = random_recording(sizes=(), samples=3)
    refinement = measure_refinement(make_network(recording), recording, {"step_1": at_step(recording, 1.0)})
    assert refinement.steps[0].largest_rate_change is None
    assert refinement_section(refinement) is not None


def test_the_ladder_has_a_row_per_rung_with_its_result(ladder: Report) -> None:
    spikes = sum(trains.n_spikes for trains in TRAINED.spikes.values())
    (table,) = ladder.sections[0].tables
    assert [row[0] for row in table.rows] == [
        "1. Grid",
        "2. Replay",
        "3. Refinement",
        "4. Continuous",
        "5. Physical",
    ]
    results = [row[2] for row in table.rows]
    assert results[0] == results[1] == f"the same: {spikes:,} spikes in 8 samples, 0 mismatches"
    assert results[2] == "accuracy 87.5% at 1 ms"
    assert results[3] == "accuracy 75.0% against 100.0% in training, rate of hidden2 -100.0%"
    assert results[4] == "not run"
    assert [bool(row[3]) for row in table.rows] == [False, False, False, False, True]


def test_rungs_that_were_not_run_say_how_to_run_them_and_rung_five_is_read_where_it_exists() -> None:
    evidence = collect_evidence(NETWORK, TRAINED, {"grid": RIGHT})
    (table,) = ladder_section(evidence).tables
    assert [row[2] for row in table.rows[1:]] == ["not run"] * 4
    assert "stages.continuous = true" in table.rows[3][3]
    assert "--step-ms" in table.rows[2][3]
    with_physical = replace(evidence, parity={**evidence.parity, "physical": compare_spikes(TRAINED, RIGHT)})
    assert ladder_section(with_physical).tables[0].rows[4][2].startswith("the same: ")


@pytest.mark.slow
def test_realisations_are_averaged_with_their_deviation(ladder: Report) -> None:
    other = report_of(
        {
            "grid": RIGHT,
            "step_1": at_step(REFERENCE, 1.0, wrong=3),
            "continuous": at_step(REFERENCE, 0.1, wrong=4, silent="hidden2"),
        },
        replay=RIGHT,
    )
    reports = {seed: json.loads(json.dumps(report.numbers)) for seed, report in enumerate((ladder, other))}
    found = summarise(reports)
    assert found["accuracy"]["continuous"]["all"] == pytest.approx((0.75 + 0.5) / 2)
    assert found["refinement"]["continuous"]["accuracy_lost_points"] == pytest.approx(37.5)
    deviation = found["standard_deviation"]["refinement"]
    assert deviation["continuous"]["accuracy_lost_points"] == pytest.approx(np.std([25.0, 50.0], ddof=1))
    assert found["refinement"]["steps"]["step_1"]["accuracy"] == pytest.approx(0.75)
    assert deviation["steps"]["continuous"]["distance"]["hidden2"] == 0.0
    assert found["realisations"]["refinement"]["1"]["continuous"]["accuracy"] == 0.5
    names = [row.name for row in rows(found)]
    assert "refinement.steps.step_1.distance.hidden1" in names
    assert not any(name.endswith("step_ms") for name in names)
    # hidden2 is silent in both. Already a row of its own.
    assert found["refinement"]["continuous"]["largest_rate_change"] == -1.0
    assert not any("largest" in name for name in names)
    alone = summarise({0: report_of({"grid": RIGHT}).numbers, 1: report_of({"grid": RIGHT}).numbers})
    assert alone["refinement"]["continuous"] is None
    assert "refinement.continuous" not in [row.name for row in rows(alone)]


@pytest.mark.parametrize(
    ("changes", "largest", "deviation"),
    [
        # +20 % of one population and -20 % of the other do not cancel: hidden1's mean of 12 % is the largest.
        ([{"hidden1": 0.2, "hidden2": 0.0}, {"hidden1": 0.04, "hidden2": -0.2}], 0.12, np.std([0.2, 0.04], ddof=1)),
        ([{"hidden1": 0.1, "hidden2": -0.3}, {"hidden1": 0.2, "hidden2": -0.1}], -0.2, np.std([-0.3, -0.1], ddof=1)),
        # Where a rate is 0 in one training, its mean change is undefined.
        ([{"hidden1": 0.1, "hidden2": None}, {"hidden1": 0.3, "hidden2": 0.9}], 0.2, np.std([0.1, 0.3], ddof=1)),
        ([{"hidden1": None, "hidden2": None}] * 2, None, None),
        ([{"hidden1": 0.1, "hidden2": -0.3}], -0.3, None),
    ],
)
def test_the_largest_rate_change_of_all_realisations_is_that_of_one_population(
    ladder: Report, changes: list[dict[str, float | None]], largest: float | None, deviation: float | None
) -> None:
    reports = {seed: json.loads(json.dumps(ladder.numbers)) for seed in range(len(changes))}
    own = []
    for report, change in zip(reports.values(), changes, strict=True):
        defined = [value for value in change.values() if value is not None]
        own.append(max(defined, key=abs, default=None))
        report["refinement"]["continuous"] |= {"rate_change": change, "largest_rate_change": own[-1]}
    found = summarise(reports)
    assert found["refinement"]["continuous"]["largest_rate_change"] == pytest.approx(largest)
    spread = found["standard_deviation"]["refinement"]["continuous"]["largest_rate_change"]
    assert spread == pytest.approx(deviation)
    each = [of["continuous"]["largest_rate_change"] for of in found["realisations"]["refinement"].values()]
    assert each == own
