"""Samples that follow each other through one running C++ simulation know nothing of each other."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import network, network_specs, neurons, on_training_grid, played
from streaming import (
    Streamable,
    differences,
    everything_on_grid,
    picked,
    play,
    prepared,
    reference,
    relay,
    relay_inputs,
    samples,
    streamed,
)

from spikebridge.bridge.errors import SpecError
from spikebridge.bridge.spec import NetworkSpec
from spikebridge.bridge.spikes import SpikeTrains
from spikebridge.sim import stream_project
from spikebridge.sim.stream_engine import StreamEngine, spikes_per_channel

ORDER = [2, 1, 0, 0, 4, 5, 1, 2, 2, 6, 3, 5, 5, 0, 2, 3, 6, 1]
"""Every sample of `samples`, some again and again, quiet ones after the most active one."""

RESETS = {
    "step": r"clock\.timestep\[0\] = 0;",
    "time": r"clock\.t\[0\] = 0\.0;",
    "state": r"for \(State &state : states_\) .*;",
    "last spike": r"for \(State &last : last_spikes_\) .*;",
    "input": r"for \(Input &input : inputs_\) \*.*;",
    "queues": r"for \(std::vector<int32_t> &slot : .*;",
}
"""What `start_over` sets back, as it is written there."""


@pytest.fixture(scope="module")
def first() -> Iterator[Streamable]:
    """The first of the networks, prepared once."""
    grid = everything_on_grid()
    inputs = samples(grid)
    with prepared(grid, inputs) as made:
        yield grid, inputs, made


@pytest.mark.parametrize("seed", range(5))
def test_every_sample_of_a_sequence_is_as_it_is_alone(seed: int) -> None:
    grid = everything_on_grid(seed)
    inputs = samples(grid, seed)
    expected = reference(grid, inputs)
    assert all(trains.n_spikes > 0 for trains in expected.spikes.values())
    in_sequence = {name: trains.select(ORDER) for name, trains in inputs.items()}
    assert differences(streamed(grid, in_sequence), picked(expected, ORDER)) == []


@pytest.mark.slow
@given(network_specs(), st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None, derandomize=True)
def test_samples_of_random_shapes_are_as_they_are_alone(spec: NetworkSpec, seed: int) -> None:
    grid = on_training_grid(spec)
    inputs = samples(grid, seed)
    in_sequence = {name: trains.select(ORDER) for name, trains in inputs.items()}
    assert differences(streamed(grid, in_sequence), picked(reference(grid, inputs), ORDER)) == []


def test_every_sample_in_a_process_of_its_own_is_the_same(first: Streamable) -> None:
    grid, inputs, made = first
    expected = reference(grid, inputs)
    for sample in range(7):
        alone = {name: trains.select([sample]) for name, trains in inputs.items()}
        assert differences(play(made, grid, alone), picked(expected, [sample])) == [], sample


def test_one_engine_is_used_again(first: Streamable) -> None:
    grid, inputs, made = first
    told: list[float] = []
    engine = StreamEngine(grid, made, keep_readout=True)
    try:
        found, again = engine.run(inputs, told.append), engine.run(inputs, told.append)
    finally:
        engine.close()
    assert differences(again, found) == []
    np.testing.assert_array_equal(again.scores, found.scores)
    assert told[:7] == told[7:] == [(k + 1) / 7 for k in range(7)]


def test_two_networks_at_once_from_one_binary_do_not_disturb_each_other(first: Streamable) -> None:
    grid, inputs, made = first
    other = everything_on_grid(1)
    with prepared(other, inputs) as made_too:
        assert made_too.binary == made.binary
        engines = [StreamEngine(g, p, keep_readout=True) for g, p in ((grid, made), (other, made_too))]
        try:
            with ThreadPoolExecutor(2) as threads:
                several = {name: trains.select(ORDER) for name, trains in inputs.items()}
                found = list(threads.map(lambda engine: engine.run(several, lambda _: None), engines))
        finally:
            for engine in engines:
                engine.close()
    assert differences(found[0], reference(grid, several)) == []
    assert differences(found[1], reference(other, several)) == []


@pytest.fixture(scope="module")
def forgetful(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Streamable]:
    """A main loop that leaves out one of its resets: the one that is named in the environment."""
    source = stream_project.MAIN_LOOP.read_text()
    before, body, after = re.split(
        r"(?<=void start_over\(BaseClock &clock\) \{\n)(.*?)(?=\n    \}\n)", source, flags=re.S
    )
    for name, pattern in RESETS.items():
        body, found = re.subn(rf"({pattern})", rf'if (!left_out("{name}")) \1', body)
        assert found == 1, name
    left_out = (
        "static bool left_out(const char *reset) {\n"
        '    const char *named = std::getenv("LEFT_OUT");\n'
        "    return named && std::strstr(named, reset);\n"
        "}\n"
    )
    header = tmp_path_factory.mktemp("forgetful") / "sample_loop.h"
    header.write_text((before + body + after).replace("class SampleLoop {", f"{left_out}class SampleLoop {{"))
    grid = everything_on_grid()
    inputs = samples(grid)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(stream_project, "MAIN_LOOP", header)
        with prepared(grid, inputs) as made:
            yield grid, inputs, made


@pytest.mark.parametrize(
    "left_out", ["nothing", "step", "time", "step, time", "state", "last spike", "input", "queues"]
)
def test_a_reset_that_is_left_out_is_found(
    left_out: str, forgetful: Streamable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Control of the first test, and the reason for each of the resets."""
    grid, inputs, made = forgetful
    # Without the step of the clock, all spikes of a sample are played at once: few enough for a generator's room.
    order = [3, 1, 3, 3] if "step" in left_out else ORDER
    several = {name: trains.select(order) for name, trains in inputs.items()}
    monkeypatch.setenv("LEFT_OUT", left_out)
    wrong = differences(play(made, grid, several), reference(grid, several))
    assert bool(wrong) == (left_out != "nothing"), wrong


@pytest.mark.parametrize("lanes", [1, 2, 5])
def test_lanes_do_not_change_the_result(lanes: int) -> None:
    """Seven samples: the last round is not full."""
    grid = everything_on_grid(3)
    inputs = samples(grid, 3)
    assert spikes_per_channel(inputs) > 4  # more spikes in a step than channels, with room for them
    assert differences(streamed(grid, inputs, lanes), reference(grid, inputs)) == []


def test_counts_above_the_room_for_them_are_refused() -> None:
    grid = on_training_grid(relay())
    few = relay_inputs(grid)
    many = played([(0, 1, 0)] * 5, grid)
    assert (spikes_per_channel(few), spikes_per_channel(many)) == (4, 8)
    with (
        prepared(grid, few) as made,
        pytest.raises(SpecError, match="an input has more spikes in a step than this binary has room for"),
    ):
        play(made, grid, many)


def test_one_neuron_silence_and_no_synapses_at_all() -> None:
    grid = on_training_grid(relay())
    for inputs in (relay_inputs(grid), played([], grid, samples=2)):
        assert differences(streamed(grid, inputs), reference(grid, inputs)) == []
    bare = on_training_grid(network([neurons(bias=1.5)], []))
    inputs = {"input": SpikeTrains.from_counts(np.ones((2, bare.n_steps, 1), dtype=np.int32), bare.step_ms)}
    found = streamed(bare, inputs)
    assert found.spikes["hidden"].n_spikes > 0
    assert differences(found, reference(bare, inputs)) == []
