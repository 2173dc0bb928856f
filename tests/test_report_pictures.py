"""Every figure of a report has its numbers as a table, definitions with sources, and its content in words."""

import re

import pytest
from reports import full_report

from spikebridge.validation.chapter import CHAPTERS, Chapter

pytestmark = pytest.mark.slow

# Who published it, whose code it is, or that it is of this project.
SOURCE = re.compile(
    r"\b(1[89]|20)\d\d\b|Elephant|[Dd]efinition of this project|docs/|form of trial shuffling|usual defin"
)


def test_every_figure_has_numbers_definitions_and_words() -> None:
    report, _ = full_report()
    pictures = [picture for section in report.sections for picture in section.pictures]
    assert len({picture.key for picture in pictures}) == len(pictures) > 12
    for picture in pictures:
        assert picture.alternative, picture.key
        assert picture.caption, picture.key
        assert any(table.rows for table in picture.tables), picture.key
        assert any(SOURCE.search(text) for _, text in picture.notes), picture.key


def test_anchors_are_unique_and_the_chapter_says_its_result_at_the_top() -> None:
    report, _ = full_report()
    keys = [section.key for section in report.sections]
    assert len(set(keys)) == len(keys)
    (sentence,) = (sentence for sentence in report.verdict.sentences if sentence.startswith("Spike patterns"))
    (patterns,) = (section for section in report.sections if section.key == "patterns")
    assert sentence.endswith(patterns.findings[0])
    assert report.numbers["patterns"]["by_chance"]["data_sets"] == 2


def test_a_chapter_has_a_documented_key() -> None:
    with pytest.raises(ValueError, match="is none of"):
        Chapter("patern", "", (), (), {})
    assert "patterns" in CHAPTERS
