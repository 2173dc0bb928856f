"""Two recordings' first difference in words: where it is, where it comes from, and what the membrane did."""

from __future__ import annotations

from collections.abc import Iterator

from spikebridge.validation.closeup import Closeup, Origin, Side
from spikebridge.validation.diverge import Divergence, Place
from spikebridge.validation.formatting import counted, small, whole
from spikebridge.validation.membrane import Trace
from spikebridge.validation.parity import READOUT_TOLERANCE

SHOWN = 5
"""How many of a long list are named."""


def where(place: Place) -> str:
    """Population, neuron, sample, step and time."""
    return (
        f"population {place.population}, {_noun(place.spiking)} {place.neuron}, sample {place.sample}, "
        f"step {place.step} ({place.time_ms:g} ms)"
    )


def _noun(spiking: bool) -> str:
    return "neuron" if spiking else "class"


def what(place: Place) -> str:
    """What each recorded there."""
    a, b = place.values
    if not place.spiking:
        return f"potential {a:.12g} in A, {b:.12g} in B"
    if {a, b} == {0, 1}:
        return "A fired, B did not" if a else "B fired, A did not"
    return f"A fired {counted(int(a), 'time')}, B {counted(int(b), 'time')}"


def overview(divergence: Divergence) -> Iterator[str]:
    """The first difference, then how much differs in which population."""
    parity = divergence.parity
    if divergence.same:
        compared = parity.readout_max_difference is not None
        readout = "readout potentials" if compared else "class scores (potentials were not kept by both)"
        difference = parity.readout_max_difference if compared else parity.score_max_difference
        yield (
            f"No difference: all {whole(parity.spikes)} spikes in {counted(parity.samples, 'sample')} are the same, "
            f"{readout} to {small(difference)} (limit {READOUT_TOLERANCE:g})."
        )
        return
    first = divergence.first
    if first is None:
        yield (
            f"All {whole(parity.spikes)} spikes are the same, but class scores differ by up to "
            f"{small(parity.score_max_difference)}. Where the readout first differs cannot be said: its potentials "
            "were not kept in both recordings."
        )
        return
    yield f"First difference: {where(first)}: {what(first)}."
    for population in divergence.populations:
        unit = "spike" if population.spiking else "potential"
        if population.first is None:
            yield f"  {population.population}: every {unit} is the same"
            continue
        yield (
            f"  {population.population}: {counted(population.mismatches, f'differing {unit}')} in "
            f"{whole(len(population.firsts))} of {counted(parity.samples, 'sample')}; first in step "
            f"{population.first.step}, sample {population.first.sample}, {_noun(population.spiking)} "
            f"{population.first.neuron}"
        )
    if parity.readout_max_difference is None:
        yield (
            "  readout: not compared, its potentials were not kept in both recordings; class scores differ by up to "
            f"{small(parity.score_max_difference)}"
        )


def describe_origins(found: tuple[Origin, ...]) -> Iterator[str]:
    """For every population that differs: by itself, or because of its inputs."""
    yield "Where the differences start (looking, in every sample, at the first of each population):"
    for origin in found:
        name = origin.population
        if origin.samples_itself:
            yield (
                f"  {name} differs by itself in {counted(origin.samples_itself, 'sample')}: every spike that had "
                "reached the neuron was the same, its own was not"
            )
        if origin.samples_inputs:
            yield (
                f"  {name} differs because of its inputs in {counted(origin.samples_inputs, 'sample')}: spikes of "
                f"{' and '.join(origin.sources)} that had reached the neuron differed before"
            )
    starts = [origin for origin in found if origin.itself is not None]
    starts.sort(key=lambda origin: -1 if origin.itself is None else origin.itself.step)
    if starts and starts[0].itself is not None:
        others = ", ".join(origin.population for origin in starts[1:])
        yield f"  The fault starts in {starts[0].population}" + (f", and also in {others}." if others else ".")


def describe_closeup(closeup: Closeup) -> Iterator[str]:
    """What the replay of the neuron says, and what follows from it."""
    place = closeup.place
    yield f"Closely: {where(place)}: {what(place)}."
    for side, trace in zip(closeup.sides, closeup.traces, strict=True):
        if trace is None:
            yield f"  {side.label}: no trace, because the network it ran was not given"
        else:
            yield f"  {side.label}: {membrane(trace, place)}"
    yield from (f"  {sentence}" for sentence in diagnosis(closeup))


