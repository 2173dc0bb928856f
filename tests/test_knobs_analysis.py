"""Where accuracy falls, and what is said of draws, intervals and what is undefined."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from knob_data import KNOB, NETWORK, RECORDING, analysis, measured

from spikebridge.bridge.errors import DataError
from spikebridge.bridge.knobs import Condition
from spikebridge.validation.accuracy import wilson_interval
from spikebridge.validation.knob_analysis import Drop
from spikebridge.validation.knob_measures import Measured, Summary
from spikebridge.validation.knob_numbers import load_knobs
from spikebridge.validation.knob_report import (
    build_knob_report,
    knob_findings,
    knob_sentence,
    knobs_sections,
    write_knob_report,
)
from spikebridge.validation.knob_tables import accuracy_table, statistics_tables
from spikebridge.validation.stats_cost import synaptic_operations
from spikebridge.validation.stats_decision import decision_latencies_ms


@pytest.fixture(scope="module")
def plain() -> Measured:
    return measured()


def test_parts_in_any_order_give_the_statistics_of_the_whole(plain: Measured) -> None:
    assert plain.decisions == tuple(RECORDING.decisions)
    right = int((RECORDING.decisions == RECORDING.trials.labels).sum())
    assert plain.correct["all"] == (right, 12)
    assert plain.correct["seen"][1] + plain.correct["unseen"][1] == 12
    assert plain.network["decision_latency_ms"].value == decision_latencies_ms(RECORDING, NETWORK).mean
    assert plain.network["synaptic_operations"].value == synaptic_operations(RECORDING, NETWORK).mean
    rate = RECORDING.spikes["hidden1"].n_spikes / 8 / (12 * RECORDING.duration_s)
    assert plain.summary("hidden1", "rate_hz").value == pytest.approx(rate)
    cv = plain.summary("hidden1", "isi_cv")
    assert cv.n_defined + sum(cv.undefined.values()) == cv.n_total == 8 * 12


def test_the_amount_of_a_drop_is_interpolated_between_means_over_draws(plain: Measured) -> None:
    knob = KNOB["weight_jitter"]
    # 80 undisturbed; losses of 2 and 12 points in the mean: 5 of them at 0.2 + 0.2 * 3 / 10.
    found = analysis(plain, [knob], {knob.key: {0.2: (77, 79), 0.4: (72, 64)}})
    (drop,) = found.drops(found.knobs[0])
    assert (drop.rising, drop.last) == (True, 0.4)
    assert drop.amount == pytest.approx(0.26)
    assert knob_sentence(found, found.knobs[0]) == (
        "Weights that are not exact (relative jitter of weights, SD): 5 points lost at 26%."
    )
    # From the network itself, of which there is no simulation of the knob.
    (drop,) = replace(found, drop_points=1.0).drops(found.knobs[0])
    assert drop.amount == pytest.approx(0.1)
    (drop,) = replace(found, drop_points=12.5).drops(found.knobs[0])
    assert drop == Drop(True, None, 0.4)
    said = knob_sentence(replace(found, drop_points=12.5), found.knobs[0])
    assert "12.5 points are not lost within the range (to 40%, where 12.0 are lost)" in said


def test_a_loss_of_exactly_so_many_points_counts(plain: Measured) -> None:
    knob = KNOB["dropped_spikes"]
    # 100 * (0.45 - 0.40) is a little less than 5.
    found = analysis(plain, [knob], {knob.key: {0.1: (40, 40)}}, before=45)
    assert found.drops(found.knobs[0])[0].amount == pytest.approx(0.1)


def test_factors_are_followed_both_ways(plain: Measured) -> None:
    knob = KNOB["time_constants"]
    found = analysis(plain, [knob], {knob.key: {0.5: (60,), 0.8: (79,), 2.0: (81,)}}, neutral=1.0)
    below, above = found.drops(found.knobs[0])
    assert (below.rising, below.last) == (False, 0.5)
    assert below.amount == pytest.approx(0.8 - 0.3 * 4 / 19)
    assert (above.rising, above.amount, above.last) == (True, None, 2.0)
    assert [point.undisturbed for point in found.points(found.knobs[0])] == [False, False, True, False]
    assert "below 1: 5 points lost at 0.74 times; above 1: 5 points are not lost" in knob_sentence(
        found, found.knobs[0]
    )
    assert "where 1.0 are gained" in knob_sentence(found, found.knobs[0])


def test_draws_do_not_narrow_the_interval_over_samples(plain: Measured) -> None:
    knob = KNOB["weight_jitter"]
    found = analysis(plain, [knob], {knob.key: {0.2: (70, 60)}})
    point = found.points(found.knobs[0])[1]
    assert point.accuracy.mean == pytest.approx(0.65)
    assert point.accuracy.deviation == pytest.approx(0.0707, abs=1e-4)
    assert point.interval is not None
    assert (point.interval.low, point.interval.high) == wilson_interval(65, 100)
    assert point.changed.values == pytest.approx((0.1, 0.2))


def test_a_mean_between_two_numbers_of_hits_is_not_rounded(plain: Measured) -> None:
    knob = KNOB["weight_jitter"]
    found = analysis(plain, [knob], {knob.key: {0.2: (70, 71)}})
    point = found.points(found.knobs[0])[1]
    assert point.interval is not None
    assert point.interval.value == point.accuracy.mean == pytest.approx(0.705)
    assert wilson_interval(70, 100)[0] < point.interval.low < wilson_interval(71, 100)[0]
    (row,) = accuracy_table(found, found.knobs[0]).rows[1:]
    assert row[1].startswith("70.5% (")
    assert row[3].startswith("9.5 (")


def test_what_is_lost_has_an_interval_of_paired_samples(plain: Measured) -> None:
    knob = KNOB["dropped_synapses"]
    found = analysis(plain, [knob], {knob.key: {0.1: (78, 78), 0.2: (40, 40)}})
    little, much = (found.loss(point) for point in found.points(found.knobs[0])[1:])
    assert little is not None
    assert much is not None
    # Agresti & Min 2005: 2.5 against 0.5 of 102 pairs.
    half = 1.959964 * math.sqrt(3.0 - 2.0**2 / 102) / 102
    assert (little.value, little.low) == pytest.approx((2.0, 100 * (2 / 102 - half)))
    assert little.low < 0 < little.high < much.low
    assert little.high == pytest.approx(100 * (2 / 102 + half))
    nothing = replace(found, labels=(), undisturbed=replace(found.undisturbed, correct={}, decisions=()))
    silent = replace(found.undisturbed, correct={}, decisions=())
    nothing = replace(nothing, results=dict.fromkeys(found.results, silent))
    point = nothing.points(nothing.knobs[0])[1]
    assert (nothing.loss(point), point.interval, point.changed.mean) == (None, None, None)
    assert nothing.drops(nothing.knobs[0]) == ()
    assert knob_findings(nothing) == ("Accuracy is undefined.",)


def test_undefined_in_a_draw_is_said_and_not_averaged(plain: Measured) -> None:
    knob = KNOB["weight_jitter"]
    found = analysis(plain, [knob], {knob.key: {0.2: (70, 60)}})
    key = Condition(knob.key, 0.2, 1, 0).key
    nothing = {**plain.populations["hidden1"], "isi_lv": Summary(None, 0, 96, {"fewer than 3 spikes": 96})}
    silent = replace(found.results[key], populations={**plain.populations, "hidden1": nothing})
    found = replace(found, results={**found.results, key: silent})
    point = found.points(found.knobs[0])[1]
    spread = point.statistic("hidden1", "isi_lv")
    assert spread.values == (plain.summary("hidden1", "isi_lv").value,)
    values, reasons = statistics_tables(found, found.knobs[0])
    (row,) = (row for row in values.rows if row[0].startswith("hidden1: ISI local variation (LV)"))
    assert "undefined in 1 of 2 draws" in row[2]
    before = plain.summary("hidden1", "isi_lv").undefined["fewer than 3 spikes"]
    assert ("hidden1: ISI local variation (LV)", "fewer than 3 spikes", f"{before}", f"{(96 + before) / 2:.4g}") in (
        reasons.rows
    )
    text = json.dumps(build_knob_report(found).numbers, allow_nan=False)
    assert json.loads(text)["knobs"][0]["points"][1]["statistics"]["hidden1"]["isi_lv"]["values"] == list(spread.values)


def test_the_report_is_complete_and_read_back(plain: Measured, tmp_path: Path) -> None:
    knobs = [KNOB["weight_jitter"], KNOB["refractory_ms"], KNOB["reversed_input"]]
    hits: dict[str, dict[float, tuple[int, ...]]] = {
        "weight_jitter": {0.2: (70, 60)},
        "refractory_ms": {0.0: (80,), 20.0: (50,)},
        "reversed_input": {1.0: (30,)},
    }
    found = analysis(plain, knobs, hits)
    found = replace(found, neutral={**found.neutral, "refractory_ms": 10.0})
    report, paths = write_knob_report(found, tmp_path)
    assert {path.name for path in paths} == {"knobs.html", "knobs.json", *(f"knob_{knob.key}.svg" for knob in knobs)}
    for path in paths[2:]:
        assert ElementTree.parse(path).getroot().tag.endswith("svg")
    assert report.verdict.headline == (
        "5 points of accuracy are lost at: weight jitter 6.7%, refractory periods 12 ms."
    )
    assert knob_findings(found)[1:] == (
        "Less is lost by refractory periods down to 0 ms.",
        "Inputs backwards in time: accuracy 30.0% against 80.0%, 50.0 points less.",
    )
    within = knob_findings(replace(found, drop_points=60.0))
    assert within[0] == (
        "Fewer than 60 points of accuracy are lost by weight jitter up to 20%, refractory periods from 0 to 20 ms."
    )
    assert report.verdict.sentences[2] == "Inputs backwards in time: accuracy 30.0% against 80.0%, 50.0 points less."
    assert [len(knob["drops"]) for knob in report.numbers["knobs"]] == [1, 2, 0]
    page = paths[0].read_text()
    assert page.count("<img ") == 3
    assert ">nan" not in page
    assert load_knobs(paths[1]) == found
    assert knobs_sections(load_knobs(paths[1]))[0].key == "knobs"
    again, _ = write_knob_report(load_knobs(paths[1]), tmp_path / "again")
    assert (tmp_path / "again" / "knobs.json").read_bytes() == paths[1].read_bytes()
    assert (tmp_path / "again" / "knobs.html").read_bytes() == paths[0].read_bytes()
    assert again.numbers == report.numbers


def test_a_file_that_is_none_of_ours_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "knobs.json"
    for text, message in (("{", "is no JSON"), ('{"format": "spikebridge/patterns"}', "lacks"), ("[]", "lacks")):
        path.write_text(text)
        with pytest.raises(DataError, match=message):
            load_knobs(path)
    path.write_text('{"format": "spikebridge/patterns", "format_version": 1}')
    with pytest.raises(DataError, match="is no spikebridge/knobs of version 1"):
        load_knobs(path)
    with pytest.raises(DataError, match="no such file"):
        load_knobs(tmp_path / "none.json")
