"""Reports without what takes most of their time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

BLANK = b'<svg xmlns="http://www.w3.org/2000/svg"/>'


@contextmanager
def pictures_blank() -> Iterator[None]:
    """A report's pictures are drawn but not written out, for tests of its words and numbers."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("spikebridge.validation.picture.render", lambda figure, **_: BLANK)
        yield
