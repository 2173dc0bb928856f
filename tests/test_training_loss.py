"""Rate penalty, initial scaling, dropout and configuration."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from small_training import SMALL, changed

from spikebridge.training.config import NeuronConfig, Phase, TrainingConfig
from spikebridge.training.config_data import DataConfig
from spikebridge.training.config_recipe import RegulariserConfig
from spikebridge.training.dataset import load_dataset
from spikebridge.training.fit import first_candidate
from spikebridge.training.loss import close_pairs_hz, rate_penalty, rates_hz
from spikebridge.training.network import FoldableBatchNorm, SpikingNetwork, scale_weights_to_data
from spikebridge.training.propagators import entries_of
from spikebridge.training.scan import scan


def phased(*phases: tuple[float, float], step_ms: float) -> TrainingConfig:
    made = tuple(Phase(share=share, steps_ms=(step,)) for share, step in phases)
    return changed(SMALL, schedule={"phases": made}, data={"step_ms": step_ms})


def spikes_at(rates: Sequence[float], steps: int = 100) -> torch.Tensor:
    """One sample of `steps` bins of 10 ms in which neuron i fires rates[i] times a second, evenly."""
    raster = torch.zeros(1, steps, len(rates))
    for neuron, rate in enumerate(rates):
        raster[0, : round(rate * steps / 100), neuron] = 1
    return raster


def test_rates_are_spikes_per_second() -> None:
    torch.testing.assert_close(rates_hz(spikes_at([0, 1, 7]), 10.0), torch.tensor([0.0, 1.0, 7.0]))


def test_the_penalty_is_two_sided_and_zero_in_between() -> None:
    config = RegulariserConfig(low_hz=2.0, low_strength=3.0, high_hz=5.0, high_strength=4.0)
    assert rate_penalty([spikes_at([2, 3, 5])], 10.0, config).item() == 0.0
    # Silent: (1 - 0)^2 of strength 3 over 2 neurons; 10 Hz: (10 / 5 - 1)^2 of strength 4 over 2 neurons.
    torch.testing.assert_close(rate_penalty([spikes_at([0, 3])], 10.0, config), torch.tensor(1.5))
    torch.testing.assert_close(rate_penalty([spikes_at([3, 10])], 10.0, config), torch.tensor(2.0))
    both = [spikes_at([0, 3]), spikes_at([3, 10])]
    torch.testing.assert_close(rate_penalty(both, 10.0, config), torch.tensor(3.5))


def test_populations_are_drawn_to_the_target_from_both_sides() -> None:
    config = RegulariserConfig(low_strength=0.0, high_strength=0.0, target_rate_hz=2.0, target_strength=3.0)
    # Means of 2 Hz (met by silent and busy neurons together), 4, 1 and 0 Hz.
    assert abs(rate_penalty([spikes_at([0, 4])], 10.0, config).item()) < 1e-12
    for rates, ratio in (([4, 4], 2.1 / 1.1), ([0, 2], 0.6 / 1.1), ([0, 0], 0.1 / 1.1)):
        expected = torch.tensor(3.0 * np.log(ratio) ** 2, dtype=torch.float32)
        torch.testing.assert_close(rate_penalty([spikes_at(rates)], 10.0, config), expected)


def test_every_spike_can_cost() -> None:
    config = RegulariserConfig(low_strength=0.0, high_strength=0.0, spike_strength=0.5)
    torch.testing.assert_close(rate_penalty([spikes_at([0, 3]), spikes_at([5])], 10.0, config), torch.tensor(3.25))


def test_close_pairs_are_counted_one_by_one() -> None:
    rng = np.random.default_rng(0)
    spikes = torch.from_numpy((rng.random((3, 50, 4)) < 0.3).astype(np.float32))
    for reach_ms in (0.5, 2.0, 7.0, 100.0):
        expected = np.zeros(4)
        for b, t, n in zip(*np.nonzero(spikes.numpy()), strict=True):
            expected[n] += sum(spikes[b, s, n].item() for s in range(max(t - int(reach_ms), 0), t))
        found = close_pairs_hz(spikes, 1.0, reach_ms)
        torch.testing.assert_close(found, torch.from_numpy(expected / (3 * 0.05)).float(), rtol=1e-5, atol=1e-4)


def test_bursts_can_cost() -> None:
    config = RegulariserConfig(low_strength=0.0, high_strength=0.0, burst_ms=20.0, burst_strength=0.5)
    raster = torch.zeros(1, 100, 2, requires_grad=True)
    with torch.no_grad():
        raster[0, [3, 5, 50], 0] = 1  # one pair 20 ms apart, in a second
    penalty = rate_penalty([raster], 10.0, config)
    torch.testing.assert_close(penalty, torch.tensor(0.25))
    (gradient,) = torch.autograd.grad(penalty, raster)
    assert (gradient[0, [1, 2, 3, 4, 5, 6, 7], 0] > 0).all()  # each of the two, and what would be close to them
    assert gradient[0, 20, 0] == 0.0
    assert gradient[0, :, 1].abs().max() == 0.0


def test_the_warm_up_holds_back_all_but_the_floor() -> None:
    config = RegulariserConfig(
        low_hz=2.0,
        low_strength=1.0,
        high_hz=5.0,
        high_strength=1.0,
        target_rate_hz=4.0,
        spike_strength=1.0,
        warm_up_share=0.5,
    )
    activity = [spikes_at([0, 10])]  # floor 0.5, ceiling 0.5, target log(1.35 / 1.1)^2, cost 5
    target = np.log(1.35 / 1.1) ** 2
    for progress, warmth in ((0.0, 0.0), (0.25, 0.5), (0.5, 1.0), (0.9, 1.0)):
        expected = 0.5 + warmth * (0.5 + target + 5.0)
        torch.testing.assert_close(
            rate_penalty(activity, 10.0, config, progress), torch.tensor(expected, dtype=torch.float32)
        )
    assert RegulariserConfig().warmth(0.0) == 1.0


def test_no_epoch_of_the_warm_up_is_chosen() -> None:
    def candidate(share: float) -> int:
        return first_candidate(
            changed(optimiser={"epochs": 10, "batch_size": 16}, regulariser={"warm_up_share": share})
        )

    assert [candidate(share) for share in (0.0, 0.3, 0.35, 0.9)] == [0, 3, 4, 9]
    gradual = changed(optimiser={"epochs": 10, "batch_size": 16}, neuron={"refractory_warm_up_share": 0.5})
    assert first_candidate(gradual) == 5


def test_the_refractory_period_grows_in_whole_steps() -> None:
    config = changed(neuron={"refractory_ms": 40.0, "refractory_warm_up_share": 0.5})
    network = SpikingNetwork(config, 3, 0)

    def steps() -> list[int]:
        return [layer.neurons.tensors(10.0).refractory_steps for layer in network.layers]

    assert steps() == [4, 4, 0]  # as it is exported, until training says otherwise
    for progress, expected in ((0.0, 0), (0.1, 0), (0.125, 1), (0.3, 2), (0.49, 3), (0.5, 4), (1.0, 4)):
        network.set_progress(progress)
        assert steps() == [expected, expected, 0]


@pytest.mark.parametrize("kernels", ["plain", "fused"])
def test_the_gradient_can_pass_where_refractoriness_prevents_a_spike(kernels: Literal["plain", "fused"]) -> None:
    gradients = {}
    for name in ("zero", "through"):
        config = changed(neuron={"refractory_ms": 50.0, "refractory_gradient": name, "adaptation": False})
        layer = SpikingNetwork(replace(config, kernels=kernels), 3, 0).layers[0]
        neuron = layer.neurons.tensors(10.0)
        arrivals = torch.zeros(1, 6, neuron.bias.numel())
        # To 1.5 in step 1, which fires and leaves 0.5, within the surrogate's reach, frozen to the end.
        arrivals[0, 0] = 1.5 / entries_of(neuron.step).u_c.detach()
        arrivals.requires_grad_()
        spikes, _ = layer.scan(neuron, arrivals)
        assert spikes.sum() == spikes[0, 1].sum() == neuron.bias.numel()
        (gradients[name],) = torch.autograd.grad(spikes[0, 3:].sum(), arrivals)
    assert gradients["zero"].abs().max() == 0.0
    assert gradients["through"].abs().max() > 0.0


@pytest.mark.parametrize("target", [0.1, 9.0])
def test_a_target_outside_of_the_bounds_of_neurons_is_refused(target: float) -> None:
    with pytest.raises(ValidationError, match="outside of what single neurons are kept within"):
        RegulariserConfig(low_hz=0.5, high_hz=5.0, target_rate_hz=target)


def test_initial_potentials_have_the_configured_deviation() -> None:
    config = changed(network={"initial_potential_std": 0.7})
    data = load_dataset(config.data, None, seed=0)
    network = SpikingNetwork(config, len(data.class_names), seed=0)
    counts = data.train.counts(config.data.step_ms)
    scale_weights_to_data(network, counts)
    network.eval()
    neuron, arrivals = network.layers[0].prepare(counts, 10.0)
    free = type(neuron)(
        **{**{f: getattr(neuron, f) for f in neuron.__slots__}, "spiking": False, "refractory_steps": 0}
    )
    potentials = scan(free, arrivals, network.layers[0].surrogate)[1]
    assert potentials.std().item() == pytest.approx(0.7, rel=1e-4)


def test_the_initial_deviation_counts_with_batch_normalisation_too() -> None:
    activity = []
    for wanted in (0.3, 3.0):
        config = changed(network={"initial_potential_std": wanted, "batch_norm": True, "dropout": 0.0})
        data = load_dataset(config.data, None, seed=0)
        network = SpikingNetwork(config, len(data.class_names), seed=0)
        scale_weights_to_data(network, data.train.counts(10.0))
        activity.append(network(data.train.counts(10.0)).spikes[0].mean().item())
    assert activity[1] > 2 * activity[0]


def test_dropout_silences_whole_neurons_per_sample_and_only_in_training() -> None:
    network = SpikingNetwork(changed(network={"dropout": 0.5}), 3, 0)
    counts = torch.rand(4, 20, network.config.data.channels)
    scale_weights_to_data(network, counts)
    assert not torch.equal(network(counts).potentials, network(counts).potentials)
    torch.manual_seed(0)
    kept = network._kept(torch.ones(40, 7, 30))
    assert kept is not None
    assert kept.shape == (40, 30)  # the same in every step
    assert set(torch.unique(kept).tolist()) == {0.0, 2.0}
    assert 0.4 < (kept == 0).float().mean() < 0.6
    network.eval()
    assert network._kept(torch.ones(2, 7, 30)) is None
    assert torch.equal(network(counts).potentials, network(counts).potentials)


def test_foldable_batch_norm_equals_the_library_layer() -> None:
    ours, library = FoldableBatchNorm(5), torch.nn.BatchNorm1d(5)
    x = torch.randn(4, 30, 5) * 3 + 1
    for _ in range(3):
        scale, shift = ours(x)
        expected = library(x.transpose(1, 2)).transpose(1, 2)
        torch.testing.assert_close(x * scale + shift, expected)
    ours.eval()
    library.eval()
    assert library.running_mean is not None
    assert library.running_var is not None
    torch.testing.assert_close(ours.running_mean, library.running_mean)
    # The library keeps the unbiased variance, ours the one it normalises with: equal but for n / (n - 1).
    torch.testing.assert_close(ours.running_var, library.running_var, rtol=0.01, atol=0.0)
    library.running_var.copy_(ours.running_var)
    scale, shift = ours(x)
    torch.testing.assert_close(x * scale + shift, library(x.transpose(1, 2)).transpose(1, 2))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DataConfig(step_ms=0.0), "greater than 0"),
        (lambda: DataConfig(step_ms="10"), "valid number"),  # type: ignore[arg-type]
        (lambda: NeuronConfig(tau_membrane_ms=(50.0, 20.0)), "lower bound first"),
        (lambda: RegulariserConfig(low_hz=9.0, high_hz=5.0), "lower bound first"),
        (lambda: TrainingConfig(data=DataConfig(duration_ms=1005.0)), "no multiple of step_ms"),
        (lambda: changed(SMALL, network={"pulse_ms": 15.0}), "pulse_ms of 15.0 ms is no multiple"),
        (lambda: phased((0.5, 10.0), (0.4, 1.0), step_ms=1.0), "add up to 0.9"),
        (lambda: phased((0.5, 10.0), (0.5, 1.0), step_ms=10.0), "not among the steps of the last phase"),
        (lambda: phased((0.5, 10.0), (0.5, 4.0), step_ms=4.0), "no multiple of step_ms, 4.0 ms"),
        (lambda: changed(SMALL, network={"dropout": 1.0}), "less than 1"),
        (lambda: changed(SMALL, neuron={"refractory_ms": 15.0}), "refractory_ms of 15.0 ms is no multiple"),
        (lambda: changed(SMALL, regulariser={"warm_up_share": 0.7}), "none of 3 optimiser.epochs .* at least 4 epochs"),
        (lambda: changed(SMALL, neuron={"refractory_warm_up_share": 0.99}), "at least 100 epochs, or a shorter"),
    ],
)
def test_impossible_configurations_are_refused(make: object, message: str) -> None:
    assert callable(make)
    with pytest.raises(ValidationError, match=message):
        make()
