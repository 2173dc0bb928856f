"""A search for patterns on the processors of this machine or on a cluster, with a progress bar."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from spikebridge.bridge.recording import Recording

if TYPE_CHECKING:
    from spikebridge.validation.patterns_parameters import PatternParameters
    from spikebridge.validation.patterns_result import PatternAnalysis


@contextmanager
def searched(
    recording: Recording,
    parameters: PatternParameters,
    out: Path,
    *,
    cluster: str | None,
    workers: int | None,
    progress: bool,
    populations: Sequence[str] | None = None,
    classes: Sequence[str] | None = None,
) -> Iterator[PatternAnalysis]:
    """What a search found.

    Results lie in `out` as they come, so that an interrupted search goes on; they are removed at the end of the block,
    when whatever is made of them has been written.

    Raises:
        SpecError: it would take more memory or time than allowed, or there is nothing to search.
        DataError: another search is at work in `out`, or it cannot be written.
    """
    from spikebridge.sim.pool import open_pool
    from spikebridge.validation.patterns_analysis import analyse_patterns
    from spikebridge.validation.patterns_store import PatternStore

    with open_pool(cluster, workers, "processes") as pool, _Bar(progress) as bar:
        analysis, store = analyse_patterns(
            recording,
            parameters,
            pool.run,
            lambda identity: PatternStore(out, identity),
            workers=pool.workers,
            populations=populations,
            classes=classes,
            progress=bar,
        )
    with store:
        yield analysis
        store.remove()


class _Bar:
    """A bar on standard error, where that is a terminal."""

    def __init__(self, progress: bool) -> None:
        from tqdm import tqdm

        self._bar = tqdm(desc="searching", unit="set", disable=None if progress else True)

    def __call__(self, done: int, total: int) -> None:
        self._bar.total = total
        self._bar.update(done - self._bar.n)

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, *raised: object) -> None:
        self._bar.close()
