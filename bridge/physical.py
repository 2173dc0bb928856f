"""Physical units: the same neurons in mV, pA, pF and nS, by an affine change of variables. Each formula once, here.

A spec is dimensionless: u is 0 at rest, and a threshold of theta = 1 is what it was trained with. With the resting
potential E_L, the potential V_th of theta = 1, and the leak conductance g_L of a neuron, put

    s = V_th - E_L                 mV per unit of u, the same for every neuron
    V = E_L + s u                  mV
    w_pA = s g_L w                 pA, for mV nS = pA; every current of the model (w, I, bias) scales like this
    C = g_L tau_u                  pF, for nS ms = pF

Then tau_u du/dt = -u - w + I, times s g_L, is

    C dV/dt = -g_L (V - E_L) - w_pA + I_pA

and tau_w dw/dt = -w + a u, times s g_L, is

    tau_w dw_pA/dt = -w_pA + a_nS (V - E_L)      with a_nS = a g_L,

the form of Brette & Gerstner 2005 (J. Neurophysiol. 94:3637) without its exponential term. Neuron i fires at
E_L + s theta_i: thresholds that differ between neurons stay different, and only theta = 1 is at V_th. A reset to a
value goes to E_L + s u_reset, a subtracting one takes s theta off; a spike adds s g_L b to w_pA. A weight W is s W in
mV (delta synapses) or s g_L W in pA (pulse and exponential), with g_L of the target. Times do not change. A readout is
converted with the same s; it has no threshold.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spikebridge.bridge.arrays import FloatArray
from spikebridge.bridge.errors import ConfigError
from spikebridge.bridge.spec import Population

DEFAULT_CAPACITANCE_PF = 200.0
PHYSICAL = "physical"
"""How the provenance entry `units` of a recording in physical units starts."""


@dataclass(frozen=True, slots=True)
class PhysicalUnits:
    """What fixes the physical scale of a network.

    Exactly one of capacitance and leak is given, for every neuron the same; the other follows from the neuron's
    membrane time constant, C = g_L tau. Given neither, the capacitance is 200 pF.

    Attributes:
        rest_mv: E_L, the potential of u = 0.
        threshold_mv: V_th, the potential of u = 1, above E_L.
        capacitance_pf: C, or None where the leak is given.
        leak_ns: g_L, or None where the capacitance is given.

    Raises:
        ConfigError: both are given, one is not above 0, or the threshold is not above rest.
    """

    rest_mv: float = -70.0
    threshold_mv: float = -50.0
    capacitance_pf: float | None = None
    leak_ns: float | None = None

    def __post_init__(self) -> None:
        if self.capacitance_pf is not None and self.leak_ns is not None:
            raise ConfigError(
                f"capacitance_pf is {self.capacitance_pf} and leak_ns is {self.leak_ns}; give one of them, the other "
                "follows from each neuron's membrane time constant (C = g_L tau)"
            )
        if self.capacitance_pf is None and self.leak_ns is None:
            object.__setattr__(self, "capacitance_pf", DEFAULT_CAPACITANCE_PF)
        for name in ("rest_mv", "threshold_mv", "capacitance_pf", "leak_ns"):
            value = getattr(self, name)
            if value is not None and not np.isfinite(value):
                raise ConfigError(f"{name} is {value}; it must be a finite number")
        for name in ("capacitance_pf", "leak_ns"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ConfigError(f"{name} is {value}; it must be above 0")
        if self.threshold_mv <= self.rest_mv:
            raise ConfigError(
                f"threshold_mv is {self.threshold_mv} and rest_mv is {self.rest_mv}; the threshold must lie above rest"
            )

    @property
    def scale_mv(self) -> float:
        """Millivolts per unit of u: s = V_th - E_L."""
        return self.threshold_mv - self.rest_mv

    def __str__(self) -> str:
        """Every parameter, as a recording's provenance has it."""
        electric = (
            f"g_L = {self.leak_ns!r} nS, C = g_L tau"
            if self.capacitance_pf is None
            else f"C = {self.capacitance_pf!r} pF, g_L = C / tau"
        )
        return f"{PHYSICAL} ({electric}, E_L = {self.rest_mv!r} mV, V_th = {self.threshold_mv!r} mV at theta = 1)"


@dataclass(frozen=True, slots=True, eq=False)
class PhysicalPopulation:
    """The parameters of a population in physical units; every vector has shape (n,), formulas in the module's text.

    Attributes:
        rest_mv: E_L.
        scale_mv: s, millivolts per unit of u.
        capacitance_pf: C.
        leak_ns: g_L.
        threshold_mv, reset_mv: s theta and s u_reset, both above rest (V - E_L).
        current_scale_pa: s g_L, picoamperes per unit of a dimensionless current.
        bias_pa: constant current.
        coupling_ns: a.
        jump_pa: b.
    """

    rest_mv: FloatArray
    scale_mv: FloatArray
    capacitance_pf: FloatArray
    leak_ns: FloatArray
    threshold_mv: FloatArray
    reset_mv: FloatArray
    current_scale_pa: FloatArray
    bias_pa: FloatArray
    coupling_ns: FloatArray
    jump_pa: FloatArray


def physical_population(population: Population, units: PhysicalUnits) -> PhysicalPopulation:
    """A population's parameters in mV, pA, pF and nS."""
    tau_ms = population.tau_membrane_ms
    if units.capacitance_pf is not None:
        capacitance_pf = np.full(population.size, units.capacitance_pf)
        leak_ns = capacitance_pf / tau_ms
    else:
        leak_ns = np.full(population.size, units.leak_ns)
        capacitance_pf = leak_ns * tau_ms
    current_scale_pa = units.scale_mv * leak_ns
    return PhysicalPopulation(
        rest_mv=np.full(population.size, units.rest_mv),
        scale_mv=np.full(population.size, units.scale_mv),
        capacitance_pf=capacitance_pf,
        leak_ns=leak_ns,
        threshold_mv=units.scale_mv * population.threshold,
        reset_mv=np.full(population.size, units.scale_mv * population.reset_value),
        current_scale_pa=current_scale_pa,
        bias_pa=current_scale_pa * population.bias,
        coupling_ns=leak_ns * population.adaptation_coupling,
        jump_pa=current_scale_pa * population.adaptation_jump,
    )
