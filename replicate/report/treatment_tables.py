"""Altered test recordings: what can be seen, what is heard, and what the models answer."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from scipy.signal import welch

from replicate import audit, comparison, metrics, treated
from replicate.model import ModelConfig
from replicate.paper import CLAIMS, criteria
from replicate.report import plots
from replicate.report.layout import intervals, name_of, number, signed, small
from replicate.report.provenance import Exhibit, Source, of_runs, or_notice, picture, table
from replicate.report.results import Stored
from replicate.report.tables import dialogues_of
from replicate.runs import Run
from replicate.treated import UNTREATED, Unit
from replicate.treatments import RECORDINGS, altered
from replicate.waveforms import SAMPLE_RATE

#: Claim 26: the class that is said to be the softest, and the one said to be the loudest.
SOFTEST, LOUDEST = next(
    (claim.criterion.softest, claim.criterion.loudest)
    for claim in CLAIMS
    if isinstance(claim.criterion, criteria.Extremes)
)

#: Shares of answers that turn right or wrong, and spreads of differences over units, for which
#: `precision` tells what can be seen.
TURNED, SPREADS = (0.05, 0.1, 0.2, 0.4), (0.02, 0.05)


def unit_of(kind: str) -> Unit:
    """What is drawn anew where this kind of fold is held out."""
    return "seed" if kind == "stratified" else "fold"


def units_of(kind: str) -> str:
    """`unit_of` in captions."""
    return "seeds" if kind == "stratified" else f"{kind}s"


def draws_of(kind: str) -> str:
    """What bootstrap intervals draw as a whole, in captions."""
    return "dialogues" if kind == "stratified" else f"{kind}s"


# --- what can be seen ---


@or_notice
def precision(parts: Mapping[str, tuple[Stored, str]]) -> Exhibit:
    """Which change of accuracy the test sets and seeds of the audio model can show.

    Args:
        parts: heading of a row -> runs and kind of fold.
    """
    there = {
        heading: (found, kind)
        for heading, (runs, kind) in parts.items()
        if (found := [r for r in runs.runs if _model_and_kind(r) == ("audio", kind)])
    }
    if not there:
        next(iter(parts.values()))[0].lack("audio")
    rows = {heading: pd.Series(_precision(*part)) for heading, part in there.items()}
    caption = (
        "The smallest difference in accuracy that can be seen. Of one seed: so that McNemar's "
        "exact test finds it, by the share of answers that turn from right to wrong or back. Over "
        "seeds or speakers: so that a paired t test finds it with probability "
        f"{comparison.POWER}, by the standard deviation of their differences. Holm's correction "
        "asks for more."
    )
    sources = of_runs([run for found, _ in there.values() for run in found])
    return table(pd.DataFrame(rows).T, caption, sources)


def _model_and_kind(run: Run) -> tuple[str, str]:
    return run.experiment.model, run.experiment.fold.kind


def _precision(runs: Sequence[Run], kind: str) -> dict[tuple[str, str], str | None]:
    """A row of `precision`."""
    first = runs[0].experiment.seed
    n = sum(run.provenance.n_test for run in runs if run.experiment.seed == first)
    units = len({getattr(run.experiment, unit_of(kind)) for run in runs})
    seen = (
        comparison.detectable(SPREADS, [units])[units] if units > 1 else pd.Series(np.nan, SPREADS)
    )
    return {
        ("", "test utterances"): f"{n:,}",
        ("", "repeated over"): f"{units} {units_of(kind)}",
        **{
            ("of one seed, if so many answers turn", f"{share:.0%}"): number(smallest_net(share, n))
            for share in TURNED
        },
        **{
            ("over seeds or speakers, if they spread by", f"{spread}"): number(seen[spread])
            for spread in SPREADS
        },
    }


def smallest_net(share: float, n: int) -> float:
    """The smallest significant difference if a share of n answers turns; NaN if there is none."""
    turned = round(share * n)
    seen = (k for k in range(1, turned + 1) if audit.disagreement_ceiling(k, n) >= turned)
    return next(seen, np.nan) / n


# --- treatments ---


def receptive_field(config: ModelConfig) -> int:
    """Samples that one position before the pool hears, at stride 1."""
    return 1 + sum(taps - 1 for taps in config.kernels)


def versions(samples: np.ndarray, seed: int = 0) -> dict[str, np.ndarray]:
    """A recording untreated and under each treatment: float64 [T] in [-1, 1).

    Args:
        samples: int16 [T].
        seed: of orders and noise.
    """
    rng = np.random.default_rng(seed)
    heard = {UNTREATED: samples, **{name: altered(name, samples, rng) for name in RECORDINGS}}
    return {name: wave / 32768 for name, wave in heard.items()}


def kept(recordings: Sequence[np.ndarray], pieces: int) -> pd.DataFrame:
    """What each treatment leaves of recordings.

    Args:
        recordings: int16 [T] each.
        pieces: into how many the envelope is cut, as the pool does.

    Returns:
        Index treatment; `level` (dB above the untreated recording, mean over recordings), `range`
        (dB from the softest recording to the loudest), `envelope` and `spectrum` (correlation with
        the untreated recording of the pieces' levels and of the spectrum, all in dB; means).
    """
    every = [versions(samples) for samples in recordings]
    rows = {}
    for name in every[0]:
        pairs = [(heard[name], heard[UNTREATED]) for heard in every]
        levels = np.array([_envelope(wave, 1) for wave, _ in pairs])
        rows[name] = {
            "level": np.mean(levels - [_envelope(before, 1) for _, before in pairs]),
            "range": np.ptp(levels),
            "envelope": _alike([(_envelope(a, pieces), _envelope(b, pieces)) for a, b in pairs]),
            "spectrum": _alike([(_spectrum(a), _spectrum(b)) for a, b in pairs]),
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def _envelope(wave: np.ndarray, pieces: int) -> np.ndarray:
    """Root mean square of equal pieces, dB: [T] -> [pieces]."""
    power = [np.mean(piece**2) for piece in np.array_split(wave, pieces)]
    return _decibels(np.array(power))


def _spectrum(wave: np.ndarray) -> np.ndarray:
    """Power against frequency, dB, by Welch's method."""
    return _decibels(welch(wave, SAMPLE_RATE, nperseg=512)[1])


def _decibels(power: np.ndarray) -> np.ndarray:
    """No less than -120 dB, since digital silence has no logarithm."""
    level: np.ndarray = 10 * np.log10(power + 1e-12)
    return level


def _alike(pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> float:
    return float(np.mean([np.corrcoef(a, b)[0, 1] for a, b in pairs]))


def described(recordings: Sequence[np.ndarray], pieces: int, source: Source) -> Exhibit:
    """Every treatment with what it does and what is left of recordings, of `kept`."""
    found = kept(recordings, pieces)
    shown = pd.DataFrame(
        {
            "what is done": pd.Series(RECORDINGS),
            "level, dB": found["level"].map("{:+.1f}".format),
            "loudest above softest, dB": found["range"].map("{:.1f}".format),
            "envelope": found["envelope"].map("{:.2f}".format),
            "spectrum": found["spectrum"].map("{:.2f}".format),
        }
    ).loc[list(found.index)]
    caption = (
        f"What treatments keep, measured on {len(recordings)} recordings. Envelope and spectrum: "
        f"correlation with the recording as it is, of the levels of {pieces} pieces and of power "
        "against frequency; 1 is the same, 0 unlike."
    )
    return table(shown.rename_axis("treatment"), caption, [source], wordy=True)


def drawn(samples: np.ndarray, name: str, source: Source) -> Exhibit:
    """One recording under each treatment, as waveform and spectrogram on one scale."""
    figure = plots.waveforms(versions(samples), one_scale=True)
    alt = f"Waveform and spectrogram of {name}, as recorded and under {', '.join(RECORDINGS)}."
    caption = (
        f"{name} under each treatment: waveform, and power against frequency (the brightest 70 dB "
        "of all rows)."
    )
    return picture(figure, alt, caption, [source])


def heard(runs: Stored, kind: str, model: str = "") -> list[Run]:
    """The runs that answered the test part under each treatment of the recordings.

    Raises:
        Missing: if there are none, or only one group was held out.
    """
    chosen = [
        run for run in runs.of(model, kind=kind) if set(RECORDINGS) <= set(run.treated["treatment"])
    ]
    unit = unit_of(kind)
    if not chosen or (unit == "fold" and len({run.experiment.fold for run in chosen}) < 2):
        runs.lack(f"{model or 'models that hear audio'} under treatments", kind)
    return chosen


@or_notice
def accuracies(runs: Stored, kind: str, lines: Mapping[str, float]) -> Exhibit:
    """Accuracy of the audio model under each treatment, as a picture.

    Args:
        runs: the runs.
        kind: of the folds.
        lines: name -> accuracy to mark.
    """
    chosen = heard(runs, kind, "audio")
    answered = {UNTREATED: chosen}
    answered |= {name: [treated.under(run, name) for run in chosen] for name in RECORDINGS}
    clusters = dialogues_of(chosen) if unit_of(kind) == "seed" else _folds(chosen)
    found = [metrics.summarise(part, "last-epoch", clusters).iloc[0] for part in answered.values()]
    ends = {"value": "accuracy", "low": "accuracy_boot_low", "high": "accuracy_boot_high"}
    rows = pd.DataFrame(
        {end: [row[name] for row in found] for end, name in ends.items()}, list(answered)
    )
    told = "; ".join(f"{name} {value:.3f}" for name, value in rows["value"].items())
    caption = (
        "Accuracy of the audio model when the test recordings are altered, with 95 % intervals "
        f"that draw whole {draws_of(kind)}."
    )
    figure = plots.accuracies(rows.assign(reported=np.nan), lines)
    return picture(figure, told, caption, of_runs(chosen, "last-epoch"))


def _folds(runs: Sequence[Run]) -> dict[str, str]:
    """Utterance -> the fold that it was tested in."""
    tested = metrics.pooled(runs, "last-epoch")
    return dict(zip(tested["utterance"], tested["fold"], strict=True))


@or_notice
def effect_table(runs: Stored, kind: str, model: str = "") -> Exhibit:
    """What each treatment does to a model, or to every model that hears audio."""
    chosen = heard(runs, kind, model)
    by_model: dict[str, list[Run]] = {}
    for run in chosen:
        by_model.setdefault(name_of(run), []).append(run)
    found = {
        name: treated.effects(treated.answers(those, RECORDINGS), unit_of(kind))
        for name, those in by_model.items()
    }
    shown = effects_in_text(pd.concat(found, names=["model", "treatment"]), kind).reset_index()
    caption = (
        "Altered test recordings against the same recordings as they are, by the same trained "
        f"models. p: paired t test over {units_of(kind)}; McNemar: in how many seeds its exact "
        "test finds a difference; both with Holm's correction for the treatments of a model. "
        "Changed: share of answers that become another class, with Student's t interval over "
        f"{units_of(kind)}."
    )
    return table(shown, caption, of_runs(chosen, "last-epoch"), index=False, filterable=not model)


def effects_in_text(rows: pd.DataFrame, kind: str) -> pd.DataFrame:
    """Rows of `treated.effects` as text."""
    shown = {
        "accuracy": rows["accuracy"].map(number),
        "difference": rows["difference"].map(signed),
        f"95 % over {draws_of(kind)}": intervals(rows["low"], rows["high"]),
    }
    if kind == "stratified":
        shown["95 % over seeds"] = intervals(rows["unit_low"], rows["unit_high"])
    return pd.DataFrame(
        {
            **shown,
            "p": rows["p_holm"].map(small),
            "McNemar": [
                f"{k:.0f} of {n:.0f}" for k, n in zip(rows["found"], rows["seeds"], strict=True)
            ],
            "changed": rows["changed"].map(number),
            "95 % of that": intervals(rows["changed_low"], rows["changed_high"]),
        }
    )


@or_notice
def extremes(runs: Stored, kind: str) -> Exhibit:
    """How often the audio model says the softest and the loudest class under each treatment."""
    chosen = heard(runs, kind, "audio")
    answered = treated.answers(chosen, RECORDINGS)
    columns = {}
    for emotion in (SOFTEST, LOUDEST):
        own = answered[answered.index.get_level_values("emotion") == emotion]
        for heading, part in ((f"called {emotion}", answered), (f"{emotion} found", own)):
            said = part == emotion
            rows = treated.drawn(said, unit_of(kind)).reindex(said.columns)
            columns[heading, "share"] = said.mean().map(number)
            columns[heading, "change"] = rows["difference"].map(signed)
            columns[heading, "95 %"] = intervals(rows["low"], rows["high"])
    caption = (
        f"How often the audio model answers {SOFTEST} and {LOUDEST}: of all test utterances "
        "(called), and of those of that class (found). Change: against the recordings as they are; "
        f"intervals draw whole {draws_of(kind)}."
    )
    return table(pd.DataFrame(columns), caption, of_runs(chosen, "last-epoch"))
