"""The whole analysis: what is found, its controls, seeds, resumption, and what is refused before it begins."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pattern_data import SMALL, as_recording, locked_spikes, poisson_spikes, run_here, with_pattern

from spikebridge.bridge.errors import ConfigError, SpecError
from spikebridge.bridge.recording import Recording
from spikebridge.validation import patterns_analysis
from spikebridge.validation.patterns_analysis import analyse_patterns, data_sets
from spikebridge.validation.patterns_estimate import estimate_search, require_time, table_bytes
from spikebridge.validation.patterns_numbers import pattern_numbers
from spikebridge.validation.patterns_parameters import PatternParameters
from spikebridge.validation.patterns_report import build_pattern_report
from spikebridge.validation.patterns_result import PatternAnalysis
from spikebridge.validation.patterns_spikes import TrialSpikes
from spikebridge.validation.patterns_store import FOLDER, RESULTS, PatternStore


def analysed(
    recording: Recording, folder: Path, parameters: PatternParameters = SMALL, run: Any = run_here
) -> PatternAnalysis:
    """An analysis in this process, its results kept."""
    analysis, store = analyse_patterns(recording, parameters, run, lambda identity: PatternStore(folder, identity))
    store.close()
    return analysis


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> PatternAnalysis:
    """`hidden1` with a planted pattern, `hidden2` without, `hidden3` silent."""
    spikes = (with_pattern(poisson_spikes(0)), poisson_spikes(1), poisson_spikes(2, rate_hz=0.0))
    return analysed(as_recording(*spikes), tmp_path_factory.mktemp("both"))


def test_a_planted_pattern_is_found_and_poisson_spikes_have_none(both: PatternAnalysis) -> None:
    planted, poisson = both.found
    assert planted.significant > 0
    assert planted.p_values.min() == pytest.approx(1 / 81)
    assert any(len(pattern["neurons"]) >= 4 and len(pattern["times_ms"]) >= 4 for pattern in planted.patterns)
    assert poisson.significant == 0
    assert poisson.patterns == ()


def test_occurrences_are_where_the_spikes_are(both: PatternAnalysis) -> None:
    spikes = both.found[0].data.spikes
    for pattern in both.found[0].patterns:
        for trial, start in zip(pattern["trials"], pattern["times_ms"], strict=True):
            for neuron, lag in zip(pattern["neurons"], pattern["lags_ms"], strict=True):
                own = spikes.time_ms[(spikes.trial == trial) & (spikes.neuron == neuron)]
                assert ((own >= start + lag - 0.01) & (own < start + lag + 5.0)).any()


def test_controls_stand_beside_every_result(both: PatternAnalysis) -> None:
    for found in both.found:
        assert found.false_positives.samples == SMALL.surrogates
        assert found.false_positives.value <= 0.05  # for certain, see the test of the correction over sizes
        assert found.independent.samples == SMALL.independent_sets
        assert found.independent.hits <= 5  # at 5 % more in one of 3,000 runs
        rare, frequent = found.power[4, 3], found.power[4, 12]
        assert rare is not None
        assert frequent is not None
        assert (rare.hits, rare.samples) == (0, 1)  # where none of the first ones is found no more are planted
        assert (frequent.hits, frequent.samples) == (4, 4)
    assert both.power("hidden2", 4, 12) == both.found[1].power[4, 12]
    assert both.detectable("hidden2") == [(4, 12)]


def test_a_silent_population_is_named_and_not_searched(both: PatternAnalysis) -> None:
    assert both.not_searched == (("hidden3", "class 0", "0 spikes in 20 trials"),)
    with pytest.raises(SpecError, match="nothing to search"):
        analysed(as_recording(poisson_spikes(rate_hz=0.0)), Path("unused"))


def test_planting_more_than_the_neurons_fire_is_not_possible(tmp_path: Path) -> None:
    parameters = replace(SMALL, planted_occurrences=(3, 1000))
    found = analysed(as_recording(poisson_spikes()), tmp_path, parameters)
    assert found.power("hidden1", 4, 1000) is None
    assert pattern_numbers(found)["data_sets"][0]["power"][1]["share"] is None
    # What could not have been found was not found: that is no result.
    headline = build_pattern_report(found).verdict.headline
    assert headline == "No patterns beyond chance were found, nor would they have been."


def test_an_interrupted_analysis_continues_and_gives_the_same(both: PatternAnalysis, tmp_path: Path) -> None:
    recording = as_recording(with_pattern(poisson_spikes(0)))

    def breaking(work: Any, jobs: Any, tasks: Any) -> Any:
        for number, result in run_here(work, jobs, tasks):
            if number == 50:
                raise KeyboardInterrupt
            yield number, result

    with pytest.raises(KeyboardInterrupt):
        analysed(recording, tmp_path, run=breaking)
    path = tmp_path / FOLDER / RESULTS
    assert len(path.read_text().splitlines()) == 51
    with path.open("a") as file:
        file.write('{"key": "hidden1/class 0/shif')  # as a crash leaves it
    done = []

    def counting(work: Any, jobs: Any, tasks: Any) -> Any:
        for number, result in run_here(work, jobs, tasks):
            done.append(number)
            yield number, result

    resumed = analysed(recording, tmp_path, run=counting)
    searches = len(path.read_text().splitlines()) - 1
    assert searches == SMALL.minings_per_set - 3  # the sets that are not planted
    assert len(done) == searches - 50
    assert json.dumps(pattern_numbers(resumed)["data_sets"]) == json.dumps(pattern_numbers(both)["data_sets"][:1])


def test_results_of_other_parameters_or_spikes_are_discarded(tmp_path: Path) -> None:
    with PatternStore(tmp_path, {"seed": 1}) as store:
        store.put("a", {"counts": [1]})
    with PatternStore(tmp_path, {"seed": 1}) as store:
        assert store.get("a") == {"counts": [1]}
    with PatternStore(tmp_path, {"seed": 2}) as store:
        assert store.get("a") is None
        store.remove()
    assert not (tmp_path / FOLDER).exists()


def test_the_checksum_covers_every_module_that_results_come_from() -> None:
    """A module that is not in it could change, and an interrupted search would go on with a mixture."""
    folder = Path(patterns_analysis.__file__).parent
    known, new = set[str](), {"analysis"}
    while new:
        known |= new
        texts = [(folder / f"patterns_{name}.py").read_text() for name in new]
        new = {
            name for text in texts for name in re.findall(r"^from spikebridge\.validation\.patterns_(\w+)", text, re.M)
        }
        new -= known
    assert set(patterns_analysis.CODE) == known - {"store"}


def test_another_seed_gives_other_surrogates(both: PatternAnalysis, tmp_path: Path) -> None:
    recording = as_recording(with_pattern(poisson_spikes(0)))
    other = analysed(recording, tmp_path, replace(SMALL, seed=1))
    assert not np.array_equal(other.found[0].chance, both.found[0].chance)


def test_rates_that_are_sharper_than_the_windows_are_no_patterns(tmp_path: Path) -> None:
    """Independent neurons, locked to the stimulus: patterns are found, and the control says why they do not count."""
    analysis = analysed(as_recording(locked_spikes()), tmp_path, replace(SMALL, min_occurrences=5))
    found = analysis.found[0]
    assert found.significant > 0
    assert found.independent.value > 0.5
    assert found.false_positives.value <= 0.05
    assert analysis.trusted == []
    verdict = build_pattern_report(analysis).verdict
    assert "nothing can be said" in verdict.headline
    said = next(sentence for sentence in verdict.sentences if sentence.startswith("Not counted"))
    assert f"hidden1 class 0 (independent neurons {found.independent.value:.0%})" in said


def test_exchanged_trials_keep_sharp_rates(tmp_path: Path) -> None:
    parameters = replace(SMALL, min_occurrences=5, surrogate="trial_exchange")
    found = analysed(as_recording(locked_spikes()), tmp_path, parameters).found[0]
    assert found.significant == 0
    assert found.p_values.min() > 0.02


def test_shifted_trains_are_tested_against_trains_shifted_twice(tmp_path: Path) -> None:
    """A surrogate of a surrogate is no surrogate of the data: all have to be searched."""
    parameters = replace(SMALL, min_occurrences=5, surrogate="trial_shift")
    found = analysed(as_recording(locked_spikes()), tmp_path, parameters).found[0]
    assert found.false_positives.samples == SMALL.surrogates
    lines = (tmp_path / FOLDER / RESULTS).read_text().splitlines()
    assert sum("/twice-" in line for line in lines) == SMALL.surrogates


def test_classes_are_searched_each_by_itself() -> None:
    recording = as_recording(poisson_spikes(), classes=4)
    sets = data_sets(recording)
    assert [data.class_name for data in sets] == [f"class {k}" for k in range(4)]
    assert sum(data.spikes.time_ms.size for data in sets) == recording.spikes["hidden1"].n_spikes
    assert len({data.stream for data in sets}) == 4
    assert [data.class_name for data in data_sets(recording, classes=["class 2"])] == ["class 2"]
    with pytest.raises(SpecError, match="no class 'nine' in this recording; there are class 0"):
        data_sets(recording, classes=["nine"])
    with pytest.raises(SpecError, match="no population 'x'"):
        data_sets(recording, populations=["x"])


def issue_555(window_bins: int, bin_ms: float) -> tuple[TrialSpikes, PatternParameters]:
    """300 neurons at 1 Hz for 3 s, Elephant's default least size and count (elephant#555, out of 256 GB)."""
    spikes = poisson_spikes(neurons=300, trials=1, duration_ms=3000.0, rate_hz=1.0)
    parameters = PatternParameters(
        bin_ms=bin_ms, window_bins=window_bins, min_spikes=2, min_occurrences=2, surrogates=100
    )
    return spikes, parameters


