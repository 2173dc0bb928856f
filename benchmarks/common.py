"""What benchmarks share: the section each appends to RESULTS.md (machine, versions, command, table), peak memory."""

import contextlib
import datetime
import os
import platform
from pathlib import Path

import numpy as np

from spikebridge.bridge.provenance import versions

# As the command line does; before PyTorch is imported. Threads that spin while they wait slow each other down.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

RESULTS = Path(__file__).parent / "RESULTS.md"


def processor() -> str:
    """The processor's name, as the system tells it."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown processor"


def peak_mib() -> float:
    """Peak memory of this process so far."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def forget_peak() -> None:
    """Let `peak_mib` count from here; where the system forbids it, it goes on counting from the start."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def spread(values: list[float], form: str = ".1f") -> str:
    """Mean and standard deviation over seeds; only the mean of one."""
    mean = f"{np.mean(values):{form}}"
    return mean if len(values) == 1 else f"{mean} ± {np.std(values, ddof=1):{form.lstrip('+')}}"


def append_results(title: str, command: str, lines: list[str], checksums: dict[str, str] | None = None) -> None:
    """Append one section and print it."""
    known = versions("torch", "brian2", "scikit-learn")
    text = "\n".join(
        [
            f"\n## {title}, {datetime.date.today().isoformat()}",
            "",
            f"`{command}`",
            "",
            f"{processor()}, {os.cpu_count()} cores, {platform.system()}; "
            + ", ".join(f"{name.removeprefix('version.')} {value}" for name, value in known.items())
            + "".join(f"; {name} sha256 {value}" for name, value in (checksums or {}).items()),
            "",
            *lines,
            "",
        ]
    )
    with RESULTS.open("a", encoding="utf-8") as file:
        file.write(text)
    print(text)
