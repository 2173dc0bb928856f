"""The executors on many recipes, and what a disagreement says: which network, where, and how to make it again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import torch
from merged_networks import Merged, merge
from recipes import Batch, Recipe, drawn

from spikebridge.bridge.arrays import FloatArray
from spikebridge.bridge.decoding import Decoding, decode
from spikebridge.bridge.discretise import GridNetwork, discretise
from spikebridge.bridge.reference import run_reference
from spikebridge.bridge.spec import NetworkSpec
from spikebridge.bridge.spikes import SpikeTrains
from spikebridge.sim.options import SimulationOptions
from spikebridge.sim.run import run_network
from spikebridge.training.executor import run_batch


@dataclass(frozen=True, eq=False)
class Outcome:
    """Spikes by population, and readout potentials (samples, steps, classes)."""

    spikes: dict[str, SpikeTrains]
    readout: FloatArray


@dataclass(frozen=True, eq=False)
class Case:
    """A network, what is played into it, and what the reference does with it.

    Attributes:
        code: Python that makes the network again.
    """

    code: str
    grid: GridNetwork
    inputs: dict[str, SpikeTrains]
    expected: Outcome


def case(recipe: Recipe) -> Case:
    """Run the reference on a recipe: `disagreements([case(Recipe(...))], ...)` looks at one network again."""
    grid = recipe.grid()
    inputs = recipe.trains(grid)
    return Case(recipe.code(), grid, inputs, in_reference(grid, inputs))


@cache
def cases(batch: Batch) -> tuple[Case, ...]:
    """All networks of a batch."""
    return tuple(case(recipe) for recipe in drawn(batch))


def merged_cases(cases: Sequence[Case]) -> tuple[Merged, dict[str, SpikeTrains]]:
    """The networks of the cases as one, and its inputs."""
    merged = merge([case.grid.spec for case in cases])
    return merged, merged.inputs([case.inputs for case in cases])


def in_reference(grid: GridNetwork, inputs: dict[str, SpikeTrains]) -> Outcome:
    """One network in the NumPy reference."""
    spikes, potentials = run_reference(grid, inputs)
    return Outcome(spikes, potentials[grid.spec.readout.population])


def in_pytorch(case: Case, *, fused: bool = True) -> Outcome:
    """One network in PyTorch, by compiled loops or by PyTorch's own operations."""
    tensors = {name: torch.from_numpy(trains.counts("float64")) for name, trains in case.inputs.items()}
    spikes, potentials = run_batch(case.grid, tensors, fused=fused)
    return Outcome(
        {name: SpikeTrains.from_counts(values.numpy(), case.grid.step_ms) for name, values in spikes.items()},
        potentials[case.grid.spec.readout.population].numpy(),
    )


def in_brian2(cases: Sequence[Case], backend: str, spec: NetworkSpec | None = None) -> list[Outcome]:
    """All networks in one Brian2 network.

    Args:
        cases: the networks.
        backend: of `SimulationOptions`.
        spec: what runs in place of the merged network, with a fault planted.
    """
    merged, inputs = merged_cases(cases)
    # Two lanes of three samples: one follows another in its lane, and one lane is empty at the end.
    options = SimulationOptions(backend=backend, lanes=2, keep_readout=True)  # type: ignore[arg-type]
    found = run_network(discretise(spec or merged.spec, cases[0].grid.step_ms), inputs, options)
    assert found.readout is not None
    return [
        Outcome(spikes, readout)
        for spikes, readout in zip(merged.split(found.spikes), merged.split_readout(found.readout), strict=True)
    ]


def disagreements(cases: Sequence[Case], found: Iterable[Outcome], executor: str) -> dict[int, str]:
    """By number of the case, what differs from the reference and how to make that network again."""
    return {
        number: f"{executor}, network {number} of {len(cases)}: {said}\n  made by {case.code}"
        for number, (case, outcome) in enumerate(zip(cases, found, strict=True))
        if (said := difference(case, outcome)) is not None
    }


def difference(case: Case, found: Outcome) -> str | None:
    """The first spike that differs, in the order of populations; else the first potential, or the scores; or None."""
    if found.spikes.keys() != case.expected.spikes.keys():
        return f"populations {sorted(found.spikes)} instead of {sorted(case.expected.spikes)}"
    for name, expected in case.expected.spikes.items():
        wanted, got = expected.counts(), found.spikes[name].counts()
        if not np.array_equal(wanted, got):
            step, sample, neuron = _first(np.moveaxis(wanted != got, 1, 0))
            fired = "the reference fired" if wanted[sample, step, neuron] else "the reference did not fire"
            return f"{int((wanted != got).sum())} spikes of {name}; {fired} in {sample=}, {step=}, {neuron=}"
    wanted, got = case.expected.readout, found.readout
    if not np.array_equal(wanted, got):
        step, sample, neuron = _first(np.moveaxis(wanted != got, 1, 0))
        return (
            f"readout {got[sample, step, neuron]!r} instead of {wanted[sample, step, neuron]!r} in "
            f"{sample=}, {step=}, {neuron=}"
        )
    rule, step_ms, training_step_ms = (
        case.grid.spec.readout.decoding,
        case.grid.step_ms,
        case.grid.spec.training_step_ms,
    )
    scores = decode(got, rule, step_ms=step_ms, training_step_ms=training_step_ms)
    by_hand = scores_by_hand(wanted, rule, step_ms / training_step_ms)
    return None if np.allclose(scores, by_hand, rtol=1e-12, atol=1e-12) else f"scores {scores} instead of {by_hand}"


def _first(differs: np.ndarray) -> tuple[int, ...]:
    return tuple(int(place) for place in np.argwhere(differs)[0])


def scores_by_hand(potentials: FloatArray, rule: Decoding, step: float = 1.0) -> FloatArray:
    """What the decoding rules say, class by class and step by step, from potentials (samples, steps, classes).

    Args:
        potentials: of the readout.
        rule: of the readout.
        step: of the grid, in training steps.
    """
    per_step = np.moveaxis(potentials, 1, 0)
    match rule:
        case Decoding.SOFTMAX_SUM:
            # 1 / sum_k exp(u_k - u_c), integrated over time.
            return np.asarray(sum(step / np.exp(u[:, None, :] - u[:, :, None]).sum(axis=2) for u in per_step))
        case Decoding.MEAN:
            return np.asarray(sum(per_step) / len(per_step))
        case Decoding.MAX:
            return np.asarray(np.sort(per_step, axis=0)[-1])
        case Decoding.LAST:
            return np.asarray(per_step[-1])


def with_a_delay_moved(merged: Merged, block: int) -> NetworkSpec:
    """The merged network with the strongest synapse from an input onto a block one step later."""
    places = merged.places[block]["hidden0"]
    candidates = [
        (float(weight), number, edge)
        for number, projection in enumerate(merged.spec.projections)
        if projection.source == "input0" and projection.target == places.group
        for edge, (weight, target) in enumerate(zip(projection.weight, projection.target_index, strict=True))
        if 0 <= target - places.first < places.size
    ]
    _, number, edge = max(candidates)
    delay_ms = merged.spec.projections[number].delay_ms.copy()
    delay_ms[edge] += merged.spec.training_step_ms
    moved = replace(merged.spec.projections[number], delay_ms=delay_ms)
    projections = (*merged.spec.projections[:number], moved, *merged.spec.projections[number + 1 :])
    return replace(merged.spec, projections=projections)
