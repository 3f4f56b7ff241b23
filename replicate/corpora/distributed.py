"""What each corpus has as distributed, and what a copy of it lacks."""

from dataclasses import dataclass

from replicate.corpora.table import Corpus, Problem


@dataclass(frozen=True)
class Distribution:
    """Counts of a corpus as its authors, or those who publish the file, distribute it."""

    labels: dict[str, int]  # label -> utterances
    columns: dict[str, int]  # column of the utterance table -> how many values it has
    parts: dict[str, int]  # what the ids of a part begin with -> its utterances

    @property
    def utterances(self) -> int:
        """How many there are."""
        return sum(self.labels.values())


_IEMOCAP = {
    "ang": 1103, "hap": 595, "exc": 1041, "neu": 1708, "sad": 1084, "fru": 1849, "xxx": 2507,
    "sur": 107, "fea": 40, "oth": 3, "dis": 2,
}  # fmt: skip
_WHOLE = {"session": 5, "dialogue": 151, "speaker": 10}
#: As published for text models; 53 more are called `hap` there, without the annotators' agreement.
_TEXT = {label: _IEMOCAP[label] for label in ("ang", "hap", "exc", "neu", "sad", "fru")}
#: Busso et al. 2008; Burkhardt et al. 2005; Christop 2024; Poria et al. 2019; from their files.
DISTRIBUTED = {
    "iemocap": Distribution(
        labels=_IEMOCAP,
        columns=_WHOLE,
        parts={"Ses01": 1819, "Ses02": 1811, "Ses03": 2136, "Ses04": 2103, "Ses05": 2170},
    ),
    "iemocap-text": Distribution(labels=_TEXT | {"hap": 595 + 53}, columns=_WHOLE, parts={}),
    "iemocap-features": Distribution(labels=_TEXT | {"xxx": 53}, columns=_WHOLE, parts={}),
    "emodb": Distribution(
        labels={
            "anger": 127, "boredom": 81, "disgust": 46, "fear": 69, "happiness": 71,
            "neutral": 79, "sadness": 62,
        },
        columns={"speaker": 10},
        parts={},
    ),
    "nemo": Distribution(
        labels={
            "anger": 749, "fear": 736, "happiness": 749, "neutral": 809, "sadness": 769,
            "surprised": 669,
        },
        columns={"speaker": 9},
        parts={},
    ),
    "meld": Distribution(
        labels={
            "neutral": 6436, "joy": 2308, "surprise": 1636, "anger": 1607, "sadness": 1002,
            "disgust": 361, "fear": 358,
        },
        columns={"dialogue": 1432},
        parts={"train": 9989, "dev": 1109, "test": 2610},
    ),
}  # fmt: skip


def lacking(corpus: Corpus) -> list[Problem]:
    """In what a copy differs from the corpus as distributed: one problem, or none."""
    known, table = DISTRIBUTED.get(corpus.name), corpus.utterances
    if known is None:
        return []
    counts = [(f"{column}s", table[column].nunique(), n) for column, n in known.columns.items()]
    counts.append(("utterances", len(table), known.utterances))
    found = [f"{has:,} of {n:,} {name}" for name, has, n in counts if has != n]
    counts = [
        (part, table["utterance"].str.startswith(part).sum(), n) for part, n in known.parts.items()
    ]
    counts += [(label, (table["label"] == label).sum(), n) for label, n in known.labels.items()]
    found += [f"{name} {has:,} of {n:,}" for name, has, n in counts if has != n]
    if not found:
        return []
    what = f"has, of the corpus as distributed, {', '.join(found)}"
    remedy = "unpack or download it anew, unless you mean to use a part"
    return [Problem(str(corpus.root), what, remedy, "missing")]
