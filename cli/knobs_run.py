"""Realism knobs as a function from files to files: simulate what is missing, measure it, and put it together."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from spikebridge.bridge.disturbance import Disturbance
from spikebridge.bridge.errors import ConfigError, SpecError
from spikebridge.bridge.knobs import KNOBS, UNDISTURBED, Condition, Knob, conditions
from spikebridge.bridge.network_file import load_network
from spikebridge.bridge.perturb import Perturbed
from spikebridge.bridge.provenance import source_sha256, versions
from spikebridge.bridge.recording import Trials
from spikebridge.bridge.recording_file import load_recording
from spikebridge.bridge.spec import NetworkSpec
from spikebridge.sim.options import SimulationOptions

if TYPE_CHECKING:  # Brian2 and Elephant take seconds to import
    from spikebridge.sim.evaluation import Evaluation
    from spikebridge.validation.knob_analysis import KnobAnalysis
    from spikebridge.validation.knob_measures import Measured
    from spikebridge.validation.page import Report
    from spikebridge.validation.result_store import ResultStore

log = logging.getLogger("spikebridge")

NAME = "knobs"
SOME_SAMPLES = 100
DROP_POINTS = 5.0


@dataclass(frozen=True, slots=True)
class KnobsRequest:
    """What `knobs` was asked for.

    Attributes:
        network: file of the network.
        inputs: a recording that holds the inputs.
        out: folder of the report.
        step_ms: time step.
        samples: how many are drawn, equally many of every class; `some` is `SOME_SAMPLES`, or all if there are fewer.
        knobs: with their amounts.
        draws: of every random condition.
        seed: of draws and samples.
        drop_points: percentage points of accuracy that the summary looks for.
        options: back end, lanes, workers.
    """

    network: Path
    inputs: Path
    out: Path
    step_ms: float = 0.1
    samples: int | Literal["some", "all"] = "some"
    knobs: tuple[Knob, ...] = KNOBS
    draws: int = 3
    seed: int = 0
    drop_points: float = DROP_POINTS
    options: SimulationOptions = field(default_factory=SimulationOptions)

    def __post_init__(self) -> None:
        for name, value, low in (("draws", self.draws, 1), ("seed", self.seed, 0)):
            if value < low:
                raise ConfigError(f"{name} is {value}; give at least {low}")
        if not 0 < self.drop_points <= 100:
            raise ConfigError(f"drop_points is {self.drop_points:g}; give percentage points above 0, at most 100")


def analyse_knobs(
    request: KnobsRequest, *, cluster: str | None = None, progress: bool = False
) -> tuple[KnobAnalysis, ResultStore]:
    """Simulate every condition that was not done before, and put all together.

    Each result is on the disk before the next one is looked at: an interrupted call continues where it stopped. Of
    spikes only those of the conditions at work are in memory.

    Args:
        request: what to do.
        cluster: a Dask cluster as `spikebridge.sim.cluster.parse_cluster` reads it; this machine if None.
        progress: show progress bars, if standard error is a terminal.

    Returns:
        The analysis, and the store of its results, open: `remove` it when the report is written.

    Raises:
        SpecError: network and inputs do not fit together, or a change leads to no valid network; names both files.
        ConfigError: more samples than there are, or a knob that is left where it is.
        DataError: a file is missing or damaged, or another process is at work here.
    """
    from spikebridge.validation.knob_measures import Measured
    from spikebridge.validation.result_store import ResultStore

    subject = _Subject.read(request)
    todo = [conditions(knob, subject.spec, draws=request.draws, seed=request.seed) for knob in request.knobs]
    for knob, own in zip(request.knobs, todo, strict=True):
        if not own:
            raise ConfigError(
                f"knob {knob.key}: {knob.amounts[0]:g} is what the network has; give another amount, or leave it out"
            )
    plain = Condition(UNDISTURBED, 0.0, 0, request.seed)
    store = ResultStore(request.out, {"analysis": subject.identity}, name=NAME, what="conditions")
    try:
        missing = [[each for each in own if store.get(each.key) is None] for own in ([plain], *todo)]
        # A cluster is started once; here one knob at a time has its networks in memory.
        batches = missing if cluster is None else [[each for own in missing for each in own]]
        for number, batch in enumerate(batches):
            if batch:
                log.info("knobs: %s (%d of %d)", _described(batch), number + 1, len(batches))
            for condition, measured in _simulated(subject, batch, cluster, progress):
                store.put(condition.key, measured.to_json())
        results = {each.key: Measured.from_json(store.get(each.key)) for own in todo for each in own}
        undisturbed = Measured.from_json(store.get(plain.key))
        return _analysis(subject, undisturbed, results), store
    except BaseException:
        store.close()
        raise


def found_knobs(request: KnobsRequest) -> KnobAnalysis | None:
    """What `write_knobs` wrote for this request before; None if it was never made, or for something else.

    Raises:
        SpecError: as `analyse_knobs`.
        ConfigError: as `analyse_knobs`.
        DataError: a file is missing or damaged.
    """
    from spikebridge.validation.knob_numbers import load_knobs

    path = request.out / f"{NAME}.json"
    if not path.exists():
        return None
    found = load_knobs(path)
    same = (
        found.identity == _Subject.read(request).identity
        and found.origin.draws == request.draws
        and found.drop_points == request.drop_points
        and [_turned(knob, found.neutral.get(knob.key)) for knob in request.knobs]
        == [_turned(knob, found.neutral[knob.key]) for knob in found.knobs]
    )
    return found if same else None


def _turned(knob: Knob, neutral: float | None) -> tuple[str, tuple[float, ...]]:
    """The knob and the amounts at which something changes."""
    return knob.key, tuple(amount for amount in knob.amounts if amount != neutral)


def write_knobs(
    request: KnobsRequest, *, cluster: str | None = None, progress: bool = False
) -> tuple[Report, tuple[Path, ...]]:
    """Analyse, and write `knobs.html`, `knobs.json` and a picture per knob.

    Returns:
        The report, and the paths of HTML, JSON and pictures.

    Raises:
        SpecError: as `analyse_knobs`.
        ConfigError: as `analyse_knobs`.
        DataError: as `analyse_knobs`, or there is no space.
    """
    analysis, store = analyse_knobs(request, cluster=cluster, progress=progress)
    with store:
        from spikebridge.validation.knob_report import write_knob_report

        written = write_knob_report(analysis, request.out)
        store.remove()
    return written


@dataclass(frozen=True, slots=True, eq=False)
class _Subject:
    """The network and the samples that all conditions share.

    Attributes:
        request: what was asked for.
        spec, trials: network and samples as they are.
        n_available: samples in the file.
        plain: the network as it is, ready to be simulated.
    """

    request: KnobsRequest
    spec: NetworkSpec
    trials: Trials
    n_available: int
    plain: Evaluation

    @classmethod
    def read(cls, request: KnobsRequest) -> _Subject:
        spec, recording = load_network(request.network), load_recording(request.inputs, readout=False)
        trials = _chosen(recording.trials, request)
        try:
            plain = _evaluation(spec, trials, request.step_ms, request.options, None)
        except SpecError as error:
            raise SpecError(f"{request.network} with the inputs of {request.inputs}: {error}") from error
        return cls(request, spec, trials, recording.trials.n_samples, plain)

    @property
    def identity(self) -> str:
        """Checksum of everything that results depend on but the conditions themselves."""
        from spikebridge.sim.to_files import identity

        known = {**identity(self.plain), **versions("elephant"), "validation": source_sha256("validation")}
        return hashlib.sha256(json.dumps([known, self.request.seed], sort_keys=True).encode()).hexdigest()

    def changed(self, condition: Condition) -> tuple[Evaluation, Perturbed]:
        """What a condition simulates, with the back end of the network as it is, and what its change came to."""
        from spikebridge.validation.reversed_trials import reversed_trials

        trials = self.trials
        if condition.reversed_input:
            trials = reversed_trials(trials, self.spec.duration_ms)
        options = replace(self.request.options, backend=self.plain.job.options.backend)
        try:
            found = condition.network(self.spec, self.request.step_ms)
            what = _evaluation(found.spec, trials, self.request.step_ms, options, condition.disturbance)
        except SpecError as error:
            raise SpecError(
                f"{self.request.network}, knob {condition.knob} at {condition.amount:g}: {error}"
            ) from error
        return what, found


def _chosen(trials: Trials, request: KnobsRequest) -> Trials:
    from spikebridge.validation.balanced import balanced_samples

    if trials.n_samples == 0:
        raise ConfigError(f"{request.inputs} holds no samples; give a recording that holds some")
    if request.samples == "all":
        return trials
    number = min(SOME_SAMPLES, trials.n_samples) if request.samples == "some" else request.samples
    if number > trials.n_samples:
        raise ConfigError(
            f"{number} samples: {request.inputs} holds {trials.n_samples}; give 1 to {trials.n_samples}, or all"
        )
    return trials.select(balanced_samples(trials.labels, number, request.seed))


def _evaluation(
    spec: NetworkSpec,
    trials: Trials,
    step_ms: float,
    options: SimulationOptions,
    disturbance: Disturbance | None,
) -> Evaluation:
    from spikebridge.sim.evaluation import evaluation

    # The readout is kept until latencies are taken from it: with lost spikes it does not follow from what was recorded.
    options = replace(options, keep_readout=True)
    return evaluation(spec, trials, step_ms=step_ms, options=options, disturbance=disturbance)


def _simulated(
    subject: _Subject, batch: Sequence[Condition], cluster: str | None, progress: bool
) -> Iterator[tuple[Condition, Measured]]:
    """Every condition when its last sample is there; its spikes are dropped then."""
    from spikebridge.sim.parts import simulate_parts
    from spikebridge.validation.knob_measures import Gathering

    prepared = [subject.changed(condition) for condition in batch]
    gathered = {index: Gathering(what.spec, what.trials, what.inputs) for index, (what, _) in enumerate(prepared)}
    parts = simulate_parts([what for what, _ in prepared], cluster=cluster, progress=progress)
    for index, samples, part in parts:
        if gathered[index].add(samples, part):
            yield batch[index], gathered.pop(index).measured(prepared[index][1].realised)


def _analysis(subject: _Subject, undisturbed: Measured, results: Mapping[str, Measured]) -> KnobAnalysis:
    from spikebridge.validation.knob_analysis import KnobAnalysis, Origin

    request, plain, trials = subject.request, subject.plain, subject.trials
    origin = Origin(
        network_sha256=plain.network_sha256,
        executor=plain.executor,
        step_ms=plain.grid.step_ms,
        duration_ms=subject.spec.duration_ms,
        source=trials.source,
        source_sha256=trials.source_sha256,
        n_samples=trials.n_samples,
        n_available=subject.n_available,
        n_classes=len(trials.class_names),
        draws=request.draws,
        seed=request.seed,
    )
    return KnobAnalysis(
        origin,
        request.knobs,
        {knob.key: knob.neutral_of(subject.spec) for knob in request.knobs},
        tuple(trials.labels.tolist()),
        undisturbed,
        results,
        request.drop_points,
        subject.identity,
        {**plain.provenance, **versions("elephant")},
    )


def _described(batch: Sequence[Condition]) -> str:
    return ", ".join(dict.fromkeys(condition.knob for condition in batch))
