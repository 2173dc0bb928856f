"""PyTorch as an executor of an exported network: the reference that simulations are compared with."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from spikebridge.bridge.decoding import decode
from spikebridge.bridge.discretise import GridNetwork, GridPopulation, GridProjection, discretise
from spikebridge.bridge.errors import SpecError
from spikebridge.bridge.network_file import network_sha256
from spikebridge.bridge.provenance import versions
from spikebridge.bridge.recording import Recording, Trials
from spikebridge.bridge.spec import NetworkSpec
from spikebridge.bridge.spikes import SpikeTrains, bin_events
from spikebridge.training.event_projection import event_projection
from spikebridge.training.fused_scan import fused_scan
from spikebridge.training.propagators import exported_step
from spikebridge.training.scan import NeuronTensors, scan
from spikebridge.training.surrogate import Surrogate

MAX_SAMPLE_STEPS = 16_000
"""Samples times steps of one batch: tens of megabytes per array, which are used again instead of mapped anew."""


def run_pytorch(
    spec: NetworkSpec,
    trials: Trials,
    *,
    step_ms: float,
    batch_size: int = 128,
    kernels: Literal["fused", "plain"] = "fused",
    keep_readout: bool | None = None,
) -> Recording:
    """Run an exported network in float64, with the weights and propagators every other executor uses.

    Args:
        spec: the network.
        trials: inputs and labels.
        step_ms: time step.
        batch_size: samples at once, at most; fewer where they have many steps. Does not change the result.
        kernels: the compiled loops of the training, or PyTorch's own operations; the bits are the same.
        keep_readout: store readout traces, samples x steps x classes float64; by default on the training grid only.

    Raises:
        SpecError: the network is no chain of populations with recurrence within each, which is what is trained here.
    """
    network = discretise(spec, step_ms)
    trains, crop = bin_events(trials.events, step_ms, network.n_steps)
    name = spec.inputs[0].name
    batch_size = max(min(batch_size, MAX_SAMPLE_STEPS // network.n_steps), 1)
    fused = kernels == "fused"
    parts: dict[str, list[SpikeTrains]] = {population: [] for population in spec.spiking_populations}
    keep = step_ms == spec.training_step_ms if keep_readout is None else keep_readout
    readouts, scores = [], []
    for picked in np.split(np.arange(trials.n_samples), range(batch_size, trials.n_samples, batch_size)):
        counts = torch.from_numpy(trains.select(picked).counts("float64"))
        fired, potentials = run_batch(network, {name: counts}, fused=fused)
        for population, found in parts.items():
            found.append(SpikeTrains.from_counts(fired[population].numpy(), step_ms))
        readout = potentials[spec.readout.population].numpy()
        rule = spec.readout.decoding
        scores.append(decode(readout, rule, step_ms=step_ms, training_step_ms=spec.training_step_ms))
        if keep:
            readouts.append(readout)
    spikes = {population: SpikeTrains.joined(found) for population, found in parts.items()}
    return Recording(
        executor="pytorch",
        network_sha256=network_sha256(spec),
        step_ms=step_ms,
        n_steps=network.n_steps,
        trials=trials,
        spikes=spikes,
        scores=np.concatenate(scores),
        readout=np.concatenate(readouts) if keep else None,
        provenance={**versions("torch", "numba"), "crop": str(crop), "precision": "float64", "kernels": kernels},
    )


@torch.no_grad()
def run_batch(
    network: GridNetwork, inputs: dict[str, Tensor], *, fused: bool = True
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Spikes per spiking population and potentials per population, from input counts (samples, steps, channels)."""
    emitted: dict[str, Tensor] = dict(inputs)
    spikes: dict[str, Tensor] = {}
    potentials: dict[str, Tensor] = {}
    like = next(iter(inputs.values()))
    for grid in network.populations:
        name, size = grid.population.name, grid.population.size
        arrivals = like.new_zeros((*like.shape[:2], size))
        recurrent: dict[int, Tensor] = {}
        for projection in network.projections:
            if projection.projection.target != name:
                continue
            source = projection.projection.source
            if source == name:
                for delay, weight in weights_per_delay(projection, size, size).items():
                    recurrent[delay] = recurrent.get(delay, 0) + weight
            elif source in emitted:
                arrivals += _delayed(emitted[source], projection, size, fused=fused)
            else:
                raise SpecError(
                    f"projection {projection.projection.label} runs backwards; PyTorch runs chains of populations with "
                    "recurrence within each"
                )
        run = fused_scan if fused else scan
        fired, potentials[name] = run(neuron_tensors(grid), arrivals, Surrogate("boxcar", 1.0), recurrent)
        if grid.population.spiking:
            emitted[name] = spikes[name] = fired
    return spikes, potentials


def neuron_tensors(grid: GridPopulation) -> NeuronTensors:
    """A population on its grid, as `scan` runs it, in float64."""
    population = grid.population
    return NeuronTensors(
        step=exported_step(grid.propagator),
        threshold=torch.tensor(population.threshold),
        bias=torch.tensor(population.bias),
        adaptation_jump=torch.tensor(population.adaptation_jump),
        adaptive=population.adaptive,
        synapse=grid.synapse,
        pulse_steps=grid.pulse_steps,
        refractory_steps=grid.refractory_steps,
        reset=population.reset,
        reset_value=population.reset_value,
        spiking=population.spiking,
    )


def weights_per_delay(grid: GridProjection, sources: int, targets: int) -> dict[int, Tensor]:
    """A dense (sources, targets) matrix for each delay in steps that occurs."""
    edges = grid.projection
    matrices: dict[int, Tensor] = {}
    for delay in np.unique(grid.delay_steps).tolist():
        picked = grid.delay_steps == delay
        index = (torch.tensor(edges.source_index[picked]).long(), torch.tensor(edges.target_index[picked]).long())
        matrix = torch.zeros(sources, targets, dtype=torch.float64)
        matrices[delay] = matrix.index_put_(index, torch.tensor(edges.weight[picked]), accumulate=True)
    return matrices


def _delayed(spikes: Tensor, projection: GridProjection, targets: int, *, fused: bool) -> Tensor:
    """Arrivals (samples, steps, targets): a spike of step k with delay m arrives in step k + m."""
    if fused:
        arrivals = spikes.new_zeros((*spikes.shape[:2], targets))
        for weight, lag in _one_synapse_per_pair(projection, spikes.shape[2], targets):
            arrivals += event_projection(spikes, weight[..., None], lag)
        return arrivals
    samples, steps, sources = spikes.shape
    arrivals = spikes.new_zeros((samples, steps, targets))
    for delay, matrix in weights_per_delay(projection, sources, targets).items():
        if delay < steps:
            arrivals[:, delay:] += spikes[:, : steps - delay] @ matrix
    return arrivals


def _one_synapse_per_pair(grid: GridProjection, sources: int, targets: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Weights and delays in steps, (targets, sources) each: the first synapse of every pair, then the second, ..."""
    edges = grid.projection
    pair = edges.target_index.astype(np.int64) * sources + edges.source_index
    left = np.arange(pair.size)
    while left.size:
        _, first = np.unique(pair[left], return_index=True)
        picked = left[first]
        weight, lag = np.zeros(targets * sources), np.zeros(targets * sources, dtype=np.int32)
        weight[pair[picked]], lag[pair[picked]] = edges.weight[picked], grid.delay_steps[picked]
        yield torch.from_numpy(weight.reshape(targets, sources)), torch.from_numpy(lag.reshape(targets, sources))
        left = np.delete(left, first)
