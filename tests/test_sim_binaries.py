"""Compiled programs are kept by the content of their sources: compiled once, whoever asks, and never half."""

import logging
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from networks import on_training_grid
from streaming import differences, reference, relay, relay_inputs, streamed

from spikebridge.bridge.errors import SpecError
from spikebridge.sim import stream_project
from spikebridge.sim.binaries import Binary, cache_folder, cached_binary, project_key
from spikebridge.sim.stream_project import prepare

COMPILER = ("g++", "--version")
MAKE = ("make",)


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPIKEBRIDGE_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Sources whose compilation notes that it happened, and takes its time."""
    folder = tmp_path / "project"
    (folder / "static_arrays").mkdir(parents=True)
    (folder / "static_arrays" / "numbers").write_text("1 2 3")
    (folder / "main.cpp").write_text("int main() { return 7; }\n")
    recipe = f"main: main.cpp\n\techo compiled >> {tmp_path}/log\n\tsleep 0.5\n\tcp main.cpp main\n"
    (folder / "makefile").write_text(recipe)
    return folder


def compilations(tmp_path: Path) -> int:
    log = tmp_path / "log"
    return len(log.read_text().splitlines()) if log.exists() else 0


def left_behind() -> list[str]:
    """What is in the cache besides programs and locks."""
    folder = cache_folder() / "binaries"
    return [path.name for path in folder.iterdir() if path.suffix != ".lock" and not (path / "main").is_file()]


def ask(project: Path) -> Binary:
    return cached_binary(project, make=MAKE, compiler=COMPILER)


def test_a_program_is_compiled_once(project: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="spikebridge"):
        first, again = ask(project), ask(project)
    assert first.path == again.path == cache_folder() / "binaries" / first.key / "main"
    assert first.path.read_text() == (project / "main.cpp").read_text()
    assert first.compile_s > 0 == again.compile_s
    assert [record.message.split(f" {first.key[:12]} ")[0] for record in caplog.records] == [
        "compiling simulation",
        "compiled simulation",
        "compiled simulation",
    ]
    assert compilations(tmp_path) == 1
    assert not (project / "main").exists()
    assert left_behind() == []


def test_the_key_is_the_content_of_the_sources_and_the_compiler(project: Path) -> None:
    before = project_key(project, COMPILER)
    (project / "static_arrays" / "numbers").write_text("4 5 6")
    (project / "results").mkdir()
    (project / "results" / "spikes").write_text("...")
    assert project_key(project, COMPILER) == before
    keys = {before, project_key(project, ("g++", "-dumpversion"))}
    (project / "main.cpp").write_text("int main() { return 8; }\n")
    keys.add(project_key(project, COMPILER))
    (project / "main.cpp").rename(project / "other.cpp")
    keys.add(project_key(project, COMPILER))
    assert len(keys) == 4


ASK = """
import sys
from pathlib import Path
from spikebridge.sim.binaries import cached_binary
binary = cached_binary(Path(sys.argv[1]), make=("make",), compiler=("g++", "--version"))
print(binary.path, binary.compile_s > 0)
"""


def asking(project: Path) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", ASK, str(project)], stdout=subprocess.PIPE, text=True)


def test_processes_that_want_the_same_program_compile_it_once(project: Path, tmp_path: Path) -> None:
    processes = [asking(project) for _ in range(3)]
    answers = [process.communicate(timeout=60)[0].split() for process in processes]
    assert len({path for path, _ in answers}) == 1
    assert sorted(compiled for _, compiled in answers) == ["False", "False", "True"]
    assert compilations(tmp_path) == 1


def test_a_failed_compilation_leaves_nothing_behind_and_shows_what_the_compiler_said(project: Path) -> None:
    (project / "main.cpp").write_text("int main() { return missing_name; }\n")
    (project / "makefile").write_text("main: main.cpp\n\tg++ main.cpp -o main\n")
    with pytest.raises(SpecError, match=r"compiling a simulation failed \(make\):\n(.*\n)*.*missing_name"):
        ask(project)
    assert left_behind() == []
    (project / "makefile").write_text("main: main.cpp\n\techo all is well\n")
    with pytest.raises(SpecError, match=r"compiling a simulation failed \(make\):\n(.*\n)*all is well"):
        ask(project)
    assert left_behind() == []


def test_words_of_a_compiler_that_are_no_text_are_shown_as_well_as_can_be(project: Path) -> None:
    (project / "makefile").write_text("main:\n\tprintf 'caf\\351\\n'; false\n")
    with pytest.raises(SpecError, match="caf\ufffd"):
        ask(project)


def test_a_compilation_that_was_killed_does_not_stand_in_the_way(project: Path, tmp_path: Path) -> None:
    process = asking(project)
    while not compilations(tmp_path):
        time.sleep(0.01)
    process.kill()
    process.communicate()
    key = project_key(project, COMPILER)
    (cache_folder() / "binaries" / key).mkdir()
    assert len(left_behind()) == 2  # the folder for the program, and the one it was compiled in
    assert ask(project).compile_s > 0
    assert left_behind() == []


@pytest.mark.parametrize("where", ["cache", "cache/binaries"])
def test_a_cache_that_cannot_be_written_is_an_error_that_names_the_variable(
    where: str, project: Path, tmp_path: Path
) -> None:
    in_the_way = tmp_path / where
    in_the_way.parent.mkdir(exist_ok=True)
    in_the_way.write_text("a file, which root cannot write into either")
    with pytest.raises(SpecError, match=f"cannot keep a compiled simulation in {tmp_path}/cache.*SPIKEBRIDGE_CACHE"):
        ask(project)


def test_where_programs_are_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SPIKEBRIDGE_CACHE", "~/mine")
    assert cache_folder() == tmp_path / "mine"
    monkeypatch.delenv("SPIKEBRIDGE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "spikebridge"
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    assert cache_folder() == tmp_path / ".cache" / "spikebridge"


def test_the_whole_command_of_the_compiler_counts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The simulation is compiled by what CXX says, here through another program."""
    asked: list[list[str]] = []

    def found(project: Path, *, make: object, compiler: list[str]) -> Binary:
        asked.append(compiler)
        return Binary(project / "main", "", 0.0)

    monkeypatch.setattr(stream_project, "cached_binary", found)
    grid = on_training_grid(relay())
    for number, command in enumerate(["g++", "env g++ -march=x86-64", ""]):
        monkeypatch.setenv("CXX", command)
        folder = tmp_path / str(number)
        folder.mkdir()
        prepare(grid, 1, 4, None, folder)
    assert asked == [["g++", "--version"], ["env", "g++", "-march=x86-64", "--version"], ["g++", "--version"]]


def test_a_network_is_compiled_into_an_empty_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also under a make that has a job server and options of its own."""
    monkeypatch.setenv("MAKEFLAGS", "w -j1")
    grid = on_training_grid(relay())
    inputs = relay_inputs(grid)
    found = streamed(grid, inputs)
    assert found.spikes["hidden"].n_spikes > 0
    assert differences(found, reference(grid, inputs)) == []
    (program,) = (cache_folder() / "binaries").glob("*/main")
    assert os.access(program, os.X_OK)


@pytest.mark.parametrize("variable", ["SPIKEBRIDGE_CACHE", "XDG_CACHE_HOME"])
def test_a_relative_cache_is_that_of_the_folder_one_is_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.delenv("SPIKEBRIDGE_CACHE", raising=False)
    monkeypatch.setenv(variable, "cache")
    monkeypatch.chdir(tmp_path)
    assert cache_folder().is_relative_to(tmp_path / "cache")
