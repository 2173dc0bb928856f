"""Training on several time steps, and training a network further at a finer one."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from small_training import COARSE_DEMO, SMALL, changed

from spikebridge.bridge.discretise import discretise
from spikebridge.bridge.errors import ConfigError, DataError, SpecError
from spikebridge.bridge.network_file import load_network
from spikebridge.bridge.spikes import bin_events
from spikebridge.cli.main import main
from spikebridge.training.checkpoint import load_start
from spikebridge.training.config import Phase, TrainingConfig
from spikebridge.training.dataset import load_dataset
from spikebridge.training.executor import run_pytorch
from spikebridge.training.export import export
from spikebridge.training.fit import evaluate, first_candidate, fit
from spikebridge.training.network import SpikingNetwork, scale_weights_to_data

PHASES = (
    Phase(share=0.5, steps_ms=(10.0,)),
    Phase(share=0.25, steps_ms=(5.0, 2.0)),
    Phase(share=0.25, steps_ms=(2.0, 1.0)),
)


def scheduled(**tables: dict[str, Any]) -> TrainingConfig:
    settings: dict[str, dict[str, Any]] = {"data": {"step_ms": 1.0}, "optimiser": {"epochs": 4, "batch_size": 4}}
    for name, values in tables.items():
        settings[name] = settings.get(name, {}) | values
    return changed(**({"schedule": {"phases": PHASES}} | settings))


def test_epochs_belong_to_phases_by_their_share() -> None:
    config = scheduled(optimiser={"epochs": 8})
    assert [config.phase_of_epoch(epoch) for epoch in range(8)] == [0, 0, 0, 0, 1, 1, 2, 2]
    assert first_candidate(config) == 6
    assert first_candidate(SMALL) == 0
    with pytest.raises(ValidationError, match=r"epochs of 2 leaves phase 2 .* give at least 4 epochs"):
        scheduled(optimiser={"epochs": 2})


def test_the_chosen_epoch_is_one_of_the_last_phase_and_every_step_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[tuple[bool, float | None, int]] = []
    forward = SpikingNetwork.forward

    def spy(self: SpikingNetwork, counts: torch.Tensor, step_ms: float | None = None) -> Any:
        used.append((self.training, step_ms, counts.shape[1]))
        return forward(self, counts, step_ms)

    monkeypatch.setattr(SpikingNetwork, "forward", spy)
    config = scheduled()
    trained = fit(config, load_dataset(config.data, None, seed=0), 0, tmp_path, progress=False)
    assert trained.best_epoch == 3
    assert {step for training, step, _ in used if training} == {10.0, 5.0, 2.0, 1.0}
    assert all(step is not None and steps * step == 300.0 for _, step, steps in used)
    assert {step for training, step, _ in used if not training} == {1.0}  # validation runs on the export's grid


def test_defaults_come_from_the_reference_step() -> None:
    config = scheduled()
    assert (config.reference_step_ms, config.pulse_ms, config.refractory_ms) == (10.0, 10.0, 10.0)
    fine = scheduled(schedule={"phases": (), "reference_step_ms": 10.0})
    assert (fine.reference_step_ms, fine.pulse_ms, fine.refractory_ms) == (10.0, 10.0, 10.0)


def test_what_a_grid_adds_depends_on_the_synapses() -> None:
    assert [scheduled().latency_steps(from_input=first) for first in (True, False)] == [0.5, 0.5]
    delta = scheduled(network={"synapse": "delta"})
    assert [delta.latency_steps(from_input=first) for first in (True, False)] == [0.5, 1.0]
    assert scheduled(schedule={"align": False}).latency_steps(from_input=True) == 0.0


@pytest.mark.parametrize("align", [True, False])
@pytest.mark.parametrize("synapse", ["pulse", "delta", "exponential"])
def test_the_export_runs_at_every_step_what_was_trained_there(synapse: str, align: bool) -> None:
    """The module in float64 against its export, at the export's step and at a coarser one that it was trained on."""
    config = scheduled(
        network={"synapse": synapse}, neuron={"refractory_ms": 10.0}, schedule={"phases": PHASES, "align": align}
    )
    data = load_dataset(config.data, None, seed=0)
    network = SpikingNetwork(config, len(data.class_names), seed=0)
    scale_weights_to_data(network, data.train.counts(10.0), 10.0)
    with torch.no_grad():
        for layer in network.layers:
            layer.projection.weight.copy_(torch.round(layer.projection.weight * 2**20) / 2**20)
            # Whole steps of the export's grid, so that a coarser grid rounds the same delay.
            layer.projection.delay_ms.copy_(torch.round(layer.projection.delay_ms))
            if layer.recurrent_weight is not None:
                layer.recurrent_weight.copy_(torch.round(layer.recurrent_weight * 2**20) / 2**20)
    spec = export(network.eval(), {})
    between = 1.0 if synapse == "delta" else 0.5
    assert [p.latency_steps for p in spec.projections[:3]] == [0.5 * align, between * align, between * align]
    network.double()
    for step_ms in (1.0, 2.0) if synapse == "pulse" else (1.0, 5.0):
        inputs, _ = bin_events(data.test.events, step_ms, round(300 / step_ms))
        with torch.no_grad():
            activity = network(torch.from_numpy(inputs.counts("float64")), step_ms)
        recording = run_pytorch(spec, data.test, step_ms=step_ms)
        for trained, exported in zip(activity.spikes, recording.spikes.values(), strict=True):
            assert exported.n_spikes > 20
            assert np.array_equal(trained.numpy(), exported.counts()), (step_ms, synapse)


