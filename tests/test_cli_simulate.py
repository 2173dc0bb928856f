"""`simulate` as it is typed: where recordings go, plans, the same result in every way, and what is refused."""

import logging
import os
import re
import stat
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from command_line import save_example, small_network
from small_training import SMALL_DEMO

from spikebridge.bridge.network_file import load_network, network_sha256, save_network
from spikebridge.bridge.recording import Recording
from spikebridge.bridge.recording_file import load_recording
from spikebridge.cli.main import main

SAMPLES = 6


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`one/network.h5`, `one/reference.h5` and `two.h5`, of the same shape."""
    folder = tmp_path_factory.mktemp("networks")
    save_example(folder / "one", small_network(), samples=SAMPLES)
    save_network(small_network(seed=4), folder / "two.h5")
    return folder


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    yield
    logging.getLogger("spikebridge").setLevel(logging.NOTSET)
    logging.raiseExceptions = True


def simulate(folder: Path, *arguments: str | Path, networks: tuple[str, ...] = ("one/network.h5",)) -> int:
    names = [str(folder / name) for name in networks]
    inputs = str(folder / "one" / "reference.h5")
    return main(["simulate", *names, "--inputs", inputs, "--quiet", *(str(argument) for argument in arguments)])


def require_same(a: Recording, b: Recording) -> None:
    """Every array; checksums of the files differ by provenance."""
    assert a.spikes.keys() == b.spikes.keys()
    for name, trains in a.spikes.items():
        other = b.spikes[name]
        for x, y in ((trains.step, other.step), (trains.neuron, other.neuron), (trains.offsets, other.offsets)):
            np.testing.assert_array_equal(x, y)
    np.testing.assert_array_equal(a.scores, b.scores)
    assert (a.readout is None) == (b.readout is None)
    if a.readout is not None and b.readout is not None:
        np.testing.assert_array_equal(a.readout, b.readout)


def test_several_networks_and_steps_go_to_a_folder(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "made" / "here"
    both = ("one/network.h5", "two.h5")
    assert simulate(folder, "--out", out, "--step-ms", "10", "--step-ms", "2.5", "--samples", "2", networks=both) == 0
    assert {path.name for path in out.iterdir()} == {"one_10ms.h5", "one_2.5ms.h5", "two_10ms.h5", "two_2.5ms.h5"}
    for name, network in (("one", folder / "one" / "network.h5"), ("two", folder / "two.h5")):
        for step_ms in (10.0, 2.5):
            made = load_recording(out / f"{name}_{step_ms:g}ms.h5")
            assert made.step_ms == step_ms
            assert made.network_sha256 == network_sha256(load_network(network))
            assert made.trials.n_samples == 2
    reference = load_recording(folder / "one" / "reference.h5").select(np.arange(2))
    require_same(load_recording(out / "one_10ms.h5"), reference)


def test_a_folder_that_is_there_is_used_and_what_lies_in_it_stays(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    both = ("one/network.h5", "two.h5")
    assert simulate(folder, "--out", tmp_path, "--samples", "1", networks=both) == 0
    assert {path.name for path in tmp_path.iterdir()} == {"mine.txt", "one_10ms.h5", "two_10ms.h5"}


@pytest.fixture(scope="module")
def compiled(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Recording:
    out = tmp_path_factory.mktemp("compiled") / "r.h5"
    assert simulate(folder, "--out", out, "--backend", "cpp", "--step-ms", "1", "--keep-readout") == 0
    return load_recording(out)


@pytest.mark.parametrize(
    "how",
    [
        ("--backend", "cpp", "--workers", "1"),
        ("--backend", "cpp", "--workers", "2"),
        ("--backend", "cpp", "--lanes", "3"),
        ("--backend", "numpy"),
        ("--backend", "numpy", "--lanes", "4"),
        pytest.param(("--backend", "numpy", "--workers", "2", "--lanes", "1"), marks=pytest.mark.slow),
        pytest.param(("--backend", "cython"), marks=pytest.mark.slow),
        pytest.param(("--backend", "cpp", "--cluster", "local:2"), marks=pytest.mark.slow),
    ],
)
def test_the_result_is_the_same_in_every_way(
    folder: Path, tmp_path: Path, compiled: Recording, how: tuple[str, ...]
) -> None:
    assert sum(trains.n_spikes for trains in compiled.spikes.values()) > 100
    assert compiled.readout is not None
    out = tmp_path / "r.h5"
    assert simulate(folder, "--out", out, "--step-ms", "1", "--keep-readout", *how) == 0
    made = load_recording(out)
    assert made.executor == f"brian2-{how[1]}"
    require_same(made, compiled)


def plan(folder: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, str]:
    """The lines of a plan by their subject; the first line by `file`."""
    capsys.readouterr()
    assert simulate(folder, "--plan", *arguments) == 0
    first, *lines = capsys.readouterr().out.splitlines()
    return {"file": first} | {line[:14].strip(): line[14:] for line in lines}


def test_a_plan_says_what_it_takes_and_writes_nothing(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    said = plan(folder, capsys)
    assert said["file"] == "one_10ms.h5"
    assert said["engine"].startswith("numpy: about ")
    assert "C++ would compile" in said["engine"]
    assert said["samples"] == f"{SAMPLES:,} of 30 steps of 10 ms"
    assert said["in parallel"].startswith("1 worker with 6 lanes each")
    assert re.search(r"[\d,]+ MiB at its peak", said["memory"])
    assert said["time"].endswith("s to run")
    assert "compile" not in said["time"]
    said = plan(folder, capsys, "--out", "r.h5", "--step-ms", "0.1", "--backend", "numpy")
    assert said["file"] == "r.h5"
    assert said["engine"] == "numpy: as asked for"
    assert said["samples"] == f"{SAMPLES:,} of 3,000 steps of 0.1 ms"
    assert list(tmp_path.iterdir()) == []


def test_a_plan_says_whether_it_is_compiled(
    folder: Path,
    tmp_path: Path,
    compiled: Recording,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert plan(folder, capsys, "--backend", "cpp", "--step-ms", "1")["time"].startswith("compiled before; ")
    monkeypatch.setenv("SPIKEBRIDGE_CACHE", str(tmp_path))
    said = plan(folder, capsys, "--backend", "cpp", "--step-ms", "1", "--workers", "2")
    assert "to compile, once for this shape and machine; " in said["time"]
    assert said["in parallel"].startswith("2 workers with 1 lane each")
    assert "in each process that simulates" in said["memory"]
    assert list(tmp_path.iterdir()) == []


def test_a_plan_of_several_has_a_paragraph_for_each(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert simulate(folder, "--plan", "--step-ms", "10", "--step-ms", "1", networks=("one/network.h5", "two.h5")) == 0
    paragraphs = capsys.readouterr().out.split("\n\n")
    assert [p.splitlines()[0] for p in paragraphs] == ["one_10ms.h5", "one_1ms.h5", "two_10ms.h5", "two_1ms.h5"]


@pytest.mark.parametrize(
    ("networks", "arguments", "said"),
    [
        (("one/network.h5", "one/network.h5"), (), "would both be written to {out}/folder/one_10ms.h5"),
        (("one/network.h5",), ("--step-ms", "1", "--step-ms", "1.00"), "--step-ms: a step is given twice"),
        (("one/network.h5",), ("--step-ms", "1", "--step-ms", "1.0000001"), "would both be written to"),
        (("one/network.h5",), ("--step-ms", "7"), "no multiple of the step of 7"),
        (("one/network.h5",), ("--replay", "--step-ms", "1"), "a replay plays recorded spikes at their step of 10 ms"),
        (("one/network.h5",), ("--samples", "7"), "reference.h5 holds 6; give 1 to 6"),
        (("one/network.h5",), ("--cluster", "locl:2"), "unknown cluster 'locl:2' (did you mean 'local'?)"),
        (("one/network.h5",), ("--plan", "--cluster", "slurm:jobs=x"), "jobs must be a whole number"),
    ],
)
def test_what_does_not_fit_together_is_refused(
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    networks: tuple[str, ...],
    arguments: tuple[str, ...],
    said: str,
) -> None:
    assert simulate(folder, "--out", tmp_path / "folder", *arguments, networks=networks) == 4
    assert said.format(out=tmp_path) in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--workers", "0"), "--workers: 0 is too few; give 1 or more"),
        (("--lanes", "two"), "--lanes: 'two' is no whole number"),
        (("--samples", "-1"), "--samples: -1 is too few"),
        (("--step-ms", "0"), "--step-ms: 0 ms is no duration"),
        (("--step-ms", "nan"), "--step-ms: nan ms is no duration"),
        (("--step-ms", "1ms"), "--step-ms: '1ms' is no number; give milliseconds"),
        (("--backend", "gpu"), "invalid choice: 'gpu'"),
    ],
)
def test_numbers_that_are_none_are_refused(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], said: str
) -> None:
    with pytest.raises(SystemExit) as stopped:
        simulate(folder, "--out", "r.h5", *arguments)
    assert stopped.value.code == 2
    assert said in capsys.readouterr().err


def test_a_folder_or_a_file_where_the_other_is_needed_is_refused(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, pipe, read = tmp_path / "file", tmp_path / "pipe", folder / "one" / "reference.h5"
    file.write_text("mine")
    os.mkfifo(pipe)
    steps = ("--step-ms", "10", "--step-ms", "5")
    for arguments, code, said in (
        (("--out", tmp_path), 4, f"--out {tmp_path} is a folder; give the name of the file to write"),
        (("--out", file, *steps), 4, f"--out {file} is the name of a file; several simulations go to a folder"),
        (("--out", tmp_path / "r.h5", *steps), 4, "r.h5 is the name of a file; several simulations go to a folder"),
        (("--out", file / "r.h5"), 3, f"{file}/r.h5: cannot be written, because a folder for its parts"),
        (("--out", pipe), 3, f"{pipe}: is a device or a pipe, which would be replaced by a file; give another name"),
        (("--out", read), 4, f"would overwrite {read}, which is read"),
        ((), 2, "simulate needs --out, the file to write; only --plan does without"),
        (("--out", tmp_path / "r.h5", "--cluster", "--workers", "2"), 2, "--cluster local:2"),
    ):
        assert simulate(folder, *arguments) == code
        assert said in capsys.readouterr().err
    assert {path.name for path in tmp_path.iterdir()} == {"file", "pipe"}
    assert file.read_text() == "mine"
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_a_recording_in_the_folder_that_is_read_is_not_overwritten(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    inputs = tmp_path / "two_10ms.h5"
    inputs.write_bytes((folder / "one" / "reference.h5").read_bytes())
    names = [str(folder / "one" / "network.h5"), str(folder / "two.h5")]
    assert main(["simulate", *names, "--inputs", str(inputs), "--out", str(tmp_path)]) == 4
    assert f"would overwrite {inputs}, which is read" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["two_10ms.h5"]


def test_inputs_that_are_not_the_networks_are_refused(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = small_network()
    (node,) = spec.inputs
    save_network(replace(spec, inputs=(replace(node, size=node.size + 1),)), tmp_path / "wide.h5")
    (tmp_path / "cut.h5").write_bytes((folder / "one" / "network.h5").read_bytes()[:2000])
    one, reference, two = folder / "one" / "network.h5", folder / "one" / "reference.h5", folder / "two.h5"
    for networks, inputs, code, said in (
        ([tmp_path / "none.h5"], reference, 3, "none.h5: no such file; a network file is written by"),
        ([one, tmp_path / "none.h5"], reference, 3, "none.h5: no such file"),
        ([one], tmp_path / "none.h5", 3, "none.h5: no such file; a recording file is written by"),
        ([reference], reference, 3, "reference.h5: is a recording file, expected a network file"),
        ([one], one, 3, "network.h5: is a network file, expected a recording file"),
        ([tmp_path / "cut.h5"], reference, 3, "cut.h5: cannot be read as HDF5"),
        ([one, tmp_path / "wide.h5"], reference, 4, f"wide.h5 at 10.0 ms, with the inputs of {reference}: input"),
    ):
        arguments = [*map(str, networks), "--inputs", str(inputs), "--out", str(tmp_path / "r")]
        assert main(["simulate", *arguments]) == code
        assert said in capsys.readouterr().err
    assert main(["simulate", str(two), "--inputs", str(reference), "--out", str(tmp_path / "r"), "--replay"]) == 4
    assert f"{two} at 10.0 ms, with the inputs of {reference}: cannot replay" in capsys.readouterr().err
    assert {path.name for path in tmp_path.iterdir()} == {"wide.h5", "cut.h5"}


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--cluster", "slurm:node=3"), 4, "unknown key 'node'"),
        (("--cluster", "local", "--set", "simulation.workers=3"), 2, "a --cluster has workers of its own"),
        (("--cluster", "local", "--set", "simulation.backend=cuda"), 4, "leave out the cluster"),
    ],
)
def test_run_refuses_a_cluster_that_it_cannot_use_before_it_trains(
    arguments: tuple[str, ...], code: int, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    assert main(["run", "demo", "--out", str(out), *SMALL_DEMO, *arguments]) == code
    assert said in capsys.readouterr().err
    assert not out.exists()


def test_run_refuses_a_cluster_without_dask_before_it_trains(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "dask_jobqueue", None)
    out = tmp_path / "run"
    assert main(["run", "demo", "--out", str(out), *SMALL_DEMO, "--cluster", "slurm:memory=8GB"]) == 4
    assert "'dask_jobqueue' is missing: pip install 'spikebridge[cluster]'" in capsys.readouterr().err
    assert not out.exists()


def test_of_libraries_only_warnings_are_shown(capfd: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    before, level = root.handlers[:], logging.getLogger("distributed").level
    root.handlers.clear()
    try:
        assert main(["info", "nothing.h5"]) == 3
        logging.getLogger("distributed").setLevel(logging.INFO)
        for name in ("distributed.scheduler", "spikebridge", "spikebridge.sim"):
            logging.getLogger(name).info("%s says", name)
        logging.getLogger("another").warning("beware")
        said = capfd.readouterr().err.splitlines()[1:]
    finally:
        root.handlers[:] = before
        logging.getLogger("distributed").setLevel(level)
    assert said == ["spikebridge says", "spikebridge.sim says", "beware"]


def test_a_disturbance_is_asked_for_and_told(folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    out = tmp_path / "noisy.h5"
    asked = ("--out", out, "--backend", "numpy", "--membrane-noise", "0.5", "--transmission-failure", "0.1")
    assert simulate(folder, *asked, "--noise-seed", "3") == 0
    made = load_recording(out)
    assert made.provenance["disturbance"] == "membrane noise 0.5, transmission failure 0.1, seed 3"
    with caplog.at_level(logging.INFO, logger="spikebridge"):
        assert simulate(folder, *asked, "--noise-seed", "3") == 0
    assert "up to date" in caplog.text
    assert simulate(folder, *asked, "--noise-seed", "4") == 0
    other = load_recording(out)
    assert other.provenance["disturbance"].endswith("seed 4")
    assert any(not np.array_equal(other.spikes[n].step, t.step) for n, t in made.spikes.items())


@pytest.mark.parametrize(
    ("asked", "code", "said"),
    [
        (("--noise-seed", "3"), 2, "--noise-seed: only with --membrane-noise or --transmission-failure"),
        (("--membrane-noise", "-1"), 2, "membrane_noise is -1.0"),
        (("--transmission-failure", "1"), 2, "transmission_failure is 1.0"),
        (("--membrane-noise", "0.1", "--replay"), 4, "do not go with --replay"),
        (("--membrane-noise", "0.1", "--backend", "cuda"), 4, "'cuda' does not simulate disturbances"),
    ],
)
def test_a_disturbance_that_cannot_be_is_refused(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], asked: tuple[str, ...], code: int, said: str
) -> None:
    assert simulate(folder, "--out", tmp_path / "r.h5", *asked) == code
    assert said in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
