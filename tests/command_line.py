"""The real command as a process of its own, on a network that takes seconds, and what it leaves in /proc."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from interruptible import interruptible
from networks import Kind, random_network, random_trials

from spikebridge.bridge.network_file import save_network
from spikebridge.bridge.recording_file import save_recording
from spikebridge.bridge.recording_parts import parts_folder
from spikebridge.bridge.spec import NetworkSpec, Reset, SynapseKind
from spikebridge.sim.options import SimulationOptions
from spikebridge.sim.run import simulate

COMMAND = (sys.executable, "-P", "-m", "spikebridge.cli.main")
SAMPLES = 60
PARTS = 8
"""Tasks that two workers make of the samples: four each."""

WAIT_S = 120.0


def small_network(*, n_steps: int = 30, seed: int = 3, sizes: tuple[int, int] = (12, 10)) -> NetworkSpec:
    """Adaptive neurons driven by pulses, and leaky ones by exponential currents."""
    kinds = (
        Kind("adaptive", SynapseKind.PULSE, Reset.SUBTRACT, 2, 1, False),
        Kind("lif", SynapseKind.EXPONENTIAL, Reset.SUBTRACT, 3, 1, False),
    )
    return random_network(kinds, seed=seed, sizes=sizes, n_steps=n_steps)


def save_example(folder: Path, spec: NetworkSpec, *, samples: int, rate_hz: float = 30.0) -> tuple[Path, Path]:
    """Write `network.h5` and `reference.h5`, what it does on the training grid; returns both names."""
    folder.mkdir(parents=True, exist_ok=True)
    recording = simulate(
        spec,
        random_trials(spec, samples, rate_hz=rate_hz),
        step_ms=spec.training_step_ms,
        options=SimulationOptions(backend="numpy"),
    )
    save_network(spec, folder / "network.h5")
    save_recording(recording, folder / "reference.h5")
    return folder / "network.h5", folder / "reference.h5"


@dataclass(frozen=True)
class LongSimulation:
    """A command that takes seconds in C++, in 8 parts, and a folder for its temporary files.

    Attributes:
        network, inputs: its files.
        temporary: what it has as TMPDIR.
    """

    network: Path
    inputs: Path
    temporary: Path

    @classmethod
    def made(cls, folder: Path) -> LongSimulation:
        """Write its files."""
        network, inputs = save_example(folder, small_network(n_steps=600, sizes=(60, 40)), samples=SAMPLES, rate_hz=2.0)
        temporary = folder / "temporary"
        temporary.mkdir()
        return cls(network, inputs, temporary)

    @property
    def left(self) -> list[Path]:
        """Our own temporary files; Brian2 keeps its logs of runs that were killed.

        An empty folder, of a process that was killed before it had locked it, goes a minute later.
        """
        return [folder for folder in self.temporary.glob("spikebridge-*") if any(folder.iterdir())]

    def command(self, out: Path, *extra: str) -> list[str]:
        """Its arguments; with two workers unless `extra` has a cluster."""
        workers = [] if "--cluster" in extra else ["--workers", "2"]
        files = [str(self.network), "--inputs", str(self.inputs), "--out", str(out)]
        return [*COMMAND, "simulate", *files, "--step-ms", "0.05", "--backend", "cpp", *workers, *extra]

    @property
    def environment(self) -> Mapping[str, str]:
        """With its own folder for temporary files."""
        return {**os.environ, "TMPDIR": str(self.temporary)}

    def run(self, out: Path, *extra: str, before: Sequence[str] = ()) -> tuple[int, str]:
        """Run to the end; exit code and what it said."""
        done = subprocess.run(
            [*before, *self.command(out, *extra)],
            env=self.environment,
            stderr=subprocess.PIPE,
            text=True,
            timeout=WAIT_S,
            check=False,
        )
        return done.returncode, done.stderr

    @contextmanager
    def started(self, out: Path, *extra: str) -> Iterator[Session]:
        """Run it as the leader of a session, of which nothing survives this block."""
        said = out.with_suffix(".txt")
        with interruptible(), said.open("w") as file:
            process = subprocess.Popen(
                self.command(out, *extra), env=self.environment, stderr=file, start_new_session=True
            )
        session = Session(process, out, said)
        try:
            yield session
        finally:
            session.kill_all()


@dataclass(frozen=True)
class Session:
    """A command that is running, and every process that it has started."""

    process: subprocess.Popen[bytes]
    out: Path
    said: Path

    @property
    def parts(self) -> int:
        """How many parts of its recording are on the disk."""
        return len(list(parts_folder(self.out).glob("part-*.h5")))

    def wait_for_parts(self, number: int) -> None:
        """Until so many parts are on the disk."""
        self.wait_until(lambda: self.parts >= number)

    def wait_until(self, reached: Callable[[], bool]) -> None:
        """Until something holds; the command must still be running then."""
        deadline = time.monotonic() + WAIT_S
        while not reached():
            assert self.process.poll() is None, self.said.read_text()
            assert time.monotonic() < deadline, self.said.read_text()
            time.sleep(0.005)

    def end(self) -> tuple[int, str]:
        """Wait for its end: exit code and what it said."""
        return self.process.wait(WAIT_S), self.said.read_text()

    def signal_all(self, number: signal.Signals) -> None:
        """As a terminal, or a batch system, does it."""
        os.killpg(self.process.pid, number)

    def kill_all(self) -> None:
        """End everything that is left."""
        for number in self.processes():
            os.kill(number, signal.SIGKILL)
        self.process.wait()

    def processes(self) -> list[int]:
        """Ids of all processes of the session that have not ended."""
        return [
            int(entry.name)
            for entry in Path("/proc").iterdir()
            if entry.name.isdigit() and _session(entry) == self.process.pid
        ]

    def simulators(self) -> list[int]:
        """Ids of the compiled simulations."""
        return [number for number in self.processes() if _program(number).name == "main"]

    def wait_for_no_process(self) -> None:
        """Until nothing is left of it, or fail: what ends by itself needs a moment."""
        deadline = time.monotonic() + 20.0
        while left := self.processes():
            assert time.monotonic() < deadline, [_program(number) for number in left]
            time.sleep(0.02)


def parent(process: int) -> int:
    """Id of the process that started another."""
    return int(_status(Path("/proc") / str(process))[1])


def _session(entry: Path) -> int | None:
    """Session of a process, None if it has ended (a zombie is only a name)."""
    try:
        state, _, _, session, *_ = _status(entry)
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if state in "ZX" else int(session)


def _status(entry: Path) -> list[str]:
    """State, parent, process group, session, ... of a process; the name before them may contain spaces."""
    return (entry / "stat").read_text().rpartition(")")[2].split()


def _program(process: int) -> Path:
    try:
        return (Path("/proc") / str(process) / "exe").readlink()
    except (FileNotFoundError, ProcessLookupError):
        return Path("ended")
