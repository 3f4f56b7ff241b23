"""Tables of a corpus: classes, splits, durations, words, and what its makers know of it."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from torch import Tensor

from replicate import paper
from replicate.corpora import standin
from replicate.corpora.table import Corpus
from replicate.errors import InputError
from replicate.judging import printed_confusion
from replicate.protocol import EMOTIONS, GROUPS, Fold, Split, groups, split
from replicate.report.layout import number
from replicate.report.provenance import PAPER, Exhibit, Missing, Source, of_corpus, or_notice, table
from replicate.transcriptions import UNKNOWN, Vocabulary, open_vectors


def split_counts(cohort: pd.DataFrame, parts: Split, source: Source) -> Exhibit:
    """Utterances of each class in training and test; the test beside Table 7's row sums."""
    emotion = cohort["emotion"]
    frame = pd.DataFrame(
        {
            "test, reported (row sums of Table 7)": printed_confusion().sum(axis=1),
            "test, here": emotion.iloc[parts.test].value_counts(),
            "train, here": emotion.iloc[parts.train].value_counts(),
        }
    ).loc[list(EMOTIONS)]
    frame.loc["all"] = frame.sum()
    frame.insert(1, "train, reported", [None] * len(EMOTIONS) + [float(paper.COUNTS["train"])])
    shown = frame.astype(float).map("{:,.0f}".format, na_action="ignore")
    return table(shown, "Utterances in training and test, reported and here.", [source, PAPER])


def class_shares(cohort: pd.DataFrame, parts: Split) -> pd.DataFrame:
    """Percent of each class in the paper's test set (Table 7) and in ours."""
    ours = cohort["emotion"].iloc[parts.test].value_counts()
    frame = pd.DataFrame({"the paper's test set": printed_confusion().sum(axis=1), "ours": ours})
    return 100 * (frame / frame.sum()).loc[list(EMOTIONS)]


def overlaps(cohort: pd.DataFrame, source: Source) -> Exhibit:
    """What the test set of each kind of fold shares with its training set."""
    rows = {}
    for kind in ("stratified", *GROUPS):
        held = groups(cohort, kind) if kind != "stratified" else ["0"]
        if kind != "stratified" and len(held) < 2:
            continue
        fold = Fold(kind, held[0])  # type: ignore[arg-type]
        parts = split(cohort, fold)
        train, test = cohort.iloc[parts.train], cohort.iloc[parts.test]
        rows[fold.name] = {
            "test utterances": f"{len(test):,}",
            **{
                column: f"{test[column].isin(train[column]).mean():.0%}"
                for column in ("dialogue", "speaker", "transcript")
            },
        }
    caption = (
        "Share of the test utterances whose dialogue, speaker or transcript is also found in the "
        "training set, for one fold of each kind."
    )
    return table(pd.DataFrame(rows).T, caption, [source])


@or_notice
def durations(seconds: pd.DataFrame, source: Source) -> Exhibit:
    """Durations by class, with the lognormal that fits.

    Args:
        seconds: columns `emotion`, `seconds`.
        source: the corpus.
    """
    if seconds.empty:
        raise Missing("This corpus gives no durations.", "use a corpus with recordings or times")
    grouped = seconds.groupby("emotion")["seconds"]
    logs = np.log(seconds["seconds"]).groupby(seconds["emotion"])
    frame = pd.DataFrame(
        {
            "n": grouped.size().map("{:,}".format),
            "hours": (grouped.sum() / 3600).map("{:.2f}".format),
            **{
                name: getattr(grouped, name)().map("{:.2f}".format)
                for name in ("mean", "std", "median", "min", "max")
            },
            "mu": logs.mean().map(number),
            "sigma": logs.std().map(number),
        }
    ).loc[list(EMOTIONS)]
    caption = (
        "Durations by class in seconds; mu and sigma of the lognormal that fits. The paper reports "
        "none."
    )
    return table(frame, caption, [source])


