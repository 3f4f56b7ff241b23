"""Is the audio model a loudness detector? Levels of utterances, and altered recordings.

`replicate loudness` writes ids, classes, speakers and levels to `results/<corpus>/loudness.json`,
for pages where the recordings are not at hand.

A treatment (`replicate.training.treatments`) leaves the weights alone, so every altered answer has
its partner: the same training on the same utterance as it is.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd

from replicate.corpora.altered import NOMINAL, SIX_DB, altered
from replicate.corpora.iemocap_ids import dialogue
from replicate.corpora.protocol import cohort
from replicate.corpora.table import Corpus
from replicate.corpora.waveforms import Waveforms, levels, open_waveforms
from replicate.paper import EMOTIONS
from replicate.runs import facts, selection
from replicate.runs.selection import Selection, under
from replicate.runs.store import Run
from replicate.runs.versions import Seen
from replicate.settings import QUIETEST, RECORDINGS, SAMPLE_RATE, UNTREATED, ModelConfig
from replicate.stats.hypothesis_tests import (
    LEVEL,
    Difference,
    mean_difference,
    over_clusters,
    over_seeds,
    over_utterances,
)
from replicate.stats.intervals import mean_over_clusters, share_interval

#: Columns of `of_cohort`, and of what is stored.
COLUMNS = ("utterance", "emotion", "speaker", "average", "spread")

#: What is compared: nothing, loudness alone, a textbook's view of the spectrum, the network.
RIVALS = ("majority", "loudness", "mfcc", "audio")

#: The choice that trains on recordings which are all equally loud.
NORMALISED = "loudness-normalised"

#: The control of `rms`: what moves all recordings alike, and how far, in dB.
SHIFTS = {UNTREATED: 0.0, "louder": 20 * np.log10(SIX_DB), "softer": -20 * np.log10(SIX_DB)}

#: What is drawn anew in another experiment: a training, or the group held out with its training.
Unit = Literal["seed", "fold"]


# --- levels ---


@dataclass(frozen=True, kw_only=True)
class Loudness(facts.Facts):
    """The levels of a corpus's cohort."""

    file = "loudness.json"
    made_by = "loudness"

    audio_fingerprint: str  # SHA-256 of ids and samples
    rows: list[tuple[str, str, str, float, float]]  # `COLUMNS` of each utterance

    @property
    def seen(self) -> Seen:
        """Also whose recordings these are."""
        return Seen(self.text_fingerprint, self.audio_fingerprint)

    @property
    def table(self) -> pd.DataFrame:
        """As `of_cohort`."""
        return pd.DataFrame(self.rows, columns=list(COLUMNS)).set_index("utterance")


def of_cohort(corpus: Corpus, waveforms: Waveforms | None = None) -> pd.DataFrame:
    """Loudness of each utterance of a cohort: `emotion`, `speaker`, and those of `levels`."""
    table = cohort(corpus).set_index("utterance")
    level = levels(waveforms or open_waveforms(corpus), table.index.tolist())
    return table[["emotion", "speaker"]].join(level)


def make(corpus: Corpus) -> Loudness:
    """What is stored of a corpus; an `InputError` where it has no recordings, or damaged ones."""
    waveforms = open_waveforms(corpus)
    rows = list(of_cohort(corpus, waveforms).itertuples(name=None))
    origin = facts.origin(corpus, heard=True)
    return Loudness(**origin, audio_fingerprint=waveforms.fingerprint, rows=rows)


def shift(level: pd.DataFrame) -> float:
    """How far the treatment `rms` raises a cohort's recordings, in dB, mean."""
    return float((20 * np.log10(NOMINAL / level["spread"].clip(lower=QUIETEST))).mean())


def nearest(moved: float) -> str:
    """Whichever of `SHIFTS` comes nearest to a shift of the mean level, in dB."""
    return min(SHIFTS, key=lambda name: abs(SHIFTS[name] - moved))


