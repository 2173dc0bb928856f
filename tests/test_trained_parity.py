"""A trained module, its export, and every executor of the export: the same network, whatever the configuration.

Two statements make a proof. The export's weights are those of the module with batch normalisation applied, each within
half a quantum. And a module that has these weights in its own parametrisation, whose forward pass scales arrivals, adds
normalisation's shift and takes its propagators from PyTorch's matrix exponential, spikes as its export does: potentials
differ by less than the distance of any neuron to its threshold in any step.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch
from agreement import Case, Outcome, disagreements, in_brian2, merged_cases, scores_by_hand
from trained_networks import (
    GROUPS,
    REFRACTORY_MS,
    STEP_MS,
    Group,
    Trained,
    dense,
    scale_and_shift,
    take_exported_weights,
    trained_networks,
)

from spikebridge.bridge.reference import run_reference
from spikebridge.bridge.rounding import weight_quantum
from spikebridge.bridge.spikes import SpikeTrains
from spikebridge.training.executor import run_pytorch

NUMBER = 50
TOLERANCE = 1e-10


def found(group: Group) -> tuple[Trained, ...]:
    networks = trained_networks(group, NUMBER)
    assert len(networks) == NUMBER
    return networks


def cases_of(networks: tuple[Trained, ...]) -> list[Case]:
    return [network.case for network in networks]


@pytest.mark.parametrize("group", GROUPS, ids=range(len(GROUPS)))
def test_every_executor_of_an_export_agrees(group: Group) -> None:
    networks = found(group)
    recordings = [run_pytorch(network.spec, network.trials, step_ms=STEP_MS, batch_size=2) for network in networks]
    assert all(recording.readout is not None for recording in recordings)
    outcomes = [Outcome(dict(recording.spikes), np.asarray(recording.readout)) for recording in recordings]
    assert disagreements(cases_of(networks), outcomes, "PyTorch") == {}
    for network, recording in zip(networks, recordings, strict=True):
        by_hand = scores_by_hand(network.case.expected.readout, network.spec.readout.decoding)
        np.testing.assert_allclose(recording.scores, by_hand, rtol=1e-12, atol=1e-12)
    assert disagreements(cases_of(networks), in_brian2(cases_of(networks), "numpy"), "Brian2") == {}


@pytest.mark.parametrize("group", GROUPS, ids=range(len(GROUPS)))
def test_exported_weights_are_the_folded_ones_within_half_a_quantum(group: Group) -> None:
    for network in found(group):
        assert len(network.folded) == len(network.spec.projections)
        for number, folded in enumerate(network.folded):
            quantum = weight_quantum(network.spec.population(network.spec.projections[number].target).threshold)
            assert np.abs(dense(network.spec, number) - folded).max() <= quantum / 2
        for layer, population in zip(network.network.layers, network.spec.populations, strict=True):
            bias = layer.neurons.bias.detach().numpy() + scale_and_shift(layer)[1]
            np.testing.assert_allclose(population.bias, bias, rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("group", GROUPS, ids=range(len(GROUPS)))
def test_a_module_with_exported_weights_spikes_as_its_export(group: Group) -> None:
    for network in found(group):
        take_exported_weights(network.network, network.spec)
        (inputs,) = network.case.inputs.values()
        with torch.no_grad():
            activity = network.network(torch.from_numpy(inputs.counts("float64")))
        _, potentials = run_reference(network.case.grid, network.case.inputs)
        assert margin(network, potentials) > TOLERANCE, network.case.code
        spikes = {
            name: SpikeTrains.from_counts(values.numpy(), STEP_MS)
            for name, values in zip(network.spec.spiking_populations, activity.spikes, strict=True)
        }
        # Of an equal readout nothing but the spikes is left to compare; the potentials are compared below.
        outcome = Outcome(spikes, network.case.expected.readout)
        assert disagreements([network.case], [outcome], "the module") == {}
        np.testing.assert_allclose(
            activity.potentials.numpy(),
            network.case.expected.readout,
            rtol=0,
            atol=TOLERANCE,
            err_msg=network.case.code,
        )


def margin(network: Trained, potentials: dict[str, np.ndarray]) -> float:
    """The smallest distance of a potential to its threshold."""
    return min(
        float(np.abs(potentials[name] - network.spec.population(name).threshold).min())
        for name in network.spec.spiking_populations
    )


@pytest.mark.parametrize("group", GROUPS, ids=range(len(GROUPS)))
def test_the_configurations_are_varied_and_active(group: Group) -> None:
    networks = found(group)
    configs = [network.config for network in networks]
    for table, name, values in (
        ("network", "recurrent", {True, False}),
        ("network", "batch_norm", {True, False}),
        ("network", "bias", {True, False}),
        ("network", "readout_delays", {True, False}),
        ("network", "max_delay_ms", {0.0, 10.0, 80.0}),
        ("network", "decoding", {"softmax_sum", "mean", "max", "last"}),
        ("neuron", "adaptation", {True, False}),
        ("neuron", "reset", {"subtract", "to_value"}),
        ("neuron", "reset_value", {0.0, -0.25}),
        ("neuron", "refractory_ms", set(REFRACTORY_MS)),
    ):
        assert {getattr(getattr(config, table), name) for config in configs} == values
    assert {config.kernels for config in configs} == {"fused", "plain"}
    assert {len(config.network.hidden) for config in configs} == {1, 2, 3}
    spiking = [all(trains.n_spikes for trains in network.case.expected.spikes.values()) for network in networks]
    assert np.mean(spiking) > 0.6
    recurrent = [p.delay_ms for network in networks for p in network.spec.projections if p.source == p.target]
    assert np.concatenate(recurrent).max() == (STEP_MS if group.align and group.coarsest_ms > STEP_MS else 0.0)


def test_a_fold_in_the_wrong_direction_is_found() -> None:
    """The comparisons above can fail: the constant current of one network with the wrong sign."""
    cases = cases_of(found(GROUPS[1]))
    busy = next(
        number
        for number, network in enumerate(found(GROUPS[1]))
        if network.config.network.batch_norm and cases[number].expected.spikes["hidden1"].n_spikes > 50
    )
    merged, _ = merged_cases(cases)
    place = merged.places[busy]["hidden1"]
    bias = merged.spec.population(place.group).bias.copy()
    bias[place.first : place.first + place.size] *= -1
    populations = tuple(replace(p, bias=bias) if p.name == place.group else p for p in merged.spec.populations)
    said = disagreements(cases, in_brian2(cases, "numpy", replace(merged.spec, populations=populations)), "Brian2")
    assert list(said) == [busy]
    assert f"trained(TrainingConfig(seed={busy}, " in said[busy]
