"""`patterns.html` and `patterns.json`: what was found, and what would have been."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from spikebridge.validation.formatting import Table, counted, number, share, whole
from spikebridge.validation.page import Report, write_page
from spikebridge.validation.patterns_numbers import by_chance, pattern_numbers
from spikebridge.validation.patterns_parameters import SurrogateKind
from spikebridge.validation.patterns_result import Found, PatternAnalysis
from spikebridge.validation.plot_patterns import counts_picture, pattern_picture, power_picture
from spikebridge.validation.section import Section
from spikebridge.validation.verdict import Status, Verdict

MOST_LISTED = 30
SURROGATE_WORDS: dict[SurrogateKind, str] = {
    "pattern_jitter": "in which every neuron's bursts move as a whole within windows of {p.jitter_window_ms:g} ms",
    "window_rotation": "in which every neuron's spikes are rotated within windows of {p.jitter_window_ms:g} ms",
    "trial_exchange": "in which every neuron's trials are exchanged",
    "trial_shift": "whose trains are shifted by up to {p.shift_ms:g} ms",
}

NOTES = (
    (
        "Pattern",
        "Spikes of several neurons with fixed lags (a neuron may fire twice), within one window of one trial. SPADE "
        "(Torre et al. 2013, Front. "
        "Comput. Neurosci. 7:132; Quaglio et al. 2017, ibid. 11:41) finds all that are frequent and closed: no larger "
        "pattern occurs as often. The miner is Elephant's.",
    ),
    (
        "Surrogate",
        "The same spikes without the timing between neurons. Pattern jitter (Harrison & Geman 2009; Amarasingham et "
        "al. 2012, J. Neurophysiol. 107:517): a neuron's bursts - spikes that follow each other within the longest "
        "pattern - move as a whole within fixed windows of twice the shift; every data set with the same bursts in the "
        "same windows is equally likely. Other kinds: the spikes of each window rotated, trials of every neuron "
        "exchanged, trains shifted (Stella et al. 2022, eNeuro 9(3)). Patterns that only follow from bursts and from "
        "rates that rise and fall with the stimulus more slowly than a window do not count.",
    ),
    (
        "Significant",
        "A pattern that occurs more often than the most frequent of its size or larger in surrogates: p = (1 + "
        "surrogates that reach it) / (1 + surrogates), corrected over sizes by the smallest p-values that surrogates "
        "would have as data (Westfall & Young 1993). Of those that overlap, Elephant's pattern set reduction keeps "
        "what does not follow from another.",
    ),
    (
        "False positives",
        "Every surrogate is tested as if it were the data, against the others. Shifted trains are tested against "
        "surrogates of surrogates, and a data set where patterns are found more often than the level is not counted. "
        "For all other kinds that cannot happen: the share shows how far below the level small counts put the test.",
    ),
    (
        "Independent neurons",
        "Every neuron's trials are exchanged among the trials of the class: its bursts stay, and its rate over all "
        "trials however sharply it changes, but neurons share nothing else. Such data sets are tested as if they were "
        "the data, against surrogates of others of them. Where patterns are found more often than the level, bursts or "
        "sharply changing rates explain patterns, and a data set is not counted. (Where exchanged trials are the "
        "surrogates, spikes are jittered instead.)",
    ),
    (
        "Planted",
        "Into a surrogate a pattern is planted by moving spikes, so that every neuron keeps its number of spikes. Lags "
        "are not rounded to bins and have no jitter. Found means: a significant pattern has all its spikes but at most "
        "one, at their lags to within one bin. Patterns of neurons that fire less often than the pattern occurs are "
        "impossible and not asked for. A definition of this project.",
    ),
)


def build_pattern_report(analysis: PatternAnalysis) -> Report:
    """Put an analysis into words, tables and pictures."""
    pictures = (counts_picture(analysis), pattern_picture(analysis))
    found = Section(
        key="found",
        title="Are there patterns beyond chance?",
        introduction=_introduction(analysis),
        tables=(_sets_table(analysis), *_patterns_table(analysis)),
        pictures=tuple(replace(picture, notes=NOTES[:3]) for picture in pictures if picture is not None),
    )
    controls = Section(
        key="controls",
        title="Would patterns have been found, and only patterns?",
        introduction=(
            "The same search on data of which the answer is known, at the rates, durations and number of trials of the "
            "recording: surrogates, which hold no patterns, and surrogates with one planted pattern each."
        ),
        tables=(_false_positives_table(analysis),),
        pictures=(replace(power_picture(analysis), notes=NOTES[3:]),),
    )
    settings = Section(
        key="settings", title="How it was done", introduction=_limits(analysis), tables=(_settings(analysis),)
    )
    return Report(
        title=f"Spike patterns in {analysis.source}, {analysis.executor} at {analysis.step_ms:g} ms",
        verdict=_verdict(analysis),
        cards=_cards(analysis),
        sections=(found, controls, settings),
        numbers=pattern_numbers(analysis),
    )


def write_pattern_report(report: Report, directory: Path) -> tuple[Path, Path]:
    """Write `patterns.html` and `patterns.json`, each whole or not at all; returns both paths, HTML first."""
    return write_page(report, directory, "patterns")


def _verdict(analysis: PatternAnalysis) -> Verdict:
    chance = by_chance(analysis)
    found, sets = int(chance["with_patterns"]), int(chance["data_sets"])
    alpha = analysis.parameters.alpha
    clear = chance["p_value"] <= alpha
    doubtful = [_doubt(one, alpha) for one in analysis.found if not one.trusted(alpha)]
    if clear:
        # A reader of the headline alone must not take the control for passed.
        failed = f"; in {len(doubtful)} more the control failed" if doubtful else ""
        headline = f"Patterns beyond chance in {found} of {counted(sets, 'data set')}{failed}."
    elif sets == 0:
        headline = "The surrogates do not fit these data: nothing can be said about patterns."
    elif found == 0:
        # Of nothing that could have been found, finding nothing is no result.
        blind = not any(analysis.detectable(name) for name in analysis.populations)
        headline = f"No patterns beyond chance were found{', nor would they have been' if blind else ''}."
    else:
        headline = f"{counted(found, 'data set')} of {sets} with patterns: no more than chance makes."
    sentences = []
    if sets:
        sentences.append(
            f"Each population was searched in the trials of each class; at a level of {alpha:.0%}, "
            f"{chance['expected']:.1f} of {counted(sets, 'data set')} would show patterns by chance alone "
            f"(binomial p = {chance['p_value']:.2g})."
        )
    if doubtful:
        sentences.append(
            f"Not counted, because the same search finds patterns in more than {alpha:.0%} of data sets without any: "
            f"{', '.join(doubtful)}. Bursts, or rates that follow the stimulus more sharply than the windows of "
            "surrogates, explain such patterns."
        )
    for name in analysis.populations:
        sentences.append(_power_sentence(analysis, name))
        sentences.append(
            f"{name}: false positives in {share(analysis.false_positives(name))} of surrogates and in "
            f"{share(analysis.independent(name))} of data sets of independent neurons, over all classes, those "
            "not counted included."
        )
    return Verdict(Status.SAME if clear and not doubtful else Status.UNCHECKED, headline, tuple(sentences))


def _doubt(found: Found, alpha: float) -> str:
    controls = (("surrogates", found.false_positives), ("independent neurons", found.independent))
    failed = ", ".join(f"{name} {control.value:.0%}" for name, control in controls if control.value > alpha)
    return f"{found.data.population} {found.data.class_name} ({failed})"


def _power_sentence(analysis: PatternAnalysis, name: str) -> str:
    required = analysis.parameters.required_power
    detectable = analysis.detectable(name)
    if not detectable:
        return (
            f"{name}: of no planted size and count does the whole 95% interval of the power lie above {required:.0%}: "
            "to find none there means nothing."
        )
    parts = []
    for size in sorted({size for size, _ in detectable}):
        counts = [str(count) for other, count in detectable if other == size]
        parts.append(f"of {size} spikes occurring {' or '.join(counts)} times")
    powers = [power for cell in detectable if (power := analysis.power(name, *cell)) is not None]
    fewest, least = min(power.samples for power in powers), min(power.low for power in powers)
    return (
        f"{name}: planted patterns {', '.join(parts)} were found with at least {required:.0%} power ({fewest} or more "
        f"planted of each; the lowest 95% interval begins at {least:.0%})."
    )


def _introduction(analysis: PatternAnalysis) -> str:
    p = analysis.parameters
    return (
        f"Searched were groups of at least {p.min_spikes} neurons that fire with the same lags again and again, within "
        f"{p.window_ms:g} ms and to within bins of {p.bin_ms:g} ms, in the trials of one class at a time, so that what "
        "differs between classes is no pattern. No window reaches from one trial into the next. Chance is what "
        f"{p.surrogates} surrogates show, {SURROGATE_WORDS[p.surrogate].format(p=p)}."
    )


def _limits(analysis: PatternAnalysis) -> str:
    p = analysis.parameters
    return (
        f"Limits: lags of {p.window_ms:g} ms and more were not searched, nor patterns of fewer than {p.min_spikes} "
        "neurons or with fewer occurrences than the table above says; where that number is not given, it is the lowest "
        f"one at which a surrogate has at most {p.max_candidates:,} candidates, chosen without looking at the data. "
        "Each data set is tested at the level by itself: a single one among many with patterns is no evidence. A "
        "network that is deterministic fires the same spikes for the same input, so that patterns may follow from "
        "precisely timed input; that they exist does not say that the network uses them."
    )


def _sets_table(analysis: PatternAnalysis) -> Table:
    alpha = analysis.parameters.alpha
    rows = tuple(
        (
            f"{f.data.population}, {f.data.class_name}",
            whole(f.data.spikes.n_trials),
            whole(f.data.spikes.time_ms.size),
            number(f.data.rate_hz),
            whole(f.min_occurrences),
            _sizes(f, alpha),
            whole(f.significant),
            whole(len(f.patterns)),
            share(f.false_positives),
            share(f.independent),
        )
        for f in analysis.found
    )
    rows += tuple(
        (f"{name}, {cls}", "–", "–", "–", "–", f"not searched: {why}", "–", "–", "–", "–")
        for name, cls, why in analysis.not_searched
    )
    columns = (
        *("data set", "trials", "spikes", "rate (Hz)", "least occurrences", "significant sizes"),
        *("significant patterns", "after reduction", "false positives", "independent neurons"),
    )
    return Table("What was searched and found; the last two in percent with the 95% interval", columns, rows)


def _sizes(found: Found, alpha: float) -> str:
    significant = found.significant_sizes(alpha)
    last = significant.size - 1
    sizes = [f"{found.smallest + index}{'+' if index == last else ''}" for index in np.flatnonzero(significant)]
    listed = ", ".join(sizes) or "none"
    return listed if found.trusted(alpha) else f"not counted ({listed})"


def _patterns_table(analysis: PatternAnalysis) -> tuple[Table, ...]:
    ranked = sorted(
        ((f, pattern) for f in analysis.trusted for pattern in f.patterns),
        key=lambda entry: (-len(entry[1]["neurons"]), -len(entry[1]["times_ms"])),
    )
    if not ranked:
        return ()
    rows = tuple(
        (
            f"{f.data.population}, {f.data.class_name}",
            ", ".join(str(n) for n in pattern["neurons"]),
            ", ".join(f"{lag:g}" for lag in pattern["lags_ms"]),
            whole(len(pattern["times_ms"])),
            whole(len(set(pattern["trials"]))),
        )
        for f, pattern in ranked[:MOST_LISTED]
    )
    shown = min(MOST_LISTED, len(ranked))
    caption = (
        f"The {shown} largest of {counted(len(ranked), 'pattern')} after reduction in the data sets that count; all "
        "are in the JSON file beside this page"
    )
    return (Table(caption, ("data set", "neurons", "lags (ms)", "occurrences", "trials"), rows),)


def _false_positives_table(analysis: PatternAnalysis) -> Table:
    rows = tuple(
        (f"{name}, {what}", whole(control.samples), whole(control.hits), share(control))
        for name in analysis.populations
        for what, control in (
            ("surrogates", analysis.false_positives(name)),
            ("independent neurons", analysis.independent(name)),
        )
    )
    columns = ("population", "sets tested", "with patterns", "share, percent (95% interval)")
    return Table("False positives over all classes", columns, rows)


def _settings(analysis: PatternAnalysis) -> Table:
    rows = [
        (key, "chosen per data set" if value is None else str(value))
        for key, value in asdict(analysis.parameters).items()
    ]
    rows += list(analysis.provenance.items())
    return Table("Parameters, seed and versions", ("name", "value"), tuple(rows))


def _cards(analysis: PatternAnalysis) -> tuple[tuple[str, str], ...]:
    chance = by_chance(analysis)
    cards = [(f"{int(chance['with_patterns'])} of {int(chance['data_sets'])}", "data sets with patterns beyond chance")]
    for name in analysis.populations:
        cards.append((f"{analysis.false_positives(name).value:.1%}", f"false positives, {name}"))
        best = [analysis.power(name, size, count) for size, count in analysis.detectable(name)[:1]]
        if best and best[0] is not None:
            size, count = analysis.detectable(name)[0]
            cards.append((f"{best[0].value:.0%}", f"power for {size} spikes {count} times, {name}"))
    return tuple(cards)
