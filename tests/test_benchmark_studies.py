"""The studies of trainings: what is kept and trained again, how tables and comparisons are made."""

import dataclasses
import importlib
import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from benchmark_scripts import ROOT, benchmark_script
from data_files import write_shd

from spikebridge.bridge.spikes import SpikeTrains

SETTINGS = (
    "data.duration_ms=100.0",
    "data.channels=14",
    "network.hidden=[6, 5]",
    "network.max_delay_ms=30.0",
    "optimiser.epochs=2",
    "optimiser.batch_size=8",
)


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """`benchmarks/trainings.py`."""
    with benchmark_script("trainings", monkeypatch) as module:
        yield module


@pytest.fixture
def data_folder(tmp_path: Path) -> Path:
    """Four speakers to train on, a fifth in the test set."""
    rng = np.random.default_rng(0)
    for name, speakers in (("fsdd_train.h5", (0, 1, 2, 3)), ("fsdd_test.h5", (0, 1, 2, 3, 4))):
        who = np.repeat(speakers, 4)
        size = [40] * who.size
        write_shd(
            tmp_path / name,
            times=[np.sort(rng.uniform(0, 0.1, n)) for n in size],
            units=[rng.integers(0, 700, n) for n in size],
            labels=np.tile([0, 1], who.size // 2),
            speakers=who,
        )
    return tmp_path


def training(load: ModuleType, data_folder: Path, *settings: str, seed: int = 0) -> Any:
    grid = importlib.import_module("frontier").GRID
    variant = load.Variant("tiny", (*grid, *SETTINGS, *settings))
    return load.Training(variant, seed, str(ROOT / "examples" / "spoken_digits.toml"), data_folder)


def test_a_training_is_kept_and_run_again_only_when_what_it_depends_on_changed(
    load: ModuleType, data_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []

    class Here:
        """A pool that runs everything at once, in this process."""

        def __init__(self, *_: object, **__: object) -> None: ...

        def __enter__(self) -> "Here":
            return self

        def __exit__(self, *_: object) -> None: ...

        def submit(self, function: Any, training: Any, folder: Path) -> Any:
            made.append(training.name)
            future: Any = load.Future()
            future.set_result(function(training, folder))
            return future

    monkeypatch.setattr(load, "ProcessPoolExecutor", Here)
    folder = tmp_path / "kept"
    first = load.results([training(load, data_folder, seed=seed) for seed in (0, 1)], folder, 1)["tiny"]
    assert made == ["tiny-seed0", "tiny-seed1"]
    assert [result["seed"] for result in first] == [0, 1]
    for result in first:
        every, seen, unseen = result["accuracy"]
        assert all(0 <= share <= 1 for share in (every, seen, unseen))
        rates = result["population_rate_hz"]
        assert result["rate_hz"] == pytest.approx((6 * rates[0] + 5 * rates[1]) / 11)
        assert result["spikes_per_decision"] == pytest.approx((6 * rates[0] + 5 * rates[1]) * 0.1)
        assert load.checksums({"tiny": [result]}).keys() == {"fsdd_train.h5", "fsdd_test.h5"}

    again = load.results([training(load, data_folder, seed=seed) for seed in (0, 1)], folder, 1)["tiny"]
    assert len(made) == 2
    assert [r["accuracy"] for r in again] == [r["accuracy"] for r in first]

    other = dataclasses.replace(training(load, data_folder, "optimiser.weight_rate=1e-3"), seed=5)
    load.results([other], folder, 1)
    assert made[2:] == ["tiny-seed5"]
    kept = json.loads((folder / "tiny-seed0.json").read_text())
    kept["settings"]["code"] = "of another version"
    (folder / "tiny-seed0.json").write_text(json.dumps(kept))
    assert load.kept(training(load, data_folder), folder) is None
    place = load.checkpoints(training(load, data_folder, seed=1), folder)
    assert (place / "checkpoint.pt").exists()
    assert load.checkpoints(training(load, data_folder, "network.dropout=0.1", seed=1), folder) != place
    write_shd(data_folder / "fsdd_train.h5")
    assert load.checkpoints(training(load, data_folder, seed=1), folder) != place
    assert load.kept(training(load, data_folder, seed=1), folder) is None


def test_what_neurons_do_is_counted_over_all_of_them(load: ModuleType) -> None:
    counts = np.zeros((2, 100, 4), dtype=np.int64)  # two samples of a second, steps of 10 ms
    counts[0, [3, 4, 50], 0] = 1  # a pair 10 ms apart, and one alone
    counts[1, 10, 1] = 1
    found = load.activity_of([SpikeTrains.from_counts(counts, 10.0)])
    assert found["rate_hz"] == pytest.approx(4 / 4 / 2)
    assert found["silent_share"] == pytest.approx(0.5)
    assert found["close_share"] == pytest.approx(0.5)
    assert found["spikes_per_decision"] == pytest.approx(2.0)
    silent = load.activity_of([SpikeTrains.from_counts(np.zeros_like(counts), 10.0)])
    assert silent["close_share"] is None


def results_of(accuracies: list[float], rate_hz: float) -> list[dict[str, Any]]:
    return [
        {
            "accuracy": [share, share, share - 0.1],
            "accuracy_train": share,
            "validation": share,
            "rate_hz": rate_hz,
            "population_rate_hz": [rate_hz, rate_hz],
            "silent_share": 0.0,
            "close_share": None,
            "spikes_per_decision": 10.0,
        }
        for share in accuracies
    ]


def test_differences_are_taken_seed_by_seed_with_students_interval(load: ModuleType) -> None:
    base = results_of([0.50, 0.60, 0.70], 1.0)
    lower = results_of([0.49, 0.58, 0.67], 1.0)  # 1, 2 and 3 points: mean 2, standard deviation 1
    gap, half = load.paired(lower, base)
    assert gap == pytest.approx(-2.0)
    assert half == pytest.approx(4.302653 / np.sqrt(3), rel=1e-6)  # t of 0.975 with two degrees of freedom
    assert np.isnan(load.paired(lower[:1], base[:1])[1])


def test_every_row_of_the_study_is_a_configuration_and_has_its_baseline(load: ModuleType) -> None:
    refractory = importlib.import_module("refractory")
    parts = refractory.needed(["repairs", "fine"])
    assert list(parts) == ["coarse", "repairs", "fine"]
    rows = [row for part in parts.values() for row in part]
    names = [row.variant.name for row in rows]
    assert len(set(names)) == len(names)
    assert {row.baseline for row in rows} <= set(names)
    configs = {row.variant.name: load.load_config(example(), row.variant.settings).training for row in rows}
    assert {configs[f"fine-{ms}ms"].neuron.refractory_ms for ms in (1, 2, 5, 10)} == {1.0, 2.0, 5.0, 10.0}
    assert len({json.dumps(dataclasses.asdict(config), default=str) for config in configs.values()}) == len(rows)
    with pytest.raises(SystemExit, match="nonsense"):
        refractory.needed(["nonsense"])


def example() -> str:
    return str(ROOT / "examples" / "spoken_digits.toml")


def test_peers_are_compared_with_the_examples_configuration_not_with_the_best(load: ModuleType) -> None:
    frontier = importlib.import_module("frontier")
    config = load.load_config(example(), frontier.GRID).training
    bounded = load.load_config(example(), (*frontier.GRID, *frontier.at_most(2.0).settings)).training
    assert frontier.at_most(2.0).name == frontier.EXAMPLE
    assert bounded.regulariser == config.regulariser
    ours = {frontier.EXAMPLE: results_of([0.60, 0.62], 1.5), "target-3Hz": results_of([0.9, 0.9], 5.0)}
    others = {"snntorch_leaky": results_of([0.55, 0.56], 8.0)}
    others["gru"] = [result | {"rate_hz": None} for result in results_of([0.9, 0.9], 0.0)]
    lines = frontier.compared(ours, others)
    assert "at 1.50 Hz" in lines[1]
    assert "| 8.00 | +5.5 ± 6.4 | +5.5 ± 6.4 | +5.5 ± 6.4 |" in next(line for line in lines if "snnTorch" in line)
    assert not any("GRU" in line for line in lines)
    assert any(line.startswith("| GRU |  | 90.0") for line in frontier.table(ours, others))
    assert frontier.compared({"target-3Hz": ours["target-3Hz"]}, others) == []
    assert "| tuned, " in "".join(frontier.compared(ours | {"tuned": ours["target-3Hz"]}, others))
    tuned = load.load_config(example(), (*frontier.GRID, *frontier.TUNED.settings)).training
    assert tuned.network.readout_delays
    assert tuned.network.dropout == 0.1
    assert tuned.regulariser == config.regulariser


def test_peers_are_read_as_chosen_with_the_same_epochs_sizes_and_all_seeds(load: ModuleType, tmp_path: Path) -> None:
    """By name seed 10 comes before seed 2; what was tried and not chosen is not read."""
    frontier = importlib.import_module("frontier")
    (tmp_path / "chosen").mkdir()
    cases = (("gru", 11, 20), ("ours", 11, 20), ("svm", 10, 20), ("norse_lif", 11, 30))
    for system, seeds, epochs in cases:
        names = []
        for seed in range(seeds):
            for rate in (0.01, 0.001):
                settings = {"system": system, "rate": rate, "epochs": epochs, "hidden": [128, 128], "seed": seed}
                name = f"{system}-seed{seed}-rate{rate}.json"
                (tmp_path / name).write_text(json.dumps({"settings": settings}))
            names.append(name)
        (tmp_path / "chosen" / f"{system}.json").write_text(json.dumps(names))
    found = frontier.peers(tmp_path, 20, (128, 128), 11)
    assert found.keys() == {"gru"}
    assert [result["settings"]["seed"] for result in found["gru"]] == list(range(11))
    assert {result["settings"]["rate"] for result in found["gru"]} == {0.001}
    assert frontier.peers(tmp_path, 20, (128, 128), 10).keys() == {"gru", "svm"}


def test_settings_of_peers_are_those_with_the_best_mean_over_the_first_seeds(
    load: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    peers = importlib.import_module("peer_accuracy")
    validation = {(0.01, None): [0.9, 0.1], (0.01, 0.1): [0.6, 0.7], (0.03, None): [0.7, 0.5], (0.03, 0.1): [0.5, 0.5]}
    monkeypatch.setattr(
        peers, "kept", lambda job, *_: {"validation": [*validation[job.rate, job.dropout], 0.0][job.seed], "job": job}
    )
    job = peers.Job("", 0, 20, None, example(), (128, 128))
    search = peers.Search((0.01, 0.03), (0.1,), seeds=2)
    found = peers.results(["dcls_spikingjelly"], job, 3, search, tmp_path, tmp_path)["dcls_spikingjelly"]
    assert [(each["job"].rate, each["job"].dropout, each["job"].seed) for each in found] == [
        (0.01, 0.1, seed) for seed in range(3)
    ]
    chosen = json.loads((tmp_path / "chosen" / "dcls_spikingjelly.json").read_text())
    assert chosen == [f"dcls_spikingjelly-seed{seed}-rate0.01-dropout0.1.json" for seed in range(3)]
    shared = importlib.import_module("peer_training").shared_with_peers(job)
    assert shared["augmentation"]["shift_channels"] == 3
    assert shared["max_delay_ms"] == 250.0
    assert shared == json.loads(json.dumps(shared))


def test_effects_of_settings_are_found_beside_those_of_speakers(load: ModuleType) -> None:
    factors = importlib.import_module("factors")
    base = factors.example(example())
    assert base.keys() == {name for stage in factors.STAGES.values() for name in stage.factors}
    rng = np.random.default_rng(0)
    results = []
    for seed in range(1000, 1400):
        chosen = factors.drawn(factors.STAGES["coarse"], seed)
        accuracy = 0.4 + 0.1 * (seed % 3) - 0.05 * (chosen["network.dropout"] == "0.5")
        accuracy += 0.02 * (chosen["network.readout_delays"] == "true") + rng.normal(0, 0.01)
        results.append({"seed": seed, "chosen": chosen, "held": [seed % 3], "best": accuracy + 0.01, "late": accuracy})
    rows, deviation = factors.effects(results, base)
    assert deviation == pytest.approx(1.0, rel=0.15)
    found = {name: (effect, error) for name, _, effect, error in rows}
    for name, (effect, error) in found.items():
        planted = {"network.dropout = 0.5, not 0.2": -5.0, "network.readout_delays = true, not false": 2.0}.get(
            name, 0.0
        )
        assert abs(effect - planted) < 4 * error, name
    assert all(error < 0.3 for _, error in found.values())


def test_every_value_of_a_setting_is_a_configuration_and_seeds_draw_the_same_again(load: ModuleType) -> None:
    factors = importlib.import_module("factors")
    for stage in factors.STAGES.values():
        assert factors.drawn(stage, 3) == factors.drawn(stage, 3)
        for name, values in stage.factors.items():
            for value in values:
                load.load_config(example(), (*factors.GRID, f"{name}={value}"))


def test_trainings_with_drawn_settings_are_kept_and_do_not_open_the_test_set(
    load: ModuleType, data_folder: Path, tmp_path: Path
) -> None:
    factors = importlib.import_module("factors")
    settings = {"network.dropout": "0.1", "network.readout_delays": "true"}
    shared = (*factors.GRID, *SETTINGS)
    found = factors.trained(settings, 5, shared, example(), data_folder, tmp_path / "out")
    assert found["chosen"] == settings
    assert len(found["held"]) == 1
    assert 0 <= found["late"] <= found["best"] <= 1
