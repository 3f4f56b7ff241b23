"""Is the audio model a loudness detector? Loudness alone, equal loudness, levels of classes."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from replicate import comparison, loudness, metrics, treated
from replicate.baseline_runs import BaselineRun, dialogues
from replicate.baselines import QUIETEST
from replicate.loudness import Loudness
from replicate.metrics import Tested
from replicate.protocol import EMOTIONS
from replicate.report import choices, figures, tables
from replicate.report.baseline_tables import comparable, lack, summary
from replicate.report.layout import (
    ABSENT,
    at_hand,
    interval,
    intervals,
    name_of,
    number,
    signed,
    small,
)
from replicate.report.page import Stored
from replicate.report.provenance import (
    Exhibit,
    Missing,
    Source,
    commit_name,
    of_runs,
    or_notice,
    table,
)
from replicate.report.treatment_tables import (
    LOUDEST,
    SOFTEST,
    effects_in_text,
    heard,
    unit_of,
    units_of,
)
from replicate.runs import Run, load_runs
from replicate.treatments import NOMINAL, RECORDINGS

#: What is compared: nothing, loudness alone, a textbook's view of the spectrum, the network.
RIVALS = ("majority", "loudness", "mfcc", "audio")

#: The choice that trains on recordings which are all equally loud.
NORMALISED = "loudness-normalised"


# --- loudness alone ---


def rivals(results: Sequence[BaselineRun], runs: Stored, kind: str) -> list[Tested]:
    """`RIVALS` on the folds that all of them have.

    Raises:
        Missing: if the network or a baseline is not there.
    """
    network = Stored(runs.corpus, runs.profile, tuple(runs.of("audio", kind=kind)))
    simple = [one for one in results if one.experiment.model in RIVALS]
    chosen = comparable(simple, network, kind)
    if {one.experiment.model for one in chosen} != set(RIVALS):
        lack(runs.corpus, kind, "baselines on recordings")
    return chosen


def ahead(chosen: Sequence[Tested], clusters: Mapping[str, str]) -> pd.DataFrame:
    """Accuracy of the network less that of each baseline, by bootstrap over whole clusters.

    An utterance counts with the mean over the trainings that were tested on it.

    Args:
        chosen: from `rivals`.
        clusters: utterance -> what is drawn as a whole.

    Returns:
        Index name of the baseline; `difference`, `low`, `high`.
    """
    samples = metrics.pooled(chosen, "last-epoch")
    right = samples["predicted"].eq(samples["emotion"])
    shares = right.groupby([samples["utterance"], samples["model"]]).mean().unstack()
    behind = comparison.over_clusters(shares, shares.index.map(dict(clusters)), "audio")
    ends = -behind.set_index("first")[["difference", "high", "low"]]
    return ends.set_axis(["difference", "low", "high"], axis="columns")


def landmarks(results: Sequence[BaselineRun], runs: Stored, kind: str) -> dict[str, float]:
    """Accuracy of the largest class and of loudness alone, as lines of a figure, where known."""
    try:
        chosen = rivals(results, runs, kind)
    except Missing:
        return {}
    found = summary(chosen, results).set_index("model")["accuracy"]
    return {"largest class": found["majority"], "duration and loudness": found["loudness"]}


@or_notice
def beside(results: Sequence[BaselineRun], runs: Stored, kind: str) -> Exhibit:
    """Loudness alone, the spectrum and the network, on the same utterances."""
    chosen = rivals(results, runs, kind)
    found = summary(chosen, results)
    lead = ahead(chosen, dialogues(results)).reindex(found["model"])
    shown = pd.DataFrame(
        {
            "accuracy": found["accuracy"].map(number),
            "95 %": intervals(found["accuracy_boot_low"], found["accuracy_boot_high"]),
            "UAR": found["uar"].map(number),
            "95 % ": intervals(found["uar_boot_low"], found["uar_boot_high"]),
            "the network is ahead by": [signed(value) for value in lead["difference"]],
            "95 % of that": intervals(lead["low"], lead["high"]).to_numpy(),
        },
        index=found.index,
    )
    caption = (
        f"Loudness as a classifier, beside the network, on {found['n_utterances'].max():,} test "
        "utterances; means over seeds. Intervals draw whole dialogues, or speakers where those "
        "are held out."
    )
    return table(shown, caption, of_runs(chosen, "last-epoch"))


# --- trained on equal loudness ---


def equally_loud(corpus: str, profile: str, kind: str) -> list[Run]:
    """Trainings on equally loud recordings, and those by our reading that they are held against.

    Raises:
        Missing: if there are none.
    """
    runs = [
        run
        for run in choices.studied(load_runs(corpus, profile))
        if run.experiment.choice in ("", NORMALISED) and run.experiment.fold.kind == kind
    ]
    names = {name_of(run) for run in runs if run.experiment.choice}
    if not names:
        raise Missing(
            f"No model has been trained on equally loud recordings of {corpus}, {kind} folds.",
            f"replicate run --corpus {at_hand(corpus)} --profile {profile} "
            f"--grid {'audio-choices' if kind == 'speaker' else 'choices'}",
        )
    return [run for run in runs if name_of(run) in names]


def normalised(runs: Sequence[Run]) -> pd.DataFrame:
    """What training on equally loud recordings changes, on the same folds and seeds.

    Args:
        runs: from `equally_loud`.

    Returns:
        Index name of the model; `ours` (accuracy) and the columns of `treated.effects`.
    """
    rows = {}
    for name in dict.fromkeys(map(name_of, runs)):
        parts: dict[str, list[Run]] = {"ours": [], NORMALISED: []}
        for run in runs:
            if name_of(run) == name:
                parts[run.experiment.choice or "ours"].append(run)
        answered = treated.side_by_side(parts)
        found = treated.effects(answered, unit_of(runs[0].experiment.fold.kind)).loc[NORMALISED]
        rows[name] = {"ours": treated.right(answered)["ours"].mean(), **found}
    return pd.DataFrame.from_dict(rows, orient="index")


@or_notice
def trained_normalised(corpus: str, profile: str, kind: str) -> Exhibit:
    """`normalised` as a table."""
    runs = equally_loud(corpus, profile, kind)
    rows = normalised(runs)
    shown = effects_in_text(rows, kind)
    shown.insert(0, "accuracy of ours", rows["ours"].map(number))
    caption = (
        "Trained and tested on recordings of equal root mean square, against ours, on the same "
        f"seeds. p: paired t test over {units_of(kind)}; McNemar: in how many seeds its exact test "
        "finds a difference. No correction: one comparison a model."
    )
    return table(shown.rename_axis("model"), caption, of_runs(runs, "last-epoch"))


def normalised_in_words(corpus: str, profile: str, kind: str) -> str:
    """What `normalised` finds of each model, for the prose; `(not run yet)` without."""
    try:
        rows = normalised(equally_loud(corpus, profile, kind))
    except Missing:
        return ABSENT
    return ", ".join(f"{name} {_change(row)}" for name, row in rows.iterrows())


# --- how loud the classes are ---


def of_stored(kept: Loudness) -> Source:
    """The source of what is computed from stored levels."""
    commit = f"commit {commit_name(kept.commit, kept.dirty)}"
    return Source(kept.corpus_title, kept.synthetic, (f"levels of {len(kept.rows)}", commit))


def sources(corpus: str) -> list[Source]:
    """`of_stored` of a corpus; empty where nothing is stored."""
    kept = loudness.load(corpus)
    return [of_stored(kept)] if kept else []


def _stored(corpus: str) -> Loudness:
    found = loudness.load(corpus)
    if found is None:
        raise Missing(f"The levels of {corpus} have not been stored.", loudness.command(corpus))
    return found


@or_notice
def table_8(corpus: str) -> Exhibit:
    """Table 8 from stored levels."""
    kept = _stored(corpus)
    return tables.table_8(kept.table, corpus, of_stored(kept))


@or_notice
def distributions(corpus: str) -> Exhibit:
    """Loudness of single utterances from stored levels, as a picture."""
    kept = _stored(corpus)
    return figures.loudness(kept.table, of_stored(kept))


def shift(level: pd.DataFrame) -> float:
    """How far the treatment `rms` raises a cohort's recordings, in dB, mean."""
    return float((20 * np.log10(NOMINAL / level["spread"].clip(lower=QUIETEST))).mean())


