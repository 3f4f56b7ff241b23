"""What is stored beside runs: where it comes from, or what would store it."""

from collections.abc import Sequence

from replicate.report.layout import cells
from replicate.report.sources import Source, commit_name, listed
from replicate.runs import facts
from replicate.runs.selection import Missing, answers
from replicate.runs.store import Run
from replicate.stats.summaries import summarise
from replicate.studies import loudness, released_levels, wordlists
from replicate.studies.wordlists import Classes

#: Packages whose versions move times.
PACKAGES = ("torch", "numba", "triton")


def of_levels(corpus: str) -> Source | Missing:
    """The source of a corpus's stored levels, measured here or released by others."""
    kept = loudness.load(corpus) or released_levels.load(corpus)
    if kept is None:
        what = f"The levels of {corpus} have not been stored."
        return Missing(what, loudness.command(corpus))
    commit = f"commit {commit_name(kept.commit, kept.dirty)}"
    table = kept.table
    count = table["n"].sum() if "n" in table else len(table)
    return Source(kept.corpus_title, kept.synthetic, (f"levels of {count:,}", commit))


def of_words(corpus: str, classes: Classes) -> Source | Missing:
    """The source of a corpus's stored words, see `wordlists.load`."""
    kept = wordlists.load(corpus).get(classes)
    if kept is None:
        what = f"The words of {corpus} have not been counted ({classes})."
        return Missing(what, wordlists.command(corpus))
    return Source(
        kept.corpus_title,
        kept.synthetic,
        (
            f"{kept.sentences:,} sentences, {kept.words:,} words",
            *([listed("run", kept.runs)] if kept.runs else []),
            f"commit {commit_name(kept.commit, kept.dirty)}",
        ),
    )


def of_benchmark(name: str) -> Source | Missing:
    """The source of a benchmark's times: workload, machine, versions, date and commit."""
    made = facts.load_benchmark(name)
    if made is None:
        return Missing("This benchmark has not been run.", f"python benchmarks/{name}.py --save")
    versions = [
        f"{package} {made.packages[package]}" for package in PACKAGES if package in made.packages
    ]
    commit = f"commit {commit_name(made.commit, made.dirty)}"
    details = (made.hardware, *versions, made.date[:10], commit)
    return Source(f"benchmarks/{name}.py, {made.workload}", False, details, corpus=False)


def overview(chosen: Sequence[Run]) -> str:
    """Baselines and what they reach, with intervals that draw whole dialogues."""
    found = summarise(answers(chosen), "dialogue")
    drawn = found.filter(regex="^(accuracy|uar|macro_f1)(_boot_low|_boot_high)?$")
    shown = found[["model", "folds"]].join(drawn.rename(columns=lambda c: c.replace("_boot", "")))
    return cells(shown).to_string(index=False)
