"""Which data runs saw: those of two versions of a corpus never stand in one table.

Data are known by the fingerprints in a run's provenance. A run that read no recordings may stand
beside those that did, whatever recordings are at hand.
"""

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from replicate.corpora.features import Features
from replicate.corpora.opening import open_sound
from replicate.corpora.table import Corpus, text_fingerprint
from replicate.corpora.waveforms import Waveforms
from replicate.files import InputError, first_of
from replicate.runs.store import Provenance, Record, Run

Made = Run | Record[Any]


@dataclass(frozen=True)
class Seen:
    """Fingerprints of data as in `Provenance`; None of what is not there or was not looked at."""

    text: str | None = None
    sound: str | None = None


def at_hand(corpus: Corpus, sound: Waveforms | Features | None = None) -> Seen:
    """The data of a corpus, with its recordings or features if they are looked at."""
    heard = sound.fingerprint if sound is not None else None
    return Seen(text_fingerprint(corpus.utterances), heard)


def at_hand_for(runs: Iterable[Made], corpus: Corpus) -> Seen:
    """The data of a corpus as far as runs saw them: recordings are opened for those that did."""
    heard = corpus.has_sound and any(run.provenance.audio_fingerprint for run in runs)
    return at_hand(corpus, open_sound(corpus) if heard else None)


def seen_by_most(runs: Iterable[Made]) -> Seen:
    """The data that most of some runs saw."""
    made = [run.provenance for run in runs]
    heard = _most(one.audio_fingerprint for one in made)
    return Seen(_most(one.text_fingerprint for one in made), heard)


def differing(made: Provenance, seen: Seen) -> list[str]:
    """In words, which of the data a run saw are others than these."""
    pairs = {
        "labels or transcripts": (made.text_fingerprint, seen.text),
        "recordings or features": (made.audio_fingerprint, seen.sound),
    }
    return [what for what, (one, other) in pairs.items() if one and other and one != other]


def other_data(one: Run, other: Run) -> list[str]:
    """In words, which of the data that one run saw the other saw otherwise."""
    seen = Seen(other.provenance.text_fingerprint, other.provenance.audio_fingerprint)
    found = differing(one.provenance, seen)
    return found if _vectors_of(one) == _vectors_of(other) else [*found, "word vectors"]


def require(runs: Mapping[str, Made], seen: Seen | None, place: Path) -> None:
    """`InputError` unless runs, by name, saw these data, or without any given all of them the same.

    `place` is where they are stored. Files of word vectors count as data, too.
    """
    among_themselves = seen is None
    if seen is None:
        seen = seen_by_most(runs.values())
    found = {name: differing(run.provenance, seen) for name, run in runs.items()}
    others = {name: what for name, what in found.items() if what}
    if others:
        what = " and ".join(sorted({each for found in others.values() for each in found}))
        than = "than the rest" if among_themselves else "than the one at hand"
        refuse(place, others, len(runs), f"another version of {place.parent.name} {than}: {what}")
    begun: dict[Hashable, dict[str, str | None]] = defaultdict(dict)  # by what they read alike
    for name, run in runs.items():
        if run.provenance.vectors:
            made = run.experiment
            begun[made.embedding, made.fold, made.choice][name] = _vectors_of(run)
    mixed: list[str] = []
    for alike in begun.values():
        usual = _most(alike.values())
        mixed += [name for name, vectors in alike.items() if vectors != usual]
    if mixed:
        refuse(place, mixed, len(runs), "other word vectors than the rest")


def refuse(place: Path, others: Iterable[str], total: int, what: str) -> None:
    """Raise an `InputError` that names the first of the runs that were made from other data."""
    names = sorted(others)
    raise InputError(
        place,
        f"{len(names)} of {total} runs were made from {what} ({first_of(names)})",
        "use the data that they were made from, or keep both apart: another folder as --results "
        "(for pages and verdicts, as REPLICATE_RESULTS)",
    )


def _most(values: Iterable[Any]) -> Any:
    """The most frequent value that is not None."""
    counts = Counter(value for value in values if value is not None)
    return counts.most_common(1)[0][0] if counts else None


def _vectors_of(run: Made) -> str | None:
    """What the word vectors of a run are known by; the stand-in's are made on each machine."""
    vectors = run.provenance.vectors
    if vectors is None:
        return None
    return vectors.source if run.provenance.synthetic else vectors.digest or vectors.source
