"""Realism knobs: what can be changed one at a time, by how much, and the network that a condition runs."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from spikebridge.bridge import perturb
from spikebridge.bridge.disturbance import MAX_SEED, Disturbance
from spikebridge.bridge.errors import ConfigError
from spikebridge.bridge.perturb import Perturbed
from spikebridge.bridge.spec import NetworkSpec

UNDISTURBED = "undisturbed"
REVERSED = "reversed_input"


@dataclass(frozen=True, slots=True)
class Knob:
    """Something about a network, or its simulation, that is changed while all else stays.

    Attributes:
        key: name in files and on the command line.
        title: name for readers.
        noun: the same before an amount.
        axis: what an amount is, with its unit.
        unit: of an amount in a sentence: `ms`, `times` (a factor), `%` (of an amount that is a share), or empty.
        amounts: that are looked at, rising; without the network's own.
        neutral: the amount that leaves a network alone, where that is the same for all networks.
        random: whether a draw is one of many.
        logarithmic: whether amounts are shown on a logarithmic axis.
        definition: what is changed, and what is not, in sentences.
        low, below: amounts are at least `low` and below `below`.
    """

    key: str
    title: str
    noun: str
    axis: str
    unit: str
    amounts: tuple[float, ...]
    neutral: float | None
    random: bool
    logarithmic: bool
    definition: str
    low: float = 0.0
    below: float = float("inf")

    def __post_init__(self) -> None:
        if not self.amounts or list(self.amounts) != sorted(set(self.amounts)):
            raise ConfigError(f"knob {self.key}: amounts are {list(self.amounts)}; give each once, rising")
        for amount in self.amounts:
            if not (np.isfinite(amount) and self.low <= amount < self.below):
                raise ConfigError(f"knob {self.key}: {amount:g} is no amount; give {self._range()}")

    def _range(self) -> str:
        """What amounts may be, in words."""
        if self.key == REVERSED:
            return f"{self.low:g}, or only its name"
        if np.isinf(self.below):
            return f"a finite number of at least {self.low:g}"
        return f"at least {self.low:g} and below {self.below:g}"

    def with_amounts(self, amounts: tuple[float, ...]) -> Knob:
        """The same knob, turned to other amounts.

        Raises:
            ConfigError: they are out of range, or do not rise.
        """
        return replace(self, amounts=amounts)

    def amount_text(self, amount: float) -> str:
        """An amount with its unit, to two significant digits: `39%`, `20 ms`, `1.6 times`, `0.19`."""
        shown = 100.0 * amount if self.unit == "%" else amount
        figure = f"{shown:.0f}" if shown >= 10 else f"{shown:.2g}"
        return f"{figure}%" if self.unit == "%" else f"{figure} {self.unit}".rstrip()

    def neutral_of(self, spec: NetworkSpec) -> float | None:
        """The amount that is the network as it is; None where neurons differ, or there is no such amount."""
        if self.key != "refractory_ms":
            return self.neutral
        periods = {population.refractory_ms for population in spec.populations if population.spiking}
        return periods.pop() if len(periods) == 1 else None


KNOBS: tuple[Knob, ...] = (
    Knob(
        "weight_jitter",
        "Weights that are not exact",
        "weight jitter",
        "relative jitter of weights, SD",
        "%",
        (0.05, 0.2, 0.4, 0.8),
        0.0,
        True,
        True,
        "Every weight W becomes W (1 + amount z), z normal with mean 0 and variance 1, drawn once per synapse, those "
        "of the inputs and onto the readout included. The sign is not kept, so that the mean of the change is 0.",
    ),
    Knob(
        "delay_jitter_ms",
        "Delays that are not exact",
        "delay jitter",
        "jitter of delays, SD in ms",
        "ms",
        (2.0, 5.0, 10.0, 20.0),
        0.0,
        True,
        True,
        "Every delay d becomes d + N(0, amount), drawn once per synapse and the same for all spikes, in recurrent and "
        "readout projections too; what would be negative becomes 0. The grid rounds delays to its steps as always.",
    ),
    Knob(
        "membrane_noise",
        "Noisy membranes",
        "membrane noise",
        "membrane noise, SD in units of u",
        "",
        (0.05, 0.1, 0.2, 0.4),
        0.0,
        True,
        True,
        "White noise is added to the current of every hidden neuron. The amount is the standard deviation that the "
        "membrane potential u of a neuron without input and adaptation has then; the threshold is usually 1.",
    ),
    Knob(
        "dropped_spikes",
        "Spikes that do not arrive",
        "failing spikes",
        "probability that a spike fails at a synapse",
        "%",
        (0.05, 0.1, 0.2, 0.4),
        0.0,
        True,
        True,
        "At every synapse every spike fails to arrive with this probability, independently, at those of the inputs and "
        "onto the readout too. Weights are not scaled up to make up for it.",
        below=1.0,
    ),
    Knob(
        "dropped_synapses",
        "Synapses that are missing",
        "missing synapses",
        "share of synapses removed",
        "%",
        (0.05, 0.1, 0.2, 0.4),
        0.0,
        True,
        True,
        "Of every projection this share of synapses is removed at random. The others keep their weights: nothing is "
        "scaled up to make up for it.",
        below=1.0,
    ),
    Knob(
        "refractory_ms",
        "Other refractory periods",
        "refractory periods",
        "absolute refractory period in ms",
        "ms",
        (0.0, 1.0, 2.0, 5.0, 10.0, 20.0),
        None,
        False,
        False,
        "The absolute refractory period of every spiking population. During it the membrane potential is frozen. A "
        "neuron fires at most once per step in any case.",
    ),
    Knob(
        "time_constants",
        "Faster and slower kinetics",
        "time constants",
        "factor of all time constants",
        "times",
        (0.5, 0.7, 0.85, 1.2, 1.4, 2.0),
        1.0,
        False,
        True,
        "The time constants of membranes, adaptation and synapses (of pulses: their width) in all populations, the "
        "readout included, times this factor: below 1 warmer, above 1 colder. With Q10 the factor at a difference of "
        "dT degrees is Q10^(-dT / 10). Delays, refractory periods and the stimulus keep their times.",
        low=1e-3,
    ),
    Knob(
        REVERSED,
        "Inputs backwards in time",
        "inputs backwards",
        "input: 0 as it was, 1 backwards",
        "",
        (1.0,),
        0.0,
        False,
        False,
        "Every input spike at time t is played at the end of the sample minus t, the network stays as it is. Counts "
        "per channel are the same, so that what is lost was read from timing.",
        low=1.0,
        below=1.0 + 1e-9,
    ),
)

_CHANGES: Mapping[str, Callable[[NetworkSpec, float, np.random.Generator, float], Perturbed]] = {
    "weight_jitter": lambda spec, amount, rng, _: perturb.jitter_weights(spec, amount, rng),
    "delay_jitter_ms": lambda spec, amount, rng, _: perturb.jitter_delays(spec, amount, rng),
    "dropped_synapses": lambda spec, amount, rng, _: perturb.remove_synapses(spec, amount, rng),
    "refractory_ms": lambda spec, amount, _, step_ms: perturb.set_refractory(spec, amount, step_ms),
    "time_constants": lambda spec, amount, _, step_ms: perturb.scale_time_constants(spec, amount, step_ms),
}


@dataclass(frozen=True, slots=True)
class Condition:
    """One simulation: a knob, its amount, and which draw.

    Attributes:
        knob: key of the knob, or `UNDISTURBED`.
        amount: in the knob's unit.
        draw: 0, 1, ...
        seed: of the whole analysis.
    """

    knob: str
    amount: float
    draw: int
    seed: int

    @property
    def key(self) -> str:
        """Unique name within an analysis."""
        return f"{self.knob}/{self.amount!r}/{self.draw}"

    @property
    def draw_seed(self) -> int:
        """Seed of this condition alone: it does not depend on which other conditions there are."""
        digest = hashlib.sha256(f"{self.seed}/{self.key}".encode()).digest()
        return int.from_bytes(digest[:8], "big") & MAX_SEED

    @property
    def reversed_input(self) -> bool:
        """Whether inputs are played backwards."""
        return self.knob == REVERSED

    @property
    def disturbance(self) -> Disturbance | None:
        """What the simulation adds while it runs, None for nothing."""
        match self.knob:
            case "membrane_noise":
                return Disturbance(membrane_noise=self.amount, seed=self.draw_seed)
            case "dropped_spikes":
                return Disturbance(transmission_failure=self.amount, seed=self.draw_seed)
        return None

    def network(self, spec: NetworkSpec, step_ms: float) -> Perturbed:
        """The network that this condition runs at a step of `step_ms`.

        Raises:
            SpecError: the change leads to no valid network.
        """
        change = _CHANGES.get(self.knob)
        if change is None:
            return Perturbed(spec)
        return change(spec, self.amount, np.random.default_rng(self.draw_seed), step_ms)


def conditions(knob: Knob, spec: NetworkSpec, *, draws: int, seed: int) -> tuple[Condition, ...]:
    """Every condition of a knob that has to be simulated: all amounts but the network's own, `draws` of random ones."""
    neutral = knob.neutral_of(spec)
    return tuple(
        Condition(knob.key, amount, draw, seed)
        for amount in knob.amounts
        if amount != neutral
        for draw in range(draws if knob.random else 1)
    )


def parse_knobs(texts: list[str] | None) -> tuple[Knob, ...]:
    """Knobs from `NAME` or `NAME=AMOUNT,AMOUNT,...`, in the order of `KNOBS`; all of them for None.

    Raises:
        ConfigError: an unknown name (says which there are), one given twice, or amounts out of range.
    """
    if texts is None:
        return KNOBS
    known = {knob.key: knob for knob in KNOBS}
    chosen: dict[str, Knob] = {}
    for text in texts:
        name, equals, given = text.partition("=")
        if name not in known:
            raise ConfigError(f"there is no knob {name!r}; there are {', '.join(known)}")
        if name in chosen:
            raise ConfigError(f"knob {name} is given twice; give it once, with all its amounts")
        chosen[name] = known[name].with_amounts(_amounts(name, given)) if equals else known[name]
    return tuple(chosen[name] for name in known if name in chosen)


def _amounts(name: str, text: str) -> tuple[float, ...]:
    try:
        return tuple(sorted(float(part) for part in text.split(",")))
    except ValueError:
        problem = f"{text!r} are no numbers" if text.strip() else "there is nothing behind the ="
        raise ConfigError(f"knob {name}: {problem}; give for example {name}=0.1,0.2") from None
