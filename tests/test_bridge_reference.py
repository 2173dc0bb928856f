"""The meaning of a network, on cases small enough to work out by hand."""

import brian2
import numpy as np
import pytest
from brian2.core.functions import timestep as brian2_timestep
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import edges, every_kind_network, network, neurons, on_training_grid, played
from scipy.integrate import solve_ivp
from scipy.linalg import expm

from spikebridge.bridge.discretise import GridNetwork, discretise, propagator
from spikebridge.bridge.errors import SpecError
from spikebridge.bridge.reference import run_reference
from spikebridge.bridge.rounding import round_weights, weight_quantum
from spikebridge.bridge.spec import Population, Reset, SynapseKind
from spikebridge.bridge.timing import delay_to_steps, timestep


def steps_of(grid: GridNetwork, spikes: list[tuple[int, int, int]], name: str = "hidden") -> list[int]:
    """The steps in which neuron 0 fires in the only sample."""
    return [int(step) for step in run_reference(grid, played(spikes, grid))[0][name].step]


def potential(grid: GridNetwork, spikes: list[tuple[int, int, int]]) -> np.ndarray:
    return run_reference(grid, played(spikes, grid))[1]["hidden"][0, :, 0]


@pytest.mark.parametrize("delay", [0, 1, 4])
def test_an_input_of_step_k_with_delay_m_first_acts_in_step_k_plus_m_plus_1(delay: int) -> None:
    grid = on_training_grid(network([neurons()], [edges("input", "hidden", [(0, 0, 2.0, delay)])]))
    assert steps_of(grid, [(0, 2, 0)]) == [2 + delay + 1]


def test_adaptation_is_returned_where_asked_for_and_follows_the_equations() -> None:
    """Constant drive below threshold against the matrix exponential of the pair of equations, to every step."""
    hidden = neurons(tau_ms=20.0, tau_adaptation_ms=100.0, a=0.5, bias=0.4)
    grid = on_training_grid(network([hidden], []))
    adaptation: dict[str, np.ndarray] = {}
    _, potentials = run_reference(grid, played([], grid), adaptation=adaptation)
    generator = np.array([[-1 / 20.0, -1 / 20.0, 0.4 / 20.0], [0.5 / 100.0, -1 / 100.0, 0.0], [0.0, 0.0, 0.0]])
    expected = np.array([expm(generator * 10.0 * (k + 1)) @ [0.0, 0.0, 1.0] for k in range(12)])
    np.testing.assert_allclose(potentials["hidden"][0, :, 0], expected[:, 0], rtol=1e-12)
    np.testing.assert_allclose(adaptation["hidden"][0, :, 0], expected[:, 1], rtol=1e-12)


def test_a_jump_decays_from_the_step_after_its_delivery() -> None:
    grid = on_training_grid(network([neurons(tau_ms=20.0)], [edges("input", "hidden", [(0, 0, 0.8, 0)])]))
    expected = np.array([0.0, 0.0, *(0.8 * np.exp(-10.0 / 20.0 * np.arange(1, 11)))])
    np.testing.assert_allclose(potential(grid, [(0, 1, 0)]), expected, rtol=1e-12)


def test_counts_above_one_multiply_the_weight() -> None:
    grid = on_training_grid(network([neurons()], [edges("input", "hidden", [(0, 0, 0.25, 0)])]))
    np.testing.assert_allclose(potential(grid, [(0, 1, 0)] * 3), 3 * potential(grid, [(0, 1, 0)]), rtol=1e-14)


@pytest.mark.parametrize(("refractory", "fired"), [(0, 11), (1, 11), (2, 6), (3, 4), (4, 3)])
def test_r_steps_of_refractoriness_free_the_neuron_in_step_k_plus_r(refractory: int, fired: int) -> None:
    strong = neurons(refractory_steps=refractory, bias=50.0)
    spikes = steps_of(on_training_grid(network([strong], [], n_steps=11)), [])
    assert len(spikes) == fired
    assert set(np.diff(spikes)) == {max(refractory, 1)}


