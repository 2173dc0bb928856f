"""Simulate an exported network in Brian2: whole, or every population alone on recorded spikes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import brian2
import numpy as np
from tqdm import tqdm

from spikebridge.bridge.arrays import FloatArray, IntArray
from spikebridge.bridge.decoding import decode
from spikebridge.bridge.discretise import GridNetwork, discretise
from spikebridge.bridge.errors import SpecError
from spikebridge.bridge.network_file import network_sha256
from spikebridge.bridge.provenance import versions
from spikebridge.bridge.recording import Recording, Trials
from spikebridge.bridge.reference import check_inputs
from spikebridge.bridge.replay import replay_inputs, replay_network
from spikebridge.bridge.spec import NetworkSpec
from spikebridge.bridge.spikes import SpikeTrains, bin_events
from spikebridge.sim.backends import backend
from spikebridge.sim.build import Built, build
from spikebridge.sim.layout import Layout, batches, plan_layout
from spikebridge.sim.options import SimulationOptions


@dataclass(frozen=True, slots=True, eq=False)
class Simulated:
    """Spikes by population, and scores and readout traces of the same samples."""

    spikes: dict[str, SpikeTrains]
    scores: FloatArray
    readout: FloatArray | None


def simulate(
    spec: NetworkSpec,
    trials: Trials,
    *,
    step_ms: float,
    options: SimulationOptions | None = None,
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
        progress: show a progress bar.

    Raises:
        SpecError: the step does not fit, the inputs are not the network's, or the result is not finite.
    """
    options = options or SimulationOptions()
    grid = discretise(spec, step_ms)
    if len(spec.inputs) != 1:
        raise SpecError(f"trials drive one input, the network has {[node.name for node in spec.inputs]}")
    inputs, crop = bin_events(trials.events, step_ms, grid.n_steps)
    done = run_network(grid, {spec.inputs[0].name: inputs}, options, progress=progress)
    return _recording(spec, grid, trials, done, options, {"replay": "no", "crop": str(crop)})


def simulate_replay(
    spec: NetworkSpec,
    reference: Recording,
    *,
    options: SimulationOptions | None = None,
    progress: bool = False,
) -> Recording:
    """Rung 2 of the parity ladder: each population alone, driven by the spikes that `reference` recorded.

    Raises:
        SpecError: the recording is of another network, or lacks a population.
    """
    options = options or SimulationOptions()
    if reference.network_sha256 != network_sha256(spec):
        raise SpecError("cannot replay: the recording is of another network; record the network that is simulated")
    original = discretise(spec, reference.step_ms)
    inputs, crop = bin_events(reference.trials.events, reference.step_ms, original.n_steps)
    grid = discretise(replay_network(spec), reference.step_ms)
    played = replay_inputs(spec, {spec.inputs[0].name: inputs}, reference.spikes)
    done = run_network(grid, played, options, progress=progress)
    return _recording(spec, grid, reference.trials, done, options, {"replay": "yes", "crop": str(crop)})


def run_network(
    grid: GridNetwork, inputs: Mapping[str, SpikeTrains], options: SimulationOptions, *, progress: bool = False
) -> Simulated:
    """Run a network on its grid in batches of samples, each batch one Brian2 Network.

    Raises:
        SpecError: inputs are not the network's, or the result is not finite.
    """
    check_inputs(grid, inputs)
    spec = grid.spec
    samples = next(iter(inputs.values())).n_samples
    classes = spec.population(spec.readout.population).size
    parts: list[Simulated] = []
    planned = batches(grid, samples, classes, options.effective_lanes, options.readout_limit_mib)
    title = f"Brian2 ({options.backend}, {grid.step_ms:g} ms)"
    keep = options.keep_readout or grid.step_ms == spec.training_step_ms
    with tqdm(total=samples, desc=title, unit="sample", disable=not progress) as bar:
        for picked in planned:
            part = _run_batch(grid, {name: trains.select(picked) for name, trains in inputs.items()}, options)
            parts.append(part if keep else Simulated(part.spikes, part.scores, None))
            bar.update(picked.size)
    return Simulated(
        spikes={name: _joined([part.spikes[name] for part in parts]) for name in spec.spiking_populations},
        scores=np.concatenate([part.scores for part in parts]),
        readout=np.concatenate([part.readout for part in parts if part.readout is not None]) if keep else None,
    )


