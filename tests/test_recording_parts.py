"""Parts of a recording: any split, any order and any interruption give the file of an undisturbed evaluation."""

import logging
import shutil
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from evaluated import IDENTITY, digest, part_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from recordings import make_recording, make_trials, random_recording, random_trains

from spikebridge.bridge import merge_parts, storage
from spikebridge.bridge.errors import DataError, SpecError
from spikebridge.bridge.part_file import Part
from spikebridge.bridge.recording import Recording
from spikebridge.bridge.recording_file import load_recording, save_recording
from spikebridge.bridge.recording_parts import RecordingParts, parts_folder

SAMPLES = 12


@pytest.fixture(autouse=True)
def logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    with caplog.at_level(logging.INFO, logger="spikebridge"):
        yield


@pytest.fixture
def recording() -> Recording:
    return random_recording(2, samples=SAMPLES)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "r.h5"


def opened(target: Path, **changes: str) -> RecordingParts:
    return RecordingParts.open(target, IDENTITY | changes, SAMPLES)


def saved_digest(recording: Recording, folder: Path) -> str:
    save_recording(recording, folder / "saved.h5")
    return digest(folder / "saved.h5")


@st.composite
def chunkings(draw: st.DrawFn) -> list[list[int]]:
    """Chunks in any order that together hold every sample; some hold samples that others held."""
    order = draw(st.permutations(range(SAMPLES)))
    cuts = sorted(draw(st.sets(st.integers(1, SAMPLES - 1))))
    chunks = [order[low:high] for low, high in zip([0, *cuts], [*cuts, SAMPLES], strict=True)]
    again = draw(st.lists(st.sets(st.integers(0, SAMPLES - 1), min_size=1), max_size=2))
    return draw(st.permutations([list(chunk) for chunk in [*chunks, *again]]))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), chunks=chunkings(), readout=st.booleans())
def test_any_split_order_and_interruption_give_the_same_file(
    data: st.DataObject, chunks: list[list[int]], readout: bool
) -> None:
    recording = random_recording(
        data.draw(st.integers(0, 3)), samples=SAMPLES, rate_hz=data.draw(st.sampled_from([0, 20]))
    )
    recording = recording if readout else replace(recording, readout=None)
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(merge_parts, "WINDOW_BYTES", data.draw(st.sampled_from([1, 500, 2**23])))
        patch.setattr(storage, "CHUNK_BYTES", data.draw(st.sampled_from([512, 2**18])))
        path = Path(folder) / "r.h5"
        parts = opened(path)
        stored: set[int] = set()
        for chunk in chunks:
            parts.add(part_of(recording, chunk))
            stored |= set(chunk)
            if data.draw(st.booleans()):
                parts.close()
                parts = opened(path)
            assert parts.missing.tolist() == sorted(set(range(SAMPLES)) - stored)
        parts.finish(recording.header)
        assert [found.name for found in Path(folder).iterdir()] == ["r.h5"]
        assert digest(path) == saved_digest(recording, Path(folder))
        assert np.array_equal(load_recording(path).scores, recording.scores)


def test_a_sample_is_stored_once_and_keeps_its_first_version(recording: Recording, target: Path) -> None:
    other = replace(recording, scores=recording.scores + 1.0)
    with opened(target) as parts:
        parts.add(part_of(recording, [3, 4, 5]))
        parts.add(part_of(other, [4]))
        parts.add(part_of(other, range(SAMPLES)))
        parts.finish(recording.header)
    changed = np.flatnonzero((load_recording(target).scores != recording.scores).any(axis=1))
    assert changed.tolist() == [0, 1, 2, 6, 7, 8, 9, 10, 11]


