"""Is the audio model a loudness detector? Loudness alone, equal loudness, levels of classes."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from replicate import comparison, loudness, metrics, treated
from replicate.baseline_runs import BaselineRun, dialogues
from replicate.baselines import QUIETEST
from replicate.corpora import at_hand
from replicate.loudness import Loudness
from replicate.metrics import Tested
from replicate.protocol import EMOTIONS
from replicate.report import figures, tables
from replicate.report.baseline_tables import comparable, lack, summary
from replicate.report.layout import (
    ABSENT,
    intervals,
    name_of,
    number,
    signed,
    signed_interval,
    small,
)
from replicate.report.provenance import (
    Exhibit,
    Missing,
    Source,
    commit_name,
    of_runs,
    or_notice,
    table,
)
from replicate.report.results import Stored
from replicate.report.treatment_tables import (
    LOUDEST,
    SOFTEST,
    effects_in_text,
    heard,
    unit_of,
    units_of,
)
from replicate.runs import Run, load_runs
from replicate.studies import choices
from replicate.treated import Contrast, Unit
from replicate.treatments import NOMINAL, RECORDINGS, SIX_DB

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


def ahead(chosen: Sequence[Tested], clusters: Mapping[str, str], unit: Unit) -> dict[str, Contrast]:
    """Accuracy of the network less that of each baseline on the same folds, by its name.

    Args:
        chosen: from `rivals`.
        clusters: utterance -> what intervals draw as a whole.
        unit: what tests are over.
    """
    samples = metrics.pooled(chosen, "last-epoch")
    samples["right"] = samples["predicted"].eq(samples["emotion"])
    heard = samples["model"] == "audio"
    network = samples[heard].set_index(["fold", "seed", "utterance"])[["right"]]
    simple = samples[~heard].pivot(index=["fold", "utterance"], columns="model", values="right")
    both = network.join(simple, on=["fold", "utterance"])
    return {
        str(name): treated.contrast(both["right"], both[name], clusters, unit) for name in simple
    }


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
    leads = ahead(chosen, dialogues(results), unit_of(kind))
    rows = {name: vars(lead) for name, lead in leads.items()}
    lead = pd.DataFrame.from_dict(rows, orient="index").reindex(found["model"])
    shown = pd.DataFrame(
        {
            "accuracy": found["accuracy"].map(number),
            "95 %": intervals(found["accuracy_boot_low"], found["accuracy_boot_high"]),
            "UAR": found["uar"].map(number),
            "95 % ": intervals(found["uar_boot_low"], found["uar_boot_high"]),
            "the network is ahead by": [signed(value) for value in lead["difference"]],
            "95 % of that": intervals(lead["low"], lead["high"]).to_numpy(),
            "p": [small(value) for value in lead["p_value"]],
        },
        index=found.index,
    )
    caption = (
        f"Loudness as a classifier, beside the network, on {found['n_utterances'].max():,} test "
        "utterances; means over seeds. Intervals draw whole dialogues, or speakers where those "
        f"are held out. p: paired t test of the lead over {units_of(kind)}, not corrected for the "
        "number of leads."
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

#: The control of `rms`: what moves all recordings alike, and how far, in dB.
SHIFTS = {treated.UNTREATED: 0.0, "louder": 20 * np.log10(SIX_DB), "softer": -20 * np.log10(SIX_DB)}

#: Of a network that is not shown to be ahead of the largest class.
DEAF = (
    "nothing that the network hears is shown to help it, for it is not shown to beat the largest "
    "class"
)

#: Is the network ahead of loudness alone, does `rms` harm it more than its control -> what follows.
CONCLUSIONS = {
    (True, True): "the network's accuracy hangs on differences in level, and it hears more than "
    "loudness",
    (True, False): "the network hears more than loudness, and its accuracy is not shown to hang on "
    "differences in level",
    (False, True): "the network's accuracy hangs on differences in level, and nothing shows that "
    "it hears more than loudness",
    (False, False): "nothing shows that the network hears more than loudness, nor that its "
    "accuracy hangs on differences in level",
}

#: What `in_words` tells.
WORDS = (
    "shift", "largest", "loudness", "audio", "lead", "ahead", "beside", "rms", "control",
    "controlled", "beyond", "harm", "shuffled", "soft_kept", "soft_lost", "soft_beyond",
    "soft_softer", "soft_louder", "soft_change", "soft_found", "loud_softer", "loud_louder",
    "loud_change", "loud_found", "constant", "conclusion",
)  # fmt: skip


def in_words(
    results: Sequence[BaselineRun],
    runs: Stored,
    kind: str,
    prefix: str,
    level: pd.DataFrame | None = None,
) -> dict[str, str]:
    """`WORDS` for the prose, their names after `PREFIX_`; `(not run yet)` where they are unknown.

    `shift`, see there; `largest`, `loudness`, `audio`, `rms`, `controlled` and `shuffled` are
    accuracies, of the network under treatment the last three; `lead` is its lead over the largest
    class, `ahead` that over loudness alone, found to be `beside`; `control` is the nearest of
    `SHIFTS`, `beyond` what `rms` changes beyond it, found to be `harm`; `soft_lost` is the share of
    the class said to be the softest that is found under `rms`, `soft_kept` under its control, and
    `soft_beyond` the difference; the other `soft_` and `loud_` are about the shares of answers that
    are the class said to be the softest, or the loudest, when recordings are `softer` and `louder`;
    `constant` is how many trainings always answer the same.

    Args:
        results: baselines.
        runs: of the network.
        kind: of the folds.
        prefix: of the names.
        level: from `replicate.loudness.of_cohort`; the stored ones by default.
    """
    words = dict.fromkeys(WORDS, ABSENT)
    try:
        moved = shift(_stored(runs.corpus).table if level is None else level)
        chosen = rivals(results, runs, kind)
        clusters, unit = dialogues(results), unit_of(kind)
        leads = ahead(chosen, clusters, unit)
        words |= {"shift": f"{moved:+.1f}", **_alone(summary(chosen, results), leads)}
        network = tuple(one for one in chosen if isinstance(one, Run))
        answered = treated.answers(heard(replace(runs, runs=network), kind, "audio"), RECORDINGS)
        right, control = treated.right(answered), nearest(moved)
        beyond = treated.contrast(right["rms"], right[control], clusters, unit)
        soft = right[right.index.get_level_values("emotion") == SOFTEST]
        words |= _called(answered, clusters, unit) | _harmed(right, control, beyond)
        words |= {
            "soft_lost": f"{soft['rms'].mean():.3f}",
            "soft_kept": f"{soft[control].mean():.3f}",
            "soft_beyond": _tested(treated.contrast(soft["rms"], soft[control], clusters, unit)),
        }
        words["conclusion"] = concluded(leads, beyond)
    except Missing:
        pass
    return {f"{prefix}_{name}": text for name, text in words.items()}


def nearest(moved: float) -> str:
    """Whichever of `SHIFTS` comes nearest to a shift of the mean level, in dB."""
    return min(SHIFTS, key=lambda name: abs(SHIFTS[name] - moved))


def concluded(leads: Mapping[str, Contrast], beyond: Contrast) -> str:
    """What follows from three questions, each answered by `treated.Contrast.sign`.

    Args:
        leads: from `ahead`.
        beyond: accuracy under `rms` less that under its control.
    """
    if leads["majority"].sign < 1:
        return DEAF
    return CONCLUSIONS[leads["loudness"].sign > 0, beyond.sign < 0]


def _alone(found: pd.DataFrame, leads: Mapping[str, Contrast]) -> dict[str, str]:
    accuracy = found.set_index("model")["accuracy"]
    beside = _found(
        leads["loudness"], "ahead of it", "behind it", "not shown to be ahead of it or behind"
    )
    return {
        "largest": f"{accuracy['majority']:.3f}",
        "loudness": f"{accuracy['loudness']:.3f}",
        "audio": f"{accuracy['audio']:.3f}",
        "lead": _tested(leads["majority"]),
        "ahead": _tested(leads["loudness"]),
        "beside": beside,
    }


def _harmed(right: pd.DataFrame, control: str, beyond: Contrast) -> dict[str, str]:
    return {
        "rms": f"{right['rms'].mean():.3f}",
        "control": control,
        "controlled": f"{right[control].mean():.3f}",
        "beyond": _tested(beyond),
        "harm": _found(beyond, "it gains from equal levels", "equal levels harm it",
                       "interval and test do not both show that equal levels harm it"),
        "shuffled": f"{right['time-shuffled'].mean():.3f}",
    }  # fmt: skip


def _called(answered: pd.DataFrame, clusters: Mapping[str, str], unit: Unit) -> dict[str, str]:
    soft, loud = answered == SOFTEST, answered == LOUDEST
    trainings = answered[treated.UNTREATED].groupby(level=["fold", "seed"]).nunique()
    moved = {
        "soft": treated.contrast(soft["softer"], soft["louder"], clusters, unit),
        "loud": treated.contrast(loud["louder"], loud["softer"], clusters, unit),
    }
    return {
        "soft_softer": f"{soft['softer'].mean():.3f}",
        "soft_louder": f"{soft['louder'].mean():.3f}",
        "loud_softer": f"{loud['softer'].mean():.3f}",
        "loud_louder": f"{loud['louder'].mean():.3f}",
        **{f"{name}_change": _tested(change) for name, change in moved.items()},
        "soft_found": _more_often(soft, moved["soft"]),
        "loud_found": _more_often(loud, moved["loud"]),
        "constant": f"{(trainings == 1).sum()} of {len(trainings)}",
    }


def _more_often(said: pd.DataFrame, change: Contrast) -> str:
    """Whether a class is said more often, in words; where it is never said, nobody can tell."""
    if not said[["softer", "louder"]].any(axis=None):
        return "no answer, for it is never called so"
    return _found(change, "yes", "no, less often", "not for sure")


def _change(row: Any) -> str:
    """A difference with its interval."""
    ends = signed_interval(row["low"], row["high"]) or "(no interval)"
    return f"{signed(row['difference'])} {ends}"


def _tested(found: Contrast) -> str:
    """A difference with its interval and p value."""
    if np.isnan(found.p_value):
        return _change(vars(found))
    p_value = "p < 0.001" if found.p_value < 0.001 else f"p = {found.p_value:.3f}"
    return f"{_change(vars(found))}, {p_value}"


def _found(found: Contrast, above: str, below: str, unclear: str) -> str:
    """On which side of 0 a difference is shown to lie, in words."""
    return {1: above, -1: below, 0: unclear}[found.sign]


def softest_in_words(corpus: str) -> dict[str, str]:
    """Stored levels for the prose, names after `CORPUS_`; `(not stored yet)` without.

    `speakers`; sad speech is shown to be `softer_than` some classes and `louder_than` others;
    `unclear` are the rest.
    """
    kept = loudness.load(corpus)
    if kept is None:
        names = ("speakers", "softer_than", "louder_than", "unclear")
        return {f"{corpus}_{name}": "(not stored yet)" for name in names}
    rows = above_softest(kept.table)
    shown = np.sign(rows["difference"]) * (rows["p_holm"] < comparison.LEVEL)
    sides = {"softer_than": 1, "louder_than": -1, "unclear": 0}
    return {
        f"{corpus}_speakers": f"{rows['speakers'].max()}",
        **{
            f"{corpus}_{name}": ", ".join(rows.index[shown == side]) or "no class"
            for name, side in sides.items()
        },
    }
