"""Verdicts as data, and how to cite: what each verdict rests on is named, and marked."""

import json
from dataclasses import replace
from types import SimpleNamespace

import made_runs
import nbformat
import pandas as pd
import pytest
from pybtex.database import parse_string

from replicate import paper
from replicate.paper import EMOTIONS
from replicate.report.citation import bibtex, cited
from replicate.report.ledger import LEDGER, MIME, NAME, PAGE, SCHEMA, record
from replicate.report.sphinx_ext import publish_claims
from replicate.runs.selection import Selection
from replicate.verdicts.claims import judge
from replicate.verdicts.evidence import Evidence

PAGES = {claim.id: "09_table_7" for claim in paper.CLAIMS}


def run(name, seed, day, commit):
    model, embedding = name.split("-")
    made = made_runs.run(list(EMOTIONS) * 5, list(EMOTIONS) * 5, model=model, embedding=embedding,
                         seed=seed, synthetic=True, corpus="standin-full")  # fmt: skip
    started = f"2026-01-{day:02}T10:00:00+00:00"
    return replace(made, provenance=replace(made.provenance, started=started, commit=commit))


@pytest.fixture(scope="module")
def found():
    runs = (
        run("att_d1-trainable", 0, 1, "a"),
        run("att_d1-trainable", 1, 3, "b"),
        run("concat-trainable", 0, 9, "c"),
    )
    of_standin = judge(Evidence(Selection("standin-full", "paper", runs), "stand-in", True))
    strongest = pd.DataFrame({"kind": "stand-in", "outcome": "open"}, index=of_standin.index)
    return LEDGER.validate_python(record({"stand-in": [of_standin]}, strongest, PAGES))


def test_a_verdict_names_the_runs_that_its_criterion_looks_at(found):
    by_id = {claim.id: claim.verdicts[0] for claim in found.claims}
    assert (by_id[3].seeds, by_id[3].commits, by_id[3].newest) == ([0, 1], ["a", "b"], "2026-01-03")
    assert (by_id[7].seeds, by_id[7].commits) == ([0], ["c"])
    assert by_id[25].seeds == by_id[27].seeds == by_id[27].commits == []
    assert found.newest == "2026-01-09"


def test_what_the_stand_in_made_is_marked_and_gives_no_verdict(found):
    for claim in found.claims:
        (verdict,) = claim.verdicts
        assert verdict.synthetic == (verdict.corpus_name == "standin-full")
        assert verdict.synthetic or verdict.corpus_name == "print"
        assert not verdict.synthetic or verdict.outcome == "not testable here"


def test_reported_values_are_those_of_the_paper(found):
    for claim, judged in zip(paper.CLAIMS, found.claims, strict=True):
        assert judged.reported == claim.numbers and judged.page == "notebooks/09_table_7.html"
    assert found.software.version == cited()["version"] and found.software.licence == "MIT"


def test_a_build_writes_what_the_page_has(tmp_path, found):
    data = LEDGER.dump_python(found)
    page = nbformat.v4.new_notebook()
    page.cells = [nbformat.v4.new_code_cell(outputs=[nbformat.v4.new_output("stream", text="x")])]
    page.cells[0].outputs.append(nbformat.v4.new_output("display_data", {MIME: data}))
    nbformat.validate(page)
    app = SimpleNamespace(srcdir=tmp_path, outdir=tmp_path, builder=SimpleNamespace(format="html"))
    publish_claims(app, None)
    assert not (tmp_path / NAME).exists(), "a book without that page"
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / f"{PAGE}.ipynb").write_text(json.dumps(page))
    publish_claims(app, RuntimeError())
    assert not (tmp_path / NAME).exists(), "a build that failed"
    publish_claims(app, None)
    assert LEDGER.validate_json((tmp_path / NAME).read_bytes()) == found
    assert json.loads((tmp_path / SCHEMA).read_text())["properties"]["claims"]


def test_bibtex_is_that_of_the_citation_file():
    entries = parse_string(bibtex(), "bibtex").entries
    software, article = entries["replication"], entries["lima2018"]
    assert software.fields["version"] == cited()["version"] and software.persons["author"]
    assert article.fields["doi"] == cited()["references"][0]["doi"]
    assert [" ".join(one.last_names) for one in article.persons["author"]] == ["Lima", "Bak"]
