"""What a simulation adds to a network to ask how much it withstands: noise of the membranes and spikes that get lost.

The definitions are in docs/model.md, "Disturbances".
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spikebridge.bridge.arrays import FloatArray
from spikebridge.bridge.errors import ConfigError
from spikebridge.bridge.spec import Population

MAX_SEED = 2**63 - 1
"""A seed travels as a signed 64-bit integer."""


@dataclass(frozen=True, slots=True)
class Disturbance:
    """Membrane noise and transmission failures of a simulation; none of either by default.

    Attributes:
        membrane_noise: stationary standard deviation of the membrane potential u of a hidden neuron without input and
            without adaptation, in units of u (the threshold is usually 1), whatever the time step.
        transmission_failure: probability that a spike does not arrive at a synapse, independently per spike and
            synapse, those of the inputs and onto the readout included; in [0, 1).
        seed: of the random numbers, which depend on nothing else but the sample's number among the trials.

    Raises:
        ConfigError: a value is out of range.
    """

    membrane_noise: float = 0.0
    transmission_failure: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not np.isfinite(self.membrane_noise) or self.membrane_noise < 0:
            raise ConfigError(
                f"membrane_noise is {self.membrane_noise}; it is a standard deviation in units of u: 0 or above"
            )
        if not 0 <= self.transmission_failure < 1:
            raise ConfigError(
                f"transmission_failure is {self.transmission_failure}; it is a probability: at least 0 and below 1"
            )
        if isinstance(self.seed, bool) or not isinstance(self.seed, int | np.integer):
            raise ConfigError(f"the seed of a disturbance is {self.seed!r}; it must be a whole number")
        if not 0 <= self.seed <= MAX_SEED:
            raise ConfigError(f"the seed of a disturbance is {self.seed}; it must lie between 0 and {MAX_SEED}")
        object.__setattr__(self, "membrane_noise", float(self.membrane_noise))
        object.__setattr__(self, "transmission_failure", float(self.transmission_failure))
        object.__setattr__(self, "seed", int(self.seed))

    @property
    def any(self) -> bool:
        """Whether there is a disturbance at all."""
        return self.membrane_noise > 0 or self.transmission_failure > 0

    def __str__(self) -> str:
        """Every value, as a recording's provenance has it; `none` where there is no disturbance, whatever the seed."""
        if not self.any:
            return "none"
        return (
            f"membrane noise {self.membrane_noise!r}, transmission failure {self.transmission_failure!r}, "
            f"seed {self.seed}"
        )


def noise_per_step(population: Population, membrane_noise: float, step_ms: float) -> FloatArray:
    """(n,) standard deviation of what noise adds to u in one step: the exact update of an Ornstein-Uhlenbeck process.

    tau du = -u dt + membrane_noise sqrt(2 tau) dW has the stationary standard deviation `membrane_noise`, and given u a
    step h earlier membrane_noise sqrt(1 - exp(-2 h / tau)) (Uhlenbeck & Ornstein 1930; Gillespie 1996).

    Args:
        population: for its membrane time constants.
        membrane_noise: stationary standard deviation of u.
        step_ms: length of the step.
    """
    return membrane_noise * np.sqrt(-np.expm1(-2.0 * step_ms / population.tau_membrane_ms))


def stationary_deviation(population: Population, membrane_noise: float) -> FloatArray:
    """(n,) stationary standard deviation of u without input, with the adaptation of the population.

    With coupling a > 0 adaptation opposes the noise, and u varies less. The variance follows from the Lyapunov equation
    of the two linear equations, in the limit of short steps:

        membrane_noise^2 (tau_u + (1 + a) tau_w) / ((1 + a) (tau_u + tau_w))

    Args:
        population: its spikes are not considered: far below threshold.
        membrane_noise: what it is for a = 0.
    """
    tau_u, tau_w = population.tau_membrane_ms, population.tau_adaptation_ms
    coupled = 1.0 + population.adaptation_coupling
    return membrane_noise * np.sqrt((tau_u + coupled * tau_w) / (coupled * (tau_u + tau_w)))
