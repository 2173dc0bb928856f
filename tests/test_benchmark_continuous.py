"""The benchmark of continuous time: which trainings it runs, and what its table says of their rows."""

import importlib.util
from collections import Counter
from itertools import product
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from networks import STEP_MS, Kind, random_inputs, random_network

from spikebridge.bridge.discretise import discretise
from spikebridge.bridge.reference import run_reference
from spikebridge.bridge.spec import Reset, SynapseKind
from spikebridge.cli.config import load_config

ROOT = Path(__file__).resolve().parent.parent
SYNAPSES = ("pulse", "exponential", "delta")
STRATEGIES = ("coarse", "random", "coarse to fine")
REFRACTORY_MS = (10.0, 5.0, 2.0)
STEPS_MS = (10.0, 5.0, 2.0, 1.0, 0.5, 0.1)


@pytest.fixture
def continuous(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """`benchmarks/continuous.py`, imported by its path, as a script that finds the module beside it."""
    script = ROOT / "benchmarks" / "continuous.py"
    monkeypatch.syspath_prepend(str(script.parent))
    monkeypatch.setenv("OMP_WAIT_POLICY", "passive")  # importing it sets this, for the script's own process
    spec = importlib.util.spec_from_file_location("continuous", script)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("seeds", [1, 3])
def test_every_combination_occurs_once_per_seed(continuous: ModuleType, seeds: int) -> None:
    jobs = continuous.jobs(seeds)
    exported = Counter((job.synapse, job.strategy, t_ref, job.seed) for job in jobs for t_ref in job.refractory_ms)
    assert exported == Counter(product(SYNAPSES, STRATEGIES, REFRACTORY_MS, range(seeds)))
    order = [(-job.trained_refractory_ms, job.seed) for job in jobs]
    assert order == sorted(order)  # what is interrupted has all seeds of the refractory periods it came to
    names = [job.name for job in jobs]
    assert len(set(names)) == len(names)  # they are names of files


def test_a_training_has_the_refractory_period_of_its_export_unless_it_makes_no_difference(
    continuous: ModuleType,
) -> None:
    for job in continuous.jobs(1):
        shared = job.strategy == "coarse" and job.synapse != "delta"
        assert job.refractory_ms == (REFRACTORY_MS if shared else (job.trained_refractory_ms,))
        assert job.trained_refractory_ms in job.refractory_ms


@pytest.mark.parametrize("kind", SynapseKind)
def test_on_the_coarse_grid_a_shorter_refractory_period_changes_delta_synapses_only(
    continuous: ModuleType, kind: SynapseKind
) -> None:
    spec = random_network((Kind("adaptive", kind, Reset.SUBTRACT, 1, 1, True),) * 2, seed=0)
    counts = []
    for refractory_ms in REFRACTORY_MS:
        grid = discretise(continuous.with_refractory(spec, refractory_ms), STEP_MS)
        spikes, _ = run_reference(grid, random_inputs(grid, 4, seed=0))
        counts.append(np.concatenate([trains.counts() for trains in spikes.values()], axis=2))
    assert counts[0].sum() > 100
    assert np.array_equal(counts[1], counts[2])
    assert np.array_equal(counts[0], counts[1]) == (kind is not SynapseKind.DELTA)


def test_every_job_is_a_valid_configuration_of_its_own(continuous: ModuleType) -> None:
    base = load_config(str(ROOT / "examples" / "spoken_digits.toml"), []).training
    phases: dict[str, list[tuple[float, tuple[float, ...]]]] = {
        "coarse": [(1.0, (10.0,))],
        "random": [(1.0, (10.0, 5.0, 2.5))],
        "coarse to fine": [(0.6, (10.0,)), (0.2, (5.0, 2.5)), (0.2, (2.5, 1.0))],
    }
    jobs = continuous.jobs(2)
    configs = [continuous.configured(job, base) for job in jobs]
    for job, config in zip(jobs, configs, strict=True):
        assert [(phase.share, phase.steps_ms) for phase in config.schedule.phases] == phases[job.strategy]
        assert config.data.step_ms == min(phases[job.strategy][-1][1])
        found = config.network.synapse, config.neuron.refractory_ms, config.seed, config.threads
        assert found == (job.synapse, job.trained_refractory_ms, job.seed, 1)
    assert len(set(map(repr, configs))) == len(jobs)


def rows(
    synapse: str, strategy: str, refractory_ms: float, accuracy: dict[float, list[float]]
) -> list[dict[str, object]]:
    """One row per step and seed; the rate in Hz of seed s is 4 s + 1 + the number of the step."""
    return [
        {
            "synapse": synapse,
            "strategy": strategy,
            "refractory_ms": refractory_ms,
            "seed": seed,
            "step_ms": step_ms,
            "accuracy": accuracy.get(step_ms, [0.5] * 2)[seed],
            "rate_hz": 4.0 * seed + number + 1.0,
        }
        for number, step_ms in enumerate(STEPS_MS)
        for seed in range(len(accuracy[0.1]))
    ]


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_the_table_has_means_over_seeds_and_points_lost_to_continuous_time(continuous: ModuleType) -> None:
    """Lost are 10 and 5 points: 7.5 in the mean, with a standard deviation of 5 / sqrt(2)."""
    found = rows("pulse", "coarse", 10.0, {10.0: [0.9, 0.7], 5.0: [0.8, 0.801], 0.1: [0.8, 0.65]})
    head, rule, line = continuous.table(found[::-1])
    assert cells(head) == [
        "synapse",
        "training",
        "t_ref",
        "seeds",
        *(f"{step:g} ms" for step in STEPS_MS),
        "points lost",
        "rate change, %",
    ]
    assert cells(rule) == ["---"] * len(cells(head))
    assert cells(line) == [
        "pulse",
        "coarse",
        "10 ms",
        "2",
        "80.0 (3.00 Hz)",
        "80.0 (4.00 Hz)",
        "50.0 (5.00 Hz)",
        "50.0 (6.00 Hz)",
        "50.0 (7.00 Hz)",
        "72.5 (8.00 Hz)",
        "7.5 ± 3.5",
        "300.0 ± 282.8",
    ]


@pytest.mark.parametrize(
    ("strategy", "own_step_ms"),
    [
        ("coarse", 10.0),
        ("coarse, naive", 10.0),
        ("coarse, not aligned", 10.0),
        ("random", 2.0),  # exported at 2.5 ms, at which nothing runs
        ("coarse to fine", 1.0),
    ],
)
def test_points_are_lost_from_the_step_of_the_export(continuous: ModuleType, strategy: str, own_step_ms: float) -> None:
    """One seed has no deviation."""
    accuracy = {step_ms: [0.3 + 0.01 * number] for number, step_ms in enumerate(STEPS_MS)}
    accuracy |= {own_step_ms: [0.925], 0.1: [0.8]}
    line = continuous.table(rows("delta", strategy, 2.0, accuracy))[-1]
    assert cells(line)[-2] == "12.5"


def test_the_table_has_a_line_per_combination_in_the_order_of_the_docstring(continuous: ModuleType) -> None:
    accuracy = {0.1: [0.5]}
    combinations = list(product(SYNAPSES, STRATEGIES, REFRACTORY_MS))
    found = [row for combination in reversed(combinations) for row in rows(*combination, accuracy)]
    found += rows("pulse", "coarse, naive", 0.0, accuracy)
    first, *lines = [tuple(cells(line)[:3]) for line in continuous.table(found)[2:]]
    assert first == ("pulse", "coarse, naive", "0 ms")
    assert lines == [(synapse, strategy, f"{t_ref:g} ms") for synapse, strategy, t_ref in combinations]
