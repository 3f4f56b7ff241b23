"""The paper by itself: settings, claims, open choices, printed accuracies; and the verdicts."""

from collections.abc import Collection, Mapping, Sequence
from operator import attrgetter

import numpy as np
import pandas as pd

from replicate import metrics, paper
from replicate.audit import TESTED
from replicate.claims import Verdict
from replicate.experiments import PROFILES, Experiment
from replicate.model import EmotionModel
from replicate.paper.criteria import Accuracy
from replicate.report import anatomy
from replicate.report.layout import interval, listing, title
from replicate.report.provenance import (
    MARK,
    PAPER,
    Exhibit,
    Source,
    of_code,
    of_runs,
    or_notice,
    table,
)
from replicate.report.results import Stored
from replicate.text_alone import chance


def hyperparameters(
    rows: Sequence[paper.Hyperparameter], experiments: Mapping[str, Experiment], caption: str
) -> Exhibit:
    """Tables 1-3: as printed, and as each of our experiments has it.

    A row whose name ends in one heading in brackets has no cell under the others.

    Args:
        rows: of the paper.
        experiments: heading -> experiment.
        caption: the caption.
    """
    return table(_settings(rows, experiments), caption, [PAPER, of_code()])


def profiles(first: Mapping[str, Experiment]) -> Exhibit:
    """Table 1 as printed and in each profile, and what else a profile sets.

    Args:
        first: name of a profile -> its first experiment.
    """
    frame = _settings(paper.TABLE_1, first)
    more = {
        name: [f"{experiment.training.development:.0%}", str(len(PROFILES[name].seeds))]
        for name, experiment in first.items()
    }
    labels = ["Part of the training set held out for development", "Seeds"]
    frame = pd.concat([frame, pd.DataFrame(more, index=pd.Index(labels))])
    caption = "Table 1, as printed and in each profile, and what else the profiles set."
    return table(frame, caption, [PAPER, of_code()])


def _settings(
    rows: Sequence[paper.Hyperparameter], experiments: Mapping[str, Experiment]
) -> pd.DataFrame:
    """Settings as printed and as experiments have them: a row for each, headings as columns."""
    columns: dict[str, list[str | None]] = {"printed": [row.printed for row in rows]}
    for heading, experiment in experiments.items():
        others = [f"({other})" for other in experiments if other != heading]
        columns[heading] = [
            None if row.name.endswith(tuple(others)) else str(attrgetter(row.field)(experiment))
            for row in rows
        ]
    return pd.DataFrame(columns, index=pd.Index([row.name for row in rows]))


def layers(model: EmotionModel) -> Exhibit:
    """Every layer with what it does, its output's shape and its parameters."""
    caption = (
        "The layers in the order in which they run, with their outputs and trained parameters "
        "(B utterances, T samples of the longest, n words of the longest sentence)."
    )
    return table(anatomy.layer_table(model), caption, [of_code()])


def claims() -> Exhibit:
    """The paper's claims and where it makes them."""
    frame = pd.DataFrame(
        {
            "claim": [claim.id for claim in paper.CLAIMS],
            "what the paper says": [claim.statement for claim in paper.CLAIMS],
            "where": [f"{c.place.section}, {c.place.element}" for c in paper.CLAIMS],
            "it takes": [", ".join(claim.needs) for claim in paper.CLAIMS],
        }
    ).set_index("claim")
    caption = "What the paper claims, where, and what it takes to check it."
    return table(frame, caption, [PAPER], wordy=True)


def choices() -> Exhibit:
    """What the paper leaves open, and our reading."""
    frame = pd.DataFrame(
        {
            "choice": [c.choice for c in paper.OPEN_CHOICES],
            "place": [c.place for c in paper.OPEN_CHOICES],
            "our default": [c.default for c in paper.OPEN_CHOICES],
            "why": [c.reason for c in paper.OPEN_CHOICES],
            "expected impact": [c.impact for c in paper.OPEN_CHOICES],
        }
    ).set_index("choice")
    caption = (
        "What the paper leaves open, and what this replication does: in the profile paper. Others "
        "have fewer epochs, and runs may have fewer seeds; each table says how many."
    )
    return table(frame, caption, [PAPER], wordy=True)


