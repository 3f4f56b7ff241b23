"""What notebooks begin with: a notice, a corpus, stored runs, and numbers for the prose."""

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import pandas as pd
from IPython.display import Markdown
from myst_nb import glue  # type: ignore[import-untyped]

from replicate import loudness, metrics, wordlists
from replicate.claims import CorpusInfo, Verdict, corpus_info, verdicts
from replicate.corpora import at_hand, open_corpus
from replicate.corpora.table import Corpus, text_fingerprint
from replicate.experiments import EMB_SIZE
from replicate.model import FUSIONS
from replicate.protocol import EMOTIONS
from replicate.report.provenance import CHOSEN, MARK, NO_CORPUS, Missing, Notice
from replicate.runs import RESULTS, Run, load_runs
from replicate.transcriptions import tokens
from replicate.waveforms import SAMPLE_RATE, Waveforms, class_averages, open_waveforms
from replicate.words import Unit, word_table

#: Corpora that are not generated -> what pages call them.
REAL_CORPORA = {
    "iemocap": "IEMOCAP",
    "iemocap-text": "IEMOCAP (transcripts only)",
    "iemocap-text-cut": "IEMOCAP (transcripts only, cut to the paper's cohort)",
    "emodb": "EmoDB",
    "meld": "MELD",
}

#: What they are, for the box at the top of a page.
ABOUT = {
    "iemocap": "the paper's corpus",
    "iemocap-text": "the words of the paper's corpus, without its sound",
    "iemocap-text-cut": "the same without the few utterances more than the paper has",
    "emodb": "recordings of German actors, whose text is but a code of the sentence",
    "meld": "the words of a television series",
}


def notice(*corpora: str) -> Notice:
    """Which corpora a page's numbers come from.

    It stands at the top of a notebook in JupyterLab; the book has it below the title.
    """
    if not corpora:
        return Notice("Corpus: none", NO_CORPUS, kind="note")
    standins = [name for name in corpora if name not in REAL_CORPORA]
    real = {REAL_CORPORA[name]: ABOUT[name] for name in corpora if name in REAL_CORPORA}
    title = f"Corpus: {'; '.join([MARK] * bool(standins) + list(real))}"
    told = [f"{name}: {what}." for name, what in real.items()]
    if not standins:
        return Notice(title, " ".join(told), kind="note")
    made = (
        f"{', '.join(standins)}: speech and text made by a program. Its numbers, pictures and "
        "sounds show what the model does there; they are no results on IEMOCAP."
    )
    return Notice(title, " ".join([made, *told, "Each table and figure says what made it."]))


def called(corpus: str) -> str:
    """A corpus in the prose."""
    return REAL_CORPORA.get(corpus, "the synthetic stand-in")


def say(**values: object) -> pd.Series:
    """Numbers for the prose: glued under their names for the book, returned for JupyterLab.

    Floats show three decimals; other values their own text.
    """
    shown = {k: f"{v:.3f}" if isinstance(v, float) else f"{v}" for k, v in values.items()}
    for name, text in shown.items():
        glue(name, text, display=False)
    return pd.Series(shown, name="in the prose", dtype=object)


def source(thing: Any) -> Markdown:
    """The code of a class or function, as it runs."""
    return Markdown(f"```python\n{inspect.getsource(thing)}```")  # type: ignore[no-untyped-call]


def corpus_with_audio(name: str, data: str) -> Corpus:
    """The corpus if it has recordings; else the quick stand-in, whose exhibits say so."""
    corpus = open_corpus(name, Path(data) if data else None)
    return corpus if corpus.has_audio else open_corpus("standin-quick")


def durations(corpus: Corpus, table: pd.DataFrame) -> pd.DataFrame:
    """Duration of each utterance of a cohort: columns `emotion`, `seconds`; empty if unknown."""
    seconds = table["end"] - table["start"]
    if seconds.isna().any() and corpus.has_audio:
        waveforms = open_waveforms(corpus)
        seconds = pd.Series(waveforms.lengths[waveforms.rows(table["utterance"])] / SAMPLE_RATE)
    return pd.DataFrame({"emotion": table["emotion"], "seconds": seconds}).dropna()


