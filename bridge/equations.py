"""A population on its grid as Brian2 text and numbers. Nothing here imports Brian2.

The differential equations are the model as it is defined and are what a reader (or Brian2's own tools) sees; the update
code applies the exact propagator of the same equations, in the order of operations of `spikebridge.bridge.reference`.
Brian2's own `method='exact'` gives NaN for oscillatory neurons (complex eigenvalues), without an error.
"""

from __future__ import annotations

from dataclasses import dataclass

from spikebridge.bridge.arrays import FloatArray
from spikebridge.bridge.discretise import GridPopulation
from spikebridge.bridge.spec import Reset, SynapseKind


@dataclass(frozen=True, slots=True, eq=False)
class BrianModel:
    """What a Brian2 `NeuronGroup` with incoming `Synapses` needs.

    Attributes:
        equations: model text; time constants in seconds, potentials dimensionless.
        update: code of one exact step, for `NeuronGroup(method=...)`.
        threshold, reset: None for a population that never spikes.
        refractory_steps: 0 means no refractoriness at all.
        deliver: code that runs after the synapses of a step and before its resets: arrivals touch the state.
        on_pre, off_pre: synaptic code; `off_pre` ends a pulse `off_steps` after the spike arrived, None where not needed.
        off_steps: 0 where not needed.
        constants: (n,) values of the parameters in `equations`, those in seconds as seconds.
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
    population, adaptive = grid.population, grid.population.adaptive
    frozen = grid.refractory_steps > 0 and population.spiking
    current = {SynapseKind.DELTA: "bias", SynapseKind.PULSE: "i_pulse + bias", SynapseKind.EXPONENTIAL: "i_syn + bias"}
    lines = [
        f"du/dt = (-u{' - w' if adaptive else ''} + current) / tau_u : 1{' (unless refractory)' if frozen else ''}",
        f"current = {current[grid.synapse]} : 1",
        "arrivals : 1",
        "tau_u : second (constant)",
    ]
    state = ["u", "arrivals"]
    constants = {
        "tau_u": population.tau_membrane_ms / 1000.0,
        "theta": population.threshold,
        "bias": population.bias,
    }
    if adaptive:
        lines += ["dw/dt = (-w + a * u) / tau_w : 1", "tau_w : second (constant)", "a : 1 (constant)"]
        state.append("w")
        constants |= {
            "tau_w": population.tau_adaptation_ms / 1000.0,
            "a": population.adaptation_coupling,
            "b": population.adaptation_jump,
        }
    if grid.synapse is SynapseKind.EXPONENTIAL:
        assert grid.tau_syn_ms is not None
        lines += ["di_syn/dt = -i_syn / tau_syn : 1", "tau_syn : second (constant)"]
        state.append("i_syn")
        constants["tau_syn"] = 0.0 * population.bias + grid.tau_syn_ms / 1000.0
    if grid.synapse is SynapseKind.PULSE:
        lines.append("i_pulse : 1")
        state.append("i_pulse")
    update, used = _update(grid, frozen=frozen)
    constants |= {name: getattr(grid.propagator, name) for name in used}
    dimensionless = [name for name in constants if not name.startswith("tau_") and name != "a"]
    lines += [f"{name} : 1 (constant)" for name in dimensionless]
    off_steps = grid.pulse_steps if grid.pulse_steps > 1 else 0
    return BrianModel(
        equations="\n".join(lines),
        update=update,
        threshold="u >= theta" if population.spiking else None,
        reset=_reset(grid) if population.spiking else None,
        refractory_steps=grid.refractory_steps if population.spiking else 0,
        deliver=_deliver(grid),
        on_pre="arrivals_post += weight",
        off_pre="arrivals_post -= weight" if off_steps else None,
        off_steps=off_steps,
        constants=constants,
        state=tuple(state),
    )


def _update(grid: GridPopulation, *, frozen: bool) -> tuple[str, list[str]]:
    """Update code and the propagator entries it uses; operation by operation as in the reference."""
    constant = "(bias + i_pulse)" if grid.synapse is SynapseKind.PULSE else "bias"
    exponential = grid.synapse is SynapseKind.EXPONENTIAL
    u_terms, w_terms = ["u_u * u"], ["w_u * u", "w_w * w"]
    used = ["u_u", "u_c"]
    if grid.population.adaptive:
        u_terms.append("u_w * w")
        used += ["u_w", "w_u", "w_w", "w_c"]
    if exponential:
        u_terms.append("u_i * i_syn")
        w_terms.append("w_i * i_syn")
        used += ["u_i", "i_i"] + (["w_i"] if grid.population.adaptive else [])
    u_terms.append(f"u_c * {constant}")
    w_terms.append(f"w_c * {constant}")
    lines = [f"_new_u = {' + '.join(u_terms)}"]
    if grid.population.adaptive:
        free = " + ".join(w_terms)
        if frozen:
            # Multiplied by exactly 0 or 1: the branch that applies keeps its bits.
            held = "frozen_w_u * u + frozen_w_w * w"
            lines.append(f"w = int(not_refractory) * ({free}) + (1 - int(not_refractory)) * ({held})")
            used += ["frozen_w_u", "frozen_w_w"]
        else:
            lines.append(f"w = {free}")
    if exponential:
        lines.append("i_syn = i_i * i_syn")
    lines.append("u = _new_u")
    return "\n".join(lines), used


def _deliver(grid: GridPopulation) -> str:
    """Arrivals are summed on their own and touch the state once, so that their order cannot matter."""
    match grid.synapse:
        case SynapseKind.DELTA:
            effect = "u += arrivals"  # Brian2 drops it while `u` is (unless refractory)
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
    return f"u = {population.reset_value!r}{jump}"
