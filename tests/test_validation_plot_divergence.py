"""The picture and the numbers of a first difference: what is drawn is what is there, and files are whole."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from executed import delayed, execute, raised_threshold, timed_trials, with_population, with_projection
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from networks import edges, every_kind_network, network, neurons, random_trials

from spikebridge.bridge.errors import ConfigError
from spikebridge.bridge.spec import NetworkSpec
from spikebridge.validation import divergence_numbers
from spikebridge.validation.closeup import Closeup, Side, look_closely, origins
from spikebridge.validation.diverge import Divergence, find_divergence
from spikebridge.validation.picture import REFERENCE_COLOUR, SIMULATION_COLOUR, render
from spikebridge.validation.plot_divergence import MAX_NAMED_ROWS, draw_divergence
from spikebridge.validation.write_divergence import write_divergence

PNG = b"\x89PNG"


def seen(
    spec: NetworkSpec, faulty: NetworkSpec, *, population: str | None = None, hide: bool = False, claim: bool = False
) -> tuple[Divergence, Closeup]:
    """A closeup of B = `faulty`; `claim` makes it pretend to be `spec`, `hide` keeps its network back."""
    trials = random_trials(spec, 4)
    ours = execute(spec, trials)
    theirs = execute(faulty, trials, "brian2-numpy", claims=spec if claim else None)
    a = Side("A", "a.h5", ours, spec, "network.h5")
    b = Side("B", "b.h5", theirs, None if hide else spec if claim else faulty, None if hide else "other.h5")
    divergence = find_divergence(ours, theirs)
    place = divergence.choose(population=population)
    assert place is not None
    return divergence, look_closely(place, a, b)


SPEC = every_kind_network()
FAULTY = with_population(SPEC, "hidden4", **raised_threshold(SPEC.population("hidden4"), 2, 1.3))
LATER = with_projection(SPEC, "input0->hidden1", lambda p: delayed(p, 0, 2))


def legend(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def panels(figure: Figure) -> dict[str, Axes]:
    return {axes.get_ylabel().split("\n")[0]: axes for axes in figure.axes}


def lines(axes: Axes, colour: str) -> list[np.ndarray]:
    """The y values of all lines of a colour."""
    return [np.asarray(line.get_ydata()) for line in axes.get_lines() if to_hex(line.get_color()) == colour.lower()]


def test_both_membranes_are_drawn_with_threshold_and_numbers() -> None:
    _, closeup = seen(SPEC, LATER, population="hidden1")
    figure = draw_divergence(closeup)
    found = panels(figure)
    assert list(found) == ["arrivals", "spikes", "u", "w"]
    shown = slice(closeup.first_step, closeup.last_step + 1)
    for trace, colour, label in zip(closeup.traces, (REFERENCE_COLOUR, SIMULATION_COLOUR), "AB", strict=True):
        assert trace is not None
        assert trace.adaptation is not None
        np.testing.assert_array_equal(lines(found["u"], colour)[0], trace.potential[shown])
        np.testing.assert_array_equal(lines(found["w"], colour)[0], trace.adaptation[shown])
        (entry,) = [text for text in legend(figure) if text.startswith(f"{label}: ")]
        assert f"u = {trace.potential[closeup.place.step]:.9g}" in entry
        assert f"u - θ = {trace.distance(closeup.place.step):+.3g}" in entry
    heights = [
        float(np.asarray(line.get_ydata())[0]) for line in found["u"].get_lines() if line.get_linestyle() == "-."
    ]
    assert closeup.traces[0] is not None
    assert heights == [closeup.traces[0].threshold]
    assert {"arrives only in A", "arrives only in B"} <= set(legend(figure))


def test_meaning_never_rests_on_colour_alone() -> None:
    _, closeup = seen(SPEC, LATER, population="hidden1")
    found = panels(draw_divergence(closeup))
    ours, theirs = (
        next(line for line in found["u"].get_lines() if to_hex(line.get_color()) == colour.lower())
        for colour in (REFERENCE_COLOUR, SIMULATION_COLOUR)
    )
    assert ours.get_marker() != theirs.get_marker()
    assert ours.get_linestyle() != theirs.get_linestyle()


def test_arrivals_are_where_they_arrive_and_point_up_or_down() -> None:
    """Excitation from channel 0 in step 5, inhibition from channel 1 in step 3, in B one step later."""
    spec = network(
        [neurons()], [edges("input", "hidden", [(0, 0, 2.0, 3), (1, 0, -0.5, 1)])], inputs={"input": 2}, n_steps=30
    )
    other = with_projection(spec, "input->hidden", lambda p: delayed(p, 0, 1))
    trials = timed_trials([(0, 2, 0), (0, 2, 1)], spec)
    a = Side("A", "a.h5", execute(spec, trials), spec, "network.h5")
    b = Side("B", "b.h5", execute(other, trials), other, "other.h5")
    place = find_divergence(a.recording, b.recording).first
    assert place is not None
    axes = panels(draw_divergence(look_closely(place, a, b)))["arrivals"]
    drawn = [np.asarray(points.get_offsets()).tolist() for points in axes.collections]
    up, down, only_a, only_b = drawn
    assert sorted(up) == [[50.0, 0.0], [60.0, 0.0]]
    assert down == [[30.0, 1.0]]
    assert (only_a, only_b) == ([[50.0, 0.0]], [[60.0, 0.0]])
    assert [label.get_text() for label in axes.get_yticklabels()] == ["input 0", "input 1"]
    assert not {"A refractory", "B refractory"} & set(legend(draw_divergence(look_closely(place, a, b))))


def test_many_sources_are_labelled_by_population() -> None:
    n = MAX_NAMED_ROWS + 1
    spec = network(
        [neurons()],
        [edges("input", "hidden", [(k, 0, 0.01, 0) for k in range(n)] + [(n, 0, 2.0, 0)])],
        inputs={"input": n + 1},
    )
    faulty = with_population(spec, "hidden", **raised_threshold(spec.population("hidden"), 0, 9.0))
    trials = timed_trials([(0, 2, k) for k in range(n + 1)], spec)
    a = Side("A", "a.h5", execute(spec, trials), spec, "network.h5")
    b = Side("B", "b.h5", execute(faulty, trials), faulty, "other.h5")
    place = find_divergence(a.recording, b.recording).first
    assert place is not None
    axes = panels(draw_divergence(look_closely(place, a, b)))["arrivals"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["input"]


def test_what_replay_cannot_explain_is_crossed_out() -> None:
    _, closeup = seen(SPEC, FAULTY, claim=True)
    figure = draw_divergence(closeup)
    assert "replay does not do what was recorded" in legend(figure)
    crosses = [line for line in panels(figure)["spikes"].get_lines() if line.get_marker() == "x"]
    places = [(float(x), float(y)) for line in crosses for x, y in np.asarray(line.get_xydata())]
    assert (closeup.place.time_ms, 1.0) in places  # the row of B
    assert "A refractory" in legend(figure)


def test_a_missing_network_leaves_one_membrane_and_says_so() -> None:
    _, closeup = seen(SPEC, FAULTY, hide=True)
    figure = draw_divergence(closeup)
    found = panels(figure)
    assert lines(found["u"], SIMULATION_COLOUR) == []
    assert any("no trace: its network was not given" in text for text in legend(figure))
    assert "arrivals in A" in found


def test_a_readout_has_neither_spikes_nor_threshold() -> None:
    _, closeup = seen(SPEC, FAULTY, population="readout")
    figure = draw_divergence(closeup)
    assert list(panels(figure)) == ["arrivals", "u"]
    assert "θ, threshold" not in legend(figure)


def test_equal_pictures_are_equal_files() -> None:
    _, closeup = seen(SPEC, FAULTY)
    assert render(draw_divergence(closeup)) == render(draw_divergence(closeup))


@pytest.mark.parametrize(("name", "start"), [("where.png", PNG), ("where.svg", b"<?xml"), ("where.PNG", PNG)])
def test_picture_and_numbers_are_written(tmp_path: Path, name: str, start: bytes) -> None:
    divergence, closeup = seen(SPEC, FAULTY)
    found = origins(divergence, *closeup.sides)
    picture, numbers = write_divergence(divergence, found, closeup, tmp_path / "new" / name)
    assert picture.read_bytes().startswith(start)
    loaded = json.loads(numbers.read_text())
    assert numbers.name == "where.json"
    assert loaded["shown"]["population"] == "hidden4"
    assert len(list(picture.parent.iterdir())) == 2


@pytest.mark.parametrize("name", ["where.pdf", "where", "folder.png"])
def test_other_names_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder.png").mkdir()
    divergence, closeup = seen(SPEC, FAULTY)
    with pytest.raises(ConfigError, match=r"ending in \.png or \.svg"):
        write_divergence(divergence, (), closeup, tmp_path / name)


def numbers_of(divergence: Divergence, closeup: Closeup) -> dict[str, Any]:
    numbers = divergence_numbers.divergence_numbers(divergence, origins(divergence, *closeup.sides), closeup)
    loaded: dict[str, Any] = json.loads(json.dumps(numbers, allow_nan=False))
    return loaded


def test_the_numbers_are_those_of_the_closeup() -> None:
    divergence, closeup = seen(SPEC, FAULTY)
    numbers = numbers_of(divergence, closeup)
    place, trace = closeup.place, closeup.traces[0]
    assert trace is not None
    assert numbers["first"] == numbers["shown"] == numbers["populations"]["hidden4"]["first_itself"]
    assert numbers["first"]["neuron"] == 2
    assert {numbers["first"]["a"], numbers["first"]["b"]} == {0, 1}
    stored = numbers["traces"]["A"]
    assert stored["u"][place.step - stored["first_step"]] == trace.potential[place.step]
    assert stored["distance"] == stored["u"][place.step - stored["first_step"]] - stored["threshold"]
    assert numbers["network_differences"] == list(closeup.network_differences or ())
    assert numbers["same_network"] is False
    hidden0 = numbers["populations"]["hidden0"]
    assert (hidden0["samples_itself"], hidden0["samples_inputs"]) == (0, hidden0["samples_affected"])


def test_every_key_is_documented() -> None:
    documented = divergence_numbers.__doc__ or ""
    divergence, closeup = seen(SPEC, FAULTY, population="hidden5")
    numbers = numbers_of(divergence, closeup)
    assert numbers["inputs"]
    keys = set(numbers)
    for nested in (
        numbers["recordings"]["A"],
        numbers["populations"]["hidden5"],
        numbers["traces"]["A"],
        numbers["shown"],
    ):
        keys |= set(nested)
    keys |= set(numbers["inputs"][0])
    assert [key for key in sorted(keys) if not re.search(rf"\b{key}\b", documented)] == []


def test_without_its_network_the_other_trace_is_stored() -> None:
    divergence, closeup = seen(SPEC, FAULTY, hide=True)
    numbers = numbers_of(divergence, closeup)
    assert numbers["traces"]["B"] is None
    assert numbers["network_differences"] is None
    assert numbers["trace_in_other_network"]["first_unexplained_step"] == closeup.place.step
    assert numbers["recordings"]["B"]["network_file"] is None


def test_the_window_stays_within_the_sample() -> None:
    divergence, closeup = seen(SPEC, FAULTY)
    assert divergence.first is not None
    a, b = closeup.sides
    for step in (0, a.recording.n_steps - 1):
        moved = look_closely(replace(divergence.first, step=step, time_ms=10.0 * step), a, b)
        assert 0 <= moved.first_step <= step <= moved.last_step < a.recording.n_steps
        assert len(draw_divergence(moved).axes) >= 3
