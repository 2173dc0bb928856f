"""How a simulation runs; nothing here changes its result."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Literal

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

type Backend = Literal["auto", "numpy", "cython", "cpp", "cuda"]

RUNTIME_LANES = 32


@dataclass(frozen=True, config=ConfigDict(extra="forbid", strict=True))
class SimulationOptions:
    """Back end and batching.

    Attributes:
        backend: `numpy` and `cython` are Brian2's runtime with that code generation target, `cpp` is C++ standalone.
            NumPy compiles nothing, which suits a few samples. C++ compiles once per shape of network and machine, for
            seconds, and is then the fastest everywhere: samples stream through one running program per worker.
            `cuda` is an NVIDIA GPU (`pip install "spikebridge[cuda]"` and a CUDA toolkit, 12 or 13), for large networks
            and many samples; it compiles for minutes, once per shape of network, number of samples and machine.
            `auto` takes the one that should be done first, and says why.
        lanes: copies of the network side by side; every lane runs its samples one after another. Not set, 32 for the
            runtime, whose cost per step hardly depends on the number of neurons; for C++ one, whose synapses stay in
            the processor's cache; for a GPU as many as balance set-up and rounds and fit.
        workers: processes of this machine that simulate; not with a cluster, which has its own, and one for a GPU. Not
            set, one per core for C++ and one for the runtime.
        readout_limit_mib: the runtime and a GPU simulate samples in batches so that the readout traces of one stay
            below this; the peak is about four times as much. A GPU sets every batch up anew and wants a limit that
            holds most samples. C++ has as many samples at once as lanes, whatever the limit.
        keep_readout: store readout traces even off the training grid (they are samples x steps x classes float64).
    """

    backend: Backend = "auto"
    lanes: Annotated[int, Field(ge=1)] | None = None
    workers: Annotated[int, Field(ge=1)] | None = None
    readout_limit_mib: Annotated[int, Field(ge=1)] = 256
    keep_readout: bool = False

    def provenance(self) -> dict[str, str]:
        """What was asked for, as recordings say it; how many workers there were is nothing of theirs."""
        return {f"simulation.{key}": str(value) for key, value in asdict(self).items() if key != "workers"}
