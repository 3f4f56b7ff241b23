"""What altered input changes in the answers of finished models, from stored runs.

A treatment (`replicate.training.treatments`) leaves the weights alone, so every altered answer has
its partner: the same training on the same utterance as it is.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from scipy.signal import welch

from replicate.corpora.altered import altered
from replicate.corpora.iemocap_ids import dialogue
from replicate.corpora.waveforms import SAMPLE_RATE
from replicate.runs import selection
from replicate.runs.selection import under
from replicate.runs.store import Run
from replicate.settings import RECORDINGS, UNTREATED, ModelConfig
from replicate.stats import hypothesis_tests
from replicate.stats.intervals import mean_over_clusters, share_interval

#: What is drawn anew in another experiment: a training, or the group held out with its training.
Unit = Literal["seed", "fold"]


def answers(runs: Sequence[Run], treatments: Iterable[str]) -> pd.DataFrame:
    """Predicted classes of one model, untreated and under each treatment.

    Args:
        runs: of one model, each with another fold or seed.
        treatments: keys of `replicate.settings.TREATMENTS` that apply to it.

    Returns:
        Index `fold`, `seed`, `utterance`, `emotion`; columns `UNTREATED`, then the treatments.
    """
    parts = {UNTREATED: list(runs)}
    parts |= {treatment: [under(run, treatment) for run in runs] for treatment in treatments}
    return side_by_side(parts)


def side_by_side(parts: dict[str, list[Run]]) -> pd.DataFrame:
    """Predicted classes of the last epochs, as `answers` returns them.

    Args:
        parts: heading -> runs of one model, each with another fold or seed; utterances that are not
            in all of the parts are left out.
    """
    index = ["fold", "seed", "utterance", "emotion"]
    columns = {
        name: selection.answers(runs).set_index(index)["predicted"] for name, runs in parts.items()
    }
    return pd.DataFrame(columns).dropna()


def right(answered: pd.DataFrame) -> pd.DataFrame:
    """Which of the `answers` are right: bool."""
    true = answered.index.get_level_values("emotion")
    return answered.eq(pd.Series(true, answered.index), axis="index")


def effects(answered: pd.DataFrame, unit: Unit) -> pd.DataFrame:
    """Every other column of `answers` against the first.

    Args:
        answered: from `answers`.
        unit: `seed` for trainings on one test set, `fold` for groups held out in turn.

    Returns:
        Index heading; `accuracy`; `difference` from the first with its bootstrap interval `low`,
        `high` (draws whole dialogues, all seeds together, or whole folds); `unit_low`,
        `unit_high` (Student's t over units) and `p_holm` (paired t test over units), NaN for one
        unit, NaN and 1 where all units differ by the same, which leaves their spread unknown;
        `found`, in how many of the `seeds` McNemar's exact test finds a difference, Holm's
        correction applied (both corrections are for all columns); `changed`, the share of answers
        that are another class, with `changed_low`, `changed_high` (t over units, cut to [0, 1]; NaN
        without a spread).
    """
    correct, first = right(answered), str(answered.columns[0])
    rows = drawn(correct, unit)
    rows.insert(0, "accuracy", correct.mean()[rows.index])
    rows = rows.join(_over_units(correct.groupby(level=unit).mean()))
    tests = [
        hypothesis_tests.over_utterances(part, first).set_index("first")["p_holm"]
        < hypothesis_tests.LEVEL
        for _, part in correct.groupby(level="seed")
    ]
    rows["found"], rows["seeds"] = pd.DataFrame(tests).sum(), len(tests)
    changed = answered[rows.index].ne(answered[first], axis="index").groupby(level=unit).mean()
    rows["changed"] = changed.mean()
    ends = [share_interval(changed[name]) for name in rows.index]
    rows[["changed_low", "changed_high"]] = ends
    return rows


@dataclass(frozen=True)
class Contrast:
    """The mean of paired differences between answers, which chance may have made in two ways.

    Attributes:
        difference: the mean.
        low: of its 95 % bootstrap interval, which draws whole dialogues or speakers: would other
            utterances give it?
        high: the upper end.
        p_value: of the paired t test over units: would other trainings or speakers give it? NaN
            for a single unit.
    """

    difference: float
    low: float
    high: float
    p_value: float

    @property
    def sign(self) -> int:
        """1 or -1 where interval and test show a difference above or below zero, else 0."""
        shown = self.p_value < hypothesis_tests.LEVEL
        return int(shown and self.low > 0) - int(shown and self.high < 0)


def contrast(
    first: pd.Series, second: pd.Series, clusters: Mapping[str, str], unit: Unit
) -> Contrast:
    """The share of the first less that of the second.

    Args:
        first: bool, with at least the levels `utterance` and `unit` of `answers`.
        second: likewise, of the same rows.
        clusters: utterance -> what the interval draws as a whole.
        unit: see `effects`.
    """
    gains = first.astype(float) - second.astype(float)
    drawn_as = gains.index.get_level_values("utterance").map(dict(clusters))
    by_unit = gains.groupby(level=unit).mean()
    p_value = hypothesis_tests.mean_difference(by_unit).p_value if len(by_unit) > 1 else np.nan
    return Contrast(*mean_over_clusters(gains, drawn_as), p_value)


def _over_units(accuracies: pd.DataFrame) -> pd.DataFrame:
    """Columns `unit_low` to `p_holm` of `effects`; the accuracies have a row for each unit."""
    first, *others = accuracies.columns
    if len(accuracies) < 2:
        return pd.DataFrame(np.nan, others, ["unit_low", "unit_high", "p_holm"])
    rows = hypothesis_tests.over_seeds(accuracies, first).set_index("first")
    rows = rows.rename(columns={"low": "unit_low", "high": "unit_high"})
    return rows[["unit_low", "unit_high", "p_holm"]]


def drawn(true: pd.DataFrame, unit: Unit) -> pd.DataFrame:
    """Shares of each other column less that of the first, with bootstrap intervals.

    Args:
        true: bool, with the index of `answers`.
        unit: see `effects`.

    Returns:
        Index heading; `difference`, `low`, `high`.
    """
    clusters = true.index.get_level_values("fold")
    if unit == "seed":
        clusters = true.index.get_level_values("utterance").map(dialogue)
    rows = hypothesis_tests.over_clusters(true, clusters, str(true.columns[0])).set_index("first")
    return rows[["difference", "low", "high"]].rename_axis(None)


# --- what is heard ---


def receptive_field(config: ModelConfig) -> int:
    """Samples that one position before the pool hears, at stride 1: 1 + sum of (k - 1)."""
    return 1 + sum(taps - 1 for taps in config.kernels)


def versions(samples: np.ndarray, seed: int = 0) -> dict[str, np.ndarray]:
    """A recording untreated and under each treatment: float64 [T] in [-1, 1).

    Args:
        samples: int16 [T].
        seed: of orders and noise.
    """
    rng = np.random.default_rng(seed)
    waves = {UNTREATED: samples, **{name: altered(name, samples, rng) for name in RECORDINGS}}
    return {name: wave / 32768 for name, wave in waves.items()}


def remains(recordings: Sequence[np.ndarray], pieces: int) -> pd.DataFrame:
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
    return _decibels(welch(wave, SAMPLE_RATE, nperseg=512)[1])


def _decibels(power: np.ndarray) -> np.ndarray:
    """No less than -120 dB, since digital silence has no logarithm."""
    level: np.ndarray = 10 * np.log10(power + 1e-12)
    return level


def _alike(pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> float:
    return float(np.mean([np.corrcoef(a, b)[0, 1] for a, b in pairs]))
