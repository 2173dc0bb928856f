"""`knobs.html`, `knobs.json` and one picture per knob: how accuracy and activity depend on one change at a time."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from spikebridge.bridge.knobs import REVERSED, Knob
from spikebridge.bridge.storage import atomic_path
from spikebridge.validation.formatting import Table, number, percent, share, whole
from spikebridge.validation.knob_analysis import Drop, KnobAnalysis
from spikebridge.validation.knob_numbers import definitions, knob_numbers
from spikebridge.validation.knob_tables import accuracy_table, statistics_tables, summary_table
from spikebridge.validation.page import Report, render_html
from spikebridge.validation.picture import Picture, render, svg_uri
from spikebridge.validation.plot_knobs import PANELS, draw_knob
from spikebridge.validation.section import Section
from spikebridge.validation.verdict import Status, Verdict

INTRODUCTION = (
    "The network as it was trained, in Brian2, with one thing changed at a time and everything else left alone; "
    "nothing is trained again. Every condition runs on the same samples. A random change is drawn several times with "
    "seeds of its own. Losses are differences on the same samples, mean over draws; their 95% intervals are over "
    "samples, and where one holds 0 nothing may have been lost. The amount at which so many points are lost is "
    "interpolated, and no more certain than the losses on either side of it."
)

ACCURACY = (
    "Accuracy",
    "Share of samples for which the class with the highest score is the true one, mean over draws. Its interval is "
    "that of Wilson 1927, J. Am. Stat. Assoc. 22:209, at the mean over draws for the number of samples. That of the "
    "points lost is of paired samples: Agresti & Min 2005, Stat. Med. 24:729, with differences averaged over draws.",
)


def knob_pictures(analysis: KnobAnalysis) -> dict[str, bytes]:
    """One SVG file per knob, by its key."""
    return {knob.key: render(draw_knob(analysis, knob)) for knob in analysis.knobs}


def knobs_sections(analysis: KnobAnalysis, pictures: Mapping[str, bytes] | None = None) -> tuple[Section, ...]:
    """The chapters: a summary, one per knob, and how it was done. They fit into any report.

    Args:
        analysis: what was found; `load_knobs` reads it from `knobs.json`.
        pictures: of `knob_pictures`, where they are drawn already.
    """
    drawn = knob_pictures(analysis) if pictures is None else pictures
    summary = Section(
        key="knobs",
        title="How much change does the network withstand?",
        introduction=INTRODUCTION,
        tables=(summary_table(analysis),),
    )
    return (summary, *(_section(analysis, knob, drawn[knob.key]) for knob in analysis.knobs), _settings(analysis))


def build_knob_report(analysis: KnobAnalysis, pictures: Mapping[str, bytes] | None = None) -> Report:
    """Put an analysis into words, tables and pictures."""
    headline, *sentences = _all_sentences(analysis)
    origin, before = analysis.origin, analysis.undisturbed.accuracy
    cards = [
        (percent(None if before is None else before.value), f"accuracy undisturbed, {origin.n_samples} samples"),
        (percent(origin.chance), "chance"),
        (whole(1 + len(analysis.results)), "simulations of all samples"),
    ]
    rates = {name: analysis.undisturbed.summary(name, "rate_hz").value for name in analysis.populations}
    cards += [(f"{number(rate)} Hz", f"mean rate, {name}") for name, rate in rates.items()]
    return Report(
        title=f"Realism knobs: {origin.source}, {origin.executor} at {origin.step_ms:g} ms",
        verdict=Verdict(Status.UNCHECKED, headline, tuple(sentences)),
        cards=tuple(cards),
        sections=knobs_sections(analysis, pictures),
        numbers=knob_numbers(analysis),
    )


def write_knob_report(analysis: KnobAnalysis, directory: Path) -> tuple[Report, tuple[Path, ...]]:
    """Write `knob_NAME.svg` for every knob, `knobs.html` and, last, `knobs.json`, each whole or not at all.

    Returns:
        The report, and the paths of HTML, JSON and pictures.
    """
    directory = Path(directory)
    pictures = knob_pictures(analysis)
    report = build_knob_report(analysis, pictures)
    files = {directory / f"knob_{key}.svg": svg for key, svg in pictures.items()}
    html, numbers = directory / "knobs.html", directory / "knobs.json"
    files[html] = render_html(report).encode()
    files[numbers] = (json.dumps(report.numbers, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()
    for path, content in files.items():
        with atomic_path(path) as temporary:
            temporary.write_bytes(content)
    return report, (html, numbers, *(path for path in files if path not in (html, numbers)))


def knob_findings(analysis: KnobAnalysis) -> tuple[str, ...]:
    """Where `drop_points` are lost, where they are not, and what inputs backwards leave: a sentence each."""
    turned = [knob for knob in analysis.knobs if knob.key != REVERSED]
    points = counted_points(analysis.drop_points)
    lost = [text for knob in turned if (text := _lost_at(analysis, knob))]
    kept = [text for knob in turned if (text := _kept_within(analysis, knob))]
    found = []
    if lost:
        found.append(f"{points} of accuracy are lost at: {', '.join(lost)}.")
    if kept:
        found.append(f"{'Less is' if lost else f'Fewer than {points} of accuracy are'} lost by {', '.join(kept)}.")
    found += [knob_sentence(analysis, knob) for knob in analysis.knobs if knob.key == REVERSED]
    return tuple(found) or ("Accuracy is undefined.",)


def _lost_at(analysis: KnobAnalysis, knob: Knob) -> str:
    """Noun and amounts, empty where there is none."""
    amounts = [drop.amount for drop in analysis.drops(knob) if drop.amount is not None]
    return f"{knob.noun} {_amounts(knob, amounts, ' and ')}" if amounts else ""


def _kept_within(analysis: KnobAnalysis, knob: Knob) -> str:
    """Noun and the range within which it is not lost, empty where it is."""
    kept = [drop for drop in analysis.drops(knob) if drop.amount is None]
    if not kept:
        return ""
    if len(kept) == 2:
        return f"{knob.noun} from {_amounts(knob, sorted(drop.last for drop in kept), ' to ')}"
    (drop,) = kept
    return f"{knob.noun} {'up' if drop.rising else 'down'} to {knob.amount_text(drop.last)}"


def _amounts(knob: Knob, amounts: Sequence[float], word: str) -> str:
    """`0.7 and 1.6 times`: a unit that is a word comes once."""
    *others, last = (knob.amount_text(amount) for amount in amounts)
    return word.join([*(other.removesuffix(f" {knob.unit}") for other in others), last])


def knob_sentence(analysis: KnobAnalysis, knob: Knob) -> str:
    """Where accuracy falls by `drop_points`, in a sentence."""
    if knob.key == REVERSED:
        (point,) = (point for point in analysis.points(knob) if not point.undisturbed)
        loss = analysis.loss(point)
        before = analysis.undisturbed.accuracy
        if loss is None or before is None:
            return f"{knob.title}: accuracy is undefined."
        change = f"{number(abs(loss.value), 1)} points {'less' if loss.value >= 0 else 'more'}"
        return f"{knob.title}: accuracy {percent(point.accuracy.mean)} against {percent(before.value)}, {change}."
    parts = [_drop_text(analysis, knob, drop) for drop in analysis.drops(knob)]
    return f"{knob.title} ({knob.axis}): {'; '.join(parts) or 'accuracy is undefined'}."


def _drop_text(analysis: KnobAnalysis, knob: Knob, drop: Drop) -> str:
    points = counted_points(analysis.drop_points)
    neutral = analysis.neutral[knob.key]
    both = neutral is not None and len(analysis.drops(knob)) > 1
    where = ""
    if neutral is not None and both:
        # A factor below 1 needs no unit.
        own = f"{neutral:g}" if knob.unit == "times" else knob.amount_text(neutral)
        where = f"{'above' if drop.rising else 'below'} {own}: "
    if drop.amount is not None:
        return f"{where}{points} lost at {knob.amount_text(drop.amount)}"
    last = next(point for point in analysis.points(knob) if point.amount == drop.last)
    loss = analysis.loss(last)
    change = "" if loss is None else f", where {abs(loss.value):.1f} are {'lost' if loss.value >= 0 else 'gained'}"
    return f"{where}{points} are not lost within the range (to {knob.amount_text(drop.last)}{change})"


def counted_points(points: float) -> str:
    """`5 points`, `1 point`."""
    return f"{points:g} point{'' if points == 1 else 's'}"


def _all_sentences(analysis: KnobAnalysis) -> tuple[str, ...]:
    """The headline and a sentence per knob."""
    return (knob_findings(analysis)[0], *(knob_sentence(analysis, knob) for knob in analysis.knobs))


def _section(analysis: KnobAnalysis, knob: Knob, svg: bytes) -> Section:
    points = analysis.points(knob)
    shown = [each for each in definitions() if each.key in {panel.key for panel in PANELS}]
    picture = Picture(
        key=f"knob-{knob.key}",
        title=f"Accuracy and activity against: {knob.axis}",
        caption=(
            "Accuracy: error bars are 95% intervals of the mean over samples, dashes single draws, the broken blue "
            "line the network as it is. Other panels: error bars are standard deviations over draws, dotted lines the "
            "network as it is. Where a statistic is undefined there is no marker."
        ),
        alternative=f"{knob.axis}: "
        + " ".join(f"{point.amount:g}: accuracy {share(point.interval)}." for point in points),
        image=svg_uri(svg),
        tables=statistics_tables(analysis, knob),
        notes=(ACCURACY, *((each.title, f"{each.definition} {each.source}") for each in shown)),
    )
    return Section(
        key=f"knob-{knob.key}-chapter",
        title=knob.title,
        introduction=f"{knob.definition} {knob_sentence(analysis, knob)}",
        tables=(accuracy_table(analysis, knob),),
        pictures=(picture,),
    )


def _settings(analysis: KnobAnalysis) -> Section:
    origin = analysis.origin
    rows = [(key.replace("_", " "), str(value)) for key, value in asdict(origin).items()]
    rows += [(key, value) for key, value in analysis.provenance.items()]
    chosen = (
        "all samples"
        if origin.n_samples == origin.n_available
        else (
            f"{whole(origin.n_samples)} of {whole(origin.n_available)} samples, equally many of every class, drawn "
            "with the seed"
        )
    )
    return Section(
        key="knobs-settings",
        title="How the knobs were turned",
        introduction=(
            f"Simulated were {chosen}. Every condition has a seed of its own, made from that of the analysis and its "
            "name, so that it does not depend on which other conditions there are. The controls of synchrony that the "
            "report of a run shows are left out here."
        ),
        tables=(Table("Samples, seed, versions and options", ("name", "value"), tuple(rows)),),
    )
