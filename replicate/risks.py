"""What the protocol does not control, measured on stored predictions.

What a kind of fold gives away, texts that occur in training too, the choice of the epoch, and the
other utterances of a test batch. No transcript is needed for any of it.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
from scipy.signal import detrend

from replicate import metrics
from replicate.audit import best_of_epochs
from replicate.baseline_runs import FOLDS, BaselineRun
from replicate.comparison import (
    Estimate,
    difference_over_clusters,
    mean_difference,
    mean_over_clusters,
)
from replicate.corpora.iemocap_ids import parse
from replicate.corpora.standin.channels import COUNTS as SIZES
from replicate.metrics import Tested
from replicate.protocol import EMOTIONS
from replicate.runs import SELECTIONS, Run

#: Treatments that change nothing but the other utterances of a test batch.
BATCHES = ("one-by-one", "sorted")

#: The lognormal (mu, sigma) that fits the durations of each of IEMOCAP's classes, in seconds.
DURATIONS = ((1.327, 0.589), (1.327, 0.634), (1.179, 0.596), (1.480, 0.659))

#: IEMOCAP's shortest and longest utterance of these classes, in seconds.
EXTREMES = (0.58, 34.1)

#: Epochs of random batches that are drawn to measure padding.
EPOCHS = 100

#: Share of the epochs, the last ones, in which the test accuracy is taken to have settled.
SETTLED = 0.5


def answered(tested: Sequence[Tested], dialogues: Mapping[str, str]) -> pd.DataFrame:
    """Every answer to a test utterance whose dialogue is known, at the last epoch.

    Args:
        tested: runs or baselines on one corpus, one at least.
        dialogues: utterance -> its dialogue, as `baseline_runs.dialogues` tells.

    Returns:
        The columns of `metrics.pooled`, `dialogue`, and `right`: whether the predicted class is the
        true one.
    """
    rows = metrics.pooled(tested, "last-epoch")
    rows["dialogue"] = rows["utterance"].map(dialogues)
    return rows.assign(right=rows["predicted"] == rows["emotion"]).dropna(subset="dialogue")


def named(name: str, found: Estimate) -> dict[str, float]:
    """An estimate as entries of a table's row."""
    return {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high}


# --- what is held out ---


def lost(rows: pd.DataFrame) -> pd.DataFrame:
    """What accuracy loses if whole groups are held out, on the utterances that both folds tested.

    An utterance counts once, with the share of its answers over seeds and splits that are right.

    Args:
        rows: of one model, from `answered`.

    Returns:
        Index: kinds of folds but the random one; `lost` (at random less held out) with `_low` and
        `_high`, which draw whole dialogues; how many `utterances` and `dialogues` these are; and
        `over`, `over_low`, `over_high`, the mean of the `groups` held out, each counting alike,
        with Student's t interval over them. Empty without random splits.
    """
    by_kind = rows.groupby(["dialogue", "utterance", "folds"])["right"].mean().unstack("folds")
    found = {}
    for kind in FOLDS[1:]:
        if {"stratified", kind} <= set(by_kind):
            gap = (by_kind["stratified"] - by_kind[kind]).dropna()
            drawn = gap.index.get_level_values("dialogue")
            if len(gap):
                sizes = {"utterances": len(gap), "dialogues": drawn.nunique()}
                over = mean_difference(gap.groupby(_group_of(rows, kind, gap)).mean())
                found[kind] = {
                    **named("lost", mean_over_clusters(gap, drawn)),
                    **named("over", Estimate(over.difference, over.low, over.high)),
                    **sizes,
                    "groups": over.n,
                }
    return pd.DataFrame(found).T


def _group_of(rows: pd.DataFrame, kind: str, gap: pd.Series) -> pd.Series:
    """The fold of one kind that tested each utterance of a series, in its order."""
    tested = rows[rows["folds"] == kind].drop_duplicates("utterance").set_index("utterance")["fold"]
    return tested[gap.index.get_level_values("utterance")].set_axis(gap.index)


# --- repeated texts ---


