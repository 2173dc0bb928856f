"""Which trainings are run, kept and shown: per system a search of the learning rate at seed 0, then all seeds."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from accuracy import GROUPS
from common import spread
from peer_models import PEERS
from peer_training import LABELS, MACHINES, Job, run_job

from spikebridge.bridge.provenance import source_sha256, versions
from spikebridge.bridge.storage import atomic_path

PACKAGES = ("snntorch", "norse", "spikingjelly", "DCLS")

RATES = (1e-3, 3e-3, 1e-2)
"""Of weights, Adam; every network gets the same three, and the one with the best validation at the first seed."""

SYSTEMS = (
    "ours",
    "dcls_spikingjelly",
    "spikingjelly",
    "snntorch_leaky",
    "snntorch_rleaky",
    "norse_lif",
    "norse_lsnn",
    "plain_radlif",
    "gru",
    "svm",
    "svm_relative",
)

type Result = dict[str, Any]


def installed(system: str) -> bool:
    needs = PEERS[system].needs if system in PEERS else ()
    return all(find_spec(name) is not None for name in needs)


def kept(job: Job, data_folder: Path, folder: Path) -> Result:
    """The result of a job: from its file, or computed in a process of its own and written there.

    A file of other settings, of another version of the library or, for ours, of other sources is not used.
    """
    path = folder / f"{job.name}.json"
    code = source_sha256("bridge", "training") if job.system == "ours" else versions("torch", *PACKAGES)
    settings = json.loads(json.dumps(asdict(job) | {"code": code}))
    if path.exists():
        found: Result = json.loads(path.read_text(encoding="utf-8"))
        if found["settings"] == settings:
            return found
    with get_context("spawn").Pool(1) as pool:
        found = pool.apply(run_job, (job, data_folder, folder)) | {"settings": settings}
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    every = " / ".join(f"{share:.3f}" for share in found["accuracy"])
    print(f"{job.name}: {every}, {found['seconds_per_epoch']:.1f} s per epoch, rate {found['rate_hz']}", flush=True)
    return found


def results(
    systems: list[str], job: Job, seeds: int, rates: tuple[float, ...], data_folder: Path, folder: Path
) -> dict[str, list[Result]]:
    """Per system one result per seed, all with the learning rate that was best on the validation set of seed 0."""
    folder.mkdir(parents=True, exist_ok=True)
    found: dict[str, list[Result]] = {}
    for system in systems:
        if system in MACHINES:
            jobs = [replace(job, system=system, seed=seed) for seed in range(seeds)]
        else:
            tried = {rate: kept(replace(job, system=system, rate=rate), data_folder, folder) for rate in rates}
            best = max(tried, key=lambda rate: float(tried[rate]["validation"]))
            jobs = [replace(job, system=system, rate=best, seed=seed) for seed in range(seeds)]
        found[system] = [kept(each, data_folder, folder) for each in jobs]
    return found


def accuracy_table(found: dict[str, list[Result]]) -> list[str]:
    """One row per system: mean and standard deviation over seeds."""
    lines = [
        "| | learning rate | "
        + " | ".join(GROUPS)
        + " | rate / Hz | core s per epoch | peak memory / MiB | above data / MiB |",
        "|---|---|" + "---|" * len(GROUPS) + "---|---|---|---|",
    ]
    for system, every in found.items():
        shares = [spread([100 * row["accuracy"][k] for row in every], ".1f") for k in range(len(GROUPS))]
        rate = "" if every[0]["rate_hz"] is None else spread([row["rate_hz"] for row in every], ".2f")
        learning = every[0]["settings"]["rate"]
        cells = [
            LABELS[system],
            "" if learning is None else f"{learning:g}",
            *shares,
            rate,
            f"{min(row['core_seconds_per_epoch'] for row in every):.1f}",
            f"{max(row['peak_mib'] for row in every):.0f}",
            f"{max(row['peak_mib'] - row['loaded_mib'] for row in every):.0f}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return lines
