"""Draw docs/ladder.svg, the parity ladder of README, from the reports of two runs.

python docs/make_ladder.py runs/ladder/report.json runs/digits5/report.json

The first is one realisation with all rungs (rungs 1, 2, 3 and 5), the second a summary over several (rung 4).
"""

import json
import sys
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes

from spikebridge.bridge.storage import atomic_path
from spikebridge.validation.picture import (
    INK,
    PALE,
    QUIET,
    REFERENCE_COLOUR,
    SIMULATION_COLOUR,
    new_figure,
    render,
    report_style,
    tidy,
)

TARGET = Path(__file__).parent / "ladder.svg"


def rungs(one: dict[str, Any], several: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Name, question and result of every rung, lowest first."""

    def same(parity: dict[str, Any]) -> str:
        return f"{parity['mismatches']:,} of {parity['spikes']:,} spikes differ"

    steps = [step for step in one["refinement"]["steps"].values() if step["step_ms"] != training_step_ms(one)]
    low, high = (100 * f(step["accuracy"] for step in steps) for f in (min, max))
    seeds = len(several["seeds"])
    accuracy = [100 * several["accuracy"][label]["all"] for label in ("training", "continuous")]
    return [
        ("1 grid", "Brian2 on the training grid", same(one["parity"]["grid"])),
        ("2 replay", "each population alone, recorded inputs", same(one["parity"]["replay"])),
        ("3 refinement", "other steps, inputs at true times", f"accuracy {low:.1f} to {high:.1f} %"),
        (
            "4 continuous",
            f"0.1 ms, mean of {seeds} seeds",
            f"accuracy {accuracy[0]:.1f} % trained, {accuracy[1]:.1f} % here",
        ),
        ("5 physical", f"mV, pA, pF, nS at {physical_step_ms(one):g} ms", same(one["parity"]["physical"])),
    ]


def training_step_ms(report: dict[str, Any]) -> float:
    """The step of the training's recording."""
    return float(report["provenance"]["executors"]["training"]["step_ms"])


def physical_step_ms(report: dict[str, Any]) -> float:
    """The step of the simulation in physical units."""
    return float(report["provenance"]["executors"]["physical"]["step_ms"])


def draw_ladder(axes: Axes, rows: list[tuple[str, str, str]]) -> None:
    """The rungs as a ladder, the first at the bottom."""
    axes.set(xlim=(0, 1), ylim=(-0.6, len(rows) - 0.4))
    axes.axis("off")
    for x in (0.01, 0.99):
        axes.plot([x, x], [-0.55, len(rows) - 0.45], color=QUIET, lw=3, solid_capstyle="round")
    for height, (name, question, result) in enumerate(rows):
        axes.plot([0.01, 0.99], [height - 0.42] * 2, color=QUIET, lw=3)
        axes.text(0.04, height + 0.22, name, weight="bold", color=INK, va="center")
        axes.text(0.31, height + 0.22, question, color=INK, va="center")
        axes.text(0.31, height - 0.12, result, color=REFERENCE_COLOUR, va="center", weight="bold")


def draw_steps(axes: Axes, report: dict[str, Any]) -> None:
    """Accuracy against the step, with 95 % intervals."""
    steps = sorted(report["refinement"]["steps"].items(), key=lambda item: item[1]["step_ms"])
    x = [step["step_ms"] for _, step in steps]
    value = [100 * step["accuracy"] for _, step in steps]
    intervals = [report["accuracy_interval"][label]["all"] for label, _ in steps]
    below = [v - 100 * interval["low"] for v, interval in zip(value, intervals, strict=True)]
    above = [100 * interval["high"] - v for v, interval in zip(value, intervals, strict=True)]
    axes.errorbar(x, value, (below, above), fmt="o-", color=SIMULATION_COLOUR, ecolor=INK, elinewidth=1, capsize=3)
    training = 100 * report["accuracy"]["training"]["all"]
    axes.axhline(training, color=REFERENCE_COLOUR, ls="--", lw=1.4, zorder=1)
    axes.axvline(training_step_ms(report), color=PALE, lw=6, zorder=0)
    axes.annotate("export's\ngrid", (training_step_ms(report), 4), ha="center", color=INK, fontsize=9)
    axes.annotate(
        "training", (x[-1], training), (0, 22), textcoords="offset points", ha="right", color=REFERENCE_COLOUR
    )
    axes.set_xscale("log")
    axes.set_xticks(x, [f"{step:g}" for step in x])
    axes.minorticks_off()
    axes.set_ylim(0, 100)
    axes.set_xlabel("time step of Brian2 (ms)")
    axes.set_ylabel("accuracy (%), one seed, 95 % interval")
    tidy(axes)


@report_style()
def main() -> None:
    """Write the picture."""
    one, several = (json.loads(Path(name).read_text()) for name in sys.argv[1:])
    figure = new_figure(3.9)
    left, right = figure.subplots(1, 2, width_ratios=[1.55, 1])
    draw_ladder(left, rungs(one, several))
    draw_steps(right, one)
    with atomic_path(TARGET) as temporary:
        temporary.write_bytes(render(figure))
    print(TARGET)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main()