def repeated(results: Iterable[BaselineRun]) -> pd.Series:
    """Whether the words of a test utterance, all of them in order, occur in the training part.

    `baselines.same_text` answers with the classes' shares among all training utterances where it
    finds no equal text; `baselines.majority` always does. So their stored answers tell, without
    the texts. (Equal texts with exactly these shares would be missed.)

    Args:
        results: of both baselines on one version of a corpus; folds that only one has are left
            out. They train on what models with a development part keep back, too.

    Returns:
        bool, index `fold`, `utterance`.
    """
    answers: dict[str, list[pd.DataFrame]] = {"same-text": [], "majority": []}
    for result in results:
        if result.experiment.model in answers:
            part = result.predictions.assign(fold=result.experiment.fold.name)
            answers[result.experiment.model].append(part)
    if not all(answers.values()):
        return pd.Series(dtype=bool)
    found, base = (
        pd.concat(parts).set_index(["fold", "utterance"])[list(EMOTIONS)].sort_index()
        for parts in answers.values()
    )
    found, base = found.align(base, join="inner", axis="index")
    same = np.isclose(found, base, rtol=0, atol=1e-9).all(axis=1)
    return pd.Series(~same, found.index, name="repeated")


def style(utterance: str) -> str:
    """`scripted` or `improvised`, as IEMOCAP's ids tell; empty for ids of another corpus."""
    known = parse(utterance)
    return "" if known is None else "scripted" if known.scripted else "improvised"


