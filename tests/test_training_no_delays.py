"""Projections without delays, batch moments, the scale of arrivals: compiled, they are what PyTorch gives."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scanned_neurons import random_neuron
from small_training import SMALL, changed

from spikebridge.bridge.spec import Reset, SynapseKind
from spikebridge.training import spike_rows
from spikebridge.training.dataset import load_dataset
from spikebridge.training.fused_scan import fused_scan
from spikebridge.training.moments import normalised
from spikebridge.training.network import SpikingNetwork
from spikebridge.training.scan import scan
from spikebridge.training.spike_rows import events_pay, rows_projection
from spikebridge.training.surrogate import Surrogate
from spikebridge.training.tile_product import TILE_ROWS, add_product, padded, panel_width, panels_across, panels_of

pytestmark = pytest.mark.usefixtures("blocks_on_threads")


@given(st.integers(0, 2**31), st.integers(1, 40), st.integers(1, 90), st.integers(1, 40), st.booleans())
@settings(max_examples=40, deadline=None, derandomize=True)
def test_products_by_tiles_equal_matrix_products(seed: int, rows: int, columns: int, depth: int, single: bool) -> None:
    rng = np.random.default_rng(seed)
    kind = np.dtype(np.float32 if single else np.float64)
    left, right = rng.normal(size=(rows, depth)).astype(kind), rng.normal(size=(depth, columns)).astype(kind)
    whole = np.zeros((padded(rows, TILE_ROWS), depth), kind)
    whole[:rows] = left
    into = np.ones((len(whole), padded(columns, panel_width(kind))), kind)
    add_product(into, whole, panels_of(right))
    np.testing.assert_allclose(into[:rows, :columns], 1 + left @ right, rtol=0, atol=1e-4 if single else 1e-12)
    assert (into[rows:] == 1).all()


@pytest.mark.parametrize("size", [1, 31, 32, 33, 70])
def test_panels_of_a_transpose_are_those_of_the_transposed_matrix(size: int) -> None:
    matrices = np.random.default_rng(size).normal(size=(2, size, size)).astype(np.float32)
    for matrix, panels in zip(matrices, panels_across(matrices), strict=True):
        np.testing.assert_array_equal(panels, panels_of(matrix.T))


@pytest.mark.parametrize("single", [False, True])
@pytest.mark.parametrize("targets", [7, 16, 131, 203])
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(("batch", "steps"), [(1, 1), (3, 7), (8, 5)])
def test_rows_of_who_fired_give_the_values_and_gradients_of_a_matrix_product(
    batch: int, steps: int, threads: int, targets: int, single: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is left of targets beyond whole registers, and of these beyond groups of them."""
    monkeypatch.setattr(spike_rows, "events_pay", lambda *_: True)
    rng = np.random.default_rng(batch)
    kind = torch.float32 if single else torch.float64
    fires = rng.random((batch, steps, 30)) < 0.1
    spikes = torch.from_numpy(fires * rng.integers(1, 4, fires.shape) * 0.5).to(kind).requires_grad_()
    weight = torch.from_numpy(rng.normal(size=(targets, 30))).to(kind).requires_grad_()
    kept = torch.from_numpy((rng.random((batch, 30)) > 0.3) * 1.5).to(kind)
    torch.set_num_threads(threads)
    arrivals = rows_projection(spikes, weight, kept)
    expected = torch.nn.functional.linear(spikes * kept[:, None], weight)
    torch.testing.assert_close(arrivals, expected)
    probe = torch.from_numpy(rng.normal(size=arrivals.shape)).to(kind)
    found = torch.autograd.grad((arrivals * probe).sum(), (spikes, weight))
    wanted = torch.autograd.grad((expected * probe).sum(), (spikes, weight))
    torch.set_num_threads(1)
    for a, b in zip(found, wanted, strict=True):
        torch.testing.assert_close(a, b)


