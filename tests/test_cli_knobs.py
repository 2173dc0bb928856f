"""`spikebridge knobs` from end to end."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import save_example, small_network
from networks import Kind, random_network

from spikebridge.bridge.errors import ConfigError
from spikebridge.bridge.knobs import conditions, parse_knobs
from spikebridge.bridge.network_file import load_network, save_network
from spikebridge.bridge.perturb import remove_synapses
from spikebridge.bridge.recording_file import load_recording, save_recording
from spikebridge.bridge.spec import Reset, SynapseKind
from spikebridge.cli import knobs_run
from spikebridge.cli.knobs_run import KnobsRequest, write_knobs
from spikebridge.cli.main import main
from spikebridge.sim.options import SimulationOptions
from spikebridge.sim.run import simulate
from spikebridge.validation.balanced import balanced_samples
from spikebridge.validation.reversed_trials import reversed_trials

SAMPLES = 6
STEP_MS = 10.0
KNOBS = ["dropped_synapses=0.3", "time_constants=2", "reversed_input", "dropped_spikes=0.2"]
CHOSEN = [argument for knob in KNOBS for argument in ("--knob", knob)]
COMMAND = [
    "--backend",
    "numpy",
    "--workers",
    "1",
    "--samples",
    str(SAMPLES),
    "--step-ms",
    "10",
    "--draws",
    "2",
    "--quiet",
]


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A network and its inputs."""
    return save_example(tmp_path_factory.mktemp("example"), small_network(), samples=9)


