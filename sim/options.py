"""How a simulation runs; nothing here changes its result."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

DEFAULT_LANES = {"numpy": 32, "cython": 32, "cpp": 1}


@dataclass(frozen=True, config=ConfigDict(extra="forbid", strict=True))
class SimulationOptions:
    """Back end and batching.

    Attributes:
        backend: `numpy` and `cython` are Brian2's runtime with that code generation target, `cpp` is C++ standalone.
            NumPy compiles nothing, which suits a few runs on the training grid. Cython is faster everywhere once it
            has compiled (about a minute, once per machine and model); C++ compiles every time, about half a minute.
        lanes: copies of the network side by side; every lane runs its samples one after another. Not set, 32 for the
            runtime, whose cost per step hardly depends on the number of neurons, and 1 for C++, where the synapses of
            one copy stay in the processor's cache.
        readout_limit_mib: samples are simulated in batches so that the readout traces of one stay below this; the
            peak is about four times as much.
        keep_readout: store readout traces even off the training grid (they are samples x steps x classes float64).
    """

    backend: Literal["numpy", "cython", "cpp"] = "numpy"
    lanes: Annotated[int, Field(ge=1)] | None = None
    readout_limit_mib: Annotated[int, Field(ge=1)] = 256
    keep_readout: bool = False

    @property
    def effective_lanes(self) -> int:
        """`lanes`, or the default of the back end."""
        return DEFAULT_LANES[self.backend] if self.lanes is None else self.lanes
