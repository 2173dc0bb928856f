"""PyTorch as an executor of an exported network: the reference that simulations are compared with."""

from __future__ import annotations

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
from spikebridge.training.propagators import exported_step
from spikebridge.training.scan import NeuronTensors, scan
from spikebridge.training.surrogate import Surrogate


def run_pytorch(spec: NetworkSpec, trials: Trials, *, step_ms: float, batch_size: int = 128) -> Recording:
    """Run an exported network in float64, with the weights and propagators every other executor uses.

    Raises:
        SpecError: the network is no chain of populations with recurrence within each, which is what is trained here.
    """
    network = discretise(spec, step_ms)
    trains, crop = bin_events(trials.events, step_ms, network.n_steps)
    name = spec.inputs[0].name
    parts = [
        run_batch(network, {name: torch.from_numpy(trains.select(picked).counts("float64"))})
        for picked in np.split(np.arange(trials.n_samples), range(batch_size, trials.n_samples, batch_size))
    ]
    spikes = {
        population: SpikeTrains.from_counts(torch.cat([part[0][population] for part in parts]).numpy(), step_ms)
        for population in spec.spiking_populations
    }
    readout = torch.cat([part[1][spec.readout.population] for part in parts]).numpy()
    return Recording(
        executor="pytorch",
        network_sha256=network_sha256(spec),
        step_ms=step_ms,
        n_steps=network.n_steps,
        trials=trials,
        spikes=spikes,
        scores=decode(readout, spec.readout.decoding, step_ms=step_ms, training_step_ms=spec.training_step_ms),
        readout=readout,
        provenance={**versions("torch"), "crop": str(crop), "precision": "float64"},
    )


@torch.no_grad()
def run_batch(network: GridNetwork, inputs: dict[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
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
                arrivals += _delayed(
                    emitted[source], weights_per_delay(projection, emitted[source].shape[2], size), size
                )
            else:
                raise SpecError(
                    f"projection {projection.projection.label} runs backwards; PyTorch runs chains of populations with "
                    "recurrence within each"
                )
        fired, potentials[name] = scan(neuron_tensors(grid), arrivals, Surrogate("boxcar", 1.0), recurrent)
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


def _delayed(spikes: Tensor, matrices: dict[int, Tensor], targets: int) -> Tensor:
    """Arrivals (samples, steps, targets): a spike of step k with delay m arrives in step k + m."""
    samples, steps, _ = spikes.shape
    arrivals = spikes.new_zeros((samples, steps, targets))
    for delay, matrix in matrices.items():
        if delay < steps:
            arrivals[:, delay:] += spikes[:, : steps - delay] @ matrix
    return arrivals
