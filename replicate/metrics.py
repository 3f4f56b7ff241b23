"""Accuracy and its kin, their intervals, and paired comparisons, from stored predictions.

Two different questions have two different intervals. Over seeds: what would another training give
on these test utterances? Over utterances: what would these trainings give on other utterances?
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.stats import binomtest, ttest_1samp
from sklearn.metrics import (
    accuracy_score,
    cohen_kappa_score,
    confusion_matrix,
    f1_score,
    recall_score,
)
from statsmodels.stats.contingency_tables import mcnemar as exact_mcnemar
from statsmodels.stats.proportion import proportion_confint

from replicate.protocol import EMOTIONS
from replicate.runs import Run

#: Samples of the bootstrap: percentiles of 95 % intervals to about a twentieth of their width.
RESAMPLES = 2000


class Interval(NamedTuple):
    """A two-sided 95 % interval; NaN where there is too little to tell."""

    low: float
    high: float


def predicted(predictions: pd.DataFrame) -> pd.Series:
    """The class of highest probability for each row of `Run.predictions`."""
    return predictions[list(EMOTIONS)].idxmax(axis="columns").rename("predicted")


def accuracy(true: ArrayLike, guessed: ArrayLike) -> float:
    """Share of utterances classified correctly (WA)."""
    return float(accuracy_score(true, guessed))


def uar(true: ArrayLike, guessed: ArrayLike) -> float:
    """Unweighted average recall (UA): the mean of the classes' recalls, over the classes present."""
    present = np.unique(np.asarray(true))
    return float(recall_score(true, guessed, labels=present, average="macro", zero_division=0))


def macro_f1(true: ArrayLike, guessed: ArrayLike) -> float:
    """Mean of the classes' F1, over the classes present or predicted."""
    return float(f1_score(true, guessed, average="macro", zero_division=0))


def kappa(true: ArrayLike, guessed: ArrayLike) -> float:
    """Cohen's kappa: agreement beyond that of chance with the same margins."""
    return float(cohen_kappa_score(true, guessed))


def confusion(true: ArrayLike, guessed: ArrayLike) -> pd.DataFrame:
    """Counts by true class (rows) and predicted class (columns), as in Table 7: int64 [4, 4]."""
    names = list(EMOTIONS)
    counts = confusion_matrix(true, guessed, labels=names)
    return pd.DataFrame(
        counts, pd.Index(names, name="true"), pd.Index(names, name="predicted"), dtype=np.int64
    )


def recall(counts: pd.DataFrame) -> pd.Series:
    """Rates of the rows of a confusion matrix, what Table 7 calls accuracy; NaN for empty rows."""
    return pd.Series(np.diag(counts) / counts.sum(axis="columns"), name="recall")


def precision(counts: pd.DataFrame) -> pd.Series:
    """Rates of the columns of a confusion matrix, what Table 7 calls recall; NaN if never predicted."""
    return pd.Series(np.diag(counts) / counts.sum(axis="index"), name="precision")


