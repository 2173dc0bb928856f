"""An evaluation to interrupt: its results are known, `Part` by `Part`. As a script, the process that is killed.

python evaluated.py kills FOLDER SEED    dies by SIGKILL before random calls of the system, again and again
python evaluated.py slowly TARGET        prints a line, then evaluates with pauses until somebody kills it
python evaluated.py orphan TARGET        opens the parts, forks a worker that stays, prints its id and kills its parent
python evaluated.py full FOLDER SIZES    on a file system of the first size, then the second, ...
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import h5py
import numpy as np
from recordings import random_recording

from spikebridge.bridge.arrays import IntArray
from spikebridge.bridge.errors import DataError
from spikebridge.bridge.part_file import Part
from spikebridge.bridge.recording import Recording
from spikebridge.bridge.recording_parts import RecordingParts

IDENTITY = {"network_sha256": "a" * 64, "step_ms": "10"}


def result(samples: int = 24) -> Recording:
    """What an uninterrupted evaluation gives."""
    return random_recording(1, samples=samples, steps=60, sizes=(40, 30), rate_hz=20.0)


def part_of(recording: Recording, samples: Iterable[int]) -> Part:
    picked = np.array(sorted(samples), dtype=np.int64)
    chosen = recording.select(picked)
    return Part(picked, chosen.spikes, chosen.scores, chosen.readout)


def chunks_of(samples: IntArray, size: int) -> list[list[int]]:
    return [samples[start : start + size].tolist() for start in range(0, samples.size, size)]


def evaluate(target: Path, recording: Recording, *, size: int = 3, pause: Callable[[], None] = lambda: None) -> None:
    """Compute what is missing and finish."""
    with RecordingParts.open(target, IDENTITY, recording.trials.n_samples) as parts:
        for chunk in chunks_of(parts.missing, size):
            parts.add(part_of(recording, chunk))
            pause()
        parts.finish(recording.header)


def digest(path: Path) -> str:
    """The checksum that a file carries."""
    with h5py.File(path, "r") as file:
        return str(file.attrs["content_sha256"])


def die_before_call(number: int) -> None:
    """Make this process kill itself before its `number`-th call that changes something on the disk."""
    left = [number]

    def deadly[**P, R](function: Callable[P, R]) -> Callable[P, R]:
        def called(*args: P.args, **kwargs: P.kwargs) -> R:
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*args, **kwargs)

        return called

    for name in ("pwrite", "fsync", "replace", "rename", "unlink", "rmdir", "mkdir", "ftruncate", "open"):
        setattr(os, name, deadly(getattr(os, name)))


def in_child(function: Callable[[], None]) -> int:
    """The wait status of a forked process that runs `function`."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            function()
            code = 0
        finally:
            os._exit(code)
    return os.waitpid(child, 0)[1]


def kills(folder: Path, seed: int) -> None:
    """Print, for every evaluation that was killed until it was through, how often it was, and its checksum."""
    rng = random.Random(seed)
    recording = result()
    for attempt in range(6):
        target = folder / f"{attempt}.h5"
        killed = 0

        def dying(target: Path = target) -> None:
            die_before_call(rng.randrange(1, 150))
            evaluate(target, recording)

        for _ in range(4):
            rng.random()  # another point for every child: they copy the state
            if os.WIFSIGNALED(in_child(dying)):
                killed += 1
        if in_child(lambda target=target: evaluate(target, recording)) != 0:  # type: ignore[misc]
            sys.exit("an undisturbed evaluation failed")
        print(killed, digest(target), ",".join(sorted(path.name for path in folder.iterdir())), flush=True)
        target.unlink()


def slowly(target: Path) -> None:
    print("started", flush=True)
    evaluate(target, result(), size=1, pause=lambda: time.sleep(0.01))


def orphan(target: Path) -> None:
    RecordingParts.open(target, IDENTITY, 24)
    if os.fork() == 0:
        print(os.getpid(), flush=True)
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(60)
        os._exit(0)
    signal.pause()


def full(folder: Path, sizes: list[str]) -> None:
    """Mount a file system at `folder`; whenever it is full, print the message and enlarge it. Needs a namespace."""
    recording = result()
    target = folder / "r.h5"
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={sizes[0]}", "none", folder], check=True)
    for size in [*sizes[1:], ""]:
        try:
            evaluate(target, recording)
        except DataError as error:
            print(error, flush=True)
            subprocess.run(["mount", "-o", f"remount,size={size}", folder], check=True)
    print(digest(target), ",".join(path.name for path in folder.iterdir()), flush=True)


if __name__ == "__main__":
    command, place, *others = sys.argv[1:]
    match command:
        case "kills":
            kills(Path(place), int(others[0]))
        case "slowly":
            slowly(Path(place))
        case "orphan":
            orphan(Path(place))
        case "full":
            full(Path(place), others)
