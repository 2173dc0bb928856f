"""Write docs/configuration.md from the configuration classes.

python docs/make_configuration.py
"""

import inspect
import json
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path
from typing import get_type_hints

from spikebridge.cli.config import RunConfig

TARGET = Path(__file__).parent / "configuration.md"
HEAD = """# Configuration

A configuration file is TOML and states only what differs from the defaults below; `--set section.key=value` overrides
it. Unknown keys, wrong types and values out of range are errors. This page is written by `docs/make_configuration.py`.
"""


def page() -> str:
    """The whole page."""
    defaults = asdict(RunConfig())
    sections = [HEAD]
    training = get_type_hints(RunConfig)["training"]
    sections.append(
        _section("top level", training, {k: v for k, v in defaults["training"].items() if not isinstance(v, dict)})
    )
    tables = {name: hint for name, hint in get_type_hints(training).items() if is_dataclass(hint)}
    tables |= {name: hint for name, hint in get_type_hints(RunConfig).items() if name != "training"}
    for name, hint in tables.items():
        values = defaults["training"].get(name) or defaults[name]
        sections.append(_section(f"[{name}]", hint, values))
    return "\n".join(sections)


def _section(title: str, kind: type, defaults: dict[str, object]) -> str:
    text = inspect.getdoc(kind) or ""
    summary, _, attributes = text.partition("Attributes:")
    lines = [f"## {title}", "", summary.strip(), "", "| key | default |", "|---|---|"]
    for field in fields(kind):
        if field.name in defaults:
            value = defaults[field.name]
            shown = "not set" if value is None else json.dumps(value)
            lines.append(f"| `{field.name}` | `{shown}` |")
    described = inspect.cleandoc(attributes).splitlines()
    items: list[str] = []
    for line in described:
        if line.startswith(" ") and items:
            items[-1] += " " + line.strip()
        elif line.strip():
            names, _, rest = line.partition(": ")
            items.append("- " + ", ".join(f"`{name}`" for name in names.split(", ")) + f": {rest}")
    return "\n".join([*lines, "", *items, ""])


if __name__ == "__main__":
    TARGET.write_text(page())