@pytest.fixture(scope="module")
def written(example: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a command that was not interrupted."""
    network, inputs = example
    out = tmp_path_factory.mktemp("knobs")
    assert main(["knobs", str(network), "--inputs", str(inputs), "--out", str(out), *COMMAND, *CHOSEN]) == 0
    return out


def test_every_condition_is_the_simulation_of_its_network(example: tuple[Path, Path], written: Path) -> None:
    numbers = json.loads((written / "knobs.json").read_text())
    results = numbers["results"]
    assert sorted(results) == [
        *(f"dropped_spikes/0.2/{draw}" for draw in (0, 1)),
        *(f"dropped_synapses/0.3/{draw}" for draw in (0, 1)),
        "reversed_input/1.0/0",
        "time_constants/2.0/0",
        "undisturbed",
    ]
    spec = load_network(example[0])
    trials = load_recording(example[1]).trials
    trials = trials.select(balanced_samples(trials.labels, SAMPLES, 0))
    (knob,) = parse_knobs(["dropped_synapses=0.3"])
    condition = conditions(knob, spec, draws=2, seed=0)[1]
    removed = condition.network(spec, STEP_MS)
    assert removed.realised == remove_synapses(spec, 0.3, np.random.default_rng(condition.draw_seed)).realised
    for key, network, played in (
        ("undisturbed", spec, trials),
        ("dropped_synapses/0.3/1", removed.spec, trials),
        ("reversed_input/1.0/0", spec, reversed_trials(trials, spec.duration_ms)),
    ):
        wanted = simulate(network, played, step_ms=STEP_MS, options=SimulationOptions(backend="numpy"))
        assert results[key]["decisions"] == " ".join(map(str, wanted.decisions)), key
        assert results[key]["correct"]["all"] == [int((wanted.decisions == trials.labels).sum()), SAMPLES]
        for name, trains in wanted.spikes.items():
            rate = trains.n_spikes / trains.n_neurons / (SAMPLES * wanted.duration_s)
            assert results[key]["populations"][name]["rate_hz"]["value"] == pytest.approx(rate)
    draws = [results[f"dropped_spikes/0.2/{draw}"]["populations"] for draw in (0, 1)]
    assert draws[0] != draws[1]
    assert draws[0] != results["undisturbed"]["populations"]


def test_the_command_leaves_a_page_and_a_picture_per_knob(written: Path) -> None:
    names = {"knobs.html", "knobs.json", *(f"knob_{knob.split('=')[0]}.svg" for knob in KNOBS)}
    assert {path.name for path in written.iterdir()} == names
    page = (written / "knobs.html").read_text()
    assert page.count("<img ") == len(KNOBS)
    numbers = json.loads((written / "knobs.json").read_text())
    assert [knob["key"] for knob in numbers["knobs"]] == [knob.key for knob in parse_knobs(KNOBS)]
    assert numbers["origin"]["n_samples"] == SAMPLES
    assert numbers["origin"]["n_available"] == 9
    assert numbers["origin"]["executor"] == "brian2-numpy"
    loss = numbers["knobs"][0]["points"][1]["accuracy_lost_points"]
    before, after = (numbers["knobs"][0]["points"][k]["accuracy"]["mean"] for k in (0, 1))
    assert loss["value"] == pytest.approx(100 * (before - after))
    assert loss["low"] < loss["value"] < loss["high"]
    (synapses,) = (knob for knob in numbers["knobs"] if knob["key"] == "dropped_synapses")
    assert synapses["points"][1]["realised"]["synapses_removed"]["mean"] == pytest.approx(0.3, abs=0.02)


def test_interrupted_it_continues_and_writes_the_same(
    example: tuple[Path, Path], written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = KnobsRequest(
        *example,
        tmp_path,
        step_ms=STEP_MS,
        samples=SAMPLES,
        knobs=parse_knobs(KNOBS),
        draws=2,
        options=SimulationOptions(backend="numpy", workers=1),
    )
    done: list[str] = []
    simulated = knobs_run._simulated

    def counting(*arguments: Any) -> Iterator[Any]:
        for condition, measured in simulated(*arguments):
            if len(done) == 3:
                raise KeyboardInterrupt
            done.append(condition.key)
            yield condition, measured

    monkeypatch.setattr(knobs_run, "_simulated", counting)
    with pytest.raises(KeyboardInterrupt):
        write_knobs(request)
    assert not (tmp_path / "knobs.json").exists()
    first = list(done)
    monkeypatch.setattr(knobs_run, "_simulated", simulated)
    again: list[str] = []

    def listing(*arguments: Any) -> Iterator[Any]:
        for condition, measured in simulated(*arguments):
            again.append(condition.key)
            yield condition, measured

    monkeypatch.setattr(knobs_run, "_simulated", listing)
    write_knobs(request)
    assert len(first) == 3
    assert not set(first) & set(again)
    assert len(first) + len(again) == 7
    for path in written.iterdir():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes(), path.name
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in written.iterdir()}


def test_a_recording_without_samples_is_refused(example: tuple[Path, Path], tmp_path: Path) -> None:
    recording = load_recording(example[1])
    save_recording(recording.select(np.arange(0)), tmp_path / "none.h5")
    with pytest.raises(ConfigError, match=r"none\.h5 holds no samples"):
        write_knobs(KnobsRequest(example[0], tmp_path / "none.h5", tmp_path / "out"))


def test_what_does_not_fit_is_refused_and_says_how_to_mend_it(
    example: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network, inputs = map(str, example)
    other = tmp_path / "other.h5"
    kind = Kind("lif", SynapseKind.PULSE, Reset.SUBTRACT, 2, 1, False)
    save_network(random_network((kind,), seed=0, classes=5), other)
    out = tmp_path / "out"
    start = ["knobs", network, "--inputs", inputs, "--out", str(out)]
    for command, code, message in (
        (
            ["knobs", str(other), "--inputs", inputs, "--out", str(out)],
            4,
            f"{other} with the inputs of {inputs}: the tri",
        ),
        ([*start, "--samples", "10"], 2, f"10 samples: {inputs} holds 9; give 1 to 9, or all"),
        ([*start, "--knob", "weights"], 2, "no knob 'weights'; there are weight_jitter"),
        ([*start, "--step-ms", "10", "--knob", "time_constants=1"], 2, "1 is what the network has"),
        ([*start, "--cluster", "local", "--workers", "2"], 2, "leave one of them out"),
        ([*start, "--drop-points", "0"], 2, "drop_points is 0; give percentage points above 0"),
        ([*start, "--step-ms", "7"], 4, "no multiple of the step of 7"),
    ):
        assert main(command) == code, command
        assert message in capsys.readouterr().err
    assert not out.exists()
