"""Rates of the neurons that fire on a logarithmic axis, with the fitted log-normal distribution."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter
from scipy.stats import norm

from spikebridge.validation.formatting import Table, number, whole
from spikebridge.validation.labelled import Labelled
from spikebridge.validation.picture import (
    INK,
    QUIET,
    REFERENCE_COLOUR,
    Picture,
    data_uri,
    legend_above,
    new_figure,
    report_style,
    tidy,
)
from spikebridge.validation.stats_rates import LOGNORMAL, LogNormalFit, rates_hz

N_BINS = 20

type Fits = Mapping[str, Mapping[str, LogNormalFit | str]]
"""By label of the executor and population."""


def rate_fit_picture(reference: Labelled, fits: Fits) -> Picture:
    """The reference's rates and their fit; the table lists the fits of all executors."""
    table = _fits_table(fits)
    return Picture(
        key="rate-fit",
        title="Are the rates log-normal?",
        caption=(
            f"Neurons of {reference.title} that fire, by their rate on a logarithmic axis, and the log-normal "
            "distribution with the same mean and deviation of the logarithm. A p below 0.05 speaks against it; a "
            "larger one proves nothing."
        ),
        alternative="Histograms of log rates. "
        + " ".join(f"{row[0]}: median {row[3]} Hz, sigma {row[4]}, p {row[6]}." for row in table.rows),
        image=data_uri(draw_rate_fit(reference, fits[reference.label])),
        tables=(table,),
        notes=((LOGNORMAL.title, f"{LOGNORMAL.definition} {LOGNORMAL.source}"),),
    )


@report_style()
def draw_rate_fit(reference: Labelled, fits: Mapping[str, LogNormalFit | str]) -> Figure:
    """The figure of `rate_fit_picture`: a panel per population."""
    populations = list(reference.recording.spikes)
    columns = min(3, max(1, len(populations)))
    rows = -(-max(1, len(populations)) // columns)
    figure = new_figure(0.5 + 2.6 * rows)
    panels = figure.subplots(rows, columns, squeeze=False)
    for axes in panels.flat[len(populations) :]:
        axes.set_axis_off()
    for axes, name in zip(panels.flat, populations, strict=False):
        rates = rates_hz(reference.recording.spikes[name]).values
        _draw(axes, rates[rates > 0], fits[name])
        axes.set_xlabel("firing rate (Hz)")
        axes.set_ylabel(f"{name}\nneurons")
        tidy(axes)
    if populations:
        legend_above(figure, panels[0][0])
    return figure


def _draw(axes: Axes, rates: np.ndarray, fit: LogNormalFit | str) -> None:
    if rates.size == 0:
        axes.text(0.5, 0.5, "no neuron fires", ha="center", va="center", color=QUIET, transform=axes.transAxes)
        return
    low, high = np.log(rates.min()) - 0.35, np.log(rates.max()) + 0.35
    edges = np.linspace(low, high, N_BINS + 1)
    axes.hist(rates, np.exp(edges).tolist(), color=REFERENCE_COLOUR, alpha=0.45, label="neurons")
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())
    if high - low < np.log(1000.0):
        decades = 10.0 ** np.arange(-6, 5)
        ticks = np.outer(decades, [1.0, 2.0, 5.0]).ravel()
        axes.set_xticks(ticks[(np.log(ticks) >= low) & (np.log(ticks) <= high)])
    if isinstance(fit, LogNormalFit):
        x = np.linspace(low, high, 200)
        expected = norm.pdf(x, fit.log_mean, fit.log_deviation) * rates.size * (edges[1] - edges[0])
        axes.plot(np.exp(x), expected, color=INK, lw=1.4, label="log-normal fit")
        axes.set_title(
            f"σ = {fit.log_deviation:.2f}, p = {fit.p_value:.2g}", loc="right", fontsize=8.5, color=QUIET, pad=3
        )
    else:
        axes.set_title(fit, loc="right", fontsize=8.5, color=QUIET, pad=3)


def _fits_table(fits: Fits) -> Table:
    rows = []
    for label, populations in fits.items():
        for name, fit in populations.items():
            if isinstance(fit, str):
                rows.append((name, label, "undefined", "–", "–", "–", "–", fit))
                continue
            cells = (
                number(fit.median_hz),
                number(fit.log_deviation),
                number(fit.anderson_darling),
                f"{fit.p_value:.3g}",
            )
            of = f"{whole(fit.n_active)} of {whole(fit.n_total)}"
            rows.append((name, label, of, *cells, ""))
    columns = ("population", "run", "neurons that fire", "median (Hz)", "sigma", "Anderson-Darling", "p", "why not")
    return Table("Log-normal fits; sigma is the deviation of the natural logarithm", columns, tuple(rows))
