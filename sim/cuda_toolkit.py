"""The CUDA toolkit that compiles for a GPU: where it is, its version, and what it can compile for."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from spikebridge.bridge.errors import SpecError
from spikebridge.sim.backends import compiler_command
from spikebridge.sim.binaries import cache_folder

SUPPORTED = (12, 13)
USUAL_FOLDER = "/usr/local/cuda"
ON_A_CPU = "backend 'cpp' does the same on a CPU"
GET_TOOLKIT = (
    "install the CUDA toolkit, version 12 or 13 (https://developer.nvidia.com/cuda-downloads), and put its bin folder "
    f"on the PATH; {ON_A_CPU}"
)


@dataclass(frozen=True, slots=True)
class Toolkit:
    """A CUDA toolkit.

    Attributes:
        folder: where it is installed; the compiler is `bin/nvcc` in it.
        version: of the compiler, as (13, 0).
        architectures: compute capabilities it compiles for, as "9.0".
        include_folders: headers outside the toolkit.
        library_folders: libraries outside the toolkit.
    """

    folder: Path
    version: tuple[int, int]
    architectures: frozenset[str]
    include_folders: tuple[Path, ...] = ()
    library_folders: tuple[Path, ...] = ()

    @property
    def nvcc(self) -> Path:
        """The compiler."""
        return self.folder / "bin" / "nvcc"


def find_toolkit() -> Toolkit:
    """The toolkit of the nvcc on the PATH, or else in $CUDA_PATH, $CUDA_HOME or /usr/local/cuda.

    Raises:
        SpecError: brian2cuda, nvcc, its cuRAND, make or the C++ compiler is missing, or nvcc has another version than
            12 or 13; says how to get it.
    """
    require_brian2cuda()
    _require_programs()
    nvcc = _find_nvcc()
    version = parse_version(_output(nvcc, "--version"))
    folder = parse_folder(_output(nvcc, "--dryrun", "-c", "nothing.cu"), nvcc)
    architectures = parse_architectures(_output(nvcc, "--list-gpu-code"))
    if _curand_header(folder) is not None:
        return Toolkit(folder, version, architectures)
    links = _linked_curand(version)
    return Toolkit(folder, version, architectures, (links / "include",), (links / "lib",))


def require_brian2cuda() -> None:
    """Refuse to go on without brian2cuda.

    Raises:
        SpecError: saying how to install it.
    """
    if importlib.util.find_spec("brian2cuda") is None:
        raise SpecError(f"backend 'cuda' needs the package brian2cuda: pip install \"spikebridge[cuda]\"; {ON_A_CPU}")


def parse_version(text: str) -> tuple[int, int]:
    """The version in what `nvcc --version` prints.

    Raises:
        SpecError: it says none, or one that is not supported.
    """
    found = re.search(r"release (\d+)\.(\d+)", text)
    if found is None:
        raise SpecError(f"nvcc --version does not say which release it is: {text[-200:]!r}; {GET_TOOLKIT}")
    version = int(found[1]), int(found[2])
    if version[0] not in SUPPORTED:
        raise SpecError(f"nvcc is of CUDA {version[0]}.{version[1]}, which is not supported; {GET_TOOLKIT}")
    return version


def parse_folder(dryrun: str, nvcc: Path) -> Path:
    """Where the toolkit is, from what `nvcc --dryrun` prints; nvcc itself may be a link or a script that calls it."""
    found = re.search(r"^#\$ TOP=(.+)$", dryrun, re.MULTILINE)
    return (Path(found[1].strip()) if found else nvcc.resolve().parent.parent).resolve()


def parse_architectures(text: str) -> frozenset[str]:
    """Compute capabilities from what `nvcc --list-gpu-code` prints: sm_120 is "12.0"."""
    return frozenset(f"{int(code) // 10}.{int(code) % 10}" for code in re.findall(r"\bsm_(\d+)\b", text))


def _require_programs() -> None:
    missing = [program for program in (compiler_command(), "make") if shutil.which(program) is None]
    if missing:
        raise SpecError(
            f"backend 'cuda' needs {' and '.join(missing)}, not found on the PATH (Debian, Ubuntu: apt install g++ "
            "make)"
        )


def _find_nvcc() -> Path:
    if found := shutil.which("nvcc"):
        return Path(found)
    for folder in (os.environ.get("CUDA_PATH"), os.environ.get("CUDA_HOME"), USUAL_FOLDER):
        if folder and (Path(folder) / "bin" / "nvcc").is_file():
            return Path(folder) / "bin" / "nvcc"
    raise SpecError(
        f"backend 'cuda' needs nvcc, found neither on the PATH nor in $CUDA_PATH or {USUAL_FOLDER}: {GET_TOOLKIT}"
    )


def _output(nvcc: Path, *arguments: str) -> str:
    try:
        done = subprocess.run([nvcc, *arguments], capture_output=True, text=True, check=False)
    except OSError as error:
        raise SpecError(f"{nvcc} does not start: {error}; {GET_TOOLKIT}") from error
    return done.stdout + done.stderr


def _curand_header(folder: Path) -> Path | None:
    for header in (folder / "include" / "curand.h", *folder.glob("targets/*/include/curand.h")):
        if header.is_file():
            return header
    return None


def _linked_curand(version: tuple[int, int]) -> Path:
    """A folder with links to cuRAND of its Python wheel, as a compiler looks for it.

    brian2cuda's programs include cuRAND, whether or not they draw random numbers. Only cuRAND is linked: the wheel's
    folder has further headers, of another version than the toolkit's.
    """
    places = {12: "curand", 13: "cu13"}
    spec = importlib.util.find_spec("nvidia")
    for root in [] if spec is None else [Path(place) for place in spec.submodule_search_locations or ()]:
        wheel = root / places[version[0]]
        headers = sorted(wheel.glob("include/curand*.h"))
        library = next(iter(sorted(wheel.glob("lib/libcurand.so.*"))), None)
        if headers and library is not None:
            return _links(
                cache_folder() / "curand" / f"{version[0]}-{hashlib.sha256(str(wheel).encode()).hexdigest()[:16]}",
                headers,
                library,
            )
    raise SpecError(
        f"the CUDA toolkit has no cuRAND, which brian2cuda includes: install the toolkit's cuRAND (Debian, Ubuntu: apt "
        f"install libcurand-dev-{version[0]}-{version[1]}) or its wheel (pip install nvidia-curand"
        f"{'-cu12' if version[0] == 12 else ''})"
    )


def _links(target: Path, headers: list[Path], library: Path) -> Path:
    if (target / "lib" / "libcurand.so").is_file():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".links-", dir=target.parent) as temporary:
        whole = Path(temporary) / "curand"
        for folder in ("include", "lib"):
            (whole / folder).mkdir(parents=True)
        for header in headers:
            (whole / "include" / header.name).symlink_to(header)
        (whole / "lib" / "libcurand.so").symlink_to(library)
        (whole / "lib" / library.name).symlink_to(library)
        shutil.rmtree(target, ignore_errors=True)  # links whose wheel is gone
        try:
            whole.rename(target)
        except OSError:
            if not (target / "lib" / "libcurand.so").is_file():  # another process was faster, or it cannot be written
                raise
    return target
