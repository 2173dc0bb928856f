"""One binary serves every network of a shape: whatever is a number is read when it starts."""

import logging
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from networks import on_training_grid
from streaming import (
    differences,
    everything,
    everything_on_grid,
    play,
    prepared,
    reference,
    relay,
    samples,
)

from spikebridge.bridge.discretise import GridNetwork, discretise
from spikebridge.bridge.physical import PhysicalUnits
from spikebridge.bridge.spec import NetworkSpec, Projection, SynapseKind
from spikebridge.sim import stream_project
from spikebridge.sim.binaries import Binary, project_key
from spikebridge.sim.stream_project import prepare


@pytest.fixture
def key_of(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., str]:
    """The key of a network's binary, which is not compiled."""

    def found(project: Path, *, make: object, compiler: list[str]) -> Binary:
        return Binary(project / "main", project_key(project, compiler), 0.0)

    monkeypatch.setattr(stream_project, "cached_binary", found)

    def key(grid: GridNetwork, *, lanes: int = 1, capacity: int = 4, physical: PhysicalUnits | None = None) -> str:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        return prepare(grid, lanes, capacity, physical, folder).binary.key

    return key


def with_projection(spec: NetworkSpec, index: int, **changes: object) -> NetworkSpec:
    """The network with something else in one of its projections."""
    projections = list(spec.projections)
    projections[index] = replace(projections[index], **changes)  # type: ignore[arg-type]
    return replace(spec, projections=tuple(projections))


def with_population(spec: NetworkSpec, index: int, **changes: object) -> NetworkSpec:
    populations = list(spec.populations)
    populations[index] = replace(populations[index], **changes)  # type: ignore[arg-type]
    return replace(spec, populations=tuple(populations))


def without_edges(projection: Projection, kept: int) -> dict[str, object]:
    """The first edges of a projection."""
    return {name: getattr(projection, name)[:kept] for name in ("source_index", "target_index", "weight", "delay_ms")}


@cache
def other_numbers() -> dict[str, GridNetwork]:
    """Networks of the shape of `everything`, each with something else."""
    spec = everything()
    first = spec.projections[0]
    slower = [replace(p, tau_syn_ms=9.0) if p.synapse is SynapseKind.EXPONENTIAL else p for p in spec.projections]
    wider = [replace(p, pulse_ms=50.0) if p.pulse_ms == 30.0 else p for p in spec.projections]
    assert len({p.pulse_ms for p in spec.projections}) == 3  # pulses of one step and of three, and no pulse
    made = {
        "another seed": everything(1),
        "weights": with_projection(spec, 0, weight=2 * first.weight),
        "delays": with_projection(spec, 0, delay_ms=first.delay_ms + 100.0),
        "one edge": with_projection(spec, 0, **without_edges(first, 1)),
        "no edges": with_projection(spec, 0, **without_edges(first, 0)),
        "time constants": with_population(spec, 1, tau_membrane_ms=33.0, tau_adaptation_ms=12.0),
        "refractory period": with_population(spec, 1, refractory_ms=90.0),
        "reset value": with_population(spec, 1, reset_value=-0.7),
        "threshold and bias": with_population(spec, 0, threshold=0.9, bias=0.3),
        "decay of synapses": replace(spec, projections=tuple(slower)),
        "width of long pulses": replace(spec, projections=tuple(wider)),
        "duration": replace(spec, duration_ms=50.0),
        "step": everything(step_ms=0.7),
    }
    return {what: on_training_grid(changed) for what, changed in made.items()}


ROOM = 16
"""For the inputs of all of them, because it is part of the shape."""


@pytest.fixture(scope="module")
def _compiled() -> None:
    """The shape has been compiled on this machine."""
    grid = everything_on_grid()
    inputs = samples(grid)
    with prepared(grid, inputs, room=ROOM) as made:
        assert differences(play(made, grid, inputs), reference(grid, inputs)) == []


@pytest.mark.usefixtures("_compiled")
@pytest.mark.parametrize("what", list(other_numbers()))
def test_other_numbers_are_not_compiled_and_give_their_own_result(what: str, caplog: pytest.LogCaptureFixture) -> None:
    grid = other_numbers()[what]
    inputs = samples(grid)
    with caplog.at_level(logging.DEBUG, logger="spikebridge"), prepared(grid, inputs, room=ROOM) as made:
        found = play(made, grid, inputs)
    assert made.binary.compile_s == 0
    assert f"compiled simulation {made.binary.key[:12]} found" in caplog.text
    assert differences(found, reference(grid, inputs)) == []


