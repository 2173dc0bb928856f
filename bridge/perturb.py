"""Networks with one thing changed, without retraining: pure functions from a network to another of the same shape.

Everything that is changed here is a number that a compiled simulation reads when it starts: weights, delays, edges and
how many there are, time constants, refractory periods. What a simulation adds while it runs (noise, lost spikes) is in
`spikebridge.bridge.disturbance`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import numpy as np

from spikebridge.bridge.arrays import FloatArray
from spikebridge.bridge.errors import SpecError
from spikebridge.bridge.rounding import round_weights, weight_quantum
from spikebridge.bridge.spec import NetworkSpec, Projection
from spikebridge.bridge.timing import timestep

SIGN_CHANGED = "weights_sign_changed"
CLIPPED = "delays_clipped"
MEAN_DELAY_CHANGE_MS = "delays_mean_change_ms"
REMOVED = "synapses_removed"
PULSE_FACTOR = "pulse_factor"
REFRACTORY_MS = "refractory_on_grid_ms"


@dataclass(frozen=True, slots=True, eq=False)
class Perturbed:
    """A network after a change.

    Attributes:
        spec: the network, of the same shape.
        realised: what the change came to, by name: shares 0 .. 1, means in the unit of the name.
    """

    spec: NetworkSpec
    realised: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "realised", MappingProxyType(dict(self.realised)))


def jitter_weights(spec: NetworkSpec, amount: float, rng: np.random.Generator) -> Perturbed:
    """Every weight W becomes W (1 + amount z) with its own z ~ N(0, 1), rounded to the quantum of an export.

    The sign is not kept: the change has mean 0, which it would not have if it stopped at 0. How many weights changed
    their sign is said as a share.

    Raises:
        SpecError: `amount` is not finite or below 0, or the weights became too large for exact sums.
    """
    _require("the relative jitter of weights", amount, amount >= 0, "at least 0")
    changed = total = 0
    projections = []
    for projection in spec.projections:
        before = projection.weight
        factor = 1.0 + amount * rng.standard_normal(before.size)
        quantum = weight_quantum(spec.population(projection.target).threshold)
        projections.append(replace(projection, weight=round_weights(before * factor, quantum)))
        changed += int(((factor < 0) & (before != 0)).sum())
        total += int((before != 0).sum())
    return Perturbed(replace(spec, projections=tuple(projections)), {SIGN_CHANGED: changed / max(total, 1)})


def jitter_delays(spec: NetworkSpec, deviation_ms: float, rng: np.random.Generator) -> Perturbed:
    """Every delay becomes d + N(0, deviation_ms), at least 0, once and for all samples.

    Delays are left between steps; a grid rounds them to its nearest step as it does with all delays. Delays that would
    be negative become 0, which makes the others longer in the mean: both are said, as a share and in ms.

    Raises:
        SpecError: `deviation_ms` is not finite or below 0.
    """
    _require("the jitter of delays in ms", deviation_ms, deviation_ms >= 0, "at least 0")
    clipped = total = 0
    change_ms = 0.0
    projections = []
    for projection in spec.projections:
        moved = projection.delay_ms + deviation_ms * rng.standard_normal(projection.delay_ms.size)
        delay_ms: FloatArray = np.maximum(moved, 0.0)
        projections.append(replace(projection, delay_ms=delay_ms))
        clipped += int((moved < 0).sum())
        total += moved.size
        change_ms += float((delay_ms - projection.delay_ms).sum())
    realised = {CLIPPED: clipped / max(total, 1), MEAN_DELAY_CHANGE_MS: change_ms / max(total, 1)}
    return Perturbed(replace(spec, projections=tuple(projections)), realised)


def remove_synapses(spec: NetworkSpec, share: float, rng: np.random.Generator) -> Perturbed:
    """Of every projection the given share of synapses is removed at random, rounded to the nearest number of them.

    Those that are left keep their weights: nothing is scaled up.

    Raises:
        SpecError: `share` is not at least 0 and below 1.
    """
    _require("the share of synapses to remove", share, 0 <= share < 1, "at least 0 and below 1")
    removed = total = 0
    projections = []
    for projection in spec.projections:
        n = projection.weight.size
        kept = np.sort(rng.permutation(n)[round(share * n) :])
        projections.append(_with_edges(projection, kept))
        removed, total = removed + n - kept.size, total + n
    return Perturbed(replace(spec, projections=tuple(projections)), {REMOVED: removed / max(total, 1)})


def set_refractory(spec: NetworkSpec, refractory_ms: float, step_ms: float) -> Perturbed:
    """Every spiking population gets this absolute refractory period; a readout, which never spikes, has none.

    Args:
        spec: the network.
        refractory_ms: what is asked for.
        step_ms: of the grid that it will run on, which has whole steps of it.

    Raises:
        SpecError: `refractory_ms` is not finite or below 0.
    """
    populations = tuple(replace(p, refractory_ms=refractory_ms) if p.spiking else p for p in spec.populations)
    changed = replace(spec, populations=populations)
    return Perturbed(changed, {REFRACTORY_MS: float(timestep(refractory_ms, step_ms)) * step_ms})


def scale_time_constants(spec: NetworkSpec, factor: float, step_ms: float) -> Perturbed:
    """Membranes, adaptation and synapses of all populations, the readout included, take `factor` times as long.

    A pulse is the time course of its synapse and scales too, to the nearest whole number of steps, at least one.
    Delays and refractory periods stay.

    Args:
        spec: the network.
        factor: above 1 is slower, as in the cold.
        step_ms: of the grid that it will run on, for pulses.

    Raises:
        SpecError: `factor` is not finite or not above 0.
    """
    _require("the factor of time constants", factor, factor > 0, "above 0")
    populations = tuple(
        replace(p, tau_membrane_ms=factor * p.tau_membrane_ms, tau_adaptation_ms=factor * p.tau_adaptation_ms)
        for p in spec.populations
    )
    projections, pulses = [], []
    for projection in spec.projections:
        if projection.tau_syn_ms is not None:
            projections.append(replace(projection, tau_syn_ms=factor * projection.tau_syn_ms))
        elif projection.pulse_ms is not None:
            pulse_ms = max(round(factor * projection.pulse_ms / step_ms), 1) * step_ms
            projections.append(replace(projection, pulse_ms=pulse_ms))
            pulses.append(pulse_ms / projection.pulse_ms)
        else:
            projections.append(projection)
    realised = {PULSE_FACTOR: float(np.mean(pulses))} if pulses else {}
    return Perturbed(replace(spec, populations=populations, projections=tuple(projections)), realised)


def _with_edges(projection: Projection, kept: np.ndarray) -> Projection:
    return replace(
        projection,
        source_index=projection.source_index[kept],
        target_index=projection.target_index[kept],
        weight=projection.weight[kept],
        delay_ms=projection.delay_ms[kept],
    )


def _require(what: str, value: float, allowed: bool, wanted: str) -> None:
    if not (np.isfinite(value) and allowed):
        raise SpecError(f"{what} is {value}; it must be {wanted}")
