"""What a search for patterns will take, before it is done: memory from the table of windows, time from a share.

The compiled miner keeps 40 to 220 KB for every item (neuron and lag) that is frequent enough, measured on tables of
700 to 200,000 items; what it returns is a tuple per candidate. Both are bounds, not means: docs/patterns.md has the
numbers.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from spikebridge.bridge.errors import SpecError
from spikebridge.validation.patterns_mining import Windows, binned, mine, windows
from spikebridge.validation.patterns_parameters import PatternParameters
from spikebridge.validation.patterns_spikes import TrialSpikes
from spikebridge.validation.patterns_surrogates import make_surrogate, window_phase_ms

BYTES_PER_FREQUENT_ITEM = 220_000
BYTES_PER_ENTRY = 40  # of a window: a pointer and a number
BYTES_PER_CANDIDATE = 1_500  # its tuple, and what the filter for moving windows keeps of it
PROCESS_BYTES = 350 * 2**20  # Python with Elephant and what it imports
START_OCCURRENCES = 10
LEAST_OCCURRENCES = 4
LONGEST_SEARCH = 1 / 24  # of the time limit: two hundred searches and more are needed, on a few processors
GROWTH = 3.0  # of candidates from one number of occurrences to the next lower one: 1.5 to 2.6 measured

ADVICE = (
    "choose a shorter window (patterns.window_bins) or longer bins (patterns.bin_ms), more patterns.min_occurrences, "
    "fewer trials or populations, or a higher limit"
)


@dataclass(frozen=True, slots=True)
class SearchCost:
    """What one data set takes.

    Attributes:
        min_occurrences: how often a pattern must occur to be counted.
        candidates: in the surrogate that was measured.
        memory_bytes: of a process that searches, at its peak.
        seconds: of one search, measured.
    """

    min_occurrences: int
    candidates: int
    memory_bytes: int
    seconds: float


def table_bytes(spikes: TrialSpikes, parameters: PatternParameters, min_occurrences: int) -> int:
    """Memory of a search without its candidates, from rates, duration and window alone; nothing large is made.

    Items that occur often enough are counted by their expected number: neuron i fires in any bin with its mean rate, so
    that an item of it occurs Poisson-distributed over all windows.
    """
    bins, neurons, _ = binned(spikes, parameters)
    starts = np.unique(bins).size
    length = max(1.0, spikes.n_trials * spikes.duration_ms / parameters.bin_ms)
    per_bin = np.bincount(neurons, minlength=spikes.n_neurons) / length
    entries = starts * parameters.window_bins * float(per_bin.sum())
    frequent = parameters.window_bins * float(_at_least(starts * per_bin, min_occurrences).sum())
    return int(PROCESS_BYTES + entries * BYTES_PER_ENTRY + frequent * BYTES_PER_FREQUENT_ITEM)


def _at_least(mean: np.ndarray, count: int) -> np.ndarray:
    from scipy.stats import poisson

    return np.asarray(poisson.sf(count - 1, mean))


def estimate_search(spikes: TrialSpikes, parameters: PatternParameters, stream: int, workers: int) -> SearchCost:
    """Choose the least number of occurrences where it is open, and measure one search.

    Surrogates are measured, never the data, so that the choice knows nothing of what is tested. It goes down one by one
    and stops before anything large: no search with many more candidates than allowed is ever begun.

    Args:
        spikes: the data set.
        parameters: of the analysis.
        stream: of its seeds.
        workers: processes that search at once.

    Raises:
        SpecError: it takes more memory than allowed, or has too many candidates; with what to change.
    """
    target = parameters.min_occurrences or LEAST_OCCURRENCES
    _require_memory(table_bytes(spikes, parameters, target), workers, parameters, spikes, 0)
    rng = np.random.default_rng([parameters.seed, stream, 0])
    surrogate = make_surrogate(spikes, parameters, window_phase_ms(parameters, stream), rng)
    found = windows(surrogate, parameters)
    count, occurrences, seconds = _descend(found, spikes, parameters, target, workers)
    memory = table_bytes(spikes, parameters, occurrences) + int(GROWTH * count * BYTES_PER_CANDIDATE)
    return SearchCost(occurrences, count, memory, seconds)


def _descend(
    found: Windows, spikes: TrialSpikes, parameters: PatternParameters, target: int, workers: int
) -> tuple[int, int, float]:
    """Candidates, number of occurrences and seconds of the last search that was small enough."""
    occurrences = max(START_OCCURRENCES, target)
    count, seconds = _measured(found, parameters, occurrences)
    while parameters.min_occurrences is None and count > parameters.max_candidates:
        occurrences = int(np.ceil(1.25 * occurrences))
        count, seconds = _measured(found, parameters, occurrences)
    ratio = GROWTH
    while occurrences > target:
        if parameters.min_occurrences is not None:
            expected = int(max(count, 100) * ratio)
            _require_memory(
                table_bytes(spikes, parameters, target) + expected * BYTES_PER_CANDIDATE,
                workers,
                parameters,
                spikes,
                expected,
            )
            if max(seconds, 0.02) * ratio > 60.0 * parameters.time_limit_min * LONGEST_SEARCH:
                raise SpecError(
                    f"one search for patterns with {occurrences - 1} occurrences would take about "
                    f"{seconds * ratio:.0f} s, hundreds are needed, and the limit is {parameters.time_limit_min:g} min "
                    f"(patterns.time_limit_min); {ADVICE}"
                )
        next_count, next_seconds = _measured(found, parameters, occurrences - 1)
        if parameters.min_occurrences is None and next_count > parameters.max_candidates:
            break
        ratio = max(GROWTH, next_count / max(count, 1))
        count, seconds, occurrences = next_count, next_seconds, occurrences - 1
    return count, occurrences, seconds


def _measured(found: Windows, parameters: PatternParameters, occurrences: int) -> tuple[int, float]:
    # Of this process alone: a machine that is busy just now is no reason to refuse an analysis.
    before = time.process_time()
    count = len(mine(found, parameters, occurrences))
    return count, time.process_time() - before


def _require_memory(
    needed: int, workers: int, parameters: PatternParameters, spikes: TrialSpikes, candidates: int
) -> None:
    if workers * needed <= parameters.memory_limit_gib * 2**30:
        return
    rate = spikes.time_ms.size / max(1, spikes.n_neurons) / (spikes.n_trials * spikes.duration_ms / 1000.0)
    what = f"{candidates:,} candidate patterns and a" if candidates else "a"
    raise SpecError(
        f"{spikes.n_neurons} neurons at {rate:.2g} Hz in {spikes.n_trials} trials of {spikes.duration_ms / 1000:g} s "
        f"with a window of {parameters.window_ms:g} ms ({parameters.window_bins} bins) would take about "
        f"{workers * needed / 2**30:.1f} GiB in {workers} processes ({what} table of windows); the limit is "
        f"{parameters.memory_limit_gib:g} GiB (patterns.memory_limit_gib); {ADVICE}, or fewer workers"
    )


def require_time(costs: list[SearchCost], parameters: PatternParameters, workers: int) -> float:
    """Seconds that the whole analysis will take.

    Raises:
        SpecError: more than allowed; with what to change.
    """
    seconds = sum(cost.seconds for cost in costs) * parameters.minings_per_set / workers
    if seconds > 60.0 * parameters.time_limit_min:
        raise SpecError(
            f"the analysis would take about {seconds / 60:.0f} min: {len(costs)} data sets, each searched "
            f"{parameters.minings_per_set} times at {max(cost.seconds for cost in costs):.2g} s or less, on {workers} "
            f"processors; the limit is {parameters.time_limit_min:g} min (patterns.time_limit_min). Choose fewer "
            "patterns.max_candidates, patterns.planted_sets or patterns.surrogates, fewer populations or classes, or a "
            "cluster; " + ADVICE
        )
    return seconds
