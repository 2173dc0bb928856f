"""One population over all steps, compiled. The order of operations is that of `spikebridge.bridge.reference`.

So in float64 with exported weights the bits are the same. A step is a few loops over neurons without branches inside,
which the compiler turns into vector instructions; Python's lock is released, so that blocks of samples run on threads.
"""

from __future__ import annotations

import numpy as np

from spikebridge.training.compiled import compiled, compiled_within
from spikebridge.training.fused_step import (
    decay,
    fetch,
    fire,
    keep,
    land,
    propagate,
    propagate_adaptive,
    reset,
    run_on,
    scaled,
    send,
    settle,
    start_waiting,
    tick,
)
from spikebridge.training.fused_types import (
    DELTA,
    EXPONENTIAL,
    Constants,
    Entries,
    Floats,
    Ints,
    Kind,
    State,
    Traces,
    entries,
)
from spikebridge.training.lane_bits import memory_for, who_fires
from spikebridge.training.own_spikes import add_rows
from spikebridge.training.single_pulse import adaptive_step, leaky_step, note, single_pulses

TOGETHER = 16
"""Samples side by side, so that calls and views cost little; their state stays in the nearest cache."""


@compiled
def forward(first: int, last: int, kind: Kind, constants: Constants, traces: Traces) -> None:
    """Run samples `first .. last - 1`; `traces.due` is the external arrivals, or made from them and completed."""
    steps, size, dtype = traces.due.shape[1], traces.due.shape[2], traces.due.dtype
    step = entries(constants)
    if single_pulses(kind):
        run_single_pulses(first, last, kind, constants, step, traces)
        return
    for start in range(first, last, TOGETHER):
        end = min(start + TOGETHER, last)
        shape = (end - start, size)
        x = State(
            np.zeros(shape, dtype),
            np.zeros(shape, dtype),
            np.zeros(shape, dtype),
            np.zeros(shape, dtype),
            np.zeros(shape, dtype),
            np.zeros(shape, dtype),
        )
        if constants.scale.size:
            for b in range(start, end):
                scaled(b, b, constants.scale, traces.raw, traces.due)
        elif constants.lags.size:
            traces.due[start:end] = traces.raw[start:end]
        for now in range(steps):
            one_step(start, now, kind, constants, step, traces, x)


@compiled
def run_single_pulses(first: int, last: int, kind: Kind, constants: Constants, step: Entries, traces: Traces) -> None:
    """`forward` where `single_pulses` holds: sample by sample, so that memory is read and written in its order."""
    size, dtype = traces.due.shape[2], traces.due.dtype
    due, spikes, weights = traces.due.ravel(), traces.spikes.ravel(), constants.recurrent.ravel()
    nothing, found = np.zeros((1, 1, size), dtype), memory_for(size)
    # Without recurrence nothing is added to what arrives from outside, so that is scaled anew on the way back.
    own = constants.lags.size > 0
    scratch = np.empty((1 if constants.scale.size and not own else 0, traces.due.shape[1], size), dtype)
    for b in range(first, last):
        u, w = np.zeros(size, dtype), np.zeros(size, dtype)
        arrived, sample = (scratch, 0) if len(scratch) else (traces.due, b)
        if constants.scale.size:
            scaled(b, sample, constants.scale, traces.raw, arrived)
        elif own:
            traces.due[b] = traces.raw[b]
        single_pulse_step(b, 0, nothing, 0, 0, kind, constants, step, traces, u, w)
        single_pulses_on(b, arrived, sample, kind, constants, step, traces, u, w, due, spikes, weights, found)


