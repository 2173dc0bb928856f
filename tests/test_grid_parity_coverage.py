"""What the random networks of `test_grid_parity_many` are: every pair of options occurs, and they are active."""

from itertools import combinations, product

import numpy as np
import pytest
from agreement import Case, cases
from networks import NEURON_KINDS, Kind, discriminant
from recipes import RECURRENCE, Batch, Recipe, drawn, narrow_batches, wide_batches

from spikebridge.bridge.decoding import Decoding
from spikebridge.bridge.spec import Reset, SynapseKind

SYNAPSES = ("delta", "pulse of one step", "pulse of several steps", "exponential")
FACTORS: dict[str, tuple[object, ...]] = {
    "neuron": NEURON_KINDS,
    "synapse": SYNAPSES,
    "reset": tuple(Reset),
    "refractory steps": ("0", "1", "above 1"),
    "recurrence": ("none", "undelayed", "delayed"),
    "bias": (False, True),
    "decoding": tuple(Decoding),
    "synapse of the readout": SYNAPSES,
    "other delays": (False, True),
    "inputs": (1, 2),
    "layers": (1, 2, 3),
    "step_ms": (10.0, 1.0, 7.3, 0.5),
}
WIDE, NARROW = wide_batches(250), narrow_batches(250)
# A narrow batch has one readout, one step and three of the twelve structures: these pairs do not all occur in them.
GRID_AND_READOUT = {"synapse of the readout", "step_ms"}
STRUCTURE = {"neuron", "synapse", "reset", "refractory steps", *GRID_AND_READOUT}


def synapse(kind: Kind) -> str:
    match kind.synapse:
        case SynapseKind.PULSE:
            return "pulse of one step" if kind.pulse_steps == 1 else "pulse of several steps"
        case other:
            return str(other)


def options(recipe: Recipe, kind: Kind) -> dict[str, object]:
    """The value of every factor for one population of a network."""
    return {
        "neuron": kind.neuron,
        "synapse": synapse(kind),
        "reset": kind.reset,
        "refractory steps": str(kind.refractory_steps) if kind.refractory_steps < 2 else "above 1",
        "recurrence": RECURRENCE[recipe.recurrence],
        "bias": kind.bias,
        "decoding": recipe.decoding,
        "synapse of the readout": synapse(recipe.readout),
        "other delays": recipe.max_delay > 0,
        "inputs": len(recipe.inputs),
        "layers": len(recipe.kinds),
        "step_ms": recipe.step_ms,
    }


def missing_pairs(batches: list[Batch], but: set[str]) -> list[str]:
    """Pairs of values of two factors that occur in no population; `but` those of two factors that it names."""
    seen: set[tuple[str, object, str, object]] = set()
    for batch in batches:
        for recipe in drawn(batch):
            for kind in recipe.kinds:
                own = options(recipe, kind)
                assert all(own[name] in FACTORS[name] for name in own)
                seen |= {(a, own[a], b, own[b]) for a, b in combinations(FACTORS, 2)}
    return [
        f"{a} = {x}, {b} = {y}"
        for a, b in combinations(FACTORS, 2)
        if not (a in but and b in but and {a, b} & GRID_AND_READOUT)
        for x, y in product(FACTORS[a], FACTORS[b])
        if (a, x, b, y) not in seen
    ]


def test_every_pair_of_options_occurs() -> None:
    assert sum(len(drawn(batch)) for batch in WIDE) == 1000
    # Step and synapse of the readout go together, batch by batch; neither knows of the other.
    assert missing_pairs(WIDE, GRID_AND_READOUT) == []


def test_every_pair_of_options_occurs_in_what_is_compiled() -> None:
    assert sum(len(drawn(batch)) for batch in NARROW) == 1000
    assert missing_pairs(NARROW, STRUCTURE) == []


def test_a_pair_that_does_not_occur_is_noticed() -> None:
    missing = missing_pairs(WIDE[:1], GRID_AND_READOUT)
    assert "neuron = lif, step_ms = 0.5" in missing
    assert "neuron = lif, step_ms = 10.0" not in missing


@pytest.mark.parametrize("batches", [WIDE, NARROW], ids=["numpy", "compiled"])
def test_all_networks_differ(batches: list[Batch]) -> None:
    recipes = [recipe for batch in batches for recipe in drawn(batch)]
    assert len({recipe.seed for recipe in recipes}) == len(recipes) == 1000


def counted(batch: Batch) -> dict[str, int]:
    """How many networks of a batch do what."""
    found = cases(batch)
    highest = [max(int(trains.counts().max()) for trains in case.inputs.values()) for case in found]
    active = [[trains.n_spikes > 0 for trains in case.expected.spikes.values()] for case in found]
    return {
        "spike": sum(any(populations) for populations in active),
        "spike in every population": sum(all(populations) for populations in active),
        "pause": sum(any(_pauses(case, name) for name in case.expected.spikes) for case in found),
        "counts above one": sum(count > 1 for count in highest),
        "counts above three": sum(count > 3 for count in highest),
    }


def _pauses(case: Case, name: str) -> bool:
    """Whether a population spikes in less than half of all steps: a saturated one would tell little."""
    trains = case.expected.spikes[name]
    return 0 < trains.n_spikes < 0.5 * trains.n_samples * trains.n_steps * trains.n_neurons


@pytest.mark.parametrize("batch", WIDE, ids=range(4))
def test_most_networks_spike_and_counts_go_above_one(batch: Batch) -> None:
    share = {what: number / batch.networks for what, number in counted(batch).items()}
    assert share["spike"] > 0.8
    assert share["spike in every population"] > 0.6
    assert share["pause"] > 0.6
    assert share["counts above one"] > 0.9
    assert share["counts above three"] > 0.3


@pytest.mark.parametrize("batches", [WIDE, pytest.param(NARROW, marks=pytest.mark.slow)], ids=["numpy", "compiled"])
def test_oscillatory_and_degenerate_neurons_spike(batches: list[Batch]) -> None:
    """Spikes of neurons with complex eigenvalues, with equal and nearly equal time constants, critically damped."""
    spikes = dict.fromkeys(("oscillatory", "critical", "equal", "equal, coupled", "nearly equal", "as the synapse"), 0)
    for case in (case for batch in batches for case in cases(batch)):
        for grid in case.grid.populations:
            population = grid.population
            if not population.spiking:
                continue
            tau_u, tau_w, a = (
                population.tau_membrane_ms,
                population.tau_adaptation_ms,
                population.adaptation_coupling,
            )
            count = np.bincount(case.expected.spikes[population.name].neuron, minlength=population.size)
            masks = {"as the synapse": tau_u == (grid.tau_syn_ms or 0.0)}
            if population.adaptive:
                masks |= {
                    "oscillatory": discriminant(population) < -1e-3,
                    "critical": (np.abs(discriminant(population)) < 1e-12) & (tau_u != tau_w) & (a > 0.01),
                    "equal": (tau_u == tau_w) & (a == 0),
                    "equal, coupled": (tau_u == tau_w) & (a != 0),
                    "nearly equal": (tau_u != tau_w) & (np.abs(tau_w / tau_u - 1) < 1e-5),
                }
            for name, mask in masks.items():
                spikes[name] += int(count[mask].sum())
    assert min(spikes.values()) > 1000, spikes