@or_notice
def known_informativeness(corpus: Corpus) -> Exhibit:
    """What the stand-in's generator lets text and audio tell of the class."""
    if not corpus.synthetic:
        raise Missing(
            "How much text and audio can tell is known only of the stand-in.",
            'set `corpus = "standin-quick"`',
        )
    _, preset = standin.size_and_preset(corpus.name)
    known = standin.describe(preset)
    names = {
        "majority": "nothing (the largest class)",
        "text": "the transcript",
        "audio": "the voice and its loudness",
        "loudness": "loudness alone",
        "both": "transcript and voice",
    }
    frame = pd.DataFrame(
        {
            "an observer of": list(names.values()),
            "can be right in": [f"{getattr(known, name).accuracy:.3f}" for name in names],
            "bits on the class": [f"{getattr(known, name).bits:.3f}" for name in names],
        }
    ).set_index("an observer of")
    caption = (
        "What can be known of the class of an utterance of the stand-in, by its design: the best "
        "possible accuracy, and mutual information of the four classes' 2 bits at most."
    )
    return table(frame, caption, [of_corpus(corpus)])


@or_notice
def presets(corpus: Corpus) -> Exhibit:
    """Every preset with its ceilings, and whether this stand-in is the published one."""
    if not corpus.synthetic:
        raise Missing("This corpus is not the stand-in.", 'set `corpus = "standin-quick"`')
    described = {preset: standin.describe(preset) for preset in standin.PRESETS}
    parts = {
        "the largest class": "majority",
        "transcript": "text",
        "voice": "audio",
        "both": "both",
    }
    frame = pd.DataFrame(
        {
            heading: [f"{getattr(known, name).accuracy:.3f}" for known in described.values()]
            for heading, name in parts.items()
        },
        index=pd.Index(described, name="preset"),
    )
    caption = (
        "The presets of the generator, and what the best possible observer of an utterance's parts "
        f"can be right in. {_published(corpus)}"
    )
    return table(frame, caption, [of_corpus(corpus)])


def _published(corpus: Corpus) -> str:
    """Whether a stand-in is the one that this project published hashes of."""
    wanted = standin.published().get("-".join(standin.size_and_preset(corpus.name)))
    if wanted is None:
        return "No hashes were published of this one."
    same = wanted == standin.fingerprint(corpus.root)
    found = "is the same to the bit as" if same else "DIFFERS FROM"
    return (
        f"The stand-in made here {found} the published one (sound: SHA-256 {wanted.audio[:16]}…)."
    )


def vocabulary(vocab: Vocabulary, test: Sequence[Sequence[str]], source: Source) -> Exhibit:
    """Size of the vocabulary, its commonest words, and what the test has that it lacks."""
    unknown = np.concatenate([vocab.encode(sentence) == UNKNOWN for sentence in test])
    commonest = zip(vocab.words[2:10], vocab.counts[2:10], strict=True)
    rows = {
        "words in the vocabulary": f"{len(vocab.words) - 2:,}",
        "occurrences in the training part": f"{vocab.counts.sum():,}",
        "words that occur once": f"{(vocab.counts == 1).sum():,}",
        "commonest": ", ".join(f"{word} {count:,}" for word, count in commonest),
        "occurrences in the test part": f"{len(unknown):,}",
        "of these unknown": f"{unknown.mean():.1%}",
    }
    frame = pd.DataFrame({"": rows})
    return table(frame, "The vocabulary. The paper reports none of these.", [source])


def shapes(record: Mapping[str, Tensor], caption: str, source: Source) -> Exhibit:
    """The shapes of what `anatomy.record` kept."""
    rows = [(name, " x ".join(map(str, value.shape))) for name, value in record.items()]
    frame = pd.DataFrame(rows, columns=["layer or operation", "output"])
    return table(frame, caption, [source], index=False)


@or_notice
def vectors(corpus: Corpus, vocab: Vocabulary, word2vec: Path | None, source: Source) -> Exhibit:
    """Pretrained vectors at hand, and what of the vocabulary they lack."""
    try:
        found = open_vectors("word2vec", corpus.synthetic, word2vec)
    except InputError as error:
        raise Missing(f"{error.place}: {error.what}.", error.remedy) from error
    if found is None:
        raise Missing("No vectors.", "pass a file of vectors")
    words, occurrences = found.out_of_vocabulary(vocab)
    rows = {
        "source": found.source,
        "dimensions": f"{found.vectors.vector_size}",
        "words of the vocabulary without a vector": f"{words:.1%}",
        "occurrences without a vector": f"{occurrences:.1%}",
    }
    caption = "Pretrained word vectors and the vocabulary. The paper reports no such share."
    return table(pd.DataFrame({"": rows}), caption, [source])
