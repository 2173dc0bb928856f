"""The chapters of `report.html`: tables and pictures from the evidence."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from spikebridge.bridge.arrays import FloatArray
from spikebridge.bridge.spec import NetworkSpec
from spikebridge.validation.activity_section import activity_section, effort_section
from spikebridge.validation.chapter import Chapter
from spikebridge.validation.evidence import Evidence
from spikebridge.validation.formatting import Table, number, percent, share, small, whole
from spikebridge.validation.ladder import ladder_section
from spikebridge.validation.numbers import provenance
from spikebridge.validation.parity import READOUT_TOLERANCE, Parity
from spikebridge.validation.plot_confusion import confusion_picture
from spikebridge.validation.plot_delays import delays_picture
from spikebridge.validation.plot_raster import raster_picture
from spikebridge.validation.plot_readout import readout_picture
from spikebridge.validation.refinement_section import refinement_section
from spikebridge.validation.section import Folded, Section

EQUATIONS = (
    "τ_u du/dt = −u − w + I and τ_w dw/dt = −w + a u, where u is the membrane potential and w the adaptation, both "
    "dimensionless. A spike is fired where u reaches the threshold outside the refractory period; it resets u and "
    "adds b to w."
)

PARITY_INTRODUCTION = (
    "The exported network ran in both executors on the same inputs and the same grid. Every spike of one is looked up "
    "in the other: a missing or additional spike is one mismatch, a moved one counts two. In a replay each population "
    "runs alone on the recorded spikes of its inputs, which shows where a difference begins. A simulation in physical "
    "units is compared with the one without units on its grid. The same means no "
    f"mismatch, and readout potentials within {READOUT_TOLERANCE:g}."
)
NO_PARITY_INTRODUCTION = (
    "No simulation ran on the grid of the training, so that spikes cannot be compared one by one. The pictures show "
    "both executors in one sample."
)

ACCURACY_INTRODUCTION = (
    "Accuracy over the test samples, in brackets the 95% interval of Wilson 1927 (J. Am. Stat. Assoc. 22:209), both in "
    "percent; it takes samples for independent, which those of one speaker are not quite."
)
SPEAKERS = (
    " Seen are the speakers that the weights were fitted on, in other recordings; "
    "held-out those on whom the epoch was chosen; unseen took no part."
)


def report_sections(evidence: Evidence, sample: int, why: str, chapters: Sequence[Chapter] = ()) -> tuple[Section, ...]:
    """All sections in order; `sample` is the one that pictures show, `why` the reason for it."""
    found = (
        ladder_section(evidence),
        _parity_section(evidence, sample, why),
        _accuracy_section(evidence),
        refinement_section(evidence.refinement),
        activity_section(evidence),
        effort_section(evidence),
        *(section for chapter in chapters for section in chapter.sections),
        _network_section(evidence),
        _decisions_section(evidence),
        _provenance_section(evidence),
    )
    return tuple(section for section in found if section is not None)


def _parity_section(evidence: Evidence, sample: int, why: str) -> Section:
    reference, primary = evidence.reference, evidence.primary
    pictures = [raster_picture(reference, primary, sample, why), readout_picture(reference, primary, sample)]
    tables = tuple(_parity_table(label, parity) for label, parity in evidence.parity.items())
    firsts = [
        (label, p.first_mismatch)
        for label, parity in evidence.parity.items()
        for p in parity.populations
        if p.first_mismatch is not None
    ]
    if firsts:
        rows = tuple(
            (f"{f.population} ({label})", str(f.neuron), str(f.sample), f"{f.time_ms:g}", str(f.step), f.executor)
            for label, f in firsts
        )
        columns = ("population", "neuron", "sample", "time (ms)", "step", "who fired")
        tables += (Table("First mismatch in each population: earliest step over all samples", columns, rows),)
    return Section(
        key="parity",
        title="Are the spikes the same?",
        introduction=PARITY_INTRODUCTION if evidence.parity else NO_PARITY_INTRODUCTION,
        tables=tables,
        pictures=tuple(picture for picture in pictures if picture is not None),
    )


def _parity_table(label: str, parity: Parity) -> Table:
    rows = [
        (p.population, whole(p.reference_spikes), whole(p.other_spikes), whole(p.mismatches), whole(p.samples_affected))
        for p in parity.populations
    ]
    total = (whole(parity.spikes), whole(parity.other_spikes), whole(parity.mismatches), whole(parity.samples_affected))
    rows.append(("all", *total))
    readout = small(parity.readout_max_difference)
    return Table(
        f"{label.capitalize()}: {parity.reference} against {parity.other}, {whole(parity.samples)} samples. Largest "
        f"difference of readout potentials: {readout}; decisions changed: {whole(parity.decisions_changed)}.",
        ("population", f"spikes, {parity.reference}", f"spikes, {parity.other}", "mismatches", "samples affected"),
        tuple(rows),
    )


def _accuracy_section(evidence: Evidence) -> Section:
    # Every executor was given the same samples, so that the numbers of samples belong into the headings.
    found = evidence.accuracy[evidence.reference.label]
    sizes = {
        "all": found.all,
        "seen speakers": found.seen,
        "unseen speakers": found.unseen,
        "held-out speakers": found.held_out,
    }
    groups = [f"{name} (n\u00a0=\u00a0{whole(group.samples)})" for name, group in sizes.items() if group is not None]
    rows = []
    for e in evidence.executors:
        found = evidence.accuracy[e.label]
        changed = evidence.decisions_changed.get(e.label)
        decided = (
            "–" if e is evidence.reference or changed is None else f"{whole(changed.hits)} ({percent(changed.value)})"
        )
        shares = [share(group) for group in (found.all, found.seen, found.unseen, found.held_out) if group is not None]
        rows.append((e.label, f"{e.recording.step_ms:g}", *shares, decided))
    columns = ("run", "step (ms)", *groups, "decisions changed")
    return Section(
        key="accuracy",
        title="How often is the network right?",
        introduction=ACCURACY_INTRODUCTION + (SPEAKERS if len(groups) > 1 else ""),
        tables=(Table("Accuracy with its 95% interval; n is the number of samples", columns, tuple(rows)),),
        pictures=(confusion_picture(evidence.reference, evidence.primary),),
    )


def _network_section(evidence: Evidence) -> Section:
    rows = []
    for p in evidence.network.populations:
        adaptation = "none"
        if p.adaptive:
            adaptation = f"{_span(p.tau_adaptation_ms, 1)}; {_span(p.adaptation_coupling)}; {_span(p.adaptation_jump)}"
        kind = f"{p.reset.value.replace('_', ' ')}, {p.refractory_ms:g} ms" if p.spiking else "never spikes"
        rows.append((p.name, whole(p.size), _span(p.tau_membrane_ms, 1), adaptation, _span(p.threshold), kind))
    inputs = tuple((i.name, whole(i.size), "–", "–", "–", "input") for i in evidence.network.inputs)
    columns = (
        "name",
        "size",
        "membrane time (ms)",
        "adaptation: time (ms); a; b",
        "threshold",
        "reset, refractory period",
    )
    return Section(
        key="network",
        title="What was simulated?",
        introduction=(
            f"Trained on steps of {evidence.network.training_step_ms:g} ms, samples of "
            f"{evidence.network.duration_ms:g} ms. A range is minimum to maximum over neurons."
        ),
        tables=(Table("Inputs and populations", columns, inputs + tuple(rows)), _projections_table(evidence.network)),
        notes=(("Equations of a neuron", EQUATIONS),),
        pictures=(delays_picture(evidence.network),),
    )


def _projections_table(network: NetworkSpec) -> Table:
    rows = []
    for p in network.projections:
        constant = p.pulse_ms if p.pulse_ms is not None else p.tau_syn_ms
        kind = p.synapse.value if constant is None else f"{p.synapse.value}, {constant:g} ms"
        size = float(np.abs(p.weight).mean()) if p.weight.size else None
        positive = float((p.weight > 0).mean()) if p.weight.size else None
        rows.append((p.label, kind, whole(p.weight.size), number(size, 3), percent(positive)))
    columns = ("projection", "synapse", "synapses", "mean |weight|", "positive weights")
    return Table("Projections; weights are in units of the target's potential", columns, tuple(rows))


def _span(values: FloatArray, digits: int = 2) -> str:
    low, high = number(float(np.min(values)), digits), number(float(np.max(values)), digits)
    return low if low == high else f"{low} to {high}"


def _decisions_section(evidence: Evidence) -> Section:
    decisions = tuple((d.subject, d.text) for d in evidence.network.decisions)
    return Section(
        key="decisions",
        title="What the export decided",
        introduction=(
            "Choices that were made when the trained network was written down, because training had left them open."
            if decisions
            else "The export records no decisions."
        ),
        notes=decisions,
    )


def _provenance_section(evidence: Evidence) -> Section:
    origin = provenance(evidence)
    simulated = []
    for label, executor in origin["executors"].items():
        options = executor.pop("options")
        simulated.append(_pairs(f"Executor of {label}", executor | options))
    return Section(
        key="provenance",
        title="Where it comes from",
        introduction="Versions, seeds, options and checksums: with these, the run can be repeated.",
        tables=(_pairs("Test samples", origin["trials"]),),
        folded=(
            Folded("The network, and what trained it", (_pairs("Network", origin["network"]),)),
            Folded(f"What ran it: {', '.join(origin['executors'])}", tuple(simulated)),
            Folded("What made this report", (_pairs("This report", origin["report"]),)),
        ),
    )


def _pairs(caption: str, values: dict[str, object]) -> Table:
    return Table(
        caption, ("item", "value"), tuple((name.replace("_", " "), str(value)) for name, value in values.items())
    )
