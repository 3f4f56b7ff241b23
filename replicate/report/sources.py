"""What made a table or figure: corpus, protocol, seeds and commit."""

import html
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from replicate.corpora.table import Corpus
from replicate.runs import facts
from replicate.runs.code import code_version
from replicate.runs.experiments import Experiment
from replicate.runs.rerun import change_since, repeats
from replicate.runs.selection import Missing
from replicate.runs.store import SELECTIONS, Provenance, Run
from replicate.settings import MARK
from replicate.studies import wordlists
from replicate.studies.loudness import Loudness
from replicate.studies.released_levels import Levels
from replicate.studies.wordlists import Classes, WordList, WordsOfRuns


@dataclass(frozen=True)
class Source:
    """What made a table or figure."""

    title: str  # the corpus as pages call it, or the paper
    synthetic: bool  # whether the corpus is the stand-in
    details: tuple[str, ...] = ()  # protocol, seeds, commit: what everybody should see
    corpus: bool = True  # whether it is a corpus at all
    more: tuple[str, ...] = ()  # cohort, epochs, folds, machines: what a printed page leaves out

    @property
    def brief(self) -> str:
        """What everybody should see, in one line."""
        return " · ".join([*([MARK] if self.synthetic else []), self.title, *self.details])

    @property
    def line(self) -> str:
        """All there is to say, in one line."""
        return " · ".join([self.brief, *self.more])

    @property
    def html(self) -> str:
        """The same in HTML; what is not for everybody is marked as such."""
        more = "".join(f" · {html.escape(each)}" for each in self.more)
        return html.escape(self.brief) + (f'<span class="more">{more}</span>' if more else "")


#: For exhibits that show the paper's own numbers.
PAPER = Source("Lima & Bak (2018), as printed", synthetic=False, corpus=False)


def of_code() -> Source:
    """The source of what shows this project's own modules."""
    return Source("this project's modules", False, (_commit_now(),), corpus=False)


def of_corpus(corpus: Corpus, *details: str) -> Source:
    """The source of what a notebook computes from a corpus on the spot."""
    return Source(corpus.title, corpus.synthetic, (*details, _commit_now()))


def _commit_now() -> str:
    return f"commit {commit_name(*code_version('audio'))}"


def of_runs(runs: Sequence[Run], selection: str = "") -> tuple[Source, ...]:
    """The sources of stored runs, one for each corpus and profile, at an epoch of `SELECTIONS`."""
    kept = repeats()
    groups: dict[tuple[str, str], list[Run]] = defaultdict(list)
    for run in runs:
        groups[run.experiment.corpus, run.experiment.profile].append(run)
    return tuple(
        Source(
            title=group[0].provenance.corpus_title,
            synthetic=any(run.provenance.synthetic for run in group),
            details=(
                f"profile {profile}",
                listed("seed", (run.experiment.seed for run in group)),
                listed("commit", (_commit_of(run.provenance) for run in group)),
            ),
            more=(
                *_size(group),
                listed("fold", (run.experiment.fold.name for run in group)),
                *([SELECTIONS[selection]] if selection else []),
                *_word_vectors(group),
                *_on_gpus(group),
                *filter(None, [change_since(group, kept)]),
            ),
        )
        for (_, profile), group in groups.items()
    )


def of_levels(corpus: str) -> Source | Missing:
    """The source of a corpus's stored levels, measured here or released by others."""
    kept = Loudness.load(corpus) or Levels.load(corpus)
    if kept is None:
        return Missing(f"The levels of {corpus} have not been stored.", Loudness.command(corpus))
    count = kept.table["n"].sum() if "n" in kept.table else len(kept.table)
    return _of_facts(kept, f"levels of {count:,}")


def of_words(corpus: str, classes: Classes) -> Source | Missing:
    """The source of a corpus's stored words, see `wordlists.load`."""
    kept = wordlists.load(corpus).get(classes)
    if kept is None:
        what = f"The words of {corpus} have not been counted ({classes})."
        return Missing(what, WordList.command(corpus))
    runs = [listed("run", kept.runs)] if kept.runs else []
    return _of_facts(kept, f"{kept.sentences:,} sentences, {kept.words:,} words", *runs)


