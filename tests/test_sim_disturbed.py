"""A disturbed simulation is the same in every engine, however samples are divided, and after an interruption."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from networks import little_to_compile, on_training_grid, random_inputs, random_trials
from streaming import differences, everything_on_grid, picked, relay, samples

from spikebridge.bridge.discretise import GridNetwork
from spikebridge.bridge.disturbance import Disturbance
from spikebridge.bridge.errors import SpecError
from spikebridge.bridge.physical import PhysicalUnits
from spikebridge.bridge.recording_file import load_recording
from spikebridge.bridge.reference import run_reference
from spikebridge.bridge.spikes import SpikeTrains
from spikebridge.sim import stream_project, tasks
from spikebridge.sim.binaries import Binary, project_key
from spikebridge.sim.engine import OnProgress, Simulated
from spikebridge.sim.evaluation import evaluation, make_job
from spikebridge.sim.job import Chunk, Job, close_jobs, simulate_chunk
from spikebridge.sim.options import SimulationOptions
from spikebridge.sim.run import run_network, simulate
from spikebridge.sim.to_files import simulate_to_files
from spikebridge.validation.parity import compare_spikes

BOTH = Disturbance(membrane_noise=0.3, transmission_failure=0.4, seed=2**40 + 7)
CPP = SimulationOptions(backend="cpp", lanes=1, workers=1, keep_readout=True)


def at_most_one(inputs: dict[str, SpikeTrains]) -> dict[str, SpikeTrains]:
    """Without counts above one, of which C++ and the runtime draw the fate in different places of the counter."""
    return {n: SpikeTrains.from_counts(np.minimum(t.counts(), 1), t.step_ms) for n, t in inputs.items()}


@pytest.fixture(scope="module")
def small() -> tuple[GridNetwork, dict[str, SpikeTrains]]:
    """A network with every kind of synapse and population, and seven samples."""
    grid = everything_on_grid()
    return grid, at_most_one(samples(grid))


@pytest.fixture(scope="module")
def expected(small: tuple[GridNetwork, dict[str, SpikeTrains]]) -> Simulated:
    """What C++ does, all samples through one process, one after another."""
    return run_network(*small, CPP, disturbance=BOTH)


@pytest.mark.parametrize(
    "options",
    [
        SimulationOptions(backend="numpy", lanes=7, keep_readout=True),
        pytest.param(SimulationOptions(backend="numpy", lanes=3, keep_readout=True), marks=pytest.mark.slow),
        replace(CPP, workers=2),
        pytest.param(replace(CPP, lanes=3), marks=pytest.mark.slow),
    ],
    ids=lambda options: f"{options.backend}-{options.lanes}-{options.workers}",
)
def test_every_engine_draws_the_same(
    small: tuple[GridNetwork, dict[str, SpikeTrains]], expected: Simulated, options: SimulationOptions
) -> None:
    found = run_network(*small, options, disturbance=BOTH)
    assert differences(found, expected) == []


@pytest.mark.slow
def test_cython_draws_the_same_as_numpy() -> None:
    grid = on_training_grid(little_to_compile(n_steps=20))
    inputs = at_most_one(random_inputs(grid, 5, seed=1))
    numpy = SimulationOptions(backend="numpy", lanes=3, keep_readout=True)
    found, expected = (
        run_network(grid, inputs, o, disturbance=BOTH) for o in (replace(numpy, backend="cython"), numpy)
    )
    assert all(trains.n_spikes > 20 for trains in expected.spikes.values())
    assert differences(found, expected) == []
    assert differences(run_network(grid, inputs, numpy), expected) != []


def test_a_sample_is_disturbed_by_its_number_and_the_seed_only(
    small: tuple[GridNetwork, dict[str, SpikeTrains]], expected: Simulated
) -> None:
    grid, inputs = small
    job = make_job(grid, inputs, CPP, disturbance=BOTH)
    order = [4, 2, 6, 2]
    chunk = Chunk(np.array(order), {name: trains.select(order) for name, trains in inputs.items()})
    try:
        assert differences(simulate_chunk(job, chunk), picked(expected, order)) == []
    finally:
        close_jobs([job])
    again = {name: trains.select([0] * 7) for name, trains in inputs.items()}
    alike = run_network(grid, again, CPP, disturbance=BOTH)
    assert differences(picked(alike, [0]), picked(expected, [0])) == []
    assert set(differences(picked(alike, [0]), picked(alike, [1]))) == {*expected.spikes, "readout"}
    assert differences(run_network(grid, inputs, CPP, disturbance=replace(BOTH, seed=3)), expected) != []


def test_in_physical_units_the_spikes_are_the_same(
    small: tuple[GridNetwork, dict[str, SpikeTrains]], expected: Simulated
) -> None:
    options = SimulationOptions(backend="numpy", keep_readout=True)
    found = run_network(*small, options, physical=PhysicalUnits(), disturbance=BOTH)
    assert differences(found, expected) in ([], ["readout"])
    assert found.readout is not None
    assert expected.readout is not None
    np.testing.assert_allclose(found.readout, expected.readout, rtol=0, atol=1e-9)


@pytest.mark.parametrize("disturbance", [Disturbance(0.6, 0.0, 1), Disturbance(0.0, 0.5, 1)], ids=["noise", "failure"])
def test_rates_are_those_of_the_reference_with_its_own_random_numbers(disturbance: Disturbance) -> None:
    grid = everything_on_grid()
    many = {name: trains.select(list(range(7)) * 40) for name, trains in samples(grid).items()}
    found = run_network(grid, many, CPP, disturbance=disturbance).spikes
    reference = run_reference(grid, many, disturbance=disturbance)[0]
    quiet = run_reference(grid, many)[0]
    changed = 0
    for name, trains in reference.items():
        # Spikes per sample, compared among samples of equal input.
        counts = [np.diff(t.offsets).reshape(40, 7) for t in (found[name], trains, quiet[name])]
        error = np.sqrt(sum(c.var(axis=0, ddof=1).sum() / 40 for c in counts[:2]))
        difference = (counts[0].mean(axis=0) - counts[1].mean(axis=0)).sum()
        assert abs(difference) < 4 * error, name
        changed += abs((counts[0].mean(axis=0) - counts[2].mean(axis=0)).sum()) > 10 * error
    assert changed >= 3


def test_without_amplitudes_nothing_changes(small: tuple[GridNetwork, dict[str, SpikeTrains]]) -> None:
    jobs = [make_job(*small, CPP, disturbance=d) for d in (None, Disturbance(), Disturbance(seed=9))]
    assert [job.disturbance for job in jobs] == [None] * 3
    assert len({job.key for job in jobs}) == 1
    assert make_job(*small, CPP, disturbance=BOTH).key != jobs[0].key


def test_noise_and_failures_of_next_to_nothing_are_those_of_nothing(
    small: tuple[GridNetwork, dict[str, SpikeTrains]],
) -> None:
    """The disturbed program itself: amplitudes that cannot change a bit leave every bit."""
    quiet = run_network(*small, CPP)
    for tiny in (Disturbance(membrane_noise=1e-300), Disturbance(transmission_failure=1e-300)):
        assert differences(run_network(*small, CPP, disturbance=tiny), quiet) == []


@pytest.fixture
def sources(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Keys of the sources that would have been compiled; nothing is."""
    keys: list[str] = []

    def found(project: Path, *, make: object, compiler: list[str]) -> Binary:
        keys.append(project_key(project, compiler))
        return Binary(project / "main", keys[-1], 0.0)

    monkeypatch.setattr(stream_project, "cached_binary", found)
    return keys


