"""Simulate an exported network in Brian2: whole, or every population alone on recorded spikes."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass

import brian2
import numpy as np
from tqdm import tqdm

from spikebridge.bridge.arrays import FloatArray
from spikebridge.bridge.decoding import decode
from spikebridge.bridge.discretise import GridNetwork, discretise
from spikebridge.bridge.errors import SpecError
from spikebridge.bridge.network_file import network_sha256
from spikebridge.bridge.physical import PhysicalUnits
from spikebridge.bridge.provenance import source_sha256, versions
from spikebridge.bridge.recording import Recording, Trials
from spikebridge.bridge.reference import check_inputs
from spikebridge.bridge.replay import replay_inputs, replay_network
from spikebridge.bridge.spec import NetworkSpec
from spikebridge.bridge.spikes import CropReport, SpikeTrains, bin_events
from spikebridge.sim.backends import backend
from spikebridge.sim.build import build
from spikebridge.sim.layout import batches, plan_layout
from spikebridge.sim.options import SimulationOptions
from spikebridge.sim.read import read_readout, read_spikes, require_finite


@dataclass(frozen=True, slots=True, eq=False)
class Simulated:
    """Spikes by population, scores (S, C) and readout traces (S, T, C) of the same samples; traces may be dropped."""

    spikes: dict[str, SpikeTrains]
    scores: FloatArray
    readout: FloatArray | None


def simulate(
    spec: NetworkSpec,
    trials: Trials,
    *,
    step_ms: float,
    options: SimulationOptions | None = None,
    physical: PhysicalUnits | None = None,
    progress: bool = False,
) -> Recording:
    """Simulate a network on some trials at any step that divides its duration and pulses.

    Inputs are put on the grid of `step_ms` from their true times: on the training grid that gives the bins of the
    training, on a finer one the times as they were.

    Args:
        spec: the network.
        trials: inputs and labels.
        step_ms: time step.
        options: back end and batching.
        physical: run the network in mV, pA, pF and nS (rung 5 of the parity ladder); the recording is dimensionless
            all the same, its provenance says `units: physical (...)`.
        progress: show a progress bar, if standard error is a terminal.

    Returns:
        The recording, with readout traces if the step is that of the training or `options.keep_readout` is set.

    Raises:
        SpecError: the step does not fit, the inputs are not the network's, a compiler is missing, or the result is not
            finite.
    """
    options = options or SimulationOptions()
    grid = discretise(spec, step_ms)
    inputs, crop = _binned(spec, trials, grid)
    done = run_network(grid, inputs, options, physical=physical, progress=progress)
    return _recording(spec, grid, trials, done, options, crop, physical=physical, replay="no")


def simulate_replay(
    spec: NetworkSpec,
    reference: Recording,
    *,
    options: SimulationOptions | None = None,
    progress: bool = False,
) -> Recording:
    """Rung 2 of the parity ladder: each population alone, driven by the spikes that `reference` recorded.

    Args:
        spec: the original network.
        reference: what another executor did with it; the replay runs on the same grid.
        options: back end and batching.
        progress: show a progress bar, if standard error is a terminal.

    Raises:
        SpecError: as `simulate`; or the recording is of another network, or lacks a population.
    """
    options = options or SimulationOptions()
    if reference.network_sha256 != network_sha256(spec):
        raise SpecError("cannot replay: the recording is of another network; record the network that is simulated")
    inputs, crop = _binned(spec, reference.trials, discretise(spec, reference.step_ms))
    grid = discretise(replay_network(spec), reference.step_ms)
    done = run_network(grid, replay_inputs(spec, inputs, reference.spikes), options, progress=progress)
    return _recording(spec, grid, reference.trials, done, options, crop, replay=f"spikes of {reference.executor}")


def run_network(
    grid: GridNetwork,
    inputs: Mapping[str, SpikeTrains],
    options: SimulationOptions,
    *,
    physical: PhysicalUnits | None = None,
    progress: bool = False,
) -> Simulated:
    """Run a network on its grid in batches of samples, each batch one Brian2 Network.

    Args:
        grid: the network on its grid.
        inputs: one entry per input of the network, on the same grid.
        options: back end and batching.
        physical: run in mV, pA, pF and nS; what is returned is dimensionless all the same.
        progress: show a progress bar, if standard error is a terminal.

    Raises:
        SpecError: inputs are not the network's, a compiler is missing, or the result is not finite.
    """
    check_inputs(grid, inputs)
    samples = next(iter(inputs.values())).n_samples
    planned = batches(grid, samples, options.effective_lanes, options.readout_limit_mib)
    keep = options.keep_readout or grid.step_ms == grid.spec.training_step_ms
    title = f"Brian2 {options.backend}, {grid.step_ms:g} ms"
    parts: list[Simulated] = []
    done = 0
    with tqdm(total=samples, desc=title, unit="sample", disable=None if progress else True) as bar:
        for picked in planned:

            def show(share: float, before: int = done, size: int = picked.size) -> None:
                bar.update(before + int(share * size) - bar.n)

            chosen = {name: trains.select(picked) for name, trains in inputs.items()}
            part = _run_batch(grid, chosen, options, physical, show)
            parts.append(part if keep else Simulated(part.spikes, part.scores, None))
            done += picked.size
            gc.collect()  # Brian2's objects refer to each other in cycles, and a batch of them can be large
    return Simulated(
        spikes={
            name: SpikeTrains.joined([part.spikes[name] for part in parts]) for name in grid.spec.spiking_populations
        },
        scores=np.concatenate([part.scores for part in parts]),
        readout=np.concatenate([part.readout for part in parts if part.readout is not None]) if keep else None,
    )


def _run_batch(
    grid: GridNetwork,
    inputs: dict[str, SpikeTrains],
    options: SimulationOptions,
    physical: PhysicalUnits | None,
    show: Callable[[float], None],
) -> Simulated:
    samples = next(iter(inputs.values())).n_samples
    layout = plan_layout(grid, samples, options.effective_lanes)
    with backend(options) as run:
        built = build(grid, inputs, layout, physical)
        run(built.network, layout.total_steps * (grid.step_ms * brian2.ms), show)
        require_finite(built, layout)
        spikes = {name: read_spikes(name, built, grid, layout, samples) for name in grid.spec.spiking_populations}
        readout = read_readout(built, grid, layout, samples)
    rule, training_step_ms = grid.spec.readout.decoding, grid.spec.training_step_ms
    return Simulated(spikes, decode(readout, rule, step_ms=grid.step_ms, training_step_ms=training_step_ms), readout)


def _binned(spec: NetworkSpec, trials: Trials, grid: GridNetwork) -> tuple[dict[str, SpikeTrains], CropReport]:
    if len(spec.inputs) != 1:
        raise SpecError(f"trials drive one input, but the network has {[node.name for node in spec.inputs]}")
    classes = spec.sizes[spec.readout.population]
    if len(trials.class_names) != classes:
        raise SpecError(f"the trials have {len(trials.class_names)} classes, the readout of the network {classes}")
    trains, crop = bin_events(trials.events, grid.step_ms, grid.n_steps)
    return {spec.inputs[0].name: trains}, crop


def units_text(physical: PhysicalUnits | None) -> str:
    """The provenance entry `units` of a recording."""
    return "dimensionless" if physical is None else str(physical)


def _recording(
    spec: NetworkSpec,
    grid: GridNetwork,
    trials: Trials,
    done: Simulated,
    options: SimulationOptions,
    crop: CropReport,
    *,
    physical: PhysicalUnits | None = None,
    replay: str,
) -> Recording:
    return Recording(
        executor=f"brian2-{options.backend}",
        network_sha256=network_sha256(spec),
        step_ms=grid.step_ms,
        n_steps=grid.n_steps,
        trials=trials,
        spikes=done.spikes,
        scores=done.scores,
        readout=done.readout,
        provenance={
            **versions("brian2"),
            "source_sha256": source_sha256("bridge", "sim"),
            **{f"simulation.{key}": str(value) for key, value in asdict(options).items()},
            "simulation.lanes_used": str(min(options.effective_lanes, trials.n_samples)),
            "units": units_text(physical),
            "roundings": "; ".join(grid.roundings) or "none",
            "replay": replay,
            "crop": str(crop),
        },
    )
