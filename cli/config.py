"""Configuration files: TOML with overrides, every key checked, errors that name the key and the nearest valid one."""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, fields, is_dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Self, get_type_hints

import tomli_w
from pydantic import Field, TypeAdapter, ValidationError, model_validator
from pydantic.dataclasses import dataclass

from spikebridge.bridge.errors import ConfigError
from spikebridge.bridge.storage import atomic_path
from spikebridge.cli.knobs_run import DROP_POINTS
from spikebridge.cli.steps import require_steps
from spikebridge.sim.options import SimulationOptions
from spikebridge.training.config import TrainingConfig
from spikebridge.training.config_fields import STRICT
from spikebridge.training.config_sweep import SweepConfig, flattened
from spikebridge.validation.labelled import CONTINUOUS_STEP_MS
from spikebridge.validation.patterns_parameters import PatternParameters


@dataclass(frozen=True, config=STRICT)
class StagesConfig:
    """What `run` does besides training, the grid simulation and its replay.

    Attributes:
        finer_steps_ms: simulate at these steps too, inputs at their true times, and report accuracy, rates and spike
            times. Coarser steps than the training's are allowed as well; every step must divide the duration, and with
            `pulse` synapses their width. The training step itself is `grid.h5` and may be in the list.
        continuous: simulate at 0.1 ms into `continuous.h5` and report what the network loses against training; if
            `finer_steps_ms` lists 0.1 as well, it is simulated once.
        physical: simulate in mV, pA, pF and nS too, at the finest of all these steps, and require the spikes of the
            simulation without units.
        patterns: search `continuous.h5`, or `grid.h5` if there is none, for spatio-temporal spike patterns with the
            parameters of `[patterns]`, as a chapter of the report.
        knobs: change one thing at a time in Brian2 and see what it costs, as `[knobs]` says, as a chapter of the report
            and in the folder `knobs`.
    """

    finer_steps_ms: tuple[Annotated[float, Field(gt=0)], ...] = ()
    continuous: bool = False
    physical: bool = False
    patterns: bool = False
    knobs: bool = False


@dataclass(frozen=True, config=STRICT)
class KnobsConfig:
    """How the realism knobs are turned, at the amounts of `spikebridge knobs`.

    Attributes:
        samples: drawn with the seed, equally many of every class; not given, 100 of them, or all if there are fewer.
        draws: of every random change.
        seed: of draws and samples.
        drop_points: percentage points of accuracy that the summary looks for.
    """

    samples: Annotated[int, Field(ge=1)] | None = None
    draws: Annotated[int, Field(ge=1)] = 3
    seed: Annotated[int, Field(ge=0)] = 0
    drop_points: Annotated[float, Field(gt=0, le=100)] = DROP_POINTS


@dataclass(frozen=True, config=STRICT)
class RunConfig:
    """A whole run. In the file the tables of `training` stand at the top level, beside the other tables."""

    training: TrainingConfig = Field(default_factory=TrainingConfig)
    simulation: SimulationOptions = Field(default_factory=SimulationOptions)
    stages: StagesConfig = Field(default_factory=StagesConfig)
    patterns: PatternParameters = Field(default_factory=PatternParameters)
    knobs: KnobsConfig = Field(default_factory=KnobsConfig)
    sweep: SweepConfig = Field(default_factory=SweepConfig)

    @model_validator(mode="after")
    def _steps_fit(self) -> Self:
        # Before any training: a simulation that cannot run would be noticed hours later.
        require_steps("stages.finer_steps_ms", self.stages.finer_steps_ms, self.training)
        if self.stages.continuous:
            require_steps("stages.continuous", (CONTINUOUS_STEP_MS,), self.training)
            if self.training.data.step_ms == CONTINUOUS_STEP_MS:
                raise ValueError(
                    f"stages.continuous: the training step, data.step_ms, is {CONTINUOUS_STEP_MS:g} ms already, so "
                    "that grid.h5 is the simulation in continuous time; leave it out"
                )
        return self


OWN_TABLES = ("simulation", "stages", "patterns", "knobs", "sweep")


def full(config: RunConfig) -> RunConfig:
    """The same run with every stage that the full report consists of (`run --full`)."""
    continuous = config.training.data.step_ms != CONTINUOUS_STEP_MS  # else grid.h5 is it
    return replace(config, stages=replace(config.stages, continuous=continuous, patterns=True, knobs=True))


def load_config(name: str, overrides: Sequence[str] = ()) -> RunConfig:
    """Read a configuration file, or a built-in one by its name, and apply `section.key=value` overrides.

    Raises:
        ConfigError: no such file, no valid TOML, an unknown key, a wrong type or a value out of range.
    """
    values = _read(name)
    for override in overrides:
        apply_override(values, override)
    return parse_config(values, name)


