"""What training reports per epoch, as CSV for a spreadsheet and JSON for a program; both rewritten whole."""

from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from torch import Tensor

from spikebridge.bridge.errors import DivergedError
from spikebridge.bridge.storage import atomic_path

DIVERGED = (
    "lower optimiser.weight_rate or optimiser.neuron_rate and train with another --out; the checkpoint holds the last "
    "epoch before"
)


@dataclass(frozen=True, slots=True)
class EpochMetrics:
    """One epoch.

    Attributes:
        loss: cross-entropy plus rate penalty, mean over training batches.
        rate_penalty: the penalty alone.
        accuracy_train: share of training samples decided right, with dropout and wide delay kernels as trained.
        accuracy_validation: on the held-out samples, as deployed: delays rounded, no dropout.
        loss_validation: cross-entropy there.
        rate_hz: mean rate of hidden neurons on the held-out samples.
        step_ms: the finest step of the epoch.
        sigma_ms: width of the delay kernel, on that step.
        seconds: wall time of the epoch.
    """

    epoch: int
    loss: float
    rate_penalty: float
    accuracy_train: float
    accuracy_validation: float
    loss_validation: float
    rate_hz: float
    step_ms: float
    sigma_ms: float
    seconds: float


@dataclass(slots=True)
class EpochTotals:
    """Loss, rate penalty and right decisions, summed over the samples of an epoch so far."""

    loss: float = 0.0
    penalty: float = 0.0
    right: float = 0.0

    def add(self, batch: tuple[Tensor, int] | None) -> None:
        """Loss, penalty, share of right decisions and size of the gradient (4,) of a batch of so many samples.

        Raises:
            DivergedError: the loss or its gradient is NaN or infinite.
        """
        if batch is None:
            return
        loss, penalty, right, gradient = batch[0].tolist()
        for name, value in (("loss", loss), ("gradient", gradient)):
            if not math.isfinite(value):
                raise DivergedError(f"the {name} became {value}: {DIVERGED}")
        self.loss += loss * batch[1]
        self.penalty += penalty * batch[1]
        self.right += right * batch[1]


def write_metrics(history: list[EpochMetrics], folder: Path, best_epoch: int) -> None:
    """Write `metrics.csv` and `metrics.json` into `folder`."""
    rows = [asdict(epoch) for epoch in history]
    table = io.StringIO()
    writer = csv.DictWriter(table, [field.name for field in fields(EpochMetrics)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    with atomic_path(folder / "metrics.csv") as temporary:
        temporary.write_text(table.getvalue())
    with atomic_path(folder / "metrics.json") as temporary:
        temporary.write_text(
            json.dumps({"best_epoch": best_epoch if best_epoch >= 0 else None, "epochs": rows}, indent=2) + "\n"
        )
