"""The report: its numbers under their keys, and one HTML file that needs nothing else."""

import base64
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
import pytest
from recordings import make_network, make_recording, random_recording, with_spikes

from spikebridge.bridge.errors import SpecError
from spikebridge.bridge.network_file import network_sha256
from spikebridge.bridge.recording import Recording
from spikebridge.bridge.spec import NetworkSpec
from spikebridge.bridge.spikes import SpikeTrains
from spikebridge.validation.labelled import Labelled, simulation_label
from spikebridge.validation.page import render_html
from spikebridge.validation.parity import compare_spikes
from spikebridge.validation.picture import render
from spikebridge.validation.plot_delays import delay_edges_ms
from spikebridge.validation.plot_raster import draw_raster, typical_sample
from spikebridge.validation.report import build_report, write_report

VOID = {"meta", "img", "br", "link", "hr", "input"}


class Page(HTMLParser):
    """What a page holds; a closing tag that does not fit raises."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        assert self.open == [], "every tag is closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


type Written = tuple[Page, str, dict[str, Any]]
"""A report: the page, its text as HTML, and its numbers."""


@pytest.fixture(scope="module", autouse=True)
def _constructed_recordings_are_of_the_network() -> Iterator[None]:
    """Constructed recordings carry a made-up checksum; a test below compares real ones."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("spikebridge.validation.evidence.network_sha256", lambda _: random_recording().network_sha256)
        yield


@pytest.fixture(scope="module")
def reference() -> Recording:
    return random_recording(samples=20)


@pytest.fixture(scope="module")
def network(reference: Recording) -> NetworkSpec:
    return make_network(reference)


@pytest.fixture(scope="module")
def faulty(reference: Recording) -> Recording:
    """One spike of hidden1 a step late, in sample 6, and a readout that follows."""
    trains = reference.spikes["hidden1"]
    counts = np.array(trains.counts(np.int32))
    counts[6, 20:22, 3] = [0, 1]
    before = np.array(counts)
    before[6, 20:22, 3] = [1, 0]
    assert reference.readout is not None
    fault = with_spikes(reference, "hidden1", SpikeTrains.from_counts(counts, 10.0), executor="brian2-runtime")
    return replace(fault, readout=reference.readout + 0.01)


@pytest.fixture(scope="module")
def original(reference: Recording) -> Recording:
    """The reference with the spike where `faulty` moved it from."""
    counts = np.array(reference.spikes["hidden1"].counts(np.int32))
    counts[6, 20:22, 3] = [1, 0]
    return with_spikes(reference, "hidden1", SpikeTrains.from_counts(counts, 10.0), executor="pytorch")


@pytest.fixture(scope="module")
def fine(original: Recording) -> Recording:
    """The same spikes on steps of 1 ms, without potentials, with one decision changed."""
    spikes = {
        name: SpikeTrains(t.step * 10, t.neuron, t.offsets, t.n_steps * 10, t.n_neurons, 1.0)
        for name, t in original.spikes.items()
    }
    scores = original.scores.copy()
    scores[0] = -scores[0]
    return make_recording(
        original.trials, spikes, steps=original.n_steps * 10, step_ms=1.0, executor="brian2-cpp", scores=scores
    )


def written(directory: Path, network: NetworkSpec, *args: Any, **kwargs: Any) -> Written:
    """Build, write and read a report."""
    paths = write_report(build_report(network, *args, **kwargs), directory)
    assert sorted(path.name for path in directory.iterdir()) == ["report.html", "report.json"]
    html = paths[0].read_text(encoding="utf-8")

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    numbers: dict[str, Any] = json.loads(paths[1].read_text(encoding="utf-8"), parse_constant=refuse)
    return Page(html), html, numbers


@pytest.fixture(scope="module")
def equal(tmp_path_factory: pytest.TempPathFactory, network: NetworkSpec, original: Recording) -> Written:
    """The report of a simulation and a replay that are the same as the reference."""
    simulation = replace(original, executor="brian2-runtime")
    return written(tmp_path_factory.mktemp("equal"), network, original, {"grid": simulation}, replay=simulation)


