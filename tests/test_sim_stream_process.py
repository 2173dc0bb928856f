"""Processes of the C++ engine that are killed, cannot start, cannot run, or lose their parent."""

import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from networks import edges, network, neurons, on_training_grid, played
from streaming import Streamable, differences, play, prepared, process, reference, relay, relay_inputs

from spikebridge.bridge.errors import SpecError, WorkerError
from spikebridge.sim import job as jobs
from spikebridge.sim.evaluation import make_job
from spikebridge.sim.job import ATTEMPTS, Chunk, Job, close_jobs, prepare_job, simulate_chunk
from spikebridge.sim.options import SimulationOptions
from spikebridge.sim.sample_process import SampleProcess, StepEvents
from spikebridge.sim.stream_engine import StreamEngine

NOTHING = StepEvents(np.zeros(0, np.int32), np.zeros(0, np.int32))


@pytest.fixture(scope="module")
def small() -> Iterator[Streamable]:
    """The smallest network, prepared once."""
    grid = on_training_grid(relay())
    inputs = relay_inputs(grid)
    with prepared(grid, inputs) as made:
        yield grid, inputs, made


@pytest.fixture
def job(small: Streamable) -> Iterator[Job]:
    """A job for `small`; what was started for it is ended."""
    grid, inputs, _ = small
    made = make_job(grid, inputs, SimulationOptions(backend="cpp", lanes=1))
    yield made
    close_jobs([made])


def chunk(small: Streamable) -> Chunk:
    return Chunk(np.arange(3, dtype=np.int64), small[1])


def alive(pid: int) -> bool:
    """Whether a process is there and has not ended; a child that was not waited for has."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_until_gone(pid: int) -> None:
    for _ in range(500):
        if not alive(pid):
            return
        time.sleep(0.02)
    os.kill(pid, signal.SIGKILL)
    pytest.fail(f"process {pid} was still there after 10 s")


def kills(monkeypatch: pytest.MonkeyPatch, times: int, after: int = 0) -> list[int]:
    """Kill the first processes when they have played `after` samples; returns who was killed."""
    original = SampleProcess.play
    killed: list[int] = []
    played_by: dict[int, int] = {}

    def play_or_kill(self: SampleProcess, inputs: list[StepEvents], n_steps: int) -> object:
        pid = self._process.pid
        if played_by.get(pid, 0) == after and len(killed) < times:
            killed.append(pid)
            os.kill(pid, signal.SIGKILL)
        played_by[pid] = played_by.get(pid, 0) + 1
        return original(self, inputs, n_steps)

    monkeypatch.setattr(SampleProcess, "play", play_or_kill)
    return killed


@pytest.mark.parametrize("after", [0, 2])
def test_a_process_that_is_killed_is_started_again(
    after: int, small: Streamable, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    grid, inputs, _ = small
    killed = kills(monkeypatch, ATTEMPTS - 1, after)
    found = simulate_chunk(job, chunk(small))
    assert differences(found, reference(grid, inputs)) == []
    assert len(set(killed)) == ATTEMPTS - 1
    assert not any(alive(pid) for pid in killed)


def test_processes_that_are_killed_again_and_again_are_an_error(
    small: Streamable, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed = kills(monkeypatch, ATTEMPTS)
    said = r"samples 0 to 2 were tried 3 times: .* signal 9; if memory ran out, use fewer workers"
    with pytest.raises(SpecError, match=said):
        simulate_chunk(job, chunk(small))
    assert len(set(killed)) == ATTEMPTS
    # Whoever asks again gets an answer.
    assert differences(simulate_chunk(job, chunk(small)), reference(small[0], small[1])) == []


def test_a_process_that_is_killed_in_the_middle_of_a_sample_is_noticed(small: Streamable) -> None:
    grid, _, made = small
    with process(made, grid) as running:
        pid = running._process.pid
        # Half a request: the process waits for the rest.
        assert running._process.stdin is not None
        running._process.stdin.write(np.array([5, 1, 100], np.int64).tobytes())
        running._process.stdin.flush()
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(WorkerError, match="ended unexpectedly: signal 9"):
            running.play([NOTHING], 5)
    assert not alive(pid)


def test_an_interrupted_call_does_not_leave_its_answer_to_the_next(
    small: Streamable, monkeypatch: pytest.MonkeyPatch
) -> None:
    grid, _, made = small
    with process(made, grid) as running:
        assert running.play([NOTHING], 5).trace.shape == (5, 1)

        def interrupt(*_: object) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patched:
            patched.setattr(running, "_receive", interrupt)
            with pytest.raises(KeyboardInterrupt):
                running.play([NOTHING], 5)
        with pytest.raises(WorkerError):
            running.play([NOTHING], 5)


def test_ctrl_c_is_for_the_parent_to_answer(small: Streamable) -> None:
    grid, _, made = small
    with process(made, grid) as running:
        running.play([NOTHING], 5)
        os.kill(running._process.pid, signal.SIGINT)
        assert running.play([NOTHING], 5).trace.shape == (5, 1)


def test_a_program_that_cannot_be_started_is_named(small: Streamable, tmp_path: Path) -> None:
    grid, _, made = small
    text = tmp_path / "main"
    steps: list[Callable[[], None]] = [lambda: None, text.touch, lambda: text.chmod(stat.S_IRWXU)]
    for step in steps:
        step()  # missing; not executable; empty, as after a power failure
        broken = replace(made, binary=replace(made.binary, path=text))
        with pytest.raises(SpecError, match=f"cannot start the compiled simulation {text}: .*remove its folder"):
            process(broken, grid)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda content: content[:-1], "weight|delay.* is cut off"),
        (lambda content: content[:28], "tau_u is cut off"),
        (lambda content: content[:16], "tau_u is missing from the parameters"),
        (lambda content: b"", "grid_clock.dt is missing from the parameters"),
        (lambda content: content + b"\0", "the file of parameters is longer than this binary expects"),
        (lambda content: b"\2" + content[1:], "grid_clock.dt has another size than this binary was compiled for"),
        (None, "cannot open the parameters: No such file or directory"),
    ],
)
def test_parameters_that_are_damaged_are_named_and_not_tried_again(
    change: object, said: str, small: Streamable, tmp_path: Path
) -> None:
    grid, inputs, made = small
    damaged = tmp_path / "parameters.bin"
    if callable(change):
        damaged.write_bytes(change(made.parameters.read_bytes()))
    with pytest.raises(SpecError, match=f"cannot run with {damaged}: .*({said})"):
        play(replace(made, parameters=damaged), grid, inputs)


def test_a_state_that_is_not_finite_names_population_variable_and_neurons() -> None:
    """It diverges in the second lane, in neurons that reach no readout; the next samples are well again."""
    wires = [edges("input", "hidden", [(0, 1, 1e308, 0), (0, 2, 1e308, 0)]), edges("hidden", "readout", [(0, 0, 1, 0)])]
    grid = on_training_grid(network([neurons(size=3)], wires))
    bad, good = played([(1, 1, 0)] * 3, grid, samples=2), played([(0, 1, 0)], grid, samples=2)
    with prepared(grid, bad, lanes=2) as made:
        engine = StreamEngine(grid, made, keep_readout=True)
        try:
            with pytest.raises(SpecError, match=r"diverged: u of 2 of 3 neurons of 'hidden'.*first neuron 1"):
                engine.run(bad, lambda _: None)
            assert differences(engine.run(good, lambda _: None), reference(grid, good)) == []
        finally:
            engine.close()


def started_by(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The processes that are started from now on."""
    pids: list[int] = []
    original = SampleProcess.__init__

    def start(self: SampleProcess, *args: object, **kwargs: object) -> None:
        original(self, *args, **kwargs)  # type: ignore[arg-type]
        pids.append(self._process.pid)

    monkeypatch.setattr(SampleProcess, "__init__", start)
    return pids