def verdicts(
    given: Sequence[Verdict], sources: Sequence[Source], only: Collection[int] = ()
) -> Exhibit:
    """One row a claim: reported, found, interval, verdict, criterion, and what it rests on.

    Args:
        given: from `replicate.claims.verdicts`.
        sources: what they were computed from.
        only: numbers of the claims to show; all by default.
    """
    chosen = [v for v in given if not only or v.claim.id in only]
    frame = pd.DataFrame(
        {
            "claim": [
                f"{v.claim.id}. {v.claim.statement} ({v.claim.place.element})" for v in chosen
            ],
            "reported": [listing(v.reported) or None for v in chosen],
            "found here": [listing(v.reproduced) or None for v in chosen],
            "95 %": [interval(v.low, v.high) for v in chosen],
            "verdict": [v.verdict for v in chosen],
            "criterion": [_criterion(v) for v in chosen],
            "rests on": [_basis(v) for v in chosen],
        }
    )
    caption = "Claims of the paper, with what can be said of them here."
    return table(frame, caption, sources, index=False, wordy=True)


def _criterion(verdict: Verdict) -> str | None:
    """The test of what was found, and what it lacks."""
    if not verdict.reproduced:
        return None
    return verdict.test + f"\n(here: {verdict.shortfall})" * bool(verdict.shortfall)


#: Notebook -> what it is called, and the claims whose evidence it has.
EVIDENCE = {
    "02_corpus": ("the corpus", {1}),
    "07_tables_4_and_5": ("Tables 4 and 5", {*range(2, 9), *range(10, 15)}),
    "18_does_audio_help": ("does audio help?", {9, 15}),
    "05_fusion": ("fusion and attention", {16}),
    "09_table_7": ("Table 7", {17, 18, 20}),
    "08_table_6": ("Table 6", {21, 22, 23, 24}),
    "10_table_8": ("Table 8", {25}),
    "20_loudness": ("loudness", {26}),
    "14_audit": ("the paper's own numbers", {19, 27}),
    "16_choices": ("what the paper leaves open", {28}),
    "01_paper": ("the paper", {29}),
}


def ledger(given: Mapping[str, Sequence[Verdict]], sources: Sequence[Source]) -> Exhibit:
    """All claims at a glance: a verdict or mechanism check for each corpus, and where to read on.

    Args:
        given: heading of a column -> verdicts on all claims.
        sources: what they were computed from.
    """
    claims = next(iter(given.values()))
    columns = {
        heading: [None if _in_print(v) else _at_a_glance(v) for v in those]
        for heading, those in given.items()
    }
    frame = pd.DataFrame(
        {
            "claim": [f"{v.claim.id}. {v.claim.statement}" for v in claims],
            "in print": [v.verdict if _in_print(v) else None for v in claims],
            **columns,
            "evidence": [_evidence(v.claim.id) for v in claims],
        }
    )
    caption = (
        "Every claim, and what the paper's own tables (in print) or the runs on each corpus say of "
        "it. In brackets stands a mechanism check: the same criterion where it cannot decide on "
        "the paper's figures. The page named as evidence explains a claim; its numbers are others "
        "where it rests on another stand-in."
    )
    links = {name: notebook for notebook, (name, _) in EVIDENCE.items()}
    return table(frame, caption, sources, index=False, wordy=True, links=links, filterable=True)


def _evidence(claim: int) -> str:
    """What the page with the evidence on a claim is called."""
    return next(name for name, numbers in EVIDENCE.values() if claim in numbers)


def _in_print(verdict: Verdict) -> bool:
    """Whether the paper's own tables decide it."""
    return verdict.basis == "the paper's own tables"


