"""The chapters of `compare.html`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from spikebridge.validation.compare_activity import Activity, Comparison
from spikebridge.validation.compare_runs import Quantity, Run
from spikebridge.validation.compare_scores import Score
from spikebridge.validation.compare_values import Values
from spikebridge.validation.formatting import UNDEFINED, Table, number, whole
from spikebridge.validation.plausibility import CAVEAT, Judgement, PublishedRange
from spikebridge.validation.plausibility_values import CARD_STATISTICS
from spikebridge.validation.plot_compare import effects_picture
from spikebridge.validation.section import Section

NOT_RUN = "-"


def runs_section(runs: Sequence[Run]) -> Section:
    """What the reports of the runs say, one column per run."""
    # The fullest report first, so that its order, that of `report.json`, is kept.
    fullest = sorted(runs, key=lambda run: -len(run.quantities))
    keys = list(dict.fromkeys(key for run in fullest for key in run.quantities))
    rows = [("realisations", *(whole(run.realisations) for run in runs)), ("samples of", *(run.source for run in runs))]
    rows += [(f"parity, {rung}", *(run.parity[rung] for run in runs)) for rung in runs[0].parity]
    rows += [(key, *(_quantity(key, run.quantities.get(key)) for run in runs)) for key in keys]
    return Section(
        "runs",
        "Runs side by side",
        f"What the report of each run says; {NOT_RUN} is what a run does not have. `seen` are speakers the weights "
        "were fitted on, `held_out` those the epoch was chosen on, `unseen` those that took no part.",
        (
            Table(
                "Accuracies in percent, rates in Hz, steps in ms; after ± the standard deviation over realisations.",
                ("quantity", *(run.name for run in runs)),
                tuple(rows),
            ),
        ),
    )


def activity_section(activities: Sequence[Activity]) -> Section:
    """What was compared."""
    rows = [
        (
            f"{activity.name}: {name}",
            activity.origin,
            whole(trains.n_neurons),
            whole(trains.n_samples),
            number(trains.duration_s, 3),
            whole(trains.n_spikes),
        )
        for activity in activities
        for name, trains in activity.populations.items()
    ]
    columns = ("population", "what", "neurons", "trials", "seconds each", "spikes")
    return Section(
        "activities",
        "Recordings",
        "Spikes whose statistics are compared below.",
        (Table("Populations of every recording", columns, tuple(rows)),),
    )


def comparison_section(comparisons: Sequence[Comparison], scores: Sequence[Score]) -> Section:
    """Every statistic of every pair of populations, with the scores."""
    reference = comparisons[0].reference
    tables = []
    for other in dict.fromkeys(each.other for each in comparisons):
        columns = ("statistic", reference, other, "p (Holm)", "p (FDR)", *(score.title for score in scores))
        rows = tuple(_row(each, scores) for each in comparisons if each.other == other)
        tables.append(Table(f"{other}: medians over neurons (with a value / all), and scores", columns, rows))
    definitions = {each.reference_values.key: each.reference_values for each in comparisons}
    picture = effects_picture(comparisons)
    return Section(
        "comparison",
        f"Compared with {reference}",
        f"Values per neuron of every recording against those of {reference}. p values are of the first score that "
        f"tests something, corrected over all {len(comparisons)} comparisons of this page: after Holm (family-wise "
        "error) and after Benjamini and Hochberg (false discovery rate). A small p says that a difference is no "
        "accident of which neurons there are, the effect size how large it is.",
        tuple(tables),
        (
            *((each.title, each.definition) for each in definitions.values()),
            *((score.title, f"{score.definition} {score.source}") for score in scores),
        ),
        () if picture is None else (picture,),
    )


def plausibility_section(card: Sequence[Judgement], ranges: Sequence[PublishedRange]) -> Section:
    """Which statistics lie inside published ranges."""
    places = list(dict.fromkeys((each.activity, each.population) for each in card))
    by_place = {(each.activity, each.population, each.published.id): each for each in card}
    rows = tuple(
        (
            f"{CARD_STATISTICS[each.statistic].title} ({each.id})",
            _bounds(each),
            *(_verdict(by_place[activity, population, each.id]) for activity, population in places),
        )
        for each in ranges
    )
    columns = ("statistic (range)", "published", *(f"{activity}: {population}" for activity, population in places))
    sources = tuple(
        (
            each.id,
            each.species,
            f"{each.area}; {each.condition}",
            each.finding,
            each.differs,
            each.citation + ("" if each.doi is None else f" doi:{each.doi}"),
        )
        for each in ranges
    )
    reasons = {
        each.found.undefined: CARD_STATISTICS[each.published.statistic].title for each in card if each.found.undefined
    }
    return Section(
        "plausibility",
        "Plausibility card",
        CAVEAT,
        (
            Table("Where each statistic lies", columns, rows),
            Table(
                "Where the ranges come from", ("range", "species", "area", "finding", "differs", "citation"), sources
            ),
        ),
        (
            *((each.title, each.definition) for each in CARD_STATISTICS.values()),
            *((f"Undefined: {title}", f"{reason[0].upper()}{reason[1:]}.") for reason, title in reasons.items()),
        ),
    )


def notes_section(notes: Sequence[tuple[str, str]]) -> Section:
    """What the comparison leaves out or cannot tell apart."""
    return Section(
        "not-comparable",
        "What is not comparable",
        "Differences between the inputs of this page that are not differences of activity.",
        notes=tuple(notes),
    )


def _quantity(key: str, found: Quantity | None) -> str:
    if found is None or found.value is None:
        return NOT_RUN
    share = key.startswith("accuracy.") or key.endswith((".accuracy", "rate_change"))
    factor, digits, unit = (100.0, 1, " %") if share else (1.0, 2, "")
    spread = "" if found.deviation is None else f" ± {found.deviation * factor:.{digits}f}"
    return f"{found.value * factor:,.{digits}f}{spread}{unit}"


def _row(each: Comparison, scores: Sequence[Score]) -> tuple[str, ...]:
    ours, theirs = each.reference_population, each.other_population
    start = f"{ours if ours == theirs else f'{ours} / {theirs}'}: {each.reference_values.title}"
    medians = (_median(each.reference_values), _median(each.other_values))
    if each.undefined is not None:
        return (start, *medians, UNDEFINED, UNDEFINED, *(UNDEFINED for _ in scores))
    cells = []
    for score in scores:
        found = each.scores[score.key]
        unit = each.reference_values.unit if score.has_unit and each.reference_values.unit != "share" else ""
        text = f"{found.value:.3g}" + (f" {unit}" if unit else "")
        if found.low is not None and found.high is not None:
            text += f" ({found.low:.2f} to {found.high:.2f})"
        cells.append(text)
    return (start, *medians, _p(each.p_holm), _p(each.p_fdr), *cells)


def _median(values: Values) -> str:
    counted = f"({values.values.size}/{values.n_total})"
    if not values.values.size:
        return f"{UNDEFINED} {counted}"
    return f"{float(np.median(values.values)):.3g}{' Hz' if values.unit == 'Hz' else ''} {counted}"


def _p(value: float | None) -> str:
    if value is None:
        return UNDEFINED
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _bounds(published: PublishedRange) -> str:
    unit = CARD_STATISTICS[published.statistic].unit
    suffix = " Hz" if unit == "Hz" else ""
    if published.low is None:
        return f"at most {published.high:g}{suffix}"
    if published.high is None:
        return f"at least {published.low:g}{suffix}"
    return f"{published.low:g} to {published.high:g}{suffix}"


def _verdict(judgement: Judgement) -> str:
    value = judgement.found.value
    return str(judgement.place) if value is None else f"{value:.3g} {judgement.place}"
