"""Power spectra of the population rates, relative to independent Poisson neurons."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.figure import Figure

from spikebridge.validation.formatting import Table, number, whole
from spikebridge.validation.picture import (
    QUIET,
    Picture,
    data_uri,
    legend_above,
    new_figure,
    report_style,
    tidy,
)
from spikebridge.validation.plot_distributions import STYLES
from spikebridge.validation.stats_spectrum import SPECTRUM, PowerSpectrum

type Spectra = Mapping[str, Mapping[str, PowerSpectrum | str]]
"""By label of the executor and population."""


def spectrum_picture(shown: Mapping[str, str], spectra: Spectra) -> Picture:
    """Spectra of at most three executors (title by label), the reference first; the table lists all."""
    table = _peaks_table(spectra)
    return Picture(
        key="spectrum",
        title="Rhythms of the population rate",
        caption=(
            "Power density of the rate of each population, averaged over samples, by that of independent Poisson "
            "neurons with the same mean rate, which is 1. Both axes are logarithmic."
        ),
        alternative="Power spectra. "
        + " ".join(f"{row[0]}, {row[1]}: highest at {row[2]} Hz, {row[3]} times Poisson." for row in table.rows),
        image=data_uri(draw_spectra(shown, spectra)),
        tables=(table,),
        notes=((SPECTRUM.title, f"{SPECTRUM.definition} {SPECTRUM.source}"),),
    )


@report_style()
def draw_spectra(shown: Mapping[str, str], spectra: Spectra) -> Figure:
    """The figure of `spectrum_picture`: a panel per population."""
    populations = list(spectra[next(iter(shown))])
    columns = min(2, max(1, len(populations)))
    rows = -(-max(1, len(populations)) // columns)
    figure = new_figure(0.5 + 2.7 * rows)
    panels = figure.subplots(rows, columns, squeeze=False, sharey=True)
    for axes in panels.flat[len(populations) :]:
        axes.set_axis_off()
    for axes, name in zip(panels.flat, populations, strict=False):
        drawn = False
        for (label, title), style in zip(shown.items(), STYLES, strict=False):
            spectrum = spectra[label][name]
            if isinstance(spectrum, PowerSpectrum):
                axes.loglog(spectrum.frequency_hz, spectrum.relative, label=title, **style)
                drawn = True
        if drawn:
            axes.axhline(1.0, color=QUIET, lw=0.9, zorder=0, label="Poisson")
        else:
            axes.text(0.5, 0.5, "undefined", ha="center", va="center", color=QUIET, transform=axes.transAxes)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.set_xlabel("frequency (Hz)")
        axes.set_title(name, loc="left")
        tidy(axes)
    for row in panels:
        row[0].set_ylabel("power by Poisson")
    if populations:
        legend_above(figure, panels[0][0])
    return figure


def _peaks_table(spectra: Spectra) -> Table:
    rows = []
    for name in next(iter(spectra.values())):
        for label, populations in spectra.items():
            spectrum = populations[name]
            if isinstance(spectrum, str):
                rows.append((name, label, "undefined", "undefined", "–", "–", spectrum))
                continue
            peak_hz, peak = spectrum.peak
            last = number(float(spectrum.relative[-1]))
            rows.append((name, label, f"{peak_hz:g}", number(peak), last, whole(spectrum.n_samples), ""))
    columns = ("population", "run", "highest at (Hz)", "by Poisson", "at the highest frequency", "samples", "why not")
    return Table("Where the power is highest, and at the end of the axis", columns, tuple(rows))
