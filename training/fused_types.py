"""What the compiled loops of `fused_scan` work on: tuples of arrays, which the compiler knows.

The numbers below are compiled into other files, whose cached code does not notice a change here: see `compiled`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy.typing as npt

from spikebridge.training.compiled import compiled

type Floats = npt.NDArray[Any]
"""float32 or float64, the same in one call."""
type Ints = npt.NDArray[Any]
"""int32 or int64."""

ENTRIES, SUMS = 11, 14
"""Rows of the array of propagator entries, the fields of StepTensors in order; and of the array of gradients of
parameters: those of the entries, of the bias, the adaptation jump and the scale of the arrivals."""

# Synapse kinds and surrogates as numbers.
DELTA, PULSE, EXPONENTIAL = range(3)
BOXCAR, TRIANGLE, FAST_SIGMOID, ARCTAN, GAUSSIAN = range(5)


class Kind(NamedTuple):
    """Which model runs; `reset_value` has the type of the arrays, since a Python float would make them float64."""

    synapse: int
    pulse_steps: int
    refractory_steps: int
    adaptive: bool
    spiking: bool
    to_value: bool
    reset_value: Any
    slope_while_frozen: bool


class Entries(NamedTuple):
    """Propagator entries and the other vectors of a population, or sums of their gradients, by name, each (n,).

    A view costs as much as the arithmetic on it, so it is made once.
    """

    u_u: Floats
    u_w: Floats
    u_i: Floats
    u_c: Floats
    w_u: Floats
    w_w: Floats
    w_i: Floats
    w_c: Floats
    i_i: Floats
    frozen_w_u: Floats
    frozen_w_w: Floats
    bias: Floats
    jump: Floats
    scale: Floats


class Constants(NamedTuple):
    """Parameters: propagators `step` (11, n), vectors (n,), recurrent weights (lags, n, n) from source to target.

    `scale` multiplies arrivals from outside, and is empty where they are as they come. For the way back `panels` hold
    the recurrent weights from target to source, see `tile_product.panels_across`.
    """

    step: Floats
    theta: Floats
    bias: Floats
    jump: Floats
    scale: Floats
    lags: npt.NDArray[Any]
    recurrent: Floats
    panels: Floats


class Traces(NamedTuple):
    """What happened, (batch, steps, n): w and the current at the end of each step, potentials after propagation.

    `raw` are the arrivals from outside before they are scaled, `due` all arrivals, `reached` the potentials right
    before the reset: with the jumps that arrive, or `potentials`. `frozen`, `w` and `current` are empty where the model
    has no use for them; on the way back a pulse of one step is `due` itself.
    """

    raw: Floats
    due: Floats
    spikes: Floats
    potentials: Floats
    reached: Floats
    frozen: Floats
    w: Floats
    current: Floats


class State(NamedTuple):
    """Samples side by side while they run, each (samples, n).

    u and w at the end of a step, the running current, the steps until a neuron is free again, whether it is held (0 or
    1), and the potential right before the reset.
    """

    u: Floats
    w: Floats
    current: Floats
    wait: Floats
    held: Floats
    reached: Floats


class Adjoint(NamedTuple):
    """Samples side by side on the way back: gradients of u, w and of what arrivals make, (samples, n).

    That is the current, of which an arrival is a part until it has decayed or its pulse has ended. `spikes` are the
    gradients of the spikes of a step, `delivered` those of the arrivals of the last steps, a ring in time, both with
    room for whole tiles; `constants` those of the constant current of the last steps, a ring as long as a pulse, and
    `constant` that of a step. `held` is 1 for frozen neurons, `rest_u` and `rest_w` are their gradients.
    """

    u: Floats
    w: Floats
    current: Floats
    spikes: Floats
    delivered: Floats
    constants: Floats
    constant: Floats
    held: Floats
    rest_u: Floats
    rest_w: Floats


class Rule(NamedTuple):
    """The model as numbers of the type of the arrays, see `fused_adjoint`; `drop` is (n,).

    `pulses` is 1 where the current of a pulse is part of the constant current, else 0.
    """

    surrogate: int
    width: Any
    to_value: Any
    blocks: Any
    closes: Any
    pulses: Any
    drop: Floats


class Gradients(NamedTuple):
    """Gradients of the outputs, given, and of `raw`, (batch, steps, n); sums of those of the parameters, (SUMS, n)."""

    spikes: Floats
    potentials: Floats
    raw: Floats
    sums: Floats
    recurrent: Floats


@compiled
def entries(constants: Constants) -> Entries:
    """The parameters by name."""
    r = constants.step
    return Entries(
        r[0],
        r[1],
        r[2],
        r[3],
        r[4],
        r[5],
        r[6],
        r[7],
        r[8],
        r[9],
        r[10],
        constants.bias,
        constants.jump,
        constants.scale,
    )


@compiled
def named(r: Floats) -> Entries:
    """Rows by name."""
    return Entries(r[0], r[1], r[2], r[3], r[4], r[5], r[6], r[7], r[8], r[9], r[10], r[11], r[12], r[13])
