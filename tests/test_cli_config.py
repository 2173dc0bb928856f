"""Configuration files: what is accepted, and what an error says."""

from pathlib import Path

import pytest

from spikebridge.bridge.errors import ConfigError
from spikebridge.cli.config import builtin_configs, load_config, save_config
from spikebridge.cli.stages import other_steps

ROOT = Path(__file__).resolve().parent.parent


def write(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


def test_a_file_states_only_what_differs(tmp_path: Path) -> None:
    config = load_config(write(tmp_path / "a.toml", "seed = 3\n[network]\nhidden = [10]\n[data]\nstep_ms = 5\n"))
    assert config.training.seed == 3
    assert config.training.network.hidden == (10,)
    assert config.training.data.step_ms == 5.0
    assert config.training.network.recurrent is True


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[network]\nhiden = [10]\n", r"unknown key 'network\.hiden'; did you mean 'network\.hidden'\?"),
        ("[netwrok]\nhidden = [10]\n", r"unknown key 'netwrok'; did you mean 'network'\?"),
        ("[network]\nepochs = 10\n", r"unknown key 'network\.epochs'; did you mean 'optimiser\.epochs'\?"),
        ("max_delay = 10\n", r"unknown key 'max_delay'; did you mean 'network\.max_delay_ms'\?"),
        ("zzz = 1\n", r"unknown key 'zzz'; tables are \["),
        ("[network]\nhidden = 'many'\n", r"network\.hidden: .*got 'many'"),
        ("[network]\nrecurrent = 1\n", r"network\.recurrent: .*boolean.*got 1"),
        ("[optimiser]\nepochs = 2.5\n", r"optimiser\.epochs: .*integer.*got 2\.5"),
        ("[optimiser]\nepochs = 0\n", r"optimiser\.epochs: .*greater than or equal to 1"),
        ("[network]\nsynapse = 'alpha'\n", r"network\.synapse: .*'delta', 'pulse' or 'exponential'.*got 'alpha'"),
        (
            "[neuron]\ntau_membrane_ms = [50, 20]\n",
            r"neuron: tau_membrane_ms is \[50\.0, 20\.0\]; write the lower bound",
        ),
        ("[network]\npulse_ms = 25\n", r"pulse_ms of 25\.0 ms is no multiple of step_ms"),
        ("[simulation]\nbackend = 'gpu'\n", r"simulation\.backend: .*'numpy'"),
        ("[simulation]\nlane = 3\n", r"unknown key 'simulation\.lane'; did you mean 'simulation\.lanes'\?"),
        ("[stages]\nfiner_steps_ms = [0]\n", r"stages\.finer_steps_ms\.0: .*greater than 0"),
        ("[stages]\nfiner_steps_ms = [5, 2, 5]\n", r"stages\.finer_steps_ms: 5 ms is listed twice"),
        ("[stages]\nfiner_steps_ms = [0.3]\n", r"stages\.finer_steps_ms: data\.duration_ms of 1000 ms is no multiple"),
        (
            "[stages]\nfiner_steps_ms = [20]\n",
            r"stages\.finer_steps_ms: pulses last 10 ms .*no multiple of a step of 20 ms",
        ),
        ("[stages]\nfiner_steps_ms = [4]\n", r"step of 4 ms; choose a step that divides it, or train with .*'delta'"),
        (
            "[data]\nstep_ms = 1\n[stages]\nfiner_steps_ms = [10]\n",
            r"pulses last 1 ms .*no multiple of a step of 10 ms",
        ),
        ("[data]\nstep_ms = 0.25\n[stages]\ncontinuous = true\n", r"stages\.continuous: pulses .* of 0\.1 ms"),
        (
            "[data]\nstep_ms = 0.1\n[stages]\ncontinuous = true\n",
            r"stages\.continuous: the training step.* leave it out",
        ),
        ("seed = \n", "no valid TOML"),
        ("[patterns]\nsurogates = 3\n", r"unknown key 'patterns\.surogates'; did you mean 'patterns\.surrogates'\?"),
        ("[patterns]\nsurrogates = 10\n", r"patterns\.surrogates is 10; .* need at least 80"),
        ("[patterns]\nsurrogates = 'many'\n", r"patterns\.surrogates: .*integer.*got 'many'"),
    ],
)
def test_errors_name_the_key_and_the_nearest_valid_one(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        load_config(write(tmp_path / "a.toml", text))


@pytest.mark.parametrize(
    "text",
    [
        "[stages]\nfiner_steps_ms = [10, 5, 2, 1, 0.5, 0.1]\ncontinuous = true\n",
        "[network]\nsynapse = 'exponential'\n[stages]\nfiner_steps_ms = [20, 4]\n",
        "[data]\nstep_ms = 1\n[network]\nsynapse = 'delta'\n[stages]\nfiner_steps_ms = [10]\ncontinuous = true\n",
    ],
)
def test_steps_that_the_network_can_be_put_on_are_accepted(tmp_path: Path, text: str) -> None:
    load_config(write(tmp_path / "a.toml", text))


def test_every_step_is_simulated_once(tmp_path: Path) -> None:
    every = "[stages]\nfiner_steps_ms = [10, 5, 0.1]\n"
    config = load_config(write(tmp_path / "a.toml", every))
    assert other_steps(config) == {"step_5ms.h5": 5.0, "step_0.1ms.h5": 0.1}
    config = load_config(write(tmp_path / "a.toml", every + "continuous = true\n"))
    assert other_steps(config) == {"step_5ms.h5": 5.0, "continuous.h5": 0.1}


def test_overrides_replace_values_and_are_checked_like_the_file(tmp_path: Path) -> None:
    path = write(tmp_path / "a.toml", "[network]\nhidden = [10]\n")
    config = load_config(path, ["network.hidden=[3, 4]", "seed=7", "neuron.reset=to_value", "data.step_ms=5"])
    assert config.training.network.hidden == (3, 4)
    assert config.training.seed == 7
    assert config.training.neuron.reset == "to_value"
    for wrong, said in (
        ("network.hiden=[3]", "did you mean 'network.hidden'"),
        ("epochs", "write section.key=value"),
        ("seed.a=1", "unknown|integer"),
        ("optimiser.epochs=many", "integer"),
    ):
        with pytest.raises(ConfigError, match=said):
            load_config(path, [wrong])


def test_the_saved_configuration_is_the_same_configuration(tmp_path: Path) -> None:
    config = load_config("demo", ["neuron.refractory_ms=20", "simulation.lanes=3", "data.validation_speakers=[1, 2]"])
    save_config(config, tmp_path / "resolved.toml")
    assert load_config(str(tmp_path / "resolved.toml")) == config
    default = load_config("demo")  # None, which TOML cannot write
    save_config(default, tmp_path / "default.toml")
    assert load_config(str(tmp_path / "default.toml")) == default


def test_a_missing_file_lists_the_built_in_ones() -> None:
    with pytest.raises(ConfigError, match=r"no configuration file 'nowhere'; built-in ones are \['demo'\]"):
        load_config("nowhere")


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.toml")), ids=lambda path: path.name)
def test_every_example_is_valid(path: Path) -> None:
    load_config(str(path))


def test_every_built_in_configuration_is_valid() -> None:
    assert builtin_configs()
    for name in builtin_configs():
        load_config(name)