@compiled_within
def single_pulses_on(
    b: int,
    arrived: Floats,
    sample: int,
    kind: Kind,
    constants: Constants,
    step: Entries,
    traces: Traces,
    u: Floats,
    w: Floats,
    due: Floats,
    spikes: Floats,
    weights: Floats,
    found: Ints,
) -> None:
    """All of sample `b` after the first step but what that one sends; its arrivals are `arrived[sample]`."""
    steps, size = traces.due.shape[1:]
    for now in range(steps):
        if now > 0:
            single_pulse_step(b, now, arrived, sample, now - 1, kind, constants, step, traces, u, w)
        if constants.lags.size:
            count = who_fires(spikes, (b * steps + now) * size, size, found)
            for lag in range(constants.lags.size):
                arrives = now + constants.lags[lag]
                if arrives < steps:
                    add_rows(found, count, weights, lag * size * size, size, due, (b * steps + arrives) * size)


@compiled_within
def single_pulse_step(
    b: int,
    now: int,
    arrived: Floats,
    sample: int,
    before: int,
    kind: Kind,
    constants: Constants,
    step: Entries,
    traces: Traces,
    u: Floats,
    w: Floats,
) -> None:
    """One step, of whose current `arrived[sample, before]` is a part."""
    at = (b, now, arrived, sample, before, kind.to_value, kind.reset_value, constants.theta, step)
    if kind.adaptive:
        adaptive_step(*at, u, w, traces.potentials, traces.spikes)
        if traces.w.size:
            note(b, now, w, traces.w)
    else:
        leaky_step(*at, u, traces.potentials, traces.spikes)


@compiled_within
def one_step(first: int, now: int, kind: Kind, constants: Constants, step: Entries, traces: Traces, x: State) -> None:
    """The step `now` of the samples from `first` on."""
    waits = kind.refractory_steps > 1 or (kind.refractory_steps == 1 and kind.synapse == DELTA)
    if waits:
        tick(x.wait, x.held)
        if kind.refractory_steps > 1:
            keep(first, now, x.held, traces.frozen)
    if kind.adaptive:
        propagate_adaptive(first, now, kind.synapse, step, x.current, x.held, x.u, x.w, traces.potentials)
    else:
        propagate(first, now, kind.synapse, step, x.current, x.held, x.u, traces.potentials)
    if kind.spiking:
        fire(first, now, constants.theta, x.held, traces.potentials, traces.spikes)
        if waits:
            start_waiting(first, now, kind.refractory_steps, traces.spikes, x.wait)
        recurrent_spikes(first, now, len(x.u), constants, traces)
    deliver(first, now, kind, step, traces, x)
    if kind.spiking:
        reset(
            first, now, kind.to_value, kind.reset_value, constants.theta, step.jump, traces.spikes, x.reached, x.u, x.w
        )
    else:
        settle(x.reached, x.u)
    if traces.w.size:
        keep(first, now, x.w, traces.w)


@compiled_within
def recurrent_spikes(first: int, now: int, samples: int, constants: Constants, traces: Traces) -> None:
    """Spikes on their way to their own population."""
    for lag in range(constants.lags.size):
        arrives = now + constants.lags[lag]
        if arrives < traces.due.shape[1]:
            for b in range(first, first + samples):
                for n in range(traces.due.shape[2]):
                    if traces.spikes[b, now, n] != 0:
                        send(lag, n, b, arrives, constants.recurrent, traces.due)


@compiled_within
def deliver(first: int, now: int, kind: Kind, step: Entries, traces: Traces, x: State) -> None:
    """Arrivals of a step touch the state; the potential right before the reset."""
    if kind.synapse == DELTA:
        land(first, now, traces.due, x.wait, traces.potentials, x.reached)
        if traces.reached.size:
            keep(first, now, x.reached, traces.reached)
        return
    fetch(first, now, traces.potentials, x.reached)
    if kind.synapse == EXPONENTIAL:
        decay(first, now, step.i_i, traces.due, x.current)
    elif kind.pulse_steps == 1:
        fetch(first, now, traces.due, x.current)
    elif now < kind.pulse_steps:
        run_on(first, now, now, 0, traces.due, x.current)
    else:
        run_on(first, now, now - kind.pulse_steps, 1, traces.due, x.current)
    if traces.current.size and (kind.synapse == EXPONENTIAL or kind.pulse_steps > 1):
        keep(first, now, x.current, traces.current)