def of_word_runs(corpus: str) -> Source | Missing:
    """The source of the words by stored runs, `wordlists.WordsOfRuns`."""
    kept = WordsOfRuns.load(corpus)
    if kept is None:
        return Missing(f"The words of {corpus} have not been counted.", WordsOfRuns.command(corpus))
    return _of_facts(kept, listed("run", kept.runs))


def _of_facts(kept: facts.Facts, *details: str) -> Source:
    return Source(kept.corpus_title, kept.synthetic, (*details, f"commit {_commit_of(kept)}"))


def of_benchmark(name: str) -> Source | Missing:
    """The source of a benchmark's times: workload, machine, versions, date and commit."""
    made = facts.load_benchmark(name)
    if made is None:
        return Missing("This benchmark has not been run.", f"python benchmarks/{name}.py --save")
    # the versions of these move times
    known = ((name, made.packages.get(name)) for name in ("torch", "numba", "triton"))
    versions = (f"{name} {version}" for name, version in known if version)
    details = (made.hardware, *versions, made.date[:10], f"commit {_commit_of(made)}")
    return Source(f"benchmarks/{name}.py, {made.workload}", False, details, corpus=False)


def _size(runs: Sequence[Run]) -> list[str]:
    """Of the cohort, which the stand-in's title has; and epochs, of which baselines have none."""
    made = (run.experiment for run in runs)
    trained = {each.training.epochs for each in made if isinstance(each, Experiment)}
    epochs = [f"{' or '.join(map(str, sorted(trained)))} epochs"] if trained else []
    first = runs[0].provenance
    return epochs if first.synthetic else [f"{first.n_utterances:,} utterances", *epochs]


def _word_vectors(runs: Sequence[Run]) -> list[str]:
    """Where pretrained word vectors come from and what they lack, if any of the runs has them."""
    lacking: dict[str, list[float]] = defaultdict(list)
    for run in runs:
        if (vectors := run.provenance.vectors) is not None:
            lacking[vectors.source].append(vectors.out_of_vocabulary_tokens)
    return [
        f"word vectors: {source} (none for {sum(shares) / len(shares):.1%} of the words said)"
        for source, shares in sorted(lacking.items())
    ]


def _on_gpus(runs: Sequence[Run]) -> list[str]:
    """How many of the runs were made on which GPU, if any: their bits are not a CPU's."""
    found: dict[str, list[int]] = defaultdict(list)
    for run in runs:
        if run.provenance.device == "cuda":
            found[run.provenance.hardware].append(run.experiment.seed)
    return [
        f"{len(seeds)} of {len(runs)} runs ({listed('seed', seeds)}) on {gpu}"
        for gpu, seeds in sorted(found.items())
    ]


def mark(sources: Iterable[Source]) -> str:
    """What stands in a table or picture that the stand-in made, alone or with real corpora."""
    kinds = {source.synthetic for source in sources if source.corpus}
    if True not in kinds:
        return ""
    return MARK if len(kinds) == 1 else f"{MARK}, where it says stand-in"


def _commit_of(made: Provenance | facts.Made) -> str:
    return commit_name(made.commit, made.dirty)


def commit_name(commit: str, dirty: bool) -> str:
    """A commit, short, and whether the code differed from it."""
    return commit[:7] + (" + uncommitted changes" if dirty else "")


def listed(noun: str, values: Iterable[object]) -> str:
    """`seed 0`, `folds session-1, session-2`, `10 seeds (0 … 9)`."""
    names = sorted({str(value) for value in values}, key=lambda name: (len(name), name))
    if len(names) > 3:
        return f"{len(names)} {noun}s ({names[0]} … {names[-1]})"
    return f"{noun}{'s' * (len(names) > 1)} {', '.join(names)}"
