"""Some samples of a recording that is being computed, in memory (`Part`) and in a small file of their own.

Layout below `content/`: attributes `identity_sha256`, `n_steps`, `step_ms`; `samples`, and what `sample_blocks` writes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np

from spikebridge.bridge.arrays import FloatArray, IntArray, frozen_int_vector
from spikebridge.bridge.errors import SpecError
from spikebridge.bridge.sample_blocks import in_memory, stored_populations, write_samples
from spikebridge.bridge.spikes import SpikeTrains
from spikebridge.bridge.storage import read_file, write_array, write_file

KIND = "recording-part"


@dataclass(frozen=True, slots=True)
class PartLayout:
    """What all parts of a recording have in common.

    Attributes:
        n_neurons: name and size of every population, in the network's order.
        n_steps, step_ms: the grid of the spikes; None if there is no population.
        classes: C.
        readout_steps: T of the readout, or None where it was not kept.
    """

    n_neurons: tuple[tuple[str, int], ...]
    n_steps: int | None
    step_ms: float | None
    classes: int
    readout_steps: int | None

    def __str__(self) -> str:
        sizes = ", ".join(f"{name} of {size} neurons" for name, size in self.n_neurons) or "no population"
        grid = "" if self.n_steps is None else f" on {self.n_steps} steps of {self.step_ms:g} ms"
        readout = "no readout" if self.readout_steps is None else f"readout of {self.readout_steps} steps"
        return f"{sizes}{grid}, {self.classes} classes, {readout}"


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """What an executor did with some samples of an evaluation.

    Attributes:
        samples: (n,) which samples of the evaluation, increasing, at least one.
        spikes: per spiking population, in the network's order, the trains of these n samples.
        scores: (n, C), float64, finite.
        readout: (n, T, C), float64, or None where it is not kept.
    """

    samples: IntArray
    spikes: Mapping[str, SpikeTrains]
    scores: FloatArray
    readout: FloatArray | None

    def __post_init__(self) -> None:
        object.__setattr__(self, "samples", frozen_int_vector("samples", self.samples))
        object.__setattr__(self, "spikes", MappingProxyType(dict(self.spikes)))
        n = self.samples.size
        if n == 0 or self.samples[0] < 0 or (np.diff(self.samples) <= 0).any():
            raise SpecError("samples of a part must be increasing numbers of at least 0, at least one of them")
        for name, trains in self.spikes.items():
            if trains.n_samples != n:
                raise SpecError(f"population {name!r} has {trains.n_samples} samples, the part has {n}")
        if len({(trains.n_steps, trains.step_ms) for trains in self.spikes.values()}) > 1:
            raise SpecError("the populations of a part are on different grids; record all of them with one step")
        for name, values, dimensions in (("scores", self.scores, 2), ("readout", self.readout, 3)):
            if values is not None and (values.ndim != dimensions or values.shape[0] != n or values.dtype != np.float64):
                raise SpecError(
                    f"{name} are {values.dtype} of shape {values.shape}, expected float64 of {dimensions} dimensions, "
                    f"the first of {n} samples"
                )
        if self.readout is not None and self.readout.shape[2] != self.scores.shape[1]:
            raise SpecError(f"the readout has {self.readout.shape[2]} classes, the scores have {self.scores.shape[1]}")
        if not np.isfinite(self.scores).all():
            raise SpecError("scores are not finite: the simulation diverged")

    @property
    def layout(self) -> PartLayout:
        """What must be the same in all parts."""
        first = next(iter(self.spikes.values()), None)
        return PartLayout(
            n_neurons=tuple((name, trains.n_neurons) for name, trains in self.spikes.items()),
            n_steps=None if first is None else first.n_steps,
            step_ms=None if first is None else first.step_ms,
            classes=self.scores.shape[1],
            readout_steps=None if self.readout is None else self.readout.shape[1],
        )

    @property
    def n_bytes(self) -> int:
        """Size of the arrays in memory."""
        readout = 0 if self.readout is None else self.readout.nbytes
        spikes = sum(t.step.nbytes + t.neuron.nbytes + t.offsets.nbytes for t in self.spikes.values())
        return self.samples.nbytes + spikes + self.scores.nbytes + readout

    def select(self, positions: IntArray) -> Part:
        """Only the samples at the given increasing positions."""
        return Part(
            self.samples[positions],
            {name: trains.select(positions) for name, trains in self.spikes.items()},
            self.scores[positions],
            None if self.readout is None else self.readout[positions],
        )


@dataclass(frozen=True, slots=True, eq=False)
class StoredPart:
    """A part on the disk: everything but its spikes and readout.

    Attributes:
        path: its file.
        identity_sha256: the evaluation it belongs to.
        samples: (n,) increasing.
        scores: (n, C).
        offsets: per population, (n + 1,).
        layout: what all parts have in common.
    """

    path: Path
    identity_sha256: str
    samples: IntArray
    scores: FloatArray
    offsets: Mapping[str, IntArray]
    layout: PartLayout


def save_part(part: Part, path: Path, identity_sha256: str, *, advice: str) -> None:
    """Write a part, whole or not at all.

    Raises:
        DataError: there is no space for it; ends with `advice`.
    """
    layout = part.layout
    with write_file(path, KIND, needed_bytes=part.n_bytes, advice=advice) as content:
        content.attrs["identity_sha256"] = identity_sha256
        if layout.n_steps is not None and layout.step_ms is not None:
            content.attrs.update({"n_steps": layout.n_steps, "step_ms": layout.step_ms})
        write_array(content, "samples", part.samples)
        write_samples(content, in_memory(part.spikes, part.scores, part.readout))


def read_stored_part(path: Path) -> StoredPart:
    """Check a part, every byte of its content, and read all but its spikes and readout.

    Raises:
        DataError: missing, damaged or of another kind.
    """
    with read_file(path, KIND) as content:
        populations = stored_populations(content)
        attributes = content.attrs
        scores = content["scores"][()]
        return StoredPart(
            path=path,
            identity_sha256=str(attributes["identity_sha256"]),
            samples=content["samples"][()],
            scores=scores,
            offsets={name: group["offsets"][()] for name, group in populations},
            layout=PartLayout(
                n_neurons=tuple((name, int(group.attrs["n_neurons"])) for name, group in populations),
                n_steps=int(attributes["n_steps"]) if "n_steps" in attributes else None,
                step_ms=float(attributes["step_ms"]) if "step_ms" in attributes else None,
                classes=scores.shape[1],
                readout_steps=content["readout"].shape[1] if "readout" in content else None,
            ),
        )
