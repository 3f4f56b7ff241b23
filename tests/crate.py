"""What lies in `results/`, for archives and programs: an RO-Crate.

`python tests/crate.py` prints it, `python tests/crate.py --write` puts it in its place,
`results/ro-crate-metadata.json`. It lists the files that git knows, with what `results/README.md`
says of them, so the same files give the same bytes.
"""

import fnmatch
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from rocrate.model import ContextEntity
from rocrate.rocrate import ROCrate

from replicate.files import sha256
from replicate.report.citation import authors, cited
from replicate.report.page import REAL_CORPORA
from replicate.settings import MARK, RESULTS

NAME = "ro-crate-metadata.json"
VERSION = "1.2"
FORMATS = {
    ".parquet": "application/vnd.apache.parquet",
    ".json": "application/json",
    ".md": "text/markdown",
    ".safetensors": "application/octet-stream",
}
#: Reports that anybody may add: they are described as one, so that nobody need describe them.
REPORTS = "reruns/"
#: Folders that are no corpus's.
OTHER = ("benchmarks",)
#: Corpus -> where it is to be had, and on which terms, with whom to name.
TERMS = {
    "iemocap": (
        "https://sail.usc.edu/iemocap/",
        "Busso et al. (2008). Its authors license it for research, on request.",
    ),
    "iemocap-features": (
        "https://github.com/bagustris/deep-mlp-ser",
        "Of IEMOCAP (Busso et al., 2008, under its own licence): measurements of Atmaja and Akagi "
        "(2020), code BSD-3-Clause, no licence of the data stated; levels of "
        "MrCrowbar/Speech_Emotion_Recognition, no licence stated; transcripts as published in "
        "declare-lab/conv-emotion (MIT): COSMIC/feature-extraction/iemocap/iemocap.pkl.",
    ),
    "emodb": (
        "https://doi.org/10.21437/Interspeech.2005-446",
        "Burkhardt et al. (2005), Berlin Database of Emotional Speech.",
    ),
    "nemo": (
        "https://github.com/amu-cai/nEMO",
        "Christop (2024), CC BY-NC-SA 4.0: name the source, no commercial use, share alike.",
    ),
    "meld": ("https://github.com/declare-lab/MELD", "Poria et al. (2019), GPL-3.0."),
}


