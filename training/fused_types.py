"""What the compiled loops of `fused_scan` work on: tuples of arrays, which the compiler knows.

The numbers below are compiled into other files, whose cached code does not notice a change here: see `compiled`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy.typing as npt

type Floats = npt.NDArray[Any]
"""float32 or float64, the same in one call."""

# Rows of the array of propagator entries: the fields of StepTensors, in order. The way back adds the constant current.
U_U, U_W, U_I, U_C, W_U, W_W, W_I, W_C, I_I, FROZEN_W_U, FROZEN_W_W, BIAS = range(12)

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


class Entries(NamedTuple):
    """Rows of propagator entries, named: a view costs as much as the arithmetic on it, so it is made once."""

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


class Constants(NamedTuple):
    """Parameters: propagators `step` (11, n), vectors (n,), recurrent weights (lags, n, n) from source to target."""

    step: Floats
    theta: Floats
    bias: Floats
    jump: Floats
    lags: npt.NDArray[Any]
    recurrent: Floats


class Traces(NamedTuple):
    """What happened, (batch, steps, n): w and the current at the end of each step, potentials after propagation.

    `frozen`, `w` and `current` are empty where the model has no use for them.
    """

    due: Floats
    spikes: Floats
    potentials: Floats
    frozen: Floats
    w: Floats
    current: Floats


class State(NamedTuple):
    """One sample while it runs, each (n,): u, w, the running current; `free` is 0 for refractory neurons, else 1."""

    u: Floats
    w: Floats
    current: Floats
    free: Floats


class Adjoint(NamedTuple):
    """One sample on the way back, each (n,): gradients of u, w, the running current and the spikes of a step."""

    u: Floats
    w: Floats
    current: Floats
    spikes: Floats


class Work(NamedTuple):
    """Room for one step, each (n,): gradients of u and w of free neurons, and of w of frozen ones."""

    a: Floats
    b: Floats
    stuck: Floats


class Gradients(NamedTuple):
    """Gradients of the outputs, given, and of the arrivals, (batch, steps, n); and sums of those of the parameters."""

    spikes: Floats
    potentials: Floats
    due: Floats
    step: Floats
    jump: Floats
    recurrent: Floats
