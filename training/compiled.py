"""How this package compiles its loops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from numba import njit
from numba.core.compiler import Compiler


class _Apart(Compiler):
    """Tells the compiler that the arrays of the arguments do not overlap, like `restrict` in C.

    Otherwise it checks every pair of arrays before a loop, gives up where there are more than a few, and leaves the
    loop without vector instructions.
    """

    def define_pipelines(self) -> Any:
        self.state.flags.noalias = True
        return super().define_pipelines()  # type: ignore[no-untyped-call]


def compiled[Function: Callable[..., Any]](function: Function) -> Function:
    """Compile at the first call, without Python's lock, and keep the result for the next process.

    Strict IEEE arithmetic, operation by operation as written, except for the blocks of `lanes`. What is kept knows the
    file of the function alone: after a change of what a loop calls or reads in another file - `lanes`, `fused_adjoint`,
    the numbers in `fused_types` and the like - delete the `__pycache__` folders.
    """
    return _kept(function)


def compiled_within[Function: Callable[..., Any]](function: Function) -> Function:
    """The same for what compiled loops call many times, and makes and returns no array.

    Otherwise every call counts the references to its arrays, in instructions that make the cores wait for one another.
    """
    return _kept(function, _nrt=False)


def compiled_apart[Function: Callable[..., Any]](function: Function) -> Function:
    """`compiled_within` for a loop over many arrays, of which none that is written may overlap with another one."""
    return _kept(function, pipeline_class=_Apart, _nrt=False)


def compiled_gradient[Function: Callable[..., Any]](function: Function) -> Function:
    """`compiled_apart` where a product and a sum may become one instruction, with one rounding instead of two.

    The order of sums stays as written. Not for what an export has to repeat bit by bit.
    """
    return _kept(function, pipeline_class=_Apart, _nrt=False, fastmath={"contract"})


def _kept[Function: Callable[..., Any]](function: Function, **options: Any) -> Function:
    try:
        return cast(Function, njit(nogil=True, cache=True, **options)(function))
    except RuntimeError:
        # Neither the package's folder nor the user's cache can be written: compile in every process.
        return cast(Function, njit(nogil=True, **options)(function))
