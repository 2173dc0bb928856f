"""NIX and NWB: round trips exact to the step, foreign files, and clear errors."""

import resource
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType, SimpleNamespace

import neo
import numpy as np
import pynwb
import pytest
import quantities as pq
from recordings import make_recording, make_trains, make_trials, random_recording, random_trains

from spikebridge.bridge.errors import ConfigError, DataError
from spikebridge.bridge.recording import Recording
from spikebridge.validation.compare_activity import Activity
from spikebridge.validation.neo_block import block_of, spikes_of_block
from spikebridge.validation.nix_file import read_nix, write_nix
from spikebridge.validation.nwb_file import read_nwb, write_nwb
from spikebridge.validation.trial_spikes import TrialSpikes, on_grid

type _Format = tuple[Callable[[Recording, Path], None], Callable[[Path], TrialSpikes], str]

FORMATS: list[_Format] = [(write_nix, read_nix, "x.nix"), (write_nwb, read_nwb, "x.nwb")]


def small(step_ms: float = 10.0) -> Recording:
    """Two populations with silent neurons, an empty trial and a count of two."""
    rng = np.random.default_rng(0)
    trials = make_trials(rng, samples=4, classes=3)
    first = random_trains(rng, samples=4, steps=50, neurons=6, rate_hz=12.0, step_ms=step_ms)
    second = make_trains([(1, 0, 0), (1, 49, 2), (3, 7, 1), (3, 7, 1)], samples=4, steps=50, neurons=5, step_ms=step_ms)
    return make_recording(trials, {"hidden1": first, "hidden2": second}, steps=50, step_ms=step_ms)


def activity(spikes: TrialSpikes, path: Path, duration_ms: float | None = None) -> Activity:
    return on_grid(spikes, "read", path, duration_ms)