def test_a_jump_onto_a_refractory_neuron_is_dropped_and_onto_a_free_one_is_not() -> None:
    """t_ref of 3 steps drops the jumps of exactly 3 steps: that of the spike and the two frozen ones."""
    hidden = neurons(tau_ms=1e6, refractory_steps=3)
    grid = on_training_grid(
        network([hidden], [edges("input", "hidden", [(0, 0, 1.5, 0), (1, 0, 0.3, 0)])], inputs={"input": 2})
    )
    for step, kept in ((2, True), (3, False), (4, False), (5, False), (6, True)):
        final = potential(grid, [(0, 2, 0), (0, step, 1)])[-1]  # the strong input fires the neuron in step 3
        assert final == pytest.approx(0.8 if kept else 0.5, abs=1e-3)


def test_without_refractoriness_a_jump_in_the_step_of_the_spike_is_kept_or_reset_with_it() -> None:
    for reset, left in ((Reset.SUBTRACT, 1.25), (Reset.TO_VALUE, 0.0)):
        hidden = neurons(tau_ms=1e9, reset=reset)
        projection = edges("input", "hidden", [(0, 0, 2.0, 0), (1, 0, 0.25, 0)])
        grid = on_training_grid(network([hidden], [projection], inputs={"input": 2}, n_steps=5))
        # Fires in step 1 with u = 2; the jump of step 1 is delivered, then the reset takes 1 off, or all.
        assert potential(grid, [(0, 0, 0), (0, 1, 1)])[2] == pytest.approx(left, abs=1e-6)


def test_a_pulse_is_a_current_of_its_width() -> None:
    hidden = neurons(tau_ms=20.0, theta=100.0)
    for width in (1, 3):
        projection = edges("input", "hidden", [(0, 0, 1.0, 1)], SynapseKind.PULSE, pulse_steps=width)
        grid = on_training_grid(network([hidden], [projection]))
        u, expected = 0.0, []
        for step in range(12):
            current = 1.0 if 3 <= step < 3 + width else 0.0  # emitted in 1, delayed by 1, acts from 3
            u = current + (u - current) * np.exp(-0.5)
            expected.append(u)
        np.testing.assert_allclose(potential(grid, [(0, 1, 0)]), expected, rtol=1e-12, atol=1e-15)


def test_an_exponential_current_follows_its_formula() -> None:
    hidden = neurons(tau_ms=20.0, theta=100.0)
    projection = edges("input", "hidden", [(0, 0, 1.0, 0)], SynapseKind.EXPONENTIAL, tau_syn_ms=5.0)
    t = 10.0 * np.arange(1, 12)
    expected = 5.0 / (20.0 - 5.0) * (np.exp(-t / 20.0) - np.exp(-t / 5.0))
    grid = on_training_grid(network([hidden], [projection]))
    np.testing.assert_allclose(potential(grid, [(0, 0, 0)])[1:], expected, rtol=1e-11)


PARAMETERS = {
    "ordinary": (20.0, 100.0, 0.5),
    "oscillatory": (20.0, 25.0, 6.0),
    "equal time constants, no coupling": (20.0, 20.0, 0.0),
    "equal time constants": (20.0, 20.0, 1.0),
    "equal to the synapse": (5.0, 5.0, 0.0),
    "stiff": (0.1, 1000.0, 0.3),
    "negative coupling": (30.0, 60.0, -0.8),
}


@pytest.mark.parametrize("name", list(PARAMETERS))
@pytest.mark.parametrize("step_ms", [10.0, 0.1])
def test_propagators_solve_the_differential_equations(name: str, step_ms: float) -> None:
    tau_u, tau_w, a = PARAMETERS[name]
    population = neurons(tau_ms=tau_u, tau_adaptation_ms=tau_w, a=a)
    p = propagator(population, 5.0, step_ms)
    u, w, i, c = 0.7, -0.3, 0.4, 0.2

    def slope(_: float, x: np.ndarray) -> list[float]:
        return [(-x[0] - x[1] + x[2] + c) / tau_u, (-x[1] + a * x[0]) / tau_w, -x[2] / 5.0]

    solved = solve_ivp(slope, (0, step_ms), [u, w, i], rtol=1e-11, atol=1e-13, method="Radau").y[:, -1]
    stepped = [
        p.u_u[0] * u + p.u_w[0] * w + p.u_i[0] * i + p.u_c[0] * c,
        p.w_u[0] * u + p.w_w[0] * w + p.w_i[0] * i + p.w_c[0] * c,
        p.i_i[0] * i,
    ]
    np.testing.assert_allclose(stepped, solved, rtol=1e-7, atol=1e-9)
    frozen = solve_ivp(lambda _, x: [(-x[0] + a * u) / tau_w], (0, step_ms), [w], rtol=1e-11, atol=1e-13).y[0, -1]
    assert p.frozen_w_u[0] * u + p.frozen_w_w[0] * w == pytest.approx(frozen, rel=1e-7)


