"""Where a file came from: versions of what computed it."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version


def versions(*packages: str) -> dict[str, str]:
    """`version.<package>` for Python, spikebridge, numpy and the named packages."""
    found = {"version.python": platform.python_version()}
    for name in ("spikebridge", "numpy", *packages):
        try:
            found[f"version.{name}"] = version(name)
        except PackageNotFoundError:
            found[f"version.{name}"] = "not installed"
    return found
