"""Machines with a GPU for tests on machines without one, and the network that they run."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import brian2
import numpy as np
from networks import edges, network, neurons, on_training_grid

from spikebridge.bridge.discretise import GridNetwork
from spikebridge.bridge.spec import NetworkSpec, SynapseKind
from spikebridge.bridge.spikes import SpikeTrains
from spikebridge.sim.build import build
from spikebridge.sim.cuda_card import Card
from spikebridge.sim.cuda_device import cuda_project, generate
from spikebridge.sim.cuda_memory import Memory
from spikebridge.sim.cuda_plan import CudaPlan, spread
from spikebridge.sim.cuda_toolkit import Toolkit
from spikebridge.sim.options import SimulationOptions

CARD = Card(0, "GPU-0a1b2c3d", "NVIDIA H100", 81559, 80000, "9.0", "580.65.06")
MEMORY = Memory(gpu_free_mib=80000, host_mib=64000)

NVCC = """#!/bin/sh
case "$1" in
--version) echo "Cuda compilation tools, release {version}, V{version}.88" ;;
--dryrun) echo '#$ TOP={folder}/bin/..' >&2 ;;
--list-gpu-code) echo "sm_75 sm_80 sm_90 sm_120" ;;
esac
"""


def script(path: Path, text: str) -> Path:
    """An executable file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def fake_toolkit(folder: Path, version: str = "13.0", *, curand: bool = True) -> Toolkit:
    """A toolkit whose nvcc answers questions and compiles nothing."""
    script(folder / "bin" / "nvcc", NVCC.format(version=version, folder=folder))
    if curand:
        (folder / "include").mkdir(exist_ok=True)
        (folder / "include" / "curand.h").touch()
    major, minor = version.split(".")
    return Toolkit(folder, (int(major), int(minor)), frozenset({"7.5", "8.0", "9.0", "12.0"}))


def programs(folder: Path, *names: str) -> str:
    """A PATH with nothing but these programs, which do nothing."""
    for name in names:
        script(folder / name, "#!/bin/sh\n")
    return os.fspath(folder)


def small_network(weight: float = 1.0, delay_steps: int = 3, n_steps: int = 12, source_delay: int = 0) -> NetworkSpec:
    """The smallest with everything: a pulse of two steps, adaptation, refractoriness, delays equal and not."""
    hidden = neurons("hidden", 2, a=0.3, b=0.2, refractory_steps=2)
    pulse = edges(
        "input", "hidden", [(0, 0, weight, source_delay), (0, 1, 0.5, delay_steps)], SynapseKind.PULSE, pulse_steps=2
    )
    return network([hidden], [pulse, edges("hidden", "readout", [(0, 0, 1.0, 1), (1, 0, weight, 1)])], n_steps=n_steps)


@dataclass(frozen=True)
class Generated:
    """A project and what it was planned with."""

    project: Path
    plan: CudaPlan

    def text(self, pattern: str) -> str:
        """All files of a pattern, one after another."""
        return "\n".join(path.read_text() for path in sorted(self.project.glob(pattern)))


def generated(
    project: Path, grid: GridNetwork, inputs: Mapping[str, SpikeTrains], toolkit: Toolkit, lanes: int | None = 2
) -> Generated:
    """Generate the sources of a network in a folder, for a card of compute capability 9.0, to be compiled quickly."""
    options = SimulationOptions(backend="cuda", lanes=lanes)
    plan = spread(grid, inputs, options, toolkit, CARD, MEMORY)
    with cuda_project(project, toolkit, "9.0", "-O1"):
        built = build(grid, inputs, plan.layout, None, plan.sources)
        generate(built.network, plan.layout.total_steps * (grid.step_ms * brian2.ms), project)
    return Generated(project, plan)


def counted_inputs(grid: GridNetwork, samples: int, seed: int) -> dict[str, SpikeTrains]:
    """At most one spike per channel and step: inputs of any seed need generators of the same shape."""
    rng = np.random.default_rng(seed)
    return {
        node.name: SpikeTrains.from_counts(rng.random((samples, grid.n_steps, node.size)) < 0.4, grid.step_ms)
        for node in grid.spec.inputs
    }


def on_grid(spec: NetworkSpec) -> GridNetwork:
    """On the training grid."""
    return on_training_grid(spec)
