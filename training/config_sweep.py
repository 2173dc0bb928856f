"""What a search over configurations is made of: how many trials, of how many realisations, over which values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, JsonValue, model_validator
from pydantic.dataclasses import dataclass

from spikebridge.training.config_fields import STRICT, Positive


@dataclass(frozen=True, config=STRICT)
class Dimension:
    """The values that one key of the configuration may take: a range, or choices.

    Attributes:
        low, high: ends of a range, both possible.
        step: of the range, counted from `low`.
        log: draw the logarithm uniformly, for strengths and rates.
        choices: the values themselves, of any type.
    """

    low: float | None = None
    high: float | None = None
    step: Positive | None = None
    log: bool = False
    choices: tuple[JsonValue, ...] = ()

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        has_range = (self.low, self.high, self.step, self.log) != (None, None, None, False)
        if not has_range and not self.choices:
            raise ValueError(
                "has no values; write either {low = ..., high = ...} or {choices = [...]} with at least one"
            )
        if has_range == bool(self.choices):
            raise ValueError("write either {low = ..., high = ...} or {choices = [...]}")
        if not has_range:
            if any(choice in self.choices[:place] for place, choice in enumerate(self.choices)):
                raise ValueError(f"choices {list(self.choices)} name a value twice")
            return self
        if self.low is None or self.high is None:
            raise ValueError("a range needs both ends: {low = ..., high = ...}")
        if self.low >= self.high:
            raise ValueError(f"low = {self.low} is not below high = {self.high}")
        if self.log and (self.low <= 0 or self.step is not None):
            raise ValueError("log = true needs low above 0 and goes without step")
        if self.step is not None and abs((self.high - self.low) / self.step % 1 - 0.5) < 0.5 - 1e-9:
            raise ValueError(f"high = {self.high} is not reached from low = {self.low} in steps of {self.step}")
        return self


def flattened(space: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """`network.dropout = {...}` in TOML is a table in a table; the same as `"network.dropout" = {...}`."""
    flat: dict[str, Any] = {}
    for key, value in space.items():
        nests = isinstance(value, Mapping) and value and all(isinstance(inner, Mapping) for inner in value.values())
        flat |= flattened(value, f"{prefix}{key}.") if nests else {f"{prefix}{key}": value}
    return flat


@dataclass(frozen=True, config=STRICT)
class SweepConfig:
    """A search over configurations (`spikebridge sweep`) for high accuracy at a low rate; other commands ignore it.

    Attributes:
        trials: how many configurations; a larger number continues a sweep that has ended.
        realisations: trainings of each configuration, with seeds `seed`, `seed` + 1, ... of the top level.
        seed: of what is drawn.
        sampler: `tpe` learns from earlier trials, `random` does not.
        startup_trials: how many are drawn at random before `tpe` begins.
        pruning: stop a configuration after some realisations if a finished one is better in accuracy and in rate.
        pruning_realisations: not before so many.
        pruning_errors: better by more than so many standard errors of the difference, in each of the two.
        space: values per key, `"network.dropout" = {low = 0.0, high = 0.5}` (with `step` or `log = true`) or
            `"network.hidden" = {choices = [[64], [128, 128]]}`; where empty, the space of docs/sweep.md.
    """

    trials: Annotated[int, Field(ge=1)] = 50
    realisations: Annotated[int, Field(ge=1)] = 5
    seed: Annotated[int, Field(ge=0)] = 0
    sampler: Literal["tpe", "random"] = "tpe"
    startup_trials: Annotated[int, Field(ge=1)] = 10
    pruning: bool = True
    pruning_realisations: Annotated[int, Field(ge=1)] = 2
    pruning_errors: Annotated[float, Field(ge=0)] = 2.0
    space: dict[str, Dimension] = Field(default_factory=dict)
