"""Checkpoints: written whole or not at all after every epoch, read without executing code."""

from __future__ import annotations

import io
import json
import pickle
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter

from spikebridge.bridge.errors import ConfigError, DataError
from spikebridge.bridge.storage import atomic_path
from spikebridge.training.config import TrainingConfig

VERSION = 1


def fingerprint(config: TrainingConfig, data: dict[str, str], seed: int) -> str:
    """What a checkpoint must agree with to be continued: configuration, data, seed and PyTorch's version, as JSON."""
    values = asdict(config)
    del values["realisations"]  # how many more follow does not change this one
    return json.dumps({"config": values, "data": data, "seed": seed, "torch": torch.__version__}, sort_keys=True)


def save_checkpoint(path: Path, state: dict[str, Any], agreement: str) -> None:
    """Write `state` (tensors, numbers, strings and containers of them)."""
    buffer = io.BytesIO()
    torch.save({"version": VERSION, "agreement": agreement, **state}, buffer)
    with atomic_path(path) as temporary:
        temporary.write_bytes(buffer.getvalue())


def load_checkpoint(path: Path, agreement: str) -> dict[str, Any] | None:
    """The state saved at `path`, or None where there is none.

    Raises:
        DataError: the file is damaged.
        ConfigError: it belongs to another configuration, data set or seed; names the first key that differs.
    """
    if not path.exists():
        return None
    try:
        state: dict[str, Any] = torch.load(path, weights_only=True)
    except (RuntimeError, EOFError, OSError, ValueError, pickle.UnpicklingError) as error:
        raise DataError(f"checkpoint is damaged ({error}); delete it to train from the start", path=path) from error
    if state.get("version") != VERSION:
        raise DataError("checkpoint of another version; delete it to train from the start", path=path)
    if state["agreement"] != agreement:
        key, old, new = _first_difference(json.loads(state["agreement"]), json.loads(agreement))
        raise ConfigError(
            f"{path} was trained with {key} = {old}, now it is {new}; give another --out folder, or delete the "
            "checkpoint to train from the start"
        )
    return state


def _first_difference(old: Any, new: Any, path: str = "") -> tuple[str, Any, Any]:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(old.keys() | new.keys()):
            if old.get(key) != new.get(key):
                return _first_difference(old.get(key), new.get(key), f"{path}.{key}" if path else key)
    return path.removeprefix("config."), old, new


def config_to_json(config: TrainingConfig) -> str:
    """The whole configuration, defaults included."""
    return TypeAdapter(TrainingConfig).dump_json(config, indent=2).decode()
