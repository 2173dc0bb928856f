"""A disturbed population as Brian2 text and numbers: what noise of the membrane and failing synapses add to its model.

The code calls two functions that the simulation provides, which depend on nothing but their arguments:

- `membrane_noise(amplitude, seed, sample, stream, neuron, step)` is normal with standard deviation `amplitude`;
- `transmitted(failure, seed, sample, stream, edge, spike)` is 1 with probability 1 - failure, else 0.

A pulse is switched off by another pathway than on. The spike's number at its synapse, which each of them counts, tells
both the same about it.
"""

from __future__ import annotations

from dataclasses import replace

from spikebridge.bridge.discretise import GridPopulation
from spikebridge.bridge.disturbance import Disturbance, noise_per_step
from spikebridge.bridge.equations import BrianModel

SEED = "disturbance_seed"
SAMPLE = "sample"
FAILURE = "failure"
EDGE = "edge"
COUNTERS = {"pre": "spikes_on", "off": "spikes_off"}
"""By pathway, the variable of a synapse that counts the spikes of a sample that came to it."""


def disturbed_model(
    model: BrianModel, grid: GridPopulation, disturbance: Disturbance, *, order: int, step_ms: float
) -> BrianModel:
    """The model of a population with noise of the membrane, where it spikes, and with synapses that fail.

    Neurons have the variables `sample`, the number of the sample they run, and `disturbance_seed`, 64 bits and shared;
    synapses have `failure`, shared, and `edge`, their number within the projection.

    Args:
        model: of the undisturbed population, with or without units.
        grid: the population on its grid.
        disturbance: its amplitudes are numbers of the model, not text.
        order: place of the population in the network.
        step_ms: of the grid.
    """
    equations = f"{model.equations}\n{SAMPLE} : integer\n{SEED} : integer (constant, shared)"
    update, constants, units = model.update, dict(model.constants), dict(model.units)
    if grid.population.spiking:
        amplitude, unit = f"{model.potential}_noise", "1" if model.potential == "u" else "volt"
        # Brian2 drops a write to a variable marked (unless refractory), so a refractory neuron stays as it is.
        neuron = f"i % {grid.population.size}"
        noise = f"membrane_noise({amplitude}, {SEED}, {SAMPLE}, {2 * order}, {neuron}, t_in_timesteps)"
        update = f"{update}\n{model.potential} += {noise}"
        equations = f"{equations}\n{amplitude} : {unit} (constant)"
        constants[amplitude] = model.potential_unit * noise_per_step(
            grid.population, disturbance.membrane_noise, step_ms
        )
        units[amplitude] = unit
    counters = [COUNTERS["pre"]] if model.off_pre is None else list(COUNTERS.values())
    synapse = [
        model.synapse,
        f"{EDGE} : integer (constant)",
        f"{FAILURE} : 1 (constant, shared)",
        *(f"{counter} : 1" for counter in counters),
    ]
    return replace(
        model,
        equations=equations,
        update=update,
        synapse="\n".join(synapse),
        constants=constants,
        units=units,
        calls=("membrane_noise", "transmitted"),
        counters=tuple(counters),
    )


def failing(code: str, pathway: str, order: int) -> str:
    """The code of a pathway, which ends with the weight that it adds or takes off, for spikes that may be lost.

    Args:
        code: `on_pre` or `off_pre` of a model.
        pathway: `pre` or `off`.
        order: place of the projection in the network.
    """
    counter = COUNTERS[pathway]
    arguments = f"{FAILURE}, {SEED}_post, {SAMPLE}_post, {2 * order + 1}, {EDGE}, {counter}"
    return f"{counter} += 1\n{code} * transmitted({arguments})"
