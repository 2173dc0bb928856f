"""The power spectrum of constructed population rates."""

import numpy as np
import pytest
from recordings import make_trains, random_trains
from scipy.signal import periodogram

from spikebridge.bridge.spikes import SpikeTrains
from spikebridge.validation.stats_spectrum import PowerSpectrum, power_spectrum


def spectrum_of(trains: SpikeTrains) -> PowerSpectrum:
    found = power_spectrum(trains)
    assert isinstance(found, PowerSpectrum)
    return found


def test_a_rhythm_shows_at_its_frequency_on_every_grid() -> None:
    for step_ms in (0.5, 1.0, 5.0):
        period = round(100 / step_ms)  # 10 Hz
        volleys = [(s, t, n) for s in range(3) for t in range(0, round(1000 / step_ms), period) for n in range(4)]
        jitter = np.random.default_rng(0).normal(0.0, 10.0 / step_ms, len(volleys)).round().astype(int)
        last = round(1000 / step_ms) - 1
        moved = [(s, int(np.clip(t + j, 0, last)), n) for (s, t, n), j in zip(volleys, jitter, strict=True)]
        found = spectrum_of(make_trains(moved, samples=3, steps=last + 1, neurons=4, step_ms=step_ms))
        assert found.peak[0] == pytest.approx(10.0)
        assert found.peak[1] > 3.0
        assert found.frequency_hz[0] == pytest.approx(1.0)
        assert found.frequency_hz[-1] <= 250.0


def test_poisson_neurons_have_a_flat_spectrum_of_one() -> None:
    trains = random_trains(np.random.default_rng(1), samples=60, steps=1000, neurons=20, rate_hz=5.0, step_ms=1.0)
    found = spectrum_of(trains)
    relative = found.relative[1:]  # taking the mean away lowers the first
    assert relative.mean() == pytest.approx(1.0, abs=0.05)
    assert relative[:60].mean() == pytest.approx(relative[-60:].mean(), abs=0.15)


def test_the_density_equals_scipys_periodogram_averaged_over_samples() -> None:
    trains = random_trains(np.random.default_rng(2), samples=300, steps=400, neurons=5, rate_hz=8.0, step_ms=1.0)
    rate = trains.counts(np.float64).astype(np.float64).sum(axis=2) / (5 * 0.001)
    frequency, density = periodogram(rate, fs=1000.0, window="hann", axis=-1)
    found = spectrum_of(trains)
    shown = (frequency > 0) & (frequency <= 250)
    assert found.frequency_hz == pytest.approx(frequency[shown])
    assert found.power_hz == pytest.approx(density.mean(axis=0)[shown], rel=1e-9)
    assert found.poisson_hz == pytest.approx(2 * rate.mean() / 5)
    assert found.n_samples == 300


@pytest.mark.parametrize(
    ("trains", "reason"),
    [
        (make_trains([], samples=2, steps=100, neurons=3), "no spike"),
        (make_trains([], samples=0, steps=100, neurons=3), "no spike"),
        (make_trains([], samples=2, steps=100, neurons=0), "no spike"),
        (make_trains([(0, 2, 0)], samples=1, steps=7, neurons=1), "7 bins"),
        (make_trains([(0, 2, 0)], samples=1, steps=100, neurons=1, step_ms=0.3), "no whole number"),
    ],
)
def test_no_spectrum_says_why(trains: SpikeTrains, reason: str) -> None:
    found = power_spectrum(trains)
    assert isinstance(found, str)
    assert reason in found
