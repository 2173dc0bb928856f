"""The recipes in `examples/` train on files in their data set's layout."""

from pathlib import Path

import numpy as np
import pytest
from data_files import write_shd

from spikebridge.cli.config import load_config
from spikebridge.cli.main import main

EXAMPLES = sorted((Path(__file__).resolve().parent.parent / "examples").glob("*.toml"))
SMALLER = ("network.hidden=[8, 6]", "optimiser.epochs=5", "realisations=1", "threads=1", "network.max_delay_ms=60.0")


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_a_recipe_trains_on_files_of_its_names(path: Path, tmp_path: Path) -> None:
    config = load_config(str(path), SMALLER)
    data = config.training.data
    rng = np.random.default_rng(0)
    for name in {data.train_file, data.test_file, data.validation_file} - {None}:
        assert name is not None
        write_shd(
            tmp_path / name,
            times=[np.sort(rng.random(400)) for _ in range(8)],
            units=[rng.integers(0, 700, 400) for _ in range(8)],
            labels=np.arange(8) % 2,
            speakers=np.arange(8) // 2,
        )
    out = tmp_path / "run"
    options = [argument for setting in SMALLER for argument in ("--set", setting)]
    assert main(["train", str(path), "--data", str(tmp_path), "--out", str(out), "--quiet", *options]) == 0
    assert (out / "network.h5").exists()


def test_every_recipe_says_how_to_get_its_data_and_run() -> None:
    assert {path.stem for path in EXAMPLES} >= {"shd", "shd_reference", "ssc", "spoken_digits", "digits_sweep"}
    for path in EXAMPLES:
        text = path.read_text()
        if path.stem == "digits_sweep":
            assert f"spikebridge sweep examples/{path.name} --data DATA --out runs/" in text
        elif path.stem != "spoken_digits":
            assert f"spikebridge run examples/{path.name} --data DATA --out runs/" in text
            assert "spikebridge data " in text


def test_the_reference_is_its_set_up() -> None:
    training = load_config(str(next(path for path in EXAMPLES if path.stem == "shd_reference"))).training
    assert training.data.step_ms == 10.0
    assert training.steps_ms == (10.0,)
    assert training.optimiser.epochs == 50
    assert training.realisations == 5
    assert training.refractory_ms == 0.0
