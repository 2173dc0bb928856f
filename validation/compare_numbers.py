"""`compare.json`: what `spikebridge compare` found under documented keys, strict JSON.

format, format_version        `spikebridge/compare`, 1
seed                          of the bootstrap
reference                     the activity with which all others are compared, null without activities
runs.NAME                     realisations, source, source_sha256, parity.RUNG (`same`, `different`, `not run`), and
                              quantities.KEY: value, deviation (over realisations, null for one); KEY as in report.json
activities.NAME               origin, network_sha256, trials_sha256 (null: unknown), and populations.POPULATION:
                              neurons, trials, duration_s, step_ms, spikes
values.NAME.POPULATION.KEY    n_defined, n_total, mean, median (null: undefined) of the values per neuron
comparisons                   list of: reference, other, reference_population, other_population, statistic,
                              undefined (the reason, null where there is a score), scores.SCORE (value; p, low, high or
                              null), p, p_holm, p_fdr (null: undefined), differs (p_holm <= 0.05)
plausibility                  list of: activity, population, range (id), statistic, value (null: undefined), place
                              (`inside`, `below`, `above`, `undefined`), undefined (the reason or null)
ranges.ID                     low, high (null: open), species, area, condition, finding, differs, citation, doi
definitions                   statistics.KEY, scores.KEY and card.KEY: title, unit, definition, source where it has one
not_comparable                list of [subject, explanation]
caveat                        what the plausibility card does not mean
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from spikebridge.validation.compare_activity import Activity, Comparison
from spikebridge.validation.compare_runs import Run
from spikebridge.validation.compare_scores import Score, ScoreValue
from spikebridge.validation.compare_values import Values, neuron_values
from spikebridge.validation.plausibility import CAVEAT, Judgement, PublishedRange
from spikebridge.validation.plausibility_values import CARD_STATISTICS

FORMAT_VERSION = 1

type Json = dict[str, Any]


def compare_numbers(
    runs: Sequence[Run],
    activities: Sequence[Activity],
    comparisons: Sequence[Comparison],
    card: Sequence[Judgement],
    ranges: Sequence[PublishedRange],
    scores: Sequence[Score],
    notes: Sequence[tuple[str, str]],
    seed: int,
) -> Json:
    """The content of `compare.json`; keys as in the module's documentation."""
    values = {each.name: {name: neuron_values(t) for name, t in each.populations.items()} for each in activities}
    described = next((found for each in values.values() for found in each.values()), {})
    return {
        "format": "spikebridge/compare",
        "format_version": FORMAT_VERSION,
        "seed": seed,
        "reference": activities[0].name if activities else None,
        "runs": {run.name: _run(run) for run in runs},
        "activities": {each.name: _activity(each) for each in activities},
        "values": {
            activity: {name: {key: _values(each) for key, each in found.items()} for name, found in populations.items()}
            for activity, populations in values.items()
        },
        "comparisons": [_comparison(each) for each in comparisons],
        "plausibility": [_judgement(each) for each in card],
        "ranges": {each.id: _range(each) for each in ranges},
        "definitions": {
            "statistics": {
                key: {"title": v.title, "unit": v.unit, "definition": v.definition} for key, v in described.items()
            },
            "scores": {s.key: {"title": s.title, "definition": s.definition, "source": s.source} for s in scores},
            "card": {
                key: {"title": s.title, "unit": s.unit, "definition": s.definition}
                for key, s in CARD_STATISTICS.items()
            },
        },
        "not_comparable": [list(note) for note in notes],
        "caveat": CAVEAT,
    }


def _run(run: Run) -> Json:
    return {
        "realisations": run.realisations,
        "source": run.source,
        "source_sha256": run.source_sha256,
        "parity": dict(run.parity),
        "quantities": {key: {"value": q.value, "deviation": q.deviation} for key, q in run.quantities.items()},
    }


def _activity(activity: Activity) -> Json:
    return {
        "origin": activity.origin,
        "network_sha256": activity.network_sha256,
        "trials_sha256": activity.trials_sha256,
        "populations": {
            name: {
                "neurons": trains.n_neurons,
                "trials": trains.n_samples,
                "duration_s": trains.duration_s,
                "step_ms": trains.step_ms,
                "spikes": trains.n_spikes,
            }
            for name, trains in activity.populations.items()
        },
    }


def _values(values: Values) -> Json:
    defined = values.values.size > 0
    return {
        "n_defined": values.values.size,
        "n_total": values.n_total,
        "mean": float(values.values.mean()) if defined else None,
        "median": float(np.median(values.values)) if defined else None,
    }


def _comparison(each: Comparison) -> Json:
    return {
        "reference": each.reference,
        "other": each.other,
        "reference_population": each.reference_population,
        "other_population": each.other_population,
        "statistic": each.reference_values.key,
        "undefined": each.undefined,
        "scores": {key: _score(value) for key, value in each.scores.items()},
        "p": each.p,
        "p_holm": each.p_holm,
        "p_fdr": each.p_fdr,
        "differs": each.differs,
    }


def _score(found: ScoreValue) -> Json:
    return {"value": found.value, "p": found.p, "low": found.low, "high": found.high}


def _judgement(each: Judgement) -> Json:
    return {
        "activity": each.activity,
        "population": each.population,
        "range": each.published.id,
        "statistic": each.published.statistic,
        "value": each.found.value,
        "place": str(each.place),
        "undefined": each.found.undefined or None,
    }


def _range(published: PublishedRange) -> Json:
    names = ("low", "high", "species", "area", "condition", "finding", "differs", "citation", "doi")
    return {name: getattr(published, name) for name in names}
