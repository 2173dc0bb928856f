"""What a refractory period costs in training, why, and what repairs it, on the spoken digits.

    python benchmarks/refractory.py --data DATA [--parts coarse,repairs,fine] [--seeds 5] [--workers 2]

`coarse`: bins of 10 ms throughout, as in the reference work, periods of 10 (what a bin has by itself), 20 and 30 ms,
with bounds for the rate of every neuron and with a target for the mean rate. `repairs`: at 30 ms, the surrogate's
gradient through the frozen steps, a period that grows during the training, finer steps for the last 30 % of it, and
instead of a period a cost of close pairs of spikes. `fine`: trained coarse to fine, down to 1 ms, where periods of 2, 5
and 10 ms mean something. What lies in --out already is not trained again. Appends to RESULTS.md, draws refractory.svg.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from common import append_results, spread
from matplotlib.axes import Axes
from trainings import Result, Training, Variant, checksums, paired, results

from spikebridge.bridge.storage import atomic_path
from spikebridge.validation.picture import (
    COLOURS,
    QUIET,
    REFERENCE_COLOUR,
    new_figure,
    render,
    report_style,
    tidy,
)

FIGURE = Path(__file__).parent / "refractory.svg"
GRID = ("data.step_ms=10", "schedule.phases=[{share=0.7, steps_ms=[10.0]}, {share=0.3, steps_ms=[10.0]}]")
"""Bins of 10 ms throughout; the epoch is chosen among the last 30 %, when the rate has settled."""

COARSE_TO_FINE = (
    "data.step_ms=1",
    "schedule.phases=[{share=0.7, steps_ms=[10.0]}, {share=0.15, steps_ms=[5.0]}, {share=0.15, steps_ms=[1.0]}]",
)
TARGET_HZ = 2.0
BOUNDS = ("regulariser.low_hz=0.5", f"regulariser.high_hz={TARGET_HZ}", "regulariser.high_strength=0.2")
TARGET = (
    "regulariser.low_hz=0.5",
    f"regulariser.high_hz={5 * TARGET_HZ}",
    f"regulariser.target_rate_hz={TARGET_HZ}",
    "regulariser.target_strength=10",
)
REPAIR_MS = 30
THROUGH = "neuron.refractory_gradient=through"
GRADUAL = "neuron.refractory_warm_up_share=0.5"


@dataclass(frozen=True)
class Row:
    """A variant, and the one without a refractory period that it is compared with."""

    label: str
    variant: Variant
    baseline: str


def period(value_ms: float) -> str:
    return f"neuron.refractory_ms={value_ms}"


def coarse() -> list[Row]:
    rows = []
    for rule, settings in (("bounds", BOUNDS), ("target", TARGET)):
        for value in (10, 20, 30):
            label = f"{rule}, {'none but the bin of ' if value == 10 else ''}{value} ms"
            variant = Variant(f"coarse-{rule}-{value}ms", (*GRID, *settings, period(value)))
            rows.append(Row(label, variant, f"coarse-{rule}-10ms"))
    return rows


def repairs() -> list[Row]:
    """With the target, under which a period costs accuracy."""
    kinds = {
        "gradient through frozen steps": (*GRID, period(REPAIR_MS), THROUGH),
        "period grows over half of the training": (*GRID, period(REPAIR_MS), GRADUAL),
        "no period, close pairs cost": (
            *GRID,
            period(10),
            f"regulariser.burst_ms={REPAIR_MS - 10}",
            "regulariser.burst_strength=0.1",
        ),
        "finer steps, down to 1 ms": (*COARSE_TO_FINE, period(REPAIR_MS)),
    }
    return [
        Row(
            f"target, {label}" if "no period" in label else f"target, {REPAIR_MS} ms, {label}",
            Variant(f"repair-target-{number}", (*TARGET, *changes)),
            "coarse-target-10ms",
        )
        for number, (label, changes) in enumerate(kinds.items())
    ]


def fine() -> list[Row]:
    rows = []
    for value in (1, 2, 5, 10):
        label = f"bounds, {'none but the step of ' if value == 1 else ''}{value} ms"
        rows.append(Row(label, Variant(f"fine-{value}ms", (*COARSE_TO_FINE, *BOUNDS, period(value))), "fine-1ms"))
    return rows


PARTS = {"coarse": coarse, "repairs": repairs, "fine": fine}


def table(rows: list[Row], found: dict[str, list[Result]]) -> list[str]:
    lines = [
        "| | accuracy, all | against none | speakers fitted on | training samples | rate / Hz | by population / Hz "
        "| spikes with another within 10 ms | silent neurons |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        every = found[row.variant.name]
        gap, half = paired(every, found[row.baseline])
        by_population = np.mean([result["population_rate_hz"] for result in every], axis=0)
        close = [100 * result["close_share"] for result in every if result["close_share"] is not None]
        cells = [
            row.label,
            spread([100 * result["accuracy"][0] for result in every]),
            "" if row.variant.name == row.baseline else f"{gap:+.1f} ± {half:.1f}",
            spread([100 * result["accuracy"][1] for result in every]),
            spread([100 * result["accuracy_train"] for result in every]),
            spread([result["rate_hz"] for result in every], ".2f"),
            " / ".join(f"{rate:.2f}" for rate in by_population),
            f"{np.mean(close):.1f} %",
            f"{100 * np.mean([result['silent_share'] for result in every]):.1f} %",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


@report_style()
def draw(parts: dict[str, list[Row]], found: dict[str, list[Result]]) -> None:
    """Accuracy lost against none, and rate, for every variant."""
    rows = [row for part in parts.values() for row in part]
    figure = new_figure(1.2 + 0.3 * len(rows))
    left, right = figure.subplots(1, 2, sharey=True)
    place = np.arange(len(rows))[::-1]
    for y, row in zip(place, rows, strict=True):
        _mark(left, right, y, row, found)
    left.axvline(0, color=QUIET, linewidth=0.8)
    left.set(xlabel="points of accuracy against none", yticks=place)
    left.set_yticklabels([row.label for row in rows])
    right.set(xlabel="rate of hidden neurons / Hz, every seed", xlim=(0, None))
    for axes in (left, right):
        tidy(axes)
    with atomic_path(FIGURE) as temporary:
        temporary.write_bytes(render(figure))


def _mark(left: Axes, right: Axes, y: float, row: Row, found: dict[str, list[Result]]) -> None:
    colour = REFERENCE_COLOUR if row.variant.name == row.baseline else COLOURS[0]
    gap, half = paired(found[row.variant.name], found[row.baseline])
    left.errorbar(gap, y, xerr=None if np.isnan(half) else half, color=colour, marker="o", capsize=3)
    rates = [result["rate_hz"] for result in found[row.variant.name]]
    right.plot(rates, np.full(len(rates), y), "o", color=colour, alpha=0.6, markersize=4)


def needed(names: list[str]) -> dict[str, list[Row]]:
    """The parts that were asked for; repairs are compared with a row of `coarse`, which comes with them."""
    if unknown := set(names) - set(PARTS):
        raise SystemExit(f"error: --parts names {sorted(unknown)}; there are {', '.join(PARTS)}")
    if "repairs" in names and "coarse" not in names:
        names = ["coarse", *names]
    return {name: PARTS[name]() for name in PARTS if name in names}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, type=Path, help="folder of the spoken digits")
    parser.add_argument("--config", default="examples/spoken_digits.toml")
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--seeds", default=5, type=int)
    parser.add_argument("--epochs", default=20, type=int)
    parser.add_argument("--workers", default=2, type=int, help="trainings at a time, one thread each")
    parser.add_argument("--out", default=Path("runs/refractory"), type=Path)
    options = parser.parse_args()
    parts = needed(options.parts.split(","))
    shared = (f"optimiser.epochs={options.epochs}",)
    trainings = [
        Training(Variant(row.variant.name, (*shared, *row.variant.settings)), seed, options.config, options.data)
        for rows in parts.values()
        for seed in range(options.seeds)
        for row in rows
    ]
    found = results(trainings, options.out, options.workers)
    draw(parts, found)
    command = f"python benchmarks/refractory.py --data DATA --parts {options.parts} --seeds {options.seeds}"
    lines = [line for name, rows in parts.items() for line in (f"### {name}", "", *table(rows, found), "")]
    lines += [
        f"![points lost and rates]({FIGURE.name})",
        "",
        f"Test samples right, percent; mean ± standard deviation over {options.seeds} seeds; against none: difference "
        f"seed by seed, mean ± half of its 95 % interval. {options.epochs} epochs. Training samples: with dropout, in "
        "the chosen epoch. The epoch is chosen on the held-out speaker, the test set read once.",
    ]
    append_results("Refractory periods in training", command + f" --epochs {options.epochs}", lines, checksums(found))


if __name__ == "__main__":
    main()
