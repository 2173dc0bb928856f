"""What a training run is made of: frozen, validated, every duration in milliseconds and every rate in Hz.

One class per table of the configuration file; the defaults are the values that apply where a file says nothing.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from itertools import accumulate
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass

from spikebridge.bridge.timing import off_grid
from spikebridge.training.config_data import DataConfig
from spikebridge.training.config_fields import STRICT, NonNegative, Positive, Share, low_to_high
from spikebridge.training.config_recipe import AugmentationConfig, OptimiserConfig, RegulariserConfig


@dataclass(frozen=True, config=STRICT)
class NetworkConfig:
    """Layers and synapses.

    Attributes:
        hidden: size of each hidden population.
        recurrent: whether hidden populations project onto themselves (all to all, without self-connections, without
            delays but for the latency of the reference grid).
        synapse: what one spike does; `pulse` is what a binned model means, `exponential` depends least on the step.
        tau_syn_ms: decay of `exponential` synapses.
        pulse_ms: width of `pulse` synapses; where not set, the reference step (see `schedule`).
        max_delay_ms: upper bound of the trained delays of feed-forward projections; 0 trains none.
        readout_delays: whether the projection onto the readout has delays too.
        batch_norm: normalise the arrivals of feed-forward projections, counted over the reference step; folded into
            weights and bias at export.
        bias: train a constant current per hidden neuron.
        dropout: share of hidden neurons silenced towards the next layer, per sample, while training.
        decoding: from readout potentials to class scores.
        initial_potential_std: weights are scaled at the start so that the free potential has this standard deviation,
            in units of the threshold.
        initial_recurrent_scale: size of recurrent weights relative to uniform +-1 / sqrt(n).
    """

    hidden: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1)] = (128, 128)
    recurrent: bool = True
    synapse: Literal["delta", "pulse", "exponential"] = "pulse"
    tau_syn_ms: Positive = 5.0
    pulse_ms: Positive | None = None
    max_delay_ms: NonNegative = 250.0
    readout_delays: bool = False
    batch_norm: bool = False
    bias: bool = False
    dropout: Share = 0.2
    decoding: Literal["softmax_sum", "mean", "max", "last"] = "softmax_sum"
    initial_potential_std: Positive = 1.0
    initial_recurrent_scale: NonNegative = 1.0


@dataclass(frozen=True, config=STRICT)
class NeuronConfig:
    """The hidden neurons, and the readout's time constant. Pairs are bounds: drawn uniformly within, trained within.

    Attributes:
        adaptation: False gives LIF neurons (a = b = 0).
        tau_membrane_ms: tau_u of hidden neurons.
        tau_adaptation_ms: tau_w of hidden neurons.
        adaptation_coupling: a, from membrane potential to adaptation.
        adaptation_jump: b, what a spike adds to the adaptation.
        readout_tau_ms: tau_u of the readout.
        train_time_constants: False keeps all of the above as drawn.
        reset, reset_value: `subtract` takes off the threshold, `to_value` sets the potential to `reset_value`.
        refractory_ms: where not set, the reference step: what that grid has by itself, made explicit, so that a finer
            simulation cannot fire faster than the training could.
        refractory_gradient: `zero` gives no gradient to spikes that refractoriness prevents, as it is; `through` gives
            them the surrogate's, as if the neuron could fire while frozen.
        refractory_warm_up_share: share of training over which the refractory period grows from 0 to its value, in whole
            steps; no epoch within it is chosen, so that one must follow it.
        surrogate: the gradient of a spike; `boxcar` and `triangle` have compact support.
        surrogate_width: distance to threshold over which it falls off, in units of the threshold.
    """

    adaptation: bool = True
    tau_membrane_ms: tuple[Positive, Positive] = (20.0, 100.0)
    tau_adaptation_ms: tuple[Positive, Positive] = (60.0, 400.0)
    adaptation_coupling: tuple[Annotated[float, Field(gt=-1)], float] = (0.0, 1.0)
    adaptation_jump: tuple[float, float] = (0.0, 1.0)
    readout_tau_ms: tuple[Positive, Positive] = (50.0, 300.0)
    train_time_constants: bool = True
    reset: Literal["subtract", "to_value"] = "subtract"
    reset_value: Annotated[float, Field(lt=1)] = 0.0
    refractory_ms: NonNegative | None = None
    refractory_gradient: Literal["zero", "through"] = "zero"
    refractory_warm_up_share: Share = 0.0
    surrogate: Literal["boxcar", "triangle", "fast_sigmoid", "arctan", "gaussian"] = "triangle"
    surrogate_width: Positive = 1.0

    @model_validator(mode="after")
    def _bounds_rise(self) -> Self:
        for name in (
            "tau_membrane_ms",
            "tau_adaptation_ms",
            "adaptation_coupling",
            "adaptation_jump",
            "readout_tau_ms",
        ):
            low_to_high(name, getattr(self, name))
        return self


@dataclass(frozen=True, config=STRICT)
class Phase:
    """A part of the training.

    Attributes:
        share: of all epochs.
        steps_ms: every batch runs on one of these time steps, drawn at random.
    """

    share: Annotated[float, Field(gt=0, le=1)]
    steps_ms: Annotated[tuple[Positive, ...], Field(min_length=1)]


@dataclass(frozen=True, config=STRICT)
class ScheduleConfig:
    """Time steps of the training: one, several at random, or coarse first and fine at the end.

    Attributes:
        phases: in order, as tables with `share` of the epochs (all shares add up to 1) and `steps_ms`, of which every
            batch draws one. None means `data.step_ms` throughout. The epoch is chosen within the last phase, which must
            contain `data.step_ms`.
        reference_step_ms: the grid that latency, pulse width, refractory period and the window of batch normalisation
            are taken from where they are not set; by default the coarsest step of the training. To fine-tune a network
            at a finer step, give the step it was trained on.
        align: lengthen every delay on a finer grid by what the reference grid adds to it by itself: half a step on
            average, since it reads inputs and reports spikes at the end of a step; a whole one from neurons that are
            driven by jumps (`delta` synapses). False leaves delays as they are.
    """

    phases: tuple[Phase, ...] = ()
    reference_step_ms: Positive | None = None
    align: bool = True

    @model_validator(mode="after")
    def _shares_add_up(self) -> Self:
        total = sum(phase.share for phase in self.phases)
        if self.phases and abs(total - 1) > 1e-6:
            raise ValueError(f"the shares of the phases add up to {total:g}; they must add up to 1")
        return self


@dataclass(frozen=True, config=STRICT)
class TrainingConfig:
    """Everything that determines the trained weights.

    Attributes:
        seed: of the first realisation; realisation k uses seed + k.
        realisations: how many times the whole run is repeated; results are given as mean and standard deviation.
        threads: number of CPU threads; part of the configuration because it changes the order of sums, hence bits.
        kernels: `fused` runs compiled loops over time and events, `plain` PyTorch's own operations: the same network,
            but for the order of sums and, while training, the far ends of delay kernels, which `fused` leaves out
            (e^-8).
        device: `cpu`, or `cuda` for an NVIDIA GPU, where `fused` means kernels written in Triton. Another order of
            sums, hence other bits; a training may go on from a checkpoint of the other.
    """

    seed: int = 0
    realisations: Annotated[int, Field(ge=1)] = 1
    threads: Annotated[int, Field(ge=1)] = 2
    kernels: Literal["fused", "plain"] = "fused"
    device: Literal["cpu", "cuda"] = "cpu"
    data: DataConfig = Field(default_factory=DataConfig)
    network: NetworkConfig = Field(default_factory=NetworkConfig)
    neuron: NeuronConfig = Field(default_factory=NeuronConfig)
    schedule: ScheduleConfig = Field(default_factory=ScheduleConfig)
    regulariser: RegulariserConfig = Field(default_factory=RegulariserConfig)
    augmentation: AugmentationConfig = Field(default_factory=AugmentationConfig)
    optimiser: OptimiserConfig = Field(default_factory=OptimiserConfig)

    @property
    def phases(self) -> tuple[Phase, ...]:
        """The schedule's phases, or one on the grid of the export."""
        return self.schedule.phases or (Phase(share=1.0, steps_ms=(self.data.step_ms,)),)

    def phase_of_epoch(self, epoch: int) -> int:
        """The number of the phase that an epoch (from 0) belongs to, by its middle."""
        ends = list(accumulate(phase.share for phase in self.phases))
        return min(bisect_right(ends, (epoch + 0.5) / self.optimiser.epochs), len(ends) - 1)

    @property
    def steps_ms(self) -> tuple[float, ...]:
        """Every time step that the training uses, coarsest first."""
        return tuple(sorted({step for phase in self.phases for step in phase.steps_ms}, reverse=True))

    @property
    def warm_up_epochs(self) -> int:
        """Epochs that begin within a warm-up, of the penalty or of the refractory period."""
        share = max(self.regulariser.warm_up_share, self.neuron.refractory_warm_up_share)
        return math.ceil(share * self.optimiser.epochs - 1e-9)

    @property
    def reference_step_ms(self) -> float:
        """The grid that what is not set is taken from."""
        given = self.schedule.reference_step_ms
        return self.steps_ms[0] if given is None else given

    @property
    def pulse_ms(self) -> float:
        """Width of `pulse` synapses."""
        return self.reference_step_ms if self.network.pulse_ms is None else self.network.pulse_ms

    @property
    def refractory_ms(self) -> float:
        """t_ref of hidden neurons."""
        return self.reference_step_ms if self.neuron.refractory_ms is None else self.neuron.refractory_ms

    def latency_steps(self, *, from_input: bool) -> float:
        """What a grid adds by itself to delays from an input or from hidden neurons, in steps; 0 if not aligned."""
        if not self.schedule.align:
            return 0.0
        return 1.0 if self.network.synapse == "delta" and not from_input else 0.5

    @model_validator(mode="after")
    def _every_phase_has_an_epoch(self) -> Self:
        epochs = self.optimiser.epochs
        reached = {self.phase_of_epoch(epoch) for epoch in range(epochs)}
        for number, phase in enumerate(self.phases):
            if number not in reached:
                raise ValueError(
                    f"optimiser.epochs of {epochs} leaves phase {number + 1} of schedule.phases, {phase.share:.0%} at "
                    f"{list(phase.steps_ms)} ms, without an epoch; give at least {math.ceil(1 / phase.share)} epochs, "
                    "or other phases"
                )
        return self

    @model_validator(mode="after")
    def _warm_ups_end(self) -> Self:
        epochs = self.optimiser.epochs
        if self.warm_up_epochs >= epochs:
            shares = {
                "regulariser.warm_up_share": self.regulariser.warm_up_share,
                "neuron.refractory_warm_up_share": self.neuron.refractory_warm_up_share,
            }
            name = max(shares, key=lambda key: shares[key])
            raise ValueError(
                f"{name} of {shares[name]} leaves none of {epochs} optimiser.epochs after the warm-up, of which one is "
                f"chosen; give at least {math.ceil(1 / (1 - shares[name]) - 1e-9)} epochs, or a shorter warm-up"
            )
        return self

    @model_validator(mode="after")
    def _grids_fit(self) -> Self:
        if self.data.step_ms not in self.phases[-1].steps_ms:
            raise ValueError(
                f"data.step_ms, {self.data.step_ms} ms, is not among the steps of the last phase, "
                f"{list(self.phases[-1].steps_ms)}; the export runs on a grid that the end of the training used"
            )
        if self.reference_step_ms < self.steps_ms[0]:
            raise ValueError(
                f"schedule.reference_step_ms of {self.reference_step_ms} ms is finer than the coarsest step of the "
                f"training, {self.steps_ms[0]} ms; give that step or a coarser one"
            )
        if self.network.batch_norm and bool(off_grid(self.data.duration_ms, self.reference_step_ms)):
            raise ValueError(
                f"duration_ms of {self.data.duration_ms} ms is no multiple of the reference step, "
                f"{self.reference_step_ms} ms, over which batch normalisation counts arrivals"
            )
        durations = {"duration_ms": self.data.duration_ms}
        if self.network.synapse == "pulse":
            durations["pulse_ms"] = self.pulse_ms
        for step_ms in self.steps_ms:
            for name, value in durations.items():
                if bool(off_grid(value, step_ms)):
                    raise ValueError(f"{name} of {value} ms is no multiple of step_ms, {step_ms} ms")
            # Shorter than a step it has no effect there, and the export says so; in between it would be rounded.
            if self.refractory_ms >= step_ms and bool(off_grid(self.refractory_ms, step_ms)):
                raise ValueError(f"refractory_ms of {self.refractory_ms} ms is no multiple of step_ms, {step_ms} ms")
            if self.network.batch_norm and bool(off_grid(self.reference_step_ms, step_ms)):
                raise ValueError(
                    f"the reference step, {self.reference_step_ms} ms, is no multiple of {step_ms} ms; batch "
                    "normalisation counts arrivals over the reference step, so choose steps that divide it"
                )
        return self
