"""The Brian2 project of a network shape, and the numbers of one network for it."""

from __future__ import annotations

import gc
import os
import shlex
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import brian2
import numpy as np
from brian2.core.variables import DynamicArrayVariable

from spikebridge.bridge.discretise import GridNetwork
from spikebridge.bridge.disturbance import Disturbance
from spikebridge.bridge.full_disk import explain_full_disk
from spikebridge.bridge.physical import PhysicalUnits
from spikebridge.bridge.storage import atomic_path
from spikebridge.sim.backends import compiler_command, project_device
from spikebridge.sim.binaries import Binary, cached_binary, find_binary
from spikebridge.sim.disturbances import HEADER
from spikebridge.sim.scratch import ADVICE, Scratch
from spikebridge.sim.stream_build import Parameter, StreamBuilt, build_stream, parameters
from spikebridge.sim.unity_build import MAKE, write_unity_build

MAIN_LOOP = Path(__file__).with_name("sample_loop.h")
LOOP = "_sample_loop"
SAMPLES = "_samples"
PARAMETERS = "parameters.bin"


@dataclass(frozen=True, slots=True)
class Prepared:
    """What is needed to start simulations of one network, without Brian2.

    Attributes:
        binary: compiled for its shape.
        parameters: file of its numbers.
        states: population, variable and size of the population of every state variable, in the binary's order.
        lanes: samples that it simulates side by side.
        potential_unit: value of the readout's potential at u = 1.
        numbered: whether the numbers of the samples come with their inputs, as the spikes of one more.
    """

    binary: Binary
    parameters: Path
    states: tuple[tuple[str, str, int], ...]
    lanes: int
    potential_unit: float
    numbered: bool = False


def prepare(
    grid: GridNetwork,
    lanes: int,
    capacity: int,
    physical: PhysicalUnits | None,
    folder: Path,
    disturbance: Disturbance | None = None,
) -> Prepared:
    """Write the numbers of a network into `folder`, and compile its shape unless that was done before.

    Args:
        grid: the network on its grid.
        lanes: copies side by side.
        capacity: spikes per channel that an input plays in one step, see `build_stream`.
        physical: run in mV, pA, pF and nS instead of without units.
        folder: for the numbers and the generated sources.
        disturbance: noise and failures, None for none.

    Raises:
        SpecError: no compiler, or compiling failed.
        DataError: there is no space for temporary files.
    """
    sources = folder / "project"
    with atomic_path(folder / PARAMETERS, advice=ADVICE) as path, path.open("wb") as file:
        built = _generate(grid, lanes, capacity, physical, disturbance, sources, file)
    binary = cached_binary(sources, make=MAKE, compiler=_compiler())
    states = [(name, v, target.size) for name, target in built.populations.items() for v in target.model.state]
    # A count of spikes is finite; it is here because the binary looks at everything that it sets to 0.
    states += [(synapses.name, counter, 1) for synapses, counter in _counters(built, grid)]
    unit = built.populations[grid.spec.readout.population].model.potential_unit
    return Prepared(binary, folder / PARAMETERS, tuple(states), lanes, unit, disturbance is not None)


def is_compiled(
    grid: GridNetwork,
    lanes: int,
    capacity: int,
    physical: PhysicalUnits | None,
    disturbance: Disturbance | None = None,
) -> bool:
    """Whether `prepare` would find the shape of a network compiled."""
    with Scratch() as scratch, explain_full_disk(scratch.folder, advice=ADVICE):
        sources = scratch.folder / "project"
        _generate(grid, lanes, capacity, physical, disturbance, sources, None)
        return find_binary(sources, _compiler()) is not None


def _compiler() -> list[str]:
    """The whole command: `ccache g++` is another compiler than `ccache clang++`."""
    return [*shlex.split(os.environ.get("CXX") or compiler_command()), "--version"]


