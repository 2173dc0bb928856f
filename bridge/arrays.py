"""Array types and the checks every frozen dataclass of arrays makes on construction."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from spikebridge.bridge.errors import SpecError

type FloatArray = npt.NDArray[np.float64]
type IntArray = npt.NDArray[np.int64]
type Int32Array = npt.NDArray[np.int32]
type BoolArray = npt.NDArray[np.bool_]


def frozen_float_vector(name: str, value: object, size: int) -> FloatArray:
    """A read-only float64 copy of `value`, a scalar or an array of shape (size,); finite.

    Raises:
        SpecError: wrong shape, or a value that is NaN or infinite.
    """
    array = np.array(value, dtype=np.float64)
    if array.ndim == 0:
        array = np.full(size, array)
    if array.shape != (size,):
        raise SpecError(f"{name} has shape {array.shape}, expected a scalar or ({size},)")
    bad = ~np.isfinite(array)
    if bad.any():
        raise SpecError(f"{name}[{int(np.argmax(bad))}] is {array[bad][0]}; every value must be finite")
    array.setflags(write=False)
    return array


def frozen_int_vector(
    name: str, value: object, *, dtype: type[np.signedinteger] = np.int64
) -> npt.NDArray[np.signedinteger]:
    """A read-only integer copy of a one-dimensional `value`.

    Raises:
        SpecError: not one-dimensional, not whole numbers, or too large for `dtype`.
    """
    array = np.asarray(value)
    if array.ndim != 1:
        raise SpecError(f"{name} has {array.ndim} dimensions, expected 1")
    if array.size and not np.issubdtype(array.dtype, np.integer):
        raise SpecError(f"{name} holds {array.dtype}, expected integers")
    converted = array.astype(dtype, copy=True)
    if (converted != array).any():
        raise SpecError(f"{name} holds {array[converted != array][0]}, which is too large for {np.dtype(dtype)}")
    converted.setflags(write=False)
    return converted


def require_range(name: str, values: FloatArray, low: float, *, strict: bool = True) -> None:
    """Refuse values at or below `low` (strict) or below it.

    Raises:
        SpecError: naming the first offending index.
    """
    bad = values <= low if strict else values < low
    if bad.any():
        index = int(np.argmax(bad))
        relation = "above" if strict else "at least"
        raise SpecError(f"{name}[{index}] is {values[index]}; it must be {relation} {low}")