def test_a_report_of_equal_recordings(equal: Written, original: Recording) -> None:
    page, _, numbers = equal
    assert numbers["verdict"]["status"] == "same"
    grid = numbers["parity"]["grid"]
    n_spikes = sum(trains.n_spikes for trains in original.spikes.values())
    assert (grid["spikes"], grid["mismatches"], grid["readout_max_difference"]) == (n_spikes, 0, 0.0)
    assert grid["first_mismatch"] is None
    assert grid["ok"] is True
    assert numbers["parity"]["replay"]["first_broken_population"] is None
    assert numbers["parity"]["replay"]["mismatches"] == 0
    assert numbers["accuracy"]["training"] == numbers["accuracy"]["grid"]
    assert set(numbers["accuracy"]["grid"]) == {"all", "seen", "unseen", "held_out"}
    assert numbers["accuracy_interval"]["grid"]["all"]["samples"] == 20
    assert "Every spike is the same." in page.text
    assert f"All {n_spikes:,} spikes of 14 neurons in 20 samples are the same" in page.text


def test_rates_and_statistics_are_per_executor_and_population(equal: Written, original: Recording) -> None:
    _, _, numbers = equal
    rates = numbers["rate_hz"]["training"]
    seconds = 20 * 0.5
    for name, size in (("hidden1", 8), ("hidden2", 6)):
        expected = original.spikes[name].n_spikes / size / seconds
        assert rates["populations"][name] == pytest.approx(expected)
        assert numbers["statistics"]["grid"][name]["rate_hz"]["value"] == pytest.approx(expected)
    n_spikes = sum(trains.n_spikes for trains in original.spikes.values())
    assert rates["mean"] == pytest.approx(n_spikes / 14 / seconds)
    cv = numbers["statistics"]["training"]["hidden1"]["isi_cv"]
    assert 0 < cv["n_defined"] < cv["n_total"] == 160
    keys = {
        *numbers["statistics"]["training"]["hidden2"],
        *numbers["network_statistics"]["training"],
        *("rate_lognormal", "power_spectrum"),
    }
    assert keys == set(numbers["definitions"])
    assert set(numbers["rate_quartiles_hz"]["grid"]["hidden1"]) >= {"minimum", "median", "maximum"}


@pytest.mark.usefixtures("blank_pictures")
def test_a_planted_fault_is_reported_with_its_place(
    tmp_path: Path, network: NetworkSpec, original: Recording, faulty: Recording
) -> None:
    other = replace(faulty, network_sha256="0" * 64)
    page, _, numbers = written(tmp_path, network, original, {"grid": other}, replay=other, same_network=False)
    assert numbers["verdict"]["status"] == "different"
    grid = numbers["parity"]["grid"]
    assert grid["mismatches"] == 2
    first = grid["first_mismatch"]
    assert (first["population"], first["neuron"], first["sample"], first["step"]) == ("hidden1", 3, 6, 20)
    assert first["time_ms"] == 200.0
    assert first["executor"] == "pytorch"
    assert numbers["parity"]["replay"]["first_broken_population"] == "hidden1"
    assert numbers["sample"] == 6
    assert grid["same_network"] is False
    assert "population hidden1, neuron 3, sample 6, 200 ms (step 20): pytorch fired, the other did not" in page.text
    assert "checksums differ" in page.text


@pytest.mark.usefixtures("blank_pictures")
def test_a_readout_that_differs_alone_is_said_so(tmp_path: Path, network: NetworkSpec, original: Recording) -> None:
    assert original.readout is not None
    other = replace(original, executor="brian2", readout=original.readout + 1e-6)
    page, _, numbers = written(tmp_path, network, original, {"grid": other})
    assert numbers["verdict"]["status"] == "different"
    assert "Every spike is the same, but the readout is not." in page.text


@pytest.mark.usefixtures("blank_pictures")
def test_a_finer_step_has_accuracy_and_rates_but_no_parity(
    tmp_path: Path, network: NetworkSpec, original: Recording, fine: Recording
) -> None:
    assert simulation_label(original, fine) == "step_1"
    assert simulation_label(original, original) == "grid"
    page, _, numbers = written(tmp_path, network, original, {"step_1": fine})
    assert numbers["parity"] == {"grid": None, "replay": None}
    assert numbers["verdict"]["status"] == "unchecked"
    assert numbers["accuracy_interval"]["step_1"]["all"]["samples"] == 20
    assert numbers["rate_hz"]["step_1"]["mean"] == pytest.approx(numbers["rate_hz"]["training"]["mean"])
    changed = numbers["decisions_changed"]["step_1"]
    assert (changed["hits"], changed["share"]) == (1, 0.05)
    assert "Decided otherwise than in training are 5.0% of the samples in step_1" in page.text


