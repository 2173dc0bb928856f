"""The exponential of numbers of at most 0 within compiled loops, in operations that become vector instructions.

exp(x) = 2^n exp(r) with x = n ln 2 + r and |r| <= ln(2) / 2, where the Taylor series leaves out less than 2^-27 of the
value in single and 2^-60 in double precision (Muller 2016, Elementary Functions, chapter 11: ln 2 in two parts, of
which the first times n is exact). 2^n is made of its bits: those of n are the last ones of n + 1.5 x 2^23, or 2^52,
which rounds to whole numbers by itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

LEAST_EXPONENT = -64.0
"""Below, it is 0: beside other numbers of a sum it is nothing, and processors are slow with such small numbers."""

_LOG2_E, _LN_2, _LN_2_REST = 1.4426950408889634, 0.693145751953125, 1.4286068203094172321e-6


class _Format(NamedTuple):
    """Of a number: bits of the mantissa, offset of the exponent; and the last power of the series."""

    mantissa: int
    offset: int
    terms: int


_FORMATS = {types.float32: _Format(23, 127, 7), types.float64: _Format(52, 1023, 14)}


def _exponential(_context: Any, x: Any) -> tuple[Any, Callable[..., Any]]:
    mantissa, offset, terms = _FORMATS[x]

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        (value,) = arguments
        kind, whole = value.type, ir.IntType(x.bitwidth)

        def times_plus(a: Any, b: Any, c: Any) -> Any:
            return builder.fadd(builder.fmul(a, b, flags=["contract"]), c, flags=["contract"])

        shift = ir.Constant(kind, 1.5 * 2.0**mantissa)
        shifted = times_plus(value, ir.Constant(kind, _LOG2_E), shift)
        n = builder.fsub(shifted, shift)
        r = times_plus(n, ir.Constant(kind, -_LN_2_REST), times_plus(n, ir.Constant(kind, -_LN_2), value))
        series = ir.Constant(kind, 1 / math.factorial(terms))
        for k in range(terms - 1, -1, -1):
            series = times_plus(series, r, ir.Constant(kind, 1 / math.factorial(k)))
        moved = builder.shl(builder.bitcast(shifted, whole), ir.Constant(whole, mantissa))
        power = builder.bitcast(builder.add(moved, ir.Constant(whole, offset << mantissa)), kind)
        small = builder.fcmp_ordered("<", value, ir.Constant(kind, LEAST_EXPONENT))
        return builder.select(small, ir.Constant(kind, 0.0), builder.fmul(series, power))

    return x(x), code


exponential: Callable[..., Any] = intrinsic(_exponential)
"""`exponential(x)`: exp(x), of the type of x, which is at most 0; 0 below `LEAST_EXPONENT`."""
