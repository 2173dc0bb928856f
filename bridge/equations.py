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
        equations: model text; time constants in seconds, everything else dimensionless.
        update: code of one exact step, for `NeuronGroup(method=...)`.
        threshold, reset: None for a population that never spikes.
        refractory_steps: 0 means no refractoriness at all.
        deliver: code that runs after the synapses of a step and before its resets: arrivals touch the state.
        on_pre: synaptic code; a synapse has the variable `weight`.
        off_pre, off_steps: code that ends a pulse, and how many steps after its start; None and 0 where not needed.
        constants: (n,) value of every parameter in `equations`; those that start with `tau_` in seconds.
        state: names of the state variables, all 0 at the start of a sample.
    """

    equations: str
    update: str
    threshold: str | None
    reset: str | None
    refractory_steps: int
    deliver: str
    on_pre: str
    off_pre: str | None
    off_steps: int
    constants: dict[str, FloatArray]
    state: tuple[str, ...]


def brian_model(grid: GridPopulation) -> BrianModel:
    """The Brian2 model of a population on its grid."""
    population = grid.population
    refractory_steps = grid.refractory_steps if population.spiking else 0
    update, entries = _update(grid, freezes=refractory_steps > 0)
    constants = _model_constants(grid) | {name: getattr(grid.propagator, name) for name in entries}
    # A pulse of one step needs no second pathway: the next arrivals replace it.
    off_steps = grid.pulse_steps if grid.pulse_steps > 1 else 0
    state = ["u", "arrivals"]
    state += ["w"] if population.adaptive else []
    state += {SynapseKind.DELTA: [], SynapseKind.PULSE: ["i_pulse"], SynapseKind.EXPONENTIAL: ["i_syn"]}[grid.synapse]
    return BrianModel(
        equations=_equations(grid, constants, freezes=refractory_steps > 0),
        update=update,
        threshold="u >= theta" if population.spiking else None,
        reset=_reset(grid) if population.spiking else None,
        refractory_steps=refractory_steps,
        deliver=_deliver(grid),
        on_pre="arrivals_post += weight",
        off_pre="arrivals_post -= weight" if off_steps else None,
        off_steps=off_steps,
        constants=constants,
        state=tuple(state),
    )


def _model_constants(grid: GridPopulation) -> dict[str, FloatArray]:
    """Parameters of the continuous-time model."""
    population = grid.population
    constants = {"tau_u": population.tau_membrane_ms / 1000.0, "bias": population.bias}
    if population.spiking:
        constants["theta"] = population.threshold
    if population.adaptive:
        constants["tau_w"] = population.tau_adaptation_ms / 1000.0
        constants["a"] = population.adaptation_coupling
        constants["b"] = population.adaptation_jump
    if grid.tau_syn_ms is not None:
        constants["tau_syn"] = np.full(population.size, grid.tau_syn_ms / 1000.0)
    return constants


def _equations(grid: GridPopulation, constants: dict[str, FloatArray], *, freezes: bool) -> str:
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
    lines += [f"{name} : {'second' if name.startswith('tau_') else '1'} (constant)" for name in constants]
    return "\n".join(lines)


def _update(grid: GridPopulation, *, freezes: bool) -> tuple[str, list[str]]:
    """Update code and the propagator entries it uses; operation by operation as in the reference."""
    adaptive, exponential = grid.population.adaptive, grid.synapse is SynapseKind.EXPONENTIAL
    inputs = ["u"]
    inputs += ["w"] if adaptive else []
    inputs += ["i"] if exponential else []
    variable = {"u": "u", "w": "w", "i": "i_syn", "c": "(bias + i_pulse)"}
    if grid.synapse is not SynapseKind.PULSE:
        variable["c"] = "bias"

    def response(of: str) -> str:
        return " + ".join(f"{of}_{to} * {variable[to]}" for to in (*inputs, "c"))

    entries = [f"u_{to}" for to in (*inputs, "c")]
    lines = [f"_new_u = {response('u')}"]
    if adaptive:
        entries += [f"w_{to}" for to in (*inputs, "c")]
        if freezes:
            # Multiplied by exactly 0 or 1: the branch that applies keeps its bits.
            entries += ["frozen_w_u", "frozen_w_w"]
            held = "frozen_w_u * u + frozen_w_w * w"
            lines.append(f"w = int(not_refractory) * ({response('w')}) + (1 - int(not_refractory)) * ({held})")
        else:
            lines.append(f"w = {response('w')}")
    if exponential:
        entries.append("i_i")
        lines.append("i_syn = i_i * i_syn")
    lines.append("u = _new_u")
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
    return f"u = {float(population.reset_value)!r}{jump}"
