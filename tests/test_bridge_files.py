"""Files: what is written is read back, damage is named, and nothing half-written gets a name."""

from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from networks import every_kind_network, random_trials

from spikebridge.bridge.errors import DataError, SpecError
from spikebridge.bridge.network_file import load_network, network_sha256, save_network
from spikebridge.bridge.recording import Recording
from spikebridge.bridge.recording_file import load_recording, save_recording
from spikebridge.bridge.spec import Decision, NetworkSpec
from spikebridge.bridge.spikes import SpikeTrains, bin_events
from spikebridge.bridge.storage import atomic_path


def recording(spec: NetworkSpec, *, readout: bool = True) -> Recording:
    trials = random_trials(spec, 4)
    trains, _ = bin_events(trials.events, 10.0, 40)
    return Recording(
        executor="test",
        network_sha256=network_sha256(spec),
        step_ms=10.0,
        n_steps=40,
        trials=trials,
        spikes={"b": trains, "a": trains},
        scores=np.ones((4, 3)),
        readout=np.random.default_rng(0).normal(size=(4, 40, 3)) if readout else None,
        provenance={"seed": "1"},
    )


def test_a_network_comes_back_bit_for_bit(tmp_path: Path) -> None:
    spec = every_kind_network()
    save_network(spec, tmp_path / "n.h5")
    read = load_network(tmp_path / "n.h5")
    assert network_sha256(read) == network_sha256(spec)
    for mine, theirs in zip(spec.populations, read.populations, strict=True):
        assert (mine.name, mine.reset, mine.reset_value, mine.refractory_ms) == (
            theirs.name,
            theirs.reset,
            theirs.reset_value,
            theirs.refractory_ms,
        )
        assert np.array_equal(mine.tau_membrane_ms, theirs.tau_membrane_ms)
    for here, there in zip(spec.projections, read.projections, strict=True):
        assert here.label == there.label
        assert here.receptor == there.receptor
        assert np.array_equal(here.weight, there.weight)
        assert np.array_equal(here.delay_ms, there.delay_ms)


def test_the_checksum_of_a_network_covers_every_part() -> None:
    spec = every_kind_network()
    first = spec.projections[0]
    weight = first.weight.copy()
    weight[0] += 2.0**-20
    changes = [
        replace(spec, projections=(replace(first, weight=weight), *spec.projections[1:])),
        replace(spec, metadata={"a": "b"}),
        replace(spec, decisions=(Decision("x", "y"),)),
        replace(spec, duration_ms=spec.duration_ms + 10),
        replace(spec, populations=(replace(spec.populations[0], refractory_ms=90.0), *spec.populations[1:])),
        replace(spec, projections=spec.projections[::-1]),
    ]
    assert len({network_sha256(s) for s in [spec, *changes]}) == len(changes) + 1


@pytest.mark.parametrize("readout", [True, False])
def test_a_recording_comes_back(tmp_path: Path, readout: bool) -> None:
    made = recording(every_kind_network(), readout=readout)
    save_recording(made, tmp_path / "r.h5")
    read = load_recording(tmp_path / "r.h5")
    assert list(read.spikes) == ["b", "a"]  # the order of populations is kept
    assert np.array_equal(read.spikes["a"].step, made.spikes["a"].step)
    assert np.array_equal(read.trials.events.time_s, made.trials.events.time_s)
    assert (read.readout is None) is not readout
    if readout:
        assert np.array_equal(read.readout, made.readout)  # type: ignore[arg-type]
    assert dict(read.provenance) == {"seed": "1"}
    assert read.trials.speakers is None


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    save_network(every_kind_network(), tmp_path / "n.h5")
    with pytest.raises(DataError, match=r"n\.h5: is a network file, expected a recording file"):
        load_recording(tmp_path / "n.h5")


def test_a_missing_a_foreign_and_a_text_file_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        load_network(tmp_path / "none.h5")
    with h5py.File(tmp_path / "foreign.h5", "w") as file:
        file["x"] = 1
    with pytest.raises(DataError, match="no spikebridge file"):
        load_network(tmp_path / "foreign.h5")
    (tmp_path / "text.h5").write_text("hello")
    with pytest.raises(DataError, match="cannot be read as HDF5"):
        load_network(tmp_path / "text.h5")


def test_another_format_version_is_refused(tmp_path: Path) -> None:
    save_network(every_kind_network(), tmp_path / "n.h5")
    with h5py.File(tmp_path / "n.h5", "r+") as file:
        file.attrs["format_version"] = 99
    with pytest.raises(DataError, match="format version 99"):
        load_network(tmp_path / "n.h5")


def test_a_changed_value_is_noticed(tmp_path: Path) -> None:
    save_network(every_kind_network(), tmp_path / "n.h5")
    with h5py.File(tmp_path / "n.h5", "r+") as file:
        file["content/projections/0000/weight"][0] = 9.0
    with pytest.raises(DataError, match="does not match its checksum"):
        load_network(tmp_path / "n.h5")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
def test_a_truncated_file_is_named(tmp_path: Path, share: float) -> None:
    path = tmp_path / "r.h5"
    save_recording(recording(every_kind_network()), path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(DataError, match=r"r\.h5"):
        load_recording(path)


def fail_half_way(target: Path) -> None:
    with atomic_path(target) as temporary:
        temporary.write_text("new")
        raise RuntimeError("half-way")


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(RuntimeError, match="half-way"):
        fail_half_way(target)
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_inconsistent_recordings_are_refused() -> None:
    made = recording(every_kind_network())
    with pytest.raises(SpecError, match="scores have shape"):
        replace(made, scores=np.ones((4, 2)))
    with pytest.raises(SpecError, match="not finite"):
        replace(made, scores=np.full((4, 3), np.nan))
    with pytest.raises(SpecError, match="population 'b' was recorded on"):
        replace(made, n_steps=41, readout=None)


def test_counts_that_do_not_fit_are_refused() -> None:
    trains = SpikeTrains(np.zeros(300, dtype=np.int32), np.zeros(300, dtype=np.int32), np.array([0, 300]), 2, 1, 10.0)
    assert trains.counts("int32")[0, 0, 0] == 300
    with pytest.raises(SpecError, match="a count of 300 does not fit uint8"):
        trains.counts("uint8")
