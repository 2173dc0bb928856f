"""A compiled simulation that is running, and takes samples over a pipe; the protocol is that of `sample_loop.h`."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, final

import numpy as np

from spikebridge.bridge.arrays import FloatArray, Int32Array
from spikebridge.bridge.errors import SpecError, WorkerError
from spikebridge.sim.read import diverged
from spikebridge.sim.stream_project import Prepared

REFUSED = 3
"""Exit code of a process that would end in the same way if it were started again."""


@dataclass(frozen=True, slots=True, eq=False)
class StepEvents:
    """(n,) steps, ascending, and neurons of some spikes."""

    step: Int32Array
    neuron: Int32Array


@dataclass(frozen=True, slots=True, eq=False)
class Played:
    """What one pass through the network gave.

    Attributes:
        spikes: one per spiking population, in the network's order.
        trace: (steps, readout neurons of all lanes) potentials after each step's propagation.
    """

    spikes: tuple[StepEvents, ...]
    trace: FloatArray


@final
class SampleProcess:
    """A context manager; inside it, `play` passes samples through the network one after another.

    Raises:
        SpecError: the program cannot be started.
    """

    def __init__(self, prepared: Prepared, n_populations: int, n_readout: int) -> None:
        self._prepared = prepared
        self._n_populations = n_populations
        self._n_readout = n_readout
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        try:
            self._process = subprocess.Popen(
                [str(prepared.binary.path)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                cwd=prepared.parameters.parent,
                env={**os.environ, "SPIKEBRIDGE_PARAMETERS": str(prepared.parameters)},
            )
        except OSError as error:
            self._errors.close()
            raise SpecError(
                f"cannot start the compiled simulation {prepared.binary.path}: {error}; remove its folder to have it "
                "compiled again, or set SPIKEBRIDGE_CACHE to a folder from which programs may be run"
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the process, in the middle of a sample if need be."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._errors):
            if stream is not None:
                # Of a process that was lost, what was not yet written to it is lost too.
                with suppress(BrokenPipeError):
                    stream.close()

    def play(self, inputs: Sequence[StepEvents], n_steps: int) -> Played:
        """Start over and play some spikes.

        Args:
            inputs: one per input of the network, in its order.
            n_steps: how long.

        Raises:
            WorkerError: the process ended, for example because somebody killed it.
            SpecError: a state variable is not finite at the end, or the process says that it cannot work at all.
        """
        assert self._process.stdin is not None
        if self._process.returncode is not None:
            raise self._ended()
        try:
            self._process.stdin.write(_request(inputs, n_steps))
            self._process.stdin.flush()
            which, n_bad = self._receive(2, np.int64)
            bad = self._receive(n_bad, np.int32)
            spikes = tuple(self._receive_events() for _ in range(self._n_populations))
            trace = self._receive(n_steps * self._n_readout, np.float64).reshape(n_steps, self._n_readout)
        except (BrokenPipeError, EOFError) as error:
            raise self._ended() from error
        except BaseException:
            # Interrupted half-way: its answer, which may be in the pipe, would pass for that to the next question.
            self._process.kill()
            self._process.wait()
            raise
        if bad.size:
            name, variable, size = self._prepared.states[which]
            raise diverged(name, variable, size, bad % size)
        return Played(spikes, trace)

    def _receive_events(self) -> StepEvents:
        (n,) = self._receive(1, np.int64)
        return StepEvents(self._receive(n, np.int32), self._receive(n, np.int32))

    def _receive(self, size: int, dtype: type[np.generic]) -> np.ndarray[Any, np.dtype[Any]]:
        assert self._process.stdout is not None
        values = np.empty(size, dtype)
        view, at = memoryview(values).cast("B") if size else memoryview(b""), 0
        while at < len(view):
            got = self._process.stdout.readinto(view[at:])  # type: ignore[attr-defined]  # a BufferedReader
            if not got:
                raise EOFError
            at += got
        return values

    def _ended(self) -> WorkerError | SpecError:
        code = self._process.wait()
        self._errors.seek(0)
        said = self._errors.read().decode(errors="replace").strip()[-500:]
        if code == REFUSED:
            return SpecError(
                f"the compiled simulation {self._prepared.binary.path} cannot run with {self._prepared.parameters}: "
                f"{said}; if temporary files were removed meanwhile, run it again"
            )
        cause = f"signal {-code}" if code < 0 else f"exit code {code}"
        return WorkerError(f"a simulation process ended unexpectedly: {cause}{': ' if said else ''}{said}")


def _request(inputs: Sequence[StepEvents], n_steps: int) -> bytes:
    parts = [np.array([n_steps, 1], np.int64).tobytes()]
    for events in inputs:
        parts += [np.array([events.step.size], np.int64).tobytes()]
        parts += [np.ascontiguousarray(values, np.int32).tobytes() for values in (events.step, events.neuron)]
    return b"".join(parts)
