"""From stored runs to a verdict on each claim of the paper.

Only runs on the paper's own corpus with the paper's own protocol give a verdict on its figures.
Everything else, above all the stand-in, is a check that the mechanism works: the same criterion is
applied, and its outcome is kept apart in `Verdict.check`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Literal

import pandas as pd

from replicate.paper import CLAIMS, PAPER_CORPUS, PAPER_TRANSCRIPTS, Claim, criteria
from replicate.runs.store import Run
from replicate.verdicts.evidence import Evidence, Finding, Outcome
from replicate.verdicts.judging import judge

VerdictName = Literal[
    "reproduced",
    "within noise",
    "not reproduced",
    "contradicted by the paper itself",
    "not testable here",
]
Check = Literal["", "criterion met", "undecided", "criterion not met"]

#: What a verdict or check rests on.
Basis = Literal[
    "the paper's corpus",
    "the paper's own tables",
    "the transcripts of the paper's corpus",
    "mechanism check",
]


#: The protocol that the criteria were fixed for: profile, kind of held-out part, choice of epoch.
PAPER_PROTOCOL = ("paper", "stratified", "last-epoch")

_VERDICTS: Mapping[Outcome, VerdictName] = {
    "met": "reproduced",
    "undecided": "within noise",
    "not met": "not reproduced",
}
_CHECKS: Mapping[Outcome, Check] = {
    "met": "criterion met",
    "undecided": "undecided",
    "not met": "criterion not met",
}


@dataclass(frozen=True)
class CorpusInfo:
    """What runs were made on.

    Attributes:
        name: as on the command line.
        title: for captions.
        synthetic: whether it is the stand-in.
        profile: the protocol.
        n_train: utterances outside the test part, 0 where unknown.
        n_test: utterances of the test part, 0 where unknown.
    """

    name: str
    title: str
    synthetic: bool
    profile: str
    n_train: int = 0
    n_test: int = 0


@dataclass(frozen=True)
class Verdict:
    """A claim, and what the evidence says.

    Attributes:
        claim: the claim.
        reported: its printed values.
        reproduced: ours, in words and numbers; empty where there are none.
        low: the 95 % interval of ours where it is one number, else NaN.
        high: its upper end.
        verdict: on the paper's figures; a corpus other than the paper's gives none.
        check: the outcome of the same criterion on such another corpus or protocol.
        basis: what the verdict or check rests on.
        test: the criterion.
        weakness: what the criterion cannot tell.
        evidence: numbers behind it, and what is missing.
        shortfall: what is missing alone; empty if nothing is.
        corpus: title and size of the corpus, profile, kind of held-out part, choice of epoch.
        synthetic: whether that corpus is the stand-in.
    """

    claim: Claim
    reported: str
    reproduced: str
    low: float
    high: float
    verdict: VerdictName
    check: Check
    basis: Basis
    test: str
    weakness: str
    evidence: str
    shortfall: str
    corpus: str
    synthetic: bool


def corpus_info(runs: Sequence[Run]) -> CorpusInfo:
    """The corpus and profile that all of the runs share.

    The counts are those of the first run on a stratified split, or of the first run.

    Raises:
        ValueError: if there are no runs, or they come from several corpora or profiles.
    """
    shared = {(run.experiment.corpus, run.experiment.profile) for run in runs}
    if len(shared) != 1:
        raise ValueError(f"runs of one corpus and profile are needed, not of {sorted(shared)}")
    (name, profile) = shared.pop()
    made = min(runs, key=lambda run: run.experiment.fold.kind != "stratified").provenance
    n_train = made.n_train + made.n_development
    return CorpusInfo(name, made.corpus_title, made.synthetic, profile, n_train, made.n_test)


def verdicts(
    info: CorpusInfo,
    runs: Sequence[Run],
    table8: pd.DataFrame | None = None,
    words: pd.DataFrame | None = None,
    loudness: pd.DataFrame | None = None,
    selection: str = "last-epoch",
    folds: str = "stratified",
    by_text_alone: bool = False,
) -> list[Verdict]:
    """A verdict on each of `replicate.paper.CLAIMS`, in their order.

    Args:
        info: what the runs were made on, as a rule `corpus_info(runs)`.
        runs: finished runs of that corpus and profile; without any, only the claims that the
            paper's own tables decide get a verdict.
        table8: from `replicate.corpora.waveforms.class_averages`.
        words: from `replicate.studies.words.word_table`, for one run of Att_d^1 with Word2Vec.
        loudness: `emotion`, `speaker`, and `average` and `spread` from
            `replicate.corpora.waveforms.levels` for each utterance of the cohort.
        selection: which epoch, see `replicate.runs.store.SELECTIONS`.
        folds: which kind of held-out part.
            Only the defaults of these two give verdicts on the paper's figures.
        by_text_alone: whether a run of text alone predicted the classes of `words` instead.

    Raises:
        ValueError: if a run comes from another corpus or profile than `info` says.
    """
    if runs and (own := corpus_info(runs)) and (own.name, own.profile) != (info.name, info.profile):
        raise ValueError(f"runs of {own.name}, {own.profile}; not {info.name}, {info.profile}")
    chosen = [run for run in runs if run.experiment.fold.kind == folds]
    counts = {"train": info.n_train, "test": info.n_test} if info.n_test else {}
    evidence = Evidence(chosen, selection, counts, table8, words, loudness, by_text_alone)
    protocol = (info.profile, folds, selection)
    return [
        _verdict(claim, info, protocol, judge(claim.criterion, claim, evidence)) for claim in CLAIMS
    ]


def as_frame(given: Sequence[Verdict]) -> pd.DataFrame:
    """One row a verdict: `id`, `statement`, `section`, `element`, then the verdict's own fields."""
    own = [field.name for field in fields(Verdict) if field.name != "claim"]
    return pd.DataFrame(
        [
            {
                "id": verdict.claim.id,
                "statement": verdict.claim.statement,
                "section": verdict.claim.place.section,
                "element": verdict.claim.place.element,
                **{name: getattr(verdict, name) for name in own},
            }
            for verdict in given
        ]
    )


