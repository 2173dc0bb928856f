"""What `report.json` of several runs says, side by side; summaries over realisations with their deviations."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spikebridge.bridge.errors import DataError

type Json = dict[str, Any]

REPORT = "report.json"
FORMATS = ("spikebridge/report", "spikebridge/summary")
GROUPS = ("all", "seen", "held_out", "unseen")
RUNGS = ("grid", "replay", "physical")


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number of one run.

    Attributes:
        value: None where the run has none.
        deviation: standard deviation over realisations, None for one.
    """

    value: float | None
    deviation: float | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """A run as its report describes it.

    Attributes:
        name: unique among those compared.
        realisations: how many.
        quantities: by dotted name, as in `report.json`; only those that the run has.
        parity: by rung `same`, `different` or `not run`.
        source, source_sha256: the samples it was tested on.
    """

    name: str
    realisations: int
    quantities: Mapping[str, Quantity]
    parity: Mapping[str, str]
    source: str
    source_sha256: str


def load_run(folder: Path, name: str) -> Run:
    """Read the report of a run.

    Raises:
        DataError: no report, no JSON, or one that lacks what a report has; says which key.
    """
    path = folder / REPORT
    if not path.is_file():
        raise DataError(f"there is no {REPORT}; give the folder of a finished `spikebridge run`", path=folder)
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise DataError(f"is no JSON ({error}); make the report again", path=path) from error
    if not isinstance(report, dict) or report.get("format") not in FORMATS or report.get("format_version") != 1:
        raise DataError(f"is no report of this version (format {' or '.join(FORMATS)}, version 1)", path=path)
    try:
        summary = report["format"] == "spikebridge/summary"
        provenance = next(iter(report["provenance"].values())) if summary else report["provenance"]
        deviations = report.get("standard_deviation", {}) if summary else {}
        return Run(
            name,
            len(report["seeds"]) if summary else 1,
            dict(_quantities(report, deviations)),
            {rung: _parity(report["parity"].get(rung)) for rung in RUNGS},
            str(provenance["trials"]["source"]),
            str(provenance["trials"]["sha256"]),
        )
    except (KeyError, TypeError, AttributeError, StopIteration) as error:
        raise DataError(f"lacks what a report has ({error!r}); make it again with `validate`", path=path) from error


def _quantities(report: Json, deviations: Json) -> Iterator[tuple[str, Quantity]]:
    """Accuracies, rates and what continuous time costs, in the order of the report."""
    for label in report["accuracy"]:
        for group in GROUPS:
            yield from _quantity(report, deviations, "accuracy", label, group)
    for label in report["rate_hz"]:
        yield from _quantity(report, deviations, "rate_hz", label, "mean")
        for population in report["rate_hz"][label]["populations"]:
            yield from _quantity(report, deviations, "rate_hz", label, "populations", population)
    if report["refinement"]["continuous"] is not None:
        for key in ("step_ms", "accuracy", "accuracy_lost_points", "largest_rate_change"):
            yield from _quantity(report, deviations, "refinement", "continuous", key)


def _quantity(report: Json, deviations: Json, *keys: str) -> Iterator[tuple[str, Quantity]]:
    value: Any = report
    deviation: Any = deviations
    for key in keys:
        value = value.get(key)
        deviation = deviation.get(key) if isinstance(deviation, dict) else None
    if value is not None:
        spread = None if deviation is None or keys[-1] == "step_ms" else float(deviation)
        yield ".".join(keys), Quantity(float(value), spread)


def _parity(found: Json | None) -> str:
    return "not run" if found is None else "same" if found["ok"] else "different"
