"""docs/report.md lists every key of report.json, and no other."""

import json
import re
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from reports import full_report

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent
PLACEHOLDERS = {"LABEL", "RUNG", "NAME", "GROUP", "PROJECTION", "KEY", "ANY"}


def documented() -> set[tuple[str, ...]]:
    """The keys of the table as tuples; braces are taken apart."""
    found = set()
    _, _, table = (ROOT / "docs" / "report.md").read_text().partition("## Keys of `report.json`")
    for line in table.splitlines():
        if line.startswith("| `"):
            for span in re.findall(r"`([^`]+)`", line.split(" | ")[0]):
                parts = [part.strip("{}").split(",") for part in re.findall(r"\{[^}]*\}|[^.]+", span)]
                found |= set(product(*parts))
    return found


def fits(path: tuple[str, ...], key: tuple[str, ...]) -> bool:
    """Whether a documented key describes a path; ANY stands for the rest of a key that holds dots itself."""
    return len(path) == len(key) and all(
        part == name or (name in PLACEHOLDERS and part != "[]") for part, name in zip(path, key, strict=True)
    )


def paths(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every value that is no table, and every empty table, by the keys on the way there."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from paths(inner, (*path, key))
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for inner in value:
            yield from paths(inner, (*path, "[]"))
    else:
        yield path


@pytest.fixture(scope="module")
def found() -> set[tuple[str, ...]]:
    numbers = json.loads(json.dumps(full_report()[0].numbers, allow_nan=False))
    return set(paths(numbers))


def test_every_key_of_a_report_is_documented(found: set[tuple[str, ...]]) -> None:
    keys = documented()
    # A table that is empty or null here stands for what it would hold.
    known = keys | {key[:n] for key in keys for n in range(1, len(key))}
    missing = sorted(".".join(path) for path in found if not any(fits(path, key) for key in known))
    assert missing == []


def test_every_documented_key_is_in_the_report(found: set[tuple[str, ...]]) -> None:
    inside = found | {path[:n] for path in found for n in range(1, len(path))}
    stale = sorted(".".join(key) for key in documented() if not any(fits(path, key) for path in inside))
    # Nothing in the report of constructed recordings makes these.
    assert [key for key in stale if not key.startswith(("decisions.", "patterns.not_searched."))] == []
