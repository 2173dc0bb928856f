"""The picture of a first difference and its numbers, as two files."""

from __future__ import annotations

import json
from pathlib import Path

from spikebridge.bridge.errors import ConfigError
from spikebridge.bridge.storage import atomic_path
from spikebridge.validation.closeup import Closeup, Origin
from spikebridge.validation.diverge import Divergence
from spikebridge.validation.divergence_numbers import divergence_numbers
from spikebridge.validation.picture import render
from spikebridge.validation.plot_divergence import draw_divergence

FORMATS = (".png", ".svg")


def require_picture_name(path: Path) -> None:
    """Refuse a name that says no format.

    Raises:
        ConfigError: neither `.png` nor `.svg`, or a folder.
    """
    if path.suffix.lower() not in FORMATS or path.is_dir():
        raise ConfigError(f"--out {path}: give the name of the picture to write, ending in {' or '.join(FORMATS)}")


def write_divergence(
    divergence: Divergence, found: tuple[Origin, ...], closeup: Closeup, picture: Path
) -> tuple[Path, Path]:
    """Write the picture, in the format of its suffix, and beside it the numbers as `.json`.

    Returns:
        Both paths, the picture first.

    Raises:
        ConfigError: as `require_picture_name`.
    """
    require_picture_name(picture)
    image = render(draw_divergence(closeup), format=picture.suffix.lower().removeprefix("."))
    numbers = divergence_numbers(divergence, found, closeup)
    text = json.dumps(numbers, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    paths = (picture, picture.with_suffix(".json"))
    for path, content in zip(paths, (image, text.encode()), strict=True):
        with atomic_path(path) as temporary:
            temporary.write_bytes(content)
    return paths
