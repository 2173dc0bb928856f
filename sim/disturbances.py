"""The functions that the code of a disturbed network calls, for every target of Brian2 that runs it.

Each is a function of its arguments alone, so that neither the engine nor the order in which samples run can change what
is drawn: of the seed, the sample's number, the stream (one for every population and every projection), and the neuron
and step, or the synapse and the spike's number there.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from brian2.core.functions import Function

from spikebridge.bridge.arrays import FloatArray
from spikebridge.sim.philox import Word, normal, uniform

HEADER = Path(__file__).with_name("disturbance.h")


def membrane_noise(amplitude: FloatArray, seed: int, sample: Word, stream: int, neuron: Word, step: int) -> FloatArray:
    """Normal with mean 0 and standard deviation `amplitude`, one per neuron."""
    if not np.any(amplitude):
        return np.zeros_like(amplitude)
    return amplitude * normal(int(seed), (step, neuron, sample, stream))


def transmitted(failure: float, seed: int, sample: Word, stream: int, edge: Word, spike: FloatArray) -> FloatArray:
    """1 where a spike arrives and 0 where it is lost, one per synapse."""
    drawn = uniform(int(seed), (np.asarray(spike).astype(np.int64), edge, sample, stream))
    return (drawn >= failure).astype(np.float64)


def _function(python: Any, arguments: str, types: list[str], *, like_first: bool) -> Function:
    name = f"spikebridge_{python.__name__}"
    made = Function(
        python,
        arg_units=[None] * len(types),
        arg_types=types,
        return_unit=(lambda first, *_: first) if like_first else 1,
        return_type="float",
    )
    made.implementations.add_numpy_implementation(python, discard_units=True)
    # The header is included by the main loop, once for all operations of a project.
    made.implementations.add_implementation("cpp", code=None, name=name)
    # Verbatim, because Brian2 keeps compiled Cython by its text, which has to change with the header.
    verbatim = f'cdef extern from *:\n    """\n{HEADER.read_text()}\n    """\n    double {name}({arguments})\n'
    made.implementations.add_implementation("cython", code=verbatim, name=name)
    return made


def _sample_in_lane() -> Function:
    """Of a compiled simulation; only there do samples change while it runs."""
    made = Function(None, arg_units=[1], arg_types=["integer"], return_unit=1, return_type="integer", stateless=False)
    made.implementations.add_implementation("cpp", code=None, name="spikebridge_sample_in_lane")
    return made


FUNCTIONS = {
    "membrane_noise": _function(
        membrane_noise,
        "double, long long, int, int, long long, long long",
        ["float", "integer", "integer", "integer", "integer", "integer"],
        like_first=True,
    ),
    "transmitted": _function(
        transmitted,
        "double, long long, int, int, long long, double",
        ["float", "integer", "integer", "integer", "integer", "float"],
        like_first=False,
    ),
    "sample_in_lane": _sample_in_lane(),
}