def above_softest(level: pd.DataFrame) -> pd.DataFrame:
    """How far speakers raise each other class above sadness, in dB.

    Args:
        level: from `replicate.loudness.of_cohort`.

    Returns:
        Index emotion; `difference` (mean over speakers, each by the mean level of its utterances),
        `low`, `high` (Student's t over speakers), `p_holm` (paired t test, Holm's correction),
        `softer` (speakers whose sad speech is the softer one), `speakers`.
    """
    decibels = level.assign(decibels=20 * np.log10(level["average"].clip(lower=QUIETEST)))
    means = decibels.pivot_table("decibels", "speaker", "emotion").dropna()[list(EMOTIONS)]
    rows = comparison.over_seeds(means, SOFTEST).set_index("first").rename_axis(None)
    softer = means.gt(means[SOFTEST], axis="index").sum()
    columns = ["difference", "low", "high", "p_holm"]
    return rows[columns].assign(softer=softer, speakers=len(means))


@or_notice
def is_softest(corpus: str) -> Exhibit:
    """Whether sad speech is softer than each other class, from stored levels."""
    kept = _stored(corpus)
    rows = above_softest(kept.table)
    shown = pd.DataFrame(
        {
            f"above {SOFTEST}, dB": rows["difference"].map("{:+.1f}".format),
            "95 % over speakers": [
                f"[{low:+.1f}, {high:+.1f}]"
                for low, high in rows[["low", "high"]].itertuples(index=False)
            ],
            "p": rows["p_holm"].map(small),
            f"speakers whose {SOFTEST} is softer": [
                f"{k} of {n}" for k, n in rows[["softer", "speakers"]].itertuples(index=False)
            ],
        }
    )
    caption = (
        f"How far each class lies above {SOFTEST}: mean |x| of an utterance in dB, means of each "
        "speaker. p: paired t test over speakers, Holm's correction."
    )
    return table(shown.rename_axis("class"), caption, [of_stored(kept)])


