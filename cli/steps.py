"""Whether the network of a configuration can be simulated at a step, asked before it is trained."""

from __future__ import annotations

from collections.abc import Sequence

from spikebridge.bridge.timing import off_grid
from spikebridge.training.config import TrainingConfig


def require_steps(key: str, steps_ms: Sequence[float], training: TrainingConfig) -> None:
    """Every step is given once, and one that the network can be put on.

    The rules are those of `discretise`, for the network that this configuration trains and exports.

    Args:
        key: where the steps come from, for the message.
        steps_ms: steps of simulations.
        training: says duration, training step and kind of the synapses.

    Raises:
        ValueError: what does not fit, and how to change it.
    """
    data, synapse = training.data, training.network.synapse
    for index, step_ms in enumerate(steps_ms):
        if step_ms in steps_ms[:index]:
            raise ValueError(f"{key}: {step_ms:g} ms is listed twice; list it once")
        if bool(off_grid(data.duration_ms, step_ms)):
            raise ValueError(
                f"{key}: data.duration_ms of {data.duration_ms:g} ms is no multiple of a step of {step_ms:g} ms; "
                "choose a step that divides it"
            )
        pulse_ms = training.pulse_ms
        if synapse == "pulse" and (step_ms > pulse_ms or bool(off_grid(pulse_ms, step_ms))):
            raise ValueError(
                f"{key}: pulses last {pulse_ms:g} ms (network.pulse_ms, by default the reference step of the "
                f"training), which is no multiple of a step of {step_ms:g} ms; choose a step that divides it, or train "
                "with network.synapse = 'exponential' or 'delta'"
            )
