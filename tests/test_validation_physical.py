"""A simulation in physical units is compared with the one without units on its grid, and with nothing else."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from recordings import make_network, make_recording, random_recording, with_spikes

from spikebridge.bridge.errors import SpecError
from spikebridge.bridge.physical import PhysicalUnits
from spikebridge.bridge.recording import Recording
from spikebridge.bridge.spikes import SpikeTrains
from spikebridge.validation.evidence import Evidence, collect_evidence
from spikebridge.validation.labelled import simulation_label
from spikebridge.validation.verdict import Status, reach_verdict

REFERENCE = random_recording()
SAME = replace(REFERENCE, executor="brian2-numpy")


@pytest.fixture(scope="module", autouse=True)
def _constructed_recordings_are_of_the_network() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("spikebridge.validation.evidence.network_sha256", lambda _: REFERENCE.network_sha256)
        yield


def evidence(**simulations: Recording) -> Evidence:
    return collect_evidence(make_network(REFERENCE), REFERENCE, simulations)


def in_units(recording: Recording) -> Recording:
    return replace(recording, provenance={**recording.provenance, "units": str(PhysicalUnits())})


def one_spike_more(recording: Recording) -> Recording:
    counts = np.array(recording.spikes["hidden2"].counts(np.int32))
    counts[3, 7, 1] += 1
    more = SpikeTrains.from_counts(counts, recording.step_ms)
    return with_spikes(recording, "hidden2", more, executor=recording.executor)


def fine(recording: Recording) -> Recording:
    """A simulation on steps of 1 ms, with a spike that the training does not have."""
    spikes = {
        name: SpikeTrains(t.step * 10, t.neuron, t.offsets, t.n_steps * 10, t.n_neurons, 1.0)
        for name, t in one_spike_more(recording).spikes.items()
    }
    made = make_recording(recording.trials, spikes, steps=recording.n_steps * 10, step_ms=1.0, scores=recording.scores)
    return replace(made, executor="brian2-cpp")


def test_units_make_the_label() -> None:
    assert simulation_label(REFERENCE, in_units(SAME)) == "physical"
    assert simulation_label(REFERENCE, in_units(fine(SAME))) == "physical"
    dimensionless = replace(SAME, provenance={"units": "dimensionless"})
    assert [simulation_label(REFERENCE, r) for r in (SAME, dimensionless, fine(SAME))] == ["grid", "grid", "step_1"]


def test_on_the_training_grid_the_simulation_comes_before_the_reference() -> None:
    """The simulation without units has a spike more than the training, and so has the one with units."""
    found = evidence(grid=one_spike_more(SAME), physical=in_units(one_spike_more(SAME)))
    assert found.parity["grid"].mismatches == 1
    assert found.parity["physical"].mismatches == 0
    assert found.parity["physical"].reference == "grid (brian2-numpy)"
    assert found.parity["physical"].other == "physical (brian2-numpy)"
    assert reach_verdict(found).status is Status.DIFFERENT


def test_without_a_simulation_on_the_training_grid_the_reference_is_compared() -> None:
    found = evidence(physical=in_units(SAME))
    assert found.parity["physical"].reference == "training (pytorch)"
    assert reach_verdict(found).status is Status.SAME
    assert reach_verdict(evidence(physical=in_units(one_spike_more(SAME)))).status is Status.DIFFERENT


def test_on_a_finer_grid_it_is_compared_there_and_proves_nothing_about_the_training() -> None:
    found = evidence(step_1=fine(SAME), physical=in_units(fine(SAME)))
    assert set(found.parity) == {"physical"}
    assert found.parity["physical"].reference == "step_1 (brian2-cpp)"
    verdict = reach_verdict(found)
    assert verdict.status is Status.UNCHECKED
    told = verdict.sentences[0]
    assert told.startswith("In mV, pA, pF and nS the same network fires the same ")
    assert "as without units in step_1 (brian2-cpp); class scores differ by at most 0 (limit 1e-09)." in told
    with_grid = reach_verdict(evidence(grid=SAME, step_1=fine(SAME), physical=in_units(fine(SAME))))
    assert (with_grid.status, with_grid.headline) == (
        Status.SAME,
        "On the training's grid, every spike is the same.",
    )


def test_a_mismatch_in_physical_units_is_a_difference_and_is_told_first() -> None:
    found = evidence(grid=SAME, step_1=fine(SAME), physical=in_units(one_spike_more(fine(SAME))))
    assert found.parity["grid"].ok
    verdict = reach_verdict(found)
    assert verdict.status is Status.DIFFERENT
    assert verdict.sentences[0].startswith("In mV, pA, pF and nS the network has 1 mismatch against")
    assert "without units in step_1 (brian2-cpp), in 1 of 12 samples" in verdict.sentences[0]
    assert "population hidden2, neuron 1, sample 3, 7 ms (step 7): physical (brian2-cpp) fired" in verdict.sentences[0]


def test_scores_that_differ_alone_are_a_difference() -> None:
    other = replace(fine(SAME), scores=SAME.scores + 1e-6)
    verdict = reach_verdict(evidence(grid=SAME, step_1=fine(SAME), physical=in_units(other)))
    assert verdict.status is Status.DIFFERENT
    assert "which is too much" in verdict.sentences[0]


def test_without_a_partner_on_its_grid_it_is_refused_with_what_to_do() -> None:
    with pytest.raises(SpecError, match=r"ran at 1 ms, and no simulation without units.*--step-ms 1` and give it too"):
        evidence(grid=SAME, physical=in_units(fine(SAME)))
