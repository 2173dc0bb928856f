"""What a simulated second of one sample costs: engine, step, number of samples, network size.

    python benchmarks/simulation.py [--quick]
    python benchmarks/simulation.py --network RUN/network.h5 --inputs RUN/reference.h5

The first measures random networks (140 - n - n - 20, recurrent, a delay of 0 to 250 ms on every synapse, inputs of 15
Hz) against the bound of one pass over the state per step, and draws simulation.svg. The second takes a trained network
and all samples of a recording at 0.1 ms, against one Brian2 Network per sample, and compares every spike. Core time is
that of all processes together, without compiling, which is done before; both append to RESULTS.md.
"""

import argparse
import resource
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import matplotlib.pyplot as plt
import numba
import numpy as np
from common import append_results
from synthetic import network, trials

from spikebridge.bridge.network_file import load_network
from spikebridge.bridge.recording import Recording, Trials
from spikebridge.bridge.recording_file import load_recording
from spikebridge.bridge.spec import NetworkSpec
from spikebridge.sim.options import SimulationOptions
from spikebridge.sim.run import simulate
from spikebridge.validation.parity import compare_spikes

FIGURE = Path(__file__).parent / "simulation.svg"
STEPS_MS = (10.0, 1.0, 0.1)
SIZES = (64, 256, 1024)
SAMPLES = (1, 4, 16, 64, 256)
GAIN = {64: 0.8, 256: 0.8, 1024: 0.65}  # hidden populations fire at 2 to 5 Hz


@dataclass(frozen=True)
class Engine:
    """A way to simulate, and how many samples are enough to time it."""

    label: str
    options: SimulationOptions
    samples: int
    alone: bool = False


ENGINES = (
    Engine("C++, one after another", SimulationOptions(backend="cpp", lanes=1, workers=1), 32),
    Engine("C++, 16 side by side", SimulationOptions(backend="cpp", lanes=16, workers=1), 32),
    Engine("NumPy, 32 side by side", SimulationOptions(backend="numpy", lanes=32), 32),
    Engine("Cython, 32 side by side", SimulationOptions(backend="cython", lanes=32), 32),
    Engine("one Network per sample (NumPy)", SimulationOptions(backend="numpy", lanes=1), 2, alone=True),
    Engine("one Network per sample (Cython)", SimulationOptions(backend="cython", lanes=1), 2, alone=True),
)
STYLES = ("k--", "C0o-", "C1s-", "C2^-", "C3v-", "C4D-", "C5x-")
BOUND = "one pass over the state per step"