def files(root: Path) -> list[str]:
    """Paths below `root` that git knows and that are there; no reports, nor this description."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "."], cwd=root, capture_output=True, text=True, check=True
    ).stdout.split("\0")
    left_out = {"", NAME, *(name for name in listed if name.startswith(REPORTS))}
    return sorted(name for name in {*listed} - left_out if (root / name).is_file())


def tables(readme: str) -> Iterator[tuple[str, list[list[str]]]]:
    """The tables of a page in Markdown: the line above each, and its rows without the head."""
    for above, body in re.findall(r"^(.*)\n\n\|.*\n\|[-|]+\n((?:\|.*\n)+)", readme, re.MULTILINE):
        rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in body.splitlines()]
        yield above, rows


def quoted(cell: str) -> list[str]:
    """What stands in backticks."""
    return re.findall(r"`([^`]+)`", cell)


def columns(readme: str) -> dict[str, list[dict[str, str]]]:
    """Table, such as `epochs` -> its columns, with what they mean and in which unit."""
    keys = {"corpus": "name of the corpus", "profile": "the protocol", "run": "name of the run"}
    return {
        table: [
            *({"name": name, "description": meaning} for name, meaning in keys.items()),
            *(
                {"name": name, "description": meaning, "unitText": unit}
                for names, unit, meaning in rows
                for name in quoted(names)
            ),
        ]
        for above, rows in tables(readme)
        for table in re.findall(r"\*\*(\w+)\*\*", above)
    }


def meaning(name: str, readme: str) -> str:
    """What a file holds; empty if the README does not say it."""
    _, rows = next(tables(readme))
    told = [
        what
        for names, what in rows
        for pattern in quoted(names)
        if fnmatch.fnmatch(name, re.sub(r"\b(CORPUS|PROFILE|RUN)\b", "*", pattern))
    ]
    return told[-1] if told else ""


def dates(path: Path) -> list[str]:
    """The days on which what a file holds was made, as far as it says so."""
    if path.name.startswith("runs-"):
        return [text[:10] for text in pq.read_table(path, columns=["started"])[0].to_pylist()]
    said = json.loads(path.read_text()) if path.suffix == ".json" else {}
    return [said["date"][:10]] if "date" in said else []


class Crate:
    """The description of the files below a folder."""

    def __init__(self, root: Path) -> None:
        self.root, self.names = root, files(root)
        self.readme = (root / "README.md").read_text(encoding="utf-8")
        self.crate = ROCrate(version=VERSION)
        self.columns = columns(self.readme)
        self.software()
        folders = sorted({name.partition("/")[0] for name in self.names if "/" in name})
        self.corpora = {name: self.corpus(name) for name in folders if name not in OTHER}
        for name in self.names:
            self.crate.add_file(root / name, name, properties=self.file(name))
        about = {"name": REPORTS, "description": meaning(f"{REPORTS}x.json", self.readme)}
        self.crate.add_dataset(root / REPORTS, REPORTS, properties=about)
        self.whole()

    def entity(self, place: str, kind: str, **said: Any) -> ContextEntity:
        """Something that files or the whole refer to, once."""
        if (there := self.crate.get(place)) is not None:
            return there
        known = {key: value for key, value in said.items() if value}
        return self.crate.add(ContextEntity(self.crate, place, {"@type": kind, **known}))

    def software(self) -> None:
        """The program, its makers and licence, and the paper."""
        cite, paper = cited(), cited()["references"][0]
        address = f"https://spdx.org/licenses/{cite['license']}"
        terms = "Of these files and the software; corpora keep terms of their own."
        self.licence = self.entity(address, "CreativeWork", name=cite["license"], description=terms)
        makers = [
            self.entity(f"#maker-{k}", "Organization", name=name)
            for k, name in enumerate(authors(cite))
        ]
        self.makers = makers[0] if len(makers) == 1 else makers
        self.paper = self.entity(
            f"https://doi.org/{paper['doi']}", "ScholarlyArticle", name=paper["title"],
            author=authors(paper), datePublished=str(paper["year"]),
        )  # fmt: skip
        self.program = self.entity(
            "#software", "SoftwareApplication", name=cite["title"], version=cite["version"],
            softwareVersion=cite["version"], license=self.licence, author=self.makers,
            url=cite.get("repository-code", "../"), identifier=cite.get("doi"),
        )  # fmt: skip

    def corpus(self, name: str) -> ContextEntity:
        """What files were made of; of a real corpus, whom to name and where it is to be had."""
        if name.startswith("standin-"):
            said = {
                "name": f"{name}: {MARK}",
                "description": "Speech and text that the software generates, spoken by eSpeak NG.",
                "isBasedOn": self.program,
            }
        else:
            url, terms = TERMS[name]
            said = {"name": REAL_CORPORA[name][0], "description": terms, "url": url}
        return self.entity(f"#corpus-{name}", "Dataset", **said)

    def file(self, name: str) -> dict[str, Any]:
        """What is said of a file."""
        path, corpus = self.root / name, name.partition("/")[0]
        said: dict[str, Any] = {
            "name": f"{name} ({MARK})" if corpus.startswith("standin-") else name,
            "description": meaning(name, self.readme),
            "encodingFormat": FORMATS[path.suffix],
            "contentSize": str(path.stat().st_size),
            "sha256": sha256(path),
        }
        if corpus in self.corpora:
            said["isBasedOn"] = self.corpora[corpus]
        if path.suffix == ".parquet":
            there = pq.read_schema(path).names
            table = path.name.partition("-")[0]
            said["variableMeasured"] = [
                self.entity(f"#{table}.{one['name']}", "PropertyValue", **one)
                for one in self.columns[table]
                if one["name"].partition(".")[0] in there
            ]
        return said

    def whole(self) -> None:
        """What is said of all of it."""
        about = " ".join(self.readme.split("\n\n")[1].split()).replace("`", "")
        said = {
            "name": f"Results: {cited()['title']}",
            "description": f"{about} What is below a folder that begins with standin- was made of "
            "synthetic speech, never to be taken for IEMOCAP.",
            "datePublished": max(day for name in self.names for day in dates(self.root / name)),
            "license": self.licence,
            "author": self.makers,
            "publisher": self.makers,
            "version": cited()["version"],
            "citation": self.paper,
        }
        training = self.entity(
            "#training", "CreateAction", name="Training, testing and measuring",
            instrument=self.program, object=list(self.corpora.values()),
            result=self.crate.root_dataset,
        )  # fmt: skip
        for key, value in {**said, "mentions": training}.items():
            self.crate.root_dataset[key] = value

    def text(self) -> str:
        """As it is stored."""
        made = self.crate.metadata.generate()
        return json.dumps(made, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    made = Crate(RESULTS).text()
    if "--write" in sys.argv:
        (RESULTS / NAME).write_text(made, encoding="utf-8")
    else:
        print(made, end="")