# --- for the prose ---

AHEAD, FALLS = "the network is ahead", "its accuracy falls"

#: Is the network ahead of loudness alone, does it fall where all are equally loud -> what follows.
CONCLUSIONS = {
    (True, True): "the answers hang on the level, and the network hears more than loudness",
    (True, False): "the network hears more than loudness, and nothing shows that its answers hang "
    "on the level",
    (False, True): "the answers hang on the level, and nothing shows that the network hears more "
    "than loudness",
    (False, False): "nothing shows that the network hears more than loudness, nor that its answers "
    "hang on the level",
}

#: What `in_words` tells.
WORDS = (
    "utterances", "largest", "loudness", "audio", "ahead", "beside", "rms", "rms_change",
    "rms_found", "shuffled", "shuffled_change", "soft_softer", "soft_louder", "soft_change",
    "soft_found", "loud_softer", "loud_louder", "loud_change", "loud_found", "constant",
    "conclusion",
)  # fmt: skip


def in_words(
    results: Sequence[BaselineRun], runs: Stored, kind: str, prefix: str
) -> dict[str, str]:
    """`WORDS` for the prose, their names after `PREFIX_`; `(not run yet)` where they are unknown.

    `largest`, `loudness`, `audio`, `rms` and `shuffled` are accuracies, of the network under
    treatment the last two; `ahead` is its lead over loudness alone, found to be `beside`;
    `_change` what a treatment changes, found to be `_found`; `soft_` and `loud_` are about the
    shares of answers that are the class said to be the softest, or the loudest, when recordings
    are `softer` and `louder`; `constant` is how many trainings always answer the same.
    """
    words = dict.fromkeys(WORDS, ABSENT)
    try:
        words |= _alone(rivals(results, runs, kind), results)
        words |= _altered(heard(runs, kind, "audio"), kind)
        words["conclusion"] = CONCLUSIONS[words["beside"] == AHEAD, words["rms_found"] == FALLS]
    except Missing:
        pass
    return {f"{prefix}_{name}": text for name, text in words.items()}