def core_s() -> float:
    """Seconds of processor time of this process and of all processes it has ended."""
    usage = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in usage)


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Core and wall seconds."""
    before, start = core_s(), time.perf_counter()
    work()
    return core_s() - before, time.perf_counter() - start


def run(spec: NetworkSpec, given: Trials, step_ms: float, engine: Engine) -> list[Recording]:
    """All samples at once, or each in a Brian2 Network of its own."""
    every = np.arange(given.n_samples)
    groups = np.split(every, given.n_samples) if engine.alone else [every]
    return [simulate(spec, given.select(group), step_ms=step_ms, options=engine.options) for group in groups]


def cost_ms(spec: NetworkSpec, samples: int, step_ms: float, engine: Engine) -> float:
    """Milliseconds of core time per second of one sample, everything but compiling divided among all samples."""
    given = trials(2 * max(SAMPLES)).select(np.arange(samples))
    run(spec, given.select(np.arange(min(samples, engine.options.lanes or 1))), step_ms, engine)  # compile
    core, _ = timed(lambda: run(spec, given, step_ms, engine))
    return core / samples / (spec.duration_ms / 1000.0) * 1000.0


def further_ms(spec: NetworkSpec, samples: int, step_ms: float, engine: Engine) -> float:
    """What one sample more costs: the difference between twice as many and `samples`, without what all pay once."""
    if engine.alone:
        return cost_ms(spec, samples, step_ms, engine)
    few, many = (n * cost_ms(spec, n, step_ms, engine) for n in (samples, 2 * samples))
    return (many - few) / samples


@numba.njit  # type: ignore[untyped-decorator]  # without fastmath: the arithmetic of the simulation
def one_pass(steps: int, state: np.ndarray, entries: np.ndarray) -> int:
    """Propagate, test the threshold and clear the arrivals of every neuron in every step; nothing else."""
    fired = 0
    u, w, current, arrivals = state
    for _ in range(steps):
        for k in range(u.size):
            new = entries[0, k] * u[k] + entries[1, k] * w[k] + entries[2, k] * current[k]
            w[k] = entries[3, k] * u[k] + entries[4, k] * w[k] + entries[5, k] * current[k]
            current[k] += arrivals[k]
            arrivals[k] = 0.0
            u[k] = new
            if new >= 1.0:
                fired += 1
    return fired


def bound_ms(neurons: int, step_ms: float, duration_ms: float) -> float:
    """Core time of `one_pass` over a second of one sample."""
    steps = round(duration_ms / step_ms)
    state, entries = np.full((4, neurons), 0.1), np.full((6, neurons), 0.3)
    one_pass(1, state.copy(), entries)
    repeats = max(1, 200_000 // steps)
    core, _ = timed(lambda: [one_pass(steps, state.copy(), entries) for _ in range(repeats)])
    return core / repeats / (duration_ms / 1000.0) * 1000.0


type Table = dict[tuple[str, float, int], float]
"""Cost by engine, step and size."""


def steps_and_sizes(engines: tuple[Engine, ...], sizes: tuple[int, ...]) -> Table:
    found: Table = {}
    for size in sizes:
        spec = network(size, gain=GAIN[size])
        for step_ms in STEPS_MS:
            found[BOUND, step_ms, size] = bound_ms(2 * size + 20, step_ms, spec.duration_ms)
            for engine in engines:
                if engine.options.backend != "cpp" and size > 256:
                    continue  # minutes per sample
                cost = further_ms(spec, engine.samples, step_ms, engine)
                found[engine.label, step_ms, size] = cost
                print(
                    f"{engine.label}, {step_ms:g} ms, {size}: {found[engine.label, step_ms, size]:.3g} ms", flush=True
                )
    return found


def numbers_of_samples(engines: tuple[Engine, ...], size: int) -> dict[tuple[str, int], float]:
    """Cost at 1 ms by engine and number of samples."""
    spec, found = network(size, gain=GAIN[size]), {}
    for engine in engines:
        for samples in SAMPLES:
            if engine.options.backend == "cpp" or samples <= 64:
                found[engine.label, samples] = cost_ms(spec, samples, 1.0, engine)
                print(f"{engine.label}, {samples} samples: {found[engine.label, samples]:.3g} ms", flush=True)
    return found


def table(found: Table, sizes: tuple[int, ...]) -> list[str]:
    columns = [(size, step_ms) for size in sizes for step_ms in STEPS_MS]
    lines = [
        "| engine | " + " | ".join(f"{size}, {step_ms:g} ms" for size, step_ms in columns) + " |",
        "|---" * (len(columns) + 1) + "|",
    ]
    for label in dict.fromkeys(label for label, _, _ in found):
        cells = (found.get((label, step_ms, size)) for size, step_ms in columns)
        lines.append(f"| {label} | " + " | ".join("" if cell is None else f"{cell:.3g}" for cell in cells) + " |")
    return lines


def draw(found: Table, by_samples: Mapping[tuple[str, int], float], sizes: tuple[int, ...]) -> None:
    figure, axes = plt.subplots(1, 3, figsize=(13, 4.2), layout="constrained", sharey=True)
    middle = sizes[len(sizes) // 2]
    labels = dict.fromkeys(label for label, _, _ in found)
    styles = dict(zip(labels, STYLES[: len(labels)], strict=True))
    for label, style in styles.items():
        lines = (
            {step_ms: found.get((label, step_ms, middle)) for step_ms in STEPS_MS},
            {size: found.get((label, 0.1, size)) for size in sizes},
            {samples: by_samples.get((label, samples)) for samples in SAMPLES},
        )
        for axis, line in zip(axes, lines, strict=True):
            points = [(x, y) for x, y in line.items() if y is not None]
            if points:
                axis.loglog(*zip(*points, strict=True), style, label=label, markersize=5)
    axes[0].set(xlabel="step / ms", title=f"140 - {middle} - {middle} - 20", ylabel="core time per sample-second / ms")
    axes[0].invert_xaxis()
    axes[1].set(xlabel="neurons of each hidden population", title="step of 0.1 ms")
    axes[2].set(xlabel="samples", title=f"140 - {middle} - {middle} - 20, step of 1 ms")
    axes[0].legend(fontsize=8)
    for axis in axes:
        axis.grid(alpha=0.3)
    figure.savefig(FIGURE)
    plt.close(figure)


def random_networks(quick: bool) -> None:
    sizes = SIZES[:2] if quick else SIZES
    engines = ENGINES[:3] if quick else ENGINES
    found = steps_and_sizes(engines, sizes)
    by_samples = numbers_of_samples(engines[:3], sizes[len(sizes) // 2])
    draw(found, by_samples, sizes)
    lines = [
        "Milliseconds of core time per second of a further sample, by neurons of each hidden population and step:",
        "",
        *table(found, sizes),
        "",
        f"![cost against step, size and number of samples]({FIGURE.name})",
        "",
        "Every synapse has a delay; hidden populations fire at 2 to 5 Hz; one worker. The table says what a further "
        "sample costs after 32 others, decoding included; a Network of its own pays for building it. In the curve "
        "against the number of samples everything counts but compiling: generating code, starting a process.",
    ]
    append_results("Simulation: engine, step, size", "python benchmarks/simulation.py" + " --quick" * quick, lines)


def trained_network(network_file: Path, inputs: Path, alone: int) -> None:
    spec, recording = load_network(network_file), load_recording(inputs)
    given, seconds = recording.trials, spec.duration_ms / 1000.0
    engine = Engine("C++", SimulationOptions(backend="cpp"), given.n_samples)
    first = given.select(np.arange(alone))
    run(spec, given.select(np.arange(1)), 0.1, engine)  # compile
    made: list[Recording] = []
    core, wall = timed(lambda: made.extend(run(spec, given, 0.1, engine)))
    lines = [
        "| | samples | wall time per sample | core time per sample-second | spikes that differ |",
        "|---|---|---|---|---|",
    ]
    ours_ms = wall / given.n_samples * 1000.0
    lines.append(
        f"| one compiled simulation, all samples | {given.n_samples} | {ours_ms:.1f} ms | "
        f"{core / given.n_samples / seconds * 1000.0:.1f} ms | |"
    )
    for backend in ("cython", "numpy"):
        one = Engine(backend, SimulationOptions(backend=backend, lanes=1), alone, alone=True)
        run(spec, given.select(np.arange(1)), 0.1, one)  # compile
        each: list[Recording] = []
        core, wall = timed(lambda one=one, each=each: each.extend(run(spec, first, 0.1, one)))  # type: ignore[misc]
        same = [made[0].select(np.array([k])) for k in range(alone)]
        differ = sum(compare_spikes(a, b).mismatches for a, b in zip(each, same, strict=True))
        theirs_ms, ratio = wall / alone * 1000.0, wall / alone * 1000.0 / ours_ms
        core_ms = core / alone / seconds * 1000.0
        lines.append(
            f"| one Brian2 Network per sample, {backend} | {alone} | {theirs_ms:.0f} ms ({ratio:.0f} x) | "
            f"{core_ms:.0f} ms | {differ} |"
        )
    sizes = " - ".join(str(size) for size in spec.sizes.values())
    synapses = sum(p.weight.size for p in spec.projections)
    lines += ["", f"{sizes}, {synapses:,} synapses, {seconds:g} s per sample, 0.1 ms."]
    command = "python benchmarks/simulation.py --network RUN/network.h5 --inputs RUN/reference.h5"
    append_results("Simulation: a trained network, every sample", command, lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", type=Path, help="a trained network")
    parser.add_argument("--inputs", type=Path, help="a recording with its inputs")
    parser.add_argument("--alone", type=int, default=5, help="samples that get a Brian2 Network each")
    parser.add_argument("--quick", action="store_true", help="fewer engines and sizes")
    options = parser.parse_args()
    if (options.network is None) != (options.inputs is None):
        parser.error("--network and --inputs go together")
    if options.network is None:
        random_networks(options.quick)
    else:
        trained_network(options.network, options.inputs, options.alone)


if __name__ == "__main__":
    main()
