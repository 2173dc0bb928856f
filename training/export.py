"""From a trained module to a network definition; whatever had to be decided on the way is written down."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from spikebridge.bridge.arrays import FloatArray
from spikebridge.bridge.decoding import Decoding
from spikebridge.bridge.rounding import WEIGHT_BITS, round_weights, weight_quantum
from spikebridge.bridge.spec import (
    Decision,
    Input,
    NetworkSpec,
    Population,
    Projection,
    Readout,
)
from spikebridge.training.config import TrainingConfig
from spikebridge.training.network import Layer, SpikingNetwork

INPUT_NAME = "input"
READOUT_NAME = "readout"


@torch.no_grad()
def export(network: SpikingNetwork, metadata: Mapping[str, str]) -> NetworkSpec:
    """The trained network as every executor runs it.

    Delays become whole training steps, weights multiples of 2^-20 of the threshold (so that sums are exact in any
    order), batch normalisation becomes weights and a constant current.
    """
    config, grid = network.config, network.grid()
    source = INPUT_NAME
    populations: list[Population] = []
    projections: list[Projection] = []
    for number, layer in enumerate(network.layers):
        name = f"hidden{number + 1}" if layer.neurons.spiking else READOUT_NAME
        scale, shift = _folded(layer)
        population = _population(name, layer, shift)
        quantum = weight_quantum(population.threshold)
        weight = _numpy(layer.projection.weight).T * scale
        delay_ms = _numpy(grid.whole_steps(layer.projection.delay_ms)).T * grid.step_ms
        projections.append(_dense(source, name, weight, delay_ms, layer, quantum))
        if layer.recurrent_weight is not None:
            recurrent = _numpy(layer.recurrent_weight)
            own_delay_ms = np.full_like(recurrent, float(grid.whole_steps(torch.zeros(()))) * grid.step_ms)
            projections.append(_dense(name, name, recurrent, own_delay_ms, layer, quantum))
        populations.append(population)
        source = name
    return NetworkSpec(
        inputs=(Input(INPUT_NAME, config.data.channels),),
        populations=tuple(populations),
        projections=tuple(projections),
        readout=Readout(READOUT_NAME, Decoding(config.network.decoding)),
        training_step_ms=config.data.step_ms,
        duration_ms=config.data.duration_ms,
        grid_latency_ms=config.data.step_ms / 2 if config.schedule.align else 0.0,
        decisions=_decisions(config),
        metadata=metadata,
    )


def _numpy(tensor: Tensor) -> FloatArray:
    return tensor.detach().cpu().double().numpy()


def _folded(layer: Layer) -> tuple[FloatArray, FloatArray]:
    """Scale of the incoming weights and shift of the constant current, (size,) each."""
    size = layer.neurons.size
    if layer.norm is None:
        return np.ones(size), np.zeros(size)
    layer.norm.eval()
    scale, shift = layer.norm(torch.empty(0))
    return _numpy(scale), _numpy(shift)


def _population(name: str, layer: Layer, shift: FloatArray) -> Population:
    neurons = layer.neurons
    values = {key: _numpy(value) for key, value in neurons.values().items()}
    return Population(
        name=name,
        size=neurons.size,
        tau_membrane_ms=values["tau_membrane_ms"],
        tau_adaptation_ms=values["tau_adaptation_ms"],
        adaptation_coupling=values["adaptation_coupling"],
        adaptation_jump=values["adaptation_jump"],
        threshold=np.ones(neurons.size),
        bias=_numpy(neurons.bias) + shift,
        reset=neurons.reset,
        reset_value=neurons.reset_value,
        refractory_ms=neurons.refractory_ms,
        spiking=neurons.spiking,
    )


def _dense(
    source: str, target: str, weight: FloatArray, delay_ms: FloatArray, layer: Layer, quantum: float
) -> Projection:
    """All synapses with a weight other than 0 after rounding; arrays are (sources, targets)."""
    rounded = round_weights(weight, quantum)
    source_index, target_index = np.nonzero(rounded)
    return Projection(
        source=source,
        target=target,
        source_index=source_index.astype(np.int32),
        target_index=target_index.astype(np.int32),
        weight=rounded[source_index, target_index],
        delay_ms=delay_ms[source_index, target_index],
        synapse=layer.neurons.synapse,
        pulse_ms=layer.neurons.pulse_ms,
        tau_syn_ms=layer.neurons.tau_syn_ms,
    )


def _decisions(config: TrainingConfig) -> tuple[Decision, ...]:
    step = config.data.step_ms
    refractory = config.neuron.refractory_ms
    if refractory is None:
        said = (
            f"{step:g} ms, one training step: the refractoriness that the training grid has by itself, made explicit, "
            f"so that no step can fire above {1000 / step:g} Hz per neuron"
        )
    else:
        said = f"{refractory:g} ms, as configured"
        if refractory < step:
            said += (
                f"; shorter than the training step of {step:g} ms, so a simulation at a finer step may fire faster "
                "than the training could"
            )
    decisions = [
        Decision("refractory period", said),
        Decision("delays", f"rounded to whole training steps of {step:g} ms, halves up"),
        Decision("recurrent delays", "none: a spike acts on its own population from the next step on"),
        Decision("weights", f"rounded to multiples of 2^-{WEIGHT_BITS} of the threshold, so that sums are exact"),
        Decision("initial state", "zero, at the start of every sample"),
    ]
    if config.network.synapse == "pulse":
        decisions.append(Decision("pulse width", f"{step:g} ms, the training step"))
    if config.network.batch_norm:
        decisions.append(Decision("batch normalisation", "folded into weights and a constant current"))
    if config.network.dropout:
        decisions.append(Decision("dropout", "none outside training"))
    return tuple(decisions)
