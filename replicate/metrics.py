"""Accuracy and its kin, their intervals, and paired comparisons, from stored predictions.

Two different questions have two different intervals. Over seeds: where does the mean of many
trainings lie on these test utterances? Over utterances: what would these trainings give on other
utterances?
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.stats import binomtest
from scipy.stats import t as student
from statsmodels.stats.contingency_tables import mcnemar as exact_mcnemar
from statsmodels.stats.proportion import proportion_confint
from statsmodels.stats.weightstats import DescrStatsW

from replicate.protocol import EMOTIONS
from replicate.runs import Run

if TYPE_CHECKING:  # no page or command without baselines pays for what they import
    from replicate.baseline_runs import BaselineRun

#: Samples of the bootstrap: percentiles of 95 % intervals to about a twentieth of their width.
RESAMPLES = 2000

#: Samples of whole clusters: with ten speakers more draws would tell no more.
CLUSTER_RESAMPLES = 500

#: Bins of equal numbers of utterances in which probabilities are compared with what came true.
BINS = 10


#: To which values are rounded before they are called alike: equal shares, or equal differences of
#: shares, must be equal numbers, for ranks know ties, and without a spread there is no test.
PLACES = 12


#: What runs must share to be averaged: all but the seed and the group held out.
CONFIGURATION = ["corpus", "profile", "model", "embedding", "choice", "folds"]


#: A network's run or a baseline's result.
Tested: TypeAlias = "Run | BaselineRun"


class Interval(NamedTuple):
    """A two-sided 95 % interval; NaN where there is too little to tell."""

    low: float
    high: float


def predicted(predictions: pd.DataFrame) -> pd.Series:
    """The class of highest probability for each row of `Run.predictions`."""
    return predictions[list(EMOTIONS)].idxmax(axis="columns").rename("predicted")


def tally(true: ArrayLike, guessed: ArrayLike) -> np.ndarray:
    """Counts by true class (rows) and predicted class (columns), order of `EMOTIONS`: [4, 4]."""
    shape = (len(EMOTIONS), len(EMOTIONS))
    return np.bincount(_cells(true, guessed), minlength=len(EMOTIONS) ** 2).reshape(shape)


def _cells(true: ArrayLike, guessed: ArrayLike) -> np.ndarray:
    """Cell of the confusion matrix of each utterance, counted along the rows: int64 [n]."""
    classes = pd.Index(EMOTIONS)
    rows, columns = (classes.get_indexer(pd.Index(np.asarray(x))) for x in (true, guessed))
    if min(rows.min(), columns.min()) < 0:
        raise ValueError(f"a class is none of {EMOTIONS}")
    cells: np.ndarray = len(EMOTIONS) * rows + columns
    return cells


def confusion(true: ArrayLike, guessed: ArrayLike) -> pd.DataFrame:
    """Counts by true class (rows) and predicted class (columns), as in Table 7: int64 [4, 4]."""
    names = list(EMOTIONS)
    true_names, guessed_names = pd.Index(names, name="true"), pd.Index(names, name="predicted")
    return pd.DataFrame(tally(true, guessed), true_names, guessed_names)


def accuracies(confusions: np.ndarray) -> np.ndarray:
    """Share of utterances classified correctly (WA): [..., 4, 4] -> [...]."""
    right = np.trace(confusions, axis1=-2, axis2=-1)
    return _ratio(right, confusions.sum(axis=(-2, -1)))


def uars(confusions: np.ndarray) -> np.ndarray:
    """Unweighted average recall (UA): mean recall of the classes present, [..., 4, 4] -> [...]."""
    recalls = _ratio(np.diagonal(confusions, axis1=-2, axis2=-1), confusions.sum(axis=-1))
    return _mean_of_known(recalls)


def macro_f1s(confusions: np.ndarray) -> np.ndarray:
    """Mean F1 of the classes present or predicted: [..., 4, 4] -> [...]."""
    right = np.diagonal(confusions, axis1=-2, axis2=-1)
    f1 = _ratio(2 * right, confusions.sum(axis=-1) + confusions.sum(axis=-2))
    return _mean_of_known(f1)


def _mean_of_known(values: np.ndarray) -> np.ndarray:
    """The mean over the last axis but for NaN; NaN where nothing is known."""
    return _ratio(np.nansum(values, axis=-1), (~np.isnan(values)).sum(axis=-1))


def kappas(confusions: np.ndarray) -> np.ndarray:
    """Cohen's kappa, agreement beyond chance with the same margins: [..., 4, 4] -> [...]."""
    margins = confusions.sum(axis=-1) * confusions.sum(axis=-2)
    chance = _ratio(margins.sum(axis=-1), confusions.sum(axis=(-2, -1)) ** 2)
    return _ratio(accuracies(confusions) - chance, 1 - chance)


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """A quotient that is NaN where the denominator is 0."""
    unknown = np.full(np.shape(whole), np.nan)
    quotient: np.ndarray = np.divide(part, whole, out=unknown, where=np.asarray(whole) != 0)
    return quotient


