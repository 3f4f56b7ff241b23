"""From stored runs to a verdict on each claim of the paper.

Only runs on the paper's own corpus with the paper's own protocol give a verdict on its figures.
Those that hear acoustic features in place of raw audio have criteria of their own, and say so.
Everything else, above all the stand-in, is a check that the mechanism works: the same criterion is
applied, and its outcome is kept apart, as the column `check`.
"""

from collections.abc import Sequence

import pandas as pd

from replicate.corpora.table import Corpus
from replicate.paper import CLAIMS, PAPER_CORPUS, PAPER_FEATURES, Claim
from replicate.runs.facts import Facts
from replicate.runs.names import listing
from replicate.runs.selection import Selection
from replicate.runs.store import Run
from replicate.settings import MARK
from replicate.verdicts.criteria import CRITERIA
from replicate.verdicts.criteria_of_data import Counts, Extremes, Loudness, Words
from replicate.verdicts.criteria_of_runs import OfRuns
from replicate.verdicts.criteria_of_splits import CRITERIA_OF_FEATURES
from replicate.verdicts.criterion import Criterion, Finding
from replicate.verdicts.evidence import Evidence, gather

#: The protocol that the criteria were fixed for: profile, kind of held-out part, choice of epoch.
PAPER_PROTOCOL = ("paper", "stratified", "last-epoch")

#: What a verdict or check rests on.
IN_PRINT, OWN_CORPUS = "the paper's own tables", "the paper's corpus"
OWN_FEATURES = "the paper's corpus, acoustic features in place of raw audio"
OWN_LEVELS = "the paper's corpus, published levels of its dialogues' recordings"
OWN_LABELS = "the paper's corpus, its published labels"
MECHANISM = "mechanism check"

#: Where there is no verdict: nothing to judge, or less than the criterion asks for.
NO_VERDICT = ("not testable here", "not enough runs")
_NONE, _TOO_FEW = NO_VERDICT
_VERDICTS = {"met": "reproduced", "undecided": "undecided", "not met": "not reproduced"}


def verdicts(runs: Selection, corpus: Corpus | None = None) -> pd.DataFrame:
    """A verdict on each claim, from runs and the corpus where it is at hand, see `judge`."""
    return judge(gather(runs, corpus))


def judge(evidence: Evidence) -> pd.DataFrame:
    """A verdict on each of `replicate.paper.CLAIMS`, in their order.

    Returns:
        Index `id`; `statement`, `section`, `element` of the claim; `reported`, its printed values;
        `reproduced`, ours, in words and numbers, empty where there are none; `low` and `high`, the
        95 % interval of ours where it is one number; `verdict` on the paper's figures
        (`reproduced`, `undecided`, `not reproduced`, `not enough runs`, `holds in print`,
        `contradicted by the paper itself` or `not testable here`); `check`, the outcome of the
        same criterion on a corpus or protocol that gives no verdict; `basis`, what verdict or
        check rests on; `test` and `weakness` of the criterion; `evidence`, what else to know and
        what is missing; `shortfall`, what is missing alone; `corpus_name` and `corpus`, its title
        and size and the protocol; `synthetic`, whether it is the stand-in; `seeds` and `commits` of
        the runs and stored facts that the criterion looks at, and `newest`, the date of the last.
    """
    criteria = dict(CRITERIA)
    if evidence.runs.corpus == PAPER_FEATURES:
        criteria |= CRITERIA_OF_FEATURES.claims
    rows = [_row(claim, criteria[claim.id], evidence) for claim in CLAIMS]
    return pd.DataFrame(rows).set_index("id")


def claim_rows(given: pd.DataFrame) -> pd.DataFrame:
    """`judge` as a page shows it: reported, found, interval, verdict, criterion, what it rests on.

    Where something was found, the criterion comes with what it lacks here.
    """
    statement = given["statement"] + " (" + given["element"] + ")"
    lacking = [f"\n(here: {what})" if what else "" for what in given["shortfall"]]
    return pd.DataFrame(
        {
            "claim": given.index.astype(str) + ". " + statement,
            "reported": given["reported"].map(listing),
            "found here": given["reproduced"].map(listing),
            "95 %_low": given["low"],
            "95 %_high": given["high"],
            "verdict": given["verdict"],
            "criterion": (given["test"] + lacking).where(given["reproduced"] != "", ""),
            "rests on": rests_on(given),
        }
    ).reset_index(drop=True)


def rests_on(given: pd.DataFrame) -> pd.Series:
    """What verdicts rest on; of a mechanism check, on which corpus and with what outcome."""
    where = given["corpus"].mask(given["synthetic"], MARK)
    checked = where + "; mechanism check: " + given["check"].replace("", "not possible")
    return given["basis"].mask(given["basis"] == MECHANISM, checked)


