"""Documentation says what the code does: configuration page, README's links, commands and Python example."""

import importlib.util
import re
import shlex
from pathlib import Path

import pytest

from spikebridge.cli.config import valid_keys
from spikebridge.cli.main import build_parser

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()


def test_the_configuration_page_is_current() -> None:
    script = ROOT / "docs" / "make_configuration.py"
    spec = importlib.util.spec_from_file_location("make_configuration", script)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    page = (ROOT / "docs" / "configuration.md").read_text()
    assert page == module.page(), "run `python docs/make_configuration.py`"
    for key in valid_keys():
        name = key.split(".")[-1]
        assert f"| `{name}` |" in page
        explained = f"`{name}`" in page.replace(f"| `{name}` |", "")
        assert explained or (name.startswith("manifold_") and "`manifold_*`" in page), f"{key} is not explained"


def test_links_lead_somewhere() -> None:
    for document in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)", document.read_text()):
            if "://" not in target:
                assert (document.parent / target).exists(), f"{document.name}: {target}"


@pytest.mark.parametrize("page", ["README.md", "docs/simulation.md", "docs/sweep.md"])
def test_every_command_line_parses(page: str) -> None:
    lines = [line.strip() for line in (ROOT / page).read_text().splitlines()]
    commands = [match[1] for line in lines if (match := re.match(r"(?:[A-Z_]+=\S+ )?spikebridge ([^:].*)", line))]
    assert len(commands) >= 4
    parser = build_parser()
    for command in commands:
        parser.parse_args(shlex.split(command))


def test_the_python_example_compiles_and_imports_exist() -> None:
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert blocks
    for block in blocks:
        compile(block, "README.md", "exec")
        for line in block.splitlines():
            if line.startswith(("from ", "import ")):
                exec(line, {})
