"""A recording that is written while it is computed, and that is continued after any interruption.

Samples arrive in chunks, in any order. Each chunk becomes one small HDF5 file in a folder beside the target,
`.<target name>.parts/`, written under a temporary name, brought to the disk and renamed. A process that dies, by
kill -9 or with the machine, loses the chunk it was writing. One file that all chunks are appended to would not do: HDF5
keeps the tables of a file in memory while it is open, and a process that dies leaves them half-written, so that nothing
in the file can be read. When all samples are there they are merged, in order, into the recording, and the folder is
removed.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self, final

import numpy as np

from spikebridge.bridge.arrays import BoolArray, IntArray
from spikebridge.bridge.errors import DataError, SpecError
from spikebridge.bridge.folder_lock import FolderLock
from spikebridge.bridge.full_disk import explain_full_disk
from spikebridge.bridge.merge_parts import merged
from spikebridge.bridge.part_file import Part, PartLayout, StoredPart, read_stored_part, save_part
from spikebridge.bridge.recording import RecordingHeader
from spikebridge.bridge.recording_file import write_recording
from spikebridge.bridge.storage import atomic_path, require_replaceable, write_file

log = logging.getLogger("spikebridge")

IDENTITY = "identity.json"
FORMAT_VERSION = 1


def parts_folder(target: Path) -> Path:
    """Where the parts of a recording lie until it is whole."""
    return target.with_name(f".{target.name}.parts")


@final
class RecordingParts:
    """The parts of one recording on the disk; made by `open`, which locks their folder until `close` or `finish`.

    A context manager. To be used by one thread.

    Attributes:
        target: the recording to be.
        folder: where its parts lie.
        n_samples: how many samples it has.
    """

    def __init__(self, target: Path, identity: Mapping[str, str], n_samples: int, lock: FolderLock) -> None:
        self.target = target
        self.folder = parts_folder(target)
        self.n_samples = n_samples
        self._identity = {**identity, "samples": str(n_samples), "parts.format": str(FORMAT_VERSION)}
        self._identity_sha256 = hashlib.sha256(json.dumps(self._identity, sort_keys=True).encode()).hexdigest()
        self._lock = lock
        self._closed = False
        self._layout: PartLayout | None = None
        self._stored = np.zeros(n_samples, dtype=np.bool_)

    @classmethod
    def open(cls, target: Path, identity: Mapping[str, str], n_samples: int) -> Self:
        """Find what an interrupted evaluation left, or start a new one.

        Parts of an evaluation with another identity are discarded, and what differs is logged; damaged parts are
        discarded with a warning, so that their samples are missing again.

        Args:
            target: the recording to be written; the folder of its parts is made beside it.
            identity: everything the result depends on: network, trials, step, options, code.
            n_samples: number of samples of the evaluation, at least 1.

        Raises:
            DataError: another process is writing this target, it cannot be written, or the disk is full.
            SpecError: `n_samples` is not at least 1.
        """
        target = Path(target)
        if n_samples < 1:
            raise SpecError(f"a recording of {n_samples} samples: give at least 1")
        require_replaceable(target)
        try:
            with explain_full_disk(target):
                lock = FolderLock(parts_folder(target), target)
        except OSError as error:
            raise DataError(
                f"cannot be written, because a folder for its parts, {parts_folder(target)}, cannot be made "
                f"({error.strerror}); give a place where files can be written",
                path=target,
            ) from error
        parts = cls(target, identity, n_samples, lock)
        try:
            parts._resume()
        except BaseException:
            parts.close()
            raise
        return parts

    @property
    def missing(self) -> IntArray:
        """The samples still to compute, increasing."""
        return np.flatnonzero(~self._stored)

    def add(self, part: Part) -> None:
        """Bring a part to the disk; when this returns it survives whatever happens.

        Samples that are stored already keep their first version.

        Raises:
            SpecError: a sample is out of range, or populations, grid, classes or readout are not those of the parts
                before.
            DataError: the disk is full; the parts before are kept.
        """
        self._require_open()
        if part.samples[-1] >= self.n_samples:
            raise SpecError(
                f"sample {part.samples[-1]} of a part is out of range: samples are 0 .. {self.n_samples - 1}"
            )
        if self._layout is not None and part.layout != self._layout:
            raise SpecError(f"a part holds {part.layout}; the parts before hold {self._layout}")
        new = np.flatnonzero(~self._stored[part.samples])
        if new.size == 0:
            return
        if new.size < part.samples.size:
            part = part.select(new)
        # No two parts share a sample, so the first one names the file.
        path = self.folder / f"part-{part.samples[0]:07d}.h5"
        save_part(part, path, self._identity_sha256, advice=self._kept())
        self._layout = part.layout
        self._stored[part.samples] = True

    def finish(self, header: RecordingHeader) -> None:
        """Merge all parts, in the order of samples, into the target; then remove them and give the lock back.

        Every part is checked again. A few MiB of spikes and readout are in memory at a time, however many there are.

        Raises:
            SpecError: samples are missing, or the header is of other trials or another grid than the parts.
            DataError: a part was damaged in the meantime, or the disk is full; in both cases the others are kept.
        """
        self._require_open()
        if self.missing.size:
            raise SpecError(f"{self.missing.size} of {self.n_samples} samples are missing, first {self.missing[0]}")
        parts = self._scan()
        if self.missing.size:
            raise DataError(
                f"parts with {self.missing.size} of {self.n_samples} samples were damaged after they were written; run "
                "the same command again, which computes these samples again",
                path=self.folder,
            )
        self._require_matching(header, parts[0].layout)
        needed = sum(part.path.stat().st_size for part in parts)
        with write_file(self.target, "recording", needed_bytes=needed, advice=self._kept()) as content:
            write_recording(content, header, merged(parts, self.n_samples))
        self._remove_folder()
        self.close()

    def close(self) -> None:
        """Give the lock back; the parts stay. Does nothing the second time."""
        self._closed = True
        self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _require_open(self) -> None:
        if self._closed:
            raise SpecError(f"the parts of {self.target} are closed; open them again to go on")

    def _kept(self) -> str:
        """What the message about a full disk says."""
        stored = np.count_nonzero(self._stored)
        return (
            f"the {stored} of {self.n_samples} samples computed so far are kept in {self.folder}; free some space and "
            "run the same command again, it continues there"
        )

    def _resume(self) -> None:
        """Take over what fits, remove the rest, and write down whose parts these are."""
        for path in self.folder.glob(".*.part"):  # what a killed writer left
            path.unlink()
        path = self.folder / IDENTITY
        before = _read_identity(path)
        if before is not None and before != self._identity:
            changes = _differences(before, self._identity)
            log.warning("%s: parts of another evaluation are discarded: %s", self.target, changes)
        self._scan()
        stored = np.count_nonzero(self._stored)
        if stored:
            log.info("%s: %d of %d samples were computed before; continuing", self.target, stored, self.n_samples)
        if before != self._identity:
            with atomic_path(path, advice=self._kept()) as temporary:
                temporary.write_text(json.dumps(self._identity, indent=2, sort_keys=True) + "\n", encoding="utf-8")

    def _scan(self) -> list[StoredPart]:
        """Check every part on the disk and discard those that cannot be used; sets what is stored."""
        stored: BoolArray = np.zeros(self.n_samples, dtype=np.bool_)
        found: list[StoredPart] = []
        for path in sorted(self.folder.glob("part-*.h5")):
            try:
                part = read_stored_part(path)
            except DataError as error:
                log.warning("%s; this part is discarded, its samples are computed again", error)
                path.unlink()
                continue
            # A copy under another name holds samples that are there already.
            if part.identity_sha256 != self._identity_sha256 or stored[part.samples].any():
                path.unlink()
                continue
            found.append(part)
            stored[part.samples] = True
        self._stored = stored
        self._layout = found[0].layout if found else None
        return found

    def _require_matching(self, header: RecordingHeader, layout: PartLayout) -> None:
        """Refuse what `Recording` would refuse."""
        for name, given, expected in (
            ("samples", header.trials.n_samples, self.n_samples),
            ("classes", len(header.trials.class_names), layout.classes),
            ("steps", header.n_steps, layout.n_steps),
            ("ms per step", header.step_ms, layout.step_ms),
            ("steps", header.n_steps, layout.readout_steps),
        ):
            if expected is not None and given != expected:
                raise SpecError(f"the header says {given} {name}, the parts have {expected}")

    def _remove_folder(self) -> None:
        try:
            shutil.rmtree(self.folder)
        except OSError as error:  # the recording is whole all the same
            log.warning("%s: cannot be removed (%s); delete it", self.folder, error)


def _read_identity(path: Path) -> dict[str, str] | None:
    """Whose parts lie here, or None where that is not readable: every part knows it too."""
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return read if isinstance(read, dict) else None


def _differences(before: Mapping[str, str], now: Mapping[str, str]) -> str:
    """What differs between two identities: `step_ms = 1.0, now 0.1; ...`."""
    return "; ".join(
        f"{key} = {before.get(key, 'not given')}, now {now.get(key, 'not given')}"
        for key in sorted(before.keys() | now.keys())
        if before.get(key) != now.get(key)
    )
