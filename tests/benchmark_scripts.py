"""Scripts of `benchmarks/` as modules."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import pytest
import torch

ROOT = Path(__file__).resolve().parent.parent


@contextmanager
def benchmark_script(name: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """`benchmarks/NAME.py` with its neighbours importable, and forgotten again afterwards."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    monkeypatch.setenv("OMP_WAIT_POLICY", "passive")  # importing it sets this, for the script's own process
    before, threads = set(sys.modules), torch.get_num_threads()
    yield importlib.import_module(name)
    torch.set_num_threads(threads)
    for module in set(sys.modules) - before:
        if (getattr(sys.modules[module], "__file__", None) or "").startswith(str(ROOT / "benchmarks")):
            del sys.modules[module]
