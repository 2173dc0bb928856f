"""Rate penalty, augmentation, initial scaling, dropout and configuration."""

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from small_training import SMALL, changed

from spikebridge.bridge.spikes import Events
from spikebridge.training.augment import shift_channels, stretch_time
from spikebridge.training.config import DataConfig, NeuronConfig, Phase, RegulariserConfig, TrainingConfig
from spikebridge.training.dataset import load_dataset
from spikebridge.training.loss import rate_penalty, rates_hz
from spikebridge.training.network import FoldableBatchNorm, SpikingNetwork, scale_weights_to_data
from spikebridge.training.scan import scan


def phased(*phases: tuple[float, float], step_ms: float) -> TrainingConfig:
    made = tuple(Phase(share=share, steps_ms=(step,)) for share, step in phases)
    return changed(SMALL, schedule={"phases": made}, data={"step_ms": step_ms})


def spikes_at(rates: list[float], steps: int = 100) -> torch.Tensor:
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


def same_in_every_sample(time_s: list[float], channel: list[int], *, samples: int, n_channels: int) -> Events:
    offsets = np.arange(samples + 1) * len(time_s)
    return Events(np.tile(time_s, samples), np.tile(channel, samples), offsets, n_channels)


def test_channel_shifts_move_whole_samples_and_lose_what_leaves() -> None:
    torch.manual_seed(0)
    events = same_in_every_sample([0.1, 0.2, 0.3], [10, 10, 12], samples=200, n_channels=20)
    moved = shift_channels(events, 4)
    places = moved.channel.reshape(200, 3)
    assert set(places[:, 0].tolist()) == set(range(6, 15))
    assert (places == places[:, :1] + [0, 0, 2]).all()
    assert np.array_equal(moved.time_s, events.time_s)
    edge = same_in_every_sample([0.1], [0], samples=200, n_channels=20)
    left = shift_channels(edge, 4)
    assert 0 < left.time_s.size < 200  # what leaves is gone, nothing wraps around
    assert left.offsets[-1] == left.time_s.size
    assert shift_channels(events, 0) is events


def test_stretching_scales_the_times_of_each_sample() -> None:
    torch.manual_seed(0)
    events = same_in_every_sample([0.1, 0.2], [0, 1], samples=300, n_channels=2)
    moved = stretch_time(events, 0.5)
    times = moved.time_s.reshape(300, 2)
    np.testing.assert_allclose(times[:, 1], 2 * times[:, 0], rtol=1e-12)
    assert times[:, 0].min() >= 0.1 / 1.5
    assert times[:, 0].max() <= 0.1 * 1.5
    assert len(set(times[:, 0].tolist())) == 300
    assert abs(np.log(times[:, 0] / 0.1).mean()) < 0.05
    assert stretch_time(events, 0.0) is events


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
    torch.manual_seed(0)
    dropped = network._dropout(torch.ones(40, 7, 30))
    assert set(torch.unique(dropped).tolist()) == {0.0, 2.0}
    assert torch.equal(dropped.amin(dim=1), dropped.amax(dim=1))  # the same in every step
    assert 0.4 < (dropped == 0).float().mean() < 0.6
    network.eval()
    assert torch.equal(network._dropout(torch.ones(2, 7, 30)), torch.ones(2, 7, 30))


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
    ],
)
def test_impossible_configurations_are_refused(make: object, message: str) -> None:
    assert callable(make)
    with pytest.raises(ValidationError, match=message):
        make()
