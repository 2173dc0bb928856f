"""Networks with one change: what is changed, by how much, and that nothing else is."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import fields

import numpy as np
import pytest
from networks import edges, every_kind_network, network, neurons

from spikebridge.bridge.discretise import discretise
from spikebridge.bridge.errors import ConfigError, SpecError
from spikebridge.bridge.knobs import KNOBS, REVERSED, Condition, conditions, parse_knobs
from spikebridge.bridge.perturb import (
    CLIPPED,
    MEAN_DELAY_CHANGE_MS,
    PULSE_FACTOR,
    REFRACTORY_MS,
    REMOVED,
    SIGN_CHANGED,
    Perturbed,
    jitter_delays,
    jitter_weights,
    remove_synapses,
    scale_time_constants,
    set_refractory,
)
from spikebridge.bridge.rounding import weight_quantum
from spikebridge.bridge.spec import NetworkSpec, Population, Projection, SynapseKind

MANY = 20_000

type Part = Projection | Population


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.fixture(scope="module")
def large() -> NetworkSpec:
    """One projection with many equal synapses."""
    synapses = [(k % 200, k // 200, 0.5, 2.0) for k in range(MANY)]
    hidden = neurons("hidden", MANY // 200)
    return network([hidden], [edges("input", "hidden", synapses)], inputs={"input": 200})


def unchanged(a: NetworkSpec, b: NetworkSpec, *changed: str) -> None:
    """Every field of projections and populations is the same but those named."""
    for before, after in (*pairs(a.projections, b.projections), *pairs(a.populations, b.populations)):
        for name in {field.name for field in fields(before)} - set(changed):
            assert np.array_equal(np.asarray(getattr(before, name)), np.asarray(getattr(after, name))), name


def pairs(a: Sequence[Part], b: Sequence[Part]) -> list[tuple[Part, Part]]:
    return list(zip(a, b, strict=True))


@pytest.mark.parametrize("amount", [0.05, 0.8])
def test_weights_are_jittered_relative_to_themselves(large: NetworkSpec, amount: float) -> None:
    found = jitter_weights(large, amount, rng())
    unchanged(large, found.spec, "weight")
    factor = found.spec.projections[0].weight / 0.5
    assert factor.mean() == pytest.approx(1.0, abs=4 * amount / math.sqrt(MANY))
    assert factor.std() == pytest.approx(amount, rel=0.03)
    flipped = 0.5 * math.erfc(1 / amount / math.sqrt(2))
    assert found.realised[SIGN_CHANGED] == np.mean(factor < 0) == pytest.approx(flipped, abs=0.01)
    quanta = found.spec.projections[0].weight / weight_quantum(large.populations[0].threshold)
    assert np.array_equal(quanta, np.round(quanta))


def test_delays_are_jittered_and_stop_at_zero(large: NetworkSpec) -> None:
    found = jitter_delays(large, 20.0, rng())  # delays are 20 ms
    unchanged(large, found.spec, "delay_ms")
    delay_ms = found.spec.projections[0].delay_ms
    assert found.realised[CLIPPED] == np.mean(delay_ms == 0) == pytest.approx(0.1587, abs=0.01)
    # The mean of max(z, -1) for a normal z is 0.0833.
    assert found.realised[MEAN_DELAY_CHANGE_MS] == pytest.approx(delay_ms.mean() - 20.0)
    assert found.realised[MEAN_DELAY_CHANGE_MS] == pytest.approx(20 * 0.0833, abs=0.4)
    small = jitter_delays(large, 1.0, rng())
    assert small.spec.projections[0].delay_ms.std() == pytest.approx(1.0, rel=0.03)
    assert small.realised[CLIPPED] == 0
    assert discretise(small.spec, 0.1).projections[0].delay_steps.std() == pytest.approx(10.0, rel=0.03)


def test_synapses_are_removed_with_all_that_is_theirs() -> None:
    spec = every_kind_network()
    found = remove_synapses(spec, 0.3, rng())
    before = sum(p.weight.size for p in spec.projections)
    after = sum(p.weight.size for p in found.spec.projections)
    assert found.realised[REMOVED] == (before - after) / before == pytest.approx(0.3, abs=0.02)
    for whole, left in zip(spec.projections, found.spec.projections, strict=True):
        assert left.weight.size == whole.weight.size - round(0.3 * whole.weight.size)
        known = set(zip(whole.source_index, whole.target_index, whole.weight, whole.delay_ms, strict=True))
        assert set(zip(left.source_index, left.target_index, left.weight, left.delay_ms, strict=True)) < known
    assert [p.label for p in found.spec.projections] == [p.label for p in spec.projections]


def test_refractory_periods_are_those_of_neurons_that_spike() -> None:
    spec = every_kind_network()
    found = set_refractory(spec, 3.0, 0.1).spec
    unchanged(spec, found, "refractory_ms")
    assert {p.refractory_ms for p in found.populations if p.spiking} == {3.0}
    assert [p.refractory_ms for p in found.populations if not p.spiking] == [0.0]
    on_grid = [set_refractory(spec, ms, 2.0).realised[REFRACTORY_MS] for ms in (0.0, 1.5, 2.0, 5.0)]
    assert on_grid == [0.0, 0.0, 2.0, 4.0]


def test_time_constants_of_neurons_and_synapses_scale_together() -> None:
    spec = every_kind_network()
    found = scale_time_constants(spec, 0.7, 0.1)
    unchanged(spec, found.spec, "tau_membrane_ms", "tau_adaptation_ms", "tau_syn_ms", "pulse_ms")
    for before, after in zip(spec.populations, found.spec.populations, strict=True):
        assert np.allclose(after.tau_membrane_ms, 0.7 * before.tau_membrane_ms)
        assert np.allclose(after.tau_adaptation_ms, 0.7 * before.tau_adaptation_ms)
    kinds = {p.synapse for p in found.spec.projections}
    assert kinds == set(SynapseKind)
    for old, new in zip(spec.projections, found.spec.projections, strict=True):
        if old.tau_syn_ms is not None:
            assert new.tau_syn_ms == pytest.approx(0.7 * old.tau_syn_ms)
        if old.pulse_ms is not None:
            assert new.pulse_ms == pytest.approx(0.7 * old.pulse_ms)  # 7 and 21 ms are whole steps
    assert found.realised[PULSE_FACTOR] == pytest.approx(0.7)
    assert discretise(found.spec, 0.1).n_steps == discretise(spec, 0.1).n_steps
    # On the training's grid a pulse of one step cannot become shorter, which is said.
    coarse = scale_time_constants(
        network([neurons()], [edges("input", "hidden", [(0, 0, 1, 0)], SynapseKind.PULSE)]), 0.5, 10.0
    )
    assert coarse.spec.projections[0].pulse_ms == 10.0
    assert coarse.realised[PULSE_FACTOR] == 1.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda spec: jitter_weights(spec, -0.1, rng()), "relative jitter of weights is -0.1"),
        (lambda spec: jitter_delays(spec, float("nan"), rng()), "jitter of delays in ms is nan"),
        (lambda spec: remove_synapses(spec, 1.0, rng()), "at least 0 and below 1"),
        (lambda spec: scale_time_constants(spec, 0.0, 0.1), "factor of time constants is 0.0"),
        (lambda spec: set_refractory(spec, -1.0, 0.1), "refractory_ms is -1.0"),
    ],
)
def test_amounts_out_of_range_are_refused(change: Callable[[NetworkSpec], Perturbed], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        change(every_kind_network())


def test_every_condition_has_a_seed_of_its_own() -> None:
    spec = every_kind_network()
    weight, delay = KNOBS[0], KNOBS[1]
    drawn = [*conditions(weight, spec, draws=3, seed=1), *conditions(delay, spec, draws=3, seed=1)]
    assert len({each.draw_seed for each in drawn}) == len(drawn) == 3 * (len(weight.amounts) + len(delay.amounts))
    alone = conditions(weight.with_amounts((0.2,)), spec, draws=2, seed=1)
    assert set(alone) < set(drawn)
    first, second = (each.network(spec, 0.1).spec.projections[0].weight for each in alone)
    assert not np.array_equal(first, second)
    assert np.array_equal(first, alone[0].network(spec, 0.1).spec.projections[0].weight)
    other = conditions(weight.with_amounts((0.2,)), spec, draws=1, seed=2)[0]
    assert not np.array_equal(first, other.network(spec, 0.1).spec.projections[0].weight)


def test_noise_and_losses_are_left_to_the_simulation() -> None:
    spec = every_kind_network()
    noise, lost = Condition("membrane_noise", 0.2, 0, 5), Condition("dropped_spikes", 0.1, 1, 5)
    for condition, values in ((noise, (0.2, 0.0)), (lost, (0.0, 0.1))):
        disturbance = condition.disturbance
        assert disturbance is not None
        assert (disturbance.membrane_noise, disturbance.transmission_failure) == values
        assert disturbance.seed == condition.draw_seed
        assert condition.network(spec, 0.1).spec is spec
    assert Condition("weight_jitter", 0.2, 0, 5).disturbance is None
    assert Condition(REVERSED, 1.0, 0, 5).reversed_input


def test_the_amount_of_the_network_itself_is_not_simulated() -> None:
    spec = set_refractory(every_kind_network(), 10.0, 0.1).spec
    knobs = {knob.key: knob for knob in KNOBS}
    refractory = knobs["refractory_ms"]
    assert refractory.neutral_of(spec) == 10.0
    assert [each.amount for each in conditions(refractory, spec, draws=3, seed=0)] == [0, 1, 2, 5, 20]
    assert refractory.neutral_of(every_kind_network()) is None  # populations differ: no amount leaves them alone
    assert len(conditions(refractory, every_kind_network(), draws=3, seed=0)) == 6
    times = knobs["time_constants"].with_amounts((0.5, 1.0, 2.0))
    assert [each.amount for each in conditions(times, spec, draws=3, seed=0)] == [0.5, 2.0]


def test_knobs_are_chosen_by_name_and_amounts() -> None:
    assert parse_knobs(None) == KNOBS
    chosen = parse_knobs(["reversed_input", "weight_jitter=0.4,0.1"])
    assert [(knob.key, knob.amounts) for knob in chosen] == [("weight_jitter", (0.1, 0.4)), ("reversed_input", (1.0,))]
    for texts, message in (
        (["weigth_jitter"], "no knob 'weigth_jitter'; there are weight_jitter, delay_jitter_ms"),
        (["weight_jitter", "weight_jitter=1"], "given twice"),
        (["dropped_spikes=1"], "at least 0 and below 1"),
        (["weight_jitter=-0.1"], "give a finite number of at least 0"),
        (["weight_jitter=inf"], "give a finite number of at least 0"),
        (["weight_jitter=much"], "'much' are no numbers"),
        (["weight_jitter="], "nothing behind the =; give for example weight_jitter=0.1,0.2"),
        (["reversed_input=3"], "3 is no amount; give 1, or only its name"),
        (["weight_jitter=0.1,0.1"], "each once"),
    ):
        with pytest.raises(ConfigError, match=message):
            parse_knobs(texts)