def accuracy(true: ArrayLike, guessed: ArrayLike) -> float:
    """`accuracies` of one set of predictions."""
    return float(accuracies(tally(true, guessed)))


def uar(true: ArrayLike, guessed: ArrayLike) -> float:
    """`uars` of one set of predictions."""
    return float(uars(tally(true, guessed)))


def reliability(predictions: pd.DataFrame, bins: int = BINS) -> pd.DataFrame:
    """How often the predicted class is right, against the probability given to it.

    Utterances are put in bins of equal numbers by that probability, as scikit-learn's
    `calibration_curve` does with its strategy `quantile`, which gives no counts; utterances of
    equal probability share a bin.

    Args:
        predictions: `Run.predictions`, or several of them.
        bins: how many, at most.

    Returns:
        One row a bin, by rising probability: `confidence` and `accuracy` (means), `n`.
    """
    frame = pd.DataFrame(
        {
            "confidence": predictions[list(EMOTIONS)].max(axis="columns"),
            "accuracy": predicted(predictions) == predictions["emotion"],
        }
    )
    edges = np.quantile(frame["confidence"], np.linspace(0, 1, bins + 1)[1:-1])
    by_bin = frame.groupby(np.searchsorted(edges, frame["confidence"]))
    return by_bin.mean().assign(n=by_bin.size()).reset_index(drop=True)


def expected_calibration_error(predictions: pd.DataFrame, bins: int = BINS) -> float:
    """Mean distance of accuracy from confidence over the bins of `reliability` (Guo et al. 2017).

    Of few utterances it is above 0 even if all probabilities are right.
    """
    curve = reliability(predictions, bins)
    distances = (curve["accuracy"] - curve["confidence"]).abs()
    return float(np.average(distances, weights=curve["n"]))


def recall(counts: pd.DataFrame) -> pd.Series:
    """Rates of the rows of a confusion matrix, what Table 7 calls accuracy; NaN for empty rows."""
    return pd.Series(np.diag(counts) / counts.sum(axis="columns"), name="recall")


def precision(counts: pd.DataFrame) -> pd.Series:
    """Rates of the columns of a confusion matrix, what Table 7 calls recall; NaN for empty ones."""
    return pd.Series(np.diag(counts) / counts.sum(axis="index"), name="precision")


