"""The benchmark of training on a GPU: whole, but tiny and on the processor; what it says without a card; its table."""

import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[ModuleType]:
    """`benchmarks/training_gpu.py` with its neighbours importable, and forgotten again; results go elsewhere."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    monkeypatch.setenv("OMP_WAIT_POLICY", "passive")  # importing it sets this, for the script's own process
    before, threads = set(sys.modules), torch.get_num_threads()
    module = importlib.import_module("training_gpu")
    monkeypatch.setattr(sys.modules["common"], "RESULTS", tmp_path / "RESULTS.md")
    yield module
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(False)
    for name in set(sys.modules) - before:
        if (getattr(sys.modules[name], "__file__", None) or "").startswith(str(ROOT / "benchmarks")):
            del sys.modules[name]


def test_it_runs_on_the_processor(bench: ModuleType, tmp_path: Path) -> None:
    words = ["--device", "cpu", "--samples", "20", "--spikes", "300", "--hidden", "8", "--batch", "8", "--threads", "1"]
    words += ["--epochs", "2", "--peer-batches", "2", "--systems", "fused,plain,plain_radlif,gru"]
    assert bench.main([*words, "--json", str(tmp_path / "found.json")]) == 0
    found = json.loads((tmp_path / "found.json").read_text())
    assert [row["system"] for row in found["rows"]] == ["fused", "plain", "plain_radlif", "gru"]
    for row in found["rows"]:
        assert row["failure"] is None
        assert row["epoch_s"] > 0
        assert row["peak_mib"] > 10
    assert found["rows"][0]["first_s"] > 0
    text = (tmp_path / "RESULTS.md").read_text()
    assert "| ours, fused: recurrent adLIF with delays | 8 |" in text
    assert "20 samples, 300 spikes each, 140 - 8 - 8 - 20" in text


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_what_is_missing_and_writes_nothing(
    bench: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench.main([]) == 1
    assert "error: device = 'cuda' needs an NVIDIA GPU" in capsys.readouterr().err
    assert not (tmp_path / "RESULTS.md").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--epochs", "1"], "--epochs must be at least 2"),
        (["--batch", "0"], "must be at least 1"),
        (["--systems", "fused,theirs"], "--systems names ['theirs']"),
    ],
)
def test_impossible_arguments_are_refused(
    bench: ModuleType, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        bench.arguments(words)
    assert said in capsys.readouterr().err


def test_a_system_that_fails_leaves_the_others_their_turn(bench: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("CUDA out of memory\nand more")

    monkeypatch.setattr(bench, "peer_epoch", fail)
    options = bench.arguments(["--device", "cpu"])
    failed = bench.measured(options, bench.Shape(), None, 64, "plain_radlif")
    rows = [bench.Measured("fused", 64, 2.0, 9.0, 100.0), bench.Measured("gru", 64, 1.0, None, 50.0), failed]
    lines = bench.table(rows, 1000)
    assert lines[2].endswith("| 64 | 2.000 | 500 | 9.00 s | 1.00 | 100 MiB |")
    assert lines[3] == "| GRU | 64 | 1.000 | 1000 |  | 0.50 | 50 MiB |"
    assert "did not run: CUDA out of memory |" in lines[4]


def test_samples_have_as_many_spikes_as_asked_for(bench: ModuleType) -> None:
    events = bench.random_events(200, 50.0, 140, 0)
    assert events.n_samples == 200
    assert len(events.time_s) == pytest.approx(200 * 50, rel=0.05)
    assert events.time_s.max() < 1.0
    assert len(set(events.channel.tolist())) == 140
