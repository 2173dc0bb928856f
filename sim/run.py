"""Simulate an exported network in Brian2: whole, or every population alone on recorded spikes."""

from __future__ import annotations

from collections.abc import Mapping

from spikebridge.bridge.discretise import GridNetwork
from spikebridge.bridge.disturbance import Disturbance
from spikebridge.bridge.physical import PhysicalUnits
from spikebridge.bridge.recording import Recording, Trials
from spikebridge.bridge.spec import NetworkSpec
from spikebridge.bridge.spikes import SpikeTrains
from spikebridge.sim.engine import Simulated
from spikebridge.sim.evaluation import evaluation, make_job, replay_evaluation
from spikebridge.sim.options import SimulationOptions
from spikebridge.sim.tasks import Work, simulated


def simulate(
    spec: NetworkSpec,
    trials: Trials,
    *,
    step_ms: float,
    options: SimulationOptions | None = None,
    physical: PhysicalUnits | None = None,
    disturbance: Disturbance | None = None,
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
        disturbance: noise of the membranes and transmission failures, not with a GPU; provenance says `disturbance`.
            What is drawn depends on its seed and on a sample's number among the trials, on nothing else.
        progress: show a progress bar, if standard error is a terminal.

    Returns:
        The recording, with readout traces if the step is that of the training or `options.keep_readout` is set.

    Raises:
        SpecError: the step does not fit, the inputs are not the network's, a compiler is missing, or the result is not
            finite.
    """
    what = evaluation(
        spec,
        trials,
        step_ms=step_ms,
        options=options or SimulationOptions(),
        physical=physical,
        disturbance=disturbance,
    )
    return what.recording(simulated(Work(what.job, what.inputs), progress=progress))


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
    what = replay_evaluation(spec, reference, options=options or SimulationOptions())
    return what.recording(simulated(Work(what.job, what.inputs), progress=progress))


def run_network(
    grid: GridNetwork,
    inputs: Mapping[str, SpikeTrains],
    options: SimulationOptions,
    *,
    physical: PhysicalUnits | None = None,
    disturbance: Disturbance | None = None,
    progress: bool = False,
) -> Simulated:
    """Run a network on its grid.

    Args:
        grid: the network on its grid.
        inputs: one entry per input of the network, on the same grid.
        options: back end and batching.
        physical: run in mV, pA, pF and nS; what is returned is dimensionless all the same.
        disturbance: noise of the membranes and transmission failures.
        progress: show a progress bar, if standard error is a terminal.

    Raises:
        SpecError: inputs are not the network's, a compiler is missing, or the result is not finite.
    """
    job = make_job(grid, inputs, options, physical, disturbance=disturbance)
    return simulated(Work(job, inputs), progress=progress)
