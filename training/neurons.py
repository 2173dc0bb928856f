"""Trainable neuron parameters, in milliseconds and within bounds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate, pairwise

import torch
from torch import Tensor, nn

from spikebridge.bridge.spec import Reset, SynapseKind
from spikebridge.bridge.timing import timestep, whole_steps
from spikebridge.training.config import NetworkConfig, NeuronConfig
from spikebridge.training.exact_steps import exact_steps_of
from spikebridge.training.propagators import StepTensors, exact_step
from spikebridge.training.scan import NeuronTensors


class BoundedParameter(nn.Module):
    """A vector drawn uniformly between two bounds and kept there; time constants are trained as logarithms.

    Clamping after each optimiser step is projected gradient descent: a parameter at a bound can leave it again, where a
    squashing function would have no gradient left.
    """

    low: Tensor
    high: Tensor

    def __init__(
        self, size: int, bounds: tuple[float, float], *, logarithmic: bool, trained: bool, generator: torch.Generator
    ) -> None:
        super().__init__()
        value = bounds[0] + (bounds[1] - bounds[0]) * torch.rand(size, generator=generator)
        self._logarithmic = logarithmic
        self._bounds = (math.log(bounds[0]), math.log(bounds[1])) if logarithmic else bounds
        self.raw = nn.Parameter(value.log() if logarithmic else value, requires_grad=trained)

    def forward(self) -> Tensor:
        """The values, (size,)."""
        return self.raw.exp() if self._logarithmic else self.raw

    @torch.no_grad()
    def clamp_(self) -> None:
        """Back into the bounds."""
        self.raw.clamp_(*self._bounds)


class Neurons(nn.Module):
    """The parameters of one population: adLIF, LIF (no adaptation) or a leaky integrator (a readout).

    The threshold is 1: weights, bias and adaptation are in units of it.
    """

    def __init__(
        self,
        size: int,
        neuron: NeuronConfig,
        network: NetworkConfig,
        *,
        pulse_ms: float,
        refractory_ms: float,
        readout: bool,
        generator: torch.Generator,
        fused: bool = False,
    ) -> None:
        super().__init__()
        self.size, self.fused = size, fused
        self.spiking = not readout
        self.adaptive = neuron.adaptation and not readout
        self.reset = Reset(neuron.reset)
        self.reset_value = neuron.reset_value
        self.synapse = SynapseKind(network.synapse)
        self.tau_syn_ms = network.tau_syn_ms if self.synapse is SynapseKind.EXPONENTIAL else None
        self.pulse_ms = pulse_ms if self.synapse is SynapseKind.PULSE else None
        self.refractory_ms = 0.0 if readout else refractory_ms
        self.refractory_share = 1.0
        """How much of the refractory period applies, see `refractory_warm_up_share`."""
        self.slope_while_frozen = neuron.refractory_gradient == "through"

        def parameter(bounds: tuple[float, float], *, logarithmic: bool = False) -> BoundedParameter:
            trained = neuron.train_time_constants
            return BoundedParameter(size, bounds, logarithmic=logarithmic, trained=trained, generator=generator)

        membrane = neuron.readout_tau_ms if readout else neuron.tau_membrane_ms
        self.tau_membrane_ms = parameter(membrane, logarithmic=True)
        if self.adaptive:
            self.tau_adaptation_ms = parameter(neuron.tau_adaptation_ms, logarithmic=True)
            self.adaptation_coupling = parameter(neuron.adaptation_coupling)
            self.adaptation_jump = parameter(neuron.adaptation_jump)
        self.bias = nn.Parameter(torch.zeros(size), requires_grad=network.bias)

    def values(self) -> dict[str, Tensor]:
        """tau_membrane_ms, tau_adaptation_ms, adaptation_coupling and adaptation_jump, each (size,)."""
        tau = self.tau_membrane_ms()
        if not self.adaptive:
            zeros = torch.zeros_like(tau)
            # tau_w is without effect where a = b = 0; any positive value will do.
            return {
                "tau_membrane_ms": tau,
                "tau_adaptation_ms": torch.full_like(tau, 100.0),
                "adaptation_coupling": zeros,
                "adaptation_jump": zeros,
            }
        return {
            "tau_membrane_ms": tau,
            "tau_adaptation_ms": self.tau_adaptation_ms(),
            "adaptation_coupling": self.adaptation_coupling(),
            "adaptation_jump": self.adaptation_jump(),
        }

    def time_constants(self) -> tuple[Tensor, ...]:
        """tau_membrane_ms, and with adaptation tau_adaptation_ms and adaptation_coupling, each (size,)."""
        if not self.adaptive:
            return (self.tau_membrane_ms(),)
        return self.tau_membrane_ms(), self.tau_adaptation_ms(), self.adaptation_coupling()

    def tensors(
        self, step_ms: float, shift: Tensor | None = None, step: StepTensors | Tensor | None = None
    ) -> NeuronTensors:
        """The population on a grid; `shift` is added to the constant current (batch normalisation).

        `step`, if it is there already, comes from `exact_steps`.
        """
        if step is None:
            (step,) = exact_steps([self], step_ms)
        return NeuronTensors(
            step=step,
            threshold=torch.ones_like(self.bias),
            bias=self.bias if shift is None else self.bias + shift,
            adaptation_jump=self.adaptation_jump() if self.adaptive else torch.zeros_like(self.bias),
            adaptive=self.adaptive,
            synapse=self.synapse,
            pulse_steps=0 if self.pulse_ms is None else whole_steps("pulse width", self.pulse_ms, step_ms),
            refractory_steps=int(timestep(self.refractory_ms * self.refractory_share, step_ms)),
            reset=self.reset,
            reset_value=self.reset_value,
            spiking=self.spiking,
            slope_while_frozen=self.slope_while_frozen,
        )

    def clamp_(self) -> None:
        """Every parameter back into its bounds."""
        for module in self.children():
            if isinstance(module, BoundedParameter):
                module.clamp_()


def exact_steps(populations: Sequence[Neurons], step_ms: float) -> Sequence[StepTensors | Tensor]:
    """`exact_step` of populations with the same kind of synapses, wherever their parameters are.

    For all of them together: it takes dozens of operations on few numbers, or one compiled loop, which leaves the
    entries of each population in one tensor. A GPU would wait between these operations, so the processor does them.
    """
    (tau_syn_ms,) = {population.tau_syn_ms for population in populations}
    if all(population.fused and population.bias.device.type == "cpu" for population in populations):
        return exact_steps_of([population.time_constants() for population in populations], tau_syn_ms, step_ms)
    names = ("tau_membrane_ms", "tau_adaptation_ms", "adaptation_coupling")
    values = [population.values() for population in populations]
    parameters = torch.stack([torch.cat([of_one[name] for of_one in values]) for name in names])
    here = parameters.cpu()
    step = torch.stack(list(exact_step(here[0], here[1], here[2], tau_syn_ms, step_ms))).to(parameters.device)
    starts = [0, *accumulate(population.size for population in populations)]
    return [StepTensors(*step[:, first:last]) for first, last in pairwise(starts)]