def test_the_export_says_what_it_decided_on_steps_and_latency() -> None:
    config = scheduled()
    spec = export(SpikingNetwork(config, 3, seed=0).eval(), {})
    said = {decision.subject: decision.text for decision in spec.decisions}
    assert "50% of the epochs at 10 ms; then 25% of the epochs at 5 or 2 ms" in said["training steps"]
    assert "4.5 ms longer here" in said["latency"]
    assert said["recurrent delays"].startswith("5 ms")
    assert said["pulse width"].startswith("10 ms")
    assert said["refractory period"].startswith("10 ms")
    recurrent = next(p for p in spec.projections if p.source == p.target)
    assert (recurrent.delay_ms == 5.0).all()
    assert discretise(spec, 1.0).roundings == ()
    other = export(SpikingNetwork(scheduled(schedule={"align": False}), 3, seed=0).eval(), {})
    assert "not aligned" in {d.subject: d.text for d in other.decisions}["latency"]


def test_a_parameter_that_is_not_finite_is_not_exported() -> None:
    network = SpikingNetwork(SMALL, 3, seed=0).eval()
    with torch.no_grad():
        network.layers[1].neurons.bias[3] = float("nan")
    with pytest.raises(SpecError, match=r"population 'hidden2': bias\[3\] is nan"):
        export(network, {})
    with torch.no_grad():
        network.layers[1].neurons.bias[3] = 0.0
        network.layers[0].projection.weight[2, 1] = float("inf")
    with pytest.raises(SpecError, match=r"too large for exact sums"):
        export(network, {})


