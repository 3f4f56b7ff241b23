"""A trained model on recordings and texts of one's own, and what it says, in words and in JSON."""

import json
import os
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from replicate.corpora.altered import altered_waveforms
from replicate.corpora.given import Given
from replicate.corpora.names import at_hand
from replicate.corpora.protocol import Split
from replicate.corpora.recordings import read_sound
from replicate.corpora.transcriptions import tokens
from replicate.corpora.waveforms import Waveforms
from replicate.files import InputError, first_of
from replicate.paper import EMOTIONS
from replicate.runs.experiments import PROFILES
from replicate.runs.names import title
from replicate.runs.store import WEIGHTS, weights_of
from replicate.settings import MARK, RESULTS, UNKNOWN
from replicate.training.examples import Examples
from replicate.training.loop import Trainer, encoders
from replicate.training.weights import Trained, load

WARNING = (
    "For research on the method only. It must not be used to judge people: neither what they feel, "
    "nor whether they are honest, healthy or fit for anything."
)


@dataclass(frozen=True)
class Prediction:
    """What a model says of a recording, a text or both."""

    file: str | None
    text: str | None
    probabilities: dict[str, float]  # class -> its probability
    attention: dict[str, float] | None  # `audio`, `text` -> its share; None without attention
    done: tuple[str, ...]  # to the input, before the model had it
    seconds: float  # for reading and answering


class Model:
    """A trained model; a prediction has one recording in its batch, as treatment `one-by-one`."""

    def __init__(self, path: Path) -> None:
        """Read weights; `InputError` if they are damaged, or take no recording."""
        self.trained, tensors = load(path)
        experiment = self.trained.experiment
        if experiment.sound == "features":
            what = "hears acoustic features that another program made, and no recordings"
            raise InputError(path, what, "take a model that was trained on recordings")
        # one at a time; and no weights of classes, which are counted in a training part
        training = replace(
            experiment.training,
            test_batches="one utterance at a time",
            loss="cross entropy, unweighted",
        )
        experiment = replace(experiment, training=training)
        self._trainer = Trainer(experiment, _examples(self.trained), None, "cpu")
        try:
            self._trainer.model.load_state_dict(tensors)
        except RuntimeError as error:
            what = "does not fit the model of this version"
            raise InputError(path, what, "use the version that made it, or train again") from error

    @cached_property
    def about(self) -> tuple[str, ...]:
        """What it was trained on, and what it must not be used for; a sentence each."""
        experiment, made = self.trained.experiment, self.trained.provenance
        name = title(experiment.model, experiment.embedding)
        origin = (
            f"{name}, trained on {made.corpus_title}: {made.n_train:,} utterances, "
            f"{experiment.training.epochs} epochs (profile {experiment.profile})."
        )
        mark = f"{MARK}: what it learned is speech that a program made; of people it knows nothing."
        return (origin, *([mark] if made.synthetic else []), WARNING)

    def predict(
        self, file: str | Path | None = None, text: str | None = None, place: str = ""
    ) -> Prediction:
        """What the model says of a recording, a text or both, as it takes.

        `InputError` if that is missing, or cannot be read; it names `place` where there is no file.
        """
        started = time.perf_counter()
        sound, heard = self._sound(None if file is None else Path(file), place)
        sentence, read = self._words(text, place or str(file or "--text"))
        trainer = self._trainer
        trainer.data = replace(trainer.data, sentences=[sentence], sound=sound)
        trainer.fused = encoders(trainer.experiment, trainer.data, trainer.device)[0]
        probabilities, attention = trainer.predict(np.zeros(1, dtype=np.int64))
        audio = float(attention[0, 0])
        return Prediction(
            file=None if file is None else str(file),
            text=text,
            probabilities=dict(zip(EMOTIONS, probabilities[0].tolist(), strict=True)),
            attention=None if np.isnan(audio) else {"audio": audio, "text": 1 - audio},
            done=(*heard, *read),
            seconds=time.perf_counter() - started,
        )

    def _words(self, text: str | None, place: str) -> tuple[np.ndarray, list[str]]:
        """Word numbers, and what there is to say of them."""
        model, training = self.trained.experiment.model, self.trained.experiment.training
        if model == "audio":
            return np.zeros(0, dtype=np.int64), ["text not read"] if text else []
        words = tokens(text or "", training.tokens)
        if not words:
            what = f"no words, and model {model} reads what is said"
            raise InputError(place, what, 'pass --text "...", or a table with columns file, text')
        numbers = self.trained.vocab.encode(words)
        unknown = [word for word, number in zip(words, numbers, strict=True) if number == UNKNOWN]
        return numbers, [f"unknown words: {', '.join(unknown)}"] if unknown else []

    def _sound(self, file: Path | None, place: str) -> tuple[Waveforms | None, tuple[str, ...]]:
        """The recording, and what was done to it."""
        model, training = self.trained.experiment.model, self.trained.experiment.training
        if model == "text":
            return None, ("recording not heard",) if file else ()
        if file is None:
            raise InputError(place or "--text", f"model {model} hears a recording", "name a file")
        samples, done = read_sound(file)
        only = np.zeros(1, dtype=np.int64)
        sound = Waveforms(samples, only, np.array([len(samples)]), (str(file),), "")
        if training.waveform == "loudness normalised per utterance":
            sound = altered_waveforms("rms", sound, only, np.random.default_rng(0))
            done = (*done, "loudness normalised")
        return sound, done


