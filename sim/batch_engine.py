"""Samples in batches, each batch one Brian2 `Network` of its own: Brian2's runtime, NumPy or Cython."""

from __future__ import annotations

import gc
from collections.abc import Mapping
from typing import final

import brian2
import numpy as np

from spikebridge.bridge.arrays import IntArray
from spikebridge.bridge.discretise import GridNetwork
from spikebridge.bridge.disturbance import Disturbance
from spikebridge.bridge.physical import PhysicalUnits
from spikebridge.bridge.spikes import SpikeTrains
from spikebridge.sim.backends import backend
from spikebridge.sim.build import Disturbed, build
from spikebridge.sim.engine import Engine, OnProgress, Simulated
from spikebridge.sim.layout import batches, plan_layout
from spikebridge.sim.options import SimulationOptions
from spikebridge.sim.read import read_simulated


@final
class BatchEngine(Engine):
    """Builds and runs a Network per batch, with as many samples in it as the readout's limit allows."""

    def __init__(
        self,
        grid: GridNetwork,
        options: SimulationOptions,
        lanes: int,
        physical: PhysicalUnits | None,
        *,
        keep_readout: bool,
        disturbance: Disturbance | None = None,
    ) -> None:
        self._grid, self._options, self._lanes, self._physical = grid, options, lanes, physical
        self._keep, self._disturbance = keep_readout, disturbance

    def close(self) -> None:
        """Nothing outlives a batch."""

    def run(
        self, inputs: Mapping[str, SpikeTrains], on_progress: OnProgress, numbers: IntArray | None = None
    ) -> Simulated:
        """See `Engine.run`."""
        samples = next(iter(inputs.values())).n_samples
        numbers = np.arange(samples) if numbers is None else numbers
        # What is drawn depends on the step within a sample: with a disturbance, a Network runs one sample per lane.
        split = batches(
            self._grid,
            samples,
            self._lanes,
            self._options.readout_limit_mib,
            one_round=self._disturbance is not None,
        )
        parts: list[Simulated] = []
        done = 0
        for picked in split:

            def show(share: float, before: int = done, size: int = picked.size) -> None:
                on_progress((before + share * size) / samples)

            chosen = {name: trains.select(picked) for name, trains in inputs.items()}
            parts.append(self._run_batch(chosen, numbers[picked], show))
            done += picked.size
            gc.collect()  # Brian2's objects refer to each other in cycles, and a batch of them can be large
        return Simulated.joined(parts)

    def _run_batch(self, inputs: dict[str, SpikeTrains], numbers: IntArray, show: OnProgress) -> Simulated:
        grid, samples = self._grid, numbers.size
        disturbed = None if self._disturbance is None else Disturbed(self._disturbance, numbers)
        layout = plan_layout(grid, samples, self._lanes)
        with backend(self._options.backend) as run:
            built = build(grid, inputs, layout, self._physical, disturbed=disturbed)
            run(built.network, layout.total_steps * (grid.step_ms * brian2.ms), show)
            return read_simulated(built, grid, layout, samples, keep_readout=self._keep)
