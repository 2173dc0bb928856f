"""False positives of the search for patterns, on independent neurons whose structure is known."""

import importlib.util
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from spikebridge.validation.patterns_parameters import PatternParameters
from spikebridge.validation.patterns_significance import compare_with_chance
from spikebridge.validation.patterns_surrogates import make_surrogate

SCRIPT = Path(__file__).resolve().parent.parent / "benchmarks" / "patterns.py"


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    """`benchmarks/patterns.py`, imported by its path."""
    spec = importlib.util.spec_from_file_location("patterns_benchmark", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_rotation_takes_bursts_of_independent_neurons_for_patterns_and_jitter_does_not(benchmark: ModuleType) -> None:
    found = benchmark.false_positives("bursts", ("pattern_jitter", "window_rotation"), 40)
    assert found["pattern_jitter"][0] <= 5  # 2 expected at most; 6 or more of 40 at 5 % in one of 70 runs
    assert found["window_rotation"][0] >= 10


@pytest.mark.slow
@pytest.mark.parametrize("process", ["poisson", "bursts", "regular", "varying"])
def test_smooth_rates_give_no_more_false_positives_than_the_level(benchmark: ModuleType, process: str) -> None:
    hits, sets = benchmark.false_positives(process, ("pattern_jitter",), 200)["pattern_jitter"]
    assert sets == 200
    assert hits <= 17  # more in 1 of 100 runs at 5 %


@pytest.mark.slow
def test_sharp_common_rates_are_found_by_jitter_and_kept_by_exchanges(benchmark: ModuleType) -> None:
    found = benchmark.false_positives("sharp", ("pattern_jitter", "trial_exchange"), 60)
    assert found["pattern_jitter"][0] >= 30
    assert found["trial_exchange"][0] <= 8


@pytest.mark.slow
def test_each_data_set_against_its_own_surrogates(benchmark: ModuleType) -> None:
    """As `spikebridge patterns` tests them: 30 sets of bursting neurons, 80 surrogates of each."""
    rng = np.random.default_rng(0)
    make = benchmark.PROCESSES["bursts"][1]
    parameters = benchmark.least_occurrences(make(rng), PatternParameters(surrogates=80))
    false = 0
    for _ in range(30):
        spikes = make(rng)
        phase_ms = rng.uniform(0.0, parameters.jitter_window_ms)
        made = [make_surrogate(spikes, parameters, phase_ms, rng) for _ in range(parameters.surrogates)]
        chance = np.array([benchmark.largest(one, parameters) for one in made])
        false += compare_with_chance(benchmark.largest(spikes, parameters), chance, parameters.alpha).any
    assert false <= 5  # 1.5 expected at most; 6 or more in 1 of 300 runs


def test_the_least_count_leaves_few_candidates(benchmark: ModuleType) -> None:
    rng = np.random.default_rng(0)
    spikes = benchmark.PROCESSES["regular"][1](rng)
    chosen = benchmark.least_occurrences(spikes, PatternParameters())
    windows = benchmark.windows(spikes, chosen)
    count = chosen.min_occurrences
    assert len(benchmark.mine(windows, chosen, count, filtered=False)) <= 1000
    assert len(benchmark.mine(windows, replace(chosen, min_occurrences=count - 1), count - 1, filtered=False)) > 1000
