"""What the protocol does not control, measured on stored predictions, without transcripts.

What a kind of fold gives away, texts that occur in training too, the choice of the epoch, and the
other utterances of a test batch.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd
from scipy.signal import detrend

from replicate.corpora.iemocap_ids import parse
from replicate.paper import EMOTIONS
from replicate.runs.selection import Selection, answers_under, whole_rounds
from replicate.runs.store import SELECTIONS
from replicate.settings import BATCHES, FOLDS, GROUPS
from replicate.stats.hypothesis_tests import Mean, mean_difference
from replicate.stats.intervals import difference_over_clusters, mean_over_clusters
from replicate.stats.power import best_of_epochs
from replicate.stats.summaries import RUN

#: Epochs of random batches that are drawn to measure padding.
EPOCHS = 100

#: Columns of `lost`, and of `fluctuation`.
LOST = (
    "lost", "lost_low", "lost_high", "over", "over_low", "over_high", "utterances", "dialogues",
    "groups",
)  # fmt: skip
FLUCTUATION = ("sd", "autocorrelation", "best_settled", "by_chance", "early")

#: Share of the epochs, the last ones, in which the test accuracy is taken to have settled.
SETTLED = 0.5


def side_by_side(baselines: Selection, runs: Selection) -> Selection:
    """Baselines, and the runs of the network that may stand beside them; none without baselines.

    These are whole rounds of runs on the version of the corpus that the baselines have seen.
    Baselines on random splits that no run has are left out: one split is easier than another.
    """
    seen = {one.provenance.text_fingerprint for one in baselines}
    same = [run for run in runs if run.provenance.text_fingerprint in seen]
    alike = whole_rounds(same, baselines)
    drawn = {run.experiment.fold for run in alike if run.experiment.fold.kind == "stratified"}
    beside = [
        one for one in baselines
        if not drawn or one.experiment.fold in drawn or one.experiment.fold.kind in GROUPS
    ]  # fmt: skip
    return replace(baselines, runs=(*beside, *alike))


def in_dialogues(answers: pd.DataFrame, dialogues: Mapping[str, str]) -> pd.DataFrame:
    """The answers to utterances whose dialogue is known, with `dialogue`, and whether `right`."""
    known = answers.assign(
        dialogue=answers["utterance"].map(dict(dialogues)),
        right=answers["predicted"] == answers["emotion"],
    )
    return known.dropna(subset="dialogue")


# --- what is held out ---


def lost(rows: pd.DataFrame) -> pd.DataFrame:
    """What one model's accuracy loses if groups are held out, on utterances that both tested.

    The rows are its answers, with `dialogue` and `right`; an utterance counts once, with the share
    of its answers that are right. Index: kinds of folds but the random one; `lost` (at random less
    held out) with `_low` and `_high`, which draw whole dialogues; how many `utterances` and
    `dialogues` these are; and `over`, `over_low`, `over_high`, the mean of the `groups` held out,
    each counting alike, with the interval of `mean_difference`. No rows without random splits.
    """
    found = {}
    for kind, of_kind in _gaps(rows).items():
        gap = of_kind.dropna()
        if len(gap):
            dialogues, groups = gap.index.get_level_values("dialogue"), _by_group(gap, rows)
            over = mean_difference(groups["lost"], groups["overlap"].mean())
            found[kind] = {
                **mean_over_clusters(gap, dialogues).named("lost"),
                **over.named("over"),
                "utterances": len(gap),
                "dialogues": dialogues.nunique(),
                "groups": over.n,
            }
    return pd.DataFrame(found, index=list(LOST)).T


def lost_in_groups(rows: pd.DataFrame, kind: str) -> pd.DataFrame:
    """What one model loses in each group of a kind, rows as in `lost`.

    Index: the folds; `lost`, `utterances` that both kinds of fold have tested, and `overlap`,
    n_test / n_train where the others teach.
    """
    return _by_group(_gaps(rows)[kind].dropna(), rows)


def _gaps(rows: pd.DataFrame) -> pd.DataFrame:
    """Share of right answers at random less that with groups held out: a column a kind."""
    shares = rows.groupby(["dialogue", "utterance", "folds"])["right"].mean().unstack("folds")
    shares = shares.reindex(columns=FOLDS)
    return -shares[list(FOLDS[1:])].sub(shares["stratified"], axis="index")


def _by_group(gap: pd.Series, rows: pd.DataFrame) -> pd.DataFrame:
    """`lost_in_groups`, from a column of `_gaps`."""
    held_out = rows[rows["folds"] == gap.name].drop_duplicates("utterance")
    fold = held_out.set_index("utterance")["fold"]
    groups = gap.groupby(fold[gap.index.get_level_values("utterance")].to_numpy())
    sizes = fold.value_counts()
    return pd.DataFrame(
        {
            "lost": groups.mean(),
            "utterances": groups.size(),
            "overlap": sizes / (sizes.sum() - sizes),
        }
    ).dropna()


# --- repeated texts ---


def repeated(answers: pd.DataFrame) -> pd.Series:
    """Whether the words of a test utterance, all of them in order, occur in the training part.

    `baselines.same_text` answers with the classes' shares among all training utterances where it
    finds no equal text; `baselines.majority` always does. So their stored answers tell, without
    the texts. (Equal texts with exactly these shares would be missed.)

    Folds that only one of them has are left out. They train on what models with a development part
    keep back, too. Returns bool, index `fold`, `utterance`.
    """
    shares = answers.set_index(["fold", "utterance"])[["model", *EMOTIONS]].sort_index()
    found, base = (
        shares.loc[shares["model"] == name, list(EMOTIONS)] for name in ("same-text", "majority")
    )
    found, base = found.align(base, join="inner", axis="index")
    same = np.isclose(found, base, rtol=0, atol=1e-9).all(axis=1)
    return pd.Series(~same, found.index, name="repeated", dtype=bool)


def style(utterance: str) -> str:
    """`scripted` or `improvised`, as IEMOCAP's ids tell; empty for ids of another corpus."""
    known = parse(utterance)
    return "" if known is None else "scripted" if known.scripted else "improvised"


