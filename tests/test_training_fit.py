"""The training loop: it learns, repeats itself to the bit, and survives being killed at any moment."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from small_training import SMALL, changed

from spikebridge.bridge.errors import ConfigError, DataError, SpikebridgeError
from spikebridge.training.config import TrainingConfig
from spikebridge.training.dataset import Dataset, load_dataset
from spikebridge.training.fit import build_optimiser, fit, learning_rate_factor
from spikebridge.training.network import SpikingNetwork


@pytest.fixture(scope="module")
def data() -> Dataset:
    return load_dataset(SMALL.data, None, seed=0)


def weights(network: SpikingNetwork) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_it_learns_what_only_timing_tells(tmp_path: Path) -> None:
    config = changed(data={"manifold_samples_per_class": 60}, optimiser={"epochs": 20}, network={"dropout": 0.0})
    trained = fit(config, load_dataset(config.data, None, seed=0), 0, tmp_path, progress=False)
    assert trained.history[trained.best_epoch].accuracy_validation > 0.7  # chance is 1/3
    assert trained.history[-1].loss < trained.history[0].loss


def test_the_best_epoch_by_validation_is_returned(data: Dataset, tmp_path: Path) -> None:
    trained = fit(SMALL, data, 0, tmp_path, progress=False)
    accuracies = [epoch.accuracy_validation for epoch in trained.history]
    assert accuracies[trained.best_epoch] == max(accuracies)
    written = json.loads((tmp_path / "metrics.json").read_text())
    assert written["best_epoch"] == trained.best_epoch
    assert [row["epoch"] for row in written["epochs"]] == [0, 1, 2]
    assert len((tmp_path / "metrics.csv").read_text().splitlines()) == 4


def test_the_same_seed_gives_the_same_weights_and_another_seed_does_not(data: Dataset, tmp_path: Path) -> None:
    runs = [
        weights(fit(SMALL, data, seed, tmp_path / name, progress=False).network) for seed, name in ((0, "a"), (0, "b"))
    ]
    assert same(runs[0], runs[1])
    other = weights(fit(SMALL, data, 1, tmp_path / "c", progress=False).network)
    assert not same(runs[0], other)


def test_a_finished_training_is_not_trained_again(data: Dataset, tmp_path: Path) -> None:
    first = fit(SMALL, data, 0, tmp_path, progress=False)
    stamp = (tmp_path / "checkpoint.pt").stat().st_mtime_ns
    second = fit(SMALL, data, 0, tmp_path, progress=False)
    assert (tmp_path / "checkpoint.pt").stat().st_mtime_ns == stamp
    assert same(weights(first.network), weights(second.network))


SCRIPT = """
import sys
from pathlib import Path
from small_training import SMALL
from spikebridge.training.dataset import load_dataset
from spikebridge.training.fit import fit
fit(SMALL, load_dataset(SMALL.data, None, seed=0), 0, Path(sys.argv[1]), progress=False)
"""


def test_killed_anywhere_and_started_again_it_gives_the_same_weights(data: Dataset, tmp_path: Path) -> None:
    whole = weights(fit(SMALL, data, 0, tmp_path / "whole", progress=False).network)
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]),
    }
    folder = tmp_path / "killed"
    checkpoint = folder / "checkpoint.pt"
    kills = 0
    for delay_s in (0.0, 0.05, 0.15):
        process = subprocess.Popen([sys.executable, "-c", SCRIPT, str(folder)], env=environment)
        before = checkpoint.stat().st_mtime_ns if checkpoint.exists() else None
        deadline = time.monotonic() + 60
        # Kill at a moment that has nothing to do with where the program is: some time after its next checkpoint.
        while process.poll() is None and time.monotonic() < deadline:
            if checkpoint.exists() and checkpoint.stat().st_mtime_ns != before:
                time.sleep(delay_s)
                process.send_signal(signal.SIGKILL)
                break
            time.sleep(0.005)
        process.wait()
        kills += process.returncode == -signal.SIGKILL
        if not checkpoint.exists() or process.returncode == 0:
            break
    assert kills >= 1
    resumed = weights(fit(SMALL, data, 0, folder, progress=False).network)
    assert same(whole, resumed)
    assert not list(folder.glob(".*.part"))  # what a kill left is gone


def test_a_checkpoint_of_another_configuration_is_refused_and_says_which_key(data: Dataset, tmp_path: Path) -> None:
    fit(SMALL, data, 0, tmp_path, progress=False)
    other = changed(network={"dropout": 0.3})
    with pytest.raises(ConfigError, match=r"network\.dropout = 0\.1, now it is 0\.3"):
        fit(other, data, 0, tmp_path, progress=False)
    with pytest.raises(ConfigError, match="seed = 0, now it is 1"):
        fit(SMALL, data, 1, tmp_path, progress=False)


def test_more_realisations_do_not_invalidate_a_checkpoint(data: Dataset, tmp_path: Path) -> None:
    fit(SMALL, data, 0, tmp_path, progress=False)
    fit(replace(SMALL, realisations=5), data, 0, tmp_path, progress=False)


def test_a_checkpoint_from_before_a_key_existed_is_continued(data: Dataset, tmp_path: Path) -> None:
    fit(SMALL, data, 0, tmp_path, progress=False)
    path = tmp_path / "checkpoint.pt"
    state = torch.load(path, weights_only=True)
    agreement = json.loads(state["agreement"])
    del agreement["config"]["regulariser"]["warm_up_share"]
    torch.save(state | {"agreement": json.dumps(agreement, sort_keys=True)}, path)
    fit(SMALL, data, 0, tmp_path, progress=False)
    with pytest.raises(ConfigError, match=r"regulariser\.warm_up_share = 0\.0, now it is 0\.5"):
        fit(changed(regulariser={"warm_up_share": 0.5}), data, 0, tmp_path, progress=False)


@pytest.mark.parametrize("damage", [b"", b"not a checkpoint"])
def test_a_damaged_checkpoint_is_named(data: Dataset, tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "checkpoint.pt").write_bytes(damage)
    with pytest.raises(DataError, match=r"checkpoint\.pt: checkpoint is damaged"):
        fit(SMALL, data, 0, tmp_path, progress=False)


def test_a_truncated_checkpoint_is_named(data: Dataset, tmp_path: Path) -> None:
    fit(SMALL, data, 0, tmp_path, progress=False)
    path = tmp_path / "checkpoint.pt"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DataError, match="damaged"):
        fit(SMALL, data, 0, tmp_path, progress=False)


def test_a_loss_that_is_not_finite_stops_with_advice(data: Dataset, tmp_path: Path) -> None:
    config = changed(optimiser={"weight_rate": 1e30})
    with pytest.raises(SpikebridgeError, match="weight_rate"):
        fit(config, data, 0, tmp_path, progress=False)


def test_every_trained_parameter_stays_within_its_bounds(data: Dataset, tmp_path: Path) -> None:
    config: TrainingConfig = changed(optimiser={"neuron_rate": 1.0, "delay_rate_ms": 200.0})
    network = fit(config, data, 0, tmp_path, progress=False).network
    for layer in network.layers[:-1]:
        values = layer.neurons.values()
        for name, value in values.items():
            low, high = getattr(config.neuron, name)
            assert (value >= low * (1 - 1e-6)).all()
            assert (value <= high * (1 + 1e-6)).all()
            assert ((value < low * 1.01 + 1e-3) | (value > high * 0.99)).any()  # such rates do push against them
        assert layer.projection.delay_ms.min() >= 0
        assert layer.projection.delay_ms.max() <= 80
        assert layer.recurrent_weight is not None
        assert (layer.recurrent_weight.diagonal() == 0).all()


def test_every_trainable_parameter_is_in_exactly_one_group() -> None:
    network = SpikingNetwork(changed(network={"batch_norm": True, "bias": True}), 3, 0)
    optimiser = build_optimiser(network, SMALL.optimiser)
    grouped = [id(p) for group in optimiser.param_groups for p in group["params"]]
    assert sorted(grouped) == sorted(id(p) for p in network.parameters() if p.requires_grad)
    assert {group["base_rate"] for group in optimiser.param_groups} == {1e-2, 2.0}


def test_the_learning_rate_rises_then_falls_to_zero() -> None:
    assert learning_rate_factor(0.05, 0.1) == pytest.approx(0.5)
    assert learning_rate_factor(0.1, 0.1) == pytest.approx(1.0)
    assert learning_rate_factor(0.55, 0.1) == pytest.approx(0.5)
    assert learning_rate_factor(1.0, 0.1) == pytest.approx(0.0)


def test_delay_kernels_narrow_from_half_the_maximum_to_their_end() -> None:
    network = SpikingNetwork(SMALL, 3, 0)
    widths = []
    for done in (0.0, 0.125, 0.25, 1.0):
        network.set_progress(done)
        widths.append(network.layers[0].projection.sigma_ms)
    assert widths[0] == 40.0
    assert 2.3 < widths[1] < 40.0
    assert widths[2] == widths[3] == 0.0  # a kernel has at least 0.23 steps of the grid it is on
