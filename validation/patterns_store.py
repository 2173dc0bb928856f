"""Where results of searches lie until `patterns.json` is written."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, final

from spikebridge.validation.result_store import RESULTS, ResultStore, parts_folder

__all__ = ["FOLDER", "RESULTS", "PatternStore"]

NAME = "patterns"
FOLDER = parts_folder(Path(), NAME).name


@final
class PatternStore(ResultStore):
    """The results of searches for a report in `directory`; see `ResultStore`."""

    def __init__(self, directory: Path, identity: Mapping[str, Any]) -> None:
        super().__init__(directory, identity, name=NAME, what="searches")