def above(level: pd.DataFrame, emotion: str) -> pd.DataFrame:
    """How far speakers raise each other class above one, in dB, each by its mean level.

    Index emotion; `difference`, `low`, `high`, `p_holm` of `over_seeds`, speakers in place of
    seeds; `softer` (speakers whose speech of the class is the softer one), `speakers`.
    """
    decibels = level.assign(decibels=20 * np.log10(level["average"].clip(lower=QUIETEST)))
    means = decibels.pivot_table("decibels", "speaker", "emotion").dropna()[list(EMOTIONS)]
    rows = over_seeds(means, emotion).set_index("first").rename_axis(None)
    softer = means.gt(means[emotion], axis="index").sum()
    return rows[["difference", "low", "high", "p_holm"]].assign(softer=softer, speakers=len(means))


# --- loudness alone ---


def rivals(baselines: Selection, network: Selection) -> Selection:
    """`RIVALS` on those folds of one version of the corpus that all of them have.

    Empty if one of the baselines or the network, the audio model, or a common fold is not there.
    """
    simple = baselines.of(RIVALS, folds=network.folds)
    both = replace(simple, runs=(*simple, *network)).shared("fold")
    there = {one.experiment.model for one in both} == set(RIVALS)
    wanted = "loudness alone and the network"
    return replace(both, runs=both.runs if there else (), wanted=wanted)


def right_beside(answers: pd.DataFrame) -> pd.DataFrame:
    """Which answers of `rivals` are right: a row each fold, seed (of the network) and utterance."""
    right = answers.assign(right=answers["predicted"] == answers["emotion"])
    heard = right["model"] == "audio"
    network = right[heard].set_index(["fold", "seed", "utterance"])[["right"]]
    simple = right[~heard].pivot(index=["fold", "utterance"], columns="model", values="right")
    both = network.rename(columns={"right": "audio"}).join(simple, on=["fold", "utterance"])
    return both[list(RIVALS)]


# --- altered recordings ---


def answers(runs: Sequence[Run], treatments: Iterable[str]) -> pd.DataFrame:
    """Predicted classes of one model's runs, untreated and under each of some `TREATMENTS`.

    Index `fold`, `seed`, `utterance`, `emotion`; columns `UNTREATED`, then the treatments.
    """
    parts = {UNTREATED: list(runs)}
    parts |= {treatment: [under(run, treatment) for run in runs] for treatment in treatments}
    index = ["fold", "seed", "utterance", "emotion"]
    tables = {name: selection.answers(part).set_index(index) for name, part in parts.items()}
    return pd.DataFrame({name: table["predicted"] for name, table in tables.items()}).dropna()


def right(answered: pd.DataFrame) -> pd.DataFrame:
    """Which of the `answers` are right: bool."""
    true = answered.index.get_level_values("emotion")
    return answered.eq(pd.Series(true, answered.index), axis="index")


def effects(answered: pd.DataFrame, unit: Unit) -> pd.DataFrame:
    """Every other column of `answers` against the first.

    The unit is `seed` for trainings on one test set, `fold` for groups held out in turn. Index
    heading; `accuracy`; `difference`, `low`, `high` of `gains`; `unit_low`, `unit_high` and
    `p_holm` of `over_seeds` over units (folds' training parts overlap), NaN for one unit;
    `found`, in how many of the `seeds` McNemar's exact test finds a difference (both with Holm's
    correction for all columns);
    `changed`, the share of other answers, with `changed_low`, `changed_high` (t over units).
    """
    correct, first = right(answered), str(answered.columns[0])
    rows = gains(correct, unit)
    rows.insert(0, "accuracy", correct.mean()[rows.index])
    by_unit, over_units = correct.groupby(level=unit).mean(), ["unit_low", "unit_high", "p_holm"]
    rows[over_units] = np.nan
    if len(by_unit) > 1:
        tested = over_seeds(by_unit, first, _overlap(by_unit.index, unit)).set_index("first")
        rows[over_units] = tested[["low", "high", "p_holm"]]
    tests = [
        over_utterances(part, first).set_index("first")["p_holm"] < LEVEL
        for _, part in correct.groupby(level="seed")
    ]
    rows["found"], rows["seeds"] = pd.DataFrame(tests).sum(), len(tests)
    changed = answered[rows.index].ne(answered[first], axis="index").groupby(level=unit).mean()
    rows["changed"] = changed.mean()
    rows[["changed_low", "changed_high"]] = [share_interval(changed[name]) for name in rows.index]
    return rows


