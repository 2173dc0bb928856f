"""The benchmark against other trainers: what it measures of ours, its ratios and its bound. Peers run if installed."""

import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from benchmark_scripts import benchmark_script


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """`benchmarks/peers.py`."""
    with benchmark_script("peers", monkeypatch) as module:
        yield module


def small_shape(load: ModuleType) -> object:
    return load.Shape((12, 16, 14, 5), 6)


def test_ours_fires_at_the_rate_asked_for_and_its_kernels_narrow(load: ModuleType) -> None:
    ours = importlib.import_module("peer_ours")
    shape = small_shape(load)
    counts, _ = load.random_batch(16, 50, shape, 0.2)
    for rate_hz in (5.0, 30.0):
        network = ours.OurNetwork(ours.OURS["ours"], shape, counts, rate_hz=rate_hz)
        network.network.train()
        for layer in network.network(counts).spikes[:1]:  # the first layer: dropout varies what the others receive
            assert layer.mean().item() * 100 == pytest.approx(rate_hz, rel=0.1)
    widths = [ours.OurNetwork(ours.OURS["ours_lif"], shape, counts, done=done).sigma_steps for done in (0.0, 0.1, 1.0)]
    assert widths[0] == pytest.approx(3.0)  # half of six steps
    assert widths[0] > widths[1] > widths[2] == 0.23
    assert ours.OurNetwork(ours.OURS["ours_no_delays"], shape, counts).sigma_steps is None


def test_the_mean_over_a_training_weighs_the_narrowing_by_its_share(load: ModuleType) -> None:
    ours = importlib.import_module("peer_ours")
    # Linear from 5 at the start to 1 at a quarter: trapezoids are exact, (5 + 1) / 2 for a quarter and 1 for the rest.
    wide = {done: 5 - 16 * done for done in ours.SHARES}
    assert ours.over_a_training(1.0, wide) == pytest.approx(0.25 * 3 + 0.75)


def made_up(load: ModuleType, seconds: dict[str, list[float]]) -> dict[str, object]:
    speed = importlib.import_module("peer_speed")
    return {name: speed.Timing(name, wall_s=times, core_s=[2 * t for t in times]) for name, times in seconds.items()}


def test_ratios_take_the_fastest_repeats_and_the_fastest_peer_that_resets(load: ModuleType) -> None:
    speed, ours = (importlib.import_module(name) for name in ("peer_speed", "peer_ours"))
    seconds = {
        "ours": [0.2, 0.1],
        "ours_lif": [0.05],
        "ours_no_delays": [0.04, 0.9],
        "ours_lif_no_delays": [0.02],
        **{f"{name}@{done:g}": [0.3] for name in ("ours", "ours_lif") for done in ours.SHARES},
        **{f"dcls_spikingjelly@{done:g}": [0.5] for done in ours.SHARES},
        "dcls_spikingjelly": [0.8, 0.7],
        "plain_adlif": [0.12],
        "spikingjelly": [0.16],
        "snntorch_parallel": [0.01],
        "gru": [0.001],
    }
    found = speed.ratios(made_up(load, seconds))
    over = 0.2 * 0.3 + 0.05 * (0.3 + 0.1) / 2 + 0.75 * 0.1
    assert found["dcls_spikingjelly"] == pytest.approx((0.2 * 0.5 + 0.05 * 0.6 + 0.75 * 0.7) / over)
    assert found["dcls_spikingjelly_wide"] == pytest.approx(0.5 / over)
    over_lif = over - 0.775 * 0.1 + 0.775 * 0.05
    assert found["dcls_spikingjelly_lif"] == pytest.approx((0.2 * 0.5 + 0.05 * 0.6 + 0.75 * 0.7) / over_lif)
    assert found["dcls_spikingjelly_lif_wide"] == pytest.approx(0.5 / over_lif)
    assert found["dcls_spikingjelly_lif_end"] == pytest.approx(14.0)
    lines = load.said({"ratio": found, "ratio_core_time": found})
    assert sum(line.endswith("| 14.00 | 14.00 |") for line in lines) == 1
    assert found["dcls_spikingjelly_start"] == pytest.approx(0.5 / 0.3)
    assert found["dcls_spikingjelly_end"] == pytest.approx(7.0)
    assert found["best_without_delays"] == pytest.approx(3.0)  # neither the GRU nor what never resets
    assert found["best_without_delays_lif"] == pytest.approx(6.0)
    seconds = {name: times for name, times in seconds.items() if not name.startswith("dcls")}
    assert not any(name.startswith("dcls") for name in speed.ratios(made_up(load, seconds)))


