"""Corpora: files on disk -> one utterance table (see `replicate.corpora.table`)."""

import dataclasses
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

from replicate.corpora import (
    emodb,
    iemocap,
    iemocap_features,
    meld,
    nemo,
    own,
    standin,
)
from replicate.corpora.features import Features
from replicate.corpora.iemocap_ids import EMOTIONS, parse
from replicate.corpora.names import OWN, require_known, size_and_preset
from replicate.corpora.standin.manifest import is_as_noted, note_files
from replicate.corpora.table import Corpus, utterance_table, without_damaged
from replicate.corpora.waveforms import Waveforms, open_waveforms
from replicate.files import InputError, build_once, cache_folder, sha256, switch, usable

READERS: dict[str, Callable[[Path], Corpus]] = {
    "iemocap": iemocap.read,
    "iemocap-features": iemocap_features.read,
    "emodb": emodb.read,
    "nemo": nemo.read,
    "meld": meld.read,
}


def open_corpus(name: str, data: Path | None = None, skip_damaged: bool | None = None) -> Corpus:
    """Read a corpus for use, or generate and read the stand-in.

    A corpus lies at `data` or `$REPLICATE_DATA`, the stand-in (`standin-SIZE[-PRESET]`) in the
    cache folder. Damaged utterances are left out with `skip_damaged` or
    `$REPLICATE_SKIP_DAMAGED`. `InputError` for an unknown name, no path given or one too many, a
    folder that does not hold the corpus, or damaged utterances. (Recordings are looked at by
    `waveforms.open_waveforms`; here only if damaged ones shall be left out.)
    """
    if skip_damaged is None:
        skip_damaged = switch("REPLICATE_SKIP_DAMAGED")
    corpus = without_damaged(read_corpus(name, data), skip_damaged)
    if not (skip_damaged and corpus.has_audio):
        return corpus
    return corpus.without(open_waveforms(corpus, skip_damaged=True).problems)


def read_corpus(name: str, data: Path | None = None) -> Corpus:
    """As `open_corpus`, with damaged utterances in the table and in `problems`."""
    if name.startswith("standin-"):
        if data:
            raise InputError(data, f"is not needed: {name} is generated", "leave the path out")
        return _read_standin(name)
    require_known(name)
    path = data or os.environ.get("REPLICATE_DATA")
    if not path:
        remedy = f"--data PATH, or REPLICATE_DATA (`replicate corpus check {name} PATH`)"
        raise InputError(name, "no path given", f"give the folder that holds {name}: {remedy}")
    folder = usable(Path(path))
    try:
        if OWN.fullmatch(name):
            return own.read(folder, name)
        for _ in os.walk(folder, onerror=_raise):
            pass  # a search would skip in silence what may not be read
        return READERS[name](folder)
    except PermissionError as error:
        what, remedy = f"cannot be read: {error.strerror}", f"run `chmod -R u+rX {folder}`"
        raise InputError(error.filename or folder, what, remedy) from error


def _raise(error: OSError) -> None:
    """Raise what is refused; what is absent is the readers' to tell."""
    if isinstance(error, PermissionError):
        raise error


def open_text(name: str, data: Path | None = None, skip_damaged: bool | None = None) -> Corpus:
    """As `open_corpus`; but of the stand-in the words alone, which need not be spoken for that."""
    if not name.startswith("standin-"):
        return open_corpus(name, data, skip_damaged)
    size, preset = size_and_preset(name)
    said = [
        {**vars(parse(turn.utterance)), "label": turn.label, "transcript": turn.transcript}
        for turn in standin.plan(size, preset)
    ]
    root = cache_folder() / name
    return _as_standin(Corpus(name, "", root, utterance_table(said), EMOTIONS))


def open_sound(corpus: Corpus) -> Waveforms | Features | None:
    """A corpus's recordings, or the features in their place; None if it has neither."""
    return open_waveforms(corpus) if corpus.has_audio else corpus.features


def open_audio(name: str, data: str = "") -> Corpus:
    """As `open_corpus`; but of a corpus without recordings the quick stand-in in its place."""
    corpus = open_corpus(name, Path(data) if data else None)
    return corpus if corpus.has_audio else open_corpus("standin-quick")


def _read_standin(name: str) -> Corpus:
    size, preset = size_and_preset(name)
    source = sha256(Path(standin.__file__).with_name("manifest.json"))

    def build(folder: Path) -> None:
        from replicate.corpora.standin.write import generate  # voices, which readers need not load

        generate(folder, size, preset)
        note_files(folder, source)

    whole = partial(is_as_noted, generator=source)
    folder = build_once(cache_folder() / name, build, whole)
    return _as_standin(dataclasses.replace(iemocap.read(folder), name=name))


def _as_standin(corpus: Corpus) -> Corpus:
    """With a title that says what the numbers come from."""
    size, preset = size_and_preset(corpus.name)
    count = corpus.utterances["label"].isin(list(corpus.emotions)).sum()
    about = f"{size}: {count:,} utterances" + f", preset {preset}" * (preset != "default")
    return dataclasses.replace(corpus, title=f"stand-in (synthetic, {about})", synthetic=True)
