"""The space of a sweep: what is accepted, what is refused before anything is trained, and what is drawn."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import optuna
import pytest
from small_training import SMALL
from sweeps import request_for

from spikebridge.bridge.errors import ConfigError
from spikebridge.cli.config import RunConfig, load_config, parse_config, save_config, valid_keys
from spikebridge.training.config import TrainingConfig
from spikebridge.training.config_sweep import Dimension, SweepConfig
from spikebridge.training.sweep_space import DEFAULT_SPACE, NOT_SEARCHED, SearchSpace, search_space


def space_of(space: dict[str, Dimension], base: TrainingConfig = SMALL) -> SearchSpace:
    config = RunConfig(training=base, sweep=SweepConfig(space=space))
    return search_space(config.sweep, base, valid_keys(TrainingConfig), request_for(config, Path()).training)


def draw(space: SearchSpace, trials: int) -> list[dict[str, Any]]:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    return [space.values(study.ask(space.distributions()).params) for _ in range(trials)]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "either {low = ..., high = ...} or {choices"),
        ({"low": 0.0, "high": 1.0, "choices": [1]}, "either {low = ..., high = ...} or {choices"),
        ({"low": 0.0}, "needs both ends"),
        ({"low": 1.0, "high": 1.0}, "low = 1.0 is not below high = 1.0"),
        ({"low": 0.0, "high": 1.0, "log": True}, "log = true needs low above 0"),
        ({"low": 1.0, "high": 2.0, "log": True, "step": 0.5}, "goes without step"),
        ({"low": 0.0, "high": 1.0, "step": 0.3}, "high = 1.0 is not reached from low = 0.0 in steps of 0.3"),
        ({"choices": [[8], [8]]}, "name a value twice"),
        ({"lo": 0.0, "high": 1.0}, "unknown key 'sweep.space.network.dropout.lo'"),
    ],
)
def test_what_is_no_dimension_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config({"sweep": {"space": {"network.dropout": values}}}, "a.toml")
    assert message in str(caught.value)
    assert "sweep.space.network.dropout" in str(caught.value)


@pytest.mark.parametrize("low_high_step", [(0.0, 0.3, 0.1), (0.0, 250.0, 50.0), (0.1, 0.7, 0.2)])
def test_steps_that_reach_the_end_are_accepted(low_high_step: tuple[float, float, float]) -> None:
    low, high, step = low_high_step
    assert Dimension(low=low, high=high, step=step).high == high


@pytest.mark.parametrize(
    ("key", "dimension", "message"),
    [
        ("network.droput", Dimension(low=0.0, high=0.5), "is no key of a training; did you mean 'network.dropout'?"),
        ("dropout", Dimension(low=0.0, high=0.5), "did you mean 'network.dropout'?"),
        ("stages.continuous", Dimension(choices=(True, False)), "is no key of a training"),
        ("seed", Dimension(low=0, high=5), "cannot be searched: a trial has all its seeds"),
        ("data.validation_share", Dimension(low=0.1, high=0.5), "trials on other samples cannot be compared"),
        ("network.dropout", Dimension(low=0.0, high=1.5), "1.5 is no value of network.dropout"),
        ("network.hidden", Dimension(choices=([8], 8)), "8 is no value of network.hidden"),
        ("network.hidden", Dimension(low=8, high=16), "8.0 is no value of network.hidden"),
        ("optimiser.batch_size", Dimension(low=8, high=16.5), "is a whole number, high = 16.5 is not"),
        ("network.synapse", Dimension(choices=("pulse", "puls")), "'puls' is no value of network.synapse"),
    ],
)
def test_keys_and_values_are_checked_against_the_configuration(key: str, dimension: Dimension, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        space_of({key: dimension})
    assert f"sweep.space.{key}" in str(caught.value)
    assert message in str(caught.value)


def test_keys_that_cannot_be_searched_are_keys() -> None:
    assert set(NOT_SEARCHED) <= set(valid_keys(TrainingConfig))


def test_a_value_that_needs_another_key_of_the_space_is_accepted() -> None:
    """A target of 9 Hz lies outside of high_hz = 5, and inside of the other choice."""
    space_of(
        {
            "regulariser.target_rate_hz": Dimension(low=1.0, high=9.0),
            "regulariser.high_hz": Dimension(choices=(5.0, 10.0)),
        }
    )


def test_both_ways_to_write_a_key_are_the_same(tmp_path: Path) -> None:
    quoted = tomllib.loads('[sweep.space]\n"network.dropout" = {low = 0.0, high = 0.5}\nthreads = {choices = [1]}')
    nested = tomllib.loads("[sweep.space]\nnetwork.dropout = {low = 0, high = 0.5}\nthreads.choices = [1]")
    assert parse_config(quoted, "a") == parse_config(nested, "b")
    config = load_config("demo", ["sweep.space.network.dropout={low=0.0,high=0.5}"])
    assert config.sweep.space == {"network.dropout": Dimension(low=0.0, high=0.5)}
    save_config(config, tmp_path / "c.toml")
    assert load_config(str(tmp_path / "c.toml")) == config
    save_config(load_config("demo"), tmp_path / "d.toml")
    assert "sweep" not in tomllib.loads((tmp_path / "d.toml").read_text())


def test_drawn_values_are_configurations_of_the_right_types() -> None:
    space = space_of(
        {
            "network.hidden": Dimension(choices=([8], [8, 6])),
            "network.dropout": Dimension(low=0, high=0.5, step=0.25),
            "optimiser.batch_size": Dimension(low=8, high=16, step=4),
            "neuron.adaptation": Dimension(choices=(True, False)),
            "regulariser.spike_strength": Dimension(low=0.001, high=1, log=True),
        }
    )
    drawn = draw(space, 60)
    assert {json.dumps(values["network.hidden"]) for values in drawn} == {"[8]", "[8, 6]"}
    assert {values["network.dropout"] for values in drawn} == {0.0, 0.25, 0.5}
    assert {(type(v["optimiser.batch_size"]), v["optimiser.batch_size"]) for v in drawn} == {
        (int, n) for n in (8, 12, 16)
    }
    assert {values["neuron.adaptation"] for values in drawn} == {True, False}
    strengths = [values["regulariser.spike_strength"] for values in drawn]
    assert all(0.001 <= strength <= 1 for strength in strengths)
    assert 10 < sum(strength < 0.03 for strength in strengths) < 50, "half of them, by their logarithm"
    request = request_for(RunConfig(training=SMALL), Path())
    for values in drawn:
        config = request.training(values)
        assert list(config.network.hidden) == values["network.hidden"]
        assert config.network.dropout == values["network.dropout"]
        assert config.optimiser.batch_size == values["optimiser.batch_size"]


def test_by_default_what_matters_is_searched() -> None:
    space = space_of({}, RunConfig().training)
    assert space.dimensions == DEFAULT_SPACE
    for key in ("dropout", "recurrent", "max_delay_ms", "hidden", "adaptation", "strength"):
        assert any(name.endswith(key) for name in DEFAULT_SPACE)
    request = request_for(load_config("demo"), Path())
    for values in draw(space, 20):
        assert request.configured(values).sweep == SweepConfig()
        assert request.configured(values).training.realisations == SweepConfig().realisations


PAGE = Path(__file__).resolve().parent.parent / "docs" / "sweep.md"


def test_the_page_lists_the_default_space_and_its_example_is_one() -> None:
    page = PAGE.read_text()
    (listed,) = re.findall(r"these are searched:\n\n\| key \| values \|\n\|---\|---\|\n((?:\|.*\n)+)", page)
    assert re.findall(r"^\| `([a-z_.]+)`", listed, re.MULTILINE) == list(DEFAULT_SPACE)
    (example,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    config = parse_config(tomllib.loads(example), "docs/sweep.md")
    assert len(space_of(config.sweep.space, config.training).dimensions) == 7
