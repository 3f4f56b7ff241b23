"""All verdicts as data: `claims.json` in the book, for programs to load by its address.

The page of verdicts makes it from the frames that it shows; the book writes it beside its front
page, and `claims.schema.json`, the JSON Schema of the classes here.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import fields
from typing import Any, Literal

import pandas as pd
from pydantic import ConfigDict, TypeAdapter
from pydantic.dataclasses import dataclass

from replicate.paper import CLAIMS
from replicate.report.citation import authors, cited
from replicate.runs.code import code_version

NAME, SCHEMA = "claims.json", "claims.schema.json"
#: The page that makes it, and among its outputs what it is.
PAGE, MIME = "11_verdicts", "application/vnd.replicate.claims+json"

STANDIN = (
    "Verdicts with synthetic: true were made on the stand-in, speech and text that a program "
    "generates. They show that the machinery works and say nothing about the paper."
)

_DATA = ConfigDict(use_attribute_docstrings=True)


@dataclass(frozen=True, config=_DATA)
class Verdict:
    """What one corpus, or print, says of a claim."""

    kind: str
    """Kind of evidence, one of the ledger's `kinds`."""
    synthetic: bool
    """Whether the stand-in made it: then it says nothing about the paper."""
    outcome: str
    """The verdict on the paper's figures, or why there is none."""
    check: str
    """Where the corpus gives no verdict, what the same criterion finds there; else empty."""
    criterion: str
    """When the claim counts as reproduced, fixed before the runs."""
    weakness: str
    """What the criterion cannot tell."""
    result: str
    """Our values, in words and numbers; empty without any."""
    low: float | None
    """Lower end of the interval that the criterion uses, 95 % unless it says else; null if the
    result is not one number."""
    high: float | None
    """Upper end."""
    evidence: str
    """What else to know."""
    shortfall: str
    """What is missing for a verdict, or runs that play no part; empty if nothing is."""
    corpus_name: str
    """The corpus as the command line calls it, or `print`."""
    corpus: str
    """Title and size of the corpus, and the protocol: profile, what is held out, which epoch."""
    seeds: list[int]
    """Seeds of the runs that the criterion looks at; none of print, words and levels."""
    commits: list[str]
    """Commits of the code that made these runs or stored words and levels."""
    newest: str
    """Date of the newest of these, ISO 8601; empty without any."""


@dataclass(frozen=True, config=_DATA)
class Strongest:
    """The verdict by the strongest kind of evidence that a claim has."""

    kind: str
    outcome: str
    """In brackets where it is no verdict on the paper's figures."""


@dataclass(frozen=True, config=_DATA)
class Judged:
    """A claim of the paper with all verdicts on it."""

    id: int
    statement: str
    section: str
    element: str
    """The table, row or text of the paper that has it."""
    reported: dict[str, float]
    """The printed values by name; none if the claim is in words alone."""
    page: str
    """The page of the book that explains it, relative to this file."""
    strongest: Strongest
    verdicts: list[Verdict]
    """By strength of the evidence, the strongest first."""


@dataclass(frozen=True, config=_DATA)
class Work:
    """A paper or a program."""

    title: str
    authors: list[str]
    doi: str = ""


@dataclass(frozen=True, config=_DATA)
class Software(Work):
    """This replication."""

    version: str = ""
    licence: str = ""
    """SPDX; of this file, too."""
    commit: str = ""
    """What judged the runs, not what made them."""


@dataclass(frozen=True, config=_DATA)
class Ledger:
    """Every claim of a paper with every verdict on it."""

    schema_version: Literal["1.0"]
    """The first number changes when a reader must, the second with additions."""
    paper: Work
    software: Software
    newest: str
    """Date of the newest run or stored fact behind a verdict, ISO 8601."""
    note: str
    """What must not be mistaken."""
    kinds: list[str]
    """The kinds of evidence, the strongest first."""
    claims: list[Judged]


LEDGER = TypeAdapter(Ledger)


def record(
    by_kind: Mapping[str, Sequence[pd.DataFrame]],
    strongest: pd.DataFrame,
    pages: Mapping[int, str],
) -> dict[str, Any]:
    """`Ledger` as JSON has it.

    `by_kind`: kind of evidence, the strongest first -> verdicts, see `replicate.verdicts.claims`;
    `strongest`: `kind` and `outcome` of each claim, by its number; `pages`: number of a claim ->
    name of the notebook that explains it.
    """
    rows = [
        {"kind": kind, **row} for kind, frames in by_kind.items() for frame in frames
        for row in frame.reset_index().to_dict("records")
    ]  # fmt: skip
    software, paper = cited(), cited()["references"][0]
    found = Ledger(
        schema_version="1.0",
        paper=Work(paper["title"], authors(paper), paper["doi"]),
        software=Software(
            software["title"], authors(software), software.get("doi", ""), software["version"],
            software["license"], code_version("audio")[0],
        ),
        newest=max((row["newest"] for row in rows), default=""),
        note=STANDIN,
        kinds=list(by_kind),
        claims=[
            Judged(
                claim.id, claim.statement, claim.section, claim.element, claim.numbers,
                page=f"notebooks/{pages[claim.id]}.html",
                strongest=Strongest(*strongest.loc[claim.id, ["kind", "outcome"]]),
                verdicts=[_verdict(row) for row in rows if row["id"] == claim.id],
            )
            for claim in CLAIMS
        ],
    )  # fmt: skip
    return {"$schema": SCHEMA, **LEDGER.dump_python(found)}


def _verdict(row: Mapping[Hashable, Any]) -> Verdict:
    ends = {end: None if pd.isna(row[end]) else row[end] for end in ("low", "high")}
    called = {"outcome": "verdict", "criterion": "test", "result": "reproduced"}
    names = (field.name for field in fields(Verdict))
    return Verdict(**{name: row[called.get(name, name)] for name in names} | ends)
