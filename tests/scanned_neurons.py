"""Random populations as `scan` runs them."""

from typing import Any

import numpy as np
import torch

from spikebridge.bridge.discretise import propagator
from spikebridge.bridge.spec import Population, Reset, SynapseKind
from spikebridge.training.propagators import exported_step
from spikebridge.training.scan import NeuronTensors


def random_neuron(case: dict[str, Any], rng: np.random.Generator, size: int) -> NeuronTensors:
    adaptive = case["adaptive"] and case["spiking"]
    tau_u = rng.uniform(3, 30, size)
    population = Population(
        name="p",
        size=size,
        tau_membrane_ms=tau_u,
        tau_adaptation_ms=tau_u * rng.uniform(0.7, 1.5, size) if case["oscillatory"] else rng.uniform(5, 100, size),
        adaptation_coupling=rng.uniform(1, 8, size) * adaptive,
        adaptation_jump=rng.uniform(0, 1, size) * adaptive,
        threshold=np.ones(size),
        bias=rng.normal(0, 0.3, size),
        spiking=case["spiking"],
    )
    pulse = case["synapse"] is SynapseKind.PULSE
    tau_syn_ms = 5.0 if case["synapse"] is SynapseKind.EXPONENTIAL else None
    return NeuronTensors(
        step=exported_step(propagator(population, tau_syn_ms, 1.0)),
        threshold=torch.tensor(population.threshold),
        bias=torch.tensor(population.bias),
        adaptation_jump=torch.tensor(population.adaptation_jump),
        adaptive=adaptive,
        synapse=case["synapse"],
        pulse_steps=case["pulse_steps"] if pulse else 0,
        refractory_steps=case["refractory_steps"] if case["spiking"] else 0,
        reset=case["reset"],
        reset_value=-0.3 if case["reset"] is Reset.TO_VALUE else 0.0,
        spiking=case["spiking"],
        slope_while_frozen=case.get("slope_while_frozen", False),
    )