@pytest.mark.parametrize("name", list(PARAMETERS))
def test_a_hundred_small_steps_are_one_large_step(name: str) -> None:
    tau_u, tau_w, a = PARAMETERS[name]
    population = neurons(tau_ms=tau_u, tau_adaptation_ms=tau_w, a=a)

    def matrix(p: object) -> np.ndarray:
        rows = [[f"{x}_{y}" for y in "uwic"] for x in "uw"]
        top = [[getattr(p, name)[0] for name in row] for row in rows]
        return np.array([*top, [0, 0, getattr(p, "i_i")[0], 0], [0, 0, 0, 1]])  # noqa: B009

    large, small = propagator(population, 5.0, 10.0), propagator(population, 5.0, 0.1)
    np.testing.assert_allclose(np.linalg.matrix_power(matrix(small), 100), matrix(large), rtol=1e-9, atol=1e-12)


def test_adaptation_keeps_running_while_the_membrane_is_frozen() -> None:
    hidden = neurons(tau_ms=20.0, tau_adaptation_ms=50.0, a=0.5, b=0.3, refractory_steps=4)
    grid = on_training_grid(network([hidden], [edges("input", "hidden", [(0, 0, 1.8, 0)])]))
    u = potential(grid, [(0, 0, 0)])
    assert u[1] >= 1.0  # fires in step 1
    np.testing.assert_array_equal(u[2:5], np.full(3, u[1] - 1.0))
    p = grid.populations[0].propagator
    w = p.w_u[0] * 1.8 + 0.3
    for _ in range(3):
        w = p.frozen_w_u[0] * u[2] + p.frozen_w_w[0] * w
    assert u[5] == p.u_u[0] * u[4] + p.u_w[0] * w


@given(st.integers(0, 5000), st.sampled_from([0.1, 0.5, 1.0, 2.5, 7.3, 10.0]), st.floats(-0.4, 0.4))
@settings(max_examples=200)
def test_times_round_as_in_brian2(k: int, step_ms: float, off: float) -> None:
    time_ms = max((k + off) * step_ms, 0.0)
    assert int(timestep(time_ms, step_ms)) == int(brian2_timestep(time_ms * 1e-3, step_ms * 1e-3))
    assert int(timestep(k * step_ms, step_ms)) == k
    assert int(delay_to_steps(time_ms, step_ms)) == k


