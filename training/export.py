"""From a trained module to a network definition; whatever had to be decided on the way is written down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

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
from spikebridge.bridge.timing import aligned_delay_to_steps
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
    config, step_ms = network.config, network.config.data.step_ms
    source = INPUT_NAME
    populations: list[Population] = []
    projections: list[Projection] = []
    for number, layer in enumerate(network.layers):
        name = f"hidden{number + 1}" if layer.neurons.spiking else READOUT_NAME
        scale, shift = _folded(layer)
        population = _population(name, layer, shift)
        quantum = weight_quantum(population.threshold)
        weight = _numpy(layer.projection.weight).T * scale
        delay_ms = _numpy(layer.grid(step_ms).whole_steps(layer.projection.delay_ms)).T * step_ms
        projections.append(_dense(source, name, weight, delay_ms, layer, quantum))
        if layer.recurrent_weight is not None:
            recurrent = _numpy(layer.recurrent_weight)
            own_steps = int(layer.recurrent_grid(step_ms).whole_steps(torch.zeros(())))
            own_delay_ms = np.full_like(recurrent, own_steps * step_ms)
            own = _dense(name, name, recurrent, own_delay_ms, layer, quantum)
            projections.append(replace(own, latency_steps=layer.own_latency_steps))
        populations.append(population)
        source = name
    return NetworkSpec(
        inputs=(Input(INPUT_NAME, config.data.channels),),
        populations=tuple(populations),
        projections=tuple(projections),
        readout=Readout(READOUT_NAME, Decoding(config.network.decoding)),
        training_step_ms=config.data.step_ms,
        duration_ms=config.data.duration_ms,
        decisions=(*_decisions(config), *_started(metadata)),
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
        latency_steps=layer.latency_steps,
    )


def _decisions(config: TrainingConfig) -> tuple[Decision, ...]:
    step, reference = config.data.step_ms, config.reference_step_ms
    recurrent = float(aligned_delay_to_steps(0.0, config.latency_steps(from_input=False), reference, step)) * step
    decisions = [
        Decision("training steps", _trained_steps(config)),
        Decision("refractory period", _refractoriness(config)),
        Decision("latency", _latency(config)),
        Decision("delays", f"rounded to whole steps of {step:g} ms, the grid of the export, halves up"),
        Decision(
            "recurrent delays",
            f"{recurrent:g} ms: what a grid of {reference:g} ms is later by itself than one of {step:g} ms"
            if recurrent
            else "none: a spike acts on its own population from the next step on",
        ),
        Decision("weights", f"rounded to multiples of 2^-{WEIGHT_BITS} of the threshold, so that sums are exact"),
        Decision("initial state", "zero, at the start of every sample"),
    ]
    if config.network.synapse == "pulse":
        why = "as configured" if config.network.pulse_ms is not None else "the reference step of the training"
        decisions.append(Decision("pulse width", f"{config.pulse_ms:g} ms, {why}"))
    if config.network.batch_norm:
        text = f"folded into weights and a constant current; its statistics count arrivals over {reference:g} ms"
        decisions.append(Decision("batch normalisation", text))
    if config.network.dropout:
        decisions.append(Decision("dropout", "none outside training"))
    return tuple(decisions)


def _started(metadata: Mapping[str, str]) -> tuple[Decision, ...]:
    """That the network was trained elsewhere before, with the steps of that training in its own file."""
    if "start" not in metadata:
        return ()
    return (Decision("start", f"the network of another training, {metadata['start']}, trained further"),)


def _trained_steps(config: TrainingConfig) -> str:
    phases = (
        f"{phase.share:.0%} of the epochs at {' or '.join(f'{step:g}' for step in phase.steps_ms)} ms"
        for phase in config.phases
    )
    return "; then ".join(phases) + "; inputs at their true times in each"


def _refractoriness(config: TrainingConfig) -> str:
    refractory, coarsest, finest = config.refractory_ms, config.steps_ms[0], config.steps_ms[-1]
    if config.neuron.refractory_ms is None:
        return (
            f"{refractory:g} ms, the reference step of the training: the refractoriness that this grid has by itself, "
            f"made explicit, so that no step can fire above {1000 / refractory:g} Hz per neuron"
        )
    said = f"{refractory:g} ms, as configured"
    if refractory < finest:
        return said + (
            f"; shorter than the training step of {finest:g} ms, so a simulation at a finer step may fire faster "
            "than the training could"
        )
    return said + (
        f"; without effect on training steps above it, up to {coarsest:g} ms" if refractory < coarsest else ""
    )


def _latency(config: TrainingConfig) -> str:
    if not config.schedule.align:
        return (
            "not aligned: a grid of step h adds h / 2 to every delay on average, so at a finer step everything happens "
            "earlier than in training"
        )
    step, reference = config.data.step_ms, config.reference_step_ms
    jumps = ", from neurons driven by jumps a whole one" if config.network.synapse == "delta" else ""
    said = (
        f"a grid adds half a step to every delay by itself{jumps}; a finer one makes up for what the training's added"
    )
    if reference > step:
        said += f"; delays from inputs are {(reference - step) / 2:g} ms longer here than on the reference grid"
    return said
