"""Which GPU is taken, and what is said where there is none that will do."""

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from cuda_machines import CARD, fake_toolkit, script

from spikebridge.bridge.errors import SpecError
from spikebridge.sim.cuda_card import find_card, parse_cards, require_match, visible

LINES = """0, GPU-1111aaaa-0000, NVIDIA A100-SXM4-40GB, 40960, 1024, 8.0, 580.65.06
1, GPU-2222bbbb-0000, NVIDIA A100-SXM4-40GB, 40960, 40000, 8.0, 580.65.06
"""


def on_path(folder: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    script(folder / "bin" / "nvidia-smi", text)
    monkeypatch.setenv("PATH", f"{folder / 'bin'}:{os.environ['PATH']}")


def test_the_card_with_most_free_memory_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on_path(tmp_path, f"#!/bin/sh\ncat <<EOF\n{LINES}EOF\n", monkeypatch)
    toolkit = fake_toolkit(tmp_path / "cuda")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    card = find_card(toolkit)
    assert (card.index, card.uuid, card.free_mib, card.compute_capability) == (1, "GPU-2222bbbb-0000", 40000, "8.0")
    assert str(card) == "NVIDIA A100-SXM4-40GB, 40 GiB, driver 580.65.06"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    assert find_card(toolkit).index == 0


def test_visible_devices_are_numbers_or_beginnings_of_names() -> None:
    cards = parse_cards(LINES)
    assert visible(cards, None) == cards
    assert visible(cards, "1, 0") == cards
    assert visible(cards, "GPU-2222") == cards[1:]
    for nothing in ("", "2", "GPU-", "MIG-2222bbbb"):
        with pytest.raises(
            SpecError, match=r"names no GPU of this machine; it has 0 \(NVIDIA A100-SXM4-40GB, GPU-1111"
        ):
            visible(cards, nothing)


def test_without_a_driver_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SpecError, match=r"nvidia-smi is not on the PATH: install the driver.*backend 'cpp'"):
        find_card(fake_toolkit(tmp_path / "cuda"))


@pytest.mark.parametrize("code", [0, 9])
def test_without_a_card_it_says_what_nvidia_smi_says(
    tmp_path: Path, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = "" if code == 0 else "NVIDIA-SMI has failed because it could not communicate with the NVIDIA driver."
    on_path(tmp_path, f'#!/bin/sh\n[ -z "{said}" ] || echo "{said}"\nexit {code}\n', monkeypatch)
    with pytest.raises(SpecError, match=f"finds none; it says: {said or 'nothing'}; backend 'cpp'"):
        find_card(fake_toolkit(tmp_path / "cuda"))


def test_a_line_that_is_not_what_was_asked_for_is_refused() -> None:
    with pytest.raises(SpecError, match=r"cannot read '0, GPU-1, A30, \[N/A\].*MIG"):
        parse_cards("0, GPU-1, A30, [N/A], [N/A], 8.0, 580.65.06\n")
    with pytest.raises(SpecError, match="cannot read"):
        parse_cards('Field "compute_cap" is not a valid field to query.\n')


def test_driver_and_compute_capability_must_go_with_the_toolkit(tmp_path: Path) -> None:
    thirteen, twelve = fake_toolkit(tmp_path / "13"), fake_toolkit(tmp_path / "12", "12.8")
    require_match(CARD, thirteen)
    require_match(replace(CARD, driver="570.1"), twelve)
    with pytest.raises(
        SpecError, match=r"driver 570\.1 of NVIDIA H100 does not run programs of CUDA 13\.0.* 580 or newer"
    ):
        require_match(replace(CARD, driver="570.1"), thirteen)
    with pytest.raises(SpecError, match=r"does not compile for .* 7\.0; it knows 7\.5, 8\.0, 9\.0, 12\.0: install"):
        require_match(replace(CARD, compute_capability="7.0"), thirteen)


def test_the_real_nvidia_smi_knows_the_fields() -> None:
    """On a machine with a GPU; elsewhere there is nothing to ask."""
    try:
        done = subprocess.run(["nvidia-smi", "-L"], capture_output=True, check=False)
    except FileNotFoundError:
        pytest.skip("nvidia-smi is not installed")
    if done.returncode != 0:
        pytest.skip("no GPU")
    from spikebridge.sim.cuda_toolkit import find_toolkit

    assert find_card(find_toolkit()).total_mib > 0