def test_events_pay_where_they_are_few_and_targets_many() -> None:
    assert events_pay(0, 1000, 256)
    assert events_pay(50, 1000, 256)
    assert not events_pay(500, 1000, 256)
    assert events_pay(50, 1000, 20)
    assert not events_pay(100, 1000, 20)


@pytest.mark.parametrize("share", [0.01, 0.9])
def test_projections_without_delays_are_matrix_products_whichever_way_they_take(share: float) -> None:
    rng = np.random.default_rng(0)
    spikes = torch.from_numpy((rng.random((5, 9, 40)) < share) * 1.0)
    weight = torch.from_numpy(rng.normal(size=(20, 40)))
    kept = torch.from_numpy((rng.random((5, 40)) > 0.3) * 1.5)
    wanted = torch.nn.functional.linear(spikes * kept[:, None], weight)
    torch.testing.assert_close(rows_projection(spikes, weight, kept), wanted)


@given(st.integers(0, 2**31), st.integers(1, 5), st.integers(1, 4), st.sampled_from([1, 2, 5]), st.sampled_from([1, 2]))
@settings(max_examples=30, deadline=None, derandomize=True)
def test_normalisation_and_its_gradients_are_those_of_pytorch(
    seed: int, batch: int, windows: int, window: int, threads: int
) -> None:
    rng = np.random.default_rng(seed)
    leaves = [torch.from_numpy(rng.normal(3.0, 1.0, shape)) for shape in ((batch, windows * window, 4), 4, 4)]
    arrivals, gamma, beta = (leaf.requires_grad_() for leaf in leaves)
    probes = [torch.from_numpy(rng.normal(size=shape)) for shape in (arrivals.shape, 4, 4)]
    counted = arrivals.reshape(batch, windows, window, 4).sum(dim=2)
    mean, var = counted.mean(dim=(0, 1)), counted.var(dim=(0, 1), unbiased=False)
    scale = gamma / torch.sqrt(var + 1e-5)
    plain = (arrivals, scale, beta - scale * mean, mean, var)
    torch.set_num_threads(threads)
    results = (tuple(normalised(arrivals, gamma, beta, 1e-5, window)), plain)
    losses = [sum((value * probe).sum() for value, probe in zip(found[:3], probes, strict=True)) for found in results]
    gradients = [torch.autograd.grad(loss, leaves) for loss in losses if isinstance(loss, torch.Tensor)]
    torch.set_num_threads(1)
    for a, b in (*zip(*results, strict=True), *zip(*gradients, strict=True)):
        torch.testing.assert_close(a, b)


def test_moments_of_float32_far_from_zero_are_as_exact_as_the_numbers() -> None:
    """A sum of squares less the square of the sum would have lost the variance."""
    arrivals = 1000 + torch.randn(16, 100, 3, generator=torch.Generator().manual_seed(0))
    *_, mean, variance = normalised(arrivals, torch.ones(3), torch.zeros(3), 1e-5)
    exact = arrivals.double()
    torch.testing.assert_close(mean.double(), exact.mean(dim=(0, 1)), rtol=1e-6, atol=0)
    torch.testing.assert_close(variance.double(), exact.var(dim=(0, 1), unbiased=False), rtol=1e-4, atol=0)