def _alone(chosen: Sequence[Tested], results: Sequence[BaselineRun]) -> dict[str, str]:
    found = summary(chosen, results).set_index("model")
    lead = ahead(chosen, dialogues(results)).loc["loudness"]
    return {
        "utterances": f"{found['n_utterances'].max():,}",
        "largest": f"{found['accuracy']['majority']:.3f}",
        "loudness": f"{found['accuracy']['loudness']:.3f}",
        "audio": f"{found['accuracy']['audio']:.3f}",
        "ahead": _change(lead),
        "beside": _found(lead, AHEAD, "loudness alone is ahead", "neither is seen ahead"),
    }


def _altered(chosen: Sequence[Run], kind: str) -> dict[str, str]:
    unit = unit_of(kind)
    answered = treated.answers(chosen, RECORDINGS)
    rows = treated.effects(answered, unit)
    rms, shuffled = rows.loc["rms"], rows.loc["time-shuffled"]
    soft = answered[["louder", "softer"]] == SOFTEST
    loud = answered[["softer", "louder"]] == LOUDEST
    trainings = answered[treated.UNTREATED].groupby(level=["fold", "seed"]).nunique()
    return {
        "rms": f"{rms['accuracy']:.3f}",
        "rms_change": _change(rms),
        "rms_found": _found(rms, "its accuracy rises", FALLS, "no change is seen"),
        "shuffled": f"{shuffled['accuracy']:.3f}",
        "shuffled_change": _change(shuffled),
        "soft_softer": f"{soft['softer'].mean():.3f}",
        "soft_louder": f"{soft['louder'].mean():.3f}",
        **_moved("soft", treated.drawn(soft, unit).loc["softer"]),
        "loud_softer": f"{loud['softer'].mean():.3f}",
        "loud_louder": f"{loud['louder'].mean():.3f}",
        **_moved("loud", treated.drawn(loud, unit).loc["louder"]),
        "constant": f"{(trainings == 1).sum()} of {len(trainings)}",
    }


def _moved(name: str, row: Any) -> dict[str, str]:
    found = _found(row, "more often", "less often", "no more and no less often")
    return {f"{name}_change": _change(row), f"{name}_found": found}


def _change(row: Any) -> str:
    """A difference with its interval."""
    return f"{signed(row['difference'])} {interval(row['low'], row['high'])}"


def _found(row: Any, above: str, below: str, unclear: str) -> str:
    """On which side of 0 an interval lies, in words."""
    return above if row["low"] > 0 else below if row["high"] < 0 else unclear


def softest_in_words(corpus: str) -> dict[str, str]:
    """Stored levels for the prose, names after `CORPUS_`; `(not stored yet)` without.

    `speakers`; `louder_classes` are those shown to be louder than sadness, `other_classes` the
    rest; `shift`, see there.
    """
    kept = loudness.load(corpus)
    if kept is None:
        names = ("speakers", "louder_classes", "other_classes", "shift")
        return {f"{corpus}_{name}": "(not stored yet)" for name in names}
    rows = above_softest(kept.table)
    shown = (rows["p_holm"] < comparison.LEVEL) & (rows["difference"] > 0)
    return {
        f"{corpus}_speakers": f"{rows['speakers'].max()}",
        f"{corpus}_louder_classes": ", ".join(rows.index[shown]) or "no class",
        f"{corpus}_other_classes": ", ".join(rows.index[~shown]) or "no class",
        f"{corpus}_shift": f"{shift(kept.table):+.1f}",
    }
