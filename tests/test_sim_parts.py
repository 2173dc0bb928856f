"""Several simulations handed out in parts, and that turning a knob compiles nothing."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from networks import Kind, random_network, random_trials

from spikebridge.bridge.discretise import discretise
from spikebridge.bridge.knobs import KNOBS, conditions
from spikebridge.bridge.perturb import set_refractory
from spikebridge.bridge.spec import Reset, SynapseKind
from spikebridge.sim import stream_project
from spikebridge.sim.binaries import Binary, project_key
from spikebridge.sim.evaluation import evaluation
from spikebridge.sim.options import SimulationOptions
from spikebridge.sim.parts import simulate_parts
from spikebridge.sim.run import simulate

STEP_MS = 1.0
KINDS = (
    Kind("adaptive", SynapseKind.PULSE, Reset.SUBTRACT, 2, 1, False),
    Kind("lif", SynapseKind.EXPONENTIAL, Reset.SUBTRACT, 3, 1, False),
)


def test_knobs_change_numbers_and_not_the_compiled_program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def found(project: Path, *, make: object, compiler: list[str]) -> Binary:
        return Binary(project / "main", project_key(project, compiler), 0.0)

    monkeypatch.setattr(stream_project, "cached_binary", found)
    spec = set_refractory(random_network(KINDS, seed=0), 8.0, 1.0).spec

    def key(number: int, changed: object) -> str:
        folder = tmp_path / str(number)
        folder.mkdir()
        assert isinstance(changed, type(spec))
        return stream_project.prepare(discretise(changed, STEP_MS), 1, 4, None, folder).binary.key

    plain = key(0, spec)
    turned = [conditions(knob, spec, draws=1, seed=0)[-1] for knob in KNOBS]
    turned = [condition for condition in turned if condition.network(spec, STEP_MS).spec is not spec]
    assert len(turned) == 5
    for number, condition in enumerate(turned):
        assert key(number + 1, condition.network(spec, STEP_MS).spec) == plain, condition.knob


@pytest.mark.parametrize(
    "backend",
    [
        "numpy",
        pytest.param(
            "cpp",
            marks=[pytest.mark.slow, pytest.mark.skipif(shutil.which("g++") is None, reason="no compiler")],
        ),
    ],
)
def test_every_sample_of_every_simulation_comes_once_and_is_right(backend: str) -> None:
    spec, other = (random_network(KINDS, seed=seed, n_steps=20) for seed in (0, 1))
    trials = random_trials(spec, 9)
    options = SimulationOptions(backend=backend, lanes=2, workers=1 if backend == "numpy" else 2, keep_readout=True)  # type: ignore[arg-type]
    evaluations = [evaluation(each, trials, step_ms=STEP_MS, options=options) for each in (spec, other)]
    wanted = [simulate(each, trials, step_ms=STEP_MS, options=options) for each in (spec, other)]
    seen: list[list[int]] = [[], []]
    for number, samples, part in simulate_parts(evaluations):
        seen[number] += samples.tolist()
        expected = wanted[number].select(samples)
        assert part.network_sha256 == expected.network_sha256
        assert np.array_equal(part.scores, expected.scores)
        assert part.readout is not None
        for name, trains in part.spikes.items():
            assert np.array_equal(trains.step, expected.spikes[name].step)
            assert np.array_equal(trains.neuron, expected.spikes[name].neuron)
            assert np.array_equal(trains.offsets, expected.spikes[name].offsets)
        assert np.array_equal(part.trials.labels, expected.trials.labels)
    assert [sorted(each) for each in seen] == [list(range(9))] * 2
    assert sum(trains.n_spikes for trains in wanted[0].spikes.values()) > 100
