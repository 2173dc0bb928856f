"""What is installed is what is on disk.

A package that is not listed in pyproject.toml works in an editable install and is missing from the wheel.
"""

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("bridge", "cli", "sim", "training", "validation")
LINKS = ROOT / ".pythonpath" / "spikebridge"


def packages_on_disk(root: Path) -> dict[str, str]:
    """Installed name -> folder, for every folder below FOLDERS that holds a Python file."""
    folders = {path.parent.relative_to(root) for folder in FOLDERS for path in (root / folder).rglob("*.py")}
    return {".".join(("spikebridge", *folder.parts)): folder.as_posix() for folder in folders}


def wrong_link(link: Path, target: Path) -> str | None:
    """Why `link` is not a relative symbolic link to `target`, or None."""
    if not link.is_symlink():
        return f"{link} is no symbolic link"
    if link.readlink().is_absolute():
        return f"{link} is absolute: it breaks in every other checkout"
    if link.resolve() != target.resolve():
        return f"{link} points at {link.readlink()}"
    return None


def unpinned(constraints: str) -> list[str]:
    """Lines that are neither a comment nor exactly `name==version`."""
    lines = [line.split("#")[0].strip() for line in constraints.splitlines()]
    return [line for line in lines if line and not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.!+]+", line)]


def canonical_name(requirement: str) -> str:
    """The name in a requirement, constraint or file name, spelled as packaging tools compare it."""
    match = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert match, requirement
    return re.sub(r"[-_.]+", "-", match[0]).lower()


@pytest.fixture(scope="module")
def pyproject() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_every_package_on_disk_is_listed(pyproject: dict[str, Any]) -> None:
    setuptools = pyproject["tool"]["setuptools"]
    assert setuptools["package-dir"] == packages_on_disk(ROOT)
    assert set(setuptools["packages"]) == set(setuptools["package-dir"])


def test_a_planted_package_is_found(tmp_path: Path) -> None:
    for name in ("sim/backends", "sim/no_python"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "sim/backends/cuda.py").touch()
    assert packages_on_disk(tmp_path) == {"spikebridge.sim.backends": "sim/backends"}


def test_links_for_type_checkers_point_at_the_folders() -> None:
    assert sorted(link.name for link in LINKS.iterdir()) == sorted(FOLDERS), "a namespace package holds nothing else"
    assert [wrong_link(LINKS / folder, ROOT / folder) for folder in FOLDERS] == [None] * len(FOLDERS)


def test_a_planted_wrong_link_is_found(tmp_path: Path) -> None:
    (tmp_path / "sim").mkdir()
    (tmp_path / "training").mkdir()
    link = tmp_path / "link"
    for target, reason in [(tmp_path / "sim", "is absolute"), (Path("training"), "points at training")]:
        link.symlink_to(target)
        assert reason in (wrong_link(link, tmp_path / "sim") or "")
        link.unlink()
    assert "is no symbolic link" in (wrong_link(tmp_path / "sim", tmp_path / "sim") or "")
    link.symlink_to("sim")
    assert wrong_link(link, tmp_path / "sim") is None


def test_constraints_pin_every_dependency(pyproject: dict[str, Any]) -> None:
    constraints = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    assert unpinned(constraints) == []
    pinned = {canonical_name(line) for line in constraints.splitlines() if line and not line.startswith("#")}
    project = pyproject["project"]
    needed = [
        *project["dependencies"],
        *(line for extra in project["optional-dependencies"].values() for line in extra),
    ]
    assert {canonical_name(requirement) for requirement in needed} - pinned == set()


def test_a_planted_loose_constraint_is_found() -> None:
    loose = ["numpy>=2", "torch", "--find-links wheels", "foo @ file:///foo.whl"]
    assert unpinned("\n".join(["# pins", "brian2==2.10.1", "brian2cuda==1.0b1  # pre-release", *loose])) == loose


def test_the_wheel_holds_every_file_and_no_top_level_package(tmp_path: Path) -> None:
    source = tmp_path / "source"
    # A copy, because setuptools writes into the folder it builds from.
    ignore = shutil.ignore_patterns("__pycache__")
    for folder in FOLDERS:
        shutil.copytree(ROOT / folder, source / folder, ignore=ignore)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(source)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr

    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    on_disk = (path.relative_to(ROOT) for folder in FOLDERS for path in (ROOT / folder).rglob("*") if path.is_file())
    assert held == {f"spikebridge/{path.as_posix()}" for path in on_disk if "__pycache__" not in path.parts}