def test_what_would_not_fit_is_refused_before_anything_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    spikes, parameters = issue_555(window_bins=3000, bin_ms=1.0)
    assert table_bytes(spikes, parameters, 2) > 16 * 2**30
    monkeypatch.setattr("spikebridge.validation.patterns_estimate.mine", None)  # not even tried
    with pytest.raises(
        SpecError, match=r"GiB in 2 processes .* limit is 4 GiB .* shorter window \(patterns.window_bins\)"
    ):
        estimate_search(spikes, parameters, 0, workers=2)
    spikes, parameters = issue_555(window_bins=600, bin_ms=5.0)
    with pytest.raises(SpecError, match="300 neurons at 1 Hz"):
        estimate_search(spikes, parameters, 0, workers=1)


def test_the_same_neurons_fit_with_a_short_window() -> None:
    spikes, parameters = issue_555(window_bins=12, bin_ms=5.0)
    cost = estimate_search(spikes, parameters, 0, workers=2)
    assert cost.memory_bytes < 2 * 2**30
    assert cost.min_occurrences == 2


def test_too_many_candidates_and_too_little_time_are_refused() -> None:
    dense = poisson_spikes(neurons=40, trials=40, rate_hz=12.0)
    with pytest.raises(SpecError, match="GiB"):
        estimate_search(dense, PatternParameters(min_occurrences=2, memory_limit_gib=0.5), 0, workers=1)
    cost = estimate_search(dense, PatternParameters(), 0, workers=1)
    assert cost.candidates <= PatternParameters().max_candidates
    assert cost.min_occurrences >= 4
    with pytest.raises(SpecError, match="time_limit_min"):
        require_time([replace(cost, seconds=100.0)] * 3, PatternParameters(), 2)


