"""Tables of statistics: their values side by side, how they spread, and why some are undefined."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from spikebridge.validation.formatting import Table, number, percent, whole
from spikebridge.validation.observations import Definition, Observations

type Seen = Mapping[str, Mapping[str, Mapping[str, Observations]]]
"""By label of the executor, population (or the network) and key of the statistic."""


def value_text(definition: Definition, value: float | None) -> str:
    """A value in the unit of its statistic, or `undefined`; large numbers without decimals."""
    if definition.unit == "share":
        return percent(value)
    return number(value, 0 if value is not None and abs(value) >= 1000 else 3 if _is_small(value) else 2)


def titled(definition: Definition) -> str:
    """The statistic's title with its unit."""
    return definition.title + (f" ({definition.unit})" if definition.unit in ("Hz", "ms") else "")


def values_table(
    caption: str,
    definitions: Sequence[Definition],
    seen: Mapping[str, Mapping[str, Observations]],
    titles: Mapping[str, str],
) -> Table:
    """Means of one population (or the network), an executor per column, in brackets what each rests on.

    Args:
        caption: what is shown.
        definitions: rows.
        seen: by label and key.
        titles: headings by label.
    """
    rows = []
    for d in definitions:
        observed = [seen[label][d.key] for label in titles]
        cells = (f"{value_text(d, each.mean)} ({whole(each.n_defined)})" for each in observed)
        totals = {each.n_total for each in observed}
        # Spikes and bursts are as many as there are: no total that executors share.
        out_of = f"{whole(totals.pop())} {plural(d.over)}" if len(totals) == 1 else plural(d.over)
        rows.append((titled(d), *cells, out_of))
    return Table(caption, ("statistic", *titles.values(), "out of"), tuple(rows))


def spread_table(definitions: Sequence[Definition], seen: Seen) -> Table:
    """Mean, quartiles and number of values of every statistic, population and executor."""
    rows = []
    for d in definitions:
        for name in next(iter(seen.values())):
            for label, populations in seen.items():
                observed = populations[name][d.key]
                found = (observed.mean, *(observed.quartiles or (None,) * 5))
                counts = (whole(observed.n_defined), whole(observed.n_total - observed.n_defined))
                rows.append((f"{name}: {titled(d)}", label, *(value_text(d, value) for value in found), *counts))
    spread = ("mean", "minimum", "lower quartile", "median", "upper quartile", "maximum")
    columns = ("statistic", "run", *spread, "values", "undefined")
    return Table("Mean and spread of the values that are defined", columns, tuple(rows))


def reasons_table(definitions: Sequence[Definition], seen: Seen) -> Table | None:
    """Why values are undefined and how many, an executor per column; None where all are defined."""
    labels = list(seen)
    rows = []
    for d in definitions:
        for name in next(iter(seen.values())):
            each = [seen[label][name][d.key].undefined for label in labels]
            reasons = dict.fromkeys(reason for undefined in each for reason in undefined)
            rows += [
                (f"{name}: {titled(d)}", reason, *(whole(undefined.get(reason, 0)) for undefined in each))
                for reason in reasons
            ]
    return Table("Undefined: why, and how many", ("statistic", "reason", *labels), tuple(rows)) if rows else None


def plural(over: str) -> str:
    """What a statistic observes, in the plural."""
    words = {
        word: "classes" if word == "class" else f"{word}s" for word in over.replace(",", "").split() if word != "and"
    }
    return re.sub(r"\w+", lambda match: words.get(match[0], match[0]), over)


def _is_small(value: float | None) -> bool:
    return value is not None and 0 < abs(value) < 0.1