def _generate(
    grid: GridNetwork,
    lanes: int,
    capacity: int,
    physical: PhysicalUnits | None,
    disturbance: Disturbance | None,
    sources: Path,
    numbers: BinaryIO | None,
) -> StreamBuilt:
    """Write the sources of a shape, and the numbers of the network if there is a file for them."""
    # Brian2 numbers names that objects of an earlier network still have, and other names would be compiled again.
    gc.collect()
    headers = [MAIN_LOOP] if disturbance is None else [MAIN_LOOP, HEADER]
    with project_device(sources, headers=[f'"{path.name}"' for path in headers]):
        built = build_stream(grid, lanes, capacity, physical, disturbance)
        brian2.device.insert_code("main", _load(parameters(built, grid), numbers))
        built.network.run(0 * brian2.second, namespace={})
        brian2.device.insert_code("main", _serve(built, grid))
        brian2.device.build(directory=str(sources), compile=False, run=False, with_output=False)
    for path in headers:
        shutil.copy(path, sources / path.name)
    write_unity_build(sources)
    return built


def _counters(built: StreamBuilt, grid: GridNetwork) -> Iterator[tuple[Any, str]]:
    """Synapses and their variables that count the spikes of a sample."""
    for synapses, projection in zip(built.synapses, grid.projections, strict=True):
        for counter in built.populations[projection.projection.target].model.counters:
            yield synapses, counter


def _array(variable: Any) -> str:
    """The name of a variable's array in the generated code."""
    return str(brian2.device.get_array_name(variable, access_data=False))


def _load(values: Iterable[Parameter], file: BinaryIO | None) -> str:
    """The code that reads every parameter, in the order in which they are written to the file, if there is one."""
    lines = [f"spikebridge::SampleLoop {LOOP};"]
    for parameter in values:
        variable, array = parameter.variable, _array(parameter.variable)
        size = "" if isinstance(variable, DynamicArrayVariable) else f", _num_{array}"
        lines.append(f'{LOOP}.load("{variable.owner.name}.{variable.name}", {array}{size});')
        if file is not None:
            numbers = np.ascontiguousarray(parameter.values(), dtype=variable.dtype)
            # Not by `tofile`, which does not say why it could not write.
            file.write(np.array([numbers.size], dtype=np.int64).data)
            file.write(numbers.data)
    return "\n".join([*lines, f"{LOOP}.loaded();"])


def _serve(built: StreamBuilt, grid: GridNetwork) -> str:
    """The code that tells the main loop what to fill, reset and read, and starts it."""
    lines = []
    for group in built.inputs.values():
        names = [_array(group.variables[v]) for v in ("_timebins", "neuron_index", "_lastindex")]
        lines.append(f"{LOOP}.input({', '.join(names)}, {group.N});")
    if built.disturbance is not None:
        lines += [
            f"SpikebridgeSamples &{SAMPLES} = spikebridge_samples();",
            f"{LOOP}.input({SAMPLES}.lanes, {SAMPLES}.numbers, &{SAMPLES}.played, {built.lanes});",
        ]
    for name, target in built.populations.items():
        variables, size = target.group.variables, target.group.N
        lines += [f"{LOOP}.state({_array(variables[v])}, {size});" for v in target.model.state]
        if target.model.refractory_steps:
            lines.append(f"{LOOP}.last_spike({_array(variables['lastspike'])}, {size});")
        if name in grid.spec.spiking_populations:
            lines.append(f"{LOOP}.spikes({_array(variables['_spikespace'])}, {size});")
    for path in (path for synapses in built.synapses for path in synapses._pathways):
        lines += [f"{LOOP}.pathway({path.name});", f"{LOOP}.release({_array(path.variables['delay'])});"]
    for synapses, counter in _counters(built, grid):
        array = _array(synapses.variables[counter])
        lines.append(f"{LOOP}.state({array}.data(), {array}.size());")
    readout = built.populations[grid.spec.readout.population]
    potential = _array(readout.group.variables[readout.model.potential])
    updater = readout.group.state_updater.codeobj.name
    lines.append(f"{LOOP}.readout(_run_{updater}, {potential}, {readout.group.N});")
    return "\n".join([*lines, f"{LOOP}.serve({built.network.name}, {built.clock.name});", "return 0;"])