def labels(counts: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """True and predicted class of each utterance that a confusion matrix of counts stands for."""
    cells = counts.rename_axis(index="true", columns="predicted").stack()
    rows = cells.index.repeat(cells.to_numpy())
    true, guessed = (rows.get_level_values(name).to_numpy() for name in ("true", "predicted"))
    return true, guessed


def wilson(count: ArrayLike, n: ArrayLike) -> Interval:
    """Wilson's interval of a proportion; arrays give arrays; NaN where `n` is 0."""
    low, high = proportion_confint(
        np.asarray(count, dtype=float), np.asarray(n, dtype=float), method="wilson"
    )
    return Interval(low, high)


def mean_interval(values: ArrayLike) -> Interval:
    """Student's t interval of the mean, for one value a seed; NaN for fewer than two."""
    values = np.asarray(values, dtype=float)
    if len(values) < 2:
        return Interval(np.nan, np.nan)
    return Interval(*map(float, ttest_1samp(values, 0).confidence_interval(0.95)))


def bootstrap_confusions(
    true: ArrayLike,
    guessed: ArrayLike,
    clusters: Sequence[Hashable] | pd.Series | None = None,
    seed: int = 0,
) -> np.ndarray:
    """Confusion matrices of resampled test sets: float64 [RESAMPLES, 4, 4].

    Args:
        true: class of each prediction.
        guessed: predicted class of each prediction.
        clusters: what is drawn as a whole: the utterance, where several seeds predicted it; the
            dialogue or speaker, where utterances of one resemble each other. By default each
            prediction stands alone.
        seed: of the draws.
    """
    cells = len(EMOTIONS) * _codes(true) + _codes(guessed)
    drawn = np.arange(len(cells)) if clusters is None else pd.factorize(np.asarray(clusters))[0]
    n = int(drawn.max()) + 1
    counts = np.zeros((n, len(EMOTIONS) ** 2))
    np.add.at(counts, (drawn, cells), 1)
    draws = np.random.default_rng(seed).integers(n, size=(RESAMPLES, n))
    draws += n * np.arange(RESAMPLES)[:, None]
    times = np.bincount(draws.ravel(), minlength=RESAMPLES * n).reshape(RESAMPLES, n)
    return (times @ counts).reshape(RESAMPLES, len(EMOTIONS), len(EMOTIONS))


def _codes(names: ArrayLike) -> np.ndarray:
    codes = pd.Categorical(np.asarray(names), categories=list(EMOTIONS)).codes.astype(np.int64)
    if (codes < 0).any():
        raise ValueError(f"a class is none of {EMOTIONS}")
    return codes


def accuracies(confusions: np.ndarray) -> np.ndarray:
    """Accuracy of each confusion matrix: [..., 4, 4] -> [...]."""
    return np.trace(confusions, axis1=-2, axis2=-1) / confusions.sum(axis=(-2, -1))


def uars(confusions: np.ndarray) -> np.ndarray:
    """UAR of each confusion matrix, over the classes present: [..., 4, 4] -> [...]."""
    of_class = confusions.sum(axis=-1)
    right = np.diagonal(confusions, axis1=-2, axis2=-1)
    rates = np.divide(right, of_class, out=np.zeros_like(right), where=of_class > 0)
    return rates.sum(axis=-1) / (of_class > 0).sum(axis=-1)


def percentile_interval(values: np.ndarray) -> Interval:
    """The middle 95 % of bootstrap values."""
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return Interval(float(low), float(high))


@dataclass(frozen=True)
class Paired:
    """Two models on the same test utterances.

    Attributes:
        n: utterances.
        only_first: utterances that only the first model gets right.
        only_second: utterances that only the second gets right.
        difference: accuracy of the first minus that of the second.
        low: its exact 95 % interval, given how many utterances they disagree on (Clopper-Pearson);
            it excludes 0 just where `p_value` is below 0.05. NaN if they disagree on none.
        high: the upper end.
        p_value: of McNemar's exact test.
    """

    n: int
    only_first: int
    only_second: int
    difference: float
    low: float
    high: float
    p_value: float


def mcnemar(true: ArrayLike, first: ArrayLike, second: ArrayLike) -> Paired:
    """Compare two models on the same utterances, given in the same order."""
    rights = [np.asarray(guessed) == np.asarray(true) for guessed in (first, second)]
    counts = confusion_matrix(*rights, labels=[False, True])
    only_first, only_second = int(counts[1, 0]), int(counts[0, 1])
    n, disagree = int(counts.sum()), only_first + only_second
    low = high = np.nan
    if disagree:
        share = binomtest(only_first, disagree).proportion_ci(0.95, method="exact")
        low, high = ((2 * end - 1) * disagree / n for end in share)
    p_value = float(exact_mcnemar(counts, exact=True).pvalue)
    return Paired(n, only_first, only_second, (only_first - only_second) / n, low, high, p_value)


def per_run(runs: Sequence[Run], selection: str) -> pd.DataFrame:
    """One row a run: what it is, its accuracy, UAR, macro-F1, kappa, and its audio scores.

    `audio_score` is the mean over the test utterances and `audio_score_sd` their standard
    deviation, NaN for models without attention. A run without the selection has no row.
    """
    rows = []
    for run in runs:
        table = run.selected(selection)
        if table.empty:
            continue
        true, guessed = table["emotion"], predicted(table)
        scores = {f.__name__: f(true, guessed) for f in (accuracy, uar, macro_f1, kappa)}
        rows.append(
            {
                **_identity(run),
                "fold": run.experiment.fold.name,
                "seed": run.experiment.seed,
                "n_utterances": len(table),
                **scores,
                "audio_score": table["audio_score"].mean(),
                "audio_score_sd": table["audio_score"].std(),
            }
        )
    columns = [*_IDENTITY, "fold", "seed", "n_utterances", "accuracy", "uar", "macro_f1", "kappa"]
    return pd.DataFrame(rows, columns=[*columns, "audio_score", "audio_score_sd"])


def pooled(runs: Sequence[Run], selection: str) -> pd.DataFrame:
    """The predictions of many runs in one table, with the runs' identity, seed and `predicted`."""
    parts = [
        run.selected(selection).assign(**_identity(run), seed=run.experiment.seed) for run in runs
    ]
    parts = [part for part in parts if len(part)]
    if not parts:
        return pd.DataFrame()
    table = pd.concat(parts, ignore_index=True)
    return table.assign(predicted=predicted(table))


def summarise(
    runs: Sequence[Run], selection: str, clusters: Mapping[str, str] | None = None
) -> pd.DataFrame:
    """One row for each corpus, profile, model, embedding and kind of fold, in the order of the runs.

    Columns: `n_runs`, `n_seeds`, `n_utterances` (different ones tested); `accuracy`, `uar`,
    `macro_f1`, `audio_score` (means over seeds; where groups are held out in turn, a seed's value
    is that of its folds pooled) with `_low` and `_high` over seeds (Student's t, NaN for one seed);
    `accuracy` and `uar` also with `_boot_low` and `_boot_high` over utterances (percentile
    bootstrap, all seeds of an utterance drawn together); `text_score`; `audio_score_sd`, the
    standard deviation over a run's utterances, mean over runs.

    Args:
        runs: the runs; those without the selection are left out.
        selection: which epoch, see `replicate.runs.SELECTIONS`.
        clusters: utterance -> what the bootstrap draws as a whole, such as its dialogue; the
            utterance itself by default.
    """
    table = pooled(runs, selection)
    if table.empty:
        return pd.DataFrame()
    single = per_run(runs, selection).groupby(_IDENTITY, sort=False)
    rows = []
    for identity, group in table.groupby(_IDENTITY, sort=False):
        mine = single.get_group(identity)
        rows.append(
            {
                **dict(zip(_IDENTITY, identity, strict=True)),
                "n_runs": len(mine),
                "n_seeds": group["seed"].nunique(),
                "n_utterances": group["utterance"].nunique(),
                **_over_seeds(group),
                **_over_utterances(group, clusters),
                "text_score": 1 - group["audio_score"].mean(),
                "audio_score_sd": mine["audio_score_sd"].mean(),
            }
        )
    return pd.DataFrame(rows)


_IDENTITY = ["corpus", "profile", "model", "embedding", "folds"]


def _identity(run: Run) -> dict[str, str]:
    e = run.experiment
    return dict(
        zip(_IDENTITY, (e.corpus, e.profile, e.model, e.embedding, e.fold.kind), strict=True)
    )


def _over_seeds(group: pd.DataFrame) -> dict[str, float]:
    measures: dict[str, Callable[[pd.DataFrame], float]] = {
        "accuracy": lambda part: accuracy(part["emotion"], part["predicted"]),
        "uar": lambda part: uar(part["emotion"], part["predicted"]),
        "macro_f1": lambda part: macro_f1(part["emotion"], part["predicted"]),
        "audio_score": lambda part: float(part["audio_score"].mean()),
    }
    seeds = [part for _, part in group.groupby("seed")]
    row: dict[str, float] = {}
    for name, measure in measures.items():
        values = [measure(part) for part in seeds]
        row[name] = float(np.mean(values))
        row[f"{name}_low"], row[f"{name}_high"] = mean_interval(values)
    return row


def _over_utterances(
    group: pd.DataFrame, clusters: Mapping[str, str] | None
) -> dict[str, float]:
    drawn = group["utterance"] if clusters is None else group["utterance"].map(dict(clusters))
    samples = bootstrap_confusions(group["emotion"], group["predicted"], drawn)
    row: dict[str, float] = {}
    for name, measure in (("accuracy", accuracies), ("uar", uars)):
        row[f"{name}_boot_low"], row[f"{name}_boot_high"] = percentile_interval(measure(samples))
    return row