def test_one_program_serves_every_disturbance_and_another_one_none(sources: list[str], tmp_path: Path) -> None:
    grid, other = everything_on_grid(), everything_on_grid(1)
    asked = (BOTH, Disturbance(0.1), Disturbance(0.0, 0.1), Disturbance(2.0, 0.9, seed=2**63 - 1))
    for number, (network, disturbance) in enumerate([*((grid, d) for d in asked), (other, BOTH), (grid, None)]):
        folder = tmp_path / str(number)
        folder.mkdir()
        stream_project.prepare(network, 1, 4, None, folder, disturbance)
    assert len(set(sources[:-1])) == 1
    assert sources[-1] != sources[0]


def test_a_gpu_is_refused(small: tuple[GridNetwork, dict[str, SpikeTrains]]) -> None:
    with pytest.raises(SpecError, match=r"'cuda' does not simulate disturbances \(membrane noise 0\.3.*backend 'cpp'"):
        make_job(*small, SimulationOptions(backend="cuda"), disturbance=BOTH)


@pytest.mark.slow
def test_an_interrupted_recording_is_that_of_one_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = relay()
    trials = random_trials(spec, 12)
    disturbed = Disturbance(0.8, 0.2, seed=4)
    options = replace(CPP, workers=1)
    chunks: list[list[int]] = []

    def interrupted(job: Job, chunk: Chunk, on_progress: OnProgress = lambda _: None) -> Simulated:
        if len(chunks) == 2:
            raise KeyboardInterrupt
        chunks.append(chunk.samples.tolist())
        return simulate_chunk(job, chunk, on_progress)

    def asked(disturbance: Disturbance | None = disturbed, workers: int = 1) -> dict[Path, object]:
        chosen = replace(options, workers=workers)
        return {
            tmp_path / "r.h5": evaluation(
                spec, trials, step_ms=spec.training_step_ms, options=chosen, disturbance=disturbance
            )
        }

    with monkeypatch.context() as patched:
        patched.setattr(tasks, "simulate_chunk", interrupted)
        with pytest.raises(KeyboardInterrupt):
            simulate_to_files(asked())  # type: ignore[arg-type]
    assert 0 < sum(len(chunk) for chunk in chunks) < 12
    simulate_to_files(asked(workers=2))  # type: ignore[arg-type]
    found = load_recording(tmp_path / "r.h5")
    whole = simulate(spec, trials, step_ms=spec.training_step_ms, options=options, disturbance=disturbed)
    assert compare_spikes(whole, found).mismatches == 0
    np.testing.assert_array_equal(found.readout, whole.readout)
    assert found.provenance["disturbance"] == "membrane noise 0.8, transmission failure 0.2, seed 4"
    # Another disturbance, and none, are other recordings; and so the same file is written again.
    for other, said in ((replace(disturbed, seed=5), "seed 5"), (None, "none")):
        simulate_to_files(asked(other))  # type: ignore[arg-type]
        remade = load_recording(tmp_path / "r.h5")
        assert remade.provenance["disturbance"].endswith(said)
        assert compare_spikes(remade, found).mismatches > 0