def told(given: pd.DataFrame) -> str:
    """Verdicts in a few lines each."""
    lines = []
    for row in given.reset_index().to_dict("records"):
        lines.append(f"{row['id']:2}. {row['statement'].strip()}")
        outcome = row["verdict"]
        if row["check"] or row["basis"] == MECHANISM:
            outcome = f"mechanism check, no verdict: {row['check'] or 'not possible'}"
        for label, text in (
            ("reported", row["reported"]),
            ("found", row["reproduced"]),
            ("evidence", row["evidence"]),
            (outcome, row["corpus"]),
        ):
            lines += [f"    {label}: {text}"] if text else []
    return "\n".join(lines)


def _row(claim: Claim, criterion: Criterion, evidence: Evidence) -> dict[str, object]:
    finding, basis = criterion.judge(claim.numbers, evidence), _basis(criterion, evidence)
    verdict, check = _outcome(basis, criterion, finding, evidence.synthetic)
    left_out = evidence.left_out if criterion.looks_at == "runs" else ""
    behind = _behind(claim, criterion, evidence)
    runs = [each for each in behind if isinstance(each, Run)]
    facts = [each for each in behind if isinstance(each, Facts)]
    made = [(run.provenance.commit, run.provenance.started) for run in runs]
    made += [(each.commit, each.date) for each in facts]
    return {
        "id": claim.id,
        "statement": claim.statement,
        "section": claim.section,
        "element": claim.element,
        "reported": "; ".join(f"{name} {value:,}" for name, value in claim.reported.items()),
        "reproduced": finding.reproduced,
        **finding.interval._asdict(),
        "verdict": verdict,
        "check": check,
        "basis": basis,
        "test": criterion.test,
        "weakness": criterion.weakness,
        "evidence": "; ".join(filter(None, (finding.evidence, finding.shortfall, left_out))),
        "shortfall": finding.shortfall,
        "corpus_name": "print" if basis == IN_PRINT else evidence.runs.corpus,
        "corpus": "the paper as printed" if basis == IN_PRINT else _made_on(evidence),
        "synthetic": evidence.synthetic and basis != IN_PRINT,
        "seeds": sorted({run.experiment.seed for run in runs}),
        "commits": sorted({commit for commit, _ in made}),
        "newest": max((date for _, date in made), default="")[:10],
    }


def _behind(claim: Claim, criterion: Criterion, evidence: Evidence) -> Sequence[Run | Facts]:
    """The runs and stored facts that a criterion looks at; none of print and of counts."""
    if isinstance(criterion, Words):
        return evidence.words_from
    if isinstance(criterion, Loudness | Extremes):
        return evidence.levels_from
    names = criterion.models(claim.numbers) if isinstance(criterion, OfRuns) else []
    runs = [*evidence.runs, *(evidence.sessions.runs if evidence.sessions else ())]
    return [run for run in runs if f"{run.experiment.model}-{run.experiment.embedding}" in names]


def _made_on(evidence: Evidence) -> str:
    """Title and size of the corpus, profile, kind of held-out part, choice of epoch."""
    utterances = sum(evidence.counts.values())
    size = [f"{utterances:,} utterances"] if utterances else []
    runs = evidence.runs
    return ", ".join([evidence.title, *size, f"profile {runs.profile}", runs.folds, runs.epoch])


def _basis(criterion: Criterion, evidence: Evidence) -> str:
    if criterion.looks_at == "print":
        return IN_PRINT
    runs = evidence.runs
    known = {PAPER_CORPUS: OWN_CORPUS, PAPER_FEATURES: OWN_FEATURES}
    basis = MECHANISM if evidence.synthetic else known.get(runs.corpus, MECHANISM)
    if basis == OWN_FEATURES and isinstance(criterion, Loudness | Extremes):
        return OWN_LEVELS
    if basis == OWN_FEATURES and isinstance(criterion, Counts):
        return OWN_LABELS
    folds = "stratified" if runs.folds in ("one", "own") else runs.folds
    fits = criterion.looks_at != "runs" or (runs.profile, folds, runs.epoch) == PAPER_PROTOCOL
    return basis if fits else MECHANISM


def _outcome(
    basis: str, criterion: Criterion, finding: Finding, synthetic: bool
) -> tuple[str, str]:
    """The verdict on the paper's figures, and the outcome where it must not count as one."""
    if basis == IN_PRINT:
        met = finding.outcome == "met"
        return "holds in print" if met else "contradicted by the paper itself", ""
    if finding.outcome is None:
        return _NONE, ""
    if basis in (OWN_CORPUS, OWN_FEATURES, OWN_LEVELS, OWN_LABELS):
        lacking = _TOO_FEW if criterion.looks_at == "runs" else _NONE
        return lacking if finding.shortfall else _VERDICTS[finding.outcome], ""
    if isinstance(criterion, Counts) or (isinstance(criterion, Loudness) and not synthetic):
        return _NONE, ""  # another corpus's size, or how loud it is, checks nothing
    undecided = finding.outcome == "undecided"
    return _NONE, "undecided" if undecided else f"criterion {finding.outcome}"
