"""Simulations as functions from files to files, planned before they run."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from spikebridge.bridge.disturbance import Disturbance
from spikebridge.bridge.errors import SpecError
from spikebridge.bridge.network_file import load_network
from spikebridge.bridge.physical import PhysicalUnits
from spikebridge.bridge.recording import Recording
from spikebridge.bridge.recording_file import load_recording
from spikebridge.bridge.spec import NetworkSpec
from spikebridge.sim.options import SimulationOptions

if TYPE_CHECKING:  # Brian2 takes seconds to import
    from spikebridge.sim.evaluation import Evaluation


@dataclass(frozen=True, slots=True)
class SimulationRequest:
    """What `simulate` was asked for.

    Attributes:
        networks: files; with several, `out` is a folder.
        inputs: a recording that holds the inputs.
        out: the file to write, or a folder for several networks or steps; None only to plan.
        steps_ms: time steps; none for the training grid.
        options: back end, lanes, workers.
        samples: only the first so many.
        replay: every population alone on recorded spikes.
        physical: units, None for none.
        disturbance: noise and failures; none of either by default.
    """

    networks: tuple[Path, ...]
    inputs: Path
    out: Path | None
    steps_ms: tuple[float, ...] = ()
    options: SimulationOptions = field(default_factory=SimulationOptions)
    samples: int | None = None
    replay: bool = False
    physical: PhysicalUnits | None = None
    disturbance: Disturbance = field(default_factory=Disturbance)

    def __post_init__(self) -> None:
        if self.replay and self.physical is not None:
            raise SpecError("--physical runs the whole network and --replay each population alone; give one of them")
        if self.replay and self.disturbance.any:
            raise SpecError(
                "--membrane-noise and --transmission-failure do not go with --replay, which asks whether spikes are "
                "the same; leave them or --replay out"
            )
        if self.replay and self.samples is not None:
            raise SpecError("--samples does not go with --replay, which plays the whole recording")
        if len(set(self.steps_ms)) < len(self.steps_ms):
            raise SpecError("--step-ms: a step is given twice; give each once")

    @property
    def single(self) -> bool:
        """Whether there is one recording to write."""
        return len(self.networks) == 1 and len(self.steps_ms) <= 1


def simulate_request(request: SimulationRequest, *, cluster: str | None, progress: bool) -> None:
    """Simulate and write every recording that was asked for.

    Raises:
        SpecError: what was asked for does not fit together, or the simulation failed.
        DataError: a file is missing or cannot be written.
    """
    from spikebridge.sim.to_files import simulate_to_files

    simulate_to_files(evaluations(request), cluster=cluster, progress=progress)


def evaluations(request: SimulationRequest) -> dict[Path, Evaluation]:
    """What to simulate, by the file to write; with `out` None, by names that files in the current folder would have.

    Raises:
        SpecError: what was asked for does not fit together; names network and inputs.
        DataError: a file is missing or damaged.
    """
    recording = load_recording(request.inputs, readout=False)
    available = recording.trials.n_samples
    if request.samples is not None and request.samples > available:
        raise SpecError(f"--samples {request.samples}: {request.inputs} holds {available}; give 1 to {available}")
    if request.replay and set(request.steps_ms) - {recording.step_ms}:
        raise SpecError(
            f"--step-ms with --replay: a replay plays recorded spikes at their step of {recording.step_ms:g} ms; leave "
            "--step-ms out"
        )
    found: dict[Path, Evaluation] = {}
    of: dict[Path, str] = {}
    for network in request.networks:
        spec = load_network(network)
        for step_ms in request.steps_ms or (spec.training_step_ms,):
            path = _target(request, network, recording.step_ms if request.replay else step_ms)
            this = f"{network} at {step_ms!r} ms"
            if path.resolve() in [read.resolve() for read in (request.inputs, *request.networks)]:
                raise SpecError(f"--out {request.out} would overwrite {path}, which is read; give another name")
            if path in found:
                raise SpecError(
                    f"{of[path]} and {this} would both be written to {path}; rename a network file (network.h5 goes by "
                    "the name of its folder), or simulate them one after the other"
                )
            try:
                found[path] = _evaluation(request, spec, recording, step_ms)
            except SpecError as error:
                raise SpecError(f"{this}, with the inputs of {request.inputs}: {error}") from error
            of[path] = this
    return found


def _target(request: SimulationRequest, network: Path, step_ms: float) -> Path:
    """The file of one simulation; a network called network.h5 is known by its folder."""
    out = request.out
    if request.single and out is not None:
        if out.is_dir():
            raise SpecError(f"--out {out} is a folder; give the name of the file to write")
        return out
    if out is not None and (out.is_file() or (out.suffix == ".h5" and not out.is_dir())):
        raise SpecError(f"--out {out} is the name of a file; several simulations go to a folder, give its name")
    label = network.resolve().parent.name if network.stem == "network" else network.stem
    kind = "replay" if request.replay else f"{step_ms:g}ms"
    return (out or Path()) / f"{label}_{kind}.h5"


def _evaluation(request: SimulationRequest, spec: NetworkSpec, recording: Recording, step_ms: float) -> Evaluation:
    from spikebridge.sim.evaluation import evaluation, replay_evaluation

    if request.replay:
        return replay_evaluation(spec, recording, options=request.options)
    trials = recording.trials
    if request.samples is not None:
        trials = trials.select(np.arange(request.samples))
    return evaluation(
        spec,
        trials,
        step_ms=step_ms,
        options=request.options,
        physical=request.physical,
        rates_hz=_rates_hz(recording),
        disturbance=request.disturbance,
    )


def _rates_hz(recording: Recording) -> dict[str, float]:
    """Mean rates of what was recorded, which is what to expect of the same populations."""
    seconds = max(recording.trials.n_samples, 1) * recording.duration_s
    return {name: trains.n_spikes / trains.n_neurons / seconds for name, trains in recording.spikes.items()}
