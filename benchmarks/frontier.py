"""Accuracy against firing rate on the spoken digits: our network at several target rates, and every peer at its own.

    python benchmarks/frontier.py --data DATA [--bounds-hz 0.5,1,2,5] [--targets-hz 0.3,0.6,1.2,3] [--seeds 5]
        [--workers 2] [--peers runs/peers] [--only NAMES] [--epochs 20] [--peer-epochs 20]

One grid of 10 ms, as for the peers. A bound is `regulariser.high_hz` of the example, for every neuron; a target is
`regulariser.target_rate_hz`, for the mean of each population, from both sides; `unconstrained` has neither. Results
of `peers.py --data` with the same sizes and --peer-epochs, by default the same, are read from --peers where they are.
What lies in --out already is not trained again, so an interrupted run continues. Appends to RESULTS.md and draws
frontier.svg, unless --only some of our networks are trained.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from common import append_results, spread
from matplotlib.axes import Axes
from peer_accuracy import CHOSEN
from peer_training import LABELS
from trainings import Result, Training, Variant, checksums, paired, results

from spikebridge.bridge.storage import atomic_path
from spikebridge.validation.picture import (
    INK,
    QUIET,
    REFERENCE_COLOUR,
    SIMULATION_COLOUR,
    new_figure,
    render,
    report_style,
    tidy,
)

FIGURE = Path(__file__).parent / "frontier.svg"
GROUPS = ("all", "speakers fitted on", "speaker never heard")
GRID = ("data.step_ms=10", "schedule.phases=[{share=0.7, steps_ms=[10.0]}, {share=0.3, steps_ms=[10.0]}]")
"""Bins of 10 ms throughout; the epoch is chosen among the last 30 %, when the rate has settled."""

UNCONSTRAINED = Variant("unconstrained", ("regulariser.high_strength=0",))


EXAMPLE = "bound-2Hz"
"""What examples/spoken_digits.toml has, from before any comparison: not the row that is best on the test set."""

TUNED = Variant(
    "tuned",
    (
        "network.readout_delays=true",
        "network.initial_potential_std=0.8",
        "network.dropout=0.1",
        "optimiser.weight_rate=0.01",
    ),
)
"""What looked better than the example in `factors.py`, on held-out training speakers: none by two standard errors."""

COMPARED = {EXAMPLE: "the example", TUNED.name: "the example with settings from factors.py"}
"""What peers are compared with, neither chosen by the test set."""

SERIES = {
    "tuned": ("ours, settings from factors.py", "D"),
    "bound": ("ours, a bound for every neuron", "o-"),
    "target": ("ours, a target for the mean", "^:"),
    "unconstrained": ("ours, unconstrained", "*"),
}


def at_most(rate_hz: float) -> Variant:
    """A bound for every neuron; the floor against silent ones lies well below it."""
    return Variant(
        f"bound-{rate_hz:g}Hz", (f"regulariser.low_hz={min(0.5, rate_hz / 4)}", f"regulariser.high_hz={rate_hz}")
    )


def at_rate(rate_hz: float) -> Variant:
    """The target, and a bound for single neurons far above it."""
    settings = (
        f"regulariser.target_rate_hz={rate_hz}",
        "regulariser.target_strength=10",
        f"regulariser.low_hz={min(0.5, rate_hz / 4)}",
        f"regulariser.high_hz={5 * rate_hz}",
    )
    return Variant(f"target-{rate_hz:g}Hz", settings)


def peers(folder: Path, epochs: int, hidden: tuple[int, ...], seeds: int) -> dict[str, list[Result]]:
    """What `peers.py` chose per system, by seed: with the same epochs and sizes, and as many seeds."""
    found: dict[str, list[Result]] = {}
    for chosen in sorted((folder / CHOSEN).glob("*.json")):
        names = json.loads(chosen.read_text(encoding="utf-8"))[:seeds]
        every = [json.loads((folder / name).read_text(encoding="utf-8")) for name in names]
        jobs = [result["settings"] for result in every]
        alike = all(job["epochs"] == epochs and tuple(job["hidden"]) == hidden for job in jobs)
        if chosen.stem != "ours" and alike and [job["seed"] for job in jobs] == list(range(seeds)):
            found[chosen.stem] = every
    return found


def row(label: str, every: list[Result]) -> str:
    shares = [spread([100 * result["accuracy"][group] for result in every]) for group in range(len(GROUPS))]
    rate = "" if every[0]["rate_hz"] is None else spread([result["rate_hz"] for result in every], ".2f")
    spikes = "" if "spikes_per_decision" not in every[0] else spread([r["spikes_per_decision"] for r in every], ".0f")
    held_out = "" if every[0]["validation"] is None else spread([100 * result["validation"] for result in every])
    return f"| {label} | {rate} | {' | '.join(shares)} | {held_out} | {spikes} |"


def table(ours: dict[str, list[Result]], others: dict[str, list[Result]]) -> list[str]:
    return [
        f"| | rate / Hz | {' | '.join(GROUPS)} | held-out speaker | spikes per decision |",
        "|---|---|" + "---|" * (len(GROUPS) + 2),
        *(row(f"ours, {name}", every) for name, every in ours.items()),
        *(row(LABELS[system], others[system]) for system in LABELS if system in others),
    ]


def compared(ours: dict[str, list[Result]], others: dict[str, list[Result]]) -> list[str]:
    """For every spiking peer: what ours is above or below it, seed by seed, with its 95 % interval."""
    lines = []
    for name, said in COMPARED.items() if others else ():
        if name not in ours:
            continue
        mine = ours[name]
        lines += [
            "",
            f"| {name}, {said}, at {mean_rate(mine):.2f} Hz, less | its rate / Hz | {' | '.join(GROUPS)} |",
            "|---|---|" + "---|" * len(GROUPS),
        ]
        for system in LABELS:
            if system in others and others[system][0]["rate_hz"] is not None:
                theirs = others[system]
                gaps = " | ".join(with_interval(mine, theirs, group) for group in range(len(GROUPS)))
                lines.append(f"| {LABELS[system]} | {mean_rate(theirs):.2f} | {gaps} |")
    return lines


def mean_rate(every: list[Result]) -> float:
    return float(np.mean([result["rate_hz"] for result in every]))


def with_interval(mine: list[Result], theirs: list[Result], group: int) -> str:
    """Ours less theirs in points, and half of its 95 % interval."""
    gap, half = paired(mine, theirs, group)
    return f"{gap:+.1f} ± {half:.1f}"


@report_style()
def draw(ours: dict[str, list[Result]], others: dict[str, list[Result]]) -> None:
    figure = new_figure(4.6)
    left, right = figure.subplots(1, 2)
    for group, axes in ((1, left), (2, right)):
        _panel(axes, ours, others, group)
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
    with atomic_path(FIGURE) as temporary:
        temporary.write_bytes(render(figure))


def _panel(axes: Axes, ours: dict[str, list[Result]], others: dict[str, list[Result]], group: int) -> None:
    def point(every: list[Result]) -> tuple[float, float, float]:
        values = [100 * result["accuracy"][group] for result in every]
        return mean_rate(every), float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else 0.0

    for kind, (label, style) in SERIES.items():
        members = [point(every) for name, every in ours.items() if name.startswith(kind)]
        if members:
            rate, accuracy, deviation = (np.array(each) for each in zip(*sorted(members), strict=True))
            axes.errorbar(rate, accuracy, deviation, fmt=style, color=REFERENCE_COLOUR, capsize=3, label=label)
    spiking = {system: point(every) for system, every in others.items() if every[0]["rate_hz"] is not None}
    for number, (x, y, spread_y) in enumerate(spiking.values()):
        axes.errorbar(x, y, spread_y, color=SIMULATION_COLOUR, marker="sD^vP*X"[number % 7], capsize=3)
    names = sorted(spiking, key=lambda system: spiking[system][1])
    least = 0.045 * np.subtract(*axes.get_ylim()[::-1])
    height = -np.inf
    for system in names:  # upwards, so that no name lies on another
        height = max(spiking[system][1], height + least)
        axes.annotate(LABELS[system], (1.3 * spiking[system][0], height), va="center", fontsize=8, color=INK)
    if "gru" in others:
        level = np.mean([100 * result["accuracy"][group] for result in others["gru"]])
        axes.axhline(level, color=QUIET, linestyle="--", label="GRU, no spikes")
    axes.set(xscale="log", xlabel="mean rate of hidden neurons / Hz", ylabel="accuracy / %", title=GROUPS[group])
    fastest = max(mean_rate(every) for every in (*ours.values(), *others.values()) if every[0]["rate_hz"] is not None)
    axes.set_xlim(0.4, 12 * fastest)  # room for names
    ticks = [tick for tick in (0.5, 1, 2, 5, 10, 20, 50) if tick < 2 * fastest]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    tidy(axes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, type=Path, help="folder of the spoken digits")
    parser.add_argument("--config", default="examples/spoken_digits.toml")
    parser.add_argument("--bounds-hz", default="0.5,1,2,5")
    parser.add_argument("--targets-hz", default="0.3,0.6,1.2,3")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="of the configuration, for all")
    parser.add_argument("--seeds", default=5, type=int)
    parser.add_argument("--epochs", default=20, type=int)
    parser.add_argument("--peer-epochs", type=int, help="of peers, where not the same: such as cost as much")
    parser.add_argument("--only", default="", metavar="NAMES", help=f"of our networks these, such as {EXAMPLE}")
    parser.add_argument("--hidden", default="128,128")
    parser.add_argument("--workers", default=2, type=int, help="trainings at a time, one thread each")
    parser.add_argument("--peers", default="runs/peers", type=Path, help="results of peers.py --data")
    parser.add_argument("--out", default=Path("runs/frontier"), type=Path)
    options = parser.parse_args()
    hidden = tuple(int(size) for size in options.hidden.split(","))
    shared = (*GRID, f"optimiser.epochs={options.epochs}", f"network.hidden={list(hidden)}", *options.set)
    variants = [
        *(at_most(float(rate)) for rate in options.bounds_hz.split(",") if rate),
        *(at_rate(float(rate)) for rate in options.targets_hz.split(",") if rate),
        UNCONSTRAINED,
        TUNED,
    ]
    only = options.only.split(",") if options.only else [variant.name for variant in variants]
    if unknown := set(only) - {variant.name for variant in variants}:
        raise SystemExit(f"error: --only names {sorted(unknown)}; there are {', '.join(v.name for v in variants)}")
    trainings = [
        Training(Variant(v.name, (*shared, *v.settings)), seed, options.config, options.data)
        for seed in range(options.seeds)
        for v in variants
        if v.name in only
    ]
    ours = results(trainings, options.out, options.workers)
    peer_epochs = options.peer_epochs or options.epochs
    others = peers(options.peers, peer_epochs, hidden, options.seeds)
    if not options.only:
        draw(ours, others)
    command = (
        f"python benchmarks/frontier.py --data DATA --bounds-hz {options.bounds_hz} --targets-hz={options.targets_hz}"
    )
    command += f" --seeds {options.seeds} --epochs {options.epochs} --hidden {options.hidden}"
    command += f" --peer-epochs {peer_epochs}" if peer_epochs != options.epochs else ""
    command += f" --only {options.only}" if options.only else ""
    command += f" --peers {options.peers}" if str(options.peers) != parser.get_default("peers") else ""
    command += "".join(f" --set {setting}" for setting in options.set)
    lines = [
        *table(ours, others),
        *compared(ours, others),
        "",
        *([] if options.only else [f"![accuracy against rate]({FIGURE.name})", ""]),
        f"Test samples right, percent; mean ± standard deviation over {options.seeds} seeds; differences seed by seed, "
        f"± half of their 95 % interval. {options.epochs} epochs"
        + (f" ({peer_epochs} for the other libraries)" if peer_epochs != options.epochs else "")
        + f", hidden populations of {options.hidden}, bins of "
        "10 ms; rate: mean over all hidden neurons and test samples. The epoch is chosen on the held-out speaker, the "
        "test set read once.",
    ]
    append_results("Accuracy against rate on spoken digits", command, lines, checksums(ours))


if __name__ == "__main__":
    main()