def _run_batch(grid: GridNetwork, inputs: dict[str, SpikeTrains], options: SimulationOptions) -> Simulated:
    samples = next(iter(inputs.values())).n_samples
    layout = plan_layout(grid, samples, options.effective_lanes)
    with backend(options) as run:
        built = build(grid, inputs, layout)
        run(built, layout.total_steps, grid.step_ms * brian2.ms)
        spikes = {name: _spikes(name, built, grid, layout, samples) for name in grid.spec.spiking_populations}
        readout = _readout(built, grid, layout, samples)
    if not np.isfinite(readout).all():
        sample = int(np.argmax(~np.isfinite(readout).all(axis=(1, 2))))
        raise SpecError(f"the readout is not finite in sample {sample} of this batch: the network's parameters diverge")
    scores = decode(
        readout, grid.spec.readout.decoding, step_ms=grid.step_ms, training_step_ms=grid.spec.training_step_ms
    )
    return Simulated(spikes, scores, readout)


def _spikes(name: str, built: Built, grid: GridNetwork, layout: Layout, samples: int) -> SpikeTrains:
    monitor = built.spike_monitors[name]
    size = grid.spec.sizes[name]
    step = np.round(np.asarray(monitor.t / (grid.step_ms * brian2.ms))).astype(np.int64)
    lane, neuron = np.divmod(np.asarray(monitor.i[:], dtype=np.int64), size)
    sample = layout.sample(lane, step)
    inside = sample < samples  # lanes without a sample in the last round have no input, but may have a bias
    sample, step, neuron = sample[inside], step[inside] % layout.period_steps, neuron[inside]
    order = np.argsort(sample, kind="stable")
    offsets = np.zeros(samples + 1, dtype=np.int64)
    np.cumsum(np.bincount(sample, minlength=samples), out=offsets[1:])
    return SpikeTrains(
        step[order].astype(np.int32),
        neuron[order].astype(np.int32),
        offsets,
        grid.n_steps,
        size,
        grid.step_ms,
    )


def _readout(built: Built, grid: GridNetwork, layout: Layout, samples: int) -> FloatArray:
    """Potentials (samples, steps, classes) from the trace (lanes * classes, total steps)."""
    trace = np.asarray(built.readout_monitor.u[:])
    traces = trace.reshape(layout.lanes, -1, trace.shape[1])
    readout = np.empty((samples, grid.n_steps, traces.shape[1]))
    every: IntArray = np.arange(samples)
    for sample, lane, start in zip(every, layout.lane(every), layout.start_step(every), strict=True):
        readout[sample] = traces[lane, :, start : start + grid.n_steps].T
    return readout


def _joined(parts: list[SpikeTrains]) -> SpikeTrains:
    first = parts[0]
    lengths = np.concatenate([np.diff(part.offsets) for part in parts])
    return SpikeTrains(
        np.concatenate([part.step for part in parts]),
        np.concatenate([part.neuron for part in parts]),
        np.concatenate([[0], np.cumsum(lengths)]),
        first.n_steps,
        first.n_neurons,
        first.step_ms,
    )


def _recording(
    spec: NetworkSpec,
    grid: GridNetwork,
    trials: Trials,
    done: Simulated,
    options: SimulationOptions,
    extra: Mapping[str, str],
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
            **{f"simulation.{key}": str(value) for key, value in asdict(options).items()},
            "roundings": "; ".join(grid.roundings) or "none",
            **extra,
        },
    )