def test_the_choice_of_occurrences_knows_nothing_of_the_data() -> None:
    """A planted pattern does not change it, and neither does the speed of the machine."""
    plain = poisson_spikes(neurons=40, trials=40, rate_hz=12.0)
    first = estimate_search(plain, PatternParameters(), 0, workers=1)
    second = estimate_search(plain, PatternParameters(), 0, workers=1)
    assert (first.min_occurrences, first.candidates) == (second.min_occurrences, second.candidates)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"surrogates": 79}, "at least 80"),
        ({"shift_ms": 9.0}, "two bins"),
        ({"bin_ms": 0.0}, "above 0"),
        ({"surrogate": "dither"}, "there are pattern_jitter, window_rotation, trial_exchange, trial_shift"),
        ({"independent_sets": 19}, "at least 20"),
        ({"min_spikes": 1}, "at least 2"),
        ({"max_spikes": 2}, "min_spikes"),
        ({"min_occurrences": 1}, "at least twice"),
        ({"alpha": 1.0}, "between 0 and 1"),
        ({"planted_spikes": (2,)}, "not searched for"),
        ({"planted_occurrences": (10, 5)}, "rising"),
        ({"planted_spikes": ()}, "at least one"),
    ],
)
def test_parameters_out_of_range_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        PatternParameters(**change)
