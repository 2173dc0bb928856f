"""Export: what was trained is what is exported, and PyTorch runs it with the bits of the NumPy reference."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_training import SMALL, changed

from spikebridge.bridge.decoding import Decoding, decode
from spikebridge.bridge.discretise import discretise
from spikebridge.bridge.errors import SpecError
from spikebridge.bridge.network_file import load_network, network_sha256, save_network
from spikebridge.bridge.reference import run_reference
from spikebridge.bridge.rounding import weight_quantum
from spikebridge.bridge.spec import NetworkSpec, Projection, SynapseKind
from spikebridge.bridge.spikes import SpikeTrains, bin_events
from spikebridge.training.config import TrainingConfig
from spikebridge.training.dataset import Dataset, load_dataset
from spikebridge.training.executor import run_batch, run_pytorch
from spikebridge.training.export import export
from spikebridge.training.fit import fit
from spikebridge.training.loss import decode_tensor
from spikebridge.training.network import SpikingNetwork, scale_weights_to_data

OPTIONS: dict[str, dict[str, Any]] = {
    "recurrent adLIF, pulse": {},
    "LIF, feed-forward": {"neuron": {"adaptation": False}, "network": {"recurrent": False}},
    "delta, no refractoriness": {"neuron": {"refractory_ms": 0.0}, "network": {"synapse": "delta"}},
    "delta, long refractoriness": {"neuron": {"refractory_ms": 30.0}, "network": {"synapse": "delta"}},
    "pulse, long refractoriness": {"neuron": {"refractory_ms": 40.0}},
    "exponential, reset to value": {
        "neuron": {"reset": "to_value", "reset_value": -0.25},
        "network": {"synapse": "exponential", "tau_syn_ms": 7.0},
    },
    "batch normalisation and bias": {"network": {"batch_norm": True, "bias": True}},
    "readout with delays, maximum": {"network": {"readout_delays": True, "decoding": "max"}},
    "no delays, one layer": {"network": {"max_delay_ms": 0.0, "hidden": (20,)}},
}


def prepared(config: TrainingConfig) -> tuple[SpikingNetwork, Dataset]:
    """A network that is active, with statistics and parameters that are not their initial values."""
    data = load_dataset(config.data, None, seed=0)
    network = SpikingNetwork(config, len(data.class_names), seed=0)
    counts = data.train.counts(config.data.step_ms)
    scale_weights_to_data(network, counts)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim == 1 and parameter.requires_grad:
                parameter.add_(0.05 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
        network.clamp_()
        for _ in range(100 if config.network.batch_norm else 1):
            network(counts)  # the running statistics settle
    return network.eval(), data


@pytest.mark.parametrize("name", list(OPTIONS))
def test_pytorch_equals_the_reference_bit_for_bit(name: str) -> None:
    network, data = prepared(changed(**OPTIONS[name]))
    spec = export(network, {})
    recording = run_pytorch(spec, data.test, step_ms=10.0, batch_size=10)
    grid = discretise(spec, 10.0)
    inputs, _ = bin_events(data.test.events, 10.0, grid.n_steps)
    spikes, potentials = run_reference(grid, {"input": inputs})
    assert recording.spikes.keys() == spikes.keys()
    for population, expected in spikes.items():
        found = recording.spikes[population]
        assert expected.n_spikes > 50
        assert np.array_equal(found.step, expected.step)
        assert np.array_equal(found.neuron, expected.neuron)
        assert np.array_equal(found.offsets, expected.offsets)
    assert recording.readout is not None
    assert np.array_equal(recording.readout, potentials["readout"])


@pytest.mark.parametrize("name", list(OPTIONS))
def test_the_export_is_what_was_trained(name: str) -> None:
    """The module itself, in float64, against its export: only its float32 time constants lie between."""
    network, data = prepared(changed(**OPTIONS[name]))
    spec = export(network, {})
    network.double()
    with torch.no_grad():
        for layer in network.layers:  # so that even this difference is gone
            layer.projection.weight.copy_(torch.round(layer.projection.weight * 2**20) / 2**20)
            if layer.recurrent_weight is not None:
                layer.recurrent_weight.copy_(torch.round(layer.recurrent_weight * 2**20) / 2**20)
        inputs, _ = bin_events(data.test.events, 10.0, 30)
        counts = torch.from_numpy(inputs.counts("float64"))
        activity = network(counts)
    recording = run_pytorch(spec, data.test, step_ms=10.0)
    tolerance = 1e-4 if network.config.network.batch_norm else 1e-6  # folded weights are rounded after scaling
    assert recording.readout is not None
    same_until = recording.n_steps
    for trained, exported in zip(activity.spikes, recording.spikes.values(), strict=True):
        moved = trained.numpy() != exported.counts()
        assert moved.sum() <= (0.001 * exported.n_spikes if network.config.network.batch_norm else 0)
        if moved.any():
            same_until = min(same_until, int(np.argmax(moved.any(axis=(0, 2)))))
    assert same_until > recording.n_steps / 2
    np.testing.assert_allclose(
        activity.potentials.numpy()[:, :same_until], recording.readout[:, :same_until], atol=tolerance
    )


def test_weights_are_multiples_of_the_quantum_and_delays_of_the_step() -> None:
    network, _ = prepared(SMALL)
    spec = export(network, {})
    for projection in spec.projections:
        quantum = weight_quantum(spec.population(projection.target).threshold)
        assert quantum == 2.0**-20
        assert np.array_equal(np.round(projection.weight / quantum) * quantum, projection.weight)
        assert np.array_equal(np.round(projection.delay_ms / 10.0) * 10.0, projection.delay_ms)
    delays = spec.projections[0].delay_ms
    assert delays.max() <= 80.0
    assert np.unique(delays).size == 9


def test_recurrent_projections_have_no_self_connections() -> None:
    network, _ = prepared(SMALL)
    recurrent = [p for p in export(network, {}).projections if p.source == p.target]
    assert [p.label for p in recurrent] == ["hidden1->hidden1", "hidden2->hidden2"]
    for projection in recurrent:
        assert (projection.source_index != projection.target_index).all()
        assert projection.weight.size == np.prod([spec_size(projection), spec_size(projection) - 1])


def spec_size(projection: Projection) -> int:
    return int(projection.source_index.max()) + 1


@pytest.mark.parametrize(
    ("refractory_ms", "said"), [(None, "made explicit"), (2.0, "may fire faster"), (20.0, "as configured")]
)
def test_the_export_says_what_it_decided_on_refractoriness(refractory_ms: float | None, said: str) -> None:
    network, _ = prepared(changed(neuron={"refractory_ms": refractory_ms}))
    spec = export(network, {})
    text = {decision.subject: decision.text for decision in spec.decisions}["refractory period"]
    assert said in text
    assert spec.populations[0].refractory_ms == (10.0 if refractory_ms is None else refractory_ms)
    assert spec.population("readout").refractory_ms == 0.0


def test_a_network_file_gives_back_the_same_network(tmp_path: Path) -> None:
    network, _ = prepared(changed(network={"batch_norm": True}))
    spec = export(network, {"seed": "0"})
    save_network(spec, tmp_path / "network.h5")
    read = load_network(tmp_path / "network.h5")
    assert network_sha256(read) == network_sha256(spec)
    assert read.metadata == {"seed": "0"}
    assert read.decisions == spec.decisions


def test_one_delay_off_by_one_step_changes_the_spikes() -> None:
    network, data = prepared(SMALL)
    spec = export(network, {})
    recording = run_pytorch(spec, data.test, step_ms=10.0)
    wrong = with_one_delay_moved(spec)
    other = run_pytorch(wrong, data.test, step_ms=10.0)
    assert other.network_sha256 != recording.network_sha256
    assert any(
        not np.array_equal(other.spikes[name].counts(), recording.spikes[name].counts()) for name in recording.spikes
    )


def with_one_delay_moved(spec: NetworkSpec) -> NetworkSpec:
    """The strongest synapse of the first projection one training step later."""
    first = spec.projections[0]
    delay_ms = first.delay_ms.copy()
    delay_ms[np.abs(first.weight).argmax()] += spec.training_step_ms
    return replace(spec, projections=(replace(first, delay_ms=delay_ms), *spec.projections[1:]))


def test_a_network_that_runs_backwards_is_refused() -> None:
    network, data = prepared(SMALL)
    spec = export(network, {})
    back = Projection(
        "hidden2",
        "hidden1",
        np.array([0]),
        np.array([0]),
        np.array([0.5]),
        np.array([10.0]),
        SynapseKind.PULSE,
        pulse_ms=10.0,
    )
    cyclic = replace(spec, projections=(*spec.projections, back))
    with pytest.raises(SpecError, match="hidden2->hidden1 runs backwards"):
        run_pytorch(cyclic, data.test, step_ms=10.0)


def test_recurrent_delays_equal_the_reference() -> None:
    network, data = prepared(SMALL)
    spec = export(network, {})
    delayed = tuple(
        replace(p, delay_ms=np.asarray(10.0 * (np.arange(p.weight.size) % 4), dtype=np.float64))
        if p.source == p.target
        else p
        for p in spec.projections
    )
    grid = discretise(replace(spec, projections=delayed), 10.0)
    inputs, _ = bin_events(data.test.events, 10.0, grid.n_steps)
    expected, _ = run_reference(grid, {"input": inputs})
    found, _ = run_batch(grid, {"input": torch.from_numpy(inputs.counts("float64"))})
    for name, trains in expected.items():
        assert np.array_equal(SpikeTrains.from_counts(found[name].numpy(), 10.0).neuron, trains.neuron)


@pytest.mark.parametrize("rule", list(Decoding))
def test_training_decodes_as_every_other_executor(rule: Decoding) -> None:
    potentials = torch.randn(5, 20, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    here = decode_tensor(potentials, rule).numpy()
    np.testing.assert_allclose(here, decode(potentials.numpy(), rule, step_ms=10.0, training_step_ms=10.0), rtol=1e-12)


def test_a_trained_network_survives_export(tmp_path: Path) -> None:
    data = load_dataset(SMALL.data, None, seed=0)
    trained = fit(SMALL, data, 0, tmp_path, progress=False)
    spec = export(trained.network, {})
    recording = run_pytorch(spec, data.test, step_ms=10.0)
    assert np.isfinite(recording.scores).all()
    assert all(trains.n_spikes > 0 for trains in recording.spikes.values())
