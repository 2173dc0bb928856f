"""10,000 neurons with 10 million delayed synapses: the spikes of Brian2's runtime, in the memory that was planned."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from networks import random_trials

from spikebridge.bridge.decoding import Decoding
from spikebridge.bridge.network_file import save_network
from spikebridge.bridge.recording_file import load_recording, save_recording
from spikebridge.bridge.rounding import round_weights
from spikebridge.bridge.spec import Input, NetworkSpec, Population, Projection, Readout, Reset, SynapseKind
from spikebridge.sim.options import SimulationOptions
from spikebridge.sim.run import simulate

NEURONS = 5000
FAN_IN = 660
STEP_MS = 0.1
DURATION_MS = 40.0


def large_network() -> NetworkSpec:
    """100 - 5,000 - 5,000 - 4, recurrent, 660 inputs of 0 to 20 ms per neuron and hidden projection."""
    rng = np.random.default_rng(5)

    def project(source: str, target: str, sources: int, targets: int, fan_in: int, scale: float) -> Projection:
        post = np.repeat(np.arange(targets, dtype=np.int32), fan_in)
        weight = round_weights(rng.normal(0.0, 0.5, post.size) * scale / np.sqrt(fan_in), 2.0**-20)
        delay_ms = np.asarray(rng.integers(0, 201, post.size) * 0.1, dtype=np.float64)
        pre = rng.integers(0, sources, post.size, dtype=np.int32)
        return Projection(source, target, pre, post, weight, delay_ms, SynapseKind.EXPONENTIAL, tau_syn_ms=5.0)

    def population(name: str, size: int, bias: float, *, spiking: bool = True) -> Population:
        jump = 0.3 if spiking else 0.0
        u, w, a, b, theta = (np.full(size, value) for value in (10.0, 80.0, jump, jump, 1.0))
        current = rng.uniform(0.5, 1.0, size) * bias
        return Population(name, size, u, w, a, b, theta, current, Reset.SUBTRACT, 0.0, 2.0 if spiking else 0.0, spiking)

    projections = (
        project("input", "first", 100, NEURONS, 20, 4.0),
        project("first", "first", NEURONS, NEURONS, FAN_IN, 2.0),
        project("first", "second", NEURONS, NEURONS, FAN_IN, 4.0),
        project("second", "second", NEURONS, NEURONS, FAN_IN, 2.0),
        project("second", "readout", NEURONS, 4, 500, 1.0),
    )
    populations = (population("first", NEURONS, 1.2), population("second", NEURONS, 1.2))
    readout = population("readout", 4, 0.0, spiking=False)
    return NetworkSpec(
        (Input("input", 100),),
        (*populations, readout),
        projections,
        Readout("readout", Decoding.MEAN),
        training_step_ms=1.0,
        duration_ms=DURATION_MS,
    )


def peak_mib(command: list[str]) -> float:
    """The sum of the most memory that a command and each of its children held; pages they share are divided among them.

    Each process's own highest, because a busy machine may start one worker when the other has ended: what is planned is
    that they are at their highest together.
    """
    process = subprocess.Popen(command)
    peaks: dict[int, float] = {}
    while process.poll() is None:
        for pid in family(process.pid):
            peaks[pid] = max(peaks.get(pid, 0.0), proportional_mib(pid))
        time.sleep(0.01)
    assert process.returncode == 0
    return sum(peaks.values())


def family(pid: int) -> list[int]:
    """A process and its descendants; those that end meanwhile are left out."""
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        children = [int(child) for task in tasks for child in (task / "children").read_text().split()]
    except OSError:
        return [pid]
    return [pid, *(member for child in children for member in family(child))]


def proportional_mib(pid: int) -> float:
    try:
        found = re.search(r"^Pss:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    except OSError:
        return 0.0
    return int(found.group(1)) / 1024 if found else 0.0


@pytest.mark.slow
def test_ten_million_synapses_fire_as_in_the_runtime_within_the_planned_memory(tmp_path: Path) -> None:
    spec = large_network()
    assert sum(projection.weight.size for projection in spec.projections) > 10_000_000
    trials = random_trials(spec, 6)
    network, inputs, out = (tmp_path / name for name in ("network.h5", "inputs.h5", "out.h5"))
    save_network(spec, network)
    runtime = simulate(spec, trials, step_ms=STEP_MS, options=SimulationOptions(backend="numpy", lanes=1))
    save_recording(runtime, inputs)
    command = [sys.executable, "-m", "spikebridge.cli.main", "simulate", str(network), "--inputs", str(inputs)]
    command += ["--step-ms", str(STEP_MS), "--backend", "cpp", "--workers", "2"]
    plan = subprocess.run([*command, "--plan"], capture_output=True, text=True, check=True).stdout
    planned = re.search(r"memory +([\d,]+) MiB at its peak", plan)
    assert planned is not None
    planned_mib = float(planned.group(1).replace(",", ""))
    subprocess.run([*command, "--out", str(out), "--quiet"], check=True)  # compiles: compilers are not in the plan
    out.unlink()
    measured_mib = peak_mib([*command, "--out", str(out), "--quiet"])
    assert planned_mib == pytest.approx(measured_mib, rel=0.2)

    made = load_recording(out)
    for name, trains in runtime.spikes.items():
        assert trains.n_spikes > NEURONS / 10
        np.testing.assert_array_equal(made.spikes[name].step, trains.step)
        np.testing.assert_array_equal(made.spikes[name].neuron, trains.neuron)
        np.testing.assert_array_equal(made.spikes[name].offsets, trains.offsets)
    np.testing.assert_array_equal(made.scores, runtime.scores)