def parse_config(values: Mapping[str, Any], source: str) -> RunConfig:
    """A validated configuration from the tables of a file; `source` is named in errors."""
    nested: dict[str, Any] = {key: values[key] for key in OWN_TABLES if key in values}
    sweep = nested.get("sweep")
    if isinstance(sweep, Mapping) and isinstance(sweep.get("space"), Mapping):
        nested["sweep"] = {**sweep, "space": flattened(sweep["space"])}
    nested["training"] = {key: value for key, value in values.items() if key not in OWN_TABLES}
    try:
        # Strict JSON takes lists for tuples and whole numbers for floats, as TOML means them, and nothing else.
        return TypeAdapter(RunConfig).validate_json(json.dumps(nested, default=str))
    except ValidationError as error:
        raise ConfigError(f"{source}: " + "; ".join(_explain(problem) for problem in error.errors())) from None


def save_config(config: RunConfig, path: Path) -> None:
    """Write the resolved configuration, defaults included, as TOML that `load_config` reads back."""
    values = _without_none(asdict(config))
    if config.sweep == SweepConfig():
        del values["sweep"]  # said only where somebody searches
    document = {**values.pop("training"), **values}
    # Plain values before tables, as TOML wants them.
    ordered = dict(sorted(document.items(), key=lambda item: isinstance(item[1], dict)))
    with atomic_path(path) as temporary:
        temporary.write_text(tomli_w.dumps(ordered))


def builtin_configs() -> dict[str, str]:
    """Name and text of the configurations that are installed with the package."""
    folder = files("spikebridge.cli") / "configs"
    return {
        entry.name.removesuffix(".toml"): entry.read_text()
        for entry in folder.iterdir()
        if entry.name.endswith(".toml")
    }


def valid_keys(kind: object = RunConfig, prefix: str = "") -> Iterator[str]:
    """Every key a file may have, dotted."""
    for field, hint in ((field, get_type_hints(kind)[field.name]) for field in fields(kind)):  # type: ignore[arg-type]
        if is_dataclass(hint):
            inner = "" if field.name == "training" else f"{prefix}{field.name}."
            yield from valid_keys(hint, inner)
        else:
            yield prefix + field.name


def _read(name: str) -> dict[str, Any]:
    path = Path(name)
    if path.is_file():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise ConfigError(f"{name}: is no text file ({error})") from None
    else:
        builtin = builtin_configs()
        if name not in builtin:
            raise ConfigError(f"no configuration file {name!r}; built-in ones are {sorted(builtin)}")
        text = builtin[name]
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{name}: no valid TOML: {error}") from None


def apply_override(values: dict[str, Any], override: str) -> None:
    """Set one value, `section.key=value`, in the tables of a file.

    Raises:
        ConfigError: it is not written so.
    """
    key, equals, text = override.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"--set {override!r}: write section.key=value, for example --set optimiser.epochs=5")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text  # a bare word is a string, so that shells need no second pair of quotes
    *sections, last = key.strip().split(".")
    table = values
    for section in sections:
        inner = table.setdefault(section, {})
        if not isinstance(inner, dict):
            raise ConfigError(f"--set {override!r}: {section!r} is a value, not a table")
        table = inner
    table[last] = value


def _explain(problem: Any) -> str:
    """One validation problem as a sentence with the key, what is wrong, and the nearest valid key."""
    loc = problem["loc"]  # the tables of `training` stand at the top level of the file
    key = ".".join(str(part) for part in (loc[1:] if loc[:1] == ("training",) else loc))
    if problem["type"] == "unexpected_keyword_argument":
        return f"unknown key {key!r}{_suggestion(key)}"
    found = problem.get("input")
    return f"{key or 'configuration'}: {problem['msg'].removeprefix('Value error, ')}" + (
        f", got {found!r}" if key and not isinstance(found, dict) else ""
    )


def _suggestion(key: str) -> str:
    keys = list(valid_keys())
    tables = sorted({known.split(".")[0] for known in keys if "." in known})
    near = difflib.get_close_matches(key, [*keys, *tables], n=1, cutoff=0.6)
    same_name = [known for known in keys if known.split(".")[-1] == key.split(".")[-1]]
    candidates = same_name or near
    if not candidates:
        last = difflib.get_close_matches(key.split(".")[-1], [known.split(".")[-1] for known in keys], n=1, cutoff=0.6)
        candidates = [known for known in keys if last and known.split(".")[-1] == last[0]]
    return f"; did you mean {candidates[0]!r}?" if candidates else f"; tables are {tables}"


def _without_none(value: Any) -> Any:
    """TOML has no null: a key that is None is left out, which reads back as None."""
    if isinstance(value, dict):
        return {key: _without_none(inner) for key, inner in value.items() if inner is not None}
    return [_without_none(inner) for inner in value] if isinstance(value, list | tuple) else value