def test_the_bound_counts_every_synapse_that_a_spike_meets(load: ModuleType) -> None:
    curves = importlib.import_module("peer_curves")
    counts = torch.zeros(2, 10, 12)
    counts[0, 3, 4] = counts[1, 5, 6] = 1.0
    # 2 x 10 steps of 10 ms: 5 Hz are 16 spikes of 16 neurons, 14 of 14.
    found = curves.spike_operations(counts, [5.0, 5.0], small_shape(load), recurrent=False)
    assert found == pytest.approx(2 * 16 * 2 + 16 * 14 * 3 + 14 * 5 * 3)
    found = curves.spike_operations(counts, [5.0, 5.0], small_shape(load), recurrent=True)
    assert found == pytest.approx(2 * 16 * 2 + 16 * (14 + 16) * 3 + 14 * (5 + 14) * 3)
    rows, total = np.ones((3, 8), np.float32), np.zeros((4, 8), np.float32)
    rows[1] = 2.0
    curves.add_rows(0, 5, np.array([0, 1, 2, 1, 1]), rows, total)
    assert total[:, 0].tolist() == [1 + 4, 4, 1, 4]


def test_plain_adlif_is_the_published_equations(load: ModuleType) -> None:
    torch.manual_seed(0)
    network = importlib.import_module("plain_adlif").PlainNetwork((12, 16, 5), recurrent=True)
    counts = (torch.rand(8, 30, 12) < 0.3).float()
    potentials, (spikes,) = network(counts)
    (layer,) = network.layers
    with torch.no_grad():
        x = layer.norm(layer.projection(counts).flatten(0, 1)).unflatten(0, (8, 30)).double().numpy()
        alpha, beta, a, b = (p.double().numpy() for p in (layer.alpha, layer.beta, layer.a, layer.b))
        v = layer.recurrent.double().numpy() * (1 - np.eye(16))
    u = w = s = np.zeros((8, 16))
    for t in range(30):
        w = beta * w + a * u + b * s
        u = alpha * (u - s) + (1 - alpha) * (x[:, t] + s @ v - w)
        assert np.abs(u - 1).min() > 1e-6  # no decision is doubtful
        s = (u >= 1).astype(float)
        np.testing.assert_array_equal(spikes[:, t].detach().numpy(), s)
    assert 0 < spikes.mean().item() < 1
    torch.autograd.backward(potentials.sum())
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in layer.parameters())


@pytest.mark.slow
def test_the_speed_is_measured_and_written(load: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With tiny sizes, no curves and only the peers that need nothing installed."""
    models = importlib.import_module("peer_models")
    for name in [name for name, peer in models.PEERS.items() if peer.needs]:
        monkeypatch.delitem(models.PEERS, name)
    small = small_shape(load)
    monkeypatch.setattr(load, "Shape", lambda: small)
    monkeypatch.setattr(importlib.import_module("common"), "RESULTS", tmp_path / "RESULTS.md")
    out = tmp_path / "speed.json"
    arguments = [
        "--speed-only",
        f"--json={out}",
        "--no-curves",
        "--batch=8",
        "--steps=20",
        "--repeats=2",
        "--threads=1",
    ]
    monkeypatch.setattr(sys, "argv", ["peers.py", *arguments])
    load.main()
    found = json.loads(out.read_text())
    assert set(found["ratio"]) == {"best_without_delays", "best_without_delays_for_delays", "best_without_delays_lif"}
    assert all(value > 0 for value in [*found["ratio"].values(), *found["samples_per_s"].values()])
    assert {"ours", "ours@0", "ours_50_hz", "plain_adlif", "gru"} <= set(found["samples_per_s"])
    assert found["settings"]["batch"] == 8
    assert "recurrent adLIF with delays, 0% of a training done" in (tmp_path / "RESULTS.md").read_text()


PEER_NAMES = (
    "dcls_spikingjelly",
    "spikingjelly",
    "snntorch_leaky",
    "snntorch_rleaky",
    "snntorch_parallel",
    "norse_lif",
    "norse_adex",
    "norse_refractory",
    "norse_lsnn",
)


# Norse 1.1.0 compiles three functions with TorchScript when it is imported.
@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")
@pytest.mark.parametrize("name", PEER_NAMES)
def test_a_peer_fires_and_has_gradients(load: ModuleType, name: str) -> None:
    models = importlib.import_module("peer_models")
    peer = models.PEERS[name]
    if not peer.installed:
        pytest.skip(f"{peer.label} is not installed; see the extra `peers`")
    torch.manual_seed(0)
    network = peer.build(small_shape(load))
    if peer.delays:
        wide = network.sigma_steps
        network.narrow(0.5)
        assert network.sigma_steps == pytest.approx((wide * 0.23) ** 0.5)
        network.narrow(1.0)
        assert network.sigma_steps == pytest.approx(0.23)
        network.narrow(0.0)
    counts, labels = load.random_batch(8, 20, small_shape(load), 0.2)
    models.set_rate(network, counts, 10.0)
    potentials, spikes = network(counts)
    assert potentials.shape == (8, 20, 5)
    assert [tuple(layer.shape) for layer in spikes] == [(8, 20, 16), (8, 20, 14)]
    assert all(set(layer.unique().tolist()) == {0.0, 1.0} for layer in spikes)
    torch.autograd.backward(torch.nn.functional.cross_entropy(potentials.softmax(-1).sum(1), labels))
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in network.parameters() if p.requires_grad)