def labels(counts: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """True and predicted class of each utterance that a confusion matrix of counts stands for."""
    cells = counts.rename_axis(index="true", columns="predicted").stack()
    rows = cells.index.repeat(cells.to_numpy())
    true, guessed = (rows.get_level_values(name).to_numpy() for name in ("true", "predicted"))
    return true, guessed


def wilson(count: ArrayLike, n: ArrayLike) -> Interval:
    """Wilson's interval of a proportion; arrays give arrays; NaN where `n` is 0."""
    counts, sizes = np.asarray(count, dtype=float), np.asarray(n, dtype=float)
    with np.errstate(divide="ignore", invalid="ignore"):
        low, high = proportion_confint(counts, sizes, method="wilson")
    return Interval(low, high)


def without_spread(values: ArrayLike) -> bool:
    """Whether values leave it unknown how far they scatter: fewer than two, or all alike.

    Counts on a small test set are often alike, which does not show that the next one would be.
    """
    rounded = np.asarray(values, dtype=float).round(PLACES)
    return len(rounded) < 2 or not np.ptp(rounded)


def mean_interval(values: ArrayLike) -> Interval:
    """Student's t interval of the mean, for one value a seed; NaN for `without_spread`."""
    values = np.asarray(values, dtype=float)
    if without_spread(values):
        return Interval(np.nan, np.nan)
    return Interval(*map(float, DescrStatsW(values).tconfint_mean(alpha=0.05)))


def share_interval(values: ArrayLike) -> Interval:
    """`mean_interval` of shares, cut to where a share can lie."""
    return Interval(*map(float, np.clip(mean_interval(values), 0, 1)))


def prediction_interval(values: ArrayLike) -> Interval:
    """Where one more value of the same kind lies, for one value a run; NaN for `without_spread`.

    Student's t, mean +- t s sqrt(1 + 1/n). The values must be drawn independently and alike, such
    as runs that each have a seed and a random split of their own; then their spread already holds
    the luck of the test utterances.
    """
    values = np.asarray(values, dtype=float)
    if without_spread(values):
        return Interval(np.nan, np.nan)
    margin = student.ppf(0.975, len(values) - 1) * values.std(ddof=1) * np.sqrt(1 + 1 / len(values))
    return Interval(float(values.mean() - margin), float(values.mean() + margin))


def next_share(values: ArrayLike) -> Interval:
    """`prediction_interval` of shares, cut to where a share can lie."""
    return Interval(*map(float, np.clip(prediction_interval(values), 0, 1)))


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

    Returns:
        NaN where there is but one cluster, of which nothing can be drawn.
    """
    cells = _cells(true, guessed)
    drawn = np.arange(len(cells)) if clusters is None else pd.factorize(np.asarray(clusters))[0]
    n = int(drawn.max()) + 1
    if n < 2:
        return np.full((RESAMPLES, len(EMOTIONS), len(EMOTIONS)), np.nan)
    counts = np.zeros((n, len(EMOTIONS) ** 2))
    np.add.at(counts, (drawn, cells), 1)
    draws = np.random.default_rng(seed).integers(n, size=(RESAMPLES, n))
    draws += n * np.arange(RESAMPLES)[:, None]
    times = np.bincount(draws.ravel(), minlength=RESAMPLES * n).reshape(RESAMPLES, n)
    return (times @ counts).reshape(RESAMPLES, len(EMOTIONS), len(EMOTIONS))


def percentile_interval(values: np.ndarray) -> Interval:
    """The middle 95 % of bootstrap values; NaN if all of them are."""
    if np.isnan(values).all():
        return Interval(np.nan, np.nan)
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return Interval(float(low), float(high))


def interval_over_clusters(
    table: pd.DataFrame,
    cluster: str,
    statistic: Callable[[pd.DataFrame], pd.DataFrame],
    seed: int = 0,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Percentile bootstrap of any statistics of a table that draws whole groups of its rows.

    Args:
        table: the rows.
        cluster: the column whose values are drawn as a whole, such as the speaker.
        statistic: table -> table of numbers.
        seed: of the draws.

    Returns:
        The low and the high ends of the 95 % intervals, in the shape of the statistics; NaN where
        there is but one group.
    """
    groups = [group for _, group in table.groupby(cluster)]
    if len(groups) < 2:
        unknown = statistic(table) * np.nan
        return unknown, unknown
    draws = np.random.default_rng(seed).integers(len(groups), size=(CLUSTER_RESAMPLES, len(groups)))
    drawn = [statistic(pd.concat([groups[k] for k in draw])) for draw in draws]
    shape = drawn[0]
    ends = np.nanpercentile([one.to_numpy() for one in drawn], [2.5, 97.5], axis=0)
    low, high = (pd.DataFrame(end, shape.index, shape.columns) for end in ends)
    return low, high


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
    right, other = (np.asarray(guessed) == np.asarray(true) for guessed in (first, second))
    only_first, only_second = int((right & ~other).sum()), int((other & ~right).sum())
    n, disagree = len(right), only_first + only_second
    low = high = np.nan
    if disagree:
        share = binomtest(only_first, disagree).proportion_ci(0.95, method="exact")
        low, high = ((2 * end - 1) * disagree / n for end in share)
    p_value = float(exact_mcnemar([[0, only_first], [only_second, 0]], exact=True).pvalue)
    return Paired(n, only_first, only_second, (only_first - only_second) / n, low, high, p_value)


def per_run(runs: Sequence[Tested], selection: str) -> pd.DataFrame:
    """One row a run: what it is, its accuracy and its audio scores.

    `audio_score` is the mean over the test utterances and `audio_score_sd` their standard
    deviation, NaN for models without attention. A run without the selection has no row.
    """
    table = pooled(runs, selection)
    if table.empty:
        return pd.DataFrame()
    single = [part for _, part in table.groupby("run")]
    counts = np.stack([tally(part["emotion"], part["predicted"]) for part in single])
    identity = [*CONFIGURATION, "fold", "seed"]
    return (
        table.drop_duplicates("run")[identity]
        .reset_index(drop=True)
        .assign(
            n_utterances=counts.sum(axis=(1, 2)),
            accuracy=accuracies(counts),
            audio_score=[part["audio_score"].mean() for part in single],
            audio_score_sd=[part["audio_score"].std() for part in single],
        )
    )


def pooled(runs: Sequence[Tested], selection: str) -> pd.DataFrame:
    """The predictions of many runs in one table: `Run.predictions`, and what each run is.

    Added columns: `run` (its position in `runs`), `corpus`, `profile`, `model`, `embedding`,
    `choice`, `folds` (kind), `fold`, `seed`, and `predicted`, the class of highest probability.
    """
    parts = {position: run.selected(selection) for position, run in enumerate(runs)}
    parts = {position: part for position, part in parts.items() if len(part)}
    if not parts:
        return pd.DataFrame()
    table = pd.concat(parts, names=["run", None]).reset_index("run")
    table = table.join(pd.DataFrame(map(_identity, runs)), on="run").reset_index(drop=True)
    return table.assign(predicted=predicted(table))


def summarise(
    runs: Sequence[Tested], selection: str, clusters: Mapping[str, str] | None = None
) -> pd.DataFrame:
    """One row for each corpus, profile, model, embedding, choice and kind of fold, in order.

    Columns: `n_seeds`, `n_utterances` (different ones tested); `accuracy`, `uar`,
    `macro_f1`, `ece` (expected calibration error), `audio_score` (means over seeds; where groups
    are held out in turn, a seed's value is that of its folds pooled) with `_low` and `_high` over
    seeds (`share_interval`); `accuracy`, `uar` and `macro_f1` also with `_boot_low`
    and `_boot_high` over utterances (percentile bootstrap, all seeds of an utterance drawn
    together); `audio_score_sd`, the standard deviation over a run's utterances, mean
    over runs.

    Args:
        runs: the runs; those without the selection are left out.
        selection: which epoch, see `replicate.runs.SELECTIONS`.
        clusters: utterance -> what the bootstrap draws as a whole, such as its dialogue; the
            utterance itself by default.
    """
    table = pooled(runs, selection)
    if table.empty:
        return pd.DataFrame()
    rows = []
    for _, group in table.groupby(CONFIGURATION, sort=False):
        single = group.groupby("run")
        rows.append(
            {
                **{name: group[name].iloc[0] for name in CONFIGURATION},
                "n_seeds": group["seed"].nunique(),
                "n_utterances": group["utterance"].nunique(),
                **_over_seeds(group),
                **_over_utterances(group, clusters),
                "audio_score_sd": single["audio_score"].std().mean(),
            }
        )
    return pd.DataFrame(rows)


def _identity(run: Tested) -> dict[str, Any]:
    experiment = run.experiment
    fold, seed = experiment.fold, experiment.seed
    values = [getattr(experiment, name) for name in CONFIGURATION[:-1]] + [fold.kind]
    return {**dict(zip(CONFIGURATION, values, strict=True)), "fold": fold.name, "seed": seed}


def _over_seeds(group: pd.DataFrame) -> dict[str, float]:
    seeds = [part for _, part in group.groupby("seed")]
    counts = np.stack([tally(part["emotion"], part["predicted"]) for part in seeds])
    values = {
        "accuracy": accuracies(counts),
        "uar": uars(counts),
        "macro_f1": macro_f1s(counts),
        "ece": np.array([expected_calibration_error(part) for part in seeds]),
        "audio_score": np.array([part["audio_score"].mean() for part in seeds]),
    }
    row: dict[str, float] = {}
    for name, of_seeds in values.items():
        row[name] = float(of_seeds.mean())
        row[f"{name}_low"], row[f"{name}_high"] = share_interval(of_seeds)
    return row


def _over_utterances(group: pd.DataFrame, clusters: Mapping[str, str] | None) -> dict[str, float]:
    drawn = group["utterance"] if clusters is None else group["utterance"].map(dict(clusters))
    samples = bootstrap_confusions(group["emotion"], group["predicted"], drawn)
    row: dict[str, float] = {}
    for name, measure in (("accuracy", accuracies), ("uar", uars), ("macro_f1", macro_f1s)):
        row[f"{name}_boot_low"], row[f"{name}_boot_high"] = percentile_interval(measure(samples))
    return row
