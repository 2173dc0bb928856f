"""Run a compiled program on a card, and believe it only if it did everything.

brian2cuda's programs print some errors and go on, so that an exit code of 0 alone means little.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import brian2
import numpy as np

from spikebridge.bridge.errors import SpecError
from spikebridge.sim.binaries import PROGRAM
from spikebridge.sim.cuda_card import Card
from spikebridge.sim.cuda_patches import HEAP_VARIABLE
from spikebridge.sim.layout import Layout

OUTPUT = "output.txt"


def execute(binary: Path, project: Path, card: Card, heap_mib: int) -> float:
    """Run a program on the numbers in a folder: it reads `static_arrays` and writes `results` there.

    Args:
        binary: the program, from wherever it is kept.
        project: the folder.
        card: the only one it sees.
        heap_mib: memory on the card for spikes in flight.

    Returns:
        Seconds that its loop over the steps took.

    Raises:
        SpecError: it failed, was stopped, or printed an error.
    """
    program = project / PROGRAM
    try:
        program.hardlink_to(binary)
    except OSError:  # another file system
        shutil.copy2(binary, program)
    results = project / "results"
    results.mkdir(exist_ok=True)
    environment = os.environ | {
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
        "CUDA_VISIBLE_DEVICES": card.uuid,
        HEAP_VARIABLE: str(heap_mib),
    }
    output = results / OUTPUT
    command = [str(program), "--results_dir", f"{results}/"]
    with (
        output.open("wb") as file,
        subprocess.Popen(command, cwd=project, env=environment, stdout=file, stderr=file) as running,
    ):
        try:
            code = running.wait()
        except BaseException:  # interrupted: nothing is left behind on the card
            running.kill()
            running.wait()
            raise
    require_no_error(code, output.read_text(errors="replace"), card, heap_mib)
    return _loop_s(results)


def require_no_error(code: int, output: str, card: Card, heap_mib: int) -> None:
    """Refuse a run whose program said that something is wrong.

    Args:
        code: exit code.
        output: all it printed.
        card: where it ran.
        heap_mib: memory that spikes in flight had.

    Raises:
        SpecError: with what it printed, and what to do where that is known.
    """
    lines = [line for line in output.splitlines() if line.lstrip().lower().startswith("error") or "Assertion" in line]
    if code == 0 and not lines:
        return
    told = "\n".join(lines[:5] or output.splitlines()[-5:])
    if "cudaVector.h" in told or "spikequeue.h" in told:
        fix = f"spikes in flight need more than the {heap_mib:,} MiB left for them; fewer lanes leave more"
    elif "out of memory" in told:
        fix = "its memory is used up; use fewer lanes, or close other programs on it"
    elif "no kernel image" in told or "driver version" in told:
        fix = "driver, card and CUDA toolkit do not go together; update the driver"
    else:
        fix = "backend 'cpp' does the same on a CPU"
    raise SpecError(f"the simulation on the GPU ({card}) failed with exit code {code}: {fix}. It says:\n{told}")


def require_complete(network: Any, layout: Layout) -> None:
    """Refuse results in which a monitor is not whole: counts are int32, and recorded spikes are counted twice.

    Args:
        network: the `brian2.Network` that ran.
        layout: how long it had to run.

    Raises:
        SpecError: naming the monitor.
    """
    for monitor in network.objects:
        if not isinstance(monitor, brian2.SpikeMonitor | brian2.StateMonitor):
            continue
        recorded = int(np.asarray(monitor.N))
        if isinstance(monitor, brian2.SpikeMonitor):
            counted = int(np.asarray(monitor.count[:]).astype(np.int64).sum())
            sizes = {recorded, len(np.asarray(monitor.i[:])), len(np.asarray(monitor.t_[:])), counted}
            if len(sizes) != 1:
                raise SpecError(
                    f"{monitor.name} recorded {sorted(sizes)} spikes, depending on how they are counted: more than a "
                    "GPU counts, or not all; lower readout_limit_mib, or use backend 'cpp'"
                )
        elif recorded != layout.total_steps:
            raise SpecError(f"{monitor.name} recorded {recorded} of {layout.total_steps} steps; use backend 'cpp'")


def _loop_s(results: Path) -> float:
    info = results / "last_run_info.txt"
    if not info.is_file() or float(info.read_text().split()[1]) != 1.0:
        raise SpecError(
            "the simulation on the GPU ended before its time; use backend 'cpp', which does the same on a CPU"
        )
    return float(info.read_text().split()[0])
