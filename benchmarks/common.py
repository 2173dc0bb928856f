"""What every benchmark appends to RESULTS.md: machine, versions, date, command, and the table."""

import datetime
import os
import platform
from pathlib import Path

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