def told(verdict: Verdict) -> str:
    """A verdict in a few lines."""
    outcome: str = verdict.verdict
    if verdict.check or verdict.basis == "mechanism check":
        outcome = f"mechanism check, no verdict: {verdict.check or 'not possible'}"
    lines = [f"{verdict.claim.id:2}. {verdict.claim.statement.strip()}"]
    for label, text in (
        ("reported", verdict.reported),
        ("found", verdict.reproduced),
        ("evidence", verdict.evidence),
        (outcome, verdict.corpus),
    ):
        lines += [f"    {label}: {text}"] if text else []
    return "\n".join(lines)


def _verdict(
    claim: Claim, info: CorpusInfo, protocol: tuple[str, str, str], finding: Finding
) -> Verdict:
    criterion, basis = claim.criterion, _basis(claim.criterion, info, protocol)
    printed = basis == "the paper's own tables"
    size = [f"{info.n_train + info.n_test:,} utterances"] if info.n_test else []
    made = ", ".join([info.title, *size, f"profile {protocol[0]}", *protocol[1:]])
    return Verdict(
        claim=claim,
        reported="; ".join(f"{name} {value:,}" for name, value in claim.reported.items()),
        reproduced=finding.reproduced,
        low=finding.interval.low,
        high=finding.interval.high,
        verdict=_name(basis, finding),
        check=_check(basis, criterion, finding),
        basis=basis,
        test=criterion.test,
        weakness=criterion.weakness,
        evidence="; ".join(part for part in (finding.evidence, finding.shortfall) if part),
        shortfall=finding.shortfall,
        corpus="the paper as printed" if printed else made,
        synthetic=info.synthetic and not printed,
    )


def _basis(
    criterion: criteria.Criterion, info: CorpusInfo, protocol: tuple[str, str, str]
) -> Basis:
    if isinstance(criterion, criteria.PrintedTable7 | criteria.PrintedInterval):
        return "the paper's own tables"
    if info.synthetic or info.name not in (PAPER_CORPUS, PAPER_TRANSCRIPTS):
        return "mechanism check"
    if info.name == PAPER_TRANSCRIPTS:
        return "the transcripts of the paper's corpus"
    trained = not isinstance(criterion, criteria.Counts | criteria.Loudness | criteria.Extremes)
    if trained and protocol != PAPER_PROTOCOL:
        return "mechanism check"
    return "the paper's corpus"


def _name(basis: Basis, finding: Finding) -> VerdictName:
    """The verdict on the paper's figures."""
    if basis == "the paper's own tables":
        return "within noise" if finding.outcome == "met" else "contradicted by the paper itself"
    if basis == "the paper's corpus" and finding.outcome and not finding.shortfall:
        return _VERDICTS[finding.outcome]
    return "not testable here"


def _check(basis: Basis, criterion: criteria.Criterion, finding: Finding) -> Check:
    """The outcome where it must not count as a verdict; another corpus's size checks nothing."""
    if basis in ("the paper's corpus", "the paper's own tables") or finding.outcome is None:
        return ""
    return "" if isinstance(criterion, criteria.Counts) else _CHECKS[finding.outcome]
