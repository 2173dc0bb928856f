"""The GPU that a simulation runs on, as nvidia-smi tells it."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass

from spikebridge.bridge.errors import SpecError
from spikebridge.sim.cuda_toolkit import ON_A_CPU, Toolkit

FIELDS = ("index", "uuid", "name", "memory.total", "memory.free", "compute_cap", "driver_version")
OLDEST_DRIVER = {12: 525, 13: 580}
"""The first driver that runs programs of a CUDA version, on Linux (NVIDIA, CUDA Toolkit Release Notes, table 3)."""


@dataclass(frozen=True, slots=True)
class Card:
    """A GPU.

    Attributes:
        index: its number in nvidia-smi.
        uuid: names it in CUDA_VISIBLE_DEVICES.
        name: as sold.
        total_mib: its memory.
        free_mib: what of it other programs leave.
        compute_capability: as "9.0".
        driver: version of the NVIDIA driver.
    """

    index: int
    uuid: str
    name: str
    total_mib: int
    free_mib: int
    compute_capability: str
    driver: str

    def __str__(self) -> str:
        return f"{self.name}, {self.total_mib / 1024:.0f} GiB, driver {self.driver}"


def find_card(toolkit: Toolkit) -> Card:
    """The visible GPU with the most free memory; CUDA_VISIBLE_DEVICES says which are visible, as for any CUDA program.

    Raises:
        SpecError: there is none, or its driver or compute capability does not go with the toolkit.
    """
    command = ["nvidia-smi", f"--query-gpu={','.join(FIELDS)}", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise SpecError(
            "backend 'cuda' needs an NVIDIA GPU and its driver, but nvidia-smi is not on the PATH: install the driver "
            f"(https://www.nvidia.com/drivers), or run on a machine with a GPU; {ON_A_CPU}"
        ) from None
    if done.returncode != 0 or not done.stdout.strip():
        said = (done.stdout + done.stderr).strip() or "nothing"
        raise SpecError(f"backend 'cuda' needs an NVIDIA GPU, but nvidia-smi finds none; it says: {said}; {ON_A_CPU}")
    cards = visible(parse_cards(done.stdout), os.environ.get("CUDA_VISIBLE_DEVICES"))
    card = max(cards, key=lambda candidate: candidate.free_mib)
    require_match(card, toolkit)
    return card


def parse_cards(text: str) -> list[Card]:
    """The cards in what nvidia-smi prints for `FIELDS`, one per line.

    Raises:
        SpecError: a line is not what was asked for, for example because the driver does not know a field.
    """
    cards = []
    for line in text.strip().splitlines():
        values = [value.strip() for value in line.split(",")]
        try:
            index, uuid, name, total, free, capability, driver = values
            cards.append(Card(int(index), uuid, name, int(total), int(free), capability, driver))
        except ValueError:
            raise SpecError(
                f"cannot read {line!r} as {', '.join(FIELDS)} of a GPU (nvidia-smi); a card split into instances "
                "(MIG) is not supported, an old driver is to be updated (https://www.nvidia.com/drivers)"
            ) from None
    return cards


def visible(cards: list[Card], chosen: str | None) -> list[Card]:
    """The cards that CUDA_VISIBLE_DEVICES leaves, given by number or by the beginning of their UUID.

    Raises:
        SpecError: it leaves none.
    """
    if chosen is None:
        return cards
    names = [name.strip() for name in chosen.split(",")]
    kept = [
        card
        for card in cards
        if any(name == str(card.index) or (len(name) > 4 and card.uuid.startswith(name)) for name in names)
    ]
    if not kept:
        known = ", ".join(f"{card.index} ({card.name}, {card.uuid})" for card in cards)
        raise SpecError(f"CUDA_VISIBLE_DEVICES={chosen!r} names no GPU of this machine; it has {known}")
    return kept


def require_match(card: Card, toolkit: Toolkit) -> None:
    """Refuse a card that cannot run what the toolkit compiles.

    Raises:
        SpecError: naming driver or compute capability, and what to install.
    """
    version = ".".join(map(str, toolkit.version))
    oldest = OLDEST_DRIVER[toolkit.version[0]]
    major = card.driver.split(".")[0]
    if major.isdigit() and int(major) < oldest:
        raise SpecError(
            f"driver {card.driver} of {card.name} does not run programs of CUDA {version}, which needs {oldest} or "
            "newer: update the driver (https://www.nvidia.com/drivers) or install an older CUDA toolkit (12)"
        )
    if card.compute_capability not in toolkit.architectures:
        known = ", ".join(sorted(toolkit.architectures, key=float))
        raise SpecError(
            f"nvcc of CUDA {version} does not compile for {card.name}, which has compute capability "
            f"{card.compute_capability}; it knows {known}: install a CUDA toolkit that does (12 for old cards, the "
            "newest for new ones)"
        )
