"""Random networks that can be written down in one line, drawn by hypothesis in batches of like structure.

A batch names a few structures (synapse x refractory period x reset x adaptation) and a grid; its networks differ in
everything else, so that all of them merge into one network of a few populations (`merged_networks`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cache

from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from networks import ADAPTIVE_KINDS, Kind, random_inputs, random_network, with_latencies

from spikebridge.bridge.decoding import Decoding
from spikebridge.bridge.discretise import GridNetwork, discretise
from spikebridge.bridge.spec import NetworkSpec, Reset, SynapseKind
from spikebridge.bridge.spikes import SpikeTrains

SAMPLES = 3
RECURRENCE = {None: "none", 0: "undelayed", 1: "delayed", 5: "delayed"}


@dataclass(frozen=True)
class Recipe:
    """A random network and its inputs: everything follows from these values.

    Attributes:
        kinds: one per spiking population.
        readout: whose synapses the readout has.
        seed: of parameters, weights, delays and inputs.
        rate: mean count per input channel and training step.
        parts: the network runs on a grid of `step_ms / parts`; unless that is the training grid, `with_latencies`.

    The others are those of `random_network`.
    """

    kinds: tuple[Kind, ...]
    readout: Kind
    seed: int
    inputs: tuple[int, ...]
    sizes: tuple[int, ...]
    recurrence: int | None
    max_delay: int
    classes: int
    decoding: Decoding
    rate: float
    step_ms: float
    n_steps: int
    parts: float = 1

    def spec(self) -> NetworkSpec:
        """The network."""
        spec = random_network(
            self.kinds,
            seed=self.seed,
            inputs=self.inputs,
            sizes=self.sizes,
            recurrence=self.recurrence,
            max_delay=self.max_delay,
            classes=self.classes,
            readout=self.readout,
            decoding=self.decoding,
            step_ms=self.step_ms,
            n_steps=self.n_steps,
        )
        return spec if self.parts == 1 else with_latencies(spec, self.seed)

    def grid(self) -> GridNetwork:
        """The network on the grid it runs on."""
        return discretise(self.spec(), self.step_ms / self.parts)

    def trains(self, grid: GridNetwork) -> dict[str, SpikeTrains]:
        """What is played into it."""
        return random_inputs(grid, SAMPLES, self.seed, self.rate / self.parts)

    def code(self) -> str:
        """The recipe as Python that makes it again."""
        return re.sub(r"<(\w+\.\w+): '[^']*'>", r"\1", repr(self))


@dataclass(frozen=True)
class Batch:
    """What the networks of one merged network have in common.

    Attributes:
        structures: a network's populations take consecutive ones; `neuron` says whether they have adaptation.
        readout: synapses of the readouts.
        networks: how many.
        seed: of the first one.
        parts: of a recipe.
    """

    structures: tuple[Kind, ...]
    readout: Kind
    step_ms: float
    n_steps: int
    networks: int
    seed: int = 0
    parts: float = 1


SYNAPSES = ((SynapseKind.DELTA, 1), (SynapseKind.PULSE, 1), (SynapseKind.PULSE, 3), (SynapseKind.EXPONENTIAL, 1))
REFRACTORY_STEPS = (0, 1, 3)
GRIDS = ((10.0, 40), (1.0, 30), (7.3, 25), (0.5, 12))
RESET_VALUES = (-0.2, 0.1, -0.5, 0.0)


def structure(batch: int, synapse: int, refractory: int) -> Kind:
    """Structure of a batch for each synapse (0 .. 3) and refractory period (0 .. 2).

    Reset and adaptation follow such that within a batch every pair of values of two factors occurs, and over four
    batches every combination of all of them.
    """
    kind, pulse_steps = SYNAPSES[synapse]
    return Kind(
        neuron="adaptive" if (synapse // 2 + refractory + batch // 2) % 2 else "lif",
        synapse=kind,
        reset=Reset.TO_VALUE if (synapse + refractory + batch) % 2 else Reset.SUBTRACT,
        refractory_steps=REFRACTORY_STEPS[refractory],
        pulse_steps=pulse_steps,
        bias=False,
        reset_value=RESET_VALUES[batch],
        tau_syn_steps=(4.0, 0.7)[batch % 2],
    )


def wide_batches(networks: int) -> list[Batch]:
    """Four batches of twelve structures each, together all 48 combinations: for a back end that compiles nothing."""
    return [
        Batch(
            tuple(structure(batch, k % 4, k % 3) for k in range(12)),
            structure(batch, (batch + 1) % 4, 0),
            *GRIDS[batch],
            networks,
            seed=10_000 * batch,
        )
        for batch in range(4)
    ]


def narrow_batches(networks: int) -> list[Batch]:
    """Four batches of three structures each, all different: little to compile, every pair of values in one of them."""
    return [
        Batch(
            tuple(structure(0, (batch + k) % 4, k) for k in range(3)),
            structure(batch, batch, 0),
            *GRIDS[batch],
            networks,
            seed=10_000 * (4 + batch),
        )
        for batch in range(4)
    ]


@st.composite
def recipes(draw: st.DrawFn, batch: Batch) -> Recipe:
    """Recipes of a batch."""
    first = draw(st.integers(0, len(batch.structures) - 1))
    layers = draw(st.integers(1, 3))
    structures = [batch.structures[(first + k) % len(batch.structures)] for k in range(layers)]
    return Recipe(
        kinds=tuple(
            replace(
                kind,
                neuron=draw(st.sampled_from(ADAPTIVE_KINDS)) if kind.neuron != "lif" else "lif",
                bias=draw(st.booleans()),
            )
            for kind in structures
        ),
        readout=batch.readout,
        seed=batch.seed,
        inputs=tuple(draw(st.lists(st.integers(1, 5), min_size=1, max_size=2))),
        sizes=tuple(draw(st.lists(st.integers(1, 6), min_size=layers, max_size=layers))),
        recurrence=draw(st.sampled_from(list(RECURRENCE))),
        max_delay=draw(st.sampled_from([0, 1, 3, 6])),
        classes=draw(st.integers(1, 4)),
        decoding=draw(st.sampled_from(Decoding)),
        rate=draw(st.sampled_from([0.3, 0.8, 2.0])),
        step_ms=batch.step_ms,
        n_steps=batch.n_steps,
        parts=batch.parts,
    )


@cache
def drawn(batch: Batch) -> tuple[Recipe, ...]:
    """The recipes of a batch, as hypothesis generates them; the same in every run."""
    found: list[Recipe] = []

    @settings(max_examples=batch.networks, deadline=None, derandomize=True, database=None, phases=[Phase.generate])
    @given(recipes(batch))
    def collect(recipe: Recipe) -> None:
        # Hypothesis likes to repeat integers: of 250 drawn seeds, 50 were different.
        found.append(replace(recipe, seed=recipe.seed + len(found)))

    collect()
    return tuple(found)
