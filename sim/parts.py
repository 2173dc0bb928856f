"""Several simulations at once, handed out in parts as they are done: for what is looked at and not kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from spikebridge.bridge.arrays import IntArray
from spikebridge.bridge.recording import Recording
from spikebridge.sim.evaluation import Evaluation
from spikebridge.sim.tasks import Work, run_tasks


def simulate_parts(
    evaluations: Sequence[Evaluation], *, cluster: str | None = None, progress: bool = False
) -> Iterator[tuple[int, IntArray, Recording]]:
    """Simulate networks on trials, each sample once.

    Args:
        evaluations: what to simulate; nothing is compiled again where only numbers differ.
        cluster: a Dask cluster as `spikebridge.sim.cluster.parse_cluster` reads it; this machine if None.
        progress: show a progress bar, if standard error is a terminal.

    Yields:
        (number of the evaluation; which of its samples; the recording of these), in any order.

    Raises:
        SpecError: a compiler is missing, the result is not finite, or workers are lost again and again.
    """
    works = [Work(what.job, what.inputs) for what in evaluations]
    wanted = [np.arange(what.trials.n_samples, dtype=np.int64) for what in evaluations]
    for done in run_tasks(works, wanted, cluster=cluster, progress=progress):
        what = evaluations[done.work]
        part = replace(what, trials=what.trials.select(done.samples))
        yield done.work, done.samples, part.recording(done.result)
