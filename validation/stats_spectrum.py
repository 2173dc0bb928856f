"""Power spectrum of a population's rate, averaged over samples."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spikebridge.bridge.arrays import FloatArray
from spikebridge.bridge.spikes import SpikeTrains
from spikebridge.bridge.timing import off_grid
from spikebridge.validation.elephant_functions import welch_psd
from spikebridge.validation.observations import Definition
from spikebridge.validation.windows import population_counts

BIN_MS = 1.0
MAX_FREQUENCY_HZ = 250.0
MIN_BINS = 8
BATCH = 256

SPECTRUM = Definition(
    "power_spectrum",
    "Power spectrum of the population rate",
    "",
    "sample",
    f"One-sided power density of the population's rate per neuron in bins of {BIN_MS:g} ms (of one step on coarser "
    "grids): every sample by itself, its mean taken away, under a Hann window, then averaged over samples, silent ones "
    "included. It is given relative to 2 r / N, the density of N independent Poisson neurons at constant rates of mean "
    "r, so that 1 is unstructured; the course of the response to a stimulus appears at low frequencies. The resolution "
    "is one over the duration of a sample.",
    "Welch 1967 (IEEE Trans. Audio Electroacoust. 15:70), the samples being the segments; by Elephant's welch_psd.",
)


@dataclass(frozen=True, slots=True, eq=False)
class PowerSpectrum:
    """Power density of a population's rate per neuron.

    Attributes:
        frequency_hz: (F,) from one over the duration of a sample up to half the sampling rate, at most 250 Hz.
        power_hz: (F,) one-sided density in Hz^2 / Hz.
        poisson_hz: density of independent Poisson neurons of the same mean rate, at every frequency.
        n_samples: how many samples were averaged.
    """

    frequency_hz: FloatArray
    power_hz: FloatArray
    poisson_hz: float
    n_samples: int

    @property
    def relative(self) -> FloatArray:
        """(F,) `power_hz` by `poisson_hz`."""
        return self.power_hz / self.poisson_hz

    @property
    def peak(self) -> tuple[float, float]:
        """Frequency in Hz and relative power where it is highest."""
        at = int(np.argmax(self.power_hz))
        return float(self.frequency_hz[at]), float(self.relative[at])


def power_spectrum(trains: SpikeTrains) -> PowerSpectrum | str:
    """The spectrum, or in words why there is none."""
    if trains.n_spikes == 0 or trains.n_neurons == 0:
        return "no spike in any sample"
    steps = round(BIN_MS / trains.step_ms) if trains.step_ms < BIN_MS else 1
    if trains.step_ms < BIN_MS and bool(off_grid(BIN_MS, trains.step_ms)):
        return f"bins of {BIN_MS:g} ms are no whole number of steps of {trains.step_ms:g} ms"
    bin_s = steps * trains.step_ms / 1000.0
    counts = population_counts(trains, steps)
    n_bins = counts.shape[1]
    if n_bins < MIN_BINS:
        return f"a sample has {n_bins} bins; a spectrum needs {MIN_BINS}"
    rate_hz = counts / (trains.n_neurons * bin_s)
    total, frequency_hz = np.zeros(n_bins // 2 + 1), np.empty(0)
    for start in range(0, len(rate_hz), BATCH):
        part = rate_hz[start : start + BATCH]
        frequency_hz, density = welch_psd(part, len_segment=n_bins, overlap=0.0, fs=1.0 / bin_s)
        total += density.sum(axis=0)
    shown = (frequency_hz > 0) & (frequency_hz <= MAX_FREQUENCY_HZ)
    mean_hz = float(rate_hz.mean())
    return PowerSpectrum(
        np.asarray(frequency_hz)[shown], total[shown] / len(rate_hz), 2.0 * mean_hz / trains.n_neurons, len(rate_hz)
    )
