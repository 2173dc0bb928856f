"""A report with everything that one can have, for tests of the page, its colours and its keys."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from knob_data import two_knobs
from matplotlib.figure import Figure
from pattern_data import SMALL, as_recording, poisson_spikes, run_here, with_pattern
from recordings import make_network, make_recording, random_recording

from spikebridge.bridge.network_file import network_sha256
from spikebridge.bridge.recording import Recording
from spikebridge.bridge.spikes import SpikeTrains
from spikebridge.validation.knob_chapter import knob_chapter
from spikebridge.validation.page import Report
from spikebridge.validation.patterns_analysis import analyse_patterns
from spikebridge.validation.patterns_chapter import pattern_chapter
from spikebridge.validation.patterns_result import PatternAnalysis
from spikebridge.validation.patterns_store import PatternStore
from spikebridge.validation.report import build_report


def pattern_analysis(folder: Path) -> PatternAnalysis:
    """A pattern in `hidden1`, none in `hidden2`."""
    first, second = (poisson_spikes(seed, neurons=10) for seed in (0, 1))
    recording = as_recording(with_pattern(first, occurrences=20), second)
    analysis, store = analyse_patterns(recording, SMALL, run_here, lambda identity: PatternStore(folder, identity))
    with store:
        store.remove()
    return analysis


@cache
def full_report() -> tuple[Report, list[Figure]]:
    """The report, made once, and its figures."""
    figures: list[Figure] = []

    def keep(figure: Figure, *arguments: Any, **options: Any) -> None:
        figures.append(figure)
        save(figure, *arguments, **options)

    save = Figure.savefig
    with pytest.MonkeyPatch.context() as patch, TemporaryDirectory() as folder:
        patch.setattr(Figure, "savefig", keep)
        return _full_report(Path(folder)), figures


def _full_report(folder: Path) -> Report:
    """Grid, replay with a mismatch, continuous time, physical units, another step, patterns and knobs; 12 samples."""
    reference = random_recording(rate_hz=8.0)
    network = make_network(reference)
    reference = replace(reference, network_sha256=network_sha256(network))
    grid = replace(reference, executor="brian2-cpp")
    physical = replace(grid, provenance={**grid.provenance, "units": "physical (s_mv 20)"})
    return build_report(
        network,
        reference,
        {
            "grid": grid,
            "step_5": _finer(grid, 2),
            "continuous": _finer(grid, 100),
            "physical": physical,
        },
        replay=_one_spike_more(grid),
        chapters=(pattern_chapter(pattern_analysis(folder)), knob_chapter(two_knobs())),
    )


def _one_spike_more(recording: Recording) -> Recording:
    trains = recording.spikes["hidden1"]
    counts = np.array(trains.counts(np.int32))
    counts[3, 7, 1] += 1
    changed = SpikeTrains.from_counts(counts, recording.step_ms)
    return replace(recording, spikes={**recording.spikes, "hidden1": changed})


def _finer(recording: Recording, factor: int) -> Recording:
    """The same spikes on a finer grid."""
    spikes = {
        name: SpikeTrains(
            t.step * factor, t.neuron, t.offsets, t.n_steps * factor, t.n_neurons, recording.step_ms / factor
        )
        for name, t in recording.spikes.items()
    }
    return replace(
        make_recording(
            recording.trials,
            spikes,
            steps=recording.n_steps * factor,
            step_ms=recording.step_ms / factor,
            executor=recording.executor,
            scores=recording.scores,
        ),
        network_sha256=recording.network_sha256,
    )
