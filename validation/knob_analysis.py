"""Accuracy and statistics against the amount of every knob, and where accuracy falls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean, stdev

import numpy as np

from spikebridge.bridge.arrays import FloatArray
from spikebridge.bridge.knobs import REVERSED, Condition, Knob
from spikebridge.validation.accuracy import Estimate, paired_difference, wilson_interval
from spikebridge.validation.knob_measures import Measured

ROUNDING = 1e-9
"""Percentage points; 45 less 40 % is a little less than 5."""


@dataclass(frozen=True, slots=True)
class Spread:
    """A value in several draws.

    Attributes:
        values: of the draws in which it is defined.
        draws: how many there are.
    """

    values: tuple[float, ...]
    draws: int

    @property
    def mean(self) -> float | None:
        """Over draws, None where it is defined in none."""
        return fmean(self.values) if self.values else None

    @property
    def deviation(self) -> float | None:
        """Standard deviation (n - 1) over draws, None for fewer than two."""
        return stdev(self.values) if len(self.values) > 1 else None


@dataclass(frozen=True, slots=True)
class Point:
    """One amount of a knob.

    Attributes:
        amount: in the knob's unit.
        draws: what was measured in each; one for the network as it is.
        undisturbed: whether this is the network as it is.
        reference: the network as it is.
    """

    amount: float
    draws: tuple[Measured, ...]
    undisturbed: bool
    reference: Measured

    @property
    def accuracy(self) -> Spread:
        """Share of right decisions."""
        return self.accuracy_of("all")

    def accuracy_of(self, group: str) -> Spread:
        """The same in a group of samples, see `knob_measures.GROUPS`."""
        correct = [each.correct[group] for each in self.draws if group in each.correct]
        return Spread(tuple(hits / samples for hits, samples in correct), len(self.draws))

    @property
    def interval(self) -> Estimate | None:
        """The mean accuracy with its Wilson interval over samples; draws share their samples, which count once."""
        known = [each.correct["all"] for each in self.draws if "all" in each.correct]
        if not known:
            return None
        hits, samples = fmean(hits for hits, _ in known), known[0][1]
        return Estimate(hits / samples, *wilson_interval(hits, samples))

    @property
    def changed(self) -> Spread:
        """Share of samples that are decided otherwise than by the network as it is; undefined without samples."""
        before = self.reference.decisions
        if not before:
            return Spread((), len(self.draws))
        shares = [sum(a != b for a, b in zip(before, each.decisions, strict=True)) / len(before) for each in self.draws]
        return Spread(tuple(shares), len(self.draws))

    def statistic(self, population: str | None, key: str) -> Spread:
        """Of a population, or of the whole network for None."""
        values = [each.summary(population, key).value for each in self.draws]
        return Spread(tuple(value for value in values if value is not None), len(self.draws))

    def realised(self, name: str) -> Spread:
        """What the change came to, see `spikebridge.bridge.perturb`."""
        return Spread(tuple(each.realised[name] for each in self.draws if name in each.realised), len(self.draws))


@dataclass(frozen=True, slots=True)
class Drop:
    """Where accuracy has fallen by so many points, going away from the network as it is in one direction.

    Attributes:
        rising: whether amounts rise on the way.
        amount: interpolated linearly between amounts; None where it does not fall so far within the range.
        last: the last amount on the way.
    """

    rising: bool
    amount: float | None
    last: float


@dataclass(frozen=True, slots=True)
class Origin:
    """What was simulated.

    Attributes:
        network_sha256, executor, step_ms, duration_ms: of the simulation.
        source, source_sha256: of the samples.
        n_samples, n_available: samples used, and all there are in the file.
        n_classes: chance is one by this.
        draws: of every random condition.
        seed: of draws and of the choice of samples.
    """

    network_sha256: str
    executor: str
    step_ms: float
    duration_ms: float
    source: str
    source_sha256: str
    n_samples: int
    n_available: int
    n_classes: int
    draws: int
    seed: int

    @property
    def chance(self) -> float:
        """Accuracy of guessing."""
        return 1.0 / self.n_classes


@dataclass(frozen=True, slots=True)
class KnobAnalysis:
    """All knobs.

    Attributes:
        origin: what was simulated.
        knobs: with their amounts, in order.
        neutral: by knob, the amount that is the network as it is, None where there is none.
        labels: (S,) the true class of each sample.
        undisturbed: the network as it is.
        results: by `Condition.key`.
        drop_points: percentage points of accuracy that make the summary.
        identity: checksum of all that results depend on but knobs, amounts and draws.
        provenance: versions and options.
    """

    origin: Origin
    knobs: tuple[Knob, ...]
    neutral: Mapping[str, float | None]
    labels: tuple[int, ...]
    undisturbed: Measured
    results: Mapping[str, Measured]
    drop_points: float
    identity: str
    provenance: Mapping[str, str]

    @property
    def populations(self) -> tuple[str, ...]:
        """Those that spike, in order."""
        return tuple(self.undisturbed.populations)

    def points(self, knob: Knob) -> tuple[Point, ...]:
        """Every amount in rising order, the network's own where it has one."""
        neutral = self.neutral[knob.key]
        points = [Point(neutral, (self.undisturbed,), True, self.undisturbed)] if neutral is not None else []
        for amount in knob.amounts:
            if amount != neutral:
                keys = [
                    Condition(knob.key, amount, draw, self.origin.seed).key
                    for draw in range(self.origin.draws if knob.random else 1)
                ]
                draws = tuple(self.results[key] for key in keys)
                points.append(Point(amount, draws, False, self.undisturbed))
        return tuple(sorted(points, key=lambda point: point.amount))

    def drops(self, knob: Knob) -> tuple[Drop, ...]:
        """In every direction in which there are amounts; one that rises where the network has no amount of its own.

        None for inputs played backwards, between which and others there is nothing.
        """
        if knob.key == REVERSED:
            return ()
        known = [(point.amount, loss.value) for point in self.points(knob) if (loss := self.loss(point)) is not None]
        neutral = self.neutral[knob.key]
        if neutral is None:
            ways = [(True, known)]
        else:
            ways = [
                (False, [each for each in reversed(known) if each[0] <= neutral]),
                (True, [each for each in known if each[0] >= neutral]),
            ]
            ways = [(rising, way) for rising, way in ways if len(way) > 1]
        return tuple(Drop(rising, _crossing(way, self.drop_points), way[-1][0]) for rising, way in ways if way)

    def loss(self, point: Point) -> Estimate | None:
        """Percentage points of accuracy less than the network as it is, mean over draws; undefined without samples.

        The interval is over samples, which are the same for both, for these draws: see `paired_difference`.
        """
        before = self._right(self.undisturbed)
        after = np.mean([self._right(each) for each in point.draws], axis=0)
        lost = paired_difference(before - after)
        return None if lost is None else Estimate(100.0 * lost.value, 100.0 * lost.low, 100.0 * lost.high)

    def _right(self, measured: Measured) -> FloatArray:
        """(S,) 1 where the decision is right, else 0."""
        right = [float(decision == label) for decision, label in zip(measured.decisions, self.labels, strict=True)]
        return np.array(right, dtype=np.float64)


def _crossing(way: list[tuple[float, float]], points: float) -> float | None:
    """The first amount at which the loss reaches `points`, but for rounding, linear between neighbours."""
    (amount, loss), *others = way
    if loss >= points - ROUNDING:
        return amount
    for after, loss_after in others:
        if loss_after >= points - ROUNDING:
            return amount + (after - amount) * min((points - loss) / (loss_after - loss), 1.0)
        amount, loss = after, loss_after
    return None
