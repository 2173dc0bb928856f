"""What a simulation will take, in words."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # Brian2 takes seconds to import
    from spikebridge.sim.evaluation import Evaluation

MIB = 2**20


def describe_plan(path: Path, what: Evaluation) -> str:
    """The plan of one simulation, one subject per line."""
    from spikebridge.sim.job import is_prepared

    plan, grid, compiled = what.job.plan, what.grid, is_prepared(what.job)
    load, options = plan.load, plan.options
    largest = max((p.projection.weight.size for p in grid.projections), default=0)
    where = f"{plan.python_bytes / MIB:,.0f} MiB in this process"
    if plan.worker_bytes:
        where += f", {plan.worker_bytes / MIB:,.0f} MiB in each process that simulates"
    first = "compiled before; " if plan.prepare_s else ""
    if not compiled:
        first = f"{_time(plan.prepare_s)} to compile, once for this shape and machine; "
    subjects = {
        "network": f"{load.neurons:,} neurons, {load.synapses:,} synapses (largest projection {largest:,}), delays to "
        f"{grid.max_delay_steps * grid.step_ms:g} ms",
        "samples": f"{plan.samples:,} of {grid.n_steps:,} steps of {grid.step_ms:g} ms",
        "engine": f"{options.backend}: {plan.reason}",
        "in parallel": f"{_count(plan.workers, 'worker')} with {_count(options.lanes or 1, 'lane')} each, tasks of "
        f"{_count(plan.task_samples, 'sample')}",
        "memory": f"{plan.total_bytes(compiled=compiled) / MIB:,.0f} MiB at its peak: {where}",
        "time": f"{first}{_time(plan.run_s)} to run",
    }
    return "\n".join([str(path), *(f"  {subject:<12}{text}" for subject, text in subjects.items())])


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.2g} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
