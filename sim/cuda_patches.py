"""What is changed in the sources that brian2cuda 1.0b1 generates, each with its reason.

A line that is not found, or found twice, is an error: the program would run without the change.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from spikebridge.bridge.errors import SpecError

HEAP_VARIABLE = "SPIKEBRIDGE_GPU_HEAP_MIB"
"""Environment variable from which a generated program takes the size of the heap."""

OTHER_VERSION = "this is not version 1.0b1 (pip install brian2cuda==1.0b1)"


@dataclass(frozen=True, slots=True)
class Patch:
    """A change of one line.

    Attributes:
        files: pattern of the files, relative to the project.
        old: text that occurs once in every one of them.
        new: what replaces it.
    """

    files: str
    old: str
    new: str


def patches(clock: str) -> tuple[Patch, ...]:
    """The changes for a network on one clock of the given name."""
    return (
        # Where all delays of a pathway are equal, its effects start once `defaultclock` has reached the delay. Ours is
        # another clock, and the default one, without an object that uses it, does not even exist in the program.
        *(
            Patch(
                f"code_objects/synapses_*_{pathway}_codeobject.cu", "defaultclock.timestep[0]", f"{clock}.timestep[0]"
            )
            for pathway in ("pre", "off")
        ),
        # A lock protects the queues of a block of targets. Released before its writes are visible to other
        # multiprocessors, or taken without dropping what their caches hold, it can lose spikes.
        Patch(
            "brianlib/spikequeue.h",
            "while (atomicCAS((int *)lock, 0, 1) != 0);",
            "while (atomicCAS((int *)lock, 0, 1) != 0);\n        __threadfence();",
        ),
        Patch(
            "brianlib/spikequeue.h",
            "        *lock = 0;\n        __threadfence();",
            "        __threadfence();\n        *lock = 0;",
        ),
        # Written as a product of int, 2 GiB and more overflow; and one program is to serve any size.
        Patch(
            "main.cu",
            "size_t limit = 128 * 1024 * 1024;",
            f'const char* _heap_mib = std::getenv("{HEAP_VARIABLE}");\n'
            f'    if (!_heap_mib) {{ fprintf(stderr, "ERROR: {HEAP_VARIABLE} is not set\\n"); return 1; }}\n'
            "    size_t limit = (size_t)std::strtoull(_heap_mib, NULL, 10) * 1024 * 1024;",
        ),
        # Looking for two synapses of one pair of neurons takes half a microsecond and 64 bytes per synapse on the host,
        # for an answer that is used only where effects are applied without atomic operations.
        Patch(
            "code_objects/synapses_*_synapses_create_array_codeobject.cu",
            "for (int _i=0; _i<newsize; _i++)",
            "for (int _i=0; _i<0; _i++)",
        ),
        # One copy to the card per delay of a neuron; they follow each other in memory, on both sides.
        Patch(
            "code_objects/before_run_*_push_spikes.cu",
            "size_t memory_size = sizeof(int32_t) * num_synapses;",
            "size_t memory_size = bundle_idx == 0 ? sizeof(int32_t) * num_elements : 0;",
        ),
    )


# Resizes an array of one synapse each: (whole, name).
_RESIZE = re.compile(r"^ +THRUST_CHECK_ERROR\(\n +dev(\w+)\.resize\(newsize\)\n +\);\n +\1\.resize\(newsize\);\n", re.M)


def sort_resizes(project: Path) -> None:
    """Put what brian2cuda writes in the order of a set, another in every process, into one order."""
    for path in project.glob("code_objects/synapses_*_synapses_create_array_codeobject.cu"):
        text = path.read_text()
        found = list(_RESIZE.finditer(text))
        for place, match in zip(reversed(found), sorted(found, key=lambda match: match[1], reverse=True), strict=True):
            text = text[: place.start()] + match[0] + text[place.end() :]
        path.write_text(text)


def apply(project: Path, changes: tuple[Patch, ...]) -> None:
    """Change the generated sources in a folder.

    Raises:
        SpecError: a line is not there exactly once, so this is another brian2cuda.
    """
    for change in changes:
        paths = sorted(project.glob(change.files))
        if not paths and "*" not in change.files:
            raise SpecError(f"brian2cuda generates no {change.files}: {OTHER_VERSION}")
        for path in paths:
            text = path.read_text()
            if text.count(change.old) != 1:
                raise SpecError(
                    f"brian2cuda generates {path.name} with {text.count(change.old)} times {change.old!r} where 1 is "
                    f"expected: {OTHER_VERSION}"
                )
            path.write_text(text.replace(change.old, change.new))
