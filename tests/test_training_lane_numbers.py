"""What compiled loops do with whole registers of numbers: exponentials, and who is in a list."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikebridge.training.compiled import compiled
from spikebridge.training.exponential import LEAST_EXPONENT, exponential
from spikebridge.training.lane_bits import memory_for, who_fires, who_reached

KINDS = [np.float32, np.float64]


@compiled
def exponentials(numbers: np.ndarray) -> np.ndarray:
    result = np.empty_like(numbers)
    for n in range(numbers.size):
        result[n] = exponential(numbers[n])
    return result


@pytest.mark.parametrize("kind", KINDS)
def test_exponentials_are_right_within_one_unit_of_the_last_place(kind: Any) -> None:
    numbers = np.linspace(LEAST_EXPONENT, 0, 300_001).astype(kind)
    exact = np.exp(numbers.astype(np.longdouble))
    assert float((np.abs(exponentials(numbers) - exact) / exact).max()) < np.finfo(kind).eps


@pytest.mark.parametrize("kind", KINDS)
def test_exponentials_at_the_ends(kind: Any) -> None:
    found = exponentials(np.array([0.0, -0.0, LEAST_EXPONENT - 0.01, -1e30, -np.inf, np.nan], kind))
    np.testing.assert_array_equal(found, np.array([1, 1, 0, 0, 0, np.nan], kind))


@given(st.integers(0, 2**31), st.integers(0, 90), st.integers(0, 20), st.floats(0, 1), st.sampled_from(KINDS))
@settings(max_examples=80, deadline=None, derandomize=True)
def test_who_fires_and_who_reached_are_those_that_a_comparison_finds(
    seed: int, size: int, at: int, share: float, kind: Any
) -> None:
    rng = np.random.default_rng(seed)
    spikes = ((rng.random(at + size + 7) < share) * rng.normal(size=at + size + 7)).astype(kind)
    memory = np.full(size + 20, -7, np.int32)
    found = memory[:size]
    assert found[: who_fires(spikes, at, size, found)].tolist() == np.flatnonzero(spikes[at : at + size]).tolist()
    theta = rng.integers(-1, 2, size).astype(kind)
    potentials = rng.integers(-2, 3, at + size).astype(kind)
    wanted = np.flatnonzero(potentials[at:] >= theta).tolist()
    assert found[: who_reached(potentials, at, theta, found)].tolist() == wanted
    assert (memory[size:] == -7).all()


def test_a_processor_that_numba_compiles_for_by_the_users_wish_is_taken_as_it_is(tmp_path: Path) -> None:
    """With an instruction that it does not have, the compiler would end the process."""
    code = (
        "import numpy as np\n"
        "from spikebridge.training.lane_bits import memory_for, who_fires\n"
        "spikes, found = np.arange(40, dtype=np.float32) % 3, memory_for(40)\n"
        "print(found[: who_fires(spikes, 0, 40, found)].tolist())\n"
    )
    environment = os.environ | {"NUMBA_ENABLE_AVX": "0", "NUMBA_CACHE_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [n for n in range(40) if n % 3]


def test_what_is_no_number_fires_but_reaches_nothing() -> None:
    """As a comparison says: a network that diverged must not look silent."""
    numbers, found = np.full(20, np.nan, np.float32), memory_for(20)
    assert who_fires(numbers, 0, 20, found) == 20
    assert who_reached(numbers, 0, np.ones(20, np.float32), found) == 0
