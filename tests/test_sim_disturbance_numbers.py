"""What a disturbance does in Brian2, against the formulas: deviation of potentials, shares of spikes that arrive."""

import brian2
import numpy as np
import pytest
from networks import edges, network, neurons, on_training_grid, played
from scipy.stats import binomtest, kstest

from spikebridge.bridge.arrays import FloatArray, IntArray
from spikebridge.bridge.discretise import GridNetwork, discretise
from spikebridge.bridge.disturbance import Disturbance, stationary_deviation
from spikebridge.bridge.spec import NetworkSpec, Population, SynapseKind
from spikebridge.sim.backends import backend
from spikebridge.sim.build import Disturbed, build
from spikebridge.sim.engine import Simulated
from spikebridge.sim.layout import plan_layout
from spikebridge.sim.options import SimulationOptions
from spikebridge.sim.philox import normal, philox4x32, uniform
from spikebridge.sim.run import run_network

NUMPY = SimulationOptions(backend="numpy", keep_readout=True)
NEURONS, LANES = 300, 8


@pytest.mark.parametrize(
    ("counter", "seed", "expected"),
    [
        ((0, 0, 0, 0), 0, (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((0xFFFFFFFF,) * 4, 2**64 - 1, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            0x299F31D0A4093822,
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_philox_gives_the_published_answers(
    counter: tuple[int, int, int, int], seed: int, expected: tuple[int, ...]
) -> None:
    """Those of Random123's `kat_vectors` for philox4x32 with 10 rounds."""
    assert tuple(int(word) for word in philox4x32(seed, counter)) == expected


@pytest.mark.parametrize("place", range(4))
def test_numbers_along_every_word_of_the_counter_are_independent_draws(place: int) -> None:
    words: list[IntArray | int] = [3, 1, 4, 1]
    words[place] = np.arange(20_000)
    counter = (words[0], words[1], words[2], words[3])
    for drawn, law in ((uniform(5, counter), "uniform"), (normal(5, counter), "norm")):
        assert kstest(drawn, law).pvalue > 1e-3
        assert abs(np.corrcoef(drawn[1:], drawn[:-1])[0, 1]) < 4 / np.sqrt(drawn.size)


def potentials(hidden: Population, disturbance: Disturbance, step_ms: float, first: int = 0) -> FloatArray:
    """(lanes, neurons, steps) of u without input, in the last steps of 20 time constants."""
    spec = network([hidden], [], n_steps=round(400 / 10))
    grid = discretise(spec, step_ms)
    layout = plan_layout(grid, LANES, LANES)
    with backend("numpy") as run:
        inputs = played([], grid, samples=LANES)
        built = build(grid, inputs, layout, disturbed=Disturbed(disturbance, first + np.arange(LANES)))
        group = built.populations["hidden"].group
        seen = brian2.StateMonitor(group, "u", record=True, clock=group.clock, name="seen")
        built.network.add(seen)
        run(built.network, grid.n_steps * step_ms * brian2.ms, lambda _: None)
        return np.asarray(seen.u[:]).reshape(LANES, hidden.size, -1)[:, :, -10:]


@pytest.mark.parametrize(("step_ms", "a"), [(10.0, 0.0), (1.0, 0.0), (1.0, 2.0)])
def test_potentials_deviate_as_much_as_they_should_at_every_step(step_ms: float, a: float) -> None:
    hidden = neurons(size=NEURONS, theta=1e9, a=a, tau_adaptation_ms=50.0)
    u = potentials(hidden, Disturbance(0.3, seed=11), step_ms)
    last = u[:, :, -1]
    expected = float(stationary_deviation(hidden, 0.3)[0])
    assert abs(last.std() / expected - 1.0) < 4 / np.sqrt(2 * last.size)
    assert kstest(last.ravel() / expected, "norm").pvalue > 1e-3
    assert abs(last.mean()) < 4 * expected / np.sqrt(last.size)
    tolerance = 4 / np.sqrt(last.size)
    assert abs(np.corrcoef(last[:, 1:].ravel(), last[:, :-1].ravel())[0, 1]) < tolerance  # of neurons side by side
    assert abs(np.corrcoef(last[1:].ravel(), last[:-1].ravel())[0, 1]) < tolerance  # of one neuron in two samples
    if a == 0.0:
        decay = np.exp(-step_ms / 20.0)
        found = np.corrcoef(u[:, :, -1].ravel(), u[:, :, -2].ravel())[0, 1]
        assert abs(found - decay) < 4 * (1 - decay**2) / np.sqrt(last.size)


def test_the_same_sample_in_another_lane_has_the_same_noise() -> None:
    hidden = neurons(size=3, theta=1e9)
    first, later = (potentials(hidden, Disturbance(0.3, seed=11), 10.0, start) for start in (0, 2))
    np.testing.assert_array_equal(first[2:], later[:-2])
    assert not np.array_equal(first[0], first[1])
    assert not np.array_equal(first, potentials(hidden, Disturbance(0.3, seed=12), 10.0))


def test_a_refractory_neuron_is_left_alone() -> None:
    # Driven over its threshold in the first step; frozen where the reset left it, for longer than the sample.
    hidden = neurons(bias=50.0, refractory_steps=100)
    u = potentials(hidden, Disturbance(0.5, seed=1), 10.0)
    assert np.ptp(u, axis=2).max() == 0.0
    assert np.ptp(u[:, 0, 0]) > 0.0  # that of the first step stays


def counting(n_classes: int, kind: SynapseKind = SynapseKind.DELTA, **options: float) -> NetworkSpec:
    """One channel onto a readout without leak, where each synapse has a readout neuron of its own."""
    wire = edges("input", "readout", [(0, k, 1.0, 1) for k in range(n_classes)], kind, pulse_steps=3)
    readout = neurons("readout", n_classes, tau_ms=options.get("tau_ms", 1e12), spiking=False)
    return network([readout], [wire], classes=n_classes, n_steps=40)


def run(grid: GridNetwork, spikes: list[tuple[int, int, int]], disturbance: Disturbance, samples: int = 1) -> Simulated:
    return run_network(grid, played(spikes, grid, samples=samples), NUMPY, disturbance=disturbance)


def test_each_synapse_gets_its_share_of_the_spikes_and_for_itself() -> None:
    grid = on_training_grid(counting(200))
    spikes = [(sample, step, 0) for sample in range(4) for step in range(30)]
    done = run(grid, spikes, Disturbance(0.0, 0.3, 5), samples=4)
    assert done.readout is not None
    came = np.diff(np.round(done.readout), axis=1)[:, 1:31]  # (samples, steps, synapses), each 0 or 1
    assert set(np.unique(came)) == {0.0, 1.0}
    assert binomtest(int(came.sum()), came.size, 0.7).pvalue > 1e-3
    spread = came.sum(axis=1).var() / (30 * 0.7 * 0.3)
    assert abs(spread - 1.0) < 4 * np.sqrt(2 / 800)
    for a, b in ((came[:, :, 1:], came[:, :, :-1]), (came[:, 1:], came[:, :-1]), (came[1:], came[:-1])):
        assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 4 / np.sqrt(a.size)  # of synapses, spikes, samples


def test_of_several_spikes_in_a_step_each_is_lost_by_itself() -> None:
    grid = on_training_grid(counting(300))
    done = run(grid, [(0, 2, 0)] * 6, Disturbance(0.0, 0.4, 5))
    assert done.readout is not None
    came = np.bincount(np.round(done.readout[0, -1]).astype(int), minlength=7)
    expected = np.array([1, 6, 15, 20, 15, 6, 1]) * 0.6 ** np.arange(7) * 0.4 ** (6 - np.arange(7)) * 300
    assert ((came - expected) ** 2 / expected).sum() < 22.5  # chi-squared with 6 degrees: 1 in 1,000


def test_a_pulse_that_began_ends_and_one_that_did_not_does_not() -> None:
    grid = on_training_grid(counting(50, SynapseKind.PULSE, tau_ms=20.0))
    done = run(grid, [(0, step, 0) for step in (0, 1, 2, 2, 3, 5, 6, 9)], Disturbance(0.0, 0.5, 3))
    assert done.readout is not None
    trace = done.readout[0]
    assert np.unique(trace[14]).size > 20  # they got different spikes
    # The last pulse is over after step 9 + 1 + 3; then there is nothing but the leak, to the last bit.
    leak = grid.populations[0].propagator.u_u
    np.testing.assert_array_equal(trace[15:], leak * trace[14:-1])
