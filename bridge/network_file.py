"""`network.h5`: a network definition on disk.

Layout below `content/`: attributes `training_step_ms`, `duration_ms`; groups `inputs/<name>`,
`populations/<name>`, `projections/<k>` (order matters), `readout`, `decisions`, `metadata`. Vectors are float64,
indices int32.
"""

from __future__ import annotations

from pathlib import Path

import h5py

from spikebridge.bridge.decoding import Decoding
from spikebridge.bridge.spec import (
    Decision,
    Input,
    NetworkSpec,
    Population,
    Projection,
    Readout,
    Reset,
    SynapseKind,
)
from spikebridge.bridge.storage import content_sha256, read_file, write_array, write_file

POPULATION_UNITS = {
    "tau_membrane_ms": "ms",
    "tau_adaptation_ms": "ms",
    "adaptation_coupling": "1",
    "adaptation_jump": "1",
    "threshold": "1",
    "bias": "1",
}


def save_network(spec: NetworkSpec, path: Path) -> None:
    """Write `network.h5`, whole or not at all."""
    with write_file(path, "network") as content:
        _write(spec, content)


def load_network(path: Path) -> NetworkSpec:
    """Read `network.h5`; validated like any other construction.

    Raises:
        DataError: missing, damaged or of another kind.
        SpecError: readable, but no consistent network.
    """
    with read_file(path, "network") as content:
        return _read(content)


def network_sha256(spec: NetworkSpec) -> str:
    """The content checksum that `network.h5` carries; the identity of a network in recordings."""
    with h5py.File("network", "w", driver="core", backing_store=False) as file:
        content = file.create_group("content")
        _write(spec, content)
        return content_sha256(content)


def _write(spec: NetworkSpec, content: h5py.Group) -> None:
    content.attrs["training_step_ms"] = spec.training_step_ms
    content.attrs["duration_ms"] = spec.duration_ms
    for order, node in enumerate(spec.inputs):
        group = content.create_group(f"inputs/{node.name}")
        group.attrs.update({"order": order, "size": node.size})
    for order, population in enumerate(spec.populations):
        group = content.create_group(f"populations/{population.name}")
        group.attrs.update(
            {
                "order": order,
                "size": population.size,
                "reset": str(population.reset),
                "reset_value": population.reset_value,
                "refractory_ms": population.refractory_ms,
                "spiking": population.spiking,
            }
        )
        for name, unit in POPULATION_UNITS.items():
            write_array(group, name, getattr(population, name), unit)
    for order, projection in enumerate(spec.projections):
        group = content.create_group(f"projections/{order:04d}")
        group.attrs.update(
            {"source": projection.source, "target": projection.target, "synapse": str(projection.synapse)}
        )
        group.attrs["latency_steps"] = projection.latency_steps
        for name in ("pulse_ms", "tau_syn_ms"):
            if getattr(projection, name) is not None:
                group.attrs[name] = getattr(projection, name)
        write_array(group, "source_index", projection.source_index)
        write_array(group, "target_index", projection.target_index)
        write_array(group, "weight", projection.weight, "1")
        write_array(group, "delay_ms", projection.delay_ms, "ms")
    content.create_group("readout").attrs.update(
        {"population": spec.readout.population, "decoding": str(spec.readout.decoding)}
    )
    decisions = content.create_group("decisions")
    for order, decision in enumerate(spec.decisions):
        decisions.create_group(f"{order:04d}").attrs.update({"subject": decision.subject, "text": decision.text})
    content.create_group("metadata").attrs.update(dict(spec.metadata))


def _ordered(group: h5py.Group) -> list[tuple[str, h5py.Group]]:
    return sorted(group.items(), key=lambda item: int(item[1].attrs["order"]))


def _read(content: h5py.Group) -> NetworkSpec:
    populations = tuple(_read_population(name, group) for name, group in _ordered(content["populations"]))
    projections = tuple(_read_projection(content["projections"][key]) for key in sorted(content.get("projections", ())))
    readout = content["readout"].attrs
    decisions = content["decisions"]
    return NetworkSpec(
        inputs=tuple(Input(name, int(group.attrs["size"])) for name, group in _ordered(content["inputs"])),
        populations=populations,
        projections=projections,
        readout=Readout(readout["population"], Decoding(readout["decoding"])),
        training_step_ms=float(content.attrs["training_step_ms"]),
        duration_ms=float(content.attrs["duration_ms"]),
        decisions=tuple(
            Decision(decisions[key].attrs["subject"], decisions[key].attrs["text"]) for key in sorted(decisions)
        ),
        metadata={key: str(value) for key, value in content["metadata"].attrs.items()},
    )


def _read_population(name: str, group: h5py.Group) -> Population:
    return Population(
        name=name,
        size=int(group.attrs["size"]),
        reset=Reset(group.attrs["reset"]),
        reset_value=float(group.attrs["reset_value"]),
        refractory_ms=float(group.attrs["refractory_ms"]),
        spiking=bool(group.attrs["spiking"]),
        **{field: group[field][()] for field in POPULATION_UNITS},
    )


def _read_projection(group: h5py.Group) -> Projection:
    constants = {key: float(group.attrs[key]) for key in ("pulse_ms", "tau_syn_ms") if key in group.attrs}
    return Projection(
        source=str(group.attrs["source"]),
        target=str(group.attrs["target"]),
        source_index=group["source_index"][()],
        target_index=group["target_index"][()],
        weight=group["weight"][()],
        delay_ms=group["delay_ms"][()],
        synapse=SynapseKind(group.attrs["synapse"]),
        pulse_ms=constants.get("pulse_ms"),
        tau_syn_ms=constants.get("tau_syn_ms"),
        latency_steps=float(group.attrs.get("latency_steps", 0.0)),  # older files have none
    )
