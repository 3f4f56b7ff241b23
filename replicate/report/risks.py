"""What the protocol does not control: the exhibits of `replicate.risks`."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from replicate import metrics, paper, risks
from replicate.baseline_runs import BaselineRun, dialogues, whole_rounds
from replicate.baselines import BASELINES
from replicate.comparison import (
    Mean,
    detectable,
    detectable_between,
    difference_over_clusters,
    mean_difference,
)
from replicate.experiments import Training
from replicate.metrics import Tested
from replicate.protocol import EMOTIONS, GROUPS
from replicate.report import plots
from replicate.report.baseline_tables import HELD_OUT, lack, of_kind, over_folds, titled
from replicate.report.layout import (
    ABSENT,
    LABELS,
    interval,
    intervals,
    name_of,
    number,
    signed,
    signed_interval,
    whole,
)
from replicate.report.provenance import Exhibit, Missing, of_runs, or_notice, picture, table
from replicate.report.results import Stored, place
from replicate.runs import RESULTS, SELECTIONS, Run, load_runs

#: Of the baselines and the models, those that read text and are shown where texts repeat.
READERS = ("same-text", "tfidf", "text", "concat", "att_d1")

#: Assumed in advance: of two answers to an utterance one alone is right in at most half the cases.
DISAGREEMENT = 0.5

#: Standard deviation of answers that are right or wrong, at most.
RIGHT_SD = 0.5

#: Assumed in advance: standard deviation over runs of what the choice of the epoch adds.
GAIN_SD = 0.01

#: `risks.BATCHES` in words.
IN_BATCHES = {"one-by-one": "one by one", "sorted": "sorted by length"}


def _percent(share: float) -> str | None:
    return None if np.isnan(share) else f"{share:.1%}"


def _told(row: Mapping[Hashable, Any], name: str) -> str:
    """An estimate of a row in the prose, see `risks.named`."""
    return f"{row[name]:.3f} {interval(row[f'{name}_low'], row[f'{name}_high']) or 'no interval'}"


def _points(rows: pd.DataFrame, name: str, ends: str = "") -> pd.DataFrame:
    """An estimate of each row as `plots.grouped` takes it, see `risks.named`."""
    columns = {name: "value", f"{name}{ends}_low": "low", f"{name}{ends}_high": "high"}
    return rows[list(columns)].rename(columns=columns)


def _alt(groups: Mapping[str, pd.DataFrame], form: str = ".3f") -> str:
    """What `plots.grouped` shows, in words."""
    return "; ".join(
        f"{group}: " + ", ".join(f"{name} {value:{form}}" for name, value in rows["value"].items())
        for group, rows in groups.items()
    )


def _side_by_side(
    results: Sequence[BaselineRun], runs: Stored
) -> tuple[list[BaselineRun], list[Run]]:
    """Baselines, and the whole rounds of runs on the version of the corpus that these have seen.

    Baselines on random splits that no run has are left out: one split is easier than another.
    """
    seen = {result.provenance.text_fingerprint for result in results}
    alike = whole_rounds(
        [run for run in runs.runs if run.provenance.text_fingerprint in seen], results
    )
    drawn = {run.experiment.fold for run in alike if run.experiment.fold.kind == "stratified"}
    if not drawn:
        return list(results), alike
    beside = [r for r in results if r.experiment.fold in drawn or r.experiment.fold.kind in GROUPS]
    return beside, alike


def _by_title(tested: Sequence[Tested], results: Sequence[BaselineRun]) -> dict[str, pd.DataFrame]:
    """Title -> rows of `risks.answered`; none where no baselines tell the dialogues."""
    if not results:
        return {}
    rows = risks.answered(tested, dialogues(results))
    names = rows["run"].map(lambda position: titled(tested[position]))
    return {str(name): part for name, part in rows.groupby(names, sort=False)}


# --- what is held out ---


@or_notice
def folds(results: Sequence[BaselineRun], runs: Stored) -> Exhibit:
    """Accuracy of every baseline and model by what is held out, as a picture."""
    beside, alike = _side_by_side(results, runs)
    groups = {
        HELD_OUT[kind]: _points(frame, "accuracy", "_boot")
        for kind, frame in over_folds(beside, runs.corpus, alike).items()
    }
    caption = (
        "Accuracy by what is held out. Random splits: means over seeds; groups held out in turn "
        "are pooled. Intervals of 95 % draw whole dialogues, not whole scenarios or speakers."
    )
    sources = of_runs([*beside, *alike], "last-epoch")
    return picture(plots.grouped(groups, "accuracy"), _alt(groups), caption, sources)


def lost(results: Sequence[BaselineRun], runs: Stored) -> pd.DataFrame:
    """`risks.lost` of every baseline and model: index title, kind of fold; it may be empty."""
    beside, alike = _side_by_side(results, runs)
    answers = _by_title([*beside, *alike], results)
    found = {name: risks.lost(rows) for name, rows in answers.items()}
    return pd.concat(found) if found else pd.DataFrame()


@or_notice
def losses(results: Sequence[BaselineRun], runs: Stored) -> Exhibit:
    """What each classifier loses where groups are held out, and its UAR on each kind of fold."""
    beside, alike = _side_by_side(results, runs)
    rows, found = over_folds(beside, runs.corpus, alike), lost(results, runs)
    if found.empty:
        lack(runs.corpus, "session", "baselines")
    columns: dict[tuple[str, str], pd.Series] = {}
    for kind, summary in rows.items():
        if kind in found.index.unique(1):
            part = found.xs(kind, level=1)
            columns[HELD_OUT[kind], "accuracy lost"] = part["lost"].map(signed)
            columns[HELD_OUT[kind], "95 %"] = intervals(part["lost_low"], part["lost_high"])
            columns[HELD_OUT[kind], "utterances"] = part["utterances"].map(whole)
        columns[HELD_OUT[kind], "UAR"] = summary["uar"].map(number)
    shown = pd.DataFrame(columns).loc[list(found.index.unique(0))]
    caption = (
        "What accuracy loses against random splits if whole groups are held out, on the utterances "
        "that both have tested (intervals draw whole dialogues), and the mean recall of the "
        "classes. What has been tested on one kind of fold alone, or on some of the groups only, "
        "has no row."
    )
    return table(shown, caption, of_runs([*beside, *alike], "last-epoch"))


def folds_in_words(results: Sequence[BaselineRun], runs: Stored) -> dict[str, str]:
    """Numbers for the prose about kinds of folds; `(not run yet)` where there are none."""
    words = dict.fromkeys(("fold_utterances", "fold_dialogues", "fold_least", "fold_most"), ABSENT)
    compared = lost(results, runs)
    if len(compared):
        sizes = [int(compared[name].max()) for name in ("utterances", "dialogues")]
        least, most = detectable([DISAGREEMENT**0.5], sizes).iloc[0]
        words = {
            "fold_utterances": f"{sizes[0]:,}",
            "fold_dialogues": f"{sizes[1]:,}",
            "fold_least": f"{least:.3f}",
            "fold_most": f"{most:.3f}",
        }
    found = compared.to_dict("index")
    for name, title in (("text", LABELS["text"]), ("tfidf", BASELINES["tfidf"].title)):
        for kind in ("session", "scenario"):
            row = found.get((title, kind))
            words[f"{name}_{kind}"] = _told(row, "lost") if row else ABSENT
            over = f"{_told(row, 'over')} over {row['groups']:.0f} {kind}s" if row else ABSENT
            words[f"{name}_{kind}_over"] = over
    return words


def at_random_in_words(results: Sequence[BaselineRun], runs: Stored, prefix: str) -> dict[str, str]:
    """Accuracy of text alone, of TF-IDF and of the largest class on random splits, for the prose.

    Args:
        results: of the baselines.
        runs: of the network.
        prefix: of the names, before `text`, `tfidf`, `majority`, and `never`: the classes that no
            run of text alone predicts.
    """
    titles = {name: BASELINES[name].title for name in ("tfidf", "majority")}
    titles["text"] = LABELS["text"]
    try:
        beside, alike = _side_by_side(results, runs)
        found = over_folds(beside, runs.corpus, alike)["stratified"]["accuracy"]
    except (Missing, KeyError):
        return dict.fromkeys((prefix + name for name in (*titles, "never")), ABSENT)
    texts = [run for run in alike if run.experiment.model == "text"]
    guessed = set(metrics.pooled(texts, "last-epoch")["predicted"]) if texts else set(EMOTIONS)
    never = [emotion for emotion in EMOTIONS if emotion not in guessed]
    return {
        **{
            prefix + name: f"{found[title]:.3f}" if title in found else ABSENT
            for name, title in titles.items()
        },
        f"{prefix}never": ", ".join(never) or "none",
    }


# --- repeated texts ---


@or_notice
def shares(stored: Mapping[str, Sequence[BaselineRun]]) -> Exhibit:
    """The share of test texts that occur in training, by corpus and kind of fold.

    Args:
        stored: corpus -> its baselines.
    """
    looked_up = {corpus: risks.repeated(results) for corpus, results in stored.items()}
    found = {corpus: risks.shares(flags) for corpus, flags in looked_up.items() if len(flags)}
    if not found:
        lack(next(iter(stored)), "stratified", "look-ups of equal texts")
    frame = pd.concat(found, names=["corpus", "dialogues"])
    shown = frame[[kind for kind in HELD_OUT if kind in frame]].map(_percent)
    caption = (
        "Share of test utterances whose words, all of them and in order, occur in the training "
        "part too, by what is held out."
    )
    sources = of_runs([result for corpus in found for result in stored[corpus]])
    return table(shown.rename(columns=HELD_OUT).rename_axis(columns=None), caption, sources)


def repeats(results: Sequence[BaselineRun], runs: Stored) -> dict[str, pd.DataFrame]:
    """Title -> `risks.repeats` on random splits, of what reads text.

    Raises:
        Missing: if the look-ups that tell repeated texts are not stored.
    """
    flags = _flags(results, runs.corpus)
    answers = _by_title(readers(results, runs), results)
    flagged = {
        name: rows.join(flags, on=["fold", "utterance"], how="inner")
        for name, rows in answers.items()
    }
    return {name: risks.repeats(rows) for name, rows in flagged.items() if len(rows)}


def _flags(results: Sequence[BaselineRun], corpus: str) -> pd.Series:
    """`risks.repeated` on random splits.

    Raises:
        Missing: if the look-ups that tell it are not stored.
    """
    flags = risks.repeated(of_kind(results, corpus, "stratified"))
    return flags if len(flags) else lack(corpus, "stratified", "look-ups of equal texts")


def readers(results: Sequence[BaselineRun], runs: Stored) -> list[Tested]:
    """What reads text, of the baselines and of the runs on the same version of the corpus."""
    beside, alike = _side_by_side(results, runs)
    tested: list[Tested] = [*beside, *alike]
    return [one for one in tested if one.experiment.model in READERS]


@or_notice
def repeats_picture(results: Sequence[BaselineRun], runs: Stored) -> Exhibit:
    """Accuracy on repeated and on new texts, as a picture."""
    frame = pd.concat(repeats(results, runs))
    frame.index = pd.Index([", ".join(names) for names in frame.index])
    groups = {
        label: _points(frame, name)
        for label, name in (("occur in training", "repeated"), ("are new", "new"))
    }
    told = "; ".join(
        f"{name}: {row['repeated']:.3f} on repeated texts, {row['new']:.3f} on new ones"
        for name, row in frame.iterrows()
    )
    caption = (
        "Accuracy on test utterances whose words occur in training and on those whose words are "
        "new, random splits, all seeds. Intervals of 95 % draw whole dialogues."
    )
    sources = of_runs(readers(results, runs), "last-epoch")
    return picture(plots.grouped(groups, "accuracy"), told, caption, sources)


@or_notice
def repeats_table(results: Sequence[BaselineRun], runs: Stored) -> Exhibit:
    """Accuracy on repeated and on new texts, and what the repeated ones add to the whole."""
    frame = pd.concat(repeats(results, runs), names=["classifier", "dialogues"])
    shown = pd.DataFrame(
        {
            "repeated texts": frame["share"].map(_percent),
            "accuracy": frame["accuracy"].map(number),
            "on repeated": frame["repeated"].map(number),
            "on new": frame["new"].map(number),
            "difference": frame["difference"].map(signed),
            "95 %": intervals(frame["difference_low"], frame["difference_high"]),
            "in single runs": intervals(frame["least"], frame["most"]),
            "all less new": (frame["accuracy"] - frame["new"]).map(signed),
        }
    )
    caption = (
        "Repeated and new texts, all seeds; intervals draw whole dialogues. In single runs: the "
        "least and the largest difference. All less new: what repeated texts add to the accuracy."
    )
    return table(shown, caption, of_runs(readers(results, runs), "last-epoch"))


def repeats_in_words(results: Sequence[BaselineRun], runs: Stored) -> dict[str, str]:
    """Numbers for the prose about repeated texts; `(not run yet)` where there are none.

    Of `tfidf` and `text`: the difference, and `_added`, what repeats add to the accuracy.
    """
    names = {"text": LABELS["text"], "tfidf": BASELINES["tfidf"].title}
    keys = [f"{name}{part}" for name in names for part in ("_repeats", "_added")]
    words = dict.fromkeys(
        ("repeat_old", "repeat_new", "repeat_least", "repeat_splits", *keys), ABSENT
    )
    try:
        beside, _ = _side_by_side(results, runs)
        flags, found = _flags(beside, runs.corpus), repeats(results, runs)
    except Missing:
        return words
    old, new = int(flags.sum()), int((~flags).sum())
    by_split = flags.groupby(level="fold").mean()
    words |= {
        "repeat_old": f"{old:,}",
        "repeat_new": f"{new:,}",
        "repeat_least": f"{detectable_between(old, new, RIGHT_SD):.3f}" if old and new else ABSENT,
        "repeat_splits": f"{by_split.min():.1%} to {by_split.max():.1%}",
    }
    for name, title in names.items():
        if title in found:
            row = found[title].to_dict("index")["all"]
            words[f"{name}_repeats"] = _told(row, "difference")
            words[f"{name}_added"] = f"{row['accuracy'] - row['new']:.3f}"
    return words


def styles_in_words(results: Sequence[BaselineRun], runs: Stored) -> dict[str, str]:
    """How many scripted and improvised utterances random splits test, and what these can show."""
    words = dict.fromkeys(("scripted", "improvised", "style_least", "style_most"), ABSENT)
    try:
        beside, _ = _side_by_side(results, runs)
        drawn = of_kind(beside, runs.corpus, "stratified")
    except Missing:
        return words
    tested = pd.concat([result.predictions[["utterance", "dialogue"]] for result in drawn])
    halves = risks.by_style(tested.drop_duplicates())
    if not {"scripted", "improvised"} <= set(halves):
        return words
    play, free = halves["scripted"], halves["improvised"]
    least = detectable_between(len(play), len(free), RIGHT_SD)
    most = detectable_between(play["dialogue"].nunique(), free["dialogue"].nunique(), RIGHT_SD)
    return {
        "scripted": f"{len(play):,}",
        "improvised": f"{len(free):,}",
        "style_least": f"{least:.3f}",
        "style_most": f"{most:.3f}",
    }


@or_notice
def styles(results: Sequence[BaselineRun], runs: Stored) -> Exhibit:
    """Accuracy in scripted and in improvised dialogues, on each kind of fold."""
    beside, _ = _side_by_side(results, runs)
    constant = [result for result in beside if result.experiment.model == "majority"]
    tested: list[Tested] = [*constant, *readers(results, runs)]
    rows: dict[tuple[str, str], dict[str, str | None]] = {}
    for name, answers in _by_title(tested, results).items():
        for kind in HELD_OUT:
            part = answers[answers["folds"] == kind]
            halves = risks.by_style(part)
            if {"scripted", "improvised"} <= set(halves):
                play = part["utterance"].isin(halves["scripted"]["utterance"])
                gap = difference_over_clusters(part["right"], play, part["dialogue"])
                rows[name, HELD_OUT[kind]] = {
                    "scripted": number(halves["scripted"]["right"].mean()),
                    "improvised": number(halves["improvised"]["right"].mean()),
                    "difference": signed(gap.value),
                    "95 %": interval(gap.low, gap.high),
                }
    if not rows:
        lack(runs.corpus, "stratified", "baselines on scripted and improvised dialogues")
    caption = (
        "Accuracy in scripted and in improvised dialogues by what is held out, all seeds; "
        "intervals draw whole dialogues. The largest class reads nothing: it shows what the "
        "classes of the dialogues do by themselves."
    )
    shown = pd.DataFrame(rows).T.rename_axis(["classifier", "held out"])
    return table(shown, caption, of_runs(tested, "last-epoch"))


# --- the choice of the epoch ---


@or_notice
def epochs(stored: Sequence[Stored]) -> Exhibit:
    """Accuracy by the choice of the epoch, and what the best test epoch adds: all corpora."""
    runs = [run for one in stored for run in one.runs]
    if not runs:
        stored[0].lack("any model")
    caption = (
        "Accuracy by the choice of the epoch, means over runs, and by how much the best test epoch "
        "exceeds the last (Student's t: over seeds, with Nadeau and Bengio's correction where each "
        "draws a split; over the groups held out, their seeds averaged). Fluctuation: standard "
        "deviation of the test accuracy over the second half of the epochs, a straight line taken "
        "off, and the correlation of neighbouring epochs. Best settled: what the best of these "
        "epochs has above their mean. By chance: what it would have if there were nothing else. "
        "Each fold counts alike here; where folds are pooled, accuracies differ a little."
    )
    rows = epoch_rows(stored).rename_axis(["corpus", "profile", "held out", "model"])
    shown = pd.DataFrame({s.replace("-", " "): rows[s].map(number) for s in SELECTIONS})
    shown["best - last"] = rows["gain"].map(signed)
    shown["95 %"] = intervals(rows["gain_low"], rows["gain_high"])
    shown["fluctuation"] = rows["sd"].map(number)
    shown["correlation"] = rows["autocorrelation"].map(number)
    shown["best settled"] = rows["best_settled"].map(signed)
    shown["by chance"] = rows["by_chance"].map(signed)
    shown["runs"] = rows["runs"].map("{:.0f}".format)
    return table(shown, caption, of_runs(runs))


def epoch_rows(stored: Sequence[Stored]) -> pd.DataFrame:
    """Means over runs of `risks.epochs`, with `gain_low`, `gain_high`, `runs`, and `of`.

    The interval is over `of` runs, or groups held out.

    Index: corpus, profile, kind of fold, title.
    """
    rows = {}
    for one in stored:
        groups: dict[tuple[str, str, str, str], list[Run]] = {}
        for run in one.runs:
            kind = HELD_OUT[run.experiment.fold.kind]
            groups.setdefault((one.corpus, one.profile, kind, name_of(run)), []).append(run)
        for name, runs in groups.items():
            found = risks.epochs(runs)
            gain = _gain(runs, found["gain"])
            ends = {"gain_low": gain.low, "gain_high": gain.high}
            rows[name] = {**found.mean(), **ends, "runs": len(runs), "of": gain.n}
    return pd.DataFrame(rows).T


def _gain(runs: Sequence[Run], gains: pd.Series) -> Mean:
    """The mean gain, over what of the runs tells something new.

    Random splits that are drawn anew are corrected for what their training parts share. Seeds on
    the same utterances are averaged where groups are held out, and the groups count.
    """
    folds = [run.experiment.fold.name for run in runs]
    if runs[0].experiment.fold.kind != "stratified":
        return mean_difference(gains.groupby(folds).mean())
    redrawn = len(set(folds)) > 1
    return mean_difference(gains, runs[0].provenance.overlap if redrawn else 0.0)


def development_in_words(runs: Stored) -> str:
    """What the best development epoch of text alone adds to its last, for the prose."""
    try:
        found = runs.having(runs.of("text", "trainable"), "development-best")
    except Missing:
        found = []
    if len(found) < 2:
        return ABSENT
    rows = risks.epochs(found)
    gain = _gain(found, rows["development-best"] - rows["last-epoch"])
    return f"{signed(gain.difference)} {signed_interval(gain.low, gain.high) or 'no interval'}"


def epochs_in_words(runs: Stored) -> dict[str, str]:
    """Numbers for the prose about the choice of the epoch, of text alone on random splits."""
    printed = [row.accuracy for row in paper.TABLE_4]
    words = {"epoch_sd": f"{GAIN_SD:g}", "epoch_printed": f"{max(printed) - min(printed):.3f}"}
    rows = epoch_rows([runs]).to_dict("index")
    row = rows.get((runs.corpus, runs.profile, HELD_OUT["stratified"], LABELS["text"]))
    if row is None:
        names = (
            "epoch_runs", "epoch_least", "epoch_gain", "epoch_chance", "epoch_best_settled",
            "epoch_early",
        )  # fmt: skip
        return words | dict.fromkeys(names, ABSENT)
    n = round(row["runs"])
    return words | {
        "epoch_runs": str(n),
        "epoch_least": f"{detectable([GAIN_SD], [n]).to_numpy()[0, 0]:.3f}" if n > 1 else "nothing",
        "epoch_gain": _told(row, "gain"),
        "epoch_chance": f"{row['by_chance']:.3f}",
        "epoch_best_settled": f"{row['best_settled']:.3f}",
        "epoch_early": f"{row['early'] * n:.0f}",
    }


# --- the other utterances of a test batch ---


@dataclass(frozen=True)
class Rebatched:
    """Finished models asked again in other test batches.

    Attributes:
        corpus: name as on the command line.
        profile: name of the protocol.
        results: baselines on the same corpus, which tell the dialogues.
    """

    corpus: str
    profile: str
    results: Sequence[BaselineRun]

    @cached_property
    def runs(self) -> list[Run]:
        """The runs by our reading, and those with masked padding.

        Raises:
            Missing: if there are none.
        """
        stored = load_runs(self.corpus, self.profile, RESULTS)
        runs = [run for run in stored if run.experiment.choice in ("", "masked")]
        if not runs:
            lacking = Stored(self.corpus, self.profile, ())
            lacking.lack("any model", "speaker" if self.corpus == "emodb" else "stratified")
        return sorted(runs, key=place)

    @cached_property
    def flips(self) -> pd.DataFrame:
        """`risks.flips` of every model and kind of fold: index title (and `, masked`), treatment.

        Raises:
            Missing: if there are no runs, or no baselines.
        """
        runs = self.runs
        known = dialogues(self.results) or lack(self.corpus, "stratified", "baselines")
        several = len({run.experiment.fold.kind for run in runs}) > 1
        groups: dict[str, list[Run]] = {}
        for run in runs:
            held_out = HELD_OUT[run.experiment.fold.kind] if several else ""
            name = ", ".join(filter(None, (name_of(run), held_out, run.experiment.choice)))
            groups.setdefault(name, []).append(run)
        found = {name: risks.flips(risks.rebatched(group, known)) for name, group in groups.items()}
        return pd.concat(found, names=["model", "test batches"])


@or_notice
def flips_picture(made: Rebatched) -> Exhibit:
    """How many predicted classes other test batches change, as a picture."""
    found = made.flips
    batches = found.index.get_level_values("test batches")
    groups = {
        label: _points(found[batches == name].droplevel("test batches"), "share")
        for name, label in IN_BATCHES.items()
    }
    caption = (
        "Share of test utterances whose predicted class changes where the same finished model "
        "meets them in other batches. Intervals of 95 % draw whole dialogues."
    )
    figure = plots.grouped(groups, "predicted classes that change", percent=True)
    return picture(figure, _alt(groups, ".1%"), caption, of_runs(made.runs, "last-epoch"))


@or_notice
def flips_table(made: Rebatched) -> Exhibit:
    """What other test batches do to the predicted classes and to the accuracy."""
    columns: dict[tuple[str, str], pd.Series] = {}
    found = made.flips
    for name, label in IN_BATCHES.items():
        part = found.xs(name, level="test batches")
        columns[label, "classes that change"] = part["share"].map(number)
        columns[label, "95 %"] = intervals(part["share_low"], part["share_high"])
        columns[label, "accuracy"] = part["change"].map(signed)
        columns[label, "95 % "] = intervals(part["change_low"], part["change_high"])
    caption = (
        "The finished models in other test batches than the usual ones of 30: share of predicted "
        "classes that change, and by how much the accuracy does. Intervals draw whole dialogues."
    )
    return table(pd.DataFrame(columns), caption, of_runs(made.runs, "last-epoch"))


def padding_in_words() -> dict[str, str]:
    """What IEMOCAP's recordings are padded to in random batches, for the prose."""
    rng = np.random.default_rng(0)
    found = risks.padding(risks.iemocap_seconds(rng), Training().batch_size, rng)
    return {
        "pad_longest": f"{found['longest']:.0f}",
        "pad_share": f"{found['padding']:.0%}",
        "pad_silent": f"{found['silent']:.0%}",
    }


