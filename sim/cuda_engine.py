"""Samples in batches on an NVIDIA GPU: each batch one Brian2 `Network`, all of one shape, run by one program."""

from __future__ import annotations

import gc
from collections.abc import Mapping
from typing import final

import brian2

from spikebridge.bridge.arrays import IntArray
from spikebridge.bridge.discretise import GridNetwork
from spikebridge.bridge.physical import PhysicalUnits
from spikebridge.bridge.spikes import SpikeTrains
from spikebridge.sim.build import build
from spikebridge.sim.cuda_device import CudaSeconds, cuda_backend
from spikebridge.sim.cuda_plan import CudaPlan, plan_cuda
from spikebridge.sim.engine import Engine, OnProgress, Simulated
from spikebridge.sim.options import SimulationOptions
from spikebridge.sim.read import read_simulated


@final
class CudaEngine(Engine):
    """Generates, compiles at most once, and runs a program that has the samples of a batch in lanes and rounds.

    Attributes:
        seconds: where the time of all runs went.
    """

    def __init__(
        self, grid: GridNetwork, options: SimulationOptions, physical: PhysicalUnits | None, *, keep_readout: bool
    ) -> None:
        self._grid, self._options, self._physical, self._keep = grid, options, physical, keep_readout
        self.seconds = CudaSeconds()

    def close(self) -> None:
        """Nothing outlives a batch."""

    def run(
        self, inputs: Mapping[str, SpikeTrains], on_progress: OnProgress, numbers: IntArray | None = None
    ) -> Simulated:
        """See `Engine.run`; nothing here depends on the numbers of the samples."""
        samples = next(iter(inputs.values())).n_samples
        plan = plan_cuda(self._grid, inputs, self._options)
        parts: list[Simulated] = []
        done = 0
        for picked in plan.batches:
            parts.append(self._run_batch({name: trains.select(picked) for name, trains in inputs.items()}, plan))
            done += picked.size
            on_progress(done / samples)
            gc.collect()  # Brian2's objects refer to each other in cycles, and a batch of them can be large
        return Simulated.joined(parts)

    def _run_batch(self, inputs: dict[str, SpikeTrains], plan: CudaPlan) -> Simulated:
        grid, layout = self._grid, plan.layout
        samples = next(iter(inputs.values())).n_samples
        with cuda_backend(plan) as run:
            built = build(grid, inputs, layout, self._physical, plan.sources)
            self.seconds += run(built.network, layout.total_steps * (grid.step_ms * brian2.ms))
            return read_simulated(built, grid, layout, samples, keep_readout=self._keep)
