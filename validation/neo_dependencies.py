"""The libraries of file formats of the field: optional, and imported where they are used."""

from __future__ import annotations

import importlib
from types import ModuleType

from spikebridge.bridge.errors import ConfigError


def require(module: str, purpose: str) -> ModuleType:
    """Import an optional library.

    Raises:
        ConfigError: it is not installed; says how to install it.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        raise ConfigError(
            f"{purpose} needs the library {module}, which is not installed; install it with "
            "pip install 'spikebridge[neo-formats]'"
        ) from error