def test_delays_round_as_in_brian2s_queues(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(brian2.prefs, "codegen.target", "numpy")
    delays_ms = np.array([0.0, 4.9, 5.1, 10.0, 14.99, 15.01, 99.9])
    source = brian2.SpikeGeneratorGroup(1, [0], [0] * brian2.ms, dt=10 * brian2.ms)
    target = brian2.NeuronGroup(len(delays_ms), "v : 1", dt=10 * brian2.ms)
    synapses = brian2.Synapses(source, target, on_pre="v_post += 1", dt=10 * brian2.ms)
    synapses.connect()
    synapses.delay = delays_ms * brian2.ms
    monitor = brian2.StateMonitor(target, "v", record=True, dt=10 * brian2.ms, when="end")
    brian2.Network(source, target, synapses, monitor).run(150 * brian2.ms, namespace={})
    arrived = np.argmax(np.asarray(monitor.v) > 0, axis=1)
    np.testing.assert_array_equal(arrived, delay_to_steps(delays_ms, 10.0))


def test_what_a_step_does_not_fit_is_rounded_and_said_or_refused() -> None:
    hidden = neurons(refractory_steps=0.25)  # 2.5 ms
    spec = network([hidden], [edges("input", "hidden", [(0, 0, 1.0, 0.26), (0, 0, 1.0, 1)], SynapseKind.PULSE)])
    grid = discretise(spec, 2.0)
    assert grid.populations[0].refractory_steps == 1
    assert grid.projections[0].delay_steps.tolist() == [1, 5]
    assert any("refractory period of hidden: 2.5 ms became 1 steps of 2.0 ms" in note for note in grid.roundings)
    assert any("1 of 2 delays of input->hidden" in note for note in grid.roundings)
    assert discretise(spec, 0.1).roundings == ()
    with pytest.raises(SpecError, match=r"duration of 120\.0 ms is no multiple"):
        discretise(spec, 7.0)
    with pytest.raises(SpecError, match="pulse width onto hidden"):
        discretise(spec, 20.0)
    for wrong in (0.0, -1.0, float("nan")):
        with pytest.raises(SpecError, match="must be above 0"):
            discretise(spec, wrong)


def test_rounded_weights_sum_to_the_same_bits_in_any_order() -> None:
    rng = np.random.default_rng(0)
    weight = rng.normal(0, 1, 500)
    quantum = weight_quantum(np.ones(3))
    rounded = round_weights(weight, quantum)
    orders = [rng.permutation(500) for _ in range(200)]
    assert len({float(np.add.accumulate(weight[order])[-1]) for order in orders}) > 1
    assert len({float(np.add.accumulate(rounded[order])[-1]) for order in orders}) == 1
    assert np.abs(rounded - weight).max() <= quantum / 2
    assert weight_quantum(np.array([0.3])) == 2.0**-22  # at most 2^-20 of the threshold
    with pytest.raises(SpecError, match="too large for exact sums"):
        round_weights(np.array([1e12]), quantum)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"tau_ms": 0.0}, "tau_membrane_ms"),
        ({"tau_ms": float("nan")}, "finite"),
        ({"theta": 0.0}, "threshold"),
        ({"a": -1.0}, "adaptation_coupling"),
        ({"reset_value": 1.0, "reset": Reset.TO_VALUE}, "below every threshold"),
        ({"refractory_steps": -1}, "refractory_ms"),
        ({"spiking": False, "a": 0.5}, "never spikes"),
        ({"name": "1st"}, "no valid name"),
        ({"size": 0}, "size 0"),
    ],
)
def test_impossible_populations_are_refused(change: dict[str, object], said: str) -> None:
    with pytest.raises(SpecError, match=said):
        neurons(**change)  # type: ignore[arg-type]


def test_impossible_networks_are_refused() -> None:
    hidden: Population = neurons(size=2)
    with pytest.raises(SpecError, match="no source named 'inptu'"):
        network([hidden], [edges("inptu", "hidden", [(0, 0, 1.0, 0)])])
    with pytest.raises(SpecError, match=r"target indices must be 0 \.\. 1"):
        network([hidden], [edges("input", "hidden", [(0, 2, 1.0, 0)])])
    with pytest.raises(SpecError, match="used twice"):
        network([hidden, hidden], [])
    with pytest.raises(SpecError, match="an input cannot be a target"):
        network([hidden], [edges("hidden", "input", [(0, 0, 1.0, 0)])])
    with pytest.raises(SpecError, match="never spikes, so it cannot be a source"):
        network([hidden], [edges("readout", "hidden", [(0, 0, 1.0, 0)])])
    mixed = [edges("input", "hidden", [(0, 0, 1.0, 0)], kind) for kind in (SynapseKind.DELTA, SynapseKind.PULSE)]
    with pytest.raises(SpecError, match="different synapses"):
        network([hidden], mixed)
    with pytest.raises(SpecError, match=r"delay_ms\[0\] is -10\.0"):
        edges("input", "hidden", [(0, 0, 1.0, -1)])
    spec = every_kind_network()
    with pytest.raises(SpecError, match="no population named 'x'"):
        spec.population("x")


def test_wrong_inputs_are_refused() -> None:
    grid = on_training_grid(network([neurons()], []))
    other = on_training_grid(network([neurons()], [], n_steps=13))
    with pytest.raises(SpecError, match=r"the network has inputs \['input'\], got \['x'\]"):
        run_reference(grid, {"x": played([], grid)["input"]})
    with pytest.raises(SpecError, match="13 steps of 10"):
        run_reference(grid, played([], other))