@pytest.mark.slow
def test_physical_constants_are_numbers_too(key_of: Callable[..., str]) -> None:
    grid = everything_on_grid()
    units = [
        PhysicalUnits(),
        PhysicalUnits(rest_mv=-65.0, threshold_mv=-64.0),
        PhysicalUnits(capacitance_pf=80.0),
        PhysicalUnits(leak_ns=7.0),
    ]
    keys = {key_of(grid, physical=physical) for physical in units}
    assert len(keys) == 1
    assert key_of(grid) not in keys


@pytest.mark.parametrize("units", [PhysicalUnits(), PhysicalUnits(rest_mv=-65.0, threshold_mv=-60.0, leak_ns=7.0)])
def test_physical_networks_spike_as_those_without_units(units: PhysicalUnits) -> None:
    grid = everything_on_grid(4)
    inputs = samples(grid, 4)
    expected = reference(grid, inputs)
    with prepared(grid, inputs, physical=units) as made:
        found = play(made, grid, inputs)
    assert set(differences(found, expected)) <= {"readout"}
    assert found.readout is not None
    assert expected.readout is not None
    np.testing.assert_allclose(found.readout, expected.readout, rtol=0, atol=1e-9)


def test_a_finer_step_is_a_number_too(key_of: Callable[..., str]) -> None:
    """Unless a pulse of one step becomes one of several, whose end is an event of its own."""
    spec = relay()
    assert key_of(discretise(spec, 10.0)) == key_of(discretise(spec, 0.1))
    spec = everything()
    assert key_of(discretise(spec, 5.0)) == key_of(discretise(spec, 1.0)) != key_of(discretise(spec, 10.0))


@pytest.mark.slow
def test_what_changes_the_shape_changes_the_key(key_of: Callable[..., str]) -> None:
    spec = relay()
    hidden, readout = spec.populations
    wire = spec.projections[1]
    pulse = {"synapse": SynapseKind.PULSE, "pulse_ms": 10.0}
    decaying = {"synapse": SynapseKind.EXPONENTIAL, "tau_syn_ms": 10.0}
    shapes = {
        "the network": spec,
        "a size": with_population(spec, 0, size=2, **_sized(hidden, 2)),
        "a projection more": replace(spec, projections=(*spec.projections, wire)),
        "a projection elsewhere": replace(spec, projections=(spec.projections[0], replace(wire, target="hidden"))),
        "pulses": with_projection(spec, 1, **pulse),
        "long pulses": with_projection(spec, 1, **pulse | {"pulse_ms": 20.0}),
        "exponential synapses": with_projection(spec, 1, **decaying),
        "adaptation": with_population(spec, 0, adaptation_jump=0.1),
        "reset": with_population(spec, 0, reset="to_value"),
        "no refractory period": with_population(spec, 0, refractory_ms=0.0),
        "a name": replace(
            spec,
            populations=(replace(hidden, name="other"), readout),
            projections=(replace(spec.projections[0], target="other"), replace(wire, source="other")),
        ),
    }
    keys = {what: key_of(on_training_grid(changed)) for what, changed in shapes.items()}
    keys["lanes"] = key_of(on_training_grid(spec), lanes=2)
    keys["room"] = key_of(on_training_grid(spec), capacity=8)
    assert len(set(keys.values())) == len(keys), keys
    assert key_of(on_training_grid(spec)) == keys["the network"]


def _sized(population: object, size: int) -> dict[str, object]:
    names = ("tau_membrane_ms", "tau_adaptation_ms", "adaptation_coupling", "adaptation_jump", "threshold", "bias")
    return {name: np.repeat(getattr(population, name), size) for name in names}


def test_another_process_finds_the_same_binary(key_of: Callable[..., str], tmp_path: Path) -> None:
    """The generated text does not depend on the order of a set."""
    grid = everything_on_grid()
    code = (
        "import sys; from pathlib import Path; from streaming import everything_on_grid\n"
        "from spikebridge.sim import stream_project\n"
        "from spikebridge.sim.binaries import Binary, project_key\n"
        "stream_project.cached_binary = lambda p, *, make, compiler: Binary(p, project_key(p, compiler), 0.0)\n"
        "print(stream_project.prepare(everything_on_grid(), 1, 4, None, Path(sys.argv[1])).binary.key)\n"
    )
    mine = key_of(grid)
    for seed in ("1", "2"):
        folder = tmp_path / f"process{seed}"
        folder.mkdir()
        paths = os.pathsep.join([str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])])
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": paths}
        done = subprocess.run(
            [sys.executable, "-c", code, str(folder)], env=environment, capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == mine
