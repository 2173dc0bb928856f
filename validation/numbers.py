"""`report.json`: every number of the report under a documented key, strict JSON. docs/report.md lists every one.

    format, format_version                 `spikebridge/report`, 1
    verdict.status                         `same`, `different` or `unchecked`; .headline, .sentences in words
    accuracy.LABEL.GROUP                   share decided right, 0 .. 1; null without samples. GROUP: `all`; by speaker
                                           `seen` (weights were fitted on), `held_out` (the epoch was chosen on) and
                                           `unseen` (took no part)
    accuracy_interval.LABEL.GROUP          hits, samples, low, high (95 % Wilson interval), or null
    confusion.LABEL                        rows true class, columns decision, counts; names in class_names
    decisions_changed.LABEL                samples decided otherwise than in training: share (0 .. 1), hits, samples,
                                           low, high
    rate_hz.LABEL.mean                     mean over all hidden neurons; rate_hz.LABEL.populations.NAME per population
    rate_quartiles_hz.LABEL.NAME           minimum, lower quartile, median, upper quartile, maximum over neurons
    statistics, network_statistics,        what the activity looks like; keys are listed in
    rate_lognormal, power_spectrum,        `validation/statistics_numbers.py`
    definitions
    parity.grid, parity.replay, ...        null if not run, else spikes (of the reference), other_spikes, mismatches,
                                           samples, samples_affected, ok, readout_max_difference (null: not recorded),
                                           score_max_difference, decisions_changed, same_network,
                                           first_broken_population (null: none), first_mismatch (null: none, else
                                           population, neuron, sample, step, time_ms, executor, reference_spikes,
                                           other_spikes), populations.NAME with the same of each population
    parity.physical                        only if run: the same keys, of the simulation in physical units against the
                                           dimensionless one on its grid
    refinement                             what changes with the time step, rungs 3 and 4; keys are listed in
                                           `validation/refinement_numbers.py`
    delays_ms.PROJECTION                   synapses, and unless there are none minimum, mean, median, maximum
    decisions                              what the export decided: subject, text
    sample                                 the sample that pictures show
    provenance                             trials, network, executors.LABEL, report (versions)
    patterns                               null unless searched, else as in `validation/patterns_numbers.py`

LABEL is `training`, `grid`, `continuous`, `physical`, or the name of another simulation (`step_1`); NAME is a
population.
"""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from spikebridge.bridge.recording import Recording
from spikebridge.bridge.spec import NetworkSpec
from spikebridge.validation.accuracy import Accuracy, Proportion, confusion
from spikebridge.validation.evidence import Evidence
from spikebridge.validation.labelled import GRID, REPLAY
from spikebridge.validation.parity import FirstMismatch, Parity
from spikebridge.validation.refinement_numbers import refinement_numbers
from spikebridge.validation.statistics_numbers import quartiles, statistics_numbers
from spikebridge.validation.verdict import Verdict

FORMAT_VERSION = 1

type Json = dict[str, Any]


def report_numbers(evidence: Evidence, verdict: Verdict, sample: int) -> Json:
    """The content of `report.json`; keys as in the module's documentation."""
    executors = evidence.executors
    reference = evidence.reference.recording
    return {
        "format": "spikebridge/report",
        "format_version": FORMAT_VERSION,
        "verdict": {
            "status": str(verdict.status),
            "headline": verdict.headline,
            "sentences": list(verdict.sentences),
        },
        "accuracy": {e.label: _accuracy(evidence.accuracy[e.label]) for e in executors},
        "accuracy_interval": {e.label: _accuracy_interval(evidence.accuracy[e.label]) for e in executors},
        "class_names": list(reference.trials.class_names),
        "confusion": {e.label: confusion(e.recording).tolist() for e in executors},
        "decisions_changed": {
            label: None if changed is None else {"share": changed.value, **_interval(changed)}
            for label, changed in evidence.decisions_changed.items()
        },
        "rate_hz": {e.label: _rates(evidence, e.label) for e in executors},
        "rate_quartiles_hz": {
            label: {name: quartiles(seen["rate_hz"]) for name, seen in populations.items()}
            for label, populations in evidence.observations.items()
        },
        **statistics_numbers(evidence),
        "parity": {GRID: None, REPLAY: None} | {label: _parity(parity) for label, parity in evidence.parity.items()},
        "refinement": refinement_numbers(evidence.refinement),
        "delays_ms": _delays(evidence.network),
        "decisions": [{"subject": d.subject, "text": d.text} for d in evidence.network.decisions],
        "sample": sample,
        "provenance": provenance(evidence),
    }


