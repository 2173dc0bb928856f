"""Effect sizes of all comparisons, as points with intervals."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from spikebridge.validation.compare_activity import Comparison
from spikebridge.validation.formatting import Table
from spikebridge.validation.picture import (
    QUIET,
    REFERENCE_COLOUR,
    SIMULATION_COLOUR,
    Picture,
    data_uri,
    legend_above,
    new_figure,
    report_style,
    tidy,
)

EFFECT = "cliffs_delta"


def effects_picture(comparisons: Sequence[Comparison]) -> Picture | None:
    """Cliff's delta of every comparison that has one; None if there is none."""
    shown = [each for each in comparisons if EFFECT in each.scores]
    if not shown:
        return None
    rows = tuple((*_place(each), _interval(each), "yes" if each.differs else "no") for each in shown)
    return Picture(
        key="effects",
        title="How much larger or smaller",
        caption=(
            "Cliff's delta with its 95 % bootstrap interval: 0 where neither tends to be larger, 1 (-1) where every "
            "value of the other is larger (smaller) than every one of the reference. Filled squares differ after "
            "Holm's correction, open circles do not."
        ),
        alternative=" ".join(
            f"{other}, {population}, {statistic}: {interval}." for other, population, statistic, interval, _ in rows
        ),
        image=data_uri(draw_effects(shown)),
        tables=(
            Table("Cliff's delta (95 % interval)", ("activity", "population", "statistic", "delta", "differs"), rows),
        ),
        notes=(
            (
                "Cliff's delta",
                "P(a value of the other is larger than one of the reference) - P(it is smaller): Cliff 1993 (Psychol. "
                "Bull. 114:494).",
            ),
            ("Differs", "The p-value of the comparison, after the correction of Holm 1979 (Scand. J. Stat. 6:65)."),
        ),
    )


@report_style()
def draw_effects(shown: Sequence[Comparison]) -> Figure:
    """The figure of `effects_picture`: a panel per activity, a row per population and statistic."""
    others = list(dict.fromkeys(each.other for each in shown))
    longest = max(sum(each.other == other for each in shown) for other in others)
    columns = min(3, len(others))
    lines = -(-len(others) // columns)
    figure = new_figure(0.9 + lines * (0.7 + 0.24 * longest))
    panels = figure.subplots(lines, columns, squeeze=False).ravel()
    for axes in panels[len(others) :]:
        axes.set_visible(False)
    for axes, other in zip(panels, others, strict=False):
        mine = [each for each in shown if each.other == other]
        axes.axvline(0.0, color=QUIET, lw=0.8, zorder=0)
        for differs, marker, colour, face, label in (
            (True, "s", SIMULATION_COLOUR, SIMULATION_COLOUR, "differs after correction"),
            (False, "o", REFERENCE_COLOUR, "white", "does not"),
        ):
            rows = [row for row, each in enumerate(mine) if each.differs is differs]
            found = [mine[row].scores[EFFECT] for row in rows]
            axes.hlines(rows, [f.low or 0.0 for f in found], [f.high or 0.0 for f in found], color=colour, lw=1.4)
            values = [f.value for f in found]
            axes.plot(values, rows, marker, color=colour, markerfacecolor=face, markersize=5, ls="", label=label)
        axes.set_yticks(range(len(mine)), [" ".join(_place(each)[1:]) for each in mine])
        axes.set_ylim(len(mine) - 0.5, -0.5)
        axes.set_xlim(-1.05, 1.05)
        axes.set_title(other, loc="left")
        axes.set_xlabel("Cliff's delta")
        tidy(axes)
    legend_above(figure, panels[0])
    return figure


def _place(each: Comparison) -> tuple[str, str, str]:
    ours, theirs = each.reference_population, each.other_population
    return each.other, ours if ours == theirs else f"{ours} / {theirs}", each.reference_values.title


def _interval(each: Comparison) -> str:
    found = each.scores[EFFECT]
    text = f"{found.value:+.2f}"
    return text if found.low is None or found.high is None else f"{text} ({found.low:+.2f} to {found.high:+.2f})"
