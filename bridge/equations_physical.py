"""A population in volt, ampere, farad and siemens as Brian2 text and numbers; the formulas are in `bridge.physical`.

Two choices keep the spikes those of the dimensionless model:

- The state is v = V - E_L, and V = E_L + v is a variable derived from it. Near -70 mV a float64 has a coarser grid than
  near 0, so that keeping E_L in the state loses bits of the deviation, the more the closer threshold and rest are: with
  20 mV between them nothing measurable, with 1 mV a factor of 3 to 10 (docs/model.md, "Physical units").
- Arrivals are summed as dimensionless weights, which are multiples of one power of two, so that sums (and the end of a
  pulse) are exact in any order; in pA they would not be. They are converted once, where they touch the state. The
  weight of a synapse in mV or pA is its variable `J`.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from spikebridge.bridge.arrays import FloatArray
from spikebridge.bridge.discretise import GridPopulation
from spikebridge.bridge.equations import BrianModel, Symbols, brian_model, declared, exact_update
from spikebridge.bridge.physical import PhysicalPopulation, PhysicalUnits, physical_population
from spikebridge.bridge.spec import Reset, SynapseKind

SYMBOLS = Symbols(potential="v", synaptic="I_syn", bias="I_bias", pulse="I_pulse")
MILLI, NANO, PICO = 1e-3, 1e-9, 1e-12

type Quantities = dict[str, tuple[FloatArray, str]]
"""By name: values in SI base units, and the unit as Brian2 spells it."""


def physical_model(grid: GridPopulation, units: PhysicalUnits) -> BrianModel:
    """The Brian2 model of a population on its grid, in physical units; state variables are 0 at rest here too."""
    dimensionless = brian_model(grid)
    update, entries = exact_update(grid, SYMBOLS, freezes=dimensionless.refractory_steps > 0)
    numbers = physical_population(grid.population, units)
    quantities = _model_quantities(grid, numbers) | _propagator_quantities(grid, numbers, entries)
    spiking = grid.population.spiking
    in_volt = grid.synapse is SynapseKind.DELTA
    target_scale, weight_unit = ("v_unit", "volt") if in_volt else ("I_unit", "amp")
    renamed = {"u": "v", "i_syn": "I_syn", "i_pulse": "pulses"}
    return replace(
        dimensionless,
        equations=_equations(grid, quantities, freezes=dimensionless.refractory_steps > 0),
        update=update,
        threshold="v >= v_th" if spiking else None,
        reset=_reset(grid) if spiking else None,
        deliver=_deliver(grid),
        synapse=f"{dimensionless.synapse}\nJ = weight * {target_scale}_post : {weight_unit}",
        constants={name: values for name, (values, _) in quantities.items()},
        units={name: unit for name, (_, unit) in quantities.items()},
        state=tuple(renamed.get(name, name) for name in dimensionless.state),
        potential="v",
        potential_unit=units.scale_mv * MILLI,
    )


def _model_quantities(grid: GridPopulation, numbers: PhysicalPopulation) -> Quantities:
    """Parameters of the continuous-time model."""
    population = grid.population
    found: Quantities = {
        "C": (numbers.capacitance_pf * PICO, "farad"),
        "g_L": (numbers.leak_ns * NANO, "siemens"),
        "E_L": (numbers.rest_mv * MILLI, "volt"),
        "I_bias": (numbers.bias_pa * PICO, "amp"),
    }
    if grid.synapse is SynapseKind.DELTA:
        found["v_unit"] = numbers.scale_mv * MILLI, "volt"
    else:
        found["I_unit"] = numbers.current_scale_pa * PICO, "amp"
    if population.spiking:
        found["v_th"] = numbers.threshold_mv * MILLI, "volt"
        if population.reset is Reset.TO_VALUE:
            found["v_reset"] = numbers.reset_mv * MILLI, "volt"
    if population.adaptive:
        found["tau_w"] = population.tau_adaptation_ms * MILLI, "second"
        found["a"] = numbers.coupling_ns * NANO, "siemens"
        found["b"] = numbers.jump_pa * PICO, "amp"
    if grid.tau_syn_ms is not None:
        found["tau_syn"] = np.full(population.size, grid.tau_syn_ms * MILLI), "second"
    return found


def _propagator_quantities(grid: GridPopulation, numbers: PhysicalPopulation, entries: dict[str, str]) -> Quantities:
    """The dimensionless propagator with the unit factors folded in: a current acts on v through 1 / g_L, v on w by g_L.

    From v = s u and w_pA = s g_L w: a term v <- p w becomes v <- (p / g_L) w_pA, a term w <- p u becomes
    w_pA <- (p g_L) v, and s is gone.
    """
    leak = numbers.leak_ns * NANO
    found: Quantities = {}
    for name, entry in entries.items():
        *_, of, to = entry.split("_")
        values: FloatArray = getattr(grid.propagator, entry)
        if of == "u" and to != "u":
            found[name] = values / leak, "ohm"
        elif of != "u" and to == "u":
            found[name] = values * leak, "siemens"
        else:
            found[name] = values, "1"
    return found


def _equations(grid: GridPopulation, quantities: Quantities, *, freezes: bool) -> str:
    adaptive = grid.population.adaptive
    flag = " (unless refractory)" if freezes else ""
    synaptic = {SynapseKind.DELTA: "", SynapseKind.PULSE: " + I_pulse", SynapseKind.EXPONENTIAL: " + I_syn"}
    lines = [
        f"dv/dt = (-g_L * (V - E_L) {'- w ' if adaptive else ''}+ I) / C : volt{flag}",
        "V = E_L + v : volt",
        f"I = I_bias{synaptic[grid.synapse]} : amp",
    ]
    if adaptive:
        lines.append("dw/dt = (-w + a * (V - E_L)) / tau_w : amp")
    if grid.synapse is SynapseKind.EXPONENTIAL:
        lines.append("dI_syn/dt = -I_syn / tau_syn : amp")
    if grid.synapse is SynapseKind.PULSE:
        lines += ["I_pulse = I_unit * pulses : amp", "pulses : 1"]
    if grid.population.spiking:
        lines.append("V_th = E_L + v_th : volt")
    lines.append("arrivals : 1")
    return "\n".join(lines + declared({name: unit for name, (_, unit) in quantities.items()}, freezes=freezes))


def _deliver(grid: GridPopulation) -> str:
    match grid.synapse:
        case SynapseKind.DELTA:
            effect = "v += v_unit * arrivals"
        case SynapseKind.PULSE:
            effect = "pulses += arrivals" if grid.pulse_steps > 1 else "pulses = arrivals"
        case SynapseKind.EXPONENTIAL:
            effect = "I_syn += I_unit * arrivals"
    return f"{effect}\narrivals = 0"


def _reset(grid: GridPopulation) -> str:
    jump = "\nw += b" if grid.population.adaptive else ""
    return ("v -= v_th" if grid.population.reset is Reset.SUBTRACT else "v = v_reset") + jump