@pytest.mark.parametrize("step_ms", [10.0, 0.1, 1 / 3])
@pytest.mark.parametrize(("write", "read", "name"), FORMATS, ids=["nix", "nwb"])
def test_a_round_trip_is_exact_to_the_step(
    tmp_path: Path,
    write: Callable[[Recording, Path], None],
    read: Callable[[Path], TrialSpikes],
    name: str,
    step_ms: float,
) -> None:
    recording = small(step_ms)
    write(recording, tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    found = activity(read(tmp_path / name), tmp_path / name)
    assert list(found.populations) == ["hidden1", "hidden2"]
    for population, trains in recording.spikes.items():
        back = found.populations[population]
        assert (back.n_neurons, back.n_steps, back.step_ms) == (trains.n_neurons, trains.n_steps, trains.step_ms)
        for field in ("step", "neuron", "offsets"):
            assert (getattr(back, field) == getattr(trains, field)).all()
    assert found.labels is not None
    assert (found.labels == recording.trials.labels).all()
    assert found.network_sha256 == recording.network_sha256
    assert found.trials_sha256 == recording.trials.source_sha256


def test_a_block_has_one_annotated_train_per_neuron_and_trial() -> None:
    recording = small()
    block = block_of(recording)
    assert len(block.segments) == 4
    assert {len(segment.spiketrains) for segment in block.segments} == {6 + 5}
    train = block.segments[3].spiketrains[6 + 1]
    assert train.annotations == {"population": "hidden2", "neuron": 1, "sample": 3, "label": recording.trials.labels[3]}
    assert train.rescale(pq.ms).magnitude.tolist() == [70.0, 70.0]
    assert (train.t_start, train.t_stop) == (0 * pq.ms, 500 * pq.ms)


def test_an_nwb_file_is_valid_and_says_when_its_units_were_observed(tmp_path: Path) -> None:
    recording = small()
    write_nwb(recording, tmp_path / "x.nwb")
    assert pynwb.validate(path=str(tmp_path / "x.nwb")) == []
    with pynwb.NWBHDF5IO(str(tmp_path / "x.nwb"), "r") as opened:
        file = opened.read()
        assert len(file.units) == 6 + 5
        assert file.units["obs_intervals"][3][:2].tolist() == [[0.0, 0.5], [1.5, 2.0]]
        assert file.units["spike_times"][6 + 1].tolist() == pytest.approx([4.57, 4.57])
        assert file.trials["class_name"][:].tolist() == [f"class {label}" for label in recording.trials.labels]


def foreign_block(durations_ms: tuple[float, ...] = (300.0, 300.0)) -> neo.Block:
    block = neo.Block()
    for duration in durations_ms:
        segment = neo.Segment()
        for shift in (0.0, 5.0):
            times = (np.array([10.0, 20.04]) + shift + 1000.0) * pq.ms
            segment.spiketrains.append(neo.SpikeTrain(times, t_start=1 * pq.s, t_stop=(1000.0 + duration) * pq.ms))
        block.segments.append(segment)
    return block


def test_a_foreign_block_is_one_population_from_the_start_of_its_trials(tmp_path: Path) -> None:
    found = activity(spikes_of_block(foreign_block(), tmp_path), tmp_path)
    (trains,) = found.populations.values()
    assert list(found.populations) == ["units"]
    assert (trains.n_neurons, trains.n_samples, trains.step_ms, trains.n_steps) == (2, 2, 0.1, 3000)
    assert trains.step.tolist() == [100, 150, 200, 250] * 2
    assert found.labels is None


def test_trials_of_different_lengths_are_cut_only_when_asked(tmp_path: Path) -> None:
    spikes = spikes_of_block(foreign_block((300.0, 200.0)), tmp_path)
    with pytest.raises(DataError, match=r"from 200 to 300 ms.*--duration-ms 200"):
        activity(spikes, tmp_path)
    assert activity(spikes, tmp_path, 15.0).populations["units"].n_spikes == 2
    with pytest.raises(DataError, match=r"sample 1: lasts 200 ms, shorter than the 250 ms"):
        activity(spikes, tmp_path, 250.0)


def test_trains_that_cannot_be_assigned_are_refused(tmp_path: Path) -> None:
    block = foreign_block()
    block.segments[0].spiketrains.append(neo.SpikeTrain([] * pq.ms, t_start=1 * pq.s, t_stop=1.3 * pq.s))
    with pytest.raises(DataError, match="2 to 3 spike trains without the annotation `neuron`"):
        spikes_of_block(block, tmp_path)
    for segment in block.segments:
        for train in segment.spiketrains:
            train.annotate(neuron=0)
    with pytest.raises(DataError, match=r"sample 0: neuron 0 of units occurs twice"):
        spikes_of_block(block, tmp_path)


def foreign_nwb(path: Path, *, trials: bool = True, units: bool = True, overlap: bool = False) -> Path:
    file = pynwb.NWBFile("d", "i", datetime(2020, 1, 1, tzinfo=UTC), notes="written by hand")
    if trials:
        file.add_trial_column("label", "a word")
        for number, label in enumerate(["yes", "no", "yes"]):
            start = 0.5 + number * (0.1 if overlap else 1.0)
            file.add_trial(start_time=start, stop_time=start + 0.5, label=label)
    if units:
        file.add_unit(spike_times=[0.1, 0.5, 0.75, 1.2, 2.9])
        file.add_unit(spike_times=[1.5])
    with pynwb.NWBHDF5IO(str(path), "w") as output:
        output.write(file)
    return path


def test_a_foreign_nwb_file_is_cut_into_its_trials(tmp_path: Path) -> None:
    found = activity(read_nwb(foreign_nwb(tmp_path / "f.nwb")), tmp_path)
    trains = found.populations["units"]
    spikes = zip(trains.sample.tolist(), trains.step.tolist(), trains.neuron.tolist(), strict=True)
    assert list(spikes) == [(0, 0, 0), (0, 2500, 0), (1, 0, 1), (2, 4000, 0)]
    assert found.labels is not None
    assert found.labels.tolist() == [1, 0, 1]


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ({"trials": False}, "has no trials"),
        ({"units": False}, "has no units"),
        ({"overlap": True}, "follow one another"),
    ],
)
def test_an_nwb_file_without_what_is_needed(tmp_path: Path, missing: dict[str, bool], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_nwb(foreign_nwb(tmp_path / "f.nwb", **missing))


@pytest.mark.parametrize(("read", "name"), [(read_nix, "x.nix"), (read_nwb, "x.nwb")])
def test_missing_and_damaged_files(tmp_path: Path, read: Callable[[Path], TrialSpikes], name: str) -> None:
    with pytest.raises(DataError, match="no such file"):
        read(tmp_path / name)
    (tmp_path / name).write_bytes(b"\x89HDF\r\n\x1a\n" + b"nothing" * 50)
    with pytest.raises(DataError, match="cannot be read as"):
        read(tmp_path / name)


@pytest.mark.parametrize(("write", "read", "name"), FORMATS, ids=["nix", "nwb"])
def test_the_file_of_the_other_format_is_refused(
    tmp_path: Path, write: Callable[[Recording, Path], None], read: Callable[[Path], TrialSpikes], name: str
) -> None:
    other = read_nwb if read is read_nix else read_nix
    write(random_recording(samples=1, sizes=(2,)), tmp_path / name)
    with pytest.raises(DataError):
        other(tmp_path / name)


def test_a_population_without_neurons_and_no_trials(tmp_path: Path) -> None:
    recording = small()
    recording = replace(recording, spikes={**recording.spikes, "none": make_trains([], samples=4, steps=50, neurons=0)})
    for write, read, name in FORMATS:
        write(recording, tmp_path / name)
        assert activity(read(tmp_path / name), tmp_path).populations["none"].n_neurons == 0
    with pytest.raises(DataError, match="no trials"):
        activity(spikes_of_block(neo.Block(), tmp_path), tmp_path)


def test_too_many_trains_for_nix_are_refused_with_what_fits(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"44 spike trains .* with --samples 1, or use --to nwb"):
        write_nix(small(), tmp_path / "x.nix", max_trains=20)
    assert list(tmp_path.iterdir()) == []


def test_no_space_is_explained_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, before[1]))
    try:
        with pytest.raises(DataError, match=r"x\.nwb: the file would be larger than allowed"):
            write_nwb(small(), tmp_path / "x.nwb")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(DataError, match=r"x\.nix: the disk is full \(1000 bytes are free, about 1\.1 MiB are needed\)"):
        write_nix(small(), tmp_path / "x.nix")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("library", "name"), [("nixio", "x.nix"), ("pynwb", "x.nwb")])
def test_without_the_library_it_is_said_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library: str, name: str
) -> None:
    def absent(module: str) -> ModuleType:
        raise ModuleNotFoundError(f"No module named {module!r}", name=module)

    monkeypatch.setattr("importlib.import_module", absent)
    read, write = (read_nix, write_nix) if library == "nixio" else (read_nwb, write_nwb)
    for attempt in (lambda: read(tmp_path / name), lambda: write(small(), tmp_path / name)):
        with pytest.raises(
            ConfigError, match=rf"needs the library {library}.*pip install 'spikebridge\[neo-formats\]'"
        ):
            attempt()