def test_a_network_is_trained_further_from_where_another_training_ended(tmp_path: Path) -> None:
    data = load_dataset(SMALL.data, None, seed=0)
    coarse = fit(SMALL, data, 0, tmp_path / "coarse", progress=False)
    fine = changed(data={"step_ms": 1.0}, schedule={"reference_step_ms": 10.0}, optimiser={"epochs": 1})
    start = load_start(tmp_path / "coarse", fine, data.provenance, 0)
    assert f"epoch {coarse.best_epoch + 1} of 3" in start.provenance["start"]
    still = replace(fine, optimiser=replace(fine.optimiser, weight_rate=1e-12, neuron_rate=1e-12, delay_rate_ms=1e-12))
    trained = fit(still, data, 0, tmp_path / "still", start=start, progress=False)
    for name, value in coarse.network.state_dict().items():
        torch.testing.assert_close(trained.network.state_dict()[name], value, rtol=0, atol=1e-5)
    assert trained.network.layers[0].projection.sigma_ms == 0.0  # kernels stay narrow
    moved = fit(fine, data, 0, tmp_path / "fine", start=start, progress=False)
    assert not torch.equal(moved.network.layers[0].projection.weight, coarse.network.layers[0].projection.weight)
    # The same network at either step: fine-tuning starts near the coarse accuracy, not at chance.
    accuracy, _, _ = evaluate(trained.network, data.train, still, 1.0)
    assert accuracy > evaluate(coarse.network, data.train, SMALL, 10.0)[0] - 0.2


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ({"network": {"hidden": (16, 15)}}, r"network\.hidden = \(16, 14\), this configuration makes it \(16, 15\)"),
        ({"schedule": {}}, r"schedule\.reference_step_ms = 10\.0, this configuration makes it 1\.0"),
        ({"neuron": {"refractory_ms": 2.0}}, r"neuron\.refractory_ms = 10\.0"),
    ],
)
def test_another_network_is_no_start(tmp_path: Path, tables: dict[str, Any], message: str) -> None:
    fit(SMALL, load_dataset(SMALL.data, None, seed=0), 0, tmp_path, progress=False)
    settings = {"data": {"step_ms": 1.0}, "schedule": {"reference_step_ms": 10.0}} | tables
    with pytest.raises(ConfigError, match=message):
        load_start(tmp_path, changed(**settings), load_dataset(SMALL.data, None, seed=0).provenance, 0)


def test_a_start_that_was_fitted_on_other_samples_is_refused(tmp_path: Path) -> None:
    """Or the samples that choose the epoch could be among those it was fitted on."""
    fit(SMALL, load_dataset(SMALL.data, None, seed=0), 0, tmp_path, progress=False)
    with pytest.raises(ConfigError, match="seed = 0, now it is 5"):
        load_start(tmp_path, SMALL, load_dataset(SMALL.data, None, seed=5).provenance, 5)
    other = replace(SMALL.data, manifold_seed=3)
    with pytest.raises(ConfigError, match=r"data\.train = "):
        load_start(tmp_path, SMALL, load_dataset(other, None, seed=0).provenance, 0)
    fewer = replace(SMALL.data, validation_share=0.4)
    with pytest.raises(ConfigError, match=r"data\.validation = "):
        load_start(tmp_path, SMALL, load_dataset(fewer, None, seed=0).provenance, 0)


def test_a_folder_without_training_is_no_start(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no checkpoint to start from"):
        load_start(tmp_path, SMALL, {}, 0)


def test_fine_tuning_from_the_command_line(tmp_path: Path) -> None:
    settings = [
        "--set=data.manifold_samples_per_class=10",
        "--set=data.manifold_test_samples_per_class=2",
        "--set=data.duration_ms=200.0",
        "--set=network.hidden=[12]",
        "--set=network.max_delay_ms=50.0",
        "--set=optimiser.epochs=1",
        *COARSE_DEMO,
        "--quiet",
    ]
    coarse, fine = str(tmp_path / "coarse"), tmp_path / "fine"
    assert main(["train", "demo", "--out", coarse, *settings]) == 0
    finer = [*settings, "--set=data.step_ms=1.0"]
    assert main(["train", "demo", "--out", str(fine), "--start-from", coarse, *finer]) == 2  # no reference step
    assert not fine.exists() or not (fine / "network.h5").exists()
    reference = "--set=schedule.reference_step_ms=10.0"
    command = ["train", "demo", "--out", str(fine), "--start-from", coarse, *finer, reference]
    assert main(command) == 0
    spec = load_network(fine / "network.h5")
    assert spec.metadata["start"].startswith("seed 0, epoch 1 of 1, weights sha256 ")
    assert spec.training_step_ms == 1.0
    assert {d.subject: d.text for d in spec.decisions}["start"].startswith("the network of another training")
    assert json.loads((fine / "metrics.json").read_text())["epochs"][0]["step_ms"] == 1.0
    assert main(["train", "demo", "--out", coarse, "--start-from", coarse, *settings]) == 2