def test_no_process_is_left_after_an_error_or_when_jobs_are_closed(
    small: Streamable, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    grid, _, made = small
    pids = started_by(monkeypatch)
    simulate_chunk(job, chunk(small))
    (pid,) = pids
    assert alive(pid)
    folder = jobs._prepared[job.key][1].parameters.parent
    assert folder.is_dir()
    close_jobs([job])
    assert not alive(pid)
    assert not folder.exists()
    with pytest.raises(ZeroDivisionError), process(made, grid):
        _ = 1 / int(pids[-1] == pid)
    assert len(pids) == 2
    assert not alive(pids[-1])


def test_only_the_last_engines_of_a_worker_stay_open(small: Streamable, monkeypatch: pytest.MonkeyPatch) -> None:
    pids = started_by(monkeypatch)
    grid, inputs, _ = small
    specs = [replace(grid.spec, metadata={"number": str(number)}) for number in range(jobs.OPEN_ENGINES + 1)]
    options = SimulationOptions(backend="cpp", lanes=1)
    made = [make_job(on_training_grid(spec), inputs, options) for spec in specs]
    folders: list[Path] = []
    try:
        for one in made:
            simulate_chunk(one, chunk(small))
            folders.append(jobs._prepared[one.key][1].parameters.parent)
        assert [alive(pid) for pid in pids] == [False] + [True] * jobs.OPEN_ENGINES
        assert [folder.exists() for folder in folders] == [False] + [True] * jobs.OPEN_ENGINES
    finally:
        close_jobs(made)
    assert not any(alive(pid) for pid in pids)
    assert not any(folder.exists() for folder in folders)


def test_what_was_prepared_for_all_threads_stays(small: Streamable) -> None:
    grid, inputs, _ = small
    specs = [replace(grid.spec, metadata={"thread": str(number)}) for number in range(jobs.OPEN_ENGINES + 1)]
    options = SimulationOptions(backend="cpp", lanes=1)
    made = [make_job(on_training_grid(spec), inputs, options) for spec in specs]
    try:
        for one in made:
            prepare_job(one)
        for one in made:
            simulate_chunk(one, chunk(small))
        assert all(one.key in jobs._prepared for one in made)
    finally:
        close_jobs(made)
    assert not any(one.key in jobs._prepared for one in made)


PARENT = """
import sys
from pathlib import Path
from networks import on_training_grid
from streaming import process, relay
import numpy as np
from spikebridge.sim.sample_process import StepEvents
from spikebridge.sim.stream_project import prepare

grid = on_training_grid(relay())
running = process(prepare(grid, 1, 4, None, Path(sys.argv[1])), grid)
print(running._process.pid, flush=True)
none = StepEvents(np.zeros(0, np.int32), np.zeros(0, np.int32))
while True:
    if sys.argv[2] == "busy":
        running.play([none], 100_000)
    elif not sys.stdin.read():
        break
"""


@pytest.mark.parametrize("state", ["busy", "idle"])
def test_a_process_ends_when_its_parent_is_killed(state: str, tmp_path: Path) -> None:
    paths = os.pathsep.join([str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path), state],
        env={**os.environ, "PYTHONPATH": paths},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdin is not None
    assert parent.stdout is not None
    with parent.stdin, parent.stdout:
        child = int(parent.stdout.readline())
        try:
            assert alive(child)
        finally:
            parent.kill()
            parent.wait()
    wait_until_gone(child)
