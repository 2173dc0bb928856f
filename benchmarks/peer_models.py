"""The networks that `peers.py` measures, each by its own library, all with the same sizes and the same outputs.

`counts` are (batch, steps, channels); a network returns potentials of the readout (batch, steps, classes) and the
spikes of each hidden layer (batch, steps, n). The libraries want time first and are given it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from importlib.util import find_spec
from itertools import pairwise
from typing import NamedTuple

import torch
from peer_shape import STEP_MS, TAU_ADAPTATION_MS, TAU_MEMBRANE_MS, Shape
from peer_spikingjelly import DclsSpikingJelly, SpikingJelly
from plain_adlif import PlainNetwork
from torch import Tensor, nn


class Peer(NamedTuple):
    """One system.

    Attributes:
        label: name in tables.
        needs: modules that have to be installed.
        build: the network from a shape.
        delays: whether it trains delays.
        resets: whether a spike resets its neuron; what does not is no spiking network in the sense of the others.
    """

    label: str
    needs: tuple[str, ...]
    build: Callable[[Shape], nn.Module]
    delays: bool = False
    resets: bool = True

    @property
    def installed(self) -> bool:
        return all(find_spec(name) is not None for name in self.needs)


@torch.no_grad()
def set_rate(network: nn.Module, counts: Tensor, rate_hz: float, rounds: int = 12) -> None:
    """Scale the weights onto each hidden layer so that it fires at a mean of `rate_hz` on `counts`.

    For networks that name these weights, `drives`: without normalisation they are silent on sparse input as the
    libraries initialise them. Those with normalisation fire by themselves and stay as they are.
    """
    for number, weight in enumerate(getattr(network, "drives", ())):
        start, low, high = weight.clone(), -3.0, 8.0
        for _ in range(rounds):
            weight.copy_(start * 2 ** ((low + high) / 2))
            fires = network(counts)[1][number].mean().item() * 1000.0 / STEP_MS
            low, high = (low, (low + high) / 2) if fires > rate_hz else ((low + high) / 2, high)


class SnnTorch(nn.Module):
    """`Leaky` or all-to-all `RLeaky` neurons, driven step by step as in the library's tutorials."""

    def __init__(self, shape: Shape, *, recurrent: bool) -> None:
        super().__init__()
        import snntorch
        from snntorch import surrogate

        pairs = list(pairwise(shape.sizes))
        beta = math.exp(-STEP_MS / TAU_MEMBRANE_MS)
        spike = surrogate.atan()
        self.recurrent = recurrent
        self.projections = nn.ModuleList(nn.Linear(n, m) for n, m in pairs)
        self.neurons = nn.ModuleList(
            snntorch.RLeaky(beta=beta, linear_features=m, spike_grad=spike, learn_beta=True)
            if recurrent
            else snntorch.Leaky(beta=beta, spike_grad=spike, learn_beta=True)
            for _, m in pairs[:-1]
        )
        self.readout = snntorch.Leaky(beta=0.9, spike_grad=spike, learn_beta=True, reset_mechanism="none")
        self.drives = [projection.weight for projection in self.projections[:-1]]

    def forward(self, counts: Tensor) -> tuple[Tensor, list[Tensor]]:
        states = [neuron.reset_mem() for neuron in self.neurons]
        potential = self.readout.reset_mem()
        recorded: list[list[Tensor]] = [[] for _ in self.neurons]
        potentials = []
        for x in counts.unbind(1):
            for k, (projection, neuron) in enumerate(zip(self.projections, self.neurons, strict=False)):
                if self.recurrent:
                    x, memory = neuron(projection(x), *states[k])
                    states[k] = (x, memory)
                else:
                    x, states[k] = neuron(projection(x), states[k])
                recorded[k].append(x)
            _, potential = self.readout(self.projections[-1](x), potential)
            potentials.append(potential)
        return torch.stack(potentials, 1), [torch.stack(spikes, 1) for spikes in recorded]