def _at_a_glance(verdict: Verdict) -> str:
    if verdict.verdict == "not testable here" and verdict.check:
        return f"({verdict.check})"
    return verdict.verdict


def weakness_in_words() -> dict[str, object]:
    """Where the tolerance of criterion A comes from, and how weak it is, for the prose.

    `passing_low` and `passing_high`: means that lie within `tolerance` of every accuracy of
    Tables 4 and 5.
    """
    accuracies = [row.accuracy for row in paper.OWN]
    tolerance = Accuracy.tolerance
    return {
        "tolerance": tolerance,
        "n": TESTED,
        "binomial": f"{chance(max(accuracies), TESTED):.4f}",
        "seed_sd": f"{Accuracy.seed_sd:g}",
        "passing_low": max(accuracies) - tolerance,
        "passing_high": min(accuracies) + tolerance,
    }


def criteria(given: Sequence[Verdict], sources: Sequence[Source]) -> Exhibit:
    """How each claim is judged, what the criterion cannot tell, and the evidence."""
    frame = pd.DataFrame(
        {
            "claim": [v.claim.id for v in given],
            "criterion": [v.test or None for v in given],
            "weakness": [v.weakness or None for v in given],
            "evidence": [listing(v.evidence) or None for v in given],
            "rests on": [_basis(v) for v in given],
        }
    )
    caption = "The criteria, fixed before any run, with their weaknesses and the evidence."
    return table(frame, caption, sources, index=False, wordy=True)


def _basis(verdict: Verdict) -> str:
    """What a verdict rests on; of a mechanism check, on which corpus and with what outcome."""
    if verdict.basis != "mechanism check":
        return verdict.basis
    where = MARK if verdict.synthetic else verdict.corpus
    return f"{where}; mechanism check: {verdict.check or 'not possible'}"


@or_notice
def text_verdicts(runs: Stored, given: Sequence[Verdict], more: Sequence[Source]) -> Exhibit:
    """The claims of which text alone has something to say.

    Args:
        runs: on the transcripts.
        given: verdicts by them.
        more: what else these were computed from.
    """
    chosen, on_text = runs.of("text"), "the transcripts of the paper's corpus"
    told = [v for v in given if v.basis == on_text and (v.check or "text" in v.evidence)]
    frame = pd.DataFrame(
        {
            "claim": [f"{v.claim.id}. {v.claim.statement}" for v in told],
            "evidence from text alone": [
                listing("; ".join(filter(None, (v.reproduced, v.evidence)))) for v in told
            ],
            "verdict": [_at_a_glance(v) for v in told],
        }
    )
    caption = "Claims on which text alone, on the transcripts of the paper's corpus, bears."
    sources = [*of_runs(chosen, "last-epoch"), *more]
    return table(frame, caption, sources, index=False, wordy=True)


def printed_accuracies() -> pd.DataFrame:
    """The accuracies of Tables 4 and 5 with Wilson intervals, as `plots.accuracies` takes them."""
    value = np.array([row.accuracy for row in paper.OWN])
    low, high = metrics.wilson(np.round(value * TESTED), [TESTED] * len(value))
    index = pd.Index([title(row.model, row.embedding) for row in paper.OWN])
    return pd.DataFrame({"reported": np.nan, "value": value, "low": low, "high": high}, index)


def counts(given: Sequence[Verdict]) -> dict[str, int | str]:
    """How many claims have a criterion, a verdict (`decided`: which), a check, and how it ended."""
    checks = [verdict.check for verdict in given if verdict.check]
    decided = [v for v in given if v.verdict != "not testable here"]
    return {
        "claims": len(given),
        "criteria": sum(v.claim.criterion.kind not in ("none", "quoted") for v in given),
        "testable": len(decided),
        "decided": "; ".join(f"claim {v.claim.id}, {v.verdict}" for v in decided) or "none",
        "checks": len(checks),
        "checks_met": checks.count("criterion met"),
        "checks_missed": checks.count("criterion not met"),
        "checks_open": checks.count("undecided"),
    }