def test_parts_of_another_evaluation_are_discarded(
    recording: Recording, target: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with opened(target) as parts:
        parts.add(part_of(recording, [0, 1]))
    with opened(target) as parts:
        assert parts.missing.size == SAMPLES - 2
    assert "2 of 12 samples were computed before" in caplog.text
    with opened(target, step_ms="1") as parts:
        assert parts.missing.size == SAMPLES
    assert "parts of another evaluation are discarded: step_ms = 10, now 1" in caplog.text
    with opened(target) as parts:
        assert parts.missing.size == SAMPLES  # what was discarded does not come back
    with RecordingParts.open(target, IDENTITY, SAMPLES + 1) as parts:
        assert parts.missing.size == SAMPLES + 1
    assert "samples = 12, now 13" in caplog.text


def test_a_part_knows_itself_whose_it_is(recording: Recording, target: Path, tmp_path: Path) -> None:
    """The file with the identity may be lost, and parts may be copied by hand."""
    with opened(target) as parts:
        parts.add(part_of(recording, [0, 1]))
    (parts_folder(target) / "identity.json").write_text("{")
    elsewhere = tmp_path / "elsewhere.h5"
    with opened(elsewhere, step_ms="1") as parts:
        parts.add(part_of(recording, [5]))
    (parts_folder(elsewhere) / "part-0000005.h5").rename(parts_folder(target) / "part-0000005.h5")
    shutil.copy(parts_folder(target) / "part-0000000.h5", parts_folder(target) / "part-0000009.h5")
    with opened(target) as parts:
        assert parts.missing.tolist() == list(range(2, SAMPLES))
        assert [path.name for path in parts.folder.glob("part*")] == ["part-0000000.h5"]
        parts.add(part_of(recording, range(SAMPLES)))
        parts.finish(recording.header)
    assert digest(target) == saved_digest(recording, tmp_path)


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "text"])
def test_damaged_parts_are_named_and_computed_again(
    recording: Recording, target: Path, tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    with opened(target) as parts:
        for chunk in ([0, 1, 2, 3], [4, 5, 6], [7, 8, 9, 10, 11]):
            parts.add(part_of(recording, chunk))
    path = parts_folder(target) / "part-0000004.h5"
    content = path.read_bytes()
    spikes = part_of(recording, [4, 5, 6]).spikes["hidden1"].step.tobytes()
    assert spikes in content
    path.write_bytes(
        {
            "cut": content[: len(content) // 2],
            "flipped": content.replace(spikes, spikes[::-1]),
            "empty": b"",
            "text": b"hello",
        }[damage]
    )
    with opened(target) as parts:
        assert "part-0000004.h5" in caplog.text
        assert "discarded, its samples are computed again" in caplog.text
        assert parts.missing.tolist() == [4, 5, 6]
        parts.add(part_of(recording, parts.missing))
        parts.finish(recording.header)
    assert digest(target) == saved_digest(recording, tmp_path)


def test_a_part_damaged_before_the_merge_is_named(recording: Recording, target: Path) -> None:
    with opened(target) as parts:
        parts.add(part_of(recording, [0, 1]))
        parts.add(part_of(recording, range(2, SAMPLES)))
        (parts.folder / "part-0000000.h5").write_bytes(b"")
        with pytest.raises(DataError, match="parts with 2 of 12 samples were damaged"):
            parts.finish(recording.header)
        assert not target.exists()
        assert parts.missing.tolist() == [0, 1]
        parts.add(part_of(recording, [0, 1]))
        parts.finish(recording.header)
    load_recording(target)


def test_two_writers_of_one_target_are_refused(recording: Recording, target: Path) -> None:
    with opened(target) as parts:
        with pytest.raises(DataError, match=r"r\.h5: is being written by another process \(id \d+\); wait"):
            opened(target)
        parts.add(part_of(recording, range(SAMPLES)))
        parts.finish(recording.header)
    opened(target).close()  # finished, so that it may be written again
    with opened(target.with_name("other.h5")), opened(target):
        pass


def test_closing_again_leaves_the_lock_of_others_alone(target: Path) -> None:
    parts = opened(target)
    parts.close()
    with opened(target):
        parts.close()  # the system gives the number of the closed file to the next one
        with pytest.raises(DataError, match="is being written"):
            opened(target)


def test_what_does_not_fit_is_refused(recording: Recording, target: Path) -> None:
    with pytest.raises(SpecError, match="give at least 1"):
        RecordingParts.open(target, IDENTITY, 0)
    with opened(target) as parts:
        with pytest.raises(SpecError, match="12 of 12 samples are missing, first 0"):
            parts.finish(recording.header)
        beyond = random_recording(2, samples=SAMPLES + 1)
        with pytest.raises(SpecError, match=r"sample 12 of a part is out of range: samples are 0 \.\. 11"):
            parts.add(part_of(beyond, [11, 12]))
        parts.add(part_of(recording, range(6)))
        for other in (
            replace(recording, readout=None),
            random_recording(2, samples=SAMPLES, steps=40),
            random_recording(2, samples=SAMPLES, sizes=(8, 7)),
            replace(recording, spikes=dict(reversed(list(recording.spikes.items())))),
        ):
            with pytest.raises(
                SpecError, match="the parts before hold hidden1 of 8 neurons, hidden2 of 6 neurons on 50"
            ):
                parts.add(part_of(other, range(6, SAMPLES)))
        parts.add(part_of(recording, range(6, SAMPLES)))
        header = recording.header
        for wrong, message in (
            (replace(header, n_steps=49), "says 49 steps, the parts have 50"),
            (replace(header, step_ms=1.0), r"says 1\.0 ms per step, the parts have 10\.0"),
            (beyond.header, "says 13 samples, the parts have 12"),
            (random_recording(samples=SAMPLES, classes=5).header, "says 5 classes, the parts have 4"),
        ):
            with pytest.raises(SpecError, match=message):
                parts.finish(wrong)
        parts.finish(header)
        with pytest.raises(SpecError, match="are closed"):
            parts.add(part_of(recording, [0]))


def test_parts_that_are_inconsistent_are_refused(recording: Recording) -> None:
    part = part_of(recording, [2, 5])
    assert part.samples.tolist() == [2, 5]
    for samples in ([5, 2], [2, 2], [-1, 2], []):
        with pytest.raises(SpecError, match="increasing"):
            replace(part, samples=np.array(samples, dtype=np.int64))
    with pytest.raises(SpecError, match="population 'hidden1' has 2 samples, the part has 3"):
        replace(part, samples=np.array([2, 5, 6]))
    with pytest.raises(SpecError, match="not finite"):
        replace(part, scores=part.scores * np.nan)
    with pytest.raises(SpecError, match="scores are float32"):
        replace(part, scores=part.scores.astype(np.float32))
    with pytest.raises(SpecError, match=r"readout are float64 of shape \(1, 50, 4\)"):
        replace(part, readout=np.zeros((1, 50, 4)))
    with pytest.raises(SpecError, match="the readout has 3 classes, the scores have 4"):
        replace(part, readout=np.zeros((2, 50, 3)))
    other = replace(part.spikes["hidden2"], n_steps=60)
    with pytest.raises(SpecError, match="different grids"):
        replace(part, spikes={**part.spikes, "hidden2": other})


def test_a_network_without_spiking_populations_is_recorded(recording: Recording, target: Path, tmp_path: Path) -> None:
    silent = replace(recording, spikes={})
    with opened(target) as parts:
        for chunk in (range(5, SAMPLES), range(5)):
            parts.add(part_of(silent, chunk))
        parts.finish(silent.header)
    assert digest(target) == saved_digest(silent, tmp_path)


def test_a_merge_holds_little_in_memory(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    samples, steps, n_parts = 60, 1000, 6
    monkeypatch.setattr(merge_parts, "WINDOW_BYTES", 2**19)
    monkeypatch.setattr(storage, "SLICE_BYTES", 2**19)
    spikes_and_readout = 0
    with RecordingParts.open(target, IDENTITY, samples) as parts:
        for first in range(n_parts):  # samples of every part lie all over the recording
            picked = np.arange(first, samples, n_parts)
            spikes = {"a": random_trains(rng, samples=picked.size, steps=steps, neurons=100, rate_hz=10.0)}
            part = Part(picked, spikes, rng.normal(size=(picked.size, 20)), rng.normal(size=(picked.size, steps, 20)))
            spikes_and_readout += part.n_bytes
            parts.add(part)
        del part, spikes
        trials = make_trials(rng, samples=samples, classes=20)
        header = make_recording(trials, {}, steps=steps).header
        tracemalloc.start()
        try:
            parts.finish(header)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert spikes_and_readout > 12 * 2**20
    assert peak < 2 * 2**20  # a window, what is read into it, and trials
    assert load_recording(target).spikes["a"].n_samples == samples
