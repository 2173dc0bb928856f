"""Forward and backward of every system, interleaved in one process, and the ratios between them."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass, field
from typing import Any

import torch
from peer_models import PEERS, Gru, set_rate
from peer_ours import OURS, RATE_HZ, SHARES, OurNetwork, over_a_training
from peer_shape import STEP_MS, Shape
from peer_spikingjelly import DclsSpikingJelly
from torch import Tensor, nn
from torch.nn import functional

from spikebridge.training.config_recipe import OptimiserConfig

RATES_HZ = (1.0, 20.0, 50.0)
"""Activity of hidden neurons at which ours is measured besides `RATE_HZ`: its cost depends on it."""


@dataclass
class Timing:
    """One system.

    Attributes:
        wall_s, core_s: of every repeat: forward, loss and backward of one batch; `core_s` adds up all threads.
        rates_hz: mean rate of each hidden layer.
        sigma_steps: width of the delay kernels.
    """

    label: str
    wall_s: list[float] = field(default_factory=list)
    core_s: list[float] = field(default_factory=list)
    rates_hz: list[float] = field(default_factory=list)
    sigma_steps: float | None = None

    @property
    def best_s(self) -> float:
        return min(self.wall_s)

    @property
    def median_s(self) -> float:
        return statistics.median(self.wall_s)


def random_batch(batch: int, steps: int, shape: Shape, density: float, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Counts (batch, steps, channels) of 0 and 1, and labels."""
    generator = torch.Generator().manual_seed(seed)
    counts = (torch.rand(batch, steps, shape.sizes[0], generator=generator) < density).float()
    return counts, torch.randint(shape.sizes[-1], (batch,), generator=generator)


def run_once(network: nn.Module, counts: Tensor, labels: Tensor, timing: Timing) -> None:
    """Forward, the sum over time of the readout's softmax, cross-entropy, backward."""
    network.zero_grad(set_to_none=True)
    wall, core = time.perf_counter(), time.process_time()
    potentials, spikes = network(counts)
    loss = functional.cross_entropy(potentials.softmax(dim=-1).sum(dim=1), labels)
    torch.autograd.backward(loss)
    timing.wall_s.append(time.perf_counter() - wall)
    timing.core_s.append(time.process_time() - core)
    timing.rates_hz = [layer.detach().mean().item() * 1000.0 / STEP_MS for layer in spikes]


def interleaved(
    networks: dict[str, tuple[str, nn.Module]], counts: Tensor, labels: Tensor, repeats: int
) -> dict[str, Timing]:
    """In each round every network twice, and the second time counts; a round before that compiles.

    What disturbs the machine for a while disturbs all of them, and as in a training what a network needs is in the
    caches from the batch before.
    """
    timings = {name: Timing(label) for name, (label, _) in networks.items()}
    for name, (_, network) in networks.items():
        if isinstance(network, OurNetwork | DclsSpikingJelly):
            timings[name].sigma_steps = network.sigma_steps
        run_once(network, counts, labels, Timing(""))
    for _ in range(repeats):
        for name, (_, network) in networks.items():
            run_once(network, counts, labels, Timing(""))
            run_once(network, counts, labels, timings[name])
    return timings


def our_networks(shape: Shape, counts: Tensor) -> dict[str, tuple[str, nn.Module]]:
    """Every variant with narrow kernels; those with delays along a training too; the first at other rates."""
    found: dict[str, tuple[str, nn.Module]] = {}
    for name, variant in OURS.items():
        found[name] = (f"ours: {variant.label}", OurNetwork(variant, shape, counts))
    for name in ("ours", "ours_lif"):
        for done in SHARES:
            label = f"ours: {OURS[name].label}, {done:.0%} of a training done"
            found[f"{name}@{done:g}"] = (label, OurNetwork(OURS[name], shape, counts, done=done))
    for rate_hz in RATES_HZ:
        label = f"ours: {OURS['ours'].label}, {rate_hz:g} Hz"
        found[f"ours_{rate_hz:g}_hz"] = (label, OurNetwork(OURS["ours"], shape, counts, rate_hz=rate_hz))
    return found


