"""What is used of Elephant, imported in one place so that it changes nothing about which warnings a user sees.

`elephant.spade` puts a filter for all `UserWarning`s of the process in front when it is imported, and any import of
Elephant imports it. Deprecations that derive from `UserWarning` too, such as those of pyparsing that Brian2 meets,
would be shown to users, whom they do not concern.
"""

from __future__ import annotations

import warnings
from typing import cast

_BEFORE = warnings.filters[:]

from elephant import spade  # noqa: E402
from elephant.spade import pattern_set_reduction  # noqa: E402
from elephant.spectral import welch_psd  # noqa: E402
from elephant.statistics import cv, isi, mean_firing_rate  # noqa: E402

__all__ = ["cv", "isi", "mean_firing_rate", "pattern_set_reduction", "spade", "welch_psd"]

_OF_SPADE = ("once", None, UserWarning, None, 0)
_filters = cast("list[object]", warnings.filters)
if _OF_SPADE in _filters and _OF_SPADE not in _BEFORE:  # filters that other libraries add meanwhile stay
    _filters.remove(_OF_SPADE)
