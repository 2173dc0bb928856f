"""Rung 1 on thousands of random networks: PyTorch, the NumPy reference and Brian2 give the same bits, in float64.

Hypothesis draws the networks in batches of like structure; Brian2 runs a batch as one network, the others run them one
by one. A network that differs is named by Python code that makes it again.
"""

import brian2
import numpy as np
import pytest
from agreement import Outcome, cases, disagreements, in_brian2, in_pytorch, merged_cases, with_a_delay_moved
from networks import Kind, discriminant
from recipes import Batch, narrow_batches, wide_batches

from spikebridge.bridge.errors import SpecError
from spikebridge.bridge.spec import Reset, SynapseKind

WIDE = wide_batches(250)
NARROW = narrow_batches(250)


def assert_agreement(batch: Batch, backends: tuple[str, ...]) -> None:
    found = cases(batch)
    for fused in (True, False):
        said = disagreements(found, (in_pytorch(case, fused=fused) for case in found), f"PyTorch ({fused=})")
        assert not said, "\n".join(said.values())
    for backend in backends:
        said = disagreements(found, in_brian2(found, backend), f"Brian2 ({backend})")
        assert not said, "\n".join(said.values())


@pytest.mark.parametrize("batch", WIDE, ids=range(4))
def test_pytorch_the_reference_and_brian2_agree(batch: Batch) -> None:
    """A thousand networks of 48 structures."""
    assert_agreement(batch, ("numpy",))


@pytest.mark.slow
@pytest.mark.parametrize("batch", NARROW, ids=range(4))
def test_pytorch_the_reference_and_brian2_also_in_cpp_agree(batch: Batch) -> None:
    """A thousand other networks of twelve structures; C++ is compiled once per batch."""
    assert_agreement(batch, ("numpy", "cpp"))


def test_an_executor_that_is_wrong_by_one_step_is_named() -> None:
    """The tests above can fail: one delay of one network in 250 is a step too long."""
    found = cases(WIDE[1])
    merged, _ = merged_cases(found)
    busy = [number for number, case in enumerate(found) if case.expected.spikes["hidden0"].n_spikes > 20]
    said = disagreements(found, in_brian2(found, "numpy", with_a_delay_moved(merged, busy[40])), "Brian2")
    assert list(said) == [busy[40]]
    assert found[busy[40]].code in said[busy[40]]
    assert "hidden0" in said[busy[40]]


def test_a_nan_is_named() -> None:
    found = cases(WIDE[0])[:30]
    outcomes = [case.expected for case in found]
    outcomes[7] = Outcome(outcomes[7].spikes, np.full_like(outcomes[7].readout, np.nan))
    said = disagreements(found, outcomes, "Brian2")
    assert list(said) == [7]
    assert "nan" in said[7]


# A neuron on which `method='exact'` fails (`test_brian2_exact`), and one on which it does not; three coupled variables
# it does not solve in reasonable time, hence delta synapses.
UNLIKE = Batch(
    (Kind("adaptive", SynapseKind.DELTA, Reset.SUBTRACT, 3, 1, False),), WIDE[0].readout, 10.0, 40, 60, 90_000
)


def test_brian2_own_integration_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """`method='exact'` in place of the propagators: networks with oscillatory or degenerate neurons are named."""
    group = brian2.NeuronGroup

    def exact(*args: object, method: object, **rest: object) -> object:
        del method
        return group(*args, method="exact", **rest)

    found = [case for case in cases(UNLIKE) if case.expected.spikes["hidden0"].n_spikes > 0]
    monkeypatch.setattr("spikebridge.sim.build.brian2.NeuronGroup", exact)
    with np.errstate(invalid="ignore", divide="ignore"):
        with pytest.raises(SpecError, match="not finite"):
            in_brian2(found, "numpy")
        monkeypatch.setattr("spikebridge.sim.read.require_finite", lambda *_: None)
        said = disagreements(found, in_brian2(found, "numpy"), "exact")
    lost = {number for number, text in said.items() if "spikes of hidden0" in text}
    kinds = {number: case.grid.spec.population("hidden0") for number, case in enumerate(found)}
    oscillatory = {number for number, population in kinds.items() if (discriminant(population) < -1e-9).all()}
    regular = {number for number, population in kinds.items() if (discriminant(population) > 1e-3).all()}
    assert len(oscillatory) > 3
    assert len(regular) > 3
    assert oscillatory <= lost
    assert not regular & lost
