"""How many samples a task has: nothing long is lost with it, every worker has work, lanes are filled."""

from dataclasses import replace

import numpy as np
import pytest
from networks import random_trials
from streaming import everything_on_grid, relay, samples

from spikebridge.bridge.errors import SpecError
from spikebridge.bridge.spikes import SpikeTrains
from spikebridge.sim import planner
from spikebridge.sim.cost import RUNTIME_BUILD_S, Load
from spikebridge.sim.evaluation import evaluation
from spikebridge.sim.options import Backend, SimulationOptions
from spikebridge.sim.planner import MAX_TASK_SAMPLES, RUNTIME_TASK_S, TASK_S, Plan
from spikebridge.sim.tasks import Work, run_tasks

LIGHT = Load(steps=100, neurons=100, events=1e4, potentials=1000, synapses=10_000)
HEAVY = Load(steps=10_000, neurons=2000, events=1e7, potentials=200_000, synapses=1_000_000)


def a_plan(backend: Backend, load: Load, lanes: int, workers: int = 1) -> Plan:
    grid = everything_on_grid()
    made = planner.plan(grid, samples(grid), SimulationOptions(backend=backend, lanes=lanes, workers=workers))
    return replace(made, load=load, options=replace(made.options, lanes=lanes))


@pytest.mark.parametrize("load", [LIGHT, HEAVY])
@pytest.mark.parametrize("lanes", [1, 4])
def test_a_compiled_task_takes_about_two_seconds(load: Load, lanes: int) -> None:
    size = a_plan("cpp", load, lanes).task_size(100_000, 4)
    assert size % lanes == 0
    assert size <= MAX_TASK_SAMPLES
    assert size == lanes or size * load.cpp_s <= TASK_S


@pytest.mark.parametrize("load", [LIGHT, HEAVY])
def test_a_task_of_the_runtime_is_no_longer_than_its_lanes_ask_for(load: Load) -> None:
    size = a_plan("numpy", load, 32).task_size(100_000, 1)
    assert size % 32 == 0
    assert size < 100_000
    assert size == 32 or size / 32 * (load.runtime_s(32) - RUNTIME_BUILD_S) <= RUNTIME_TASK_S


@pytest.mark.parametrize("backend", ["numpy", "cython", "cpp"])
@pytest.mark.parametrize("workers", [2, 8, 64])
def test_every_worker_of_a_cluster_has_a_task(backend: Backend, workers: int) -> None:
    size = a_plan(backend, LIGHT, 4).task_size(2048, workers)
    assert 2048 / size >= workers


def test_a_gpu_has_one_task() -> None:
    made = a_plan("numpy", HEAVY, 32)
    made = replace(made, options=replace(made.options, backend="cuda"))
    assert made.task_size(5000, 1) == 5000
    assert made.task_size(0, 1) > 0


def test_a_gpu_does_not_run_on_a_cluster() -> None:
    spec = relay()
    made = evaluation(spec, random_trials(spec, 2), step_ms=spec.training_step_ms, options=SimulationOptions("numpy"))
    job = replace(made.job, plan=replace(made.job.plan, options=SimulationOptions("cuda")))
    with pytest.raises(SpecError, match="leave out the cluster"):
        list(run_tasks([Work(job, made.inputs)], [np.arange(2)], cluster="local:2", progress=False))


@pytest.mark.parametrize(("cores", "chosen"), [(1, "numpy"), (64, "cpp")])
def test_auto_takes_what_is_done_first_on_all_cores(cores: int, chosen: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """64 samples of half a core-second each, and 20 s in the runtime."""
    monkeypatch.setattr(planner, "available_processors", lambda: cores)
    monkeypatch.setattr("shutil.which", lambda program: program)
    monkeypatch.setattr(Load, "cpp_s", property(lambda _: 0.5))
    monkeypatch.setattr(Load, "runtime_s", lambda _, lanes: 10.0)
    grid = everything_on_grid()
    inputs = {name: SpikeTrains.joined([trains] * 10).select(np.arange(64)) for name, trains in samples(grid).items()}
    assert planner.plan(grid, inputs, SimulationOptions()).options.backend == chosen
