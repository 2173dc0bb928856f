"""A thousand steps of 1 ms, at the size of the reference network: one batch of 64 trains within 8 GiB."""

from __future__ import annotations

import subprocess
import sys

import pytest

ONE_BATCH = """
import sys
from pathlib import Path
import torch
from spikebridge.training.config import NetworkConfig, TrainingConfig
from spikebridge.training.config_data import DataConfig
from spikebridge.training.loss import decode_tensor, rate_penalty
from spikebridge.training.network import SpikingNetwork, scale_weights_to_data

torch.set_num_threads(2)
config = TrainingConfig(
    kernels=sys.argv[1],
    data=DataConfig(channels=140, duration_ms=1000.0, step_ms=1.0),
    network=NetworkConfig(hidden=(256, 256), max_delay_ms=250.0, batch_norm=True, readout_delays=True),
)
torch.manual_seed(1)
counts = (torch.rand(64, 1000, 140) < 0.005).float()  # as many spikes as 100 bins of 10 ms at a density of 0.05
labels = torch.randint(20, (64,))
network = SpikingNetwork(config, 20, seed=0)
scale_weights_to_data(network, counts)
network.set_progress(float(sys.argv[2]))
activity = network(counts)
loss = torch.nn.functional.cross_entropy(decode_tensor(activity.potentials, config.network.decoding), labels)
(loss + rate_penalty(activity.spikes, 1.0, config.regulariser)).backward()
assert all(torch.isfinite(p.grad).all() and p.grad.any() for p in network.parameters() if p.grad is not None)
assert sum(float(spikes.sum()) for spikes in activity.spikes) > 1000
print(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])
"""


@pytest.mark.slow
@pytest.mark.parametrize("done", [0.0, 1.0], ids=["widest kernels", "narrowest kernels"])
def test_a_thousand_steps_train_within_eight_gibibytes(done: float) -> None:
    command = [sys.executable, "-c", ONE_BATCH, "fused", str(done)]
    peak_kib = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-1])
    assert peak_kib < 8 * 2**20
