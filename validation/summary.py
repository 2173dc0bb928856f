"""Several realisations as one report: the keys of `report.json`, with means where each realisation has a number.

`report.json` then has, besides the mean at the usual key: `standard_deviation` with the same keys (sample standard
deviation, n - 1; null for fewer than two values), and `realisations` with every realisation's own value. Parity is
added up, not averaged: one mismatch in one realisation shows. Averaged are `accuracy`, `rate_hz`, `statistics` and
`network_statistics` (values alone) and `refinement` (all but its definitions).
`refinement.continuous.largest_rate_change` may belong to another population in each realisation, so that its mean would
say nothing: it is that of the population whose mean `rate_change` is largest in size, with that one's deviation; below
`realisations` it is each one's own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from spikebridge.bridge.errors import DataError
from spikebridge.bridge.storage import atomic_path

AVERAGED = ("accuracy", "rate_hz", "statistics", "network_statistics", "refinement")
TEMPLATES = Path(__file__).parent / "templates"

type Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Row:
    """One number over the realisations, as the summary's table shows it."""

    name: str
    mean: float | None
    deviation: float | None
    values: tuple[float | None, ...]


def write_summary(folders: Mapping[int, Path], out: Path) -> Json:
    """Write `report.json` and `report.html` over the realisations.

    Args:
        folders: by seed, each with its own `report.json`.
        out: where the summary goes.

    Raises:
        DataError: a realisation has no report.
    """
    reports = {seed: _read(folder / "report.json") for seed, folder in folders.items()}
    numbers = summarise(reports)
    html = _render(numbers, {seed: folder.relative_to(out) / "report.html" for seed, folder in folders.items()})
    for name, text in (("report.json", json.dumps(numbers, indent=2, allow_nan=False) + "\n"), ("report.html", html)):
        with atomic_path(out / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
    return numbers


def summarise(reports: Mapping[int, Json]) -> Json:
    """The content of the summary's `report.json`."""
    seeds = list(reports)
    reports = {seed: report | _numbers_alone(report) for seed, report in reports.items()}
    every = list(reports.values())
    result: Json = {"format": "spikebridge/summary", "format_version": 1, "seeds": seeds}
    for key in AVERAGED:
        result[key] = _combine([report[key] for report in every], _mean)
    result["standard_deviation"] = {key: _combine([report[key] for report in every], _deviation) for key in AVERAGED}
    _choose_largest_rate_change(result)
    result["realisations"] = {
        key: {str(seed): report[key] for seed, report in reports.items()} for key in (*AVERAGED, "verdict")
    }
    rungs = ("grid", "replay", "physical")
    result["parity"] = {rung: _parity([report["parity"].get(rung) for report in every]) for rung in rungs}
    result["provenance"] = {str(seed): report["provenance"] for seed, report in reports.items()}
    result["decisions"] = every[0]["decisions"]
    return result


def rows(numbers: Json) -> list[Row]:
    """Every averaged number as a row, in the order of the file, but for what was not run and the steps themselves.

    Nor is the largest change of a rate one: no mean of the values beside it, it is the row of its population already.
    """
    found: list[Row] = []

    def walk(name: str, value: Any, deviation: Any, values: list[Any]) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                if key in ("step_ms", "largest_rate_change") or (name, key, inner) == (
                    "refinement",
                    "continuous",
                    None,
                ):
                    continue
                walk(f"{name}.{key}", inner, deviation[key], [each[key] for each in values])
        else:
            found.append(Row(name, value, deviation, tuple(values)))

    for key in AVERAGED:
        every = list(numbers["realisations"][key].values())
        walk(key, numbers[key], numbers["standard_deviation"][key], every)
    return found


def _read(path: Path) -> Json:
    if not path.is_file():
        raise DataError("no report of this realisation; run it first", path=path)
    report: Json = json.loads(path.read_text(encoding="utf-8"))
    return report


def _numbers_alone(report: Json) -> Json:
    """The keys of a report that hold more than numbers, reduced to them."""
    refinement = {key: value for key, value in report["refinement"].items() if key != "definitions"}
    return {
        "statistics": _values(report["statistics"]),
        "network_statistics": _values(report["network_statistics"]),
        "refinement": refinement,
    }


def _choose_largest_rate_change(result: Json) -> None:
    """Put the mean rate change that is largest in size, and its deviation, where those of all realisations' own are."""
    means = result["refinement"]["continuous"]
    if means is None:
        return
    deviations = result["standard_deviation"]["refinement"]["continuous"]
    defined = {name: change for name, change in means["rate_change"].items() if change is not None}
    largest = max(defined, key=lambda name: abs(defined[name]), default=None)
    means["largest_rate_change"] = None if largest is None else defined[largest]
    deviations["largest_rate_change"] = None if largest is None else deviations["rate_change"][largest]


def _values(statistics: Json) -> Json:
    """Every statistic, however deep it lies, reduced to its value: numbers of trains are not to be averaged."""
    if "n_total" in statistics:
        return statistics["value"]  # type: ignore[no-any-return]
    return {key: _values(inner) for key, inner in statistics.items()}


def _combine(values: list[Any], how: Any) -> Any:
    """Apply `how` to the numbers at each key of equally shaped dictionaries; null where any of them is null."""
    if isinstance(values[0], dict):
        return {key: _combine([value[key] for value in values], how) for key in values[0]}
    return None if any(value is None for value in values) else how(values)


def _mean(values: list[float]) -> float:
    return mean(values)


def _deviation(values: list[float]) -> float | None:
    return stdev(values) if len(values) > 1 else None


def _parity(each: list[Json | None]) -> Json | None:
    present = [parity for parity in each if parity is not None]
    if len(present) < len(each):
        return None
    first = next((parity["first_mismatch"] for parity in present if parity["first_mismatch"] is not None), None)
    differences = [parity["readout_max_difference"] for parity in present]
    return {
        "spikes": sum(parity["spikes"] for parity in present),
        "mismatches": sum(parity["mismatches"] for parity in present),
        "ok": all(parity["ok"] for parity in present),
        "readout_max_difference": None if any(d is None for d in differences) else max(differences),
        "first_mismatch": first,
    }


def _render(numbers: Json, links: Mapping[int, Path]) -> str:
    environment = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined)
    template = environment.get_template("summary.html")
    return template.render(numbers=numbers, rows=rows(numbers), links={seed: str(p) for seed, p in links.items()})