def test_undefined_statistics_are_null_and_said_to_be(
    tmp_path: Path, network: NetworkSpec, original: Recording
) -> None:
    silent = SpikeTrains.from_counts(np.zeros((20, 50, 8), dtype=np.int32), 10.0)
    quiet = with_spikes(original, "hidden1", silent, executor="pytorch")
    page, _, numbers = written(tmp_path, network, quiet, {"grid": replace(quiet, executor="brian2")})
    seen = numbers["statistics"]["grid"]["hidden1"]
    reasons = {"fewer than 3 spikes": 160}
    assert seen["isi_cv"] == {"value": None, "n_defined": 0, "n_total": 160, "undefined": reasons, "quartiles": None}
    assert seen["burst_fraction"]["value"] is None
    assert seen["silent_fraction"]["value"] == 1.0
    assert numbers["rate_hz"]["grid"]["populations"]["hidden1"] == 0.0
    assert "undefined (0)" in page.text


@pytest.mark.usefixtures("blank_pictures")
def test_speakers_may_be_unknown(tmp_path: Path, network: NetworkSpec, original: Recording) -> None:
    trials = replace(original.trials, speakers=None, seen=None)
    recording = replace(original, trials=trials)
    _, _, numbers = written(tmp_path, network, recording, {"grid": replace(recording, executor="brian2")})
    assert numbers["accuracy"]["grid"]["seen"] is None
    assert numbers["accuracy"]["grid"]["unseen"] is None
    assert numbers["accuracy"]["grid"]["all"] is not None


def test_the_page_needs_nothing_else(equal: Written) -> None:
    page, html, _ = equal
    assert not any(tag in {"script", "link", "iframe", "object"} for tag, _ in page.tags)
    for _, attributes in page.tags:
        for name in ("src", "href", "srcset", "data"):
            value = attributes.get(name)
            assert value is None or value.startswith(("data:image/svg+xml;base64,", "#"))
    assert "@import" not in html
    assert "url(" not in html


def test_every_picture_is_an_image_with_words_and_numbers(equal: Written) -> None:
    page, _, _ = equal
    images = [attributes for tag, attributes in page.tags if tag == "img"]
    assert len(images) == 12
    for image in images:
        assert image["alt"]
        source = image["src"] or ""
        root = ElementTree.fromstring(base64.b64decode(source.partition(",")[2]))
        assert root.tag.endswith("svg")
    assert page.text.count("The numbers of this figure, with definitions and sources") == len(images)
    assert sum(tag == "figcaption" for tag, _ in page.tags) == len(images)


def test_links_lead_somewhere(equal: Written) -> None:
    page, _, _ = equal
    anchors = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(anchors) == len(set(anchors))
    links = [attributes["href"] for tag, attributes in page.tags if tag == "a"]
    assert links
    assert {link[1:] for link in links if link} <= set(anchors)


def test_the_export_and_its_origin_are_shown(equal: Written, network: NetworkSpec, original: Recording) -> None:
    page, _, numbers = equal
    assert numbers["decisions"][0]["subject"] == "refractory period"
    assert network.decisions[0].text in page.text
    origin = numbers["provenance"]
    assert origin["trials"]["sha256"] == original.trials.source_sha256
    assert origin["executors"]["grid"]["network_sha256"] == original.network_sha256
    assert origin["executors"]["training"]["options"] == {"version": "1.0", "seed": "1"}
    assert origin["network"] == {"torch": "2.0", "seed": "1"}
    assert re.fullmatch(r"\d+\.\d+.*", origin["report"]["elephant"])
    assert original.network_sha256 in page.text
    assert numbers["delays_ms"]["hidden1->hidden1"]["median"] == 10.0


def test_names_from_files_cannot_inject_markup(tmp_path: Path, network: NetworkSpec, original: Recording) -> None:
    names = ("<script>alert(1)</script>", *original.trials.class_names[1:])
    recording = replace(original, trials=replace(original.trials, class_names=names, source="<b>x</b>"))
    page, html, _ = written(tmp_path, network, recording, {"grid": recording})
    assert "<script" not in html
    assert not any(tag in {"script", "b"} for tag, _ in page.tags)


def test_equal_inputs_give_equal_files_and_leave_matplotlib_alone(
    equal: Written, network: NetworkSpec, original: Recording
) -> None:
    before = dict(mpl.rcParams)
    simulation = replace(original, executor="brian2-runtime")
    again = build_report(network, original, {"grid": simulation}, replay=simulation)
    assert json.loads(json.dumps(again.numbers)) == equal[2]
    assert render_html(again) == equal[1]
    assert dict(mpl.rcParams) == before