def _examples(trained: Trained) -> Examples:
    """A corpus of one utterance without a class, of which `Model.predict` sets words and sound."""
    one, none = np.zeros(1, dtype=np.int64), np.zeros(0, dtype=np.int64)
    return Examples(
        utterances=("",), speakers=np.array([""]), labels=one, parts=Split(none, none, one),
        sentences=[], vocab=trained.vocab, sound=None, rows=one,
    )  # fmt: skip


def open_model(run: str | Path, root: Path = RESULTS) -> Model:
    """The model of a run: its folder, its place in a store (`CORPUS/PROFILE/RUN`), or its file.

    Of a corpus and profile where the weights of one run only were kept, `CORPUS/PROFILE` will do.
    `InputError` if there is no such run, its weights were not kept, or they are damaged.
    """
    for place in (Path(run), root / run):
        if place.is_file():
            return Model(place)
        if weights_of(place).is_file():
            return Model(weights_of(place))
        kept = sorted(place.glob(f"*{WEIGHTS}"))
        if len(kept) == 1:
            return Model(kept[0])
        if kept:
            names = first_of([path.stem for path in kept])
            raise InputError(place, f"has the weights of {len(kept)} runs", f"add one of {names}")
    parts = (root / run).parts
    known = [k for k, part in enumerate(parts) if part in PROFILES and k]
    remedy = "`replicate run --profile demo` makes a model in a minute"
    if known:
        corpus, profile = parts[known[-1] - 1], parts[known[-1]]
        command = f"replicate run --corpus {at_hand(corpus)} --profile {profile} --keep-weights"
        remedy = f"`{command}` keeps them (with the --grid that the run is of)"
    raise InputError(run, "no weights of such a run are here", remedy)


def in_words(model: Model, given: Sequence[Given]) -> Iterator[str]:
    """What the model is, then what it says of each; `InputError` as `predicted`."""
    yield "\n".join(model.about)
    for said in predicted(model, given):
        shares = sorted(said.probabilities.items(), key=lambda item: -item[1])
        # names of files need not be UTF-8, what is printed must be
        lines = [os.fsencode(said.file or said.text or "").decode(errors="replace")]
        lines.append("  ".join(f"{emotion} {share:.3f}" for emotion, share in shares))
        if said.attention:
            weights = (f"{kind} {share:.3f}" for kind, share in said.attention.items())
            lines.append(f"attention: {', '.join(weights)}")
        yield "\n" + "\n  ".join([*lines, *said.done, f"{said.seconds:.3f} s"])


def in_json(model: Model, given: Sequence[Given]) -> Iterator[str]:
    """The same as one JSON object, which is whole even if an `InputError` follows it."""
    made, found, fault = model.trained, list[Prediction](), None
    try:
        found.extend(predicted(model, given))
    except InputError as error:
        fault = error
    said = {
        "model": made.experiment.place,
        "trained_on": made.provenance.corpus_title,
        "synthetic": made.provenance.synthetic,
        "about": model.about,
        "predictions": [asdict(one) for one in found],
    }
    yield json.dumps(said, indent=1)
    if fault is not None:
        raise fault


def predicted(model: Model, given: Sequence[Given]) -> Iterator[Prediction]:
    """What a model says of each; at the end, one `InputError` for all that it could not use."""
    faults: dict[tuple[str, str], list[str]] = defaultdict(list)
    for one in given:
        try:
            yield model.predict(one.file, one.text, one.place)
        except InputError as error:
            faults[error.what, error.remedy].append(error.place)
    if faults:
        raise _together(faults, len(given))


def _together(faults: dict[tuple[str, str], list[str]], total: int) -> InputError:
    """One error; many of a kind are a count and the first few."""
    (what, remedy), places = next(iter(faults.items()))
    if len(faults) == len(places) == total == 1:
        return InputError(places[0], what, remedy)
    lines = [f"{len(places)}: {what} ({first_of(places)})" for (what, _), places in faults.items()]
    remedies = "\n     ".join(dict.fromkeys(remedy for _, remedy in faults))
    count = sum(map(len, faults.values()))
    what = "\n   - ".join(["cannot be used", *lines])
    return InputError(f"{count} of {total}", what, remedies)
