"""Where a file came from: versions of what computed it."""

from __future__ import annotations

import hashlib
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


def versions(*packages: str) -> dict[str, str]:
    """`version.<package>` for Python, spikebridge, numpy and the named packages."""
    found = {"version.python": platform.python_version()}
    for name in ("spikebridge", "numpy", *packages):
        try:
            found[f"version.{name}"] = version(name)
        except PackageNotFoundError:
            found[f"version.{name}"] = "not installed"
    return found


SOURCES = (".py", ".h")
"""Python, and the C++ that simulations are compiled with."""


def source_sha256(*folders: str) -> str:
    """Checksum of the source of `spikebridge.<folder>`: a version does not tell two states of a checkout apart."""
    root = Path(__file__).resolve().parent.parent
    digest = hashlib.sha256()
    for folder in folders:
        for path in sorted(path for path in (root / folder).rglob("*") if path.suffix in SOURCES):
            digest.update(path.relative_to(root).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()