def membrane(trace: Trace, place: Place) -> str:
    """Potential and threshold at the place, and whether the recording follows."""
    u = trace.potential[place.step]
    if trace.threshold is None:
        text = f"u = {u:.12g} by replay"
    else:
        distance = u - trace.threshold
        relation = "reaches" if distance >= 0 else "stays below"
        text = f"u = {u:.12g} {relation} theta = {trace.threshold:.12g} (u - theta = {distance:+.3g})"
        if trace.frozen[place.step]:
            text += ", refractory"
        text += f": {'fires' if trace.fires[place.step] else 'does not fire'}"
    first = trace.first_unexplained(place.step)
    if first is None:
        return text + ", as recorded"
    recorded = trace.recorded[first]
    recorded_text = f"u = {recorded:.12g}" if trace.threshold is None else counted(int(recorded), "spike")
    if first == place.step:
        return f"{text}, but {recorded_text} recorded"
    return f"{text}; but already in step {first} the replay is not what was recorded ({recorded_text})"


def diagnosis(closeup: Closeup) -> Iterator[str]:
    """What the traces and inputs of the neuron mean, in sentences."""
    place = closeup.place
    if closeup.earlier:
        first = closeup.earlier[0]
        more, less = ("B", "A") if first.excess > 0 else ("A", "B")
        yield (
            f"Its inputs differ: {counted(len(closeup.earlier), 'differing spike')} had reached the neuron, the first "
            f"from {first.source} neuron {first.neuron}, which in step {first.step} fired "
            f"{counted(abs(first.excess), 'time')} more in {more} than in {less} and acts from step "
            f"{first.arrival_step + 1} on. See --sample {place.sample} --population {first.source}."
        )
    else:
        yield "Its inputs are the same: no spike that had reached the neuron differs."
    for side, trace in zip(closeup.sides, closeup.traces, strict=True):
        if trace is not None and trace.first_unexplained(place.step) is not None:
            yield from _unexplained(side, trace, place)
    if not closeup.same_network:
        yield from _other_networks(closeup)


def _unexplained(side: Side, trace: Trace, place: Place) -> Iterator[str]:
    step = place.step if (first := trace.first_unexplained(place.step)) is None else first
    distance = trace.distance(step)
    what_recorded = "spikes" if place.spiking else "potentials"
    target = f"{place.population} {_noun(place.spiking)} {place.neuron}"
    if distance is not None and abs(distance) < READOUT_TOLERANCE and not trace.frozen[step]:
        yield (
            f"The recorded spikes of {side.label} do not follow from its recorded inputs, but u is within "
            f"{READOUT_TOLERANCE:g} of theta ({distance:+.2g} in step {step}): rounding, such as the order of a sum, "
            "can decide here. Weights rounded at export make sums exact."
        )
        return
    others = len(trace.others_unexplained)
    yield (
        f"The recorded {what_recorded} of {side.label} do not follow from its recorded inputs: {target}, or a synapse "
        f"onto it, was not run as {side.network_file} has it"
        + (f" (the same holds for {counted(others, 'other neuron')} of {place.population})." if others else ".")
    )


def _other_networks(closeup: Closeup) -> Iterator[str]:
    a, b = closeup.sides
    place, differences = closeup.place, closeup.network_differences
    target = f"{place.population} {_noun(place.spiking)} {place.neuron}"
    if differences:
        more = len(differences) - SHOWN
        tail = f"; and {more} more" if more > 0 else ""
        yield f"A and B ran different networks. At {target}: {'; '.join(differences[:SHOWN])}{tail}."
    elif differences is not None:
        yield f"A and B ran different networks, but {target} and the synapses onto it are the same in both."
    trace = closeup.in_other_network
    if trace is None:
        return
    lacking, other = (a, b) if a.network is None else (b, a)
    option = "--network" if lacking is a else "--network-b"
    follows = trace.first_unexplained(place.step) is None
    consequence = (
        f"its recorded inputs explain what it recorded also in {other.network_file}"
        if follows
        else f"in {other.network_file} its recorded inputs would not give what it recorded ({membrane(trace, place)}): "
        f"{target}, or a synapse onto it, differs from that file"
    )
    yield f"{lacking.label} ran another network than {other.label}; {consequence}."
    yield f"For {lacking.label}'s trace, and for which parameter differs, give its network with {option} NETWORK.h5."
