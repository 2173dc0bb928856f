"""A training that takes a second: a few classes of timing-coded manifolds and a small network."""

from dataclasses import replace
from typing import Any

from spikebridge.training.config import NetworkConfig, NeuronConfig, TrainingConfig
from spikebridge.training.config_data import DataConfig
from spikebridge.training.config_recipe import OptimiserConfig, RegulariserConfig

SMALL = TrainingConfig(
    threads=1,
    data=DataConfig(
        source="manifolds",
        channels=12,
        duration_ms=300.0,
        step_ms=10.0,
        manifold_classes=3,
        manifold_samples_per_class=20,
        manifold_test_samples_per_class=8,
    ),
    network=NetworkConfig(hidden=(16, 14), max_delay_ms=80.0, dropout=0.1),
    neuron=NeuronConfig(),
    regulariser=RegulariserConfig(),
    optimiser=OptimiserConfig(epochs=3, batch_size=16, weight_rate=1e-2),
)

COARSE_DEMO = [
    "--set=schedule.phases=[]",
    "--set=data.step_ms=10.0",
    "--set=stages.continuous=false",
]
"""The built-in demo on one step of 10 ms, as it is quickest."""

SMALL_DEMO = [
    *COARSE_DEMO,
    "--quiet",
    "--set=threads=1",
    "--set=network.hidden=[20, 16]",
    "--set=network.max_delay_ms=60",
    "--set=data.channels=12",
    "--set=data.duration_ms=300",
    "--set=data.manifold_samples_per_class=12",
    "--set=data.manifold_test_samples_per_class=5",
    "--set=optimiser.epochs=2",
    "--set=stages.finer_steps_ms=[5.0]",
]
"""A run of the demo that takes seconds."""


def changed(config: TrainingConfig = SMALL, **tables: dict[str, Any]) -> TrainingConfig:
    """The configuration with some keys of some tables replaced."""
    return replace(config, **{table: replace(getattr(config, table), **values) for table, values in tables.items()})
