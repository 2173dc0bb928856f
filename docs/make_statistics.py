"""Write docs/statistics.md from the definitions of the statistics.

python docs/make_statistics.py
"""

from collections.abc import Sequence
from pathlib import Path

from spikebridge.validation.activity_tables import plural
from spikebridge.validation.network_statistics import NETWORK_DEFINITIONS
from spikebridge.validation.observations import Definition
from spikebridge.validation.statistics import standard_statistics
from spikebridge.validation.stats_rates import LOGNORMAL
from spikebridge.validation.stats_spectrum import SPECTRUM

TARGET = Path(__file__).parent / "statistics.md"

HEAD = """# Statistics

What `report.html` and `report.json` say of the activity, for every executor and population. This page is written by
`docs/make_statistics.py` from the definitions that the report itself shows, with the default parameters (in Python:
`build_report(..., criteria=Criteria(...))`).

A statistic observes something of every neuron, train (one neuron in one sample), pair, burst or sample. Intervals,
windows and bins never reach from one sample into another. Where a statistic is undefined there is no value: a train
with one spike has no interval. Such cases are left out of the mean, and counted with the reason; nothing is 0 or NaN
instead.

Samples are locked to their stimulus, and the network is deterministic. So

- Fano factors compare the samples of one class, whole or in the same window: over windows within a sample they would
  measure the course of the response, over classes what tells the classes apart. What varies within a class is the
  stimulus. They are no measure of noise, and neither is the correlation that is left within classes;
- correlation, synchrony and low frequencies contain what the stimulus drives at the same time. For synchrony, a control
  exchanges the samples of every neuron within classes: what the value has more than the control is synchrony of single
  samples;
- statistics of intervals rest on the trains with at least 3 spikes. At 1 Hz and 0.8 s those are few, and the most
  active: read the numbers of values. CV is biased downwards in short trains; CV2 and LV are not.

Elephant computes CV and the spectrum. Its functions for CV2, LV, LvR, Fano factors, correlations and SPIKE-contrast
take one train, or one list of trains, at a time, and a test set has 100,000 trains and more: those are computed here
for all at once, and tests compare them with Elephant's on random trains (SPIKE-contrast to the last bit). A test set of
700 samples, 256 neurons and 0.8 s at steps of 0.1 ms takes about 5 seconds on one core, everything included.

The latency at steps where a recording kept no potentials is computed from the readout's linear filter and the recorded
spikes; on a recording that kept them, both are the same.
"""

KEYS = """## Keys in `report.json`

LABEL is `training`, `grid`, `continuous`, ..., NAME a population, KEY a statistic.

- `statistics.LABEL.NAME.KEY`: `value` (mean; null: undefined), `n_defined` of `n_total`, `undefined` (how many, by
  reason), `quartiles` (`minimum`, `lower_quartile`, `median`, `upper_quartile`, `maximum`; null: undefined)
- `network_statistics.LABEL.KEY`: the same over samples, of the whole network
- `rate_lognormal.LABEL.NAME`: `median_hz`, `log_mean`, `log_deviation` (of the natural logarithm), `anderson_darling`,
  `p_value`, `n_active` of `n_total` neurons; or null with the `reason`
- `power_spectrum.LABEL.NAME`: `frequency_hz`, `power_hz` (Hz^2 / Hz, six digits), `poisson_hz` (density of independent
  Poisson neurons), `peak_hz`, `peak_relative` (to Poisson), `n_samples`; or null with the `reason`
- `definitions.KEY`: `title`, `unit`, `over` (what is observed), `definition`, `source`

A report over several realisations (`seed-<n>/`) has means and standard deviations of the values of `statistics` and
`network_statistics`.
"""


def page() -> str:
    """The whole page."""
    return "\n".join(
        [
            HEAD,
            KEYS,
            _section("Of every population: `statistics`", standard_statistics()),
            _section("Of the whole network: `network_statistics`", NETWORK_DEFINITIONS),
            _section("With values of their own: `rate_lognormal`, `power_spectrum`", (LOGNORMAL, SPECTRUM)),
        ]
    )


def _section(title: str, definitions: Sequence[Definition]) -> str:
    lines = [f"## {title}", "", "| key | over | definition | source |", "|---|---|---|---|"]
    for d in definitions:
        over = plural(d.over) + (f", {d.unit}" if d.unit else "")
        cells = (cell.replace("|", "\\|") for cell in (d.definition, d.source))
        lines.append(f"| `{d.key}` | {over} | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    TARGET.write_text(page(), encoding="utf-8")
