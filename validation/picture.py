"""Pictures for a report: matplotlib without pyplot, so that nothing global is left behind."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spikebridge.validation.formatting import Table

# Okabe & Ito 2008 (jfly.uni-koeln.de/color), told apart with every common form of colour vision. No meaning rests on
# colour alone: markers, line styles and hatches differ as well.
REFERENCE_COLOUR = "#0072B2"
SIMULATION_COLOUR = "#D55E00"
COLOURS = (SIMULATION_COLOUR, "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
INK = "#1b1f24"
QUIET = "#66707a"
PALE = "#d3d8de"

WIDTH_INCHES = 9.4


@dataclass(frozen=True, slots=True)
class Picture:
    """A figure with what a reader needs beside it.

    Attributes:
        key: anchor in the report.
        title: what it shows.
        caption: how to read it.
        alternative: the same in words, for who cannot see it.
        image: SVG or PNG as a `data:` address.
        tables: the numbers behind it.
        notes: (term, definition) pairs of what it shows.
    """

    key: str
    title: str
    caption: str
    alternative: str
    image: str
    tables: tuple[Table, ...]
    notes: tuple[tuple[str, str], ...] = ()


@contextmanager
def report_style() -> Iterator[None]:
    """The report's style while a figure is drawn or rendered; `@report_style()` decorates a function that does."""
    with matplotlib.rc_context(
        {
            "font.size": 10.0,
            "axes.titlesize": 10.5,
            "axes.labelsize": 10.0,
            "xtick.labelsize": 9.0,
            "ytick.labelsize": 9.0,
            "legend.fontsize": 9.5,
            "svg.fonttype": "path",  # letters are drawn, so that the file looks the same on every machine
            "svg.hashsalt": "spikebridge",  # equal figures are equal files
        }
    ):
        yield


def new_figure(height_inches: float) -> Figure:
    """A figure of the report's width."""
    return Figure(figsize=(WIDTH_INCHES, height_inches), layout="constrained", facecolor="white")


def tidy(axes: Axes) -> None:
    """Take away what carries no information."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(length=3, color=QUIET)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(QUIET)


def legend_above(figure: Figure, axes: Axes, columns: int = 4) -> None:
    """One legend above all panels, from the labels of one of them."""
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="outside upper left", ncols=columns, frameon=False, handletextpad=0.5)


@report_style()
def render(figure: Figure, *, format: str = "svg", dpi: int = 144) -> bytes:
    """The figure as a file; `dpi` holds for PNG and for what is rasterised within SVG."""
    buffer = io.BytesIO()
    metadata = {"Date": None, "Creator": None} if format == "svg" else {"Software": None}
    figure.savefig(buffer, format=format, dpi=dpi, metadata=metadata)
    return buffer.getvalue()


def data_uri(figure: Figure) -> str:
    """The figure as an SVG `data:` address, to be embedded."""
    return svg_uri(render(figure))


def svg_uri(svg: bytes) -> str:
    """An SVG file as a `data:` address."""
    return "data:image/svg+xml;base64," + base64.b64encode(svg).decode("ascii")
