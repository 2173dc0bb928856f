"""SPADE on every population and class of a recording, each result beside its controls."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from spikebridge.bridge.arrays import IntArray
from spikebridge.bridge.errors import SpecError
from spikebridge.bridge.provenance import versions
from spikebridge.bridge.recording import Recording
from spikebridge.validation.patterns_decide import found_in
from spikebridge.validation.patterns_estimate import SearchCost, estimate_search, require_time
from spikebridge.validation.patterns_mining import require_miner
from spikebridge.validation.patterns_parameters import PatternParameters
from spikebridge.validation.patterns_result import DataSet, Found, PatternAnalysis
from spikebridge.validation.patterns_spikes import trial_spikes
from spikebridge.validation.patterns_store import PatternStore
from spikebridge.validation.patterns_tasks import (
    Kind,
    PatternJob,
    PatternTask,
    Run,
    perform,
    planted_tasks,
    unplanted_tasks,
)

log = logging.getLogger("spikebridge")

CODE = (
    *("analysis", "decide", "estimate", "jitter", "mining", "parameters", "result", "significance", "spikes"),
    *("surrogates", "tasks"),
)
"""Every `patterns_*.py` that this one imports, others between included, but for the store."""


def data_sets(
    recording: Recording, populations: Sequence[str] | None = None, classes: Sequence[str] | None = None
) -> list[DataSet]:
    """Every population in the trials of every class, those without spikes included.

    Raises:
        SpecError: no such population or class.
    """
    names, class_names = list(recording.spikes), list(recording.trials.class_names)
    for kind, wanted, known in (("population", populations, names), ("class", classes, class_names)):
        unknown = sorted(set(wanted or ()) - set(known))
        if unknown:
            raise SpecError(f"no {kind} {unknown[0]!r} in this recording; there are {', '.join(known) or 'none'}")
    return [
        DataSet(
            name,
            class_name,
            trial_spikes(recording.spikes[name], np.flatnonzero(recording.trials.labels == label)),
            len(class_names) * names.index(name) + label,
        )
        for name in names
        for label, class_name in enumerate(class_names)
        if (populations is None or name in populations) and (classes is None or class_name in classes)
    ]


def searchable(sets: Sequence[DataSet]) -> list[DataSet]:
    """Those in which there is something to search."""
    return [data for data in sets if data.spikes.n_trials >= 2 and data.spikes.time_ms.size]


def identity(sets: Sequence[DataSet], parameters: PatternParameters) -> dict[str, Any]:
    """Everything that the results of searches depend on: results of an analysis that differs in it are not used."""
    digest = hashlib.sha256()
    for data in sets:
        digest.update(f"{data.key} {data.spikes.n_neurons} {data.spikes.n_trials} {data.spikes.duration_ms}".encode())
        for values in (data.spikes.time_ms, data.spikes.neuron, data.spikes.trial):
            digest.update(values.tobytes())
    used = asdict(replace(parameters, memory_limit_gib=1.0, time_limit_min=1.0))  # limits change no result
    return {
        "spikes": digest.hexdigest(),
        "parameters": used,
        "code": code_sha256(),
        **versions("elephant", "scipy"),
    }


def code_sha256() -> str:
    """Checksum of the modules that results of searches come from."""
    digest = hashlib.sha256()
    for name in CODE:
        digest.update((Path(__file__).parent / f"patterns_{name}.py").read_bytes())
    return digest.hexdigest()


def analyse_patterns(
    recording: Recording,
    parameters: PatternParameters,
    run: Run,
    store: Callable[[Mapping[str, Any]], PatternStore],
    *,
    workers: int = 1,
    populations: Sequence[str] | None = None,
    classes: Sequence[str] | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[PatternAnalysis, PatternStore]:
    """Search a recording for patterns.

    Args:
        recording: what is searched.
        parameters: of the analysis.
        run: runs searches in parallel: `Pool.run` of a pool of processes or of a Dask cluster.
        store: opens the store of results for an identity; it is left open for the caller to remove.
        workers: how many searches run at once, for the estimate.
        populations: which ones; all by default.
        classes: whose trials; all by default.
        progress: called with the number of searches done and of all.

    Raises:
        SpecError: it would take too much memory or time, or there is nothing to search.
        SpikebridgeError: Elephant has no compiled miner here.
    """
    require_miner()
    sets = data_sets(recording, populations, classes)
    full = searchable(sets)
    if not full:
        raise SpecError(
            "nothing to search for patterns: no population fired in two trials of a class; `spikebridge info` says "
            "what the recording holds"
        )
    costs = [estimate_search(data.spikes, parameters, data.stream, workers) for data in full]
    seconds = require_time(costs, parameters, workers)
    total = parameters.minings_per_set * len(full)
    log.info(
        "patterns: %d data sets, %d searches, about %.1f min and %.1f GiB with %d workers",
        *(len(full), total, seconds / 60, workers * max(cost.memory_bytes for cost in costs) / 2**30, workers),
    )
    opened = store(identity(full, parameters))
    try:
        found = _search(full, costs, parameters, run, opened, lambda done: progress(done, total))
    except BaseException:
        opened.close()
        raise
    return collected(recording, parameters, found, [data for data in sets if data not in full]), opened


def collected(
    recording: Recording, parameters: PatternParameters, found: Sequence[Found], empty: Sequence[DataSet]
) -> PatternAnalysis:
    """The analysis of a recording from what was found in each data set; `empty` are those that were not searched."""
    return PatternAnalysis(
        recording.executor,
        recording.trials.source,
        recording.network_sha256,
        recording.step_ms,
        parameters,
        tuple(found),
        tuple(
            (data.population, data.class_name, f"{data.spikes.time_ms.size} spikes in {data.spikes.n_trials} trials")
            for data in empty
        ),
        versions("elephant", "scipy"),
    )


def _search(
    sets: Sequence[DataSet],
    costs: Sequence[SearchCost],
    parameters: PatternParameters,
    run: Run,
    store: PatternStore,
    tick: Callable[[int], None],
) -> list[Found]:
    """First the data and sets without patterns, then what needs their counts: patterns by name, and planted ones."""
    jobs = [
        PatternJob(data.spikes, parameters, cost.min_occurrences, data.stream)
        for data, cost in zip(sets, costs, strict=True)
    ]
    results = _perform(sets, jobs, [(range(len(sets)), unplanted_tasks(parameters))], run, store, tick, 0)
    for index, job in enumerate(jobs):
        chance = _counts(results, index, "surrogate", parameters.surrogates)
        twice = _counts(results, index, "twice", parameters.surrogates) if parameters.twice else chance
        jobs[index] = replace(job, chance_counts=chance, planted_chance_counts=twice)
    one = [(range(len(sets)), [PatternTask("patterns"), *planted_tasks(parameters, range(1))])]
    results |= _perform(sets, jobs, one, run, store, tick, len(results))
    more = _worth_planting(sets, parameters, results)
    left_out = parameters.minings_per_set * len(sets) - len(results) - sum(len(s) * len(tasks) for s, tasks in more)
    results |= _perform(sets, jobs, more, run, store, tick, len(results) + left_out)
    return [
        found_in(data, job, {k: v for (i, k), v in results.items() if i == index})
        for index, (data, job) in enumerate(zip(sets, jobs, strict=True))
    ]


def _counts(results: Mapping[tuple[int, str], Any], index: int, kind: Kind, n: int) -> IntArray:
    return np.array([results[index, PatternTask(kind, i).key]["counts"] for i in range(n)], dtype=np.int64)


def _worth_planting(
    sets: Sequence[DataSet], parameters: PatternParameters, results: Mapping[tuple[int, str], Any]
) -> list[tuple[Sequence[int], list[PatternTask]]]:
    """Per population, all other planted patterns of the sizes and counts of which half of the first ones are found."""
    worth: list[tuple[Sequence[int], list[PatternTask]]] = []
    for name in dict.fromkeys(data.population for data in sets):
        those = [index for index, data in enumerate(sets) if data.population == name]
        tasks: list[PatternTask] = []
        for first in planted_tasks(parameters, range(1)):
            found = [results[index, first.key]["found"] for index in those]
            if 2 * sum(one is True for one in found) >= sum(one is not None for one in found) > 0:
                tasks += [replace(first, index=i) for i in range(1, parameters.planted_sets)]
        worth.append((those, tasks))
    return worth


def _perform(
    sets: Sequence[DataSet],
    jobs: Sequence[PatternJob],
    wanted: Sequence[tuple[Sequence[int], Sequence[PatternTask]]],
    run: Run,
    store: PatternStore,
    tick: Callable[[int], None],
    before: int,
) -> dict[tuple[int, str], Any]:
    """Results by data set and task: those in the store, and the others, which are stored as they come.

    `wanted` says which tasks are done for which data sets.
    """
    results: dict[tuple[int, str], Any] = {}
    missing: list[tuple[int, PatternTask]] = []
    for index, task in ((index, task) for those, tasks in wanted for index in those for task in tasks):
        stored = store.get(f"{sets[index].key}/{task.key}")
        if stored is None:
            missing.append((index, task))
        else:
            results[index, task.key] = stored
    tick(before + len(results))
    for number, result in run(perform, jobs, missing):
        index, task = missing[number]
        store.put(f"{sets[index].key}/{task.key}", result)
        results[index, task.key] = result
        tick(before + len(results))
    return results
