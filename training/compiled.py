"""How this package compiles its loops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from numba import njit


def compiled[Function: Callable[..., Any]](function: Function) -> Function:
    """Compile at the first call, without Python's lock, and keep the result for the next process.

    Strict IEEE arithmetic, operation by operation as written. What is kept knows the file of the function alone: after
    a change of the numbers in `fused_types`, which other files compile in, delete the `__pycache__` folders.
    """
    try:
        return cast(Function, njit(nogil=True, cache=True)(function))
    except RuntimeError:
        # Neither the package's folder nor the user's cache can be written: compile in every process.
        return cast(Function, njit(nogil=True)(function))
