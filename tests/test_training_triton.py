"""The kernels for NVIDIA GPUs: in Triton's interpreter, compiled for a card that is not there, and on one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from spikebridge.training.gpu_kernels import MOST_RECURRENT, fetching_pays

TESTS = Path(__file__).resolve().parent
ON_CARD = pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU that PyTorch can use")


def checks(which: str, interpret: bool) -> None:
    """`triton_checks.py` in a process of its own: what is said to Triton has to be said before it is imported."""
    environment = {key: value for key, value in os.environ.items() if key != "TRITON_INTERPRET"}
    environment |= {"TRITON_INTERPRET": "1"} if interpret else {}
    environment.pop("PYTEST_ADDOPTS", None)
    # -P: the folder of the repository must not be on the path, see pyproject.toml.
    command = [sys.executable, "-P", "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", which]
    command += [str(TESTS / "triton_checks.py")]
    done = subprocess.run(command, cwd=TESTS.parent, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert " passed" in done.stdout
    assert "skipped" not in done.stdout


@pytest.mark.parametrize("which", ["scan", "projection", "network"])
def test_kernels_agree_with_pytorch_in_the_interpreter(which: str) -> None:
    pytest.importorskip("triton", reason="Triton comes with PyTorch's CUDA packages")
    checks(which, interpret=True)


@ON_CARD
@pytest.mark.parametrize("which", ["scan", "projection", "network"])
def test_kernels_agree_with_pytorch_on_a_card(which: str) -> None:
    checks(which, interpret=False)


COMPILE = """
import sys
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource, compile
from spikebridge.training.triton_backward import run_backward
from spikebridge.training.triton_forward import run_forward
from spikebridge.training.triton_gather import correlate, gather
from spikebridge.training.triton_scan import SUM_ROWS, tile_of
from spikebridge.training.triton_sums import add_up
from spikebridge.training.triton_types import Adjoints, Kind, Parameters, Tile, Traces

def built(function, pointers, numbers, constants, warps):
    types = {**pointers, **dict.fromkeys(numbers, "i32"), **dict.fromkeys(constants, "constexpr")}
    signature = {name: types[name] for name in function.arg_names}
    where = {(function.arg_names.index(name),): value for name, value in constants.items()}
    made = compile(ASTSource(function, signature, where), GPUTarget("cuda", 90, 32), {"num_warps": warps})
    print(function.__name__, len(made.asm["cubin"]), made.metadata.shared)

p, f = Parameters(*["*fp32"] * 3), "*fp32"
traces, g = Traces(f, f, f, f, f, "*i8", f, f), Adjoints(*[f] * 6)
base = dict(steps=100, size=256, adaptive=True, spiking=True, reset_value=-0.5, width=1.0, slope_while_frozen=False)
for kind in (
    Kind(**base, synapse=1, pulse_steps=1, refractory_steps=1, to_value=False, lag=0, surrogate=1),
    Kind(**base, synapse=2, pulse_steps=0, refractory_steps=3, to_value=True, lag=-1, surrogate=4),
    Kind(**base | dict(size=512), synapse=1, pulse_steps=3, refractory_steps=2, to_value=False, lag=2, surrogate=0),
    Kind(**base | dict(size=20), synapse=0, pulse_steps=0, refractory_steps=1, to_value=True, lag=0, surrogate=3),
):
    tile, warps = tile_of(kind)
    shape = {"kind": kind, "tile": tile}
    built(run_forward, {"p": p, "traces": traces}, ["batch"], shape | {"keep": True}, warps)
    asked = {"wanted": (True, True, True)}
    built(run_backward, {"p": p, "traces": traces, "g": g}, ["batch"], shape | asked, warps)
    sums = {"kind": kind, "tile": Tile(8, 64, 1), "chunk": SUM_ROWS}
    built(add_up, {"p": p, "traces": traces, "g": g, "result": f}, ["total"], sums, 4)
sizes = dict(sources=140, targets=256, steps=100, taps=4, rows=32, columns=128)
built(gather, dict(inputs=f, values=f, lag="*i32", result=f), [], sizes | {"sign": -1}, 4)
built(correlate, dict(inputs=f, given=f, lag="*i32", result=f), ["batch"], sizes | {"samples": 16}, 4)
"""


@pytest.mark.slow
def test_kernels_compile_for_a_card_that_is_not_there(tmp_path: Path) -> None:
    """To machine code of compute capability 9.0, by the assembler that comes with Triton; and fit its shared memory."""
    pytest.importorskip("triton", reason="Triton comes with PyTorch's CUDA packages")
    environment = os.environ | {"TRITON_CACHE_DIR": str(tmp_path), "TRITON_INTERPRET": "0"}
    command = [sys.executable, "-P", "-c", COMPILE]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    built = [line.split() for line in done.stdout.splitlines()]
    assert [name for name, _, _ in built] == ["run_forward", "run_backward", "add_up"] * 4 + ["gather", "correlate"]
    for name, code_bytes, shared_bytes in built:
        assert int(code_bytes) > 1000, name
        assert int(shared_bytes) <= 227 * 1024, name


def test_few_taps_of_many_delays_are_fetched() -> None:
    pytest.importorskip("triton", reason="Triton comes with PyTorch's CUDA packages")
    assert fetching_pays(4, 26)
    assert fetching_pays(1, 26)
    assert not fetching_pays(26, 26)
    assert not fetching_pays(4, 16)
    assert not fetching_pays(100, 1000)  # compiled for too many numbers of taps otherwise
    assert MOST_RECURRENT >= 256
