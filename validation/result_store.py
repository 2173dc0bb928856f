"""Results of an analysis on the disk as they come, so that an interrupted one goes on where it stopped."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from spikebridge.bridge.errors import DataError
from spikebridge.bridge.folder_lock import FolderLock
from spikebridge.bridge.full_disk import explain_full_disk
from spikebridge.bridge.storage import atomic_path

log = logging.getLogger("spikebridge")

RESULTS = "results.jsonl"


def parts_folder(directory: Path, name: str) -> Path:
    """Where the results of `NAME.json` in a directory lie until it is written."""
    return Path(directory) / f".{name}.parts"


class ResultStore:
    """One line of JSON per result, each on the disk before `put` returns. A context manager, for one thread.

    Attributes:
        folder: where the lines lie until `remove`.
    """

    def __init__(self, directory: Path, identity: Mapping[str, Any], *, name: str, what: str) -> None:
        """Take over the results of an analysis with the same identity; those of another one are discarded.

        Args:
            directory: of the report.
            identity: everything that results depend on.
            name: of the report, `NAME.json`.
            what: results are called in messages, in the plural.

        Raises:
            DataError: another process is at work here, or nothing can be written.
        """
        self.folder, self._what = parts_folder(directory, name), what
        try:
            self._lock = FolderLock(self.folder, Path(directory) / f"{name}.json")
        except OSError as error:
            raise DataError(
                f"a folder for results cannot be made in it ({error.strerror}); give one that can be written",
                path=directory,
            ) from error
        text = json.dumps(identity, sort_keys=True)
        self._identity = hashlib.sha256(text.encode()).hexdigest()
        self._path = self.folder / RESULTS
        self._found = self._read()
        if self._found:
            log.info("%s: %d %s were done before; continuing", directory, len(self._found), what)
        # Written again without a line that was cut off, or with nothing but our identity.
        with atomic_path(self._path) as temporary, temporary.open("w", encoding="utf-8") as file:
            file.write(json.dumps({"identity": self._identity}) + "\n")
            file.writelines(_line(key, result) for key, result in self._found.items())
        self._file = self._path.open("a", encoding="utf-8")

    def get(self, key: str) -> Any:
        """The result of that name, or None."""
        return self._found.get(key)

    def put(self, key: str, result: Any) -> None:
        """Keep a result.

        Raises:
            DataError: the disk is full; what was stored before is kept.
        """
        with explain_full_disk(
            self._path, advice=f"{self._what} done so far are kept; free some space and run it again"
        ):
            self._file.write(_line(key, result))
            self._file.flush()
            os.fsync(self._file.fileno())
        self._found[key] = result

    def remove(self) -> None:
        """Forget all results: the report is written."""
        self.close()
        self._path.unlink(missing_ok=True)
        (self.folder / "lock").unlink(missing_ok=True)
        self.folder.rmdir()

    def close(self) -> None:
        """Give the lock back; the results stay."""
        self._file.close()
        self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _read(self) -> dict[str, Any]:
        try:
            lines = self._path.read_text(encoding="utf-8").split("\n")
        except FileNotFoundError:
            return {}
        found: dict[str, Any] = {}
        if _parsed(lines[0]) != {"identity": self._identity}:
            log.warning("%s: results of another analysis are discarded", self.folder)
            return {}
        for line in lines[1:]:
            entry = _parsed(line)
            if isinstance(entry, dict) and {"key", "result"} == entry.keys():
                found[entry["key"]] = entry["result"]
        return found


def _line(key: str, result: Any) -> str:
    return json.dumps({"key": key, "result": result}) + "\n"


def _parsed(line: str) -> Any:
    """None for a line that was cut off by a crash."""
    try:
        return json.loads(line)
    except ValueError:
        return None
