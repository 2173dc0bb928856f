"""What a sweep leaves for a reader: numbers, a table, and a picture that does not rest on colour."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from matplotlib.container import ErrorbarContainer
from matplotlib.lines import Line2D

from spikebridge.bridge.errors import SpecError
from spikebridge.validation.plot_sweep import draw_frontier, frontier_picture, spread
from spikebridge.validation.sweep_report import build_sweep_report, write_sweep
from spikebridge.validation.sweep_result import SweepResult, SweptTrial

SETTINGS = {"network.hidden": [64], "network.dropout": 0.123456789}
TRIALS = (
    SweptTrial(0, SETTINGS, (0.7, 0.8), (3.0, 5.0)),
    SweptTrial(1, SETTINGS, (0.9, 0.8), (3.0, 3.5), file="out/frontier-trial-1.toml"),
    SweptTrial(2, SETTINGS, (0.5,), (6.0,), stopped="after 1 of 2 realisations trial 1 is clearly better"),
    SweptTrial(3, SETTINGS, (0.6, 0.5), (1.0, 1.2), file="out/my sweep/frontier-trial-3.toml"),
    SweptTrial(4, SETTINGS, (), (), stopped="seed 0: the loss became nan"),
)
RESULT = SweepResult(
    "demo", TRIALS, 2, (0, 1), {"network.hidden": "[64], [128]", "network.dropout": "0 to 0.5"}, "DATA"
)


def test_the_numbers_are_those_of_the_trials(tmp_path: Path) -> None:
    html, numbers = write_sweep(build_sweep_report(RESULT), tmp_path)
    found = json.loads(numbers.read_text())
    assert found["frontier"] == [1, 3]
    assert found["seeds"] == [0, 1]
    assert [trial["state"] for trial in found["trials"]] == ["complete", "complete", "stopped", "complete", "stopped"]
    assert found["trials"][1]["accuracy"]["mean"] == pytest.approx(0.85)
    assert found["trials"][1]["accuracy"]["standard_deviation"] == pytest.approx(0.1 / 2**0.5)
    assert found["trials"][2]["rate_hz"] == {"mean": 6.0, "standard_deviation": None, "values": [6.0]}
    assert found["trials"][4]["accuracy"] == {"mean": None, "standard_deviation": None, "values": []}
    assert found["trials"][0]["settings"] == SETTINGS
    page = html.read_text()
    assert "spikebridge run out/frontier-trial-1.toml --data DATA --out runs/trial-1" in page
    assert "spikebridge run &#39;out/my sweep/frontier-trial-3.toml&#39;" in page
    assert "85.0 ± 7.1" in page
    assert "<td>0.1235</td>" in page
    assert "silent ones that guess" in page
    assert "the loss became nan" in page
    assert "2 trials were stopped early" in page
    assert "The test set was not read" in page
    assert not re.findall(r"(?:src|href)=\"(?!data:|#)", page), "the page needs nothing else"


def points(line: Line2D) -> list[float]:
    """x and y of each point in turn."""
    return [float(value) for value in np.asarray(line.get_xydata()).ravel()]


def test_the_picture_shows_every_trial_that_reached_something_with_a_marker_of_its_kind() -> None:
    (axes,) = draw_frontier(RESULT).axes
    drawn = {str(line.get_label()): line for line in axes.lines}
    assert drawn["beaten by another trial"].get_marker() == "o"
    assert points(drawn["beaten by another trial"]) == pytest.approx([4.0, 75.0])
    assert drawn["stopped early"].get_marker() == "x"
    assert points(drawn["stopped early"]) == pytest.approx([6.0, 50.0])
    (bars,) = axes.containers
    assert isinstance(bars, ErrorbarContainer)
    assert bars.get_label() == "frontier"
    frontier = bars.lines[0]
    assert frontier is not None
    assert frontier.get_marker() == "s"
    assert points(frontier) == pytest.approx([1.1, 55.0, 3.25, 85.0])
    assert sorted(text.get_text() for text in axes.texts) == ["1", "3"]
    assert axes.get_xscale() == "linear"
    assert "trial 1, 85.0% at 3.25 Hz" in frontier_picture(RESULT).alternative


def test_rates_that_differ_much_are_on_a_logarithmic_axis_unless_one_is_zero() -> None:
    def scale(*rates: float) -> str:
        trials = tuple(SweptTrial(n, {}, (0.5, 0.5), (rate, rate)) for n, rate in enumerate(rates))
        return str(draw_frontier(SweepResult("a", trials, 2, (0, 1), {})).axes[0].get_xscale())

    assert scale(0.1, 3.0) == "log"
    assert scale(1.0, 3.0) == "linear"
    assert scale(0.0, 3.0) == "linear"


def test_a_sweep_of_which_nothing_ended_can_be_shown(tmp_path: Path) -> None:
    html, numbers = write_sweep(build_sweep_report(SweepResult("a", TRIALS[4:], 2, (0, 1), {})), tmp_path)
    assert "0 of 1 configuration on the frontier" in html.read_text()
    assert json.loads(numbers.read_text())["frontier"] == []


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(SpecError, match="trial 3 has 2 accuracies and 1 rates"):
        SweptTrial(3, {}, (0.5, 0.6), (1.0,))
    with pytest.raises(SpecError, match="trial 3 was not trained to its end"):
        SweptTrial(3, {}, (0.5,), (1.0,), stopped="why", file="a.toml")


def test_spread_is_written_where_there_is_one() -> None:
    assert spread((0.5, 0.6), 100.0, 1) == "55.0 ± 7.1"
    assert spread((0.5,), 100.0, 1) == "50.0"
    assert spread((), 100.0, 1) == "none"
