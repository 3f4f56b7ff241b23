"""Verdicts on all claims from a page's selection of runs, and the table that shows them."""

from collections.abc import Collection, Sequence

import pandas as pd

from replicate.corpora.table import Corpus
from replicate.corpora.transcriptions import tokens
from replicate.corpora.waveforms import class_averages
from replicate.runs.names import listing
from replicate.runs.selection import Selection
from replicate.runs.store import Run
from replicate.settings import MARK
from replicate.studies import loudness, wordlists
from replicate.studies.words import Unit, word_table
from replicate.verdicts.claims import CorpusInfo, Verdict, corpus_info, verdicts


def words_of(runs: Selection, corpus: Corpus, unit: Unit = "sentences") -> pd.DataFrame:
    """Every word of the first run's test set with every predicted class, see `words.word_table`."""
    said = corpus.utterances.set_index("utterance")["transcript"].fillna("")
    answers = runs.answers().query("run == 0")
    sentences = [tokens(said[utterance]) for utterance in answers["utterance"]]
    return word_table(sentences, answers["predicted"].tolist(), unit)


def deciding(runs: Selection) -> Selection:
    """The runs that verdicts rest on: on random splits, or else with groups held out."""
    kinds = {run.experiment.fold.kind for run in runs}
    return runs.of(folds="stratified" if "stratified" in kinds else min(kinds, default=""))


def judged(runs: Selection, corpus: Corpus | None = None) -> list[Verdict]:
    """Verdicts on all claims, from runs and the corpus.

    Without recordings, the corpus's stored loudness counts, and without runs that read as those of
    the paper's Table 6, its stored words by text alone.
    """
    trainings = [run for run in runs if isinstance(run, Run)]
    if trainings:
        info = corpus_info(trainings)
    else:
        title, synthetic = (corpus.title, corpus.synthetic) if corpus else (runs.corpus, False)
        info = CorpusInfo(runs.corpus, title, synthetic, runs.profile)
    readers = runs.of("att_d1", "word2vec")
    words = words_of(readers, corpus) if corpus and len(readers) else None
    listed = None if len(readers) else wordlists.load(runs.corpus).get("one-test-set")
    if listed and runs.epoch == "last-epoch":
        words = listed.table
    level: pd.DataFrame | None = None
    if corpus and corpus.has_audio:
        level = loudness.of_cohort(corpus)
    elif kept := loudness.load(runs.corpus):
        level = kept.table
    table_8 = None if level is None else class_averages(level)
    return verdicts(
        info, trainings, table_8, words, level, runs.epoch, deciding(runs).folds or "stratified",
        bool(listed),
    )  # fmt: skip


def claim_rows(given: Sequence[Verdict], only: Collection[int] = ()) -> pd.DataFrame:
    """One row a claim: reported, found, interval, verdict, criterion, and what it rests on.

    Args:
        given: the verdicts.
        only: numbers of the claims; all by default.
    """
    chosen = [v for v in given if not only or v.claim.id in only]
    return pd.DataFrame(
        {
            "claim": [
                f"{v.claim.id}. {v.claim.statement} ({v.claim.place.element})" for v in chosen
            ],
            "reported": [listing(v.reported) or None for v in chosen],
            "found here": [listing(v.reproduced) or None for v in chosen],
            "95 %_low": [v.low for v in chosen],
            "95 %_high": [v.high for v in chosen],
            "verdict": [v.verdict for v in chosen],
            "criterion": [_criterion(v) for v in chosen],
            "rests on": [basis(v) for v in chosen],
        }
    )


def _criterion(verdict: Verdict) -> str | None:
    """The test of what was found, and what it lacks."""
    if not verdict.reproduced:
        return None
    return verdict.test + f"\n(here: {verdict.shortfall})" * bool(verdict.shortfall)


def basis(verdict: Verdict) -> str:
    """What a verdict rests on; of a mechanism check, on which corpus and with what outcome."""
    if verdict.basis != "mechanism check":
        return verdict.basis
    where = MARK if verdict.synthetic else verdict.corpus
    return f"{where}; mechanism check: {verdict.check or 'not possible'}"
