"""When a trial is stopped: only where a finished one is better in both objectives by more than seeds explain."""

import math

import numpy as np
import pytest

from spikebridge.training.sweep_pruning import Scores, dominating, pooled_deviation

GOOD = Scores((0.80, 0.82, 0.81, 0.79, 0.78), (2.0, 2.1, 1.9, 2.0, 2.0))


def test_clearly_worse_in_both_is_stopped_by_the_first_that_is_better() -> None:
    worse = Scores((0.60, 0.61), (4.0, 4.1))
    middling = Scores((0.5, 0.5, 0.5, 0.5, 0.51), (5.0, 5.0, 5.0, 5.0, 5.1))
    assert dominating(worse, [GOOD], 2.0) == 0
    assert dominating(worse, [middling, GOOD], 2.0) == 1
    assert dominating(worse, [], 2.0) is None


@pytest.mark.parametrize(
    "scores",
    [
        Scores((0.60, 0.61), (1.0, 1.1)),  # worse, and quieter
        Scores((0.90, 0.91), (4.0, 4.1)),  # louder, and better
        Scores((0.60, 0.61), (2.0, 2.0)),  # worse, and as quiet
        Scores((0.79, 0.80), (4.0, 4.1)),  # louder, and worse by less than seeds differ
    ],
)
def test_what_may_lie_on_the_frontier_goes_on(scores: Scores) -> None:
    assert dominating(scores, [GOOD], 2.0) is None


def test_the_margin_is_so_many_standard_errors() -> None:
    """Both groups have variance 1 within, 2 and 8 values: an error of sqrt(1/2 + 1/8) for a difference."""
    a = 1 / math.sqrt(2)
    pair = (-a, a)
    eight = tuple(np.repeat([-math.sqrt(7 / 8), math.sqrt(7 / 8)], 4))
    assert pooled_deviation([pair, eight]) == pytest.approx(1.0)
    error = math.sqrt(1 / 2 + 1 / 8)
    for factor, stopped in ((0.999, None), (1.001, 0)):
        shift = 2.0 * error * factor
        finished = Scores(tuple(v + shift for v in eight), tuple(v - shift for v in eight))
        assert dominating(Scores(pair, pair), [finished], 2.0) == stopped


def test_without_any_pair_of_seeds_nothing_is_known() -> None:
    assert pooled_deviation([(1.0,), (2.0,)]) is None
    assert dominating(Scores((0.1,), (9.0,)), [Scores((0.9,), (1.0,))], 2.0) is None
    assert dominating(Scores((0.1,), (9.0,)), [GOOD], 2.0) == 0


def test_equals_are_not_stopped_even_where_seeds_make_no_difference() -> None:
    same = Scores((0.5, 0.5), (1.0, 1.0))
    assert dominating(same, [same], 0.0) is None


def test_a_trial_like_the_others_is_rarely_stopped() -> None:
    """Equal distributions: both differences beyond two errors is far rarer than the 2.3 % of one."""
    source = np.random.default_rng(0)
    stopped = 0
    for _ in range(1000):
        many, few = source.normal(size=(2, 5)), source.normal(size=(2, 2))
        stopped += dominating(Scores(*map(tuple, few)), [Scores(*map(tuple, many))], 2.0) is not None
    assert stopped < 15
