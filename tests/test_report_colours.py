"""What is drawn together can be told apart without colour vision, and text can be read."""

from __future__ import annotations

import re
from itertools import combinations
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import Collection
from matplotlib.colors import to_rgb, to_rgba
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.text import Text
from reports import full_report

from spikebridge.validation.page import TEMPLATES

pytestmark = pytest.mark.slow

# Without colour, lightness is left. Two colours of a panel that differ in nothing else must be this far apart in CIE L*
# (0 black, 100 white), to full colour vision and simulated without one kind of cone. A just noticeable difference is
# about 1; thin lines and small markers need far more.
LEAST_LIGHTNESS = 15.0
# Linear RGB as seen without the cones named: Machado, Oliveira & Fernandes 2009 (IEEE T. Vis. Comput. Gr. 15:1291).
VISIONS = {
    "all cones": np.eye(3),
    "no long-wave cones": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "no middle-wave cones": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
}
LEAST_CONTRAST = 4.5
"""Of text against its ground, by the Web Content Accessibility Guidelines 2.1, level AA."""


def linear(colour: Any) -> np.ndarray:
    """sRGB as linear RGB; what is transparent is over white."""
    *rgb, alpha = to_rgba(colour)
    value = alpha * np.array(rgb) + (1.0 - alpha)
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def luminance(colour: Any, vision: Any = VISIONS["all cones"]) -> float:
    return float(np.clip(np.asarray(vision) @ linear(colour), 0.0, 1.0) @ [0.2126, 0.7152, 0.0722])


def lightness(colour: Any, vision: Any) -> float:
    """CIE L*."""
    y = luminance(colour, vision)
    return float(116.0 * np.cbrt(y) - 16.0 if y > 216 / 24389 else y * 24389 / 27)


def contrast(one: Any, other: Any) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def looks(axes: Axes) -> set[tuple[Any, tuple[Any, ...]]]:
    """(colour, everything else that tells it apart) of what is drawn in a panel.

    But for cells with a number inside, and for error bars, each of which goes through a marker.
    """
    found: set[tuple[Any, tuple[Any, ...]]] = set()
    labels = axes.transData.transform([text.get_position() for text in axes.texts] or np.empty((0, 2)))
    errors = [container for container in axes.containers if isinstance(container, ErrorbarContainer)]
    bars = {id(part) for _, caps, bars in errors for part in (*caps, *bars)}
    for artist in axes.get_children():
        if id(artist) in bars:
            continue
        if isinstance(artist, Text) or artist in axes.spines.values() or artist is axes.patch:
            continue
        if isinstance(artist, Patch) and any(artist.contains_point((x, y)) for x, y in labels):
            continue
        alpha = artist.get_alpha()
        if isinstance(artist, Line2D) and len(np.atleast_1d(artist.get_xdata())):
            dashes = str(artist.get_linestyle()) + str(getattr(artist, "_unscaled_dash_pattern", ""))
            line = (dashes, round(artist.get_linewidth()) if artist.get_linestyle() != "None" else 0)
            hollow = artist.get_markerfacecolor() == "none"
            marker = (artist.get_marker(), hollow, round(artist.get_markersize()))
            colour = artist.get_markeredgecolor() if artist.get_linestyle() == "None" else artist.get_color()
            found.add((to_rgba(colour, alpha), ("line", line, marker)))
        elif isinstance(artist, Patch):
            filled = bool(artist.get_fill()) and to_rgba(artist.get_facecolor())[3] > 0
            colour = artist.get_facecolor() if filled else artist.get_edgecolor()
            found.add((to_rgba(colour), ("patch", filled, artist.get_hatch())))
        elif isinstance(artist, Collection):
            for colour in [*np.atleast_2d(artist.get_edgecolor()), *np.atleast_2d(artist.get_facecolor())]:
                if len(colour):
                    found.add((tuple(colour), (type(artist).__name__,)))
    return found


def alike(axes: Axes) -> list[str]:
    """Pairs of colours in a panel that only colour vision tells apart."""
    found = []
    for (one, first), (other, second) in combinations(looks(axes), 2):
        if first == second and one != other:
            apart = [abs(lightness(one, v) - lightness(other, v)) for v in VISIONS.values()]
            if min(apart) < LEAST_LIGHTNESS:
                found.append(f"{first}: {to_rgb(one)} and {to_rgb(other)}, {min(apart):.1f}")
    return found


@pytest.fixture(scope="module")
def figures() -> list[Figure]:
    """Every figure of a full report."""
    report, drawn = full_report()
    assert len(drawn) == sum(len(section.pictures) for section in report.sections)
    return drawn


def test_what_is_drawn_together_differs_in_more_than_colour(figures: list[Figure]) -> None:
    assert len(figures) > 12
    assert sum(len(looks(axes)) for figure in figures for axes in figure.axes) > 100
    assert [pair for figure in figures for axes in figure.axes for pair in alike(axes)] == []


def test_the_criterion_sees_what_is_alike() -> None:
    """Red and green of equal lightness, unless the line style differs too."""
    axes = Figure().subplots()
    axes.plot([0, 1], color="#d62728")
    axes.plot([1, 0], color="#2ca02c")
    assert len(alike(axes)) == 1
    axes.lines[0].set_linestyle("--")
    assert alike(axes) == []


def test_text_in_figures_can_be_read(figures: list[Figure]) -> None:
    faint = {
        (text.get_text(), text.get_color())
        for figure in figures
        for text in cast(list[Text], figure.findobj(Text))
        if text.get_text().strip()
        and text.get_visible()
        and text.get_color() != "white"  # numbers on dark cells of a matrix
        and contrast(text.get_color(), "white") < LEAST_CONTRAST
    }
    assert faint == set()


def test_text_of_the_page_can_be_read() -> None:
    css = Path(TEMPLATES / "style.css").read_text()
    colours = dict(re.findall(r"--(\w+): (#\w+)", css))
    for text in ("ink", "quiet", "accent"):
        for ground in ("#ffffff", colours["wash"]):
            assert contrast(colours[text], ground) >= LEAST_CONTRAST, (text, ground)
