"""How this package compiles kernels for an NVIDIA GPU. Triton is imported here, and this module only where one is used.

Loop bounds are constants of the compilation: `range` over a number that is known only at run time does not work in
Triton's interpreter with NumPy 2.4 or newer (triton issue 9171), and the tests run there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import triton


def kernel[Function: Callable[..., Any]](function: Function) -> Any:
    """Compile at the first launch for the types and constants given, and keep the result for the next process."""
    return triton.jit(function)


def ceiling_power(number: int, least: int = 1, most: int = 1 << 30) -> int:
    """The next power of two, within bounds: sides of tiles are powers of two."""
    power = 1 << max(number - 1, 0).bit_length()
    return min(max(power, least), most)
