"""Simulations to files: what an interrupted call has done is not done again, recordings that are whole included."""

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from networks import random_trials
from streaming import relay

from spikebridge.bridge.recording import Trials
from spikebridge.bridge.recording_file import load_recording
from spikebridge.bridge.recording_parts import parts_folder
from spikebridge.bridge.spec import NetworkSpec
from spikebridge.sim import planner, tasks
from spikebridge.sim.engine import OnProgress, Simulated
from spikebridge.sim.evaluation import Evaluation, evaluation
from spikebridge.sim.job import Chunk, Job, simulate_chunk
from spikebridge.sim.options import SimulationOptions
from spikebridge.sim.run import simulate
from spikebridge.sim.to_files import simulate_to_files
from spikebridge.validation.parity import compare_spikes

OPTIONS = SimulationOptions(backend="numpy", lanes=2)
SAMPLES = 7


@pytest.fixture
def simulated(monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """The samples of every chunk that was simulated."""
    chunks: list[list[int]] = []

    def counted(job: Job, chunk: Chunk, on_progress: OnProgress = lambda _: None) -> Simulated:
        result = simulate_chunk(job, chunk, on_progress)
        chunks.append(chunk.samples.tolist())
        return result

    monkeypatch.setattr(tasks, "simulate_chunk", counted)
    return chunks


def asked(spec: NetworkSpec, trials: Trials, step_ms: float | None = None) -> Evaluation:
    return evaluation(spec, trials, step_ms=step_ms or spec.training_step_ms, options=OPTIONS)


@pytest.mark.slow
def test_brian2s_runtime_keeps_what_it_has_done(
    tmp_path: Path, simulated: list[list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = relay()
    trials = random_trials(spec, SAMPLES)
    target = tmp_path / "r.h5"
    monkeypatch.setattr(planner, "RUNTIME_TASK_S", 0.0)  # a task for every round

    def interrupted(job: Job, chunk: Chunk, on_progress: OnProgress = lambda _: None) -> Simulated:
        if len(simulated) == 2:
            raise KeyboardInterrupt
        simulated.append(chunk.samples.tolist())
        return simulate_chunk(job, chunk, on_progress)

    with monkeypatch.context() as patched:
        patched.setattr(tasks, "simulate_chunk", interrupted)
        with pytest.raises(KeyboardInterrupt):
            simulate_to_files({target: asked(spec, trials)})
    assert simulated == [[0, 1], [2, 3]]
    simulate_to_files({target: asked(spec, trials)})
    assert simulated == [[0, 1], [2, 3], [4, 5], [6]]
    whole, found = simulate(spec, trials, step_ms=spec.training_step_ms, options=OPTIONS), load_recording(target)
    assert compare_spikes(whole, found).mismatches == 0
    assert sum(trains.n_spikes for trains in found.spikes.values()) > 0
    np.testing.assert_array_equal(found.readout, whole.readout)
    assert not parts_folder(target).exists()


def test_of_several_recordings_those_that_are_whole_are_not_computed_again(
    tmp_path: Path, simulated: list[list[int]], caplog: pytest.LogCaptureFixture
) -> None:
    spec = relay()
    trials = random_trials(spec, SAMPLES)
    one, two = tmp_path / "one.h5", tmp_path / "two.h5"
    simulate_to_files({one: asked(spec, trials)})
    first = one.read_bytes()
    simulated.clear()
    with caplog.at_level(logging.INFO, "spikebridge"):
        simulate_to_files({one: asked(spec, trials), two: asked(spec, trials, spec.training_step_ms / 2)})
    assert f"{one} is up to date" in caplog.text
    assert sum(map(len, simulated)) == SAMPLES
    assert one.read_bytes() == first
    assert load_recording(two).step_ms == spec.training_step_ms / 2


def another_network(spec: NetworkSpec, trials: Trials) -> Evaluation:
    return asked(replace(spec, metadata={"seed": "another"}), trials)


def another_step(spec: NetworkSpec, trials: Trials) -> Evaluation:
    return asked(spec, trials, spec.training_step_ms / 2)


def other_inputs(spec: NetworkSpec, trials: Trials) -> Evaluation:
    times_s = trials.events.time_s.copy()
    times_s[0] *= 0.5
    return asked(spec, replace(trials, events=replace(trials.events, time_s=times_s)))


def other_speakers(spec: NetworkSpec, trials: Trials) -> Evaluation:
    return asked(spec, replace(trials, speakers=np.zeros(SAMPLES, np.int64), seen=np.ones(SAMPLES, np.bool_)))


@pytest.mark.parametrize("other", [another_network, another_step, other_inputs, other_speakers])
def test_another_evaluation_is_computed(
    tmp_path: Path, simulated: list[list[int]], other: Callable[[NetworkSpec, Trials], Evaluation]
) -> None:
    spec = relay()
    trials = random_trials(spec, SAMPLES)
    target = tmp_path / "r.h5"
    simulate_to_files({target: asked(spec, trials)})
    simulated.clear()
    simulate_to_files({target: other(spec, trials)})
    assert sum(map(len, simulated)) == SAMPLES


def test_a_damaged_recording_is_computed_again(
    tmp_path: Path, simulated: list[list[int]], caplog: pytest.LogCaptureFixture
) -> None:
    spec = relay()
    trials = random_trials(spec, SAMPLES)
    target = tmp_path / "r.h5"
    simulate_to_files({target: asked(spec, trials)})
    target.write_bytes(target.read_bytes()[:-100])
    simulated.clear()
    simulate_to_files({target: asked(spec, trials)})
    assert sum(map(len, simulated)) == SAMPLES
    assert "computed again" in caplog.text
    assert load_recording(target).trials.n_samples == SAMPLES
