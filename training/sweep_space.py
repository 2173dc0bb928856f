"""The space of a sweep: what is searched where nothing is said, and how Optuna draws from it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spikebridge.bridge.errors import ConfigError
from spikebridge.training.config import TrainingConfig
from spikebridge.training.config_sweep import Dimension, SweepConfig

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

DEFAULT_SPACE: Mapping[str, Dimension] = {
    "network.hidden": Dimension(choices=([64], [128], [64, 64], [128, 128])),
    "network.recurrent": Dimension(choices=(True, False)),
    "network.max_delay_ms": Dimension(choices=(0.0, 50.0, 100.0, 150.0, 250.0)),
    "network.dropout": Dimension(low=0.0, high=0.5),
    "neuron.adaptation": Dimension(choices=(True, False)),
    "regulariser.high_strength": Dimension(low=0.01, high=10.0, log=True),
    "regulariser.spike_strength": Dimension(low=0.0001, high=0.3, log=True),
}
"""Size, connectivity, delays, dropout, neuron type (adLIF or LIF), and what firing costs."""

SAMPLES = (
    *("source", "train_file", "validation_file", "test_file", "validation_share", "validation_speakers"),
    *("manifold_classes", "manifold_samples_per_class", "manifold_test_samples_per_class", "manifold_seed"),
)
"""Keys of the table `data` that say which samples there are."""

NOT_SEARCHED = {
    "seed": "a trial has all its seeds: set seed itself",
    "realisations": "write sweep.realisations",
    "threads": "threads change no result that matters: set threads itself",
    **{f"data.{key}": f"trials on other samples cannot be compared: set data.{key} itself" for key in SAMPLES},
}

Values = Mapping[str, Any]
Configure = Callable[[Values], TrainingConfig]
"""From values by key to a configuration; raises ConfigError where they do not go together."""


@dataclass(frozen=True, slots=True)
class SearchSpace:
    """Dimensions by configuration key, and the keys whose values are whole numbers."""

    dimensions: Mapping[str, Dimension]
    whole: frozenset[str]

    def distributions(self) -> dict[str, BaseDistribution]:
        """As Optuna draws them. A choice that is no plain value is a text of JSON there, and in its dashboard."""
        return {key: self._distribution(key, dimension) for key, dimension in self.dimensions.items()}

    def _distribution(self, key: str, dimension: Dimension) -> BaseDistribution:
        from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

        low, high, step = dimension.low, dimension.high, dimension.step
        if low is None or high is None:
            return CategoricalDistribution([_stored(choice) for choice in dimension.choices])
        if key in self.whole:
            return IntDistribution(int(low), int(high), log=dimension.log, step=int(step or 1))
        return FloatDistribution(low, high, log=dimension.log, step=step)

    def values(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """From what Optuna has drawn to values of the configuration."""
        texts = {key: {_stored(each): each for each in dim.choices} for key, dim in self.dimensions.items()}
        return {key: texts[key].get(value, value) for key, value in params.items() if key in texts}


def search_space(sweep: SweepConfig, base: TrainingConfig, keys: Iterator[str], configure: Configure) -> SearchSpace:
    """The space of a sweep, checked against the configuration before anything is trained.

    Args:
        sweep: what was asked for.
        base: the configuration whose other values hold for every trial.
        keys: every key of a training, dotted.
        configure: makes a configuration.

    Raises:
        ConfigError: an unknown key, one that cannot be searched, or a value that the key cannot have.
    """
    dimensions = dict(sweep.space or DEFAULT_SPACE)
    known = set(keys)
    for key in dimensions:
        where = f"sweep.space.{key}"
        if key in NOT_SEARCHED:
            raise ConfigError(f"{where} cannot be searched: {NOT_SEARCHED[key]}")
        if key not in known:
            raise ConfigError(f"{where} is no key of a training{_suggestion(key, known)}")
    whole = frozenset(key for key, dim in dimensions.items() if dim.low is not None and _is_whole(key, base))
    for key in sorted(whole):
        dim = dimensions[key]
        for name, value in (("low", dim.low), ("high", dim.high), ("step", dim.step)):
            if value is not None and value != int(value):
                raise ConfigError(f"sweep.space.{key}: {key} is a whole number, {name} = {value} is not")
    space = SearchSpace(dimensions, whole)
    for key in dimensions:
        for value in _ends(space, key):
            _require_possible(space, key, value, configure)
    return space


def _is_whole(key: str, base: TrainingConfig) -> bool:
    value: object = base
    for part in key.split("."):
        value = getattr(value, part)
    return isinstance(value, int) and not isinstance(value, bool)


def _ends(space: SearchSpace, key: str) -> list[Any]:
    """Every choice, or both ends of a range, as the configuration takes them."""
    dimension = space.dimensions[key]
    if dimension.low is None or dimension.high is None:
        return list(dimension.choices)
    kind = int if key in space.whole else float
    return [kind(dimension.low), kind(dimension.high)]


def _require_possible(space: SearchSpace, key: str, value: object, configure: Configure) -> None:
    """A value must go with the configuration as it is, or with the first or last values of all other keys."""
    others = [key_ for key_ in space.dimensions if key_ != key]
    tries: list[dict[str, Any]] = [{}, *({other: _ends(space, other)[end] for other in others} for end in (0, -1))]
    problem: ConfigError | None = None
    for rest in tries:
        try:
            configure({**rest, key: value})
        except ConfigError as error:
            problem = problem or error
        else:
            return
    raise ConfigError(f"sweep.space.{key}: {value!r} is no value of {key}: {problem}") from problem


def _stored(choice: Any) -> Any:
    """Optuna keeps plain values; anything else as JSON."""
    return choice if choice is None or isinstance(choice, bool | int | float | str) else json.dumps(choice)


def _suggestion(key: str, known: set[str]) -> str:
    import difflib

    same_name = [each for each in sorted(known) if each.split(".")[-1] == key.split(".")[-1]]
    near = same_name or difflib.get_close_matches(key, sorted(known), n=1, cutoff=0.6)
    return f"; did you mean {near[0]!r}?" if near else "; see docs/configuration.md for all of them"
