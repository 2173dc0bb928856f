"""`report.json`, key `refinement`: rungs 3 and 4 of the parity ladder.

steps.LABEL                         every simulation, the one on the training's grid included, from coarse to fine
  .step_ms
  .accuracy, .decisions_changed     shares of samples, 0 .. 1; their intervals are under the keys of these names
  .rate_hz.NAME                     mean over the neurons of a population
  .rate_ratio.NAME                  that by the training's; null where the training's is 0
  .distance.NAME                    normalised van Rossum distance from the training's spikes, 0 .. 1
  .distance_of_binning.NAME         the distance that equal spikes would have because of the coarser grid alone
  .coincidence.NAME                 share of the training's spikes with one close by; null if it has none
unrelated.NAME.distance, .coincidence
                                    for scale: the training against itself in another sample
continuous                          null if no simulation has the label `continuous`, else
  .step_ms
  .accuracy_training, .accuracy     shares of samples
  .accuracy_lost_points             accuracy in training minus here, in percentage points
  .rate_change.NAME                 relative change of a population's rate, -1 .. ; null where training's is 0
  .largest_rate_change              that of the population in which it is largest in size, with its sign
definitions                         of distance, distance_of_binning, coincidence and unrelated, in words
"""

from __future__ import annotations

from typing import Any

from spikebridge.validation.accuracy import Proportion
from spikebridge.validation.coincidence import WINDOW_MS
from spikebridge.validation.refinement import Refinement, StepResult
from spikebridge.validation.spike_distance import TIME_CONSTANT_MS

type Json = dict[str, Any]

DEFINITIONS = {
    "distance": (
        f"Distance of van Rossum 2001 with a time constant of {TIME_CONSTANT_MS:g} ms between the spikes in training "
        "and at this step. Squared distances of all trains (a train is one neuron in one sample) are added up and "
        "divided by what they would be if no spike had a counterpart, then the root is taken: 0 is the same, 1 has "
        "nothing in common. Per train equal to Elephant's van_rossum_distance. A spike of step k is at "
        "(k + 1 - L) h, with the step h and the latency L of the projections from its population: at the centre of its "
        "step (L = 1/2, also where a network has no latency), or at its start where jumps drive it (L = 1)."
    ),
    "distance_of_binning": (
        "What of the distance the grids alone explain: the spikes of the finer of the two recordings against the same "
        "spikes on the grid of the coarser one. Equal spikes have this distance, not 0."
    ),
    "coincidence": (
        f"Share of the training's spikes with a spike of the same neuron in the same sample within {WINDOW_MS:g} ms "
        "before or after. A definition of this project."
    ),
    "unrelated": (
        "For scale: distance and coincidence between the training's spikes and its own in another sample (half the set "
        "further on), which is what chance and the neurons' rates alone give."
    ),
}


def refinement_numbers(refinement: Refinement) -> Json:
    """The content of the key `refinement`, as in the module's documentation."""
    return {
        "steps": {step.label: _step(step) for step in refinement.steps},
        "unrelated": {
            name: {"distance": found.distance, "coincidence": found.coincidence}
            for name, found in refinement.unrelated.items()
        },
        "continuous": _continuous(refinement),
        "definitions": dict(DEFINITIONS),
    }


def _step(step: StepResult) -> Json:
    names = ("rate_hz", "rate_ratio", "distance", "distance_of_binning", "coincidence")
    return {
        "step_ms": step.step_ms,
        "accuracy": _share(step.accuracy),
        "decisions_changed": _share(step.decisions_changed),
        **{key: {name: getattr(p, key) for name, p in step.populations.items()} for key in names},
    }


def _continuous(refinement: Refinement) -> Json | None:
    found = refinement.continuous
    if found is None:
        return None
    largest = found.largest_rate_change
    return {
        "step_ms": found.step_ms,
        "accuracy_training": _share(refinement.training.accuracy),
        "accuracy": _share(found.accuracy),
        "accuracy_lost_points": refinement.accuracy_lost_points(found),
        "rate_change": {name: p.rate_change for name, p in found.populations.items()},
        "largest_rate_change": None if largest is None else largest[1],
    }


def _share(found: Proportion | None) -> float | None:
    return None if found is None else found.value
