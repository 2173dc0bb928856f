"""`knobs.json`: accuracy and statistics against every knob under documented keys, strict JSON.

format, format_version          `spikebridge/knobs`, 1
identity                        checksum of all that results depend on but knobs, amounts and draws
origin                          network_sha256, executor, step_ms, duration_ms, source, source_sha256, n_samples used of
                                n_available, n_classes, draws of every random condition, seed
chance                          1 / n_classes
drop_points                     percentage points of accuracy that `drops` look for
knobs                           list, one per knob:
    key, title, axis, unit, random, definition
    neutral                     the amount that is the network as it is, null where there is none
    drops                       list, one per direction: rising, amount (null: not within the range), last;
                                empty for reversed_input
    points                      list, one per amount, rising:
        amount, undisturbed
        accuracy                mean, deviation (n - 1; null for fewer than 2) and values over `draws` draws; low, high:
                                95 % Wilson interval of the mean over `samples` samples
        accuracy_lost_points    percentage points less than the network as it is, null for itself: value (mean over
                                draws), low, high: 95 % interval over samples, which are the same for both
        accuracy_GROUP          mean, deviation, values, draws of seen, unseen, held_out speakers, where known
        decisions_changed       share of samples decided otherwise than by the network as it is, over draws
        realised.NAME           what the change came to, over draws: weights_sign_changed, delays_clipped (shares),
                                delays_mean_change_ms, synapses_removed (share), pulse_factor,
                                refractory_on_grid_ms (whole steps of it)
        statistics.NAME.KEY     over the draws in which it is defined; statistics as in docs/statistics.md
        network_statistics.KEY  the same, of the whole network
labels                          true classes of the samples in order
results.CONDITION               every simulation by KNOB/AMOUNT/DRAW, and `undisturbed`: decisions (classes of the
                                samples in order), correct.GROUP (hits, samples), populations.NAME.KEY and network.KEY
                                (value or null, n_defined of n_total, undefined: how many by reason), realised
definitions.KEY                 title, unit, over, definition, source of each statistic
provenance                      versions, options
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from spikebridge.bridge.errors import DataError
from spikebridge.bridge.knobs import KNOBS, UNDISTURBED, Knob
from spikebridge.validation.knob_analysis import KnobAnalysis, Origin, Point, Spread
from spikebridge.validation.knob_measures import GROUPS, NETWORK_DEFINITIONS, Measured, knob_statistics
from spikebridge.validation.observations import Definition

FORMAT = "spikebridge/knobs"
FORMAT_VERSION = 1


def knob_numbers(analysis: KnobAnalysis) -> dict[str, Any]:
    """The content of `knobs.json`."""
    results = {UNDISTURBED: analysis.undisturbed, **analysis.results}
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "identity": analysis.identity,
        "origin": asdict(analysis.origin),
        "chance": analysis.origin.chance,
        "drop_points": analysis.drop_points,
        "knobs": [_knob(analysis, knob) for knob in analysis.knobs],
        "labels": " ".join(map(str, analysis.labels)),
        "results": {key: measured.to_json() for key, measured in results.items()},
        "definitions": {
            d.key: {"title": d.title, "unit": d.unit, "over": d.over, "definition": d.definition, "source": d.source}
            for d in definitions()
        },
        "provenance": dict(analysis.provenance),
    }


def definitions() -> tuple[Definition, ...]:
    """Of all statistics, those of the network last."""
    return (*knob_statistics(), *NETWORK_DEFINITIONS)


def load_knobs(path: Path) -> KnobAnalysis:
    """The analysis that a `knobs.json` was written from.

    Raises:
        DataError: missing, damaged, or of another format.
    """
    try:
        values = json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError("no such file; `spikebridge knobs` writes it", path=path) from None
    except ValueError as error:
        raise DataError(f"is no JSON ({error}); run `spikebridge knobs` again", path=path) from None
    try:
        if (values["format"], values["format_version"]) != (FORMAT, FORMAT_VERSION):
            raise DataError(f"is no {FORMAT} of version {FORMAT_VERSION}; run `spikebridge knobs` again", path=path)
        return _analysis(values)
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(f"lacks what `spikebridge knobs` writes ({error}); run it again", path=path) from None


def _analysis(values: dict[str, Any]) -> KnobAnalysis:
    known = {knob.key: knob for knob in KNOBS}
    knobs, neutral = [], {}
    for each in values["knobs"]:
        own = each["neutral"]
        amounts = tuple(point["amount"] for point in each["points"] if not (point["undisturbed"]))
        knobs.append(known[each["key"]].with_amounts(amounts))
        neutral[each["key"]] = own
    results = {key: Measured.from_json(measured) for key, measured in values["results"].items()}
    undisturbed = results.pop(UNDISTURBED)
    return KnobAnalysis(
        Origin(**values["origin"]),
        tuple(knobs),
        neutral,
        tuple(int(label) for label in values["labels"].split()),
        undisturbed,
        results,
        values["drop_points"],
        values["identity"],
        values["provenance"],
    )


def _knob(analysis: KnobAnalysis, knob: Knob) -> dict[str, Any]:
    return {
        "key": knob.key,
        "title": knob.title,
        "axis": knob.axis,
        "unit": knob.unit,
        "random": knob.random,
        "definition": knob.definition,
        "neutral": analysis.neutral[knob.key],
        "drops": [asdict(drop) for drop in analysis.drops(knob)],
        "points": [_point(analysis, point) for point in analysis.points(knob)],
    }


def _point(analysis: KnobAnalysis, point: Point) -> dict[str, Any]:
    interval, loss = point.interval, analysis.loss(point)
    samples = len(analysis.labels)
    ends = {} if interval is None else {"low": interval.low, "high": interval.high, "samples": samples}
    known = [group for group in GROUPS if group in analysis.undisturbed.correct and group != "all"]
    names = list(dict.fromkeys(name for draw in point.draws for name in draw.realised))
    return {
        "amount": point.amount,
        "undisturbed": point.undisturbed,
        "accuracy": {**_spread(point.accuracy), **ends},
        "accuracy_lost_points": None if loss is None or point.undisturbed else asdict(loss),
        **{f"accuracy_{group}": _spread(point.accuracy_of(group)) for group in known},
        "decisions_changed": _spread(point.changed),
        "realised": {name: _spread(point.realised(name)) for name in names},
        "statistics": {
            name: {each.key: _spread(point.statistic(name, each.key)) for each in knob_statistics()}
            for name in analysis.populations
        },
        "network_statistics": {each.key: _spread(point.statistic(None, each.key)) for each in NETWORK_DEFINITIONS},
    }


def _spread(spread: Spread) -> dict[str, Any]:
    return {
        "mean": spread.mean,
        "deviation": spread.deviation,
        "values": list(spread.values),
        "draws": spread.draws,
    }
