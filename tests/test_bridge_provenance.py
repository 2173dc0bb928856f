"""The checksum of the source: whatever a result is computed by is in it."""

from pathlib import Path

import pytest

from spikebridge.bridge import provenance
from spikebridge.bridge.provenance import source_sha256


@pytest.mark.parametrize("name", ["engine.py", "inner/more.py", "loop.h"])
def test_a_change_of_any_source_changes_the_checksum(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(provenance, "__file__", str(tmp_path / "bridge" / "provenance.py"))
    for each in ("engine.py", "inner/more.py", "loop.h", "notes.txt"):
        path = tmp_path / "sim" / each
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("first\n")
    before = source_sha256("sim")
    (tmp_path / "sim" / "notes.txt").write_text("second\n")
    assert source_sha256("sim") == before
    (tmp_path / "sim" / name).write_text("second\n")
    assert source_sha256("sim") != before


def test_the_main_loop_of_compiled_simulations_is_a_source() -> None:
    loop = Path(provenance.__file__).resolve().parent.parent / "sim" / "sample_loop.h"
    assert loop.is_file()
    assert loop.suffix in provenance.SOURCES
