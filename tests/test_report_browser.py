"""The report in a browser: offline, without errors, nothing cut off on a desk or a phone."""

from pathlib import Path

import numpy as np
import pytest
from browser import photograph, render_page
from reports import full_report

from spikebridge.validation.page import Report
from spikebridge.validation.report import write_report

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> tuple[Report, Path]:
    made, _ = full_report()
    return made, write_report(made, tmp_path_factory.mktemp("report"))[0]


@pytest.mark.parametrize("width", [1200, 400])
def test_a_browser_shows_all_of_it(report: tuple[Report, Path], width: int) -> None:
    made, page = report
    shown = render_page(page, width)
    assert shown.console == []
    assert shown.requests == []
    assert shown.headings[0] == made.verdict.headline
    assert [title for title in shown.headings if title in {section.title for section in made.sections}] == [
        section.title for section in made.sections
    ]
    pictures = [picture.title for section in made.sections for picture in section.pictures]
    assert set(pictures) <= set(shown.headings)
    assert (shown.images, shown.broken_images) == (len(pictures), 0)
    assert shown.client_width == width
    assert shown.scroll_width == width  # wide tables scroll by themselves, the page does not


def test_the_picture_is_not_blank(report: tuple[Report, Path], tmp_path: Path) -> None:
    pixels = photograph(report[1], 1200, 1600, tmp_path / "page.png")
    assert pixels.shape == (1600, 1200, 3)
    # Text and tables everywhere: no stripe of 200 rows is of one colour.
    stripes = pixels.reshape(8, 200, 1200, 3)
    assert all(np.unique(stripe.reshape(-1, 3), axis=0).shape[0] > 10 for stripe in stripes)


def test_what_is_wrong_with_a_page_is_seen(tmp_path: Path) -> None:
    """The checks above can fail."""
    page = tmp_path / "bad.html"
    page.write_text(
        "<!DOCTYPE html><h1>shown</h1><h2 style='display:none'>hidden</h2><p style='width:900px'>wide</p>"
        "<img src='http://example.invalid/a.png'><script>console.error('it says so')</script>"
    )
    shown = render_page(page, 400)
    assert shown.headings == ["shown"]
    assert shown.scroll_width > shown.client_width == 400
    assert (shown.images, shown.broken_images) == (1, 1)
    assert shown.requests == ["http://example.invalid/a.png"]
    assert any("it says so" in line for line in shown.console)
