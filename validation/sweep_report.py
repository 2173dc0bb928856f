"""`sweep.html` and `sweep.json`: which configurations are accurate at a low rate.

Keys of `sweep.json`: `configuration`, `realisations`, `seeds`, `space` (text by configuration key), `frontier` (numbers
of trials, the most accurate first), and `trials`, each with `number`, `state` (`complete` or `stopped`), `on_frontier`,
`file` (configuration of a trial on the frontier, else null), `stopped` (why, else null), `settings` (values by
configuration key), `accuracy` (share of validation samples) and `rate_hz`, both as `mean`, `standard_deviation` (n - 1;
null below two values) and `values`, one per realisation in the order of seeds.
"""

from __future__ import annotations

import shlex
from pathlib import Path

from spikebridge.validation.formatting import Table, counted, number, percent
from spikebridge.validation.page import Report, write_page
from spikebridge.validation.plot_sweep import frontier_picture, spread
from spikebridge.validation.section import Section
from spikebridge.validation.sweep_result import SweepResult, SweptTrial, deviation, setting_text
from spikebridge.validation.verdict import Status, Verdict

OPTIMISM = (
    "Validation accuracies are those of the best epoch on samples that also chose it, and the frontier is the best of "
    "all trials, so that both are optimistic. The test set was not read: run the configurations to see what they reach "
    "there, and do not choose among them by it."
)
QUIET_END = (
    "Nothing is quieter than a network that hardly fires, so the quiet end of the frontier may hold networks of little "
    "use, down to silent ones that guess: look at accuracy there first."
)


def build_sweep_report(result: SweepResult) -> Report:
    """Put a sweep into a page and numbers."""
    keys = list(result.space)
    return Report(
        title=f"{result.name}: {counted(len(result.trials), 'configuration')}",
        verdict=_verdict(result),
        cards=(),
        sections=(
            Section(
                "frontier",
                "The frontier",
                f"Mean over {counted(result.realisations, 'realisation')} of each configuration. {OPTIMISM} "
                f"{QUIET_END}",
                tables=(_trials("Configurations on the frontier", result.frontier, keys), _commands(result)),
                pictures=(frontier_picture(result),),
            ),
            Section(
                "trials",
                "All trials",
                "What was drawn for each, and what it reached; all other values are those of the configuration.",
                tables=(_trials("Trials", result.trials, keys), _space(result)),
                notes=tuple((f"trial {trial.number}", trial.stopped or "") for trial in result.stopped),
            ),
        ),
        numbers=sweep_numbers(result),
    )


def sweep_numbers(result: SweepResult) -> dict[str, object]:
    """The content of `sweep.json`."""
    return {
        "configuration": result.name,
        "realisations": result.realisations,
        "seeds": list(result.seeds),
        "space": dict(result.space),
        "frontier": [trial.number for trial in result.frontier],
        "trials": [
            {
                "number": trial.number,
                "state": "complete" if trial.stopped is None else "stopped",
                "on_frontier": trial.file is not None,
                "file": trial.file,
                "stopped": trial.stopped,
                "settings": dict(trial.settings),
                "accuracy": _numbers(trial.accuracy),
                "rate_hz": _numbers(trial.rate_hz),
            }
            for trial in result.trials
        ],
    }


def write_sweep(report: Report, directory: Path) -> tuple[Path, Path]:
    """Write `sweep.html` and `sweep.json` into a directory, each whole or not at all.

    Returns:
        Both paths, HTML first.

    Raises:
        DataError: there is no space for them.
    """
    return write_page(report, directory, "sweep")


def _numbers(values: tuple[float, ...]) -> dict[str, object]:
    mean = sum(values) / len(values) if values else None
    return {"mean": mean, "standard_deviation": deviation(values), "values": list(values)}


def _verdict(result: SweepResult) -> Verdict:
    stopped = len(result.stopped)
    sentences = [
        f"{counted(stopped, 'trial was', 'trials were')} stopped early." if stopped else "No trial was stopped."
    ]
    if result.frontier:
        best, quietest = result.frontier[0], min(result.frontier, key=lambda trial: trial.mean_rate_hz or 0.0)
        sentences += [f"The most accurate, trial {best.number}: {_reached(best)}."]
        sentences += [f"The quietest, trial {quietest.number}: {_reached(quietest)}."] if quietest is not best else []
    return Verdict(
        Status.UNCHECKED,
        f"{len(result.frontier)} of {counted(len(result.trials), 'configuration')} on the frontier of accuracy and "
        "rate.",
        tuple(sentences),
    )


def _reached(trial: SweptTrial) -> str:
    return f"{percent(trial.mean_accuracy)} of validation samples at {number(trial.mean_rate_hz)} Hz"


def _trials(caption: str, trials: tuple[SweptTrial, ...], keys: list[str]) -> Table:
    rows = tuple(
        (
            f"{trial.number}{' (stopped)' if trial.stopped is not None else ''}",
            spread(trial.accuracy, 100.0, 1),
            spread(trial.rate_hz, 1.0, 2),
            *(setting_text(trial.settings[key]) if key in trial.settings else "" for key in keys),
        )
        for trial in trials
    )
    return Table(
        f"{caption} (mean ± standard deviation over seeds)", ("trial", "accuracy (%)", "rate (Hz)", *keys), rows
    )


def _commands(result: SweepResult) -> Table:
    data = [] if result.data is None else ["--data", result.data]
    rows = tuple(
        (
            str(trial.number),
            shlex.join(["spikebridge", "run", trial.file, *data, "--out", f"runs/trial-{trial.number}"]),
        )
        for trial in result.frontier
        if trial.file is not None
    )
    return Table("To train, simulate and validate them, with the same seeds", ("trial", "command"), rows)


def _space(result: SweepResult) -> Table:
    return Table("What was searched", ("key", "values"), tuple(result.space.items()))
