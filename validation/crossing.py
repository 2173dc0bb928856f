"""Where within a step the neurons of a population cross their threshold."""

from __future__ import annotations

from statistics import fmean

from spikebridge.bridge.spec import NetworkSpec

CENTRE = 0.5


def crossing_within_step(network: NetworkSpec, population: str) -> float:
    """1 - L of a population whose spikes a grid reports L steps late, 0 .. 1: a spike of step k is at (k + 1 - L) h.

    L is what the projections from the population carry as `latency_steps` (`spikebridge.bridge.timing`): 1/2 where its
    potential is smooth, 1 where jumps drive it. Where none carries one, because the network has none or nothing is
    driven by the population, the centre is all that is known. Projections that carry different ones are averaged.
    """
    latencies = [p.latency_steps for p in network.projections if p.source == population and p.latency_steps]
    return 1.0 - fmean(latencies) if latencies else CENTRE
