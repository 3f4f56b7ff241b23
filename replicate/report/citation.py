"""How to cite this software and the paper, from `CITATION.cff`."""

from functools import cache
from pathlib import Path
from typing import Any

import yaml
from pybtex.database import BibliographyData, Entry

#: Beside the package, as GitHub and Zenodo look for it.
FILE = Path(__file__).parents[2] / "CITATION.cff"


@cache
def cited() -> dict[str, Any]:
    """What the file says: title, version, licence, authors, and the paper among `references`."""
    return dict(yaml.safe_load(FILE.read_text(encoding="utf-8")))


def authors(work: dict[str, Any]) -> list[str]:
    """Names of the authors, `Family, Given` of people.

    >>> lima = {"family-names": "Lima", "given-names": "Gabriel"}
    >>> authors({"authors": [lima, {"name": "A team"}]})
    ['Lima, Gabriel', 'A team']
    """
    return [
        who.get("name") or f"{who['family-names']}, {who['given-names']}" for who in work["authors"]
    ]


def bibtex() -> str:
    """Both as BibTeX entries, the software first."""
    software, paper = cited(), cited()["references"][0]
    entries = {
        "replication": _entry("software", software, version=software["version"]),
        "lima2018": _entry(
            "inproceedings", paper, booktitle=paper["collection-title"],
            publisher=paper["publisher"]["name"],
        ),
    }  # fmt: skip
    return str(BibliographyData(entries).to_string("bibtex"))


def _entry(kind: str, work: dict[str, Any], **more: str) -> Entry:
    """What every kind has; a year only where the work has appeared."""
    names = [name if ", " in name else f"{{{name}}}" for name in authors(work)]
    fields = {"author": " and ".join(names), "title": work["title"], **more}
    fields["year"] = str(work.get("year") or work.get("date-released", ""))[:4]
    fields |= {"doi": work.get("doi", ""), "url": work.get("repository-code", "")}
    return Entry(kind, {name: text for name, text in fields.items() if text})
