"""`diverge.json`: every number of `spikebridge diverge` under a documented key, strict JSON.

    format, format_version      `spikebridge/diverge`, 1
    recordings.A, recordings.B  file, executor, network_sha256, network_file (null: not given), step_ms, n_steps
    samples, same_network       samples compared; whether both ran one network
    readout_max_difference      of potentials (null: not kept by both); score_max_difference of class scores
    populations.NAME            spiking (false: the readout), mismatches, samples_affected, first (null: none), and, if
                                it differs, samples_itself and samples_inputs: samples whose first difference in this
                                population came with the same spikes (itself) or with other spikes (inputs) having
                                reached the neuron; first_itself (null: none), sources of those other spikes
    first, shown                the first difference, and the one in the picture
    inputs                      differing spikes that had reached the neuron shown: source, neuron, step,
                                arrival_step, excess (B minus A)
    traces.A, traces.B          of the neuron shown, null if its network was not given: first_step of the lists; u and w
                                (null: no adaptation) after each step's propagation, threshold (null: readout),
                                distance (u - threshold at the step shown), fires and refractory by replay, recorded
                                (spikes, or the readout's potentials), first_unexplained_step (null: the recording
                                follows from its inputs), other_neurons_unexplained (of the population)
    trace_in_other_network      likewise, of a recording whose network was not given, in that of the other; else null
    network_differences         parameters of the neuron and its synapses, in words; null unless both networks are known

A place (`first`, `first_itself`, `shown`) has population, neuron, sample, step, time_ms, a and b (spikes, or potentials
of the readout).
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from spikebridge.validation.closeup import Closeup, Origin, Side
from spikebridge.validation.diverge import Divergence, Place
from spikebridge.validation.membrane import Trace

FORMAT_VERSION = 1

type Json = dict[str, Any]


def divergence_numbers(divergence: Divergence, found: tuple[Origin, ...], closeup: Closeup) -> Json:
    """The content of `diverge.json`; keys as in the module's documentation."""
    labels = [side.label for side in closeup.sides]
    return {
        "format": "spikebridge/diverge",
        "format_version": FORMAT_VERSION,
        "recordings": {side.label: _recording(side) for side in closeup.sides},
        "samples": divergence.parity.samples,
        "same_network": closeup.same_network,
        "readout_max_difference": divergence.parity.readout_max_difference,
        "score_max_difference": divergence.parity.score_max_difference,
        "populations": _populations(divergence, found),
        "first": _place(divergence.first),
        "shown": _place(closeup.place),
        "inputs": [asdict(difference) for difference in closeup.earlier],
        "traces": {label: _trace(trace, closeup) for label, trace in zip(labels, closeup.traces, strict=True)},
        "trace_in_other_network": _trace(closeup.in_other_network, closeup),
        "network_differences": None if closeup.network_differences is None else list(closeup.network_differences),
    }


def _recording(side: Side) -> Json:
    recording = side.recording
    return {
        "file": side.file,
        "executor": recording.executor,
        "network_sha256": recording.network_sha256,
        "network_file": side.network_file,
        "step_ms": recording.step_ms,
        "n_steps": recording.n_steps,
    }


def _populations(divergence: Divergence, found: tuple[Origin, ...]) -> Json:
    numbers: Json = {
        p.population: {
            "spiking": p.spiking,
            "mismatches": p.mismatches,
            "samples_affected": len(p.firsts),
            "first": _place(p.first),
        }
        for p in divergence.populations
    }
    for origin in found:
        numbers[origin.population] |= {
            "samples_itself": origin.samples_itself,
            "samples_inputs": origin.samples_inputs,
            "first_itself": _place(origin.itself),
            "sources": list(origin.sources),
        }
    return numbers


def _place(place: Place | None) -> Json | None:
    if place is None:
        return None
    names = ("population", "neuron", "sample", "step", "time_ms")
    return {name: getattr(place, name) for name in names} | {"a": place.values[0], "b": place.values[1]}


def _trace(trace: Trace | None, closeup: Closeup) -> Json | None:
    if trace is None:
        return None
    shown, step = slice(closeup.first_step, closeup.last_step + 1), closeup.place.step
    return {
        "first_step": closeup.first_step,
        "u": trace.potential[shown].tolist(),
        "w": None if trace.adaptation is None else trace.adaptation[shown].tolist(),
        "threshold": trace.threshold,
        "distance": trace.distance(step),
        "fires": trace.fires[shown].tolist(),
        "refractory": trace.frozen[shown].tolist(),
        "recorded": trace.recorded[shown].tolist(),
        "first_unexplained_step": trace.first_unexplained(step),
        "other_neurons_unexplained": list(trace.others_unexplained),
    }
