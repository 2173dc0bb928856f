"""Physical units: the formulas by hand, and what is refused."""

import numpy as np
import pytest
from networks import edges, every_kind_network, network, neurons, on_training_grid

from spikebridge.bridge.equations import BrianModel, brian_model
from spikebridge.bridge.equations_physical import physical_model
from spikebridge.bridge.errors import ConfigError
from spikebridge.bridge.physical import PhysicalUnits, physical_population
from spikebridge.bridge.spec import Population, Reset, SynapseKind


def model(population: Population, kind: SynapseKind, pulse_steps: int = 1) -> BrianModel:
    projection = edges("input", population.name, [(0, 0, 1.0, 0)], kind, pulse_steps=pulse_steps)
    grid = on_training_grid(network([population], [projection])).populations[0]
    return physical_model(grid, PhysicalUnits())


def test_the_defaults_are_200_pf_between_minus_70_and_minus_50_mv() -> None:
    units = PhysicalUnits()
    assert (units.rest_mv, units.threshold_mv, units.capacitance_pf, units.leak_ns) == (-70.0, -50.0, 200.0, None)
    assert units.scale_mv == 20.0
    assert str(units) == "physical (C = 200.0 pF, g_L = C / tau, E_L = -70.0 mV, V_th = -50.0 mV at theta = 1)"
    leak = PhysicalUnits(leak_ns=12.5, rest_mv=-65.25)
    assert str(leak) == "physical (g_L = 12.5 nS, C = g_L tau, E_L = -65.25 mV, V_th = -50.0 mV at theta = 1)"


def test_a_population_worked_by_hand() -> None:
    """C = 200 pF and tau = 20 ms give g_L = 10 nS; with s = 20 mV, a current of 1 is 20 mV * 10 nS = 200 pA."""
    two = neurons(size=2, a=0.5, b=0.25, bias=0.1, theta=1.0, reset=Reset.TO_VALUE, reset_value=-0.5)
    theta, tau_ms = np.array([1.0, 1.5]), np.array([20.0, 10.0])
    mixed = Population(
        "hidden",
        2,
        tau_ms,
        two.tau_adaptation_ms,
        two.adaptation_coupling,
        two.adaptation_jump,
        theta,
        two.bias,
        two.reset,
        two.reset_value,
    )
    found = physical_population(mixed, PhysicalUnits())
    assert found.leak_ns.tolist() == [10.0, 20.0]
    assert found.capacitance_pf.tolist() == [200.0, 200.0]
    assert found.threshold_mv.tolist() == [20.0, 30.0]  # above rest: -50 mV, and -40 mV where theta is 1.5
    assert found.rest_mv.tolist() == [-70.0, -70.0]
    assert found.reset_mv.tolist() == [-10.0, -10.0]
    assert found.current_scale_pa.tolist() == [200.0, 400.0]
    assert found.bias_pa.tolist() == pytest.approx([20.0, 40.0])
    assert found.coupling_ns.tolist() == [5.0, 10.0]
    assert found.jump_pa.tolist() == [50.0, 100.0]
    given_leak = physical_population(mixed, PhysicalUnits(leak_ns=10.0))
    assert given_leak.capacitance_pf.tolist() == [200.0, 100.0]
    assert given_leak.leak_ns.tolist() == [10.0, 10.0]
    assert given_leak.current_scale_pa.tolist() == [200.0, 200.0]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"capacitance_pf": 100.0, "leak_ns": 10.0}, "give one of them"),
        ({"capacitance_pf": -1.0}, "capacitance_pf is -1.0; it must be above 0"),
        ({"capacitance_pf": 0.0}, "capacitance_pf is 0.0; it must be above 0"),
        ({"leak_ns": -3.0}, "leak_ns is -3.0; it must be above 0"),
        ({"threshold_mv": -80.0}, "threshold_mv is -80.0 and rest_mv is -70.0; the threshold must lie above rest"),
        ({"rest_mv": -50.0}, "must lie above rest"),
        ({"rest_mv": float("nan")}, "rest_mv is nan; it must be a finite number"),
        ({"threshold_mv": float("inf")}, "threshold_mv is inf"),
        ({"leak_ns": float("inf")}, "leak_ns is inf"),
    ],
)
def test_impossible_units_are_refused(changes: dict[str, float], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        PhysicalUnits(**changes)


def test_the_adaptive_neuron_reads_as_a_neuroscientist_writes_it() -> None:
    made = model(neurons(a=0.5, b=0.2, refractory_steps=2), SynapseKind.EXPONENTIAL)
    assert made.equations.splitlines()[:6] == [
        "dv/dt = (-g_L * (V - E_L) - w + I) / C : volt (unless refractory)",
        "V = E_L + v : volt",
        "I = I_bias + I_syn : amp",
        "dw/dt = (-w + a * (V - E_L)) / tau_w : amp",
        "dI_syn/dt = -I_syn / tau_syn : amp",
        "V_th = E_L + v_th : volt",
    ]
    assert made.update.splitlines() == [
        "_new_v = v_v * v + v_w * w + v_i * I_syn + v_c * I_bias",
        "w = int(not_refractory) * (w_v * v + w_w * w + w_i * I_syn + w_c * I_bias)"
        " + (1 - int(not_refractory)) * (frozen_w_v * v + frozen_w_w * w)",
        "I_syn = i_i * I_syn",
        "v = _new_v",
    ]
    assert (made.threshold, made.reset) == ("v >= v_th", "v -= v_th\nw += b")
    assert made.constants["g_L"] == pytest.approx(10e-9)  # 200 pF / 20 ms
    assert made.constants["a"] == pytest.approx(5e-9)
    assert made.state == ("v", "arrivals", "w", "I_syn")
    assert (made.potential, made.potential_unit) == ("v", 0.02)


@pytest.mark.parametrize(
    ("kind", "pulse_steps", "deliver", "weight"),
    [
        (SynapseKind.DELTA, 1, "v += v_unit * arrivals", "J = weight * v_unit_post : volt"),
        (SynapseKind.EXPONENTIAL, 1, "I_syn += I_unit * arrivals", "J = weight * I_unit_post : amp"),
        (SynapseKind.PULSE, 1, "pulses = arrivals", "J = weight * I_unit_post : amp"),
        (SynapseKind.PULSE, 3, "pulses += arrivals", "J = weight * I_unit_post : amp"),
    ],
)
def test_arrivals_stay_exact_and_are_converted_once(
    kind: SynapseKind, pulse_steps: int, deliver: str, weight: str
) -> None:
    made = model(neurons(), kind, pulse_steps)
    assert made.on_pre == "arrivals_post += weight"
    assert made.deliver == f"{deliver}\narrivals = 0"
    assert made.synapse.splitlines() == ["weight : 1 (constant)", weight]


def test_every_physical_parameter_has_a_unit_and_a_value_per_neuron() -> None:
    for grid in on_training_grid(every_kind_network()).populations:
        made, plain = physical_model(grid, PhysicalUnits()), brian_model(grid)
        lines = [line for line in made.equations.splitlines() if line.endswith("(constant)")]
        assert lines == [f"{name} : {made.units[name]} (constant)" for name in made.constants]
        assert {values.shape for values in made.constants.values()} == {(grid.population.size,)}
        assert set(plain.units.values()) <= {"1", "second"}
        assert (made.off_pre, made.off_steps, made.refractory_steps) == (
            plain.off_pre,
            plain.off_steps,
            plain.refractory_steps,
        )
