"""What a sweep leaves behind: a page, numbers, and a configuration for each trial on the frontier."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optuna.trial import FrozenTrial, TrialState

from spikebridge.cli.config import save_config
from spikebridge.cli.sweep_request import SweepRequest
from spikebridge.training.config_sweep import Dimension
from spikebridge.training.sweep_study import STOPPED, scores_of
from spikebridge.validation.sweep_report import build_sweep_report, write_sweep
from spikebridge.validation.sweep_result import SweepResult, SweptTrial, setting_text

if TYPE_CHECKING:
    from spikebridge.training.sweep_space import SearchSpace
    from spikebridge.training.sweep_study import SweepStudy
    from spikebridge.validation.page import Report

FRONTIER = "frontier-trial-{}.toml"
"""By the number of the trial, which stays the same when a sweep goes on; its place on the frontier does not."""


def write_output(request: SweepRequest, study: SweepStudy, space: SearchSpace) -> tuple[Report, tuple[Path, Path]]:
    """Write `sweep.html`, `sweep.json` and `frontier-trial-N.toml`; files of trials that left the frontier are deleted.

    Returns:
        The report, and the paths of page and numbers.

    Raises:
        DataError: there is no space for them.
    """
    files: dict[int, Path] = {}
    for trial in study.best_trials:
        files[trial.number] = request.out / FRONTIER.format(trial.number)
        save_config(request.configured(study.values(trial)), files[trial.number])
    for path in request.out.glob(FRONTIER.format("*")):
        if path not in files.values():
            path.unlink()
    first = request.config.training.seed
    result = SweepResult(
        name=request.name,
        trials=tuple(
            _swept(trial, study.values(trial), files.get(trial.number))
            for trial in study.trials(TrialState.COMPLETE, TrialState.PRUNED)
        ),
        realisations=request.config.sweep.realisations,
        seeds=tuple(range(first, first + request.config.sweep.realisations)),
        space={key: _described(dimension) for key, dimension in space.dimensions.items()},
        data=None if request.data is None else str(request.data),
    )
    report = build_sweep_report(result)
    return report, write_sweep(report, request.out)


def _swept(trial: FrozenTrial, values: Mapping[str, Any], file: Path | None) -> SweptTrial:
    scores = scores_of(trial)
    return SweptTrial(
        number=trial.number,
        settings=values,
        accuracy=scores.accuracy,
        rate_hz=scores.rate_hz,
        stopped=trial.user_attrs.get(STOPPED),
        file=None if file is None else str(file),
    )


def _described(dimension: Dimension) -> str:
    """A dimension in words."""
    if dimension.low is None or dimension.high is None:
        return ", ".join(setting_text(choice) for choice in dimension.choices)
    how = ", logarithmic" if dimension.log else f" in steps of {dimension.step:g}" if dimension.step else ""
    return f"{dimension.low:g} to {dimension.high:g}{how}"
