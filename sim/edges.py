"""The edges of a projection in every lane, ordered for the processor's cache."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from spikebridge.bridge.arrays import FloatArray, IntArray
from spikebridge.bridge.discretise import GridProjection
from spikebridge.bridge.errors import SpecError

MAX_SYNAPSES = 2**31 - 1
"""Brian2 counts the synapses of one object in int32."""


@dataclass(frozen=True, slots=True, eq=False)
class LaneEdges:
    """(E,) edges, by source neuron and then delay, so that the synapses of one spike lie together; lane after lane.

    `edge` is the number that each has in the projection.
    """

    source: IntArray
    target: IntArray
    weight: FloatArray
    delay_steps: IntArray
    edge: IntArray

    @property
    def size(self) -> int:
        """How many there are."""
        return int(self.weight.size)


def lane_edges(grid: GridProjection, lanes: int, sizes: Mapping[str, int]) -> LaneEdges:
    """The edges of `lanes` copies of a projection; neuron lane * size + k is neuron k of that copy.

    Raises:
        SpecError: there are more than Brian2 can count.
    """
    edges = grid.projection
    require_countable(grid, lanes)
    order = np.lexsort((grid.delay_steps, edges.source_index))
    lane = np.repeat(np.arange(lanes, dtype=np.int32), order.size)
    return LaneEdges(
        lane * np.int32(sizes[edges.source]) + np.tile(edges.source_index[order].astype(np.int32), lanes),
        lane * np.int32(sizes[edges.target]) + np.tile(edges.target_index[order].astype(np.int32), lanes),
        np.tile(edges.weight[order], lanes),
        np.tile(grid.delay_steps[order], lanes),
        np.tile(order.astype(np.int32), lanes),
    )


def require_countable(grid: GridProjection, lanes: int) -> None:
    """Refuse a projection whose synapses, in all lanes, overflow Brian2's index.

    Raises:
        SpecError: saying how many lanes fit.
    """
    size = grid.projection.weight.size
    if size * lanes > MAX_SYNAPSES:
        fix = f"use at most {MAX_SYNAPSES // size} lanes" if size <= MAX_SYNAPSES else "split the projection"
        raise SpecError(
            f"{grid.projection.label} has {size:,} synapses; {lanes} lanes of it are more than the {MAX_SYNAPSES:,} "
            f"that Brian2 can count: {fix}"
        )
