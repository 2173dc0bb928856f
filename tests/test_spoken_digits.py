"""Real data through every stage: spoken digits, trained briefly, simulated whole, compared spike for spike."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from data_files import spoken_digits_folder

from spikebridge.bridge.network_file import load_network, save_network
from spikebridge.bridge.recording_file import load_recording
from spikebridge.cli.main import main

EXAMPLE = str(Path(__file__).resolve().parent.parent / "examples" / "spoken_digits.toml")
COARSE = ["--set=schedule.phases=[]", "--set=data.step_ms=10.0", "--set=optimiser.epochs=1"]
RUNTIME = ["--set=stages.continuous=false", "--set=simulation.backend=numpy"]
TYPES = {
    "LIF": [*COARSE, *RUNTIME, "--set=neuron.adaptation=false", "--set=network.recurrent=false"],
    "adLIF": [*COARSE, *RUNTIME, "--set=network.recurrent=false"],
    "recurrent adLIF": [*COARSE, *RUNTIME],
    "recurrent adLIF, in continuous time": [
        "--set=schedule.phases=[{share=0.5, steps_ms=[10.0]}, {share=0.5, steps_ms=[2.0, 1.0]}]",
        "--set=optimiser.epochs=2",
        "--set=stages.physical=true",
    ],
}


@pytest.mark.slow
@pytest.mark.parametrize("name", list(TYPES))
def test_every_spike_of_all_test_samples_is_the_same(name: str, tmp_path: Path) -> None:
    out = tmp_path / "run"
    command = ["run", EXAMPLE, "--data", str(spoken_digits_folder()), "--out", str(out), "--quiet"]
    assert main([*command, *TYPES[name]]) == 0
    numbers = json.loads((out / "report.json").read_text())
    grid = numbers["parity"]["grid"]
    assert grid["samples"] == 700
    assert grid["spikes"] > 10_000
    assert grid["mismatches"] == 0
    assert grid["readout_max_difference"] <= 1e-9
    assert numbers["parity"]["replay"]["mismatches"] == 0
    assert set(numbers["accuracy"]["training"]) == {"all", "seen", "unseen", "held_out"}
    assert all(0 < value < 1 for value in numbers["accuracy"]["training"].values())
    spec = load_network(out / "network.h5")
    assert spec.projections[0].delay_ms.max() >= 250.0
    if name == "recurrent adLIF":
        _planted_fault_is_named(out, tmp_path)
    if "continuous" in name:
        assert numbers["parity"]["physical"]["mismatches"] == 0
        assert numbers["parity"]["physical"]["spikes"] > 10_000
        found = numbers["refinement"]["continuous"]
        assert found["step_ms"] == 0.1
        # After two epochs the network is no good yet; what it does must be nearly the same all the same.
        assert abs(found["accuracy_lost_points"]) < 6
        assert all(abs(change) < 0.2 for change in found["rate_change"].values())


def _planted_fault_is_named(out: Path, tmp_path: Path) -> None:
    spec = load_network(out / "network.h5")
    first = spec.projections[0]
    delay_ms = first.delay_ms.copy()
    wrong = int(np.abs(first.weight).argmax())
    delay_ms[wrong] += -10.0 if delay_ms[wrong] else 10.0
    save_network(
        replace(spec, projections=(replace(first, delay_ms=delay_ms), *spec.projections[1:])), tmp_path / "n.h5"
    )
    reference = out / "reference.h5"
    command = [
        "simulate",
        str(tmp_path / "n.h5"),
        "--inputs",
        str(reference),
        "--out",
        str(tmp_path / "s.h5"),
        "--quiet",
    ]
    assert main(command) == 0
    files = [str(out / "network.h5"), str(reference), str(tmp_path / "s.h5")]
    assert main(["validate", *files, "--out", str(tmp_path), "--allow-other-network"]) == 5
    first_mismatch = json.loads((tmp_path / "report.json").read_text())["parity"]["grid"]["first_mismatch"]
    assert first_mismatch["population"] == "hidden1"
    # Nothing can differ before the neuron with the wrong synapse does.
    assert first_mismatch["neuron"] == first.target_index[wrong]
    sample, step = first_mismatch["sample"], first_mismatch["step"]
    recorded = [load_recording(path).spikes["hidden1"].select([sample]) for path in (reference, tmp_path / "s.h5")]
    counts = [trains.counts()[0] for trains in recorded]
    assert np.array_equal(counts[0][:step], counts[1][:step])
    assert counts[0][step, first_mismatch["neuron"]] != counts[1][step, first_mismatch["neuron"]]
