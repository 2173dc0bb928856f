"""Compile a generated project in two pieces instead of a hundred.

Brian2 writes a source file per operation, several for every projection, and each of them includes the standard library
again: that is nine tenths of the time it takes to compile. Here every operation is included into one file, in a
namespace of its own, because all of them define the same helpers. The other file allocates arrays; it is long and never
in a loop, so it is not optimised. The arithmetic is compiled with the same flags as before, and has the same bits.
"""

from __future__ import annotations

from pathlib import Path

LOOPS = "loops.cpp"
ARRAYS = "objects.cpp"
OPERATIONS = "code_objects"
MAKE = ("make", "-j2")

# Make prefers this file to Brian2's `makefile`, and `override` its values to those in there.
_MAKEFILE = f"""\
override SRCS = {LOOPS} {ARRAYS}
override H_SRCS =
override DEPS =
include makefile
{ARRAYS.removesuffix(".cpp")}.o: OPTIMISATIONS += -O0
"""


def write_unity_build(project: Path) -> None:
    """Add a file that includes the others, and a makefile that compiles it; `MAKE` in that folder then makes `main`.

    Args:
        project: folder of a C++ standalone project that Brian2 has generated.
    """
    operations = sorted((project / OPERATIONS).glob("*.cpp"))
    others = sorted(
        path for pattern in ("*.cpp", "brianlib/*.cpp") for path in project.glob(pattern) if path.name != ARRAYS
    )
    lines = _headers(operations)
    for number, path in enumerate(operations):
        # Inline: the others see its function as if it were outside.
        lines += [f"inline namespace operation_{number} {{", _include(path, project), "}"]
    lines += [_include(path, project) for path in others]
    (project / LOOPS).write_text("\n".join([*lines, ""]))
    (project / "GNUmakefile").write_text(_MAKEFILE)


def _headers(operations: list[Path]) -> list[str]:
    """What the operations include, to be included once, outside of any namespace; not the declarations of each."""
    lines = (line for path in operations for line in path.read_text().splitlines() if line.startswith("#include"))
    return sorted({line for line in lines if f'"{OPERATIONS}/' not in line})


def _include(path: Path, project: Path) -> str:
    return f'#include "{path.relative_to(project).as_posix()}"'