def peer_networks(shape: Shape, counts: Tensor) -> dict[str, tuple[str, nn.Module]]:
    """Every peer that is installed, DCLS along a training too as ours is, and the GRU."""
    found: dict[str, tuple[str, nn.Module]] = {}
    for name, peer in PEERS.items():
        for done in (*SHARES, None) if peer.delays else (None,):
            if peer.installed:
                torch.manual_seed(0)
                network = peer.build(shape)
                if isinstance(network, DclsSpikingJelly):
                    network.narrow(1.0 if done is None else done / OptimiserConfig().sigma_share)
                set_rate(network, counts[:16], RATE_HZ)
                along = ("", "") if done is None else (f"@{done:g}", f", {done:.0%} of a training done")
                found[name + along[0]] = (peer.label + along[1], network)
    return {**found, "gru": ("GRU", Gru(shape))}


def over_training(timings: dict[str, Timing], name: str, what: str) -> float:
    """Seconds of a batch of a network with delays, in the mean over the kernel widths of a training."""

    def fastest(key: str) -> float:
        return float(min(getattr(timings[key], what)))

    return over_a_training(fastest(name), {done: fastest(f"{name}@{done:g}") for done in SHARES})


def ratios(timings: dict[str, Timing], what: str = "wall_s") -> dict[str, float]:
    """How many times as many samples per second as a peer, from the fastest repeats.

    `dcls_spikingjelly`: recurrent adLIF with delays against DCLS + SpikingJelly (LIF, not recurrent), both over the
    kernel widths of a training. `dcls_spikingjelly_lif` is LIF without recurrence, like for like. With `_wide` DCLS has
    its widest kernels throughout: a few percent of the weights of narrow ones are subnormal, which some processors
    multiply slowly, and none of these. `best_without_delays` is
    recurrent adLIF without delays against the fastest peer without delays whose spikes reset their neurons;
    `best_without_delays_for_delays` puts ours with delays against that peer. A peer that is not installed has no ratio.
    """

    def fastest(key: str) -> float:
        return float(min(getattr(timings[key], what)))

    found = {}
    if "dcls_spikingjelly" in timings:
        peer, widest = over_training(timings, "dcls_spikingjelly", what), fastest("dcls_spikingjelly@0")
        for name, mine in (("dcls_spikingjelly_lif", "ours_lif"), ("dcls_spikingjelly", "ours")):
            found[name] = peer / over_training(timings, mine, what)
            found[f"{name}_start"] = widest / fastest(f"{mine}@0")
            found[f"{name}_end"] = fastest("dcls_spikingjelly") / fastest(mine)
            found[f"{name}_wide"] = widest / over_training(timings, mine, what)
    without = [name for name in timings if name in PEERS and not PEERS[name].delays and PEERS[name].resets]
    best = min(without, key=fastest)
    found["best_without_delays"] = fastest(best) / fastest("ours_no_delays")
    found["best_without_delays_for_delays"] = fastest(best) / over_training(timings, "ours", what)
    found["best_without_delays_lif"] = fastest(best) / fastest("ours_lif_no_delays")
    return found


def as_json(timings: dict[str, Timing], batch: int) -> dict[str, Any]:
    """Ratios and samples per second, of wall and of core time."""
    return {
        "ratio": ratios(timings),
        "ratio_core_time": ratios(timings, "core_s"),
        "samples_per_s": {name: batch / timing.best_s for name, timing in timings.items()},
        "median_samples_per_s": {name: batch / timing.median_s for name, timing in timings.items()},
        "core_ms_per_batch": {name: min(timing.core_s) * 1000.0 for name, timing in timings.items()},
        "rates_hz": {name: timing.rates_hz for name, timing in timings.items()},
        "sigma_steps": {name: t.sigma_steps for name, t in timings.items() if t.sigma_steps is not None},
    }


def table(timings: dict[str, Timing], batch: int) -> list[str]:
    """Rows of the results."""
    lines = [
        "| | samples/s, fastest | median | core time per batch | rate of hidden layers | sigma |",
        "|---|---|---|---|---|---|",
    ]
    for timing in timings.values():
        rates = " and ".join(f"{rate:.1f}" for rate in timing.rates_hz)
        sigma = "" if timing.sigma_steps is None else f"{timing.sigma_steps:.2f} steps"
        lines.append(
            f"| {timing.label} | {batch / timing.best_s:.0f} | {batch / timing.median_s:.0f} | "
            f"{min(timing.core_s) * 1000:.0f} ms | {rates + ' Hz' if rates else ''} | {sigma} |"
        )
    return lines