class SnnTorchParallel(nn.Module):
    """`LeakyParallel`: an nn.RNN with a diagonal matrix, without reset."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        import snntorch

        pairs = list(pairwise(shape.sizes))
        beta = math.exp(-STEP_MS / TAU_MEMBRANE_MS)
        self.neurons = nn.ModuleList(snntorch.LeakyParallel(n, m, beta=beta) for n, m in pairs[:-1])
        self.readout = nn.Linear(*pairs[-1])
        self.drives = [neuron.rnn.weight_ih_l0 for neuron in self.neurons]

    def forward(self, counts: Tensor) -> tuple[Tensor, list[Tensor]]:
        x, spikes = counts.transpose(0, 1), []
        for neuron in self.neurons:
            x = neuron(x)
            spikes.append(x.transpose(0, 1))
        return self.readout(x).transpose(0, 1), spikes


class Norse(nn.Module):
    """Norse's layers over time; recurrent ones hold their own weights."""

    def __init__(self, shape: Shape, kind: str) -> None:
        super().__init__()
        import norse.torch as norse

        def inverse(tau_ms: float) -> Tensor:
            return torch.as_tensor(1000.0 / tau_ms)

        lif = norse.LIFParameters(tau_syn_inv=inverse(STEP_MS), tau_mem_inv=inverse(TAU_MEMBRANE_MS))
        lsnn = norse.LSNNParameters(
            tau_syn_inv=inverse(STEP_MS),
            tau_mem_inv=inverse(TAU_MEMBRANE_MS),
            tau_adapt_inv=inverse(TAU_ADAPTATION_MS),
        )
        adex = norse.LIFAdExParameters(
            tau_syn_inv=inverse(STEP_MS),
            tau_mem_inv=inverse(TAU_MEMBRANE_MS),
            tau_ada_inv=inverse(TAU_ADAPTATION_MS),
            adaptation_current=torch.as_tensor(0.5),
        )
        refractory = norse.LIFRefracParameters(lif=lif, rho_reset=torch.as_tensor(1.0))
        dt = STEP_MS / 1000.0
        pairs = list(pairwise(shape.sizes))
        makers: dict[str, Callable[[int, int], nn.Module]] = {
            "LIF": lambda _, m: norse.LIF(p=lif, dt=dt),
            "LIFAdEx": lambda _, m: norse.LIFAdEx(p=adex, dt=dt),
            "LIFRefracRecurrent": lambda n, m: norse.LIFRefracRecurrent(n, m, p=refractory, dt=dt),
            "LSNNRecurrent": lambda n, m: norse.LSNNRecurrent(n, m, p=lsnn, dt=dt),
        }
        self.recurrent = kind.endswith("Recurrent")
        self.neurons = nn.ModuleList(makers[kind](n, m) for n, m in pairs[:-1])
        self.projections = nn.ModuleList(
            nn.Identity() if self.recurrent else nn.Linear(n, m, bias=False) for n, m in pairs[:-1]
        )
        self.readout = nn.Linear(*pairs[-1], bias=False)
        self.leaky = norse.LI(p=norse.LIParameters(inverse(STEP_MS), inverse(100.0)), dt=dt)
        self.drives = [
            neuron.input_weights if self.recurrent else projection.weight
            for projection, neuron in zip(self.projections, self.neurons, strict=True)
        ]

    def forward(self, counts: Tensor) -> tuple[Tensor, list[Tensor]]:
        x, spikes = counts.transpose(0, 1), []
        for projection, neuron in zip(self.projections, self.neurons, strict=True):
            x, _ = neuron(projection(x))
            spikes.append(x.transpose(0, 1))
        potentials, _ = self.leaky(self.readout(x))
        return potentials.transpose(0, 1), spikes


class Gru(nn.Module):
    """PyTorch's GRU of the same width, no spikes: what a network of this size can reach."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        channels, *hidden, classes = shape.sizes
        self.gru = nn.GRU(channels, hidden[0], num_layers=len(hidden), batch_first=True)
        self.readout = nn.Linear(hidden[0], classes)

    def forward(self, counts: Tensor) -> tuple[Tensor, list[Tensor]]:
        return self.readout(self.gru(counts)[0]), []


PEERS = {
    "dcls_spikingjelly": Peer("DCLS + SpikingJelly LIF", ("DCLS", "spikingjelly"), DclsSpikingJelly, delays=True),
    "spikingjelly": Peer("SpikingJelly ParametricLIF", ("spikingjelly",), SpikingJelly),
    "snntorch_leaky": Peer("snnTorch Leaky", ("snntorch",), lambda shape: SnnTorch(shape, recurrent=False)),
    "snntorch_rleaky": Peer("snnTorch RLeaky", ("snntorch",), lambda shape: SnnTorch(shape, recurrent=True)),
    "snntorch_parallel": Peer("snnTorch LeakyParallel", ("snntorch",), SnnTorchParallel, resets=False),
    "norse_lif": Peer("Norse LIF", ("norse",), lambda shape: Norse(shape, "LIF")),
    "norse_adex": Peer("Norse LIFAdEx", ("norse",), lambda shape: Norse(shape, "LIFAdEx")),
    "norse_refractory": Peer("Norse LIFRefracRecurrent", ("norse",), lambda shape: Norse(shape, "LIFRefracRecurrent")),
    "norse_lsnn": Peer("Norse LSNNRecurrent", ("norse",), lambda shape: Norse(shape, "LSNNRecurrent")),
    "plain_adlif": Peer(
        "plain adLIF as in Bittar & Garner 2022", (), lambda shape: PlainNetwork(shape.sizes, recurrent=False)
    ),
    "plain_radlif": Peer(
        "plain RadLIF as in Bittar & Garner 2022", (), lambda shape: PlainNetwork(shape.sizes, recurrent=True)
    ),
}
"""Spiking networks; the GRU is not one."""
