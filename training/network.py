"""The trainable network: a chain of hidden populations, each optionally recurrent, and a leaky readout."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn

from spikebridge.training.config import TrainingConfig
from spikebridge.training.delays import SIGMA_END_STEPS, DelayedProjection
from spikebridge.training.fused_scan import fused_scan
from spikebridge.training.gpu_kernels import kernels_for, scan_on_card
from spikebridge.training.memory import keep_freed_memory
from spikebridge.training.moments import normalised
from spikebridge.training.neurons import Neurons, exact_steps
from spikebridge.training.propagators import StepTensors
from spikebridge.training.scan import NeuronTensors, scan
from spikebridge.training.surrogate import Surrogate
from spikebridge.training.timegrid import TimeGrid

SEGMENTS_FROM_STEPS = 200
"""Samples of so many steps are run in segments by the plain path, so that their memory stays small."""


class Activity(NamedTuple):
    """What the network did: readout potentials (batch, steps, classes), spikes per hidden layer (batch, steps, n)."""

    potentials: Tensor
    spikes: list[Tensor]


class FoldableBatchNorm(nn.Module):
    """Batch normalisation of arrivals as a scale on the weights and a shift of the constant current.

    y = gamma (x - mean) / sqrt(var + eps) + beta is linear in x, so scale = gamma / sqrt(var + eps) multiplies the
    weights and shift = beta - scale * mean is a constant current: what the export folds is what was trained.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, size: int, momentum: float = 0.1, eps: float = 1e-5) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(size))
        self.beta = nn.Parameter(torch.zeros(size))
        self.register_buffer("running_mean", torch.zeros(size))
        self.register_buffer("running_var", torch.ones(size))
        self._momentum, self._eps = momentum, eps

    def forward(self, arrivals: Tensor) -> tuple[Tensor, Tensor]:
        """Scale and shift, (size,) each, from arrivals (batch, steps, size); running statistics when evaluating."""
        if not self.training:
            return self.folded(self.running_mean, self.running_var)
        mean, var = arrivals.mean(dim=(0, 1)), arrivals.var(dim=(0, 1), unbiased=False)
        self.follow(mean, var)
        return self.folded(mean, var)

    def of_arrivals(self, arrivals: Tensor, window: int) -> tuple[Tensor, Tensor, Tensor]:
        """The arrivals to go on with, scale and shift, while training on the CPU, in compiled loops.

        Arrivals are counted over windows of so many steps.
        """
        arrivals, scale, shift, mean, var = normalised(arrivals, self.gamma, self.beta, self._eps, window)
        self.follow(mean, var)
        return arrivals, scale, shift

    @torch.no_grad()
    def follow(self, mean: Tensor, var: Tensor) -> None:
        """Running statistics after a batch with these moments, (size,) each."""
        self.running_mean.lerp_(mean, self._momentum)
        self.running_var.lerp_(var, self._momentum)

    def folded(self, mean: Tensor, var: Tensor) -> tuple[Tensor, Tensor]:
        """Scale and shift for these moments, (size,) each."""
        scale = self.gamma / torch.sqrt(var + self._eps)
        return scale, self.beta - scale * mean


