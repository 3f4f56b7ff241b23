"""Accuracy and its kin: functions of true and predicted classes."""

from collections.abc import Hashable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from replicate.paper import EMOTIONS
from replicate.stats.intervals import RESAMPLES

#: Bins of equal numbers of utterances in which probabilities are compared with what came true.
BINS = 10


def predicted(predictions: pd.DataFrame) -> pd.Series:
    """The class of highest probability for each row of `Run.predictions`."""
    return predictions[list(EMOTIONS)].idxmax(axis="columns").rename("predicted")


def tally(true: ArrayLike, guessed: ArrayLike) -> np.ndarray:
    """Counts by true class (rows) and predicted class (columns), order of `EMOTIONS`: [4, 4].

    >>> tally(["anger", "anger", "sadness"], ["anger", "sadness", "sadness"]).tolist()
    [[1, 0, 0, 1], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 1]]
    """
    shape = (len(EMOTIONS), len(EMOTIONS))
    return np.bincount(_cells(true, guessed), minlength=len(EMOTIONS) ** 2).reshape(shape)


def _cells(true: ArrayLike, guessed: ArrayLike) -> np.ndarray:
    """Cell of the confusion matrix of each utterance, counted along the rows: int64 [n]."""
    classes = pd.Index(EMOTIONS)
    rows, columns = (classes.get_indexer(pd.Index(np.asarray(x))) for x in (true, guessed))
    if min(rows.min(), columns.min()) < 0:
        raise ValueError(f"a class is none of {EMOTIONS}")
    return np.asarray(len(EMOTIONS) * rows + columns)


def confusion(true: ArrayLike, guessed: ArrayLike) -> pd.DataFrame:
    """`tally` with names, as in Table 7: int64 [4, 4]."""
    true_names, guessed_names = (pd.Index(EMOTIONS, name=of) for of in ("true", "predicted"))
    return pd.DataFrame(tally(true, guessed), true_names, guessed_names)


def accuracies(confusions: np.ndarray) -> np.ndarray:
    """Share of utterances classified correctly (WA), trace / sum: [..., 4, 4] -> [...].

    >>> float(accuracies(np.diag([3, 1, 1, 1]) + np.eye(4)[::-1]))
    0.6
    """
    right = np.trace(confusions, axis1=-2, axis2=-1)
    return _ratio(right, confusions.sum(axis=(-2, -1)))


def uars(confusions: np.ndarray) -> np.ndarray:
    """Unweighted average recall (UA): mean recall of the classes present, [..., 4, 4] -> [...].

    >>> float(uars(np.array([[8, 2, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]])))
    0.65
    """
    recalls = _ratio(np.diagonal(confusions, axis1=-2, axis2=-1), confusions.sum(axis=-1))
    return _mean_of_known(recalls)


def rates(confusions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Recall and precision of each class, 0 of one that never is: [..., 4, 4] -> [..., 4] each."""
    right = np.diagonal(confusions, axis1=-2, axis2=-1)
    recall, precision = (right / np.maximum(confusions.sum(axis=axis), 1) for axis in (-1, -2))
    return recall, precision


def macro_f1s(confusions: np.ndarray) -> np.ndarray:
    """Mean F1 of the classes present or predicted: [..., 4, 4] -> [...]."""
    right = np.diagonal(confusions, axis1=-2, axis2=-1)
    f1 = _ratio(2 * right, confusions.sum(axis=-1) + confusions.sum(axis=-2))
    return _mean_of_known(f1)


def _mean_of_known(values: np.ndarray) -> np.ndarray:
    """The mean over the last axis but for NaN; NaN where nothing is known."""
    return _ratio(np.nansum(values, axis=-1), (~np.isnan(values)).sum(axis=-1))


def kappas(confusions: np.ndarray) -> np.ndarray:
    """Cohen's kappa, agreement beyond chance with the same margins: [..., 4, 4] -> [...].

    (accuracy - chance) / (1 - chance), chance the sum over classes of both margins' shares.

    >>> float(kappas(np.array([[4, 1, 0, 0], [1, 4, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]])).round(3))
    0.6
    """
    margins = confusions.sum(axis=-1) * confusions.sum(axis=-2)
    chance = _ratio(margins.sum(axis=-1), confusions.sum(axis=(-2, -1)) ** 2)
    return _ratio(accuracies(confusions) - chance, 1 - chance)


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """A quotient that is NaN where the denominator is 0."""
    unknown = np.full(np.shape(whole), np.nan)
    return np.asarray(np.divide(part, whole, out=unknown, where=np.asarray(whole) != 0))


def reliability(predictions: pd.DataFrame, bins: int = BINS) -> pd.DataFrame:
    """How often the predicted class is right, against the probability given to it.

    Utterances are put in at most so many `bins` of equal numbers by that probability, as
    scikit-learn's `calibration_curve` does with its strategy `quantile`, which gives no counts;
    utterances of equal probability share a bin.

    Returns:
        One row a bin, by rising probability: `confidence` and `accuracy` (means), `n`.
    """
    confidence = predictions[list(EMOTIONS)].to_numpy().max(axis=1)  # [n]
    right = (predicted(predictions) == predictions["emotion"]).to_numpy()  # [n]
    edges = np.quantile(confidence, np.linspace(0, 1, bins + 1)[1:-1])
    cells = np.searchsorted(edges, confidence)
    n = np.bincount(cells)
    means = {
        name: np.bincount(cells, values)[n > 0] / n[n > 0]
        for name, values in {"confidence": confidence, "accuracy": right}.items()
    }
    return pd.DataFrame(means | {"n": n[n > 0]})


def expected_calibration_error(predictions: pd.DataFrame) -> float:
    """Mean distance of accuracy from confidence over the bins of `reliability` (Guo et al. 2017).

    Of few utterances it is above 0 even if all probabilities are right.
    """
    curve = reliability(predictions)
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


def bootstrap_confusions(
    true: ArrayLike,
    guessed: ArrayLike,
    clusters: Sequence[Hashable] | pd.Series | None = None,
) -> np.ndarray:
    """Confusion matrices of resampled test sets: float64 [RESAMPLES, 4, 4].

    What is drawn as a whole are `clusters`: the utterance, where several seeds predicted it; the
    dialogue or speaker, where utterances of one resemble each other. By default each prediction
    stands alone. NaN of but one cluster, of which nothing can be drawn.
    """
    cells = _cells(true, guessed)
    drawn = np.arange(len(cells)) if clusters is None else pd.factorize(np.asarray(clusters))[0]
    n = int(drawn.max()) + 1
    if n < 2:
        return np.full((RESAMPLES, len(EMOTIONS), len(EMOTIONS)), np.nan)
    counts = np.zeros((n, len(EMOTIONS) ** 2))
    np.add.at(counts, (drawn, cells), 1)
    draws = np.random.default_rng(0).integers(n, size=(RESAMPLES, n))
    draws += n * np.arange(RESAMPLES)[:, None]
    times = np.bincount(draws.ravel(), minlength=RESAMPLES * n).reshape(RESAMPLES, n)
    return (times @ counts).reshape(RESAMPLES, len(EMOTIONS), len(EMOTIONS))
