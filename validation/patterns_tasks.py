"""What is done in parallel: a data set is searched once, and what comes back is a few numbers.

Every task is determined by its own seed, so that its result does not depend on where and when it ran.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np

from spikebridge.bridge.arrays import IntArray
from spikebridge.validation.patterns_mining import Concept, largest_counts, mine, occurrences, windows
from spikebridge.validation.patterns_parameters import PatternParameters
from spikebridge.validation.patterns_significance import compare_with_chance, reduce_patterns, significant_concepts
from spikebridge.validation.patterns_spikes import Planted, TrialSpikes, plant
from spikebridge.validation.patterns_surrogates import make_independent, make_surrogate, window_phase_ms

# More significant patterns than this are not compared with each other, which takes time by the square: the largest and
# most frequent are.
MOST_REDUCED = 150

type Kind = Literal["data", "surrogate", "twice", "independent", "reference", "planted", "patterns"]
# As parts of seeds; 0 is the surrogate that `estimate_search` measures, 4 the phase of windows.
STREAMS: dict[str, int] = {"surrogate": 1, "twice": 2, "planted": 3, "independent": 5, "reference": 6}


class Run(Protocol):
    """Runs `work(jobs[index], chunk)` for all tasks, in parallel or not: `spikebridge.sim.pool.Pool.run` is one."""

    def __call__(
        self, work: Callable[[Any, Any], Any], jobs: Sequence[Any], tasks: Iterable[tuple[int, Any]], /
    ) -> Iterator[tuple[int, Any]]:
        """Yields (number of the task, its result) in any order."""


@dataclass(frozen=True, slots=True, eq=False)
class PatternJob:
    """A data set, and how it is searched.

    Attributes:
        spikes: of one population in the trials of one class.
        parameters: of the analysis.
        min_occurrences: how often a pattern must occur to be counted.
        stream: distinguishes the seeds of data sets.
        chance_counts: (N, Z) largest counts of surrogates, for the task `patterns`.
        planted_chance_counts: (N, Z) those that planted patterns are tested against: of surrogates of a surrogate.
    """

    spikes: TrialSpikes
    parameters: PatternParameters
    min_occurrences: int
    stream: int
    chance_counts: IntArray | None = None
    planted_chance_counts: IntArray | None = None


@dataclass(frozen=True, slots=True)
class PatternTask:
    """One search: `index` numbers those of a kind; `size` and `occurrences` are of a planted pattern."""

    kind: Kind
    index: int = 0
    size: int = 0
    occurrences: int = 0

    @property
    def key(self) -> str:
        """Its name among those of the same data set."""
        planted = f"-{self.size}x{self.occurrences}" if self.kind == "planted" else ""
        return f"{self.kind}{planted}-{self.index}"


def unplanted_tasks(parameters: PatternParameters) -> list[PatternTask]:
    """The data, its surrogates, and data sets of independent neurons."""
    numbers: dict[Kind, int] = {
        "data": 1,
        "surrogate": parameters.surrogates,
        "twice": parameters.surrogates if parameters.twice else 0,
        "independent": parameters.independent_sets,
        "reference": parameters.least_surrogates,
    }
    return [PatternTask(kind, index) for kind, number in numbers.items() for index in range(number)]


def planted_tasks(parameters: PatternParameters, indices: range) -> list[PatternTask]:
    """Planted patterns of these numbers, of every size and count."""
    return [
        PatternTask("planted", index, size, count)
        for size in parameters.planted_spikes
        for count in parameters.planted_occurrences
        for index in indices
    ]


def perform(job: PatternJob, task: PatternTask) -> dict[str, Any]:
    """One search; the result is plain JSON."""
    match task.kind:
        case "data":
            return {"counts": _counts(job, job.spikes)}
        case "surrogate":
            return {"counts": _counts(job, _surrogate(job, job.spikes, "surrogate", task.index))}
        case "twice":
            once = _surrogate(job, job.spikes, "surrogate", task.index)
            return {"counts": _counts(job, _surrogate(job, once, "twice", task.index))}
        case "independent":
            return {"counts": _counts(job, _independent(job, "independent", task.index)[0])}
        case "reference":
            independent, rng = _independent(job, "reference", task.index)
            return {"counts": _counts(job, _made(job, independent, rng))}
        case "planted":
            return _planted(job, task)
        case "patterns":
            return _patterns(job)


def _surrogate(job: PatternJob, spikes: TrialSpikes, kind: str, index: int) -> TrialSpikes:
    return _made(job, spikes, _rng(job, kind, index))


def _made(job: PatternJob, spikes: TrialSpikes, rng: np.random.Generator) -> TrialSpikes:
    return make_surrogate(spikes, job.parameters, window_phase_ms(job.parameters, job.stream), rng)


def _independent(job: PatternJob, kind: str, index: int) -> tuple[TrialSpikes, np.random.Generator]:
    """A data set of independent neurons, and the generator to go on with."""
    rng = _rng(job, kind, index)
    return make_independent(job.spikes, job.parameters, window_phase_ms(job.parameters, job.stream), rng), rng


def _rng(job: PatternJob, kind: str, *numbers: int) -> np.random.Generator:
    return np.random.default_rng([job.parameters.seed, job.stream, STREAMS[kind], *numbers])


def _counts(job: PatternJob, spikes: TrialSpikes) -> list[int]:
    # The filter takes away only what a larger pattern that occurs as often contains: no count depends on it.
    concepts = mine(windows(spikes, job.parameters), job.parameters, job.min_occurrences, filtered=False)
    return [int(count) for count in largest_counts(concepts, job.parameters)]


def _planted(job: PatternJob, task: PatternTask) -> dict[str, Any]:
    """Whether a planted pattern is significant; null where it could not be planted."""
    assert job.planted_chance_counts is not None
    parameters = job.parameters
    rng = _rng(job, "planted", task.size, task.occurrences, task.index)
    made = plant(_made(job, job.spikes, rng), task.size, task.occurrences, parameters.window_ms, rng)
    if made is None:
        return {"found": None}
    spikes, planted = made
    concepts = mine(windows(spikes, parameters), parameters, job.min_occurrences)
    test = compare_with_chance(largest_counts(concepts, parameters), job.planted_chance_counts, parameters.alpha)
    significant = significant_concepts(concepts, test.thresholds, parameters)
    return {"found": any(recovers(concept, planted, parameters) for concept in significant)}


def recovers(concept: Concept, planted: Planted, parameters: PatternParameters) -> bool:
    """Whether a pattern is the planted one.

    It holds all planted spikes but at most one, and at least `min_spikes`, at their lags to within a bin: where a
    pattern starts within its bin moves each later spike into one of two bins.
    """
    needed = max(parameters.min_spikes, len(planted.neurons) - 1)
    # Where the planted pattern starts in the window of the found one, by each of their common spikes.
    starts = [
        (neuron, item % parameters.window_bins - lag / parameters.bin_ms)
        for neuron, lag in zip(planted.neurons, planted.lags_ms, strict=True)
        for item in concept.items
        if item // parameters.window_bins == neuron
    ]
    return any(len({neuron for neuron, other in starts if abs(other - start) <= 1.0}) >= needed for _, start in starts)


def _patterns(job: PatternJob) -> dict[str, Any]:
    """The significant patterns of the data, with the times at which they occur."""
    assert job.chance_counts is not None
    parameters = job.parameters
    found = windows(job.spikes, parameters)
    concepts = mine(found, parameters, job.min_occurrences)
    test = compare_with_chance(largest_counts(concepts, parameters), job.chance_counts, parameters.alpha)
    significant = significant_concepts(concepts, test.thresholds, parameters)
    where = [(concept, occurrences(found, concept)) for concept in significant[:MOST_REDUCED]]
    starts = [(concept, found.start_bin[indices]) for concept, indices in where]
    kept = [starts[index] for index in reduce_patterns(starts, test.thresholds, parameters)]
    described = [_described(concept, bins, found.stride, parameters) for concept, bins in kept]
    return {"significant": len(significant), "compared": len(where), "patterns": described}


def _described(concept: Concept, bins: IntArray, stride: int, parameters: PatternParameters) -> dict[str, Any]:
    items = sorted(concept.items, key=lambda item: (item % parameters.window_bins, item))
    return {
        "neurons": [item // parameters.window_bins for item in items],
        "lags_ms": [item % parameters.window_bins * parameters.bin_ms for item in items],
        "trials": [int(b) // stride for b in bins],
        "times_ms": [int(b) % stride * parameters.bin_ms for b in bins],
    }