def flips_in_words(made: Rebatched) -> dict[str, str]:
    """Numbers for the prose about test batches; `(not run yet)` where there are none."""
    names = ("flip_seen", "flip_low", "flip_high", "flip_masked")
    try:
        found = made.flips["share"]
    except Missing:
        return dict.fromkeys(names, ABSENT)
    masked = found.index.get_level_values(0).str.endswith(", masked")
    kinds = {run.experiment.fold.kind for run in made.runs}
    return {
        "flip_seen": "; ".join(_unseen(made.runs, kind) for kind in HELD_OUT if kind in kinds),
        "flip_low": f"{found[~masked].min():.1%}",
        "flip_high": f"{found[~masked].max():.1%}",
        "flip_masked": f"{found[masked].max():.1%}" if masked.any() else ABSENT,
    }


def _unseen(runs: Sequence[Run], kind: str) -> str:
    """Utterances tested on one kind of fold, and the share that may change without being seen."""
    asked = [run.treated["utterance"] for run in runs if run.experiment.fold.kind == kind]
    n = len(set().union(*asked))
    return f"{HELD_OUT[kind]} {n:,}, {metrics.wilson(0, n).high:.1%}"


def text_flips_in_words(made: Rebatched) -> dict[str, str]:
    """The same of text alone on random splits, with what other batches do to its accuracy."""
    names = ("flip_text_low", "flip_text_high", "flip_text_single", "flip_text_sorted")
    try:
        found = made.flips.reset_index("test batches")
    except Missing:
        return dict.fromkeys(names, ABSENT)
    titles = LABELS["text"], f"{LABELS['text']}, {HELD_OUT['stratified']}"
    rows = found[found.index.isin(titles)].set_index("test batches")
    if rows.empty:
        return dict.fromkeys(names, ABSENT)
    ends = f"{rows['share'].min():.1%}", f"{rows['share'].max():.1%}"
    told = [_told(row, "change") for row in rows.loc[list(risks.BATCHES)].to_dict("records")]
    return dict(zip(names, (*ends, *told), strict=True))
