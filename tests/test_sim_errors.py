"""What a user can get wrong is refused before anything runs, or right after, with what to do about it."""

from dataclasses import replace

import numpy as np
import pytest
from networks import edges, network, neurons, on_training_grid, played, random_trials
from pydantic import ValidationError

from spikebridge.bridge.errors import SpecError
from spikebridge.bridge.spec import Input, NetworkSpec, SynapseKind
from spikebridge.bridge.spikes import SpikeTrains
from spikebridge.sim.options import SimulationOptions
from spikebridge.sim.run import run_network, simulate, simulate_replay

OPTIONS = SimulationOptions(backend="numpy", lanes=2)


def small() -> NetworkSpec:
    pulse = edges("input", "hidden", [(0, 0, 1.0, 0)], SynapseKind.PULSE)
    return network([neurons()], [pulse, edges("hidden", "readout", [(0, 0, 1.0, 0)])])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"backend": "opencl"}, "'numpy', 'cython', 'cpp' or 'cuda'"),
        ({"lanes": 0}, "greater than or equal to 1"),
        ({"lanes": 2.0}, "valid integer"),
        ({"keep_readout": "yes"}, "valid boolean"),
        ({"lane": 2}, "Unexpected keyword argument"),
    ],
)
def test_impossible_options_are_refused(changes: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        SimulationOptions(**changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(("backend", "program"), [("cython", "g[+][+]"), ("cpp", "g[+][+] and make")])
def test_a_missing_compiler_is_named_with_what_to_install(
    backend: str, program: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CXX", raising=False)
    options = SimulationOptions(backend=backend)  # type: ignore[arg-type]
    with pytest.raises(SpecError, match=f"needs {program}, not found.*apt install g[+][+] make"):
        simulate(small(), random_trials(small(), 2), step_ms=10.0, options=options)


@pytest.mark.parametrize(("step_ms", "said"), [(7.0, "duration of 120"), (20.0, "longer than|no multiple")])
def test_a_step_that_does_not_fit_is_refused(step_ms: float, said: str) -> None:
    with pytest.raises(SpecError, match=said):
        simulate(small(), random_trials(small(), 2), step_ms=step_ms, options=OPTIONS)


def test_trials_of_another_shape_are_refused() -> None:
    spec = small()
    wide = replace(spec, inputs=(Input("input", 3),))
    with pytest.raises(SpecError, match="'input' has 3 channels"):
        simulate(spec, random_trials(wide, 2), step_ms=10.0)
    two = network([neurons()], [], classes=2)
    with pytest.raises(SpecError, match="the trials have 2 classes, the readout of the network 1"):
        simulate(spec, random_trials(two, 2), step_ms=10.0)
    both = replace(spec, inputs=(Input("input", 1), Input("other", 1)))
    with pytest.raises(SpecError, match=r"\['input', 'other'\]"):
        simulate(both, random_trials(spec, 2), step_ms=10.0)
    none = random_trials(spec, 2).select(np.zeros(0, dtype=np.int64))
    with pytest.raises(SpecError, match="no samples"):
        simulate(spec, none, step_ms=10.0)


def test_replay_of_another_network_or_without_spikes_is_refused() -> None:
    spec = small()
    made = simulate(spec, random_trials(spec, 2), step_ms=10.0, options=OPTIONS)
    with pytest.raises(SpecError, match="of another network"):
        simulate_replay(replace(spec, metadata={"x": "y"}), made)
    with pytest.raises(SpecError, match=r"no spikes of \['hidden'\]"):
        simulate_replay(spec, replace(made, spikes={}))
    wide = SpikeTrains.from_counts(np.zeros((2, 12, 4)), 10.0)
    with pytest.raises(SpecError, match="'hidden_recorded' has 4 channels"):
        simulate_replay(spec, replace(made, spikes={"hidden": wide}))


@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")
@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
def test_a_state_that_is_not_finite_is_an_error_even_where_the_readout_is() -> None:
    """The sample that diverges is not the last of its lane, and the neuron reaches no readout."""
    spec = network([neurons(size=2)], [edges("input", "hidden", [(0, 1, 1e308, 0)])])
    grid = on_training_grid(spec)
    with pytest.raises(SpecError, match=r"diverged: u of 1 of 2 neurons of 'hidden'.*first neuron 1"):
        run_network(grid, played([(0, 1, 0)] * 6, grid, samples=5), OPTIONS)