@pytest.mark.usefixtures("blank_pictures")
def test_a_failed_write_leaves_the_old_report(
    tmp_path: Path, network: NetworkSpec, original: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = build_report(network, original, {"grid": original})
    write_report(report, tmp_path)
    before = (tmp_path / "report.html").read_bytes()

    def fail(*_: object, **__: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(Path, "write_text", fail)
    with pytest.raises(OSError, match="disk full"):
        write_report(report, tmp_path)
    assert (tmp_path / "report.html").read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 2


def test_a_network_without_hidden_populations_is_reported(tmp_path: Path) -> None:
    recording = random_recording(sizes=())
    page, _, numbers = written(tmp_path, make_network(recording), recording, {"grid": recording})
    assert (numbers["parity"]["grid"]["spikes"], numbers["verdict"]["status"]) == (0, "same")
    assert numbers["rate_hz"]["grid"] == {"mean": None, "populations": {}}
    assert "undefined" in page.text


@pytest.mark.parametrize(
    ("simulations", "message"),
    [({}, "at least one simulation"), ({"training": 0}, "cannot label"), ({"replay": 0}, "cannot label")],
)
def test_impossible_requests_are_refused(
    network: NetworkSpec, original: Recording, simulations: dict[str, int], message: str
) -> None:
    with pytest.raises(SpecError, match=message):
        build_report(network, original, dict.fromkeys(simulations, original))


def test_a_recording_of_the_wrong_network_is_refused(network: NetworkSpec, original: Recording) -> None:
    with pytest.raises(SpecError, match="give the network that was recorded"):
        build_report(make_network(random_recording(sizes=(8, 7))), original, {"grid": original})
    with pytest.raises(SpecError, match="networks differ"):
        build_report(network, original, {"grid": replace(original, network_sha256="0" * 64)})


@pytest.mark.usefixtures("blank_pictures")
def test_a_network_that_was_changed_after_recording_is_refused(
    network: NetworkSpec, original: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spikebridge.validation.evidence.network_sha256", network_sha256)
    recorded = replace(original, network_sha256=network_sha256(network))
    build_report(network, recorded, {"grid": recorded})
    changed = replace(network, duration_ms=network.duration_ms + 10)
    with pytest.raises(SpecError, match="give the network that was recorded"):
        build_report(changed, recorded, {"grid": recorded})


def test_shorter_samples_are_refused(network: NetworkSpec, original: Recording) -> None:
    spikes = {
        name: SpikeTrains.from_counts(np.zeros((20, 300, t.n_neurons), dtype=np.int32), 1.0)
        for name, t in original.spikes.items()
    }
    short = make_recording(original.trials, spikes, steps=300, step_ms=1.0)
    with pytest.raises(SpecError, match="durations differ"):
        build_report(network, original, {"step_1": short})


@pytest.mark.usefixtures("blank_pictures")
def test_a_sample_that_does_not_exist_is_refused(network: NetworkSpec, original: Recording) -> None:
    with pytest.raises(SpecError, match="sample 20 does not exist"):
        build_report(network, original, {"grid": original}, sample=20)
    assert build_report(network, original, {"grid": original}, sample=3).numbers["sample"] == 3


def test_the_typical_sample_has_the_median_number_of_spikes(original: Recording) -> None:
    total = sum(np.diff(trains.offsets) for trains in original.spikes.values())
    assert np.sort(np.asarray(total))[9] == np.asarray(total)[typical_sample(original)]


def test_a_raster_marks_what_only_one_fired(original: Recording, faulty: Recording) -> None:
    assert compare_spikes(original, faulty).mismatches == 2
    figure = draw_raster(Labelled("training", original), Labelled("grid", faulty), 6)
    lines = {str(line.get_label()): line for line in figure.axes[1].get_lines()}
    marked = lines["only one fired"]
    assert np.asarray(marked.get_xdata()).tolist() == [200.0, 210.0]
    assert np.asarray(marked.get_ydata()).tolist() == [3, 3]
    assert render(figure, format="png").startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("delays", "n_bins", "width_ms"),
    [([0.0, 250.0], 26, 10.0), ([0.0], 1, 10.0), ([], 1, 10.0), ([0.0, 1000.0], 51, 20.0), ([0.3], 2, 10.0)],
)
def test_delay_bins_are_centred_on_steps(delays: list[float], n_bins: int, width_ms: float) -> None:
    edges = delay_edges_ms(np.array(delays), 10.0)
    assert edges.size == n_bins + 1
    assert np.diff(edges).tolist() == [width_ms] * n_bins
    assert edges[0] == -5.0
    assert np.histogram(delays, edges)[0].sum() == len(delays)