def by_style(rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """`all` rows, and those of `scripted` and of `improvised` dialogues where ids tell them apart.

    Args:
        rows: with a column `utterance`.
    """
    styles = rows["utterance"].map(style)
    parts = {name: rows[styles == name] for name in ("scripted", "improvised")}
    return {"all": rows} | {name: part for name, part in parts.items() if len(part)}


def shares(flags: pd.Series) -> pd.DataFrame:
    """The share of repeated texts: index as `by_style`, a column for each kind of fold.

    Args:
        flags: of `repeated`.
    """
    rows = flags.reset_index()
    rows["folds"] = rows["fold"].str.partition("-")[0]
    parts = by_style(rows).items()
    found = {name: part.groupby("folds")["repeated"].mean() for name, part in parts}
    return pd.DataFrame(found).T


def repeats(rows: pd.DataFrame) -> pd.DataFrame:
    """Accuracy on repeated texts and on new ones.

    Args:
        rows: of one model, from `answered`, with the column `repeated`.

    Returns:
        Index as `by_style`; `share` (of repeated texts), `accuracy`; `repeated`, `new` and
        `difference`, each with `_low` and `_high`; and `least` and `most`, the smallest and the
        largest difference of a run.
    """
    return pd.DataFrame({name: _repeats(part) for name, part in by_style(rows).items()}).T


def _repeats(rows: pd.DataFrame) -> dict[str, float]:
    flag = rows["repeated"]
    old, new = rows[flag], rows[~flag]
    by_run = old.groupby("run")["right"].mean() - new.groupby("run")["right"].mean()
    return {
        "share": flag.mean(),
        "accuracy": rows["right"].mean(),
        **named("repeated", mean_over_clusters(old["right"], old["dialogue"])),
        **named("new", mean_over_clusters(new["right"], new["dialogue"])),
        **named("difference", difference_over_clusters(rows["right"], flag, rows["dialogue"])),
        "least": by_run.min(),
        "most": by_run.max(),
    }


# --- the choice of the epoch ---


def epochs(runs: Sequence[Run]) -> pd.DataFrame:
    """What the choice of the epoch does to each run.

    Returns:
        One row a run: accuracy for each of `SELECTIONS` (NaN where it has none), `gain` (best test
        epoch less the last), and the columns of `fluctuation`.
    """
    rows = []
    for run in runs:
        found = {s: _accuracy(run.selected(s)) for s in SELECTIONS}
        gain = found["test-best"] - found["last-epoch"]
        rows.append(found | {"gain": gain} | fluctuation(run.epochs["test_accuracy"].to_numpy()))
    return pd.DataFrame(rows)


def _accuracy(predictions: pd.DataFrame) -> float:
    if predictions.empty:
        return np.nan
    return metrics.accuracy(predictions["emotion"], metrics.predicted(predictions))


def fluctuation(accuracies: np.ndarray) -> dict[str, float]:
    """How the test accuracy moves from epoch to epoch once it has settled.

    A straight line through the last `SETTLED` of the epochs is taken off first.

    Args:
        accuracies: of every epoch: float64 [epochs].

    Returns:
        `sd`, `autocorrelation` of neighbouring epochs (NaN where nothing moves); `best_settled`,
        how far the best of these epochs lies above their mean, and `by_chance`, how far it would if
        nothing else moved them, see `audit.best_of_epochs`; `early`, 1 if the best of all epochs
        comes before these.
    """
    n = max(2, round(SETTLED * len(accuracies)))
    rest, early = detrend(accuracies[-n:]), float(accuracies.argmax() < len(accuracies) - n)
    sd = float(rest.std(ddof=1))
    if sd < 1e-9:
        still = {"sd": 0.0, "autocorrelation": np.nan, "best_settled": 0.0, "by_chance": 0.0}
        return still | {"early": early}
    phi = float(rest[1:] @ rest[:-1] / (rest @ rest))
    best = best_of_epochs(min(max(phi, 0.0), 0.99), len(rest))
    return {
        "sd": sd, "autocorrelation": phi, "best_settled": float(rest.max()),
        "by_chance": sd * best, "early": early,
    }  # fmt: skip


# --- the other utterances of a test batch ---


def iemocap_seconds(rng: np.random.Generator) -> np.ndarray:
    """As many durations as IEMOCAP's four classes have, of `DURATIONS`: float64 [5531]."""
    drawn = [rng.lognormal(*fit, n) for fit, n in zip(DURATIONS, SIZES, strict=True)]
    return np.concatenate(drawn).clip(*EXTREMES)


def padding(seconds: np.ndarray, batch: int, rng: np.random.Generator) -> dict[str, float]:
    """What padding random batches to their longest utterance takes, over `EPOCHS` epochs.

    Args:
        seconds: durations of the utterances.
        batch: utterances of a batch; what an epoch leaves over is dropped.
        rng: to shuffle with.

    Returns:
        `longest`: mean duration of a batch's longest utterance, in seconds; `padding`: share of all
        samples that are none of an utterance; `silent`: share of the padded length that is none of
        an utterance of median duration, mean over batches.
    """
    whole = len(seconds) // batch * batch
    epochs = rng.permuted(np.tile(seconds, (EPOCHS, 1)), axis=1)[:, :whole]
    longest = epochs.reshape(-1, batch).max(axis=1)
    return {
        "longest": float(longest.mean()),
        "padding": float(1 - epochs.sum() / (batch * longest.sum())),
        "silent": float(1 - (np.median(seconds) / longest).clip(max=1).mean()),
    }


def rebatched(runs: Sequence[Run], dialogues: Mapping[str, str]) -> pd.DataFrame:
    """What finished models answer in other test batches, beside their usual answers.

    Returns:
        Rows of `answered` for each of `BATCHES`, with `treatment`, `flipped` (whether the predicted
        class is another there) and `change` (of being right: -1, 0 or 1).
    """
    treated = pd.concat({k: run.treated for k, run in enumerate(runs)}, names=["run", None])
    treated = treated[treated["treatment"].isin(BATCHES)].reset_index("run")
    other = treated[["run", "utterance", "treatment"]].assign(other=metrics.predicted(treated))
    rows = answered(runs, dialogues).merge(other, on=["run", "utterance"])
    return rows.assign(
        flipped=rows["other"] != rows["predicted"],
        change=(rows["other"] == rows["emotion"]).astype(int) - rows["right"].astype(int),
    )


def flips(rows: pd.DataFrame) -> pd.DataFrame:
    """How much other test batches change.

    Args:
        rows: of one model, from `rebatched`.

    Returns:
        Index `BATCHES`; `share` (of predicted classes that change) and `change` (of the accuracy),
        each with `_low` and `_high`.
    """
    found = {}
    for name in BATCHES:
        part = rows[rows["treatment"] == name]
        found[name] = {
            **named("share", mean_over_clusters(part["flipped"], part["dialogue"])),
            **named("change", mean_over_clusters(part["change"], part["dialogue"])),
        }
    return pd.DataFrame(found).T
