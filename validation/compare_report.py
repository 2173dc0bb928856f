"""`compare.html` and `compare.json`: several runs and recordings side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from spikebridge.bridge.errors import SpecError
from spikebridge.validation.compare_activity import Activity, Comparison, compare_activities, not_comparable
from spikebridge.validation.compare_numbers import compare_numbers
from spikebridge.validation.compare_runs import Run
from spikebridge.validation.compare_scores import standard_scores
from spikebridge.validation.compare_sections import (
    activity_section,
    comparison_section,
    notes_section,
    plausibility_section,
    runs_section,
)
from spikebridge.validation.formatting import counted
from spikebridge.validation.page import Report, write_page
from spikebridge.validation.plausibility import Judgement, Place, PublishedRange, load_ranges, plausibility_card
from spikebridge.validation.verdict import Status, Verdict


def build_comparison(
    runs: Sequence[Run],
    activities: Sequence[Activity],
    *,
    ranges: Sequence[PublishedRange] | None = None,
    seed: int = 0,
) -> Report:
    """Put runs side by side and compare activities with the first of them.

    Args:
        runs: reports of runs.
        activities: spikes, each with a unique name; may be none.
        ranges: of the plausibility card; those of the package by default.
        seed: of the bootstrap.

    Raises:
        SpecError: nothing to show, or two of one name.
    """
    if not runs and not activities:
        raise SpecError("there is nothing to compare: give runs or recordings")
    names = [run.name for run in runs]
    if len(set(names)) < len(names):
        raise SpecError(f"two runs have the same name: {', '.join(names)}; give them different ones")
    published = load_ranges() if ranges is None else ranges
    scores = standard_scores()
    comparisons = compare_activities(activities, scores=scores, seed=seed)
    card = plausibility_card(activities, published)
    notes = (*_run_notes(runs), *not_comparable(activities))
    sections = [
        *([runs_section(runs)] if runs else []),
        *([activity_section(activities)] if activities else []),
        *([comparison_section(comparisons, scores)] if comparisons else []),
        *([plausibility_section(card, published)] if card else []),
        *([notes_section(notes)] if notes else []),
    ]
    return Report(
        title=", ".join(dict.fromkeys([*names, *(each.name for each in activities)])),
        verdict=_verdict(runs, activities, comparisons, card, notes),
        cards=(),
        sections=tuple(sections),
        numbers=compare_numbers(runs, activities, comparisons, card, published, scores, notes, seed),
    )


def write_comparison(report: Report, directory: Path) -> tuple[Path, Path]:
    """Write `compare.html` and `compare.json` into a directory, each whole or not at all.

    Returns:
        Both paths, HTML first.

    Raises:
        DataError: there is no space for them.
    """
    return write_page(report, directory, "compare")


def _run_notes(runs: Sequence[Run]) -> list[tuple[str, str]]:
    notes = []
    for run in runs[1:]:
        pair = f"{runs[0].name} and {run.name}"
        if run.source_sha256 != runs[0].source_sha256:
            notes.append((pair, "Different test samples: accuracies are not of the same task."))
        missing = [key for key in runs[0].quantities if key not in run.quantities]
        added = [key for key in run.quantities if key not in runs[0].quantities]
        for name, keys in ((runs[0].name, missing), (run.name, added)):
            if keys:
                notes.append((pair, f"Only in {name}: {', '.join(keys)}."))
    return notes


def _verdict(
    runs: Sequence[Run],
    activities: Sequence[Activity],
    comparisons: Sequence[Comparison],
    card: Sequence[Judgement],
    notes: Sequence[tuple[str, str]],
) -> Verdict:
    inputs = [counted(len(runs), "run")] if runs else []
    inputs += [counted(len(activities), "recording")] if activities else []
    sentences = []
    for run in runs:
        accuracy = run.quantities.get("accuracy.training.all")
        grid = run.parity["grid"]
        known = "unknown" if accuracy is None or accuracy.value is None else f"{accuracy.value:.1%}"
        sentences.append(f"{run.name}: accuracy in training {known}; every spike on the training's grid: {grid}.")
    others = dict.fromkeys(each.other for each in comparisons)
    sentences += [_difference_sentence([each for each in comparisons if each.other == other]) for other in others]
    defined = [each for each in card if each.place is not Place.UNDEFINED]
    if defined:
        inside = sum(each.place is Place.INSIDE for each in defined)
        sentences.append(f"{inside} of {len(defined)} values lie inside published ranges, which proves nothing.")
    if notes:
        sentences.append(f"{counted(len(notes), 'note')} on what is not comparable: at the end of the page.")
    return Verdict(Status.UNCHECKED, f"{' and '.join(inputs)} compared.", tuple(sentences))


def _difference_sentence(found: Sequence[Comparison]) -> str:
    tested = [each for each in found if each.undefined is None]
    differing = [f"{each.reference_values.title} of {each.reference_population}" for each in tested if each.differs]
    text = f"{found[0].other} against {found[0].reference}: after correction {len(differing)} of "
    text += f"{counted(len(tested), 'statistic')} {'differs' if len(differing) == 1 else 'differ'}"
    return f"{text} ({', '.join(differing)})." if differing else f"{text}."
