"""The result in words fits the evidence; no picture is drawn here."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from recordings import make_network, make_recording, random_recording, with_spikes

from spikebridge.bridge.recording import Recording
from spikebridge.bridge.spikes import SpikeTrains
from spikebridge.validation.evidence import collect_evidence
from spikebridge.validation.verdict import Status, Verdict, reach_verdict

REFERENCE = random_recording()
SAME = replace(REFERENCE, executor="brian2")


@pytest.fixture(scope="module", autouse=True)
def _constructed_recordings_are_of_the_network() -> Iterator[None]:
    """Constructed recordings carry a made-up checksum; a test below compares real ones."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("spikebridge.validation.evidence.network_sha256", lambda _: random_recording().network_sha256)
        yield


UNCHECKED = "The whole network was not compared spike for spike."


def verdict(simulations: dict[str, Recording], replay: Recording | None = None) -> Verdict:
    return reach_verdict(collect_evidence(make_network(REFERENCE), REFERENCE, simulations, replay=replay))


def one_spike_more(recording: Recording) -> Recording:
    counts = np.array(recording.spikes["hidden2"].counts(np.int32))
    counts[3, 7, 1] += 1
    return with_spikes(recording, "hidden2", SpikeTrains.from_counts(counts, recording.step_ms))


def on_finer_steps(recording: Recording) -> Recording:
    spikes = {
        name: SpikeTrains(t.step * 10, t.neuron, t.offsets, t.n_steps * 10, t.n_neurons, t.step_ms / 10)
        for name, t in recording.spikes.items()
    }
    return make_recording(
        recording.trials, spikes, steps=recording.n_steps * 10, step_ms=recording.step_ms / 10, scores=recording.scores
    )


@pytest.mark.parametrize(
    ("simulations", "replay", "status", "headline"),
    [
        ({"grid": SAME}, SAME, Status.SAME, "Every spike is the same."),
        (
            {"grid": SAME, "step_1": on_finer_steps(SAME)},
            None,
            Status.SAME,
            "On the training's grid, every spike is the same.",
        ),
        (
            {"step_1": on_finer_steps(SAME)},
            None,
            Status.UNCHECKED,
            UNCHECKED,
        ),
        (
            {"step_1": on_finer_steps(SAME)},
            SAME,
            Status.UNCHECKED,
            UNCHECKED,
        ),
        ({"step_1": on_finer_steps(SAME)}, one_spike_more(SAME), Status.DIFFERENT, "The executors do not agree."),
        ({"grid": one_spike_more(SAME)}, None, Status.DIFFERENT, "The executors do not agree."),
        ({"grid": SAME}, one_spike_more(SAME), Status.DIFFERENT, "The executors do not agree."),
    ],
)
def test_status_and_headline(
    simulations: dict[str, Recording], replay: Recording | None, status: Status, headline: str
) -> None:
    reached = verdict(simulations, replay)
    assert (reached.status, reached.headline) == (status, headline)


def test_one_mismatch_is_described_in_the_singular_with_its_place() -> None:
    first = verdict({"grid": one_spike_more(SAME)}).sentences[0]
    assert "has 1 mismatch against the" in first
    assert "in 1 of 12 samples" in first
    fired = " fired more often" if REFERENCE.spikes["hidden2"].counts()[3, 7, 1] else " fired, the other did not"
    assert f"population hidden2, neuron 1, sample 3, 70 ms (step 7): brian2{fired}" in first


def test_the_replay_names_the_broken_population() -> None:
    broken = verdict({"grid": one_spike_more(SAME)}, one_spike_more(SAME)).sentences[1]
    assert "population hidden2 is the first to differ" in broken
    assert "fires exactly the recorded spikes" in verdict({"grid": SAME}, SAME).sentences[1]


def test_equal_accuracies_share_a_sentence() -> None:
    told = [s for s in verdict({"grid": SAME}).sentences if s.startswith("Accuracy")]
    assert len(told) == 1
    worse = replace(SAME, scores=-SAME.scores, readout=None)
    assert len([s for s in verdict({"grid": worse}).sentences if s.startswith("Accuracy")]) == 2
