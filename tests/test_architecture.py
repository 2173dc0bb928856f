"""The dependency rule and the size limits, read from the source text: nothing is imported."""

import ast
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import pytest

ROOT = Path(__file__).resolve().parent.parent
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60
MEDIAN_FILE_LINES = 150

SIBLINGS = frozenset({"training", "sim", "validation"})
PACKAGES = SIBLINGS | {"bridge", "cli"}
# The sub-packages of spikebridge that a layer may import besides itself; "" is every file outside them, such as tests.
ALLOWED = {"bridge": frozenset[str](), **dict.fromkeys(SIBLINGS, frozenset({"bridge"})), "cli": PACKAGES, "": PACKAGES}
# The libraries that it may not: the training knows no simulator, the simulation no PyTorch, the contract neither.
TRAINING_LIBRARIES = frozenset({"torch", "DCLS"})
SIMULATION_LIBRARIES = frozenset({"brian2", "brian2cuda"})
VALIDATION_LIBRARIES = frozenset({"elephant", "neo", "quantities"})
FORBIDDEN = {
    "bridge": TRAINING_LIBRARIES | SIMULATION_LIBRARIES | VALIDATION_LIBRARIES,
    "training": SIMULATION_LIBRARIES | VALIDATION_LIBRARIES,
    "sim": TRAINING_LIBRARIES | VALIDATION_LIBRARIES,
    "validation": TRAINING_LIBRARIES | SIMULATION_LIBRARIES,
}


def imported_names(source: str) -> Iterator[tuple[int, str]]:
    """Line and dotted name of every import at any depth, `from x import y` as `x.y`; relative ones start with a dot."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import():
                yield from ((node.lineno, alias.name) for alias in node.names)
            case ast.ImportFrom():
                start = "." * node.level + (node.module or "")
                yield from ((node.lineno, f"{start}.{alias.name}") for alias in node.names)
            case ast.Call(
                func=ast.Name(id="import_module" | "__import__") | ast.Attribute(attr="import_module"),
                args=[ast.Constant(value=str(name)), *_],
            ):
                yield node.lineno, name


def test_elephant_is_imported_in_one_place() -> None:
    """There, what its import does to warnings is undone."""
    importing = {
        path.name
        for path in (ROOT / "validation").glob("*.py")
        if any(name.partition(".")[0] == "elephant" for _, name in imported_names(path.read_text()))
    }
    assert importing == {"elephant_functions.py"}


def import_violations(source: str, layer: str) -> list[str]:
    """What the imports of a file in the folder `layer` ("" for none) break."""
    found = []
    for line, name in imported_names(source):
        first, _, rest = name.partition(".")
        package = rest.partition(".")[0]
        if not first:
            found.append(f"line {line}: relative import {name}")
        elif first in PACKAGES:
            found.append(f"line {line}: {name} is spelled spikebridge.{name}")
        elif first == "spikebridge" and package not in ALLOWED[layer] | {layer}:
            found.append(f"line {line}: {layer} may not import {name}")
        elif first in FORBIDDEN.get(layer, ()):
            found.append(f"line {line}: {layer} may not import the library {first}")
    return found


def long_functions(source: str, limit: int) -> list[str]:
    """Functions and methods of more than `limit` lines, from `def` to their last line."""
    return [
        f"line {node.lineno}: {node.name} has {length} lines"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (length := (node.end_lineno or node.lineno) - node.lineno + 1) > limit
    ]


def python_files(folders: frozenset[str]) -> list[str]:
    """Paths below the root, sorted: workers of a parallel run must collect the same order."""
    return sorted(str(path.relative_to(ROOT)) for folder in folders for path in (ROOT / folder).rglob("*.py"))


PACKAGE_FILES = python_files(PACKAGES)
ALL_FILES = python_files(PACKAGES | {"tests", "benchmarks", "examples"})


def read(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def layer_of(path: str) -> str:
    folder = Path(path).parts[0]
    return folder if folder in PACKAGES else ""


@pytest.mark.parametrize("path", ALL_FILES)
def test_imports_follow_the_dependency_rule(path: str) -> None:
    assert import_violations(read(path), layer_of(path)) == []


@pytest.mark.parametrize("path", PACKAGE_FILES)
def test_files_and_functions_stay_short(path: str) -> None:
    source = read(path)
    assert len(source.splitlines()) <= MAX_FILE_LINES
    assert long_functions(source, MAX_FUNCTION_LINES) == []


def test_the_median_file_stays_short() -> None:
    assert median(len(read(path).splitlines()) for path in PACKAGE_FILES) < MEDIAN_FILE_LINES


@pytest.mark.parametrize(
    ("layer", "source"),
    [
        ("training", "import spikebridge.sim.build"),
        ("training", "from spikebridge import validation"),
        ("training", "from spikebridge import *"),
        ("sim", "def later():\n    from spikebridge.training.fit import fit"),
        ("validation", "import importlib\nimportlib.import_module('spikebridge.sim')"),
        ("bridge", "from spikebridge.training import fit"),
        ("bridge", "import numpy, torch.nn"),
        ("bridge", "from brian2 import NeuronGroup"),
        ("training", "from brian2 import ms"),
        ("sim", "import torch"),
        ("validation", "import brian2.units"),
        ("cli", "from . import main"),
        ("cli", "from .main import main"),
        ("cli", "import bridge"),
        ("", "from bridge.spec import NetworkSpec"),
        ("", "from sim import build"),
    ],
)
def test_a_planted_import_is_found(layer: str, source: str) -> None:
    assert len(import_violations(source, layer)) == 1


@pytest.mark.parametrize(
    ("layer", "source"),
    [
        ("bridge", "import numpy as np\nfrom spikebridge.bridge.spec import NetworkSpec"),
        ("training", "import torch\nfrom spikebridge import bridge\nfrom spikebridge.training.data import events"),
        ("sim", "import brian2\nimport simplejson"),
        ("validation", "import elephant.statistics\nfrom neo import SpikeTrain"),
        ("cli", "def run():\n    from spikebridge.training import fit\n    from spikebridge.sim import build"),
        ("", "import torch, brian2\nfrom spikebridge.cli.main import main"),
    ],
)
def test_a_proper_import_is_not(layer: str, source: str) -> None:
    assert import_violations(source, layer) == []


def test_a_planted_long_function_is_found() -> None:
    three_lines = "class A:\n    def b(self):\n        x = 1\n        return x\n"
    assert long_functions(three_lines, limit=2) == ["line 2: b has 3 lines"]
    assert long_functions(three_lines, limit=3) == []
