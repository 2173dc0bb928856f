"""Move one delay of an exported network by one training step: a fault for the validation to find.

python examples/plant_fault.py runs/demo/network.h5 faulty.h5
"""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from spikebridge.bridge.network_file import load_network, save_network

if len(sys.argv) != 3:
    sys.exit(__doc__)
source, target = (Path(name) for name in sys.argv[1:])
network = load_network(source)
first = network.projections[0]
strongest = int(np.abs(first.weight).argmax())
delay_ms = first.delay_ms.copy()
delay_ms[strongest] += network.training_step_ms
save_network(replace(network, projections=(replace(first, delay_ms=delay_ms), *network.projections[1:])), target)
print(
    f"{first.label}: the delay from neuron {first.source_index[strongest]} to {first.target_index[strongest]} is now "
    f"{delay_ms[strongest]:g} ms instead of {first.delay_ms[strongest]:g} ms"
)