def typical(table: pd.DataFrame, waveforms: Waveforms) -> dict[str, str]:
    """An utterance of median length for each class: emotion -> id."""
    lengths = pd.Series(waveforms.lengths, list(waveforms.utterances))
    chosen = {}
    for emotion in EMOTIONS:
        ids = table.loc[table["emotion"] == emotion, "utterance"]
        ranked = lengths[ids].sort_values(kind="stable")
        chosen[emotion] = str(ranked.index[len(ranked) // 2])
    return chosen


@dataclass(frozen=True)
class Stored:
    """The runs of one corpus and profile; there may be none.

    Attributes:
        corpus: name as on the command line.
        profile: name of the protocol.
        runs: the runs.
    """

    corpus: str
    profile: str
    runs: tuple[Run, ...]

    def of(self, model: str = "", embedding: str = "", kind: str = "stratified") -> list[Run]:
        """The runs of one model and embedding on one kind of fold.

        Args:
            model: a key of `FUSIONS`, `audio` or `text`; empty for all.
            embedding: `trainable`, `word2vec`, `glove` or `none`; empty for all.
            kind: of the folds.

        Raises:
            Missing: if there are none.
        """
        chosen = [
            run
            for run in self.runs
            if run.experiment.model == (model or run.experiment.model)
            and run.experiment.embedding == (embedding or run.experiment.embedding)
            and run.experiment.fold.kind == kind
        ]
        wanted = " ".join(part for part in (model, embedding) if part) or "any model"
        return chosen or self.lack(wanted, kind)

    @property
    def deciding(self) -> list[Run]:
        """The runs that verdicts rest on: on random splits, or else with groups held out."""
        kinds = {run.experiment.fold.kind for run in self.runs}
        kind = "stratified" if "stratified" in kinds else min(kinds, default="")
        return [run for run in self.runs if run.experiment.fold.kind == kind]

    def attending(self, kind: str, selection: str) -> list[Run]:
        """The runs of models with attention on one kind of fold that have this choice of epoch.

        Raises:
            Missing: if there are none.
        """
        chosen = [run for run in self.of(kind=kind) if run.experiment.model.startswith("att")]
        chosen = chosen or self.lack("attention models", kind)
        return self.having(chosen, selection)

    def having(self, runs: Sequence[Run], selection: str) -> list[Run]:
        """Those of the runs that have this choice of the epoch.

        Raises:
            Missing: if none has, as without a development part.
        """
        chosen = [run for run in runs if len(run.selected(selection))]
        if not chosen:
            raise Missing(
                f"The runs on {self.corpus}, profile {self.profile}, have no "
                f"{CHOSEN[selection]}: they hold out nothing to choose it on.",
                'set `selection = "last-epoch"`, or use a profile with a development part',
            )
        return chosen

    def lack(self, wanted: str, kind: str = "stratified") -> NoReturn:
        """Say that there are no such runs on one kind of fold.

        Raises:
            Missing: always.
        """
        place = f"{self.corpus}, profile {self.profile}"
        held_out = "" if kind == "stratified" else f", each {kind} held out"
        raise Missing(
            f"No runs of {wanted} have been made on {place}{held_out}.", self.command(kind)
        )

    def command(self, kind: str = "stratified") -> str:
        """What makes the runs on one kind of fold."""
        text = "text-" if self.corpus in ("iemocap-text", "iemocap-text-cut", "meld") else ""
        name = text.strip("-") if kind == "stratified" else f"{text}{kind}s"
        grid = f" --grid {name}" if name else ""
        corpus = at_hand(self.corpus)
        vectors = "" if grid or corpus == self.corpus else " --word2vec FILE"
        return f"replicate run --corpus {corpus} --profile {self.profile}{grid}{vectors}"


def stored(
    name: str,
    profiles: str | Sequence[str],
    corpus: Corpus | None = None,
    root: Path = RESULTS,
) -> Stored:
    """The runs of a corpus under the first of the profiles that has any, in the tables' order.

    Only those by our own reading of the paper: other choices have a page of their own.

    Args:
        name: of the corpus.
        profiles: one or more.
        corpus: the corpus, where it is at hand: the runs must have seen just this version.
        root: the store.

    Raises:
        InputError: if a run is damaged, or saw another version of the corpus.
    """
    same = corpus is not None and corpus.name == name
    seen = text_fingerprint(corpus.utterances) if same and corpus is not None else None
    profiles = [profiles] if isinstance(profiles, str) else list(profiles)
    for profile in profiles:
        runs = [run for run in load_runs(name, profile, root, seen) if not run.experiment.choice]
        if runs:
            return Stored(name, profile, tuple(sorted(runs, key=place)))
    return Stored(name, profiles[0], ())


def place(run: Run) -> tuple[int, int, str]:
    """Where a run stands in the tables: by embedding, then in the order of Table 4."""
    experiment = run.experiment
    models = [*FUSIONS, "audio", "text"]
    return (
        list(EMB_SIZE).index(experiment.embedding),
        models.index(experiment.model),
        experiment.name,
    )


def words_of(
    run: Run, corpus: Corpus, selection: str = "last-epoch", unit: Unit = "sentences"
) -> pd.DataFrame:
    """Every word of a run's test set with every predicted class, see `words.word_table`."""
    said = corpus.utterances.set_index("utterance")["transcript"].fillna("")
    chosen = run.selected(selection)
    sentences = [tokens(said[utterance]) for utterance in chosen["utterance"]]
    return word_table(sentences, metrics.predicted(chosen).tolist(), unit)


def judged(
    runs: Stored, corpus: Corpus | None = None, selection: str = "last-epoch"
) -> list[Verdict]:
    """Verdicts on all claims, from runs and the corpus.

    Without recordings, the corpus's stored loudness counts, and without runs that read as those of
    the paper's Table 6, its stored words by text alone.
    """
    if runs.runs:
        info = corpus_info(runs.runs)
    else:
        title, synthetic = (corpus.title, corpus.synthetic) if corpus else (runs.corpus, False)
        info = CorpusInfo(runs.corpus, title, synthetic, runs.profile)
    try:
        readers = runs.of("att_d1", "word2vec")
    except Missing:
        readers = []
    words = words_of(readers[0], corpus, selection) if corpus and readers else None
    listed = None if readers else wordlists.load(runs.corpus).get("one-test-set")
    if listed and selection == "last-epoch":
        words = listed.table
    level: pd.DataFrame | None = None
    if corpus and corpus.has_audio:
        level = loudness.of_cohort(corpus)
    elif kept := loudness.load(runs.corpus):
        level = kept.table
    table_8 = None if level is None else class_averages(level)
    folds = next((run.experiment.fold.kind for run in runs.deciding), "stratified")
    return verdicts(info, runs.runs, table_8, words, level, selection, folds, bool(listed))
