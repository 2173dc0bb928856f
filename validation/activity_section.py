"""The chapters of `report.html` on what the activity looks like, and on what a decision takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from spikebridge.validation.activity_tables import values_table
from spikebridge.validation.evidence import Evidence
from spikebridge.validation.formatting import Table, counted, number, whole
from spikebridge.validation.labelled import Labelled
from spikebridge.validation.network_statistics import NETWORK_DEFINITIONS
from spikebridge.validation.observations import Definition, Observations
from spikebridge.validation.picture import Picture
from spikebridge.validation.plot_distributions import Panel, Words, distributions_picture
from spikebridge.validation.plot_rate_fit import rate_fit_picture
from spikebridge.validation.plot_rates import rates_picture
from spikebridge.validation.plot_spectrum import spectrum_picture
from spikebridge.validation.section import Folded, Section

ACTIVITY_INTRODUCTION = (
    "Statistics of every population over all samples, by Elephant or equal to what Elephant gives. In brackets is how "
    "many values a mean rests on, out of what the last column says; a train is one neuron in one sample, and intervals "
    "never reach from one sample into another. What is undefined is left out of the mean and counted with its reason, "
    "never taken for zero. Samples are locked to their stimulus: correlation, synchrony and low frequencies hold what "
    "the stimulus drives as well. Statistics of intervals rest on the trains with the most spikes, which are few where "
    "a neuron fires once or twice a sample."
)
EFFORT_INTRODUCTION = (
    "Latency, spikes and operations of the whole network per sample. Operations count what hardware would have to do; "
    "they are no measurement of energy."
)

# Figures, by the keys of their statistics: value for Poisson neurons, control.
REGULARITY = {"isi_cv": None, "isi_cv2": 1.0, "isi_lv": 1.0, "isi_lvr": None}
BURSTS = {"burst_index": None, "burst_rate_hz": None, "spikes_per_burst": None}
VARIABILITY = {"fano_factor": 1.0, "fano_factor_windows": 1.0, "count_correlation": 0.0, "residual_correlation": 0.0}
SYNCHRONY = {"spike_contrast": None, "population_fano": 1.0}
EFFORT = {"decision_latency_ms": None, "spikes_per_decision": None, "synaptic_operations": None}


def activity_section(evidence: Evidence) -> Section:
    """Rates, regularity, bursts, variability, correlation, synchrony and spectra."""
    others = [e for e in evidence.executors if e not in evidence.headline]
    elsewhere = Folded(f"The same of {counted(len(others), 'further simulation')}", _activity_tables(evidence, others))
    return Section(
        key="activity",
        title="What does the activity look like?",
        introduction=ACTIVITY_INTRODUCTION,
        tables=_activity_tables(evidence, evidence.headline),
        pictures=_activity_pictures(evidence) if evidence.reference.recording.spikes else (),
        folded=(elsewhere,) if others else (),
    )


def _activity_tables(evidence: Evidence, executors: Sequence[Labelled]) -> tuple[Table, ...]:
    """A table per population, and one of all neurons together."""
    titles = {e.label: e.title for e in executors}
    populations = evidence.reference.recording.spikes
    tables = [
        values_table(
            f"Activity of {name}, {whole(trains.n_neurons)} neurons",
            evidence.statistics,
            {label: evidence.observations[label][name] for label in titles},
            titles,
        )
        for name, trains in populations.items()
    ]
    rates = tuple(number(evidence.mean_rate_hz(label)) for label in titles)
    neurons = whole(sum(trains.n_neurons for trains in populations.values()))
    rate = Table(f"All {neurons} neurons together", ("statistic", *titles.values()), (("Firing rate (Hz)", *rates),))
    return (*tables, rate)


def effort_section(evidence: Evidence) -> Section:
    """Latency, spikes and operations per decision."""
    titles = {e.label: e.title for e in evidence.executors}
    seen = {label: {"network": evidence.network_observations[label]} for label in titles}
    words = Words(
        "effort",
        "How long and how much a decision takes",
        "Samples by the time at which their decision is final, by the spikes of all hidden neurons, and by synaptic "
        "operations, spikes of the input included.",
    )
    caption = "Mean over all samples"
    table = values_table(caption, NETWORK_DEFINITIONS, evidence.network_observations, titles)
    return Section(
        key="effort",
        title="What does a decision take?",
        introduction=EFFORT_INTRODUCTION,
        tables=(table,),
        pictures=(
            distributions_picture(
                words,
                _panels(NETWORK_DEFINITIONS, EFFORT),
                {e.label: e.title for e in evidence.headline},
                seen,
                NETWORK_DEFINITIONS,
            ),
        ),
    )


def _activity_pictures(evidence: Evidence) -> tuple[Picture, ...]:
    shown = {e.label: e.title for e in evidence.headline}

    def distributions(words: Words, expected: Mapping[str, float | None], *others: str) -> Picture:
        listed = [s for s in evidence.statistics if s.key in (*expected, *others)]
        return distributions_picture(
            words, _panels(listed, expected), shown, _only(evidence, [s.key for s in listed]), listed
        )

    return (
        rates_picture(evidence.reference, evidence.primary, evidence.executors),
        rate_fit_picture(evidence.reference, evidence.rate_fits),
        distributions(
            Words(
                "regularity",
                "How regular are spike trains?",
                "Trains with at least 3 spikes. 0 is a clock; the thin line is the expectation for Poisson trains, "
                "where it does not depend on the number of spikes.",
            ),
            REGULARITY,
        ),
        distributions(
            Words(
                "bursts",
                "Do neurons burst?",
                "Burst index and rate of bursts over neurons, and the number of spikes over bursts.",
            ),
            BURSTS,
            "burst_fraction",
        ),
        distributions(
            Words(
                "variability",
                "How variable, and how correlated, are spike counts?",
                "Fano factors over samples of one class, and correlations of all pairs of neurons. The thin line is "
                "the expectation for independent Poisson neurons.",
            ),
            VARIABILITY,
        ),
        distributions(
            Words(
                "synchrony",
                "Do neurons fire together?",
                "Synchrony of each sample; dotted the control, where every neuron's samples were exchanged within "
                "classes, so that only what the class locks is left.",
            ),
            SYNCHRONY,
            "spike_contrast_shuffled",
            "population_fano_shuffled",
        ),
        spectrum_picture(shown, evidence.spectra),
    )


def _panels(listed: Sequence[Definition], expected: Mapping[str, float | None]) -> list[Panel]:
    controls = {d.key for d in listed if d.key.endswith("_shuffled")}
    return [
        Panel(d, expected[d.key], f"{d.key}_shuffled" if f"{d.key}_shuffled" in controls else None)
        for d in listed
        if d.key in expected
    ]


def _only(evidence: Evidence, keys: Sequence[str]) -> dict[str, dict[str, dict[str, Observations]]]:
    return {
        label: {name: {key: found[key] for key in keys} for name, found in populations.items()}
        for label, populations in evidence.observations.items()
    }