def by_style(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows as `dialogues` `all`, and once more as `scripted` or `improvised` where ids tell."""
    styles = rows["utterance"].map(style)
    parts = [rows.assign(dialogues="all")]
    parts += [rows[styles == name].assign(dialogues=name) for name in ("scripted", "improvised")]
    return pd.concat(parts)


def repeats(rows: pd.DataFrame) -> pd.DataFrame:
    """Accuracy on repeated texts and on new ones: `in_dialogues` of one model, with `repeated`.

    Index: `all`, and `scripted` and `improvised` where ids tell; `share` (of repeated texts),
    `accuracy`; `repeated`, `new` and `difference`, each with `_low` and `_high`; and `least` and
    `most`, the smallest and the largest difference of a run.
    """
    parts = by_style(rows).groupby("dialogues", sort=False)
    return pd.DataFrame({name: _repeats(part) for name, part in parts}).T


def _repeats(rows: pd.DataFrame) -> dict[str, float]:
    flag = rows["repeated"]
    old, new = rows[flag], rows[~flag]
    by_run = old.groupby("run")["right"].mean() - new.groupby("run")["right"].mean()
    return {
        "share": flag.mean(),
        "accuracy": rows["right"].mean(),
        **mean_over_clusters(old["right"], old["dialogue"]).named("repeated"),
        **mean_over_clusters(new["right"], new["dialogue"]).named("new"),
        **difference_over_clusters(rows["right"], flag, rows["dialogue"]).named("difference"),
        "least": by_run.min(),
        "most": by_run.max(),
    }


# --- the choice of the epoch ---


def epochs(runs: Selection) -> pd.DataFrame:
    """What the choice of the epoch does to each run.

    One row a run: `summaries.RUN` and `name`; accuracy for each of `SELECTIONS` (NaN where it has
    none), those of `fluctuation`, and `overlap`, n_test / n_train.
    """
    answers = {epoch: replace(runs, epoch=epoch).answers() for epoch in SELECTIONS}
    rows = answers["last-epoch"].drop_duplicates("run")[["run", "name", *RUN[1:]]].set_index("run")
    for epoch, table in answers.items():
        rows[epoch] = (table["predicted"] == table["emotion"]).groupby(table["run"]).mean()
    moves = [fluctuation(run.epochs["test_accuracy"].to_numpy()) for run in runs]
    found = pd.DataFrame(moves, columns=FLUCTUATION, dtype=float)
    found["overlap"] = [run.provenance.overlap for run in runs]
    return rows.join(found).reset_index()


def gain(rows: pd.DataFrame, epoch: str) -> Mean:
    """What choosing the epoch so adds to the last one, over what of the runs is independent.

    The rows are `epochs` of one model and kind of folds. Where these differ, what their training
    parts share is allowed for; seeds of held-out groups are averaged.
    """
    gains = (rows[epoch] - rows["last-epoch"]).dropna()
    if (rows["folds"] != "stratified").any():
        gains = gains.groupby(rows["fold"]).mean()
    differ = rows["fold"].nunique() > 1
    return mean_difference(gains, rows["overlap"].mean() if differ else 0.0)


def fluctuation(accuracies: np.ndarray) -> dict[str, float]:
    """How the test accuracy, float64 [epochs], moves once it has settled: `FLUCTUATION`.

    A straight line through the last `SETTLED` of the epochs is taken off first. `sd` and
    `autocorrelation` of neighbouring epochs (NaN where nothing moves); `best_settled`, how far the
    best of these epochs lies above their mean, and `by_chance`, how far it would if nothing else
    moved them, see `power.best_of_epochs`; `early`, 1 if the best of all epochs comes before these.
    """
    n = max(2, round(SETTLED * len(accuracies)))
    rest, early = detrend(accuracies[-n:]), float(accuracies.argmax() < len(accuracies) - n)
    sd, phi, best, by_chance = float(rest.std(ddof=1)), np.nan, 0.0, 0.0
    if sd < 1e-9:
        sd = 0.0
    else:
        phi, best = float(rest[1:] @ rest[:-1] / (rest @ rest)), float(rest.max())
        by_chance = sd * best_of_epochs(min(max(phi, 0.0), 0.99), len(rest))
    return dict(zip(FLUCTUATION, (sd, phi, best, by_chance, early), strict=True))


def padding(seconds: np.ndarray, batch: int, rng: np.random.Generator) -> dict[str, float]:
    """What padding random batches to their longest utterance takes, over `EPOCHS` epochs.

    What an epoch leaves over of a batch is dropped. `longest`: mean duration of a batch's longest
    utterance, in seconds; `padding`: share of all samples that are none of an utterance; `silent`:
    share of the padded length that is none of an utterance of median duration, mean over batches.
    """
    whole = len(seconds) // batch * batch
    epochs = rng.permuted(np.tile(seconds, (EPOCHS, 1)), axis=1)[:, :whole]
    longest = epochs.reshape(-1, batch).max(axis=1)
    return {
        "longest": float(longest.mean()),
        "padding": float(1 - epochs.sum() / (batch * longest.sum())),
        "silent": float(1 - (np.median(seconds) / longest).clip(max=1).mean()),
    }


def rebatched(runs: Selection) -> pd.DataFrame:
    """What finished models answer in other test batches, beside their usual answers.

    Rows of `Selection.answers` for each of `BATCHES`, with `treatment`, `flipped` (whether the
    predicted class is another there) and `change` (of being right: -1, 0 or 1).
    """
    other = answers_under(runs.runs, BATCHES)[["run", "utterance", "treatment", "predicted"]]
    other = other.rename(columns={"predicted": "other"})
    rows = runs.answers().merge(other, on=["run", "utterance"])
    changed = (rows["other"] == rows["emotion"]).astype(int)
    return rows.assign(
        flipped=rows["other"] != rows["predicted"],
        change=changed - (rows["predicted"] == rows["emotion"]),
    )


def flips(rows: pd.DataFrame) -> pd.Series:
    """How much other test batches change: `share` of the classes, `change` of the accuracy.

    The rows are those of `rebatched` for one model and one of `BATCHES`, with their dialogues.
    """
    share = mean_over_clusters(rows["flipped"], rows["dialogue"])
    change = mean_over_clusters(rows["change"], rows["dialogue"])
    return pd.Series(share.named("share") | change.named("change"))
