"""Random configurations, the modules they build with parameters that are not their initial ones, and the exports."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import hypothesis
import numpy as np
import torch
from agreement import Case, in_reference
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import random_trials
from small_training import SMALL, changed

from spikebridge.bridge.arrays import FloatArray
from spikebridge.bridge.discretise import discretise
from spikebridge.bridge.recording import Trials
from spikebridge.bridge.spec import NetworkSpec
from spikebridge.bridge.spikes import bin_events
from spikebridge.training.config import Phase, ScheduleConfig, TrainingConfig
from spikebridge.training.export import export
from spikebridge.training.network import Layer, SpikingNetwork

STEP_MS = 10.0
REFRACTORY_MS = (None, 0.0, 2.0, 20.0, 40.0)
SAMPLES = 3
CLASSES = 3


@dataclass(frozen=True)
class Group:
    """What configurations have in common whose exports merge: the readout's synapses and the grids of the training.

    Attributes:
        steps_ms: of the training; with a coarser one than the export's, pulses last several steps of the export, and
            recurrent connections have a delay where delays are aligned.
        align: whether delays on a finer grid are lengthened by what the coarsest one adds.
    """

    synapse: str
    steps_ms: tuple[float, ...]
    align: bool

    @property
    def coarsest_ms(self) -> float:
        """The coarsest step."""
        return max(self.steps_ms)


GROUPS = (
    Group("delta", (10.0,), align=True),
    Group("pulse", (10.0,), align=False),
    Group("pulse", (20.0, 10.0), align=True),
    Group("exponential", (20.0, 10.0), align=False),
)


@dataclass(frozen=True, eq=False)
class Trained:
    """A module, its export and what the reference does with that.

    Attributes:
        network: in float64, evaluating.
        folded: (sources, targets) weights per projection of the export, before they were rounded.
    """

    config: TrainingConfig
    network: SpikingNetwork
    spec: NetworkSpec
    folded: list[FloatArray]
    trials: Trials
    case: Case


@st.composite
def configs(draw: st.DrawFn, group: Group) -> TrainingConfig:
    """Every option that an export depends on."""
    base = replace(
        SMALL,
        kernels=draw(st.sampled_from(["fused", "plain"])),
        schedule=ScheduleConfig(phases=(Phase(share=1.0, steps_ms=group.steps_ms),), align=group.align),
        data=replace(SMALL.data, channels=draw(st.integers(2, 8)), duration_ms=240.0, step_ms=STEP_MS),
    )
    return changed(
        base,
        network={
            "hidden": tuple(draw(st.lists(st.integers(1, 9), min_size=1, max_size=3))),
            "recurrent": draw(st.booleans()),
            "synapse": group.synapse,
            "max_delay_ms": draw(st.sampled_from([0.0, 10.0, 80.0])),
            "readout_delays": draw(st.booleans()),
            "batch_norm": draw(st.booleans()),
            "bias": draw(st.booleans()),
            "dropout": draw(st.sampled_from([0.0, 0.5])),
            "decoding": draw(st.sampled_from(["softmax_sum", "mean", "max", "last"])),
        },
        neuron={
            "adaptation": draw(st.booleans()),
            # Slow and weak adaptation, or fast and strong: then neurons are oscillatory.
            **draw(st.sampled_from([{}, {"tau_adaptation_ms": (20.0, 60.0), "adaptation_coupling": (1.0, 6.0)}])),
            "reset": draw(st.sampled_from(["subtract", "to_value"])),
            "reset_value": draw(st.sampled_from([0.0, -0.25])),
            "refractory_ms": draw(st.sampled_from(REFRACTORY_MS)),
        },
    )


@cache
def trained_networks(group: Group, number: int) -> tuple[Trained, ...]:
    """`number` networks of a group, as hypothesis generates their configurations."""
    found: list[TrainingConfig] = []

    @settings(max_examples=number, deadline=None, derandomize=True, database=None, phases=[hypothesis.Phase.generate])
    @given(configs(group))
    def collect(config: TrainingConfig) -> None:
        found.append(replace(config, seed=len(found)))

    collect()
    return tuple(trained(config) for config in found)


def trained(config: TrainingConfig) -> Trained:
    """The network that a configuration and its seed build, as after a training, and its export."""
    network = SpikingNetwork(config, CLASSES, config.seed).double().eval()
    randomise(network, config)
    spec = export(network, {})
    folded = [weight for layer in network.layers for weight in folded_weights(layer)]
    trials = random_trials(spec, SAMPLES, config.seed, rate_hz=40.0)
    grid = discretise(spec, STEP_MS)
    inputs, _ = bin_events(trials.events, STEP_MS, grid.n_steps)
    played = {spec.inputs[0].name: inputs}
    case = Case(f"trained({config!r})", grid, played, in_reference(grid, played))
    return Trained(config, network, spec, folded, trials, case)


@torch.no_grad()
def randomise(network: SpikingNetwork, config: TrainingConfig) -> None:
    """Weights that make neurons spike, and values other than the initial 0 and 1 wherever training would move them."""
    rng = np.random.default_rng(config.seed)

    def drawn(like: torch.Tensor, low: float, high: float) -> torch.Tensor:
        return torch.tensor(rng.uniform(low, high, tuple(like.shape)))

    # A current acts on the potential bit by bit, and that of an exponential synapse is over within a step.
    strength = {"delta": 1.0, "pulse": 4.0, "exponential": 10.0}[config.network.synapse]
    for layer in network.layers:
        layer.projection.weight.mul_(1.5).add_(0.4).mul_(strength)
        # A third of the delays lies exactly between two steps: rounded up, by the module as by the export.
        delay_ms = layer.projection.delay_ms
        halves = torch.tensor(rng.random(tuple(delay_ms.shape)) < 1 / 3)
        delay_ms.copy_(torch.where(halves, ((delay_ms / STEP_MS).floor() + 0.5) * STEP_MS, delay_ms))
        if config.network.bias and layer.neurons.spiking:
            layer.neurons.bias.copy_(drawn(layer.neurons.bias, -0.2, 0.4))
        if layer.norm is not None:
            for tensor, low, high in (
                (layer.norm.gamma, -0.4, 1.6),
                (layer.norm.beta, -0.3, 0.5),
                (layer.norm.running_mean, -1.0, 1.0),
                (layer.norm.running_var, 0.3, 3.0),
            ):
                tensor.copy_(drawn(tensor, low, high))
    network.clamp_()


@torch.no_grad()
def scale_and_shift(layer: Layer) -> tuple[FloatArray, FloatArray]:
    """Batch normalisation of a layer, written out: y = scale x + shift, (size,) each; 1 and 0 without it."""
    if layer.norm is None:
        return np.ones(layer.neurons.size), np.zeros(layer.neurons.size)
    norm = {name: value.numpy() for name, value in layer.norm.state_dict().items()}
    scale = norm["gamma"] / np.sqrt(norm["running_var"] + 1e-5)
    return scale, norm["beta"] - scale * norm["running_mean"]


def folded_weights(layer: Layer) -> list[FloatArray]:
    """(sources, targets) weights of the projections onto a layer, in the order of the export, normalisation applied."""
    folded = [layer.projection.weight.detach().numpy().T * scale_and_shift(layer)[0]]
    if layer.recurrent_weight is not None:
        folded.append(layer.recurrent_weight.detach().numpy().copy())
    return folded


def dense(spec: NetworkSpec, number: int) -> FloatArray:
    """(sources, targets) weights of a projection of the export."""
    projection = spec.projections[number]
    weight = np.zeros((spec.sizes[projection.source], spec.sizes[projection.target]))
    weight[projection.source_index, projection.target_index] = projection.weight
    return weight


@torch.no_grad()
def take_exported_weights(network: SpikingNetwork, spec: NetworkSpec) -> None:
    """Give the module the weights of its export, in its own parametrisation: before batch normalisation.

    What then lies between the two are float64 roundings (a division and a multiplication), not those of the weights.
    """
    number = 0
    for layer in network.layers:
        weight = torch.tensor(dense(spec, number) / scale_and_shift(layer)[0])
        layer.projection.weight.copy_(weight.T)
        number += 1
        if layer.recurrent_weight is not None:
            layer.recurrent_weight.copy_(torch.tensor(dense(spec, number)))
            number += 1
