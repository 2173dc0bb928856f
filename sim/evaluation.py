"""What is to be simulated and what a recording says about it: a network on some trials at one step."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, fields

from spikebridge.bridge.discretise import GridNetwork, discretise
from spikebridge.bridge.disturbance import Disturbance
from spikebridge.bridge.errors import SpecError
from spikebridge.bridge.network_file import network_sha256
from spikebridge.bridge.physical import PhysicalUnits
from spikebridge.bridge.provenance import source_sha256, versions
from spikebridge.bridge.recording import Recording, RecordingHeader, Trials
from spikebridge.bridge.reference import check_inputs
from spikebridge.bridge.replay import replay_inputs, replay_network
from spikebridge.bridge.spec import NetworkSpec
from spikebridge.bridge.spikes import CropReport, SpikeTrains, bin_events
from spikebridge.sim.cuda_plan import gpu_costs, with_lanes
from spikebridge.sim.engine import Simulated
from spikebridge.sim.job import Job
from spikebridge.sim.options import SimulationOptions
from spikebridge.sim.planner import plan
from spikebridge.sim.stream_engine import spikes_per_channel


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """A network on some trials at one step, ready to be simulated.

    Attributes:
        job: what simulates.
        inputs: spikes by name of the input, on the grid.
        spec: the network that the recording is of; a replay runs another one.
        grid: what runs, on its grid.
        trials: inputs and labels.
        network_sha256: of `spec`.
        provenance: what the recording will say about how it came about.
    """

    job: Job
    inputs: Mapping[str, SpikeTrains]
    spec: NetworkSpec
    grid: GridNetwork
    trials: Trials
    network_sha256: str
    provenance: Mapping[str, str]

    @property
    def executor(self) -> str:
        """What the recording calls its executor."""
        return f"brian2-{self.job.options.backend}"

    @property
    def header(self) -> RecordingHeader:
        """What the recording says of all its samples."""
        return RecordingHeader(
            executor=self.executor,
            network_sha256=self.network_sha256,
            step_ms=self.grid.step_ms,
            n_steps=self.grid.n_steps,
            trials=self.trials,
            provenance=self.provenance,
        )

    def recording(self, done: Simulated) -> Recording:
        """The recording of all samples."""
        header = self.header
        said = {field.name: getattr(header, field.name) for field in fields(RecordingHeader)}
        return Recording(**said, spikes=done.spikes, scores=done.scores, readout=done.readout)


def evaluation(
    spec: NetworkSpec,
    trials: Trials,
    *,
    step_ms: float,
    options: SimulationOptions,
    physical: PhysicalUnits | None = None,
    rates_hz: Mapping[str, float] | None = None,
    disturbance: Disturbance | None = None,
) -> Evaluation:
    """A network on trials: inputs are put on the grid of `step_ms` from their true times.

    Args:
        spec: the network.
        trials: inputs and labels.
        step_ms: time step.
        options: back end and batching.
        physical: run in mV, pA, pF and nS instead of without units.
        rates_hz: of populations, where they are known: for the plan.
        disturbance: noise of the membranes and transmission failures.

    Raises:
        SpecError: the step does not fit, the inputs are not the network's, or a GPU is to simulate a disturbance.
    """
    grid = discretise(spec, step_ms)
    inputs, crop = _binned(spec, trials, grid)
    return _evaluation(spec, grid, trials, inputs, options, crop, physical, rates_hz=rates_hz, disturbance=disturbance)


def replay_evaluation(spec: NetworkSpec, reference: Recording, *, options: SimulationOptions) -> Evaluation:
    """Every population alone, driven by the spikes that `reference` recorded, on its grid.

    Raises:
        SpecError: as `evaluation`; or the recording is of another network, or lacks a population.
    """
    if reference.network_sha256 != network_sha256(spec):
        raise SpecError("cannot replay: the recording is of another network; record the network that is simulated")
    inputs, crop = _binned(spec, reference.trials, discretise(spec, reference.step_ms))
    played = replay_inputs(spec, inputs, reference.spikes)
    grid = discretise(replay_network(spec), reference.step_ms)
    replay = f"spikes of {reference.executor}"
    return _evaluation(spec, grid, reference.trials, played, options, crop, replay=replay)


def make_job(
    grid: GridNetwork,
    inputs: Mapping[str, SpikeTrains],
    options: SimulationOptions,
    physical: PhysicalUnits | None = None,
    rates_hz: Mapping[str, float] | None = None,
    sha256: str | None = None,
    disturbance: Disturbance | None = None,
) -> Job:
    """What simulates these inputs, back end and lanes decided; `sha256` is that of the network, where it is known.

    Raises:
        SpecError: inputs are not the network's, there are no samples, or a GPU is to simulate a disturbance.
    """
    if disturbance is not None and not disturbance.any:
        disturbance = None
    if disturbance is not None and options.backend == "cuda":
        raise SpecError(
            f"backend 'cuda' does not simulate disturbances ({disturbance}); use backend 'cpp', 'numpy' or 'cython'"
        )
    check_inputs(grid, inputs)
    samples = next(iter(inputs.values())).n_samples
    if samples < 1:
        raise SpecError("there are no samples to simulate")
    decided = plan(grid, inputs, with_lanes(grid, inputs, options), rates_hz, disturbance)
    if decided.options.backend == "cuda":
        decided = gpu_costs(grid, inputs, decided)
    keep = options.keep_readout or grid.step_ms == grid.spec.training_step_ms
    capacity = spikes_per_channel(inputs)
    identity = (
        sha256 or network_sha256(grid.spec),
        grid.step_ms,
        decided.options,
        capacity,
        keep,
        physical,
        disturbance,
    )
    key = hashlib.sha256(repr(identity).encode()).hexdigest()
    return Job(key, grid.spec, grid.step_ms, decided, capacity, keep, physical, disturbance)


def units_text(physical: PhysicalUnits | None) -> str:
    """The provenance entry `units` of a recording."""
    return "dimensionless" if physical is None else str(physical)


def asked(options: SimulationOptions, disturbance: Disturbance | None = None) -> dict[str, str]:
    """What a recording says about who made it and how; equal where it need not be made again."""
    return {
        **versions("brian2"),
        "source_sha256": source_sha256("bridge", "sim"),
        **options.provenance(),
        "disturbance": str(disturbance or Disturbance()),
    }


def _evaluation(
    spec: NetworkSpec,
    grid: GridNetwork,
    trials: Trials,
    inputs: Mapping[str, SpikeTrains],
    options: SimulationOptions,
    crop: CropReport,
    physical: PhysicalUnits | None = None,
    *,
    rates_hz: Mapping[str, float] | None = None,
    replay: str = "no",
    disturbance: Disturbance | None = None,
) -> Evaluation:
    sha256 = network_sha256(spec)
    known = sha256 if grid.spec is spec else None
    job = make_job(grid, inputs, options, physical, rates_hz, known, disturbance)
    provenance = {
        **asked(options, disturbance),
        "simulation.lanes_used": str(min(job.lanes, trials.n_samples)),
        "units": units_text(physical),
        "roundings": "; ".join(grid.roundings) or "none",
        "replay": replay,
        "crop": str(crop),
    }
    return Evaluation(job, inputs, spec, grid, trials, sha256, provenance)


def _binned(spec: NetworkSpec, trials: Trials, grid: GridNetwork) -> tuple[dict[str, SpikeTrains], CropReport]:
    if len(spec.inputs) != 1:
        raise SpecError(f"trials drive one input, but the network has {[node.name for node in spec.inputs]}")
    classes = spec.sizes[spec.readout.population]
    if len(trials.class_names) != classes:
        raise SpecError(f"the trials have {len(trials.class_names)} classes, the readout of the network {classes}")
    trains, crop = bin_events(trials.events, grid.step_ms, grid.n_steps)
    return {spec.inputs[0].name: trains}, crop
