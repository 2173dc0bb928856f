"""A population on its grid as Brian2 text and numbers. Nothing here imports Brian2.

The differential equations are the model as it is defined: what a reader sees, and what Brian2 checks the units of. The
update code applies the exact propagator of the same equations, in the order of operations of
`spikebridge.bridge.reference`. Brian2's own `method='exact'` gives NaN, without an error, for oscillatory neurons
(complex eigenvalues) and where two time constants are equal.

Within a step Brian2 runs: update, threshold, synapses, `deliver` (after the synapses), reset.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spikebridge.bridge.arrays import FloatArray
from spikebridge.bridge.discretise import GridPopulation
from spikebridge.bridge.spec import Reset, SynapseKind


@dataclass(frozen=True, slots=True, eq=False)
class BrianModel:
    """What a Brian2 `NeuronGroup` and the `Synapses` onto it need.

    Attributes:
        equations: model text.
        update: code of one exact step, for `NeuronGroup(method=...)`.
        threshold, reset: None for a population that never spikes.
        refractory_steps: of the population, which has the variable `t_ref` then; 0 means no refractoriness at all.
        deliver: code that runs after the synapses of a step and before its resets: arrivals touch the state.
        synapse: model text of the synapses onto it; they have the variable `weight`, dimensionless.
        on_pre: synaptic code.
        off_pre, off_steps: code that ends a pulse, and how many steps after its start; None and 0 where not needed.
        constants: (n,) value of every parameter in `equations`, in SI base units.
        units: unit of every constant, as Brian2 spells it; `1` for none.
        state: names of the state variables, all 0 at the start of a sample.
        potential: which of them is the membrane potential above rest.
        potential_unit: its value at u = 1: 1, or a number of volts.
        calls: names of the functions that the code calls, see `equations_disturbed`.
        counters: variables of a synapse that are 0 at the start of a sample and count its spikes.
    """

    equations: str
    update: str
    threshold: str | None
    reset: str | None
    refractory_steps: int
    deliver: str
    synapse: str
    on_pre: str
    off_pre: str | None
    off_steps: int
    constants: dict[str, FloatArray]
    units: dict[str, str]
    state: tuple[str, ...]
    potential: str
    potential_unit: float
    calls: tuple[str, ...] = ()
    counters: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Symbols:
    """What a model calls its potential, exponential synaptic current, constant current and pulse current."""

    potential: str
    synaptic: str
    bias: str
    pulse: str


SYMBOLS = Symbols(potential="u", synaptic="i_syn", bias="bias", pulse="i_pulse")


def brian_model(grid: GridPopulation) -> BrianModel:
    """The Brian2 model of a population on its grid."""
    population = grid.population
    refractory_steps = grid.refractory_steps if population.spiking else 0
    update, entries = exact_update(grid, SYMBOLS, freezes=refractory_steps > 0)
    constants = _model_constants(grid) | {name: getattr(grid.propagator, entry) for name, entry in entries.items()}
    units = {name: "second" if name.startswith("tau_") else "1" for name in constants}
    # A pulse of one step needs no second pathway: the next arrivals replace it.
    off_steps = grid.pulse_steps if grid.pulse_steps > 1 else 0
    state = ["u", "arrivals"]
    state += ["w"] if population.adaptive else []
    state += {SynapseKind.DELTA: [], SynapseKind.PULSE: ["i_pulse"], SynapseKind.EXPONENTIAL: ["i_syn"]}[grid.synapse]
    return BrianModel(
        equations=_equations(grid, units, freezes=refractory_steps > 0),
        update=update,
        threshold="u >= theta" if population.spiking else None,
        reset=_reset(grid) if population.spiking else None,
        refractory_steps=refractory_steps,
        deliver=_deliver(grid),
        synapse="weight : 1 (constant)",
        on_pre="arrivals_post += weight",
        off_pre="arrivals_post -= weight" if off_steps else None,
        off_steps=off_steps,
        constants=constants,
        units=units,
        state=tuple(state),
        potential="u",
        potential_unit=1.0,
    )


def _model_constants(grid: GridPopulation) -> dict[str, FloatArray]:
    """Parameters of the continuous-time model."""
    population = grid.population
    constants = {"tau_u": population.tau_membrane_ms / 1000.0, "bias": population.bias}
    if population.spiking:
        constants["theta"] = population.threshold
        if population.reset is Reset.TO_VALUE:
            constants["u_reset"] = np.full(population.size, population.reset_value)
    if population.adaptive:
        constants["tau_w"] = population.tau_adaptation_ms / 1000.0
        constants["a"] = population.adaptation_coupling
        constants["b"] = population.adaptation_jump
    if grid.tau_syn_ms is not None:
        constants["tau_syn"] = np.full(population.size, grid.tau_syn_ms / 1000.0)
    return constants


def declared(units: dict[str, str], *, freezes: bool) -> list[str]:
    """One line of model text per constant; the refractory period is one for the whole population."""
    lines = [f"{name} : {unit} (constant)" for name, unit in units.items()]
    return [*lines, "t_ref : second (constant, shared)"] if freezes else lines


def _equations(grid: GridPopulation, units: dict[str, str], *, freezes: bool) -> str:
    adaptive = grid.population.adaptive
    flag = " (unless refractory)" if freezes else ""
    current = {SynapseKind.DELTA: "bias", SynapseKind.PULSE: "bias + i_pulse", SynapseKind.EXPONENTIAL: "bias + i_syn"}
    lines = [
        f"du/dt = (-u {'- w ' if adaptive else ''}+ current) / tau_u : 1{flag}",
        f"current = {current[grid.synapse]} : 1",
    ]
    if adaptive:
        lines.append("dw/dt = (-w + a * u) / tau_w : 1")
    if grid.synapse is SynapseKind.EXPONENTIAL:
        lines.append("di_syn/dt = -i_syn / tau_syn : 1")
    if grid.synapse is SynapseKind.PULSE:
        lines.append("i_pulse : 1")
    lines.append("arrivals : 1")
    return "\n".join(lines + declared(units, freezes=freezes))


def exact_update(grid: GridPopulation, symbols: Symbols, *, freezes: bool) -> tuple[str, dict[str, str]]:
    """Update code, operation by operation as in the reference, and what it uses of the propagator.

    Args:
        grid: the population on its grid.
        symbols: names of the variables in the code.
        freezes: whether the population can be refractory.

    Returns:
        The code, and by name in the code the field of `Propagator` (`u` in it is called like the potential).
    """
    adaptive, exponential = grid.population.adaptive, grid.synapse is SynapseKind.EXPONENTIAL
    u, i = symbols.potential, symbols.synaptic
    inputs = {"u": u}
    inputs |= {"w": "w"} if adaptive else {}
    inputs |= {"i": i} if exponential else {}
    inputs["c"] = f"({symbols.bias} + {symbols.pulse})" if grid.synapse is SynapseKind.PULSE else symbols.bias
    entries: dict[str, str] = {}

    def entry(name: str) -> str:
        shown = "_".join(u if part == "u" else part for part in name.split("_"))
        entries[shown] = name
        return shown

    def response(of: str) -> str:
        return " + ".join(f"{entry(f'{of}_{to}')} * {variable}" for to, variable in inputs.items())

    lines = [f"_new_{u} = {response('u')}"]
    if adaptive:
        free = response("w")
        if freezes:
            # Multiplied by exactly 0 or 1: the branch that applies keeps its bits.
            held = f"{entry('frozen_w_u')} * {u} + {entry('frozen_w_w')} * w"
            lines.append(f"w = int(not_refractory) * ({free}) + (1 - int(not_refractory)) * ({held})")
        else:
            lines.append(f"w = {free}")
    if exponential:
        lines.append(f"{i} = {entry('i_i')} * {i}")
    lines.append(f"{u} = _new_{u}")
    return "\n".join(lines), entries


def _deliver(grid: GridPopulation) -> str:
    """Arrivals are summed on their own and touch the state once, so that their order cannot matter."""
    match grid.synapse:
        case SynapseKind.DELTA:
            # Brian2 drops a write to a variable marked (unless refractory), as the model wants it.
            effect = "u += arrivals"
        case SynapseKind.PULSE:
            effect = "i_pulse += arrivals" if grid.pulse_steps > 1 else "i_pulse = arrivals"
        case SynapseKind.EXPONENTIAL:
            effect = "i_syn += arrivals"
    return f"{effect}\narrivals = 0"


def _reset(grid: GridPopulation) -> str:
    population = grid.population
    jump = "\nw += b" if population.adaptive else ""
    if population.reset is Reset.SUBTRACT:
        return f"u -= theta{jump}"
    return f"u = u_reset{jump}"
