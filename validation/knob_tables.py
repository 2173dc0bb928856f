"""The numbers of a knob as tables: accuracy first, then every statistic with what it rests on."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from spikebridge.bridge import perturb
from spikebridge.bridge.knobs import REVERSED, Knob
from spikebridge.validation.accuracy import Estimate
from spikebridge.validation.activity_tables import titled, value_text
from spikebridge.validation.formatting import UNDEFINED, Table, number, percent, share, whole
from spikebridge.validation.knob_analysis import KnobAnalysis, Point, Spread
from spikebridge.validation.knob_measures import NETWORK_DEFINITIONS, knob_statistics
from spikebridge.validation.observations import Definition

GROUP_TITLES = {"seen": "seen speakers", "unseen": "unseen speakers", "held_out": "held-out speakers"}
REALISED_TITLES = {
    perturb.SIGN_CHANGED: "weights of other sign",
    perturb.CLIPPED: "delays clipped at 0",
    perturb.MEAN_DELAY_CHANGE_MS: "mean change of delays (ms)",
    perturb.REMOVED: "synapses removed",
    perturb.PULSE_FACTOR: "factor of pulses",
    perturb.REFRACTORY_MS: "whole steps of it (ms)",
}
SHARES = (perturb.SIGN_CHANGED, perturb.CLIPPED, perturb.REMOVED)


def accuracy_table(analysis: KnobAnalysis, knob: Knob) -> Table:
    """An amount per row: accuracy, its spread and interval, decisions changed, rates, and what the change came to."""
    points = analysis.points(knob)
    groups = [group for group in GROUP_TITLES if group in analysis.undisturbed.correct]
    realised = list(dict.fromkeys(name for point in points for draw in point.draws for name in draw.realised))
    rows = [
        (
            _amount(point),
            share(point.interval),
            _percent_deviation(point.accuracy),
            "–" if point.undisturbed else _loss(analysis.loss(point)),
            "–" if point.undisturbed else percent(point.changed.mean),
            *(percent(point.accuracy_of(group).mean) for group in groups),
            *(_rate(point, name) for name in analysis.populations),
            *(_realised(name, point.realised(name)) for name in realised),
        )
        for point in points
    ]
    columns = (
        knob.axis,
        "accuracy (95% interval)",
        "SD over draws",
        "points lost (95% interval)",
        "decisions changed",
        *(GROUP_TITLES[group] for group in groups),
        *(f"{name} (Hz)" for name in analysis.populations),
        *(REALISED_TITLES[name] for name in realised),
    )
    draws = max(len(point.draws) for point in points)
    caption = (
        f"Mean of {draws} {'draws' if draws > 1 else 'simulation'} of {whole(analysis.origin.n_samples)} samples; "
        "accuracy in percent. Intervals are over samples, whatever the number of draws; that of the points lost is of "
        "the difference on the same samples"
    )
    return Table(caption, columns, tuple(rows))


def statistics_tables(analysis: KnobAnalysis, knob: Knob) -> tuple[Table, ...]:
    """Every statistic, a column per amount: values, how many values they rest on, and why others are undefined."""
    points = analysis.points(knob)
    heads = tuple(_amount(point) for point in points)
    values, reasons = [], []
    for title, name, definition in _rows(analysis):
        values.append((title, *(_cell(definition, point, name) for point in points)))
        seen = [[draw.summary(name, definition.key).undefined for draw in point.draws] for point in points]
        for reason in dict.fromkeys(reason for draws in seen for undefined in draws for reason in undefined):
            counts = (fmean(undefined.get(reason, 0) for undefined in draws) for draws in seen)
            reasons.append((title, reason, *(f"{count:,.4g}" for count in counts)))
    caption = (
        f"Every statistic against: {knob.axis}. Mean ± standard deviation over draws; in brackets how many values "
        "(neurons, trains, ...) it rests on, mean over draws"
    )
    tables = [Table(caption, ("statistic", *heads), tuple(values))]
    if reasons:
        tables.append(
            Table("Undefined: why, and how many, mean over draws", ("statistic", "reason", *heads), tuple(reasons))
        )
    return tuple(tables)


def summary_table(analysis: KnobAnalysis) -> Table:
    """Every knob at its last amounts, and where accuracy has fallen."""
    rows = []
    for knob in analysis.knobs:
        drops = analysis.drops(knob)
        at = "; ".join(
            knob.amount_text(drop.amount)
            if drop.amount is not None
            else f"not {'up' if drop.rising else 'down'} to {knob.amount_text(drop.last)}"
            for drop in drops
        )
        losses = [(analysis.loss(point), point) for point in analysis.points(knob) if not point.undisturbed]
        known = [(loss, point) for loss, point in losses if loss is not None]
        if known:
            worst, where = max(known, key=lambda entry: entry[0].value)
            last = f"{_loss(worst)} at {knob.amount_text(where.amount)}"
            last = _loss(worst) if knob.key == REVERSED else last
        else:
            last = UNDEFINED
        rows.append((knob.title, knob.axis, at or "–", last))
    columns = ("knob", "amount", f"{analysis.drop_points:g} points lost at", "most points lost (95% interval)")
    return Table("Where accuracy falls, each knob alone; amounts are interpolated", columns, tuple(rows))


def _rows(analysis: KnobAnalysis) -> Sequence[tuple[str, str | None, Definition]]:
    network = [(titled(each), None, each) for each in NETWORK_DEFINITIONS]
    return [
        *((f"{name}: {titled(each)}", name, each) for name in analysis.populations for each in knob_statistics()),
        *network,
    ]


def _cell(definition: Definition, point: Point, name: str | None) -> str:
    spread = point.statistic(name, definition.key)
    if spread.mean is None:
        return UNDEFINED
    deviation = "" if spread.deviation is None else f" ± {value_text(definition, spread.deviation)}"
    rests = fmean(draw.summary(name, definition.key).n_defined for draw in point.draws)
    missing = spread.draws - len(spread.values)
    return f"{value_text(definition, spread.mean)}{deviation} ({rests:,.0f})" + (
        f", undefined in {missing} of {spread.draws} draws" if missing else ""
    )


def _amount(point: Point) -> str:
    return f"{point.amount:g} (undisturbed)" if point.undisturbed else f"{point.amount:g}"


def _loss(loss: Estimate | None) -> str:
    return UNDEFINED if loss is None else f"{loss.value:.1f} ({loss.low:.1f} to {loss.high:.1f})"


def _rate(point: Point, name: str) -> str:
    return number(point.statistic(name, "rate_hz").mean)


def _percent_deviation(spread: Spread) -> str:
    return "–" if spread.deviation is None else percent(spread.deviation)


def _realised(name: str, spread: Spread) -> str:
    if spread.mean is None:
        return "–"
    return percent(spread.mean) if name in SHARES else number(spread.mean)
