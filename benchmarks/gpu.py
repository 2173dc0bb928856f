"""The GPU against the C++ engine: the same spikes, and the time of many samples.

    python benchmarks/gpu.py [--network NETWORK --recording RECORDING] [--samples 2264] [--step-ms 0.1] [--hidden 256]

First the same samples on both, those of a recording or generated ones: every spike and potential has to be the same.
Then many generated samples of a second, 140 - 256 - 256 - 20 neurons with recurrence and delays to 250 ms: Python's
share, compiling, setting up, and the loop. Appended to RESULTS.md. Needs an NVIDIA GPU, and says so without one.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import synthetic
from common import append_results

from spikebridge.bridge.discretise import GridNetwork, discretise
from spikebridge.bridge.errors import SpikebridgeError
from spikebridge.bridge.network_file import load_network
from spikebridge.bridge.recording import Trials
from spikebridge.bridge.recording_file import load_recording
from spikebridge.bridge.spec import NetworkSpec
from spikebridge.bridge.spikes import SpikeTrains, bin_events
from spikebridge.sim.cuda_engine import CudaEngine
from spikebridge.sim.cuda_plan import CudaPlan, plan_cuda
from spikebridge.sim.engine import Simulated
from spikebridge.sim.options import SimulationOptions
from spikebridge.sim.run import run_network

IDENTITY_SAMPLES = 64


def arguments(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--network", type=Path, help="network.h5, whose samples are compared (default: a generated one)"
    )
    parser.add_argument("--recording", type=Path, help="a recording of it, for its inputs")
    parser.add_argument("--samples", default=2264, type=int)
    parser.add_argument("--step-ms", default=0.1, type=float)
    parser.add_argument("--hidden", default=256, type=int)
    parser.add_argument("--lanes", type=int, help="copies side by side (default: planned)")
    parser.add_argument("--readout-limit-mib", default=4096, type=int)
    options = parser.parse_args(words)
    if (options.network is None) != (options.recording is None):
        parser.error("--network and --recording go together")
    for name in ("samples", "hidden", "step_ms", "readout_limit_mib"):
        if getattr(options, name) <= 0:
            parser.error(f"--{name.replace('_', '-')} must be above 0")
    return options


def compared(options: argparse.Namespace) -> tuple[NetworkSpec, Trials]:
    """What both engines simulate: the recording's samples, or generated ones."""
    if options.network is None:
        return synthetic.network(options.hidden), synthetic.trials(IDENTITY_SAMPLES)
    trials = load_recording(options.recording).trials
    return load_network(options.network), trials.select(np.arange(min(IDENTITY_SAMPLES, trials.n_samples)))


def on_grid(spec: NetworkSpec, trials: Trials, step_ms: float) -> tuple[GridNetwork, dict[str, SpikeTrains]]:
    grid = discretise(spec, step_ms)
    return grid, {spec.inputs[0].name: bin_events(trials.events, step_ms, grid.n_steps)[0]}


def differences(one: Simulated, other: Simulated) -> tuple[int, int, float]:
    """Spikes of the first, spikes that only one of both has, and the largest difference of a potential."""
    spikes = differing = 0
    for name, trains in one.spikes.items():
        here, there = (
            set(zip(t.sample.tolist(), t.step.tolist(), t.neuron.tolist(), strict=True))
            for t in (trains, other.spikes[name])
        )
        spikes += len(here)
        differing += len(here ^ there)
    if one.readout is None or other.readout is None:
        raise ValueError("differences of potentials need the traces of both")
    return spikes, differing, float(np.abs(one.readout - other.readout).max())


def identity(options: argparse.Namespace, gpu: SimulationOptions) -> str:
    """One row: the same samples by both engines."""
    grid, inputs = on_grid(*compared(options), options.step_ms)
    cpp = run_network(grid, inputs, SimulationOptions(backend="cpp", keep_readout=True))
    engine = CudaEngine(grid, gpu, None, keep_readout=True)
    found = engine.run(inputs, lambda _: None)
    spikes, differing, potential = differences(cpp, found)
    samples = found.scores.shape[0]
    return f"| {options.network or 'generated'} | {samples} | {spikes:,} | {differing} | {potential:g} |"


def row(title: str, plan: CudaPlan, engine: CudaEngine, samples: int, total_s: float) -> str:
    """One row: where the time of a run went."""
    at = engine.seconds
    spread = f"{plan.layout.lanes} x {plan.layout.rounds} x {len(plan.batches)}"
    parts = (total_s - at.compile_s - at.program_s, at.compile_s, at.program_s - at.loop_s, at.loop_s, total_s)
    return f"| {title} | {spread} | " + " | ".join(f"{part:.1f} s" for part in parts) + f" | {samples / total_s:.0f} |"


def timing(options: argparse.Namespace, gpu: SimulationOptions) -> list[str]:
    """Two rows: many samples, compiling first, and again with other inputs."""
    rows = []
    spec = synthetic.network(options.hidden)
    for title, seed in (("first", 1), ("again", 2)):
        grid, inputs = on_grid(spec, synthetic.trials(options.samples, seed), options.step_ms)
        engine = CudaEngine(grid, gpu, None, keep_readout=False)
        plan = plan_cuda(grid, inputs, gpu)
        start = time.perf_counter()
        engine.run(inputs, lambda _: None)
        rows.append(row(title, plan, engine, options.samples, time.perf_counter() - start))
        print(rows[-1], flush=True)
    return rows


def main(words: list[str]) -> int:
    options = arguments(words)
    gpu = SimulationOptions(backend="cuda", lanes=options.lanes, readout_limit_mib=options.readout_limit_mib)
    try:
        grid, inputs = on_grid(*compared(options), options.step_ms)
        card = plan_cuda(grid, inputs, gpu).card
        print(f"{card}", flush=True)
        lines = [
            f"{card}.",
            "",
            "| network | samples | spikes in C++ | differing on the GPU | largest difference of a potential |",
            "|---|---|---|---|---|",
            identity(options, gpu),
            "",
            "| run | lanes x rounds x batches | Python | compiling | set-up | loop | total | samples per second |",
            "|---|---|---|---|---|---|---|---|",
            *timing(options, gpu),
            "",
            f"{options.samples} samples of {synthetic.DURATION_MS / 1000:g} s, {options.step_ms:g} ms, "
            f"140 - {options.hidden} - {options.hidden} - {synthetic.CLASSES} neurons.",
        ]
    except SpikebridgeError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    append_results("GPU against C++", f"python benchmarks/gpu.py {' '.join(words)}".rstrip(), lines)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
