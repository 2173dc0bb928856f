"""Which trainings are run, kept and shown: per system a search of the learning rate at few seeds, then all seeds."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from accuracy import GROUPS
from common import spread
from peer_models import PEERS
from peer_training import LABELS, MACHINES, Job, run_job, shared_with_peers

from spikebridge.bridge.provenance import source_sha256, versions
from spikebridge.bridge.storage import atomic_path

PACKAGES = ("snntorch", "norse", "spikingjelly", "DCLS")

RATES = (1e-3, 3e-3, 1e-2)
"""Of weights, Adam; every network gets the same three, and the one with the best validation at the first seeds."""

CHOSEN = "chosen"
"""Folder beside the results with the names of those that were chosen, per system and in the order of seeds."""

WITH_DROPOUT = ("dcls_spikingjelly",)
"""Peers whose dropout is searched too, where others than the published one are given."""

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
    shared = {} if job.system == "ours" else {"shared": shared_with_peers(job)}
    settings = json.loads(json.dumps(asdict(job) | {"code": code} | shared))
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


@dataclass(frozen=True)
class Search:
    """What is tried for every network, and at how many of the first seeds; the best mean validation accuracy counts."""

    rates: tuple[float, ...]
    dropouts: tuple[float, ...] = ()
    seeds: int = 1


def results(
    systems: list[str], job: Job, seeds: int, search: Search, data_folder: Path, folder: Path
) -> dict[str, list[Result]]:
    """Per system one result per seed, all with the settings that were best on validation sets."""
    folder.mkdir(parents=True, exist_ok=True)
    found: dict[str, list[Result]] = {}
    for system in systems:
        if system in MACHINES:
            jobs = [replace(job, system=system, seed=seed) for seed in range(seeds)]
        else:
            dropouts = (None, *search.dropouts) if system in WITH_DROPOUT else (None,)
            choices = [replace(job, system=system, rate=rate, dropout=d) for rate in search.rates for d in dropouts]
            validation = {
                choice: sum(
                    kept(replace(choice, seed=seed), data_folder, folder)["validation"] for seed in range(search.seeds)
                )
                for choice in choices
            }
            best = max(choices, key=lambda choice: validation[choice])
            jobs = [replace(best, seed=seed) for seed in range(seeds)]
        found[system] = [kept(each, data_folder, folder) for each in jobs]
        choice = folder / CHOSEN / f"{system}.json"
        choice.parent.mkdir(exist_ok=True)
        with atomic_path(choice) as temporary:
            temporary.write_text(json.dumps([f"{each.name}.json" for each in jobs], indent=1) + "\n", encoding="utf-8")
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
        learning, dropout = every[0]["settings"]["rate"], every[0]["settings"]["dropout"]
        cells = [
            LABELS[system],
            ("" if learning is None else f"{learning:g}") + ("" if dropout is None else f", dropout {dropout:g}"),
            *shares,
            rate,
            f"{min(row['core_seconds_per_epoch'] for row in every):.1f}",
            f"{max(row['peak_mib'] for row in every):.0f}",
            f"{max(row['peak_mib'] - row['loaded_mib'] for row in every):.0f}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return lines
