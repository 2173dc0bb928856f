"""What the tables of a configuration have in common."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field

STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

type Positive = Annotated[float, Field(gt=0)]
type NonNegative = Annotated[float, Field(ge=0)]
type Share = Annotated[float, Field(ge=0, lt=1)]


def low_to_high(name: str, bounds: tuple[float, float]) -> None:
    """Refuse bounds that fall.

    Raises:
        ValueError: the first is above the second.
    """
    if bounds[0] > bounds[1]:
        raise ValueError(f"{name} is {list(bounds)}; write the lower bound first")
