"""How many processors there are for this process."""

from __future__ import annotations

import os


def available_processors() -> int:
    """Processors this process may use; containers and `taskset` leave it fewer than the machine has."""
    return len(os.sched_getaffinity(0))