def provenance(evidence: Evidence) -> Json:
    """Where everything came from: data, network, executors, and the versions that made the report."""
    trials = evidence.reference.recording.trials
    return {
        "trials": {
            "source": trials.source,
            "sha256": trials.source_sha256,
            "samples": trials.n_samples,
            "classes": len(trials.class_names),
        },
        "network": dict(evidence.network.metadata),
        "executors": {e.label: _executor(e.recording) for e in evidence.executors},
        "report": {
            "python": platform.python_version(),
            **{name: _version(name) for name in ("spikebridge", "elephant", "neo", "numpy", "scipy", "matplotlib")},
        },
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed as a package"


def _executor(recording: Recording) -> Json:
    return {
        "executor": recording.executor,
        "network_sha256": recording.network_sha256,
        "step_ms": recording.step_ms,
        "n_steps": recording.n_steps,
        "options": dict(recording.provenance),
    }


def _groups(found: Accuracy) -> dict[str, Proportion | None]:
    return {"all": found.all, "seen": found.seen, "unseen": found.unseen, "held_out": found.held_out}


def _accuracy(found: Accuracy) -> Json:
    return {name: None if group is None else group.value for name, group in _groups(found).items()}


def _accuracy_interval(found: Accuracy) -> Json:
    return {name: None if group is None else _interval(group) for name, group in _groups(found).items()}


def _interval(found: Proportion) -> Json:
    return {"hits": found.hits, "samples": found.samples, "low": found.low, "high": found.high}


def _rates(evidence: Evidence, label: str) -> Json:
    populations = {name: seen["rate_hz"].mean for name, seen in evidence.observations[label].items()}
    return {"mean": evidence.mean_rate_hz(label), "populations": populations}


def _parity(parity: Parity) -> Json:
    return {
        "reference": parity.reference,
        "other": parity.other,
        "spikes": parity.spikes,
        "other_spikes": parity.other_spikes,
        "mismatches": parity.mismatches,
        "samples": parity.samples,
        "samples_affected": parity.samples_affected,
        "ok": parity.ok,
        "readout_max_difference": parity.readout_max_difference,
        "score_max_difference": parity.score_max_difference,
        "decisions_changed": parity.decisions_changed,
        "same_network": parity.same_network,
        "first_broken_population": parity.first_broken_population,
        "first_mismatch": _mismatch(parity.first_mismatch),
        "populations": {
            p.population: {
                "spikes": p.reference_spikes,
                "other_spikes": p.other_spikes,
                "mismatches": p.mismatches,
                "samples_affected": p.samples_affected,
                "first_mismatch": _mismatch(p.first_mismatch),
            }
            for p in parity.populations
        },
    }


def _mismatch(first: FirstMismatch | None) -> Json | None:
    if first is None:
        return None
    names = ("population", "neuron", "sample", "step", "time_ms", "executor", "reference_spikes", "other_spikes")
    return {name: getattr(first, name) for name in names}


def _delays(network: NetworkSpec) -> Json:
    found: Json = {}
    for projection in network.projections:
        delay_ms = projection.delay_ms
        found[projection.label] = {"synapses": delay_ms.size}
        if delay_ms.size:
            found[projection.label] |= {
                "minimum": float(delay_ms.min()),
                "mean": float(delay_ms.mean()),
                "median": float(np.median(delay_ms)),
                "maximum": float(delay_ms.max()),
            }
    return found
