"""What Brian2 is told: readable equations, and only the terms that apply."""

import numpy as np
import pytest
from networks import edges, every_kind_network, network, neurons, on_training_grid

from spikebridge.bridge.equations import BrianModel, brian_model
from spikebridge.bridge.spec import Population, Reset, SynapseKind


def model(population: Population, kind: SynapseKind = SynapseKind.DELTA, pulse_steps: int = 1) -> BrianModel:
    projection = edges("input", population.name, [(0, 0, 1.0, 0)], kind, pulse_steps=pulse_steps)
    return brian_model(on_training_grid(network([population], [projection])).populations[0])


def test_a_leaky_integrator_has_nothing_but_its_leak() -> None:
    made = model(neurons(spiking=False, refractory_steps=3))
    assert made.equations.splitlines() == [
        "du/dt = (-u + current) / tau_u : 1",
        "current = bias : 1",
        "arrivals : 1",
        "tau_u : second (constant)",
        "bias : 1 (constant)",
        "u_u : 1 (constant)",
        "u_c : 1 (constant)",
    ]
    assert made.update == "_new_u = u_u * u + u_c * bias\nu = _new_u"
    assert (made.threshold, made.reset, made.refractory_steps) == (None, None, 0)
    assert made.state == ("u", "arrivals")


def test_the_adaptive_neuron_reads_as_the_model_is_written() -> None:
    made = model(neurons(a=0.5, b=0.2, refractory_steps=2), SynapseKind.EXPONENTIAL)
    assert made.equations.splitlines()[:4] == [
        "du/dt = (-u - w + current) / tau_u : 1 (unless refractory)",
        "current = bias + i_syn : 1",
        "dw/dt = (-w + a * u) / tau_w : 1",
        "di_syn/dt = -i_syn / tau_syn : 1",
    ]
    assert made.update.splitlines() == [
        "_new_u = u_u * u + u_w * w + u_i * i_syn + u_c * bias",
        "w = int(not_refractory) * (w_u * u + w_w * w + w_i * i_syn + w_c * bias)"
        " + (1 - int(not_refractory)) * (frozen_w_u * u + frozen_w_w * w)",
        "i_syn = i_i * i_syn",
        "u = _new_u",
    ]
    assert (made.threshold, made.reset) == ("u >= theta", "u -= theta\nw += b")
    assert made.constants["tau_w"] == pytest.approx(0.1)  # seconds
    assert made.state == ("u", "arrivals", "w", "i_syn")


@pytest.mark.parametrize(
    ("kind", "pulse_steps", "deliver", "off_steps"),
    [
        (SynapseKind.DELTA, 1, "u += arrivals", 0),
        (SynapseKind.EXPONENTIAL, 1, "i_syn += arrivals", 0),
        (SynapseKind.PULSE, 1, "i_pulse = arrivals", 0),
        (SynapseKind.PULSE, 3, "i_pulse += arrivals", 3),
    ],
)
def test_arrivals_are_summed_and_delivered_once(
    kind: SynapseKind, pulse_steps: int, deliver: str, off_steps: int
) -> None:
    made = model(neurons(), kind, pulse_steps)
    assert made.on_pre == "arrivals_post += weight"
    assert made.deliver == f"{deliver}\narrivals = 0"
    assert made.off_steps == off_steps
    assert made.off_pre == ("arrivals_post -= weight" if off_steps else None)


def test_without_refractoriness_nothing_freezes() -> None:
    made = model(neurons(a=0.5))
    assert "refractory" not in made.equations + made.update
    assert "frozen_w_u" not in made.constants


def test_a_reset_value_is_a_parameter() -> None:
    made = model(neurons(reset=Reset.TO_VALUE, reset_value=np.float64(-0.25)))
    assert made.reset == "u = u_reset"
    assert (made.constants["u_reset"] == -0.25).all()


def test_every_parameter_has_a_value_per_neuron_and_every_name_is_declared() -> None:
    for grid in on_training_grid(every_kind_network()).populations:
        made = brian_model(grid)
        declared = {line.split(" : ")[0] for line in made.equations.splitlines() if line.endswith("(constant)")}
        assert declared == set(made.constants)
        assert {values.shape for values in made.constants.values()} == {(grid.population.size,)}
