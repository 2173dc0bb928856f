"""A full disk, an exhausted quota or a limit on the size of a file, said so that the user knows what to do."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from spikebridge.bridge.errors import DataError

REASONS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the file would be larger than allowed here (`ulimit -f`)",
}
ADVICE = "free some space and run the same command again"


@contextmanager
def explain_full_disk(target: Path, *, needed_bytes: int | None = None, advice: str = ADVICE) -> Iterator[None]:
    """Turn the OSError of a write that found no space into one the user can act on; others pass.

    Args:
        target: the file that was to be written.
        needed_bytes: roughly how much it takes, where that is known.
        advice: what became of the work, and what to do.

    Raises:
        DataError: there was no space for `target`; says how much there is.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in REASONS:
            raise
        free = f"{readable_bytes(_free_bytes(target.parent))} are free"
        needed = "" if needed_bytes is None else f", about {readable_bytes(needed_bytes)} are needed"
        raise DataError(f"{REASONS[error.errno]} ({free}{needed}); {advice}", path=target) from error


def readable_bytes(count: int) -> str:
    """A number of bytes in the largest unit of which there is at least one: `1.5 MiB`."""
    if count < 1024:
        return f"{count} bytes"
    value = float(count)
    for unit in ("KiB", "MiB", "GiB"):
        value /= 1024
        if value < 1024:
            return f"{value:.1f} {unit}"
    return f"{value / 1024:.1f} TiB"


def _free_bytes(folder: Path) -> int:
    """Space left to an ordinary user where `folder` is, or would be made."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free