@pytest.mark.parametrize("kind", list(SynapseKind))
@pytest.mark.parametrize("lags", [(), (0,), (2, 5)])
def test_a_scale_within_the_scan_is_one_before_it(kind: SynapseKind, lags: tuple[int, ...]) -> None:
    """More samples than go side by side, and more neurons than a panel has columns."""
    rng = np.random.default_rng(len(lags))
    case = {"adaptive": True, "spiking": True, "oscillatory": False, "synapse": kind, "reset": Reset.TO_VALUE}
    made = random_neuron(case | {"pulse_steps": 1, "refractory_steps": 2}, rng, size=70)
    arrivals = torch.from_numpy(rng.integers(-(2**10), 2**12, (35, 12, 70)) / 2**10).requires_grad_()
    scale = torch.from_numpy(rng.integers(1, 8, 70) / 4).requires_grad_()
    weights = {lag: torch.from_numpy(rng.integers(-9, 9, (70, 70)) / 2**5).requires_grad_() for lag in lags}
    probe = torch.from_numpy(rng.normal(size=arrivals.shape))
    surrogate = Surrogate("triangle", 1.0)
    spikes, potentials = scan(made, arrivals * scale, surrogate, weights or None)
    fused_spikes, fused_potentials = fused_scan(made, arrivals, surrogate, weights or None, scale)
    assert torch.equal(spikes, fused_spikes)
    assert torch.equal(potentials, fused_potentials)
    leaves = (arrivals, scale, *weights.values())
    found = torch.autograd.grad(((fused_spikes + fused_potentials) * probe).sum(), leaves)
    wanted = torch.autograd.grad(((spikes + potentials) * probe).sum(), leaves)
    for a, b in zip(found, wanted, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9 * (1 + float(b.abs().max())))


@pytest.mark.parametrize("used", [0, 1])
def test_what_nothing_depends_on_has_no_gradient(used: int) -> None:
    """Only spikes, as of a hidden population, or only potentials, as of a readout."""
    rng = np.random.default_rng(used)
    case = {"adaptive": True, "spiking": True, "oscillatory": False, "synapse": SynapseKind.PULSE}
    made = random_neuron(case | {"reset": Reset.SUBTRACT, "pulse_steps": 3, "refractory_steps": 1}, rng, size=5)
    arrivals = torch.from_numpy(rng.integers(-(2**10), 2**12, (3, 20, 5)) / 2**10).requires_grad_()
    probe = torch.from_numpy(rng.normal(size=arrivals.shape))
    found, wanted = (
        torch.autograd.grad((run(made, arrivals, Surrogate("triangle", 1.0))[used] * probe).sum(), arrivals)[0]
        for run in (fused_scan, scan)
    )
    assert found.any()
    torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-9)


def test_the_arrivals_of_others_are_left_alone() -> None:
    """A recurrent population completes its arrivals in memory of its own."""
    made = random_neuron(
        {"adaptive": False, "spiking": True, "oscillatory": False, "synapse": SynapseKind.PULSE}
        | {"reset": Reset.SUBTRACT, "pulse_steps": 1, "refractory_steps": 1},
        np.random.default_rng(0),
        size=5,
    )
    arrivals = torch.full((2, 9, 5), 5.0, dtype=torch.float64)
    spikes, _ = fused_scan(made, arrivals, Surrogate("boxcar", 1.0), {0: torch.ones(5, 5, dtype=torch.float64)})
    assert spikes.any()
    assert (arrivals == 5.0).all()


@pytest.mark.parametrize("dropout", [0.0, 0.5])
@pytest.mark.parametrize("max_delay_ms", [0.0, 40.0])
def test_both_kernels_train_the_same_network_with_dropout_too(max_delay_ms: float, dropout: float) -> None:
    """In float64; with delays, kernels are wide, since narrow ones leave out what is negligible."""
    data = load_dataset(SMALL.data, None, seed=0)
    counts = data.train.counts(10.0)[:8]
    gradients = []
    for kernels in ("fused", "plain"):
        settings = {"batch_norm": True, "dropout": dropout, "bias": True, "max_delay_ms": max_delay_ms}
        config = changed(network=settings)
        network = SpikingNetwork(replace(config, kernels=kernels), len(data.class_names), seed=0).double()
        network.set_progress(0.0)
        torch.manual_seed(0)
        activity = network(counts.double())
        torch.autograd.backward(activity.potentials.square().mean() + activity.spikes[1].mean())
        gradients.append({name: p.grad for name, p in network.named_parameters() if p.grad is not None})
    assert gradients[0].keys() == gradients[1].keys()
    for name, fused in gradients[0].items():
        torch.testing.assert_close(fused, gradients[1][name], rtol=1e-6, atol=1e-9, msg=name)