class Layer(nn.Module):
    """One population with the projection onto it and, if recurrent, onto itself."""

    def __init__(
        self, sources: int, size: int, config: TrainingConfig, *, first: bool, readout: bool, generator: torch.Generator
    ) -> None:
        super().__init__()
        network, self.fused = config.network, config.kernels == "fused"
        self.reference_step_ms = config.reference_step_ms
        max_delay_ms = network.max_delay_ms if network.readout_delays or not readout else 0.0
        self.latency_steps = config.latency_steps(from_input=first)
        self.own_latency_steps = config.latency_steps(from_input=False)
        self.projection = DelayedProjection(sources, size, max_delay_ms, generator, fused=self.fused)
        self.neurons = Neurons(
            size,
            config.neuron,
            network,
            pulse_ms=config.pulse_ms,
            refractory_ms=config.refractory_ms,
            readout=readout,
            generator=generator,
            fused=self.fused,
        )
        self.norm = FoldableBatchNorm(size) if network.batch_norm and not readout else None
        self.surrogate = Surrogate(config.neuron.surrogate, config.neuron.surrogate_width)
        self.recurrent_weight: nn.Parameter | None = None
        if network.recurrent and not readout:
            bound = network.initial_recurrent_scale / size**0.5
            # (sources, targets), as `scan` multiplies it.
            self.recurrent_weight = nn.Parameter((2 * torch.rand(size, size, generator=generator) - 1) * bound)
            self.clamp_()

    def forward(
        self, spikes: Tensor, step_ms: float, step: StepTensors | Tensor | None = None, kept: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Spikes and potentials (batch, steps, size) from the source's spikes (batch, steps, sources).

        `step`: of the neurons, if it is there already; `kept` (batch, sources): what the spikes are multiplied by.
        """
        neuron, arrivals, scale = self.normalised(spikes, step_ms, step, kept)
        recurrent: dict[int, Tensor] | None = None
        if self.recurrent_weight is not None:
            recurrent = {int(self.recurrent_grid(step_ms).whole_steps(torch.zeros(()))): self.recurrent_weight}
        return self.scan(neuron, arrivals, recurrent, scale)

    def scan(
        self,
        neuron: NeuronTensors,
        arrivals: Tensor,
        recurrent: dict[int, Tensor] | None = None,
        scale: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """`scan` by the compiled loop or kernel where one can run, else by PyTorch, in segments where samples are long.

        `scale`, (size,), multiplies the arrivals.
        """
        kernels = kernels_for(arrivals, fused=self.fused)
        if kernels == "loops":
            return fused_scan(neuron, arrivals, self.surrogate, recurrent, scale)
        if kernels == "card":
            found = scan_on_card(neuron, arrivals, self.surrogate, recurrent, scale)
            if found is not None:
                return found
        arrivals = arrivals if scale is None else arrivals * scale
        steps = arrivals.shape[1]
        segment_steps = math.ceil(steps**0.5) if steps >= SEGMENTS_FROM_STEPS and torch.is_grad_enabled() else None
        return scan(neuron, arrivals, self.surrogate, recurrent, segment_steps=segment_steps)

    def grid(self, step_ms: float) -> TimeGrid:
        """What a time step means for the delays from the source."""
        return TimeGrid(step_ms, self.reference_step_ms, self.latency_steps)

    def recurrent_grid(self, step_ms: float) -> TimeGrid:
        """What a time step means for the delays from the population to itself."""
        return TimeGrid(step_ms, self.reference_step_ms, self.own_latency_steps)

    def prepare(self, spikes: Tensor, step_ms: float) -> tuple[NeuronTensors, Tensor]:
        """The population on the grid and its arrivals (batch, steps, size), batch normalisation applied."""
        neuron, arrivals, scale = self.normalised(spikes, step_ms)
        return neuron, arrivals if scale is None else arrivals * scale

    def normalised(
        self, spikes: Tensor, step_ms: float, step: StepTensors | Tensor | None = None, kept: Tensor | None = None
    ) -> tuple[NeuronTensors, Tensor, Tensor | None]:
        """The population on the grid, its arrivals (batch, steps, size), and the scale of batch normalisation (size,).

        The scale is still to be applied; None without normalisation.
        """
        arrivals = self.projection(spikes, self.grid(step_ms), kept)
        if self.norm is None:
            return self.neurons.tensors(step_ms, step=step), arrivals, None
        # Counted over the reference step, so that the statistics mean the same on every grid.
        window = round(self.reference_step_ms / step_ms) if self.norm.training else 1
        if kernels_for(arrivals, fused=self.fused) == "loops" and self.norm.training:
            arrivals, scale, shift = self.norm.of_arrivals(arrivals, window)
        else:
            counted = arrivals if window == 1 else arrivals.unflatten(1, (-1, window)).sum(dim=2)
            scale, shift = self.norm(counted)
        return self.neurons.tensors(step_ms, shift, step), arrivals, scale

    @torch.no_grad()
    def clamp_(self) -> None:
        """Every constraint: bounds of neurons and delays, no self-connections."""
        self.projection.clamp_()
        self.neurons.clamp_()
        if self.recurrent_weight is not None:
            self.recurrent_weight.fill_diagonal_(0.0)


class SpikingNetwork(nn.Module):
    """Hidden layers and readout, built from a configuration and a seed."""

    def __init__(self, config: TrainingConfig, classes: int, seed: int) -> None:
        super().__init__()
        keep_freed_memory()  # every batch needs the arrays of the one before again
        generator = torch.Generator().manual_seed(seed)
        sizes = (config.data.channels, *config.network.hidden)
        self.config = config
        self.narrow_from_start = False
        self.hidden = nn.ModuleList(
            Layer(n, m, config, first=k == 0, readout=False, generator=generator)
            for k, (n, m) in enumerate(pairwise(sizes))
        )
        self.readout = Layer(sizes[-1], classes, config, first=False, readout=True, generator=generator)

    @property
    def layers(self) -> list[Layer]:
        """Hidden layers, then the readout."""
        return [*(layer for layer in self.hidden if isinstance(layer, Layer)), self.readout]

    def forward(self, counts: Tensor, step_ms: float | None = None) -> Activity:
        """Run input counts (batch, steps, channels) on a grid of `step_ms`, by default that of the export."""
        step_ms = self.config.data.step_ms if step_ms is None else step_ms
        spikes, recorded, kept = counts, [], None
        *hidden, last = exact_steps([layer.neurons for layer in self.layers], step_ms)
        for layer, step in zip(self.hidden, hidden, strict=True):
            spikes, _ = layer(spikes, step_ms, step, kept)
            recorded.append(spikes)
            kept = self._kept(spikes)
        _, potentials = self.readout(spikes, step_ms, last, kept)
        return Activity(potentials, recorded)

    def _kept(self, spikes: Tensor) -> Tensor | None:
        """Dropout: what spikes are multiplied by, (batch, n), or None where nothing is dropped.

        It is 0 for a share of neurons in a whole sample, so that time structure is kept, and more than 1 for others.
        """
        share = self.config.network.dropout
        if not self.training or share == 0:
            return None
        kept = torch.rand(spikes.shape[0], spikes.shape[2], device=spikes.device) >= share
        return kept.to(spikes.dtype) / (1 - share)

    def set_progress(self, done: float) -> None:
        """Narrow the delay kernels, and lengthen the refractory period if it has a warm-up.

        Kernels narrow geometrically from half the maximum delay to 0.23 steps over `sigma_share`: of the coarsest step;
        on a finer grid the kernel has 0.23 of its own steps from there on.
        """
        share = 1.0 if self.narrow_from_start else min(done / self.config.optimiser.sigma_share, 1.0)
        end = SIGMA_END_STEPS * self.config.steps_ms[0]
        for layer in self.layers:
            start = max(layer.projection.max_delay_ms / 2, end)
            layer.projection.sigma_ms = 0.0 if share == 1 else start * (end / start) ** share
            warm_up = self.config.neuron.refractory_warm_up_share
            layer.neurons.refractory_share = 1.0 if done >= warm_up else done / warm_up

    def clamp_(self) -> None:
        """Apply every constraint; after each optimiser step."""
        for layer in self.layers:
            layer.clamp_()


@torch.no_grad()
def scale_weights_to_data(network: SpikingNetwork, counts: Tensor, step_ms: float | None = None) -> None:
    """Scale feed-forward weights so that free potentials (no spikes) on `counts` have the configured deviation.

    Layer by layer, each on the spikes of the layers already scaled, so that every layer starts active whatever the
    synapse kind, the step and the density of the input (after the idea of Mishkin & Matas 2016, LSUV).

    Args:
        network: a new one.
        counts: (batch, steps, channels) on a grid of `step_ms`, by default that of the export.
        step_ms: the step of the counts.
    """
    wanted = network.config.network.initial_potential_std
    step_ms = network.config.data.step_ms if step_ms is None else step_ms
    spikes = counts
    network.eval()
    for layer in network.layers:
        if layer.norm is not None:
            layer.norm.train()  # the statistics of these samples, as the first batches will have them
        neuron, arrivals = layer.prepare(spikes, step_ms)
        free = replace(neuron, spiking=False, refractory_steps=0)
        deviation = layer.scan(free, arrivals)[1].std()
        # Normalisation would undo any scale of the weights, so there the scale that follows it is set.
        scaled = layer.projection.weight if layer.norm is None else layer.norm.gamma
        if deviation > 0:
            scaled.mul_(wanted / deviation)
        spikes, _ = layer(spikes, step_ms)
    network.train()
