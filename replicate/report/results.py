"""The stored runs of a corpus and profile, as pages take them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import pandas as pd

from replicate import loudness, metrics, wordlists
from replicate.claims import CorpusInfo, Verdict, corpus_info, verdicts
from replicate.corpora import at_hand
from replicate.corpora.table import Corpus, text_fingerprint
from replicate.experiments import EMB_SIZE
from replicate.model import FUSIONS
from replicate.report.provenance import CHOSEN, Missing
from replicate.runs import RESULTS, Run, load_runs
from replicate.transcriptions import tokens
from replicate.waveforms import class_averages
from replicate.words import Unit, word_table


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


def load(
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
