"""What a search for patterns found as a file, so that a report can be made again without searching."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from spikebridge.bridge.errors import DataError
from spikebridge.bridge.recording import Recording
from spikebridge.bridge.storage import atomic_path
from spikebridge.validation.accuracy import Proportion
from spikebridge.validation.patterns_analysis import collected, data_sets, identity, searchable
from spikebridge.validation.patterns_parameters import PatternParameters
from spikebridge.validation.patterns_result import DataSet, Found, PatternAnalysis, proportion

FORMAT, FORMAT_VERSION = "spikebridge/patterns-search", 2


def save_search(analysis: PatternAnalysis, recording: Recording, path: Path) -> None:
    """Write what was found in all populations and classes of a recording.

    Raises:
        DataError: there is no space for it.
    """
    content = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "identity_sha256": _identity(recording, analysis.parameters),
        "found": {found.data.key: _found(found) for found in analysis.found},
    }
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content, allow_nan=False) + "\n", encoding="utf-8")


def load_search(path: Path, recording: Recording, parameters: PatternParameters) -> PatternAnalysis | None:
    """The search of this recording with these parameters; None if the file is missing or of another search.

    Raises:
        DataError: the file is damaged.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise DataError(f"no search for patterns ({error}); delete it, and it is made again", path=path) from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise DataError("no search for patterns; delete it, and it is made again", path=path)
    if (content["format_version"], content["identity_sha256"]) != (FORMAT_VERSION, _identity(recording, parameters)):
        return None
    sets = data_sets(recording)
    full = searchable(sets)
    found = [_restored(data, parameters, content["found"][data.key]) for data in full]
    return collected(recording, parameters, found, [data for data in sets if data not in full])


def _identity(recording: Recording, parameters: PatternParameters) -> str:
    text = json.dumps(identity(searchable(data_sets(recording)), parameters), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _found(found: Found) -> dict[str, Any]:
    return {
        "min_occurrences": found.min_occurrences,
        "observed": found.observed.tolist(),
        "chance": found.chance.tolist(),
        "p_values": found.p_values.tolist(),
        "significant": found.significant,
        "compared": found.compared,
        "patterns": list(found.patterns),
        "false_positives": _hits(found.false_positives),
        "independent": _hits(found.independent),
        "power": [[*cell, _hits(share)] for cell, share in found.power.items()],
    }


def _restored(data: DataSet, parameters: PatternParameters, content: Mapping[str, Any]) -> Found:
    return Found(
        data=data,
        min_occurrences=content["min_occurrences"],
        smallest=parameters.min_spikes,
        observed=np.array(content["observed"], dtype=np.int64),
        chance=np.array(content["chance"], dtype=np.int64),
        p_values=np.array(content["p_values"]),
        significant=content["significant"],
        compared=content["compared"],
        patterns=tuple(content["patterns"]),
        false_positives=proportion(*content["false_positives"]),
        independent=proportion(*content["independent"]),
        power={(size, count): None if hits is None else proportion(*hits) for size, count, hits in content["power"]},
    )


def _hits(share: Proportion | None) -> tuple[int, int] | None:
    return None if share is None else (share.hits, share.samples)
