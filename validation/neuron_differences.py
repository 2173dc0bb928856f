"""Which parameters of one neuron, and of the synapses onto it, differ between two networks: in words."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import fields

import numpy as np

from spikebridge.bridge.spec import NetworkSpec, Population

NOT_OF_ONE_NEURON = frozenset({"name", "size"})


def neuron_differences(a: NetworkSpec, b: NetworkSpec, population: str, neuron: int) -> tuple[str, ...]:
    """What is not the same, A's value first; empty if neuron and synapses are the same.

    Raises:
        SpecError: a network has no such population.
    """
    ours, theirs = a.population(population), b.population(population)
    found = [
        f"{name} is {_value(ours, name, neuron)} in A, {_value(theirs, name, neuron)} in B"
        for name in (field.name for field in fields(Population) if field.name not in NOT_OF_ONE_NEURON)
        if _value(ours, name, neuron) != _value(theirs, name, neuron)
    ]
    kinds = [{p.source: p.receptor for p in spec.onto(population)} for spec in (a, b)]
    for source in sorted(set(kinds[0]) & set(kinds[1])):
        if kinds[0][source] != kinds[1][source]:
            texts = [f"{kind} (pulse_ms {pulse}, tau_syn_ms {tau})" for kind, pulse, tau in (k[source] for k in kinds)]
            found.append(f"synapses from {source} are {texts[0]} in A, {texts[1]} in B")
    return (*found, *_latencies(a, b, population), *_synapses(a, b, population, neuron))


def _latencies(a: NetworkSpec, b: NetworkSpec, population: str) -> Iterator[str]:
    """What turns equal delays in ms into other delays in steps, off the training grid."""
    if a.training_step_ms != b.training_step_ms:
        yield f"training_step_ms is {a.training_step_ms} in A, {b.training_step_ms} in B"
    for source in sorted({p.source for spec in (a, b) for p in spec.onto(population)}):
        # Several projections may share source and target.
        ours, theirs = ([str(p.latency_steps) for p in spec.onto(population) if p.source == source] for spec in (a, b))
        if ours and theirs and ours != theirs:
            said = [" and ".join(latencies) for latencies in (ours, theirs)]
            yield f"latency_steps of synapses from {source} is {said[0]} in A, {said[1]} in B"


def _value(population: Population, name: str, neuron: int) -> str | float:
    value = getattr(population, name)
    if isinstance(value, np.ndarray):
        return float(value[neuron])
    return value if isinstance(value, float) else str(value)


def _synapses(a: NetworkSpec, b: NetworkSpec, population: str, neuron: int) -> Iterator[str]:
    ours, theirs = (_onto(spec, population, neuron) for spec in (a, b))
    for source in sorted(set(ours) | set(theirs)):
        here, there = sorted(ours.get(source, [])), sorted(theirs.get(source, []))
        if here == there:
            continue
        where = f"the synapse from {source[0]} neuron {source[1]}"
        if len(here) == len(there) == 1:
            for label, unit, k in (("weight", "", 0), ("delay", " ms", 1)):
                if here[0][k] != there[0][k]:
                    yield f"{where} has a {label} of {here[0][k]:.9g}{unit} in A, {there[0][k]:.9g}{unit} in B"
        elif here and there:
            yield f"the synapses from {source[0]} neuron {source[1]} are {len(here)} in A, {len(there)} in B, or differ"
        else:
            yield f"{where} is only in {'A' if here else 'B'}"


def _onto(spec: NetworkSpec, population: str, neuron: int) -> dict[tuple[str, int], list[tuple[float, float]]]:
    """Weight and delay in ms of every synapse onto the neuron, by source and source neuron."""
    found: dict[tuple[str, int], list[tuple[float, float]]] = defaultdict(list)
    for projection in spec.onto(population):
        onto = projection.target_index == neuron
        columns = (projection.source_index[onto], projection.weight[onto], projection.delay_ms[onto])
        for source, weight, delay_ms in zip(*(column.tolist() for column in columns), strict=True):
            found[projection.source, source].append((weight, delay_ms))
    return found
