"""Checkpoints: written whole or not at all after every epoch, read without executing code."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter
from torch import Tensor

from spikebridge.bridge.errors import ConfigError, DataError
from spikebridge.bridge.provenance import versions
from spikebridge.bridge.storage import atomic_path
from spikebridge.training.config import TrainingConfig

VERSION = 3

NOT_COMPARED = ("realisations", "device")
"""Keys that a training may be continued with another value of: how many more follow, and where it runs."""


def fingerprint(config: TrainingConfig, data: dict[str, str], seed: int) -> str:
    """What a checkpoint must agree with to be continued: configuration, data, seed and versions, as JSON."""
    values = {key: value for key, value in asdict(config).items() if key not in NOT_COMPARED}
    libraries = versions("torch", "numba", "numpy")
    return json.dumps({"config": values, "data": data, "seed": seed, **libraries}, sort_keys=True)


def save_checkpoint(path: Path, state: dict[str, Any], agreement: str) -> None:
    """Write `state` (tensors, numbers, strings and containers of them)."""
    buffer = io.BytesIO()
    torch.save({"version": VERSION, "agreement": agreement, **state}, buffer)
    with atomic_path(path) as temporary:
        temporary.write_bytes(buffer.getvalue())


def _read(path: Path) -> dict[str, Any]:
    try:
        state: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu")
    except (RuntimeError, EOFError, OSError, ValueError, pickle.UnpicklingError) as error:
        raise DataError(f"checkpoint is damaged ({error}); delete it to train from the start", path=path) from error
    if state.get("version") != VERSION:
        raise DataError("checkpoint of another version; delete it to train from the start", path=path)
    return state


def load_checkpoint(path: Path, agreement: str) -> dict[str, Any] | None:
    """The state saved at `path`, or None where there is none.

    Raises:
        DataError: the file is damaged.
        ConfigError: it belongs to another configuration, data set or seed; names the first key that differs.
    """
    if not path.exists():
        return None
    state = _read(path)
    found, wanted = json.loads(state["agreement"]), json.loads(agreement)
    # Keys that a later version added have defaults that change nothing.
    found["config"] = filled(found["config"], json.loads(json.dumps(asdict(TrainingConfig()))))
    if found != wanted:
        key, old, new = first_difference(found, wanted)
        raise ConfigError(
            f"{path} was trained with {key} = {old}, now it is {new}; give another --out folder, or delete the "
            "checkpoint to train from the start"
        )
    return state


@dataclass(frozen=True, slots=True, eq=False)
class Start:
    """Where a fine-tuning starts: the weights of another run's best epoch.

    Attributes:
        weights: the network's state.
        provenance: seed, epoch and checksum, for the metadata of the export and for the checkpoint's agreement.
    """

    weights: dict[str, Tensor]
    provenance: dict[str, str]


def load_start(folder: Path, config: TrainingConfig, data: dict[str, str], seed: int) -> Start:
    """The network of the best epoch of the training in `folder`, to be trained further as `config` says.

    Raises:
        DataError: there is no checkpoint, or no epoch in it that could be chosen.
        ConfigError: it is another network: sizes, synapses, or what is taken from the reference step differ; or it was
            fitted on other samples, so that the validation set of this training could be among them.
    """
    path = folder / "checkpoint.pt"
    if not path.is_file():
        raise DataError("no checkpoint to start from; give the folder of a training", path=path)
    state = _read(path)
    if not state["best"]:
        raise DataError("the training to start from has not reached its last phase yet; finish it", path=path)
    agreement = json.loads(state["agreement"])
    before = TypeAdapter(TrainingConfig).validate_json(json.dumps(agreement["config"]))
    wanted = _carried(config)
    for key, old in _carried(before).items():
        if old == wanted[key]:
            continue
        new = wanted[key]
        raise ConfigError(
            f"{path} holds a network with {key} = {old}, this configuration makes it {new}; set {key} = {old} to train "
            "that network further"
        )
    for key, old, new in (
        ("seed", agreement["seed"], seed),
        *((key, agreement["data"].get(key), data[key]) for key in ("data.train", "data.validation")),
    ):
        if old != new:
            raise ConfigError(
                f"{path} was fitted with {key} = {old}, now it is {new}: samples that choose the epoch here may have "
                "been fitted on there; use the same data, split and seed"
            )
    digest = hashlib.sha256()
    for name, tensor in sorted(state["best"].items()):
        digest.update(name.encode() + tensor.numpy().tobytes())
    epoch = f"seed {agreement['seed']}, epoch {state['best_epoch'] + 1} of {len(state['history'])}"
    return Start(state["best"], {"start": f"{epoch}, weights sha256 {digest.hexdigest()[:16]}"})


def _carried(config: TrainingConfig) -> dict[str, Any]:
    """What a network cannot change when it is trained further."""
    network, neuron = asdict(config.network), asdict(config.neuron)
    free = ("dropout", "decoding", "initial_potential_std", "initial_recurrent_scale", "pulse_ms")
    return {
        # First, because pulse width and refractory period follow from it where they are not set.
        "schedule.reference_step_ms": config.reference_step_ms,
        "data.channels": config.data.channels,
        **{f"network.{key}": value for key, value in network.items() if key not in free},
        "network.tau_syn_ms": config.network.tau_syn_ms if config.network.synapse == "exponential" else None,
        **{f"neuron.{key}": neuron[key] for key in ("adaptation", "reset", "reset_value")},
        "schedule.align": config.schedule.align,
        "network.pulse_ms": config.pulse_ms if config.network.synapse == "pulse" else None,
        "neuron.refractory_ms": config.refractory_ms,
    }


def first_difference(old: Any, new: Any, path: str = "") -> tuple[str, Any, Any]:
    """Dotted key and both values of the first place, in the order of keys, where two nested tables differ."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(old.keys() | new.keys()):
            if old.get(key) != new.get(key):
                return first_difference(old.get(key), new.get(key), f"{path}.{key}" if path else key)
    return path.removeprefix("config."), old, new


def filled(values: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    """The values, and the defaults of keys of their tables that they lack; other keys are left as they are."""
    result = dict(values)
    for key, default in defaults.items():
        if isinstance(default, dict):
            result[key] = filled(values.get(key, {}), default)
        elif key not in NOT_COMPARED:
            result.setdefault(key, default)
    return result


def config_to_json(config: TrainingConfig) -> str:
    """The whole configuration, defaults included."""
    return TypeAdapter(TrainingConfig).dump_json(config, indent=2).decode()
