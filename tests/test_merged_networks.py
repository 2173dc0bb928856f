"""Merging networks changes nothing: a block does what it does alone."""

from dataclasses import replace

import numpy as np
import pytest
from agreement import Outcome, case, cases, disagreements, in_reference, merged_cases
from merged_networks import merge
from networks import edges, network, neurons
from recipes import Batch, Recipe, drawn, narrow_batches, wide_batches

from spikebridge.bridge.decoding import Decoding
from spikebridge.bridge.discretise import discretise
from spikebridge.bridge.spec import NetworkSpec, Reset, SynapseKind

BATCHES = wide_batches(60)


# The last one off the training grid, where latencies count.
@pytest.mark.parametrize("batch", [*BATCHES, replace(BATCHES[1], parts=3)], ids=range(5))
def test_a_block_does_what_it_does_alone(batch: Batch) -> None:
    found = cases(batch)
    merged, inputs = merged_cases(found)
    together = in_reference(discretise(merged.spec, found[0].grid.step_ms), inputs)
    blocks = zip(merged.split(together.spikes), merged.split_readout(together.readout), strict=True)
    assert disagreements(found, (Outcome(*block) for block in blocks), "merged reference") == {}


@pytest.mark.parametrize("batch", BATCHES, ids=range(4))
def test_merging_leaves_few_populations_and_loses_nothing(batch: Batch) -> None:
    found = cases(batch)
    merged, inputs = merged_cases(found)
    specs = [case.grid.spec for case in found]
    assert len(merged.spec.populations) <= len(batch.structures) + 1
    assert sum(p.size for p in merged.spec.populations) == sum(p.size for spec in specs for p in spec.populations)
    for name in ("weight", "delay_ms"):
        apart = [getattr(p, name) for spec in specs for p in spec.projections]
        together = [getattr(p, name) for p in merged.spec.projections]
        np.testing.assert_array_equal(np.sort(np.concatenate(together)), np.sort(np.concatenate(apart)))
    spikes = sum(trains.n_spikes for case in found for trains in case.inputs.values())
    assert sum(trains.n_spikes for trains in inputs.values()) == spikes


def small(size: int, weight: float) -> NetworkSpec:
    synapses = [(0, k, weight + k, k) for k in range(size)]
    return network([neurons(size=size, theta=weight)], [edges("input", "hidden", synapses)])


def test_places_by_hand() -> None:
    """Two populations of one structure join, a third of another structure does not."""
    adaptive = network([neurons(size=1, b=1.0)], [edges("input", "hidden", [(0, 0, 9.0, 0)])])
    merged = merge([small(2, 1.0), small(3, 4.0), adaptive])
    assert [(p.name, p.size) for p in merged.spec.populations] == [("group0", 5), ("readout", 3), ("group2", 1)]
    assert [(node.name, node.size) for node in merged.spec.inputs] == [("input0", 3)]
    first, second = merged.spec.projections
    assert (first.source, first.target, second.source, second.target) == ("input0", "group0", "input0", "group2")
    assert first.source_index.tolist() == [0, 0, 1, 1, 1]
    assert first.target_index.tolist() == [0, 1, 2, 3, 4]
    assert first.weight.tolist() == [1.0, 2.0, 4.0, 5.0, 6.0]
    assert first.delay_ms.tolist() == [0.0, 10.0, 0.0, 10.0, 20.0]
    assert (second.source_index.tolist(), second.target_index.tolist()) == ([2], [0])
    assert merged.spec.population("group0").threshold.tolist() == [1.0, 1.0, 4.0, 4.0, 4.0]
    assert merged.block_at("group0", 3) == (1, "hidden", 1)


def test_projections_of_different_latency_stay_apart_between_populations_that_join() -> None:
    """Each block keeps its own latency: 10 ms of delay are 5 steps of 2 ms, 7 and 9 with a latency of 1/2 and 1."""
    latencies = (0.0, 1.0, 0.5, 1.0)
    blocks = []
    for latency_steps in latencies:
        projection = replace(edges("input", "hidden", [(0, 0, 1.0, 1)]), latency_steps=latency_steps)
        blocks.append(network([neurons()], [projection]))
    merged = merge(blocks)
    assert [(p.name, p.size) for p in merged.spec.populations] == [("group0", 4), ("readout", 4)]
    assert [p.latency_steps for p in merged.spec.projections] == [0.0, 1.0, 0.5]
    grid = discretise(merged.spec, 2.0)
    found = {
        int(target): (int(source), int(delay))
        for p in grid.projections
        for source, target, delay in zip(
            p.projection.source_index, p.projection.target_index, p.delay_steps, strict=True
        )
    }
    assert found == {0: (0, 5), 1: (1, 9), 2: (2, 7), 3: (3, 9)}


@pytest.mark.parametrize(
    "other",
    [
        neurons(reset=Reset.TO_VALUE),
        neurons(refractory_steps=2),
        neurons(a=0.5),
        neurons(reset=Reset.TO_VALUE, reset_value=-1.0),
    ],
)
def test_what_executors_treat_differently_stays_apart(other: object) -> None:
    spec = network([other], [edges("input", "hidden", [(0, 0, 1.0, 0)])])  # type: ignore[list-item]
    assert len(merge([small(1, 1.0), spec]).spec.populations) == 3


def test_synapses_of_different_kinds_stay_apart() -> None:
    kinds = [(SynapseKind.DELTA, 1), (SynapseKind.PULSE, 1), (SynapseKind.PULSE, 2), (SynapseKind.EXPONENTIAL, 1)]
    specs = [
        network([neurons()], [edges("input", "hidden", [(0, 0, 1.0, 0)], kind, pulse_steps=width)])
        for kind, width in kinds
    ]
    assert len(merge(specs).spec.populations) == 5


def test_blocks_that_do_not_fit_are_refused() -> None:
    spec = small(1, 1.0)
    with pytest.raises(ValueError, match="differ in duration_ms"):
        merge([spec, replace(spec, duration_ms=20.0)])
    with pytest.raises(ValueError, match="differ in training_step_ms"):
        merge([spec, replace(spec, training_step_ms=1.0)])
    pulses = edges("input", "readout", [(0, 0, 1.0, 0)], SynapseKind.PULSE)
    with pytest.raises(ValueError, match="differ in readout"):
        merge([spec, network([neurons("readout", spiking=False)], [pulses])])
    with pytest.raises(ValueError, match="no blocks"):
        merge([])


def test_a_recipe_written_down_makes_the_same_network() -> None:
    """What a failing test prints is Python that gives the network back."""
    recipe = drawn(narrow_batches(5)[3])[-1]
    names = {thing.__name__: thing for thing in (Recipe, type(recipe.readout), SynapseKind, Reset, Decoding)}
    again = eval(recipe.code(), names)
    assert again == recipe
    assert disagreements([case(recipe)], [case(again).expected], "the same") == {}


def test_batches_are_the_same_in_every_run_and_hold_no_network_twice() -> None:
    batch = BATCHES[0]
    again = drawn.__wrapped__(batch)
    assert again == drawn(batch)
    assert len(set(again)) == batch.networks