def gains(true: pd.DataFrame, unit: Unit) -> pd.DataFrame:
    """Shares of each other column less that of the first, from a bool table indexed as `answers`.

    Index heading; `difference`, `low`, `high`, which draw whole dialogues, or whole folds.
    """
    rows = over_clusters(true, _clusters(true.index, unit), str(true.columns[0]))
    return rows.set_index("first")[["difference", "low", "high"]].rename_axis(None)


def _overlap(units: pd.Index, unit: Unit) -> float:
    """n_test / n_train of groups that are held out in turn, see `mean_difference`."""
    return 1 / (len(units) - 1) if unit == "fold" else 0.0


def _clusters(index: pd.Index, unit: Unit) -> pd.Index:
    folds, utterances = map(index.get_level_values, ("fold", "utterance"))
    return folds if unit == "fold" else utterances.map(dialogue)


def contrast(first: pd.Series, second: pd.Series, unit: Unit) -> Difference:
    """The share of the first less that of the second: bool, with the index of `answers`.

    The interval is a bootstrap as in `gains`: would other utterances give it? The p value is that
    of the paired t test over units: would other trainings or speakers? Where groups are held out in
    turn, it is corrected for what their training parts share.
    """
    gaps = first.astype(float) - second.astype(float)
    by_unit = gaps.groupby(level=unit).mean()
    overlap = _overlap(by_unit.index, unit)
    p_value = mean_difference(by_unit, overlap).p_value if len(by_unit) > 1 else np.nan
    bootstrapped = mean_over_clusters(gaps, _clusters(gaps.index, unit))
    return Difference(len(by_unit), *bootstrapped, p_value)


# --- what is heard ---


def receptive_field(config: ModelConfig) -> int:
    """Samples that one position before the pool hears, at stride 1: 1 + sum of (k - 1)."""
    return 1 + sum(taps - 1 for taps in config.kernels)


def versions(samples: np.ndarray) -> dict[str, np.ndarray]:
    """A recording, int16 [T], untreated and under each treatment: float64 [T] in [-1, 1)."""
    rng = np.random.default_rng(0)
    waves = {UNTREATED: samples, **{name: altered(name, samples, rng) for name in RECORDINGS}}
    return {name: wave / 32768 for name, wave in waves.items()}


def remains(recordings: Sequence[np.ndarray], pieces: int) -> pd.DataFrame:
    """What each treatment leaves of recordings, int16 [T] each, whose envelope has so many pieces.

    Index treatment; `level` (dB above the untreated recording, mean over recordings), `range` (dB
    from the softest recording to the loudest), `envelope` and `spectrum` (correlation with the
    untreated recording of the pieces' levels and of the spectrum, all in dB; means).
    """
    every = [versions(samples) for samples in recordings]
    rows = {}
    for name in every[0]:
        pairs = [(waves[name], waves[UNTREATED]) for waves in every]
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
    from scipy.signal import welch  # a second, which verdicts need not pay

    return _decibels(welch(wave, SAMPLE_RATE, nperseg=512)[1])


def _decibels(power: np.ndarray) -> np.ndarray:
    """No less than -120 dB, since digital silence has no logarithm."""
    return np.asarray(10 * np.log10(power + 1e-12))


def _alike(pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> float:
    return float(np.mean([np.corrcoef(a, b)[0, 1] for a, b in pairs]))
