"""What a model says of many recordings and texts, for people and for programs."""

import json
import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict

from replicate.corpora.given import Given
from replicate.files import InputError, first_of
from replicate.training.predict import Model, Prediction


def in_words(model: Model, given: Sequence[Given]) -> Iterator[str]:
    """What the model is, then what it says of each; `InputError` as `predicted`."""
    yield "\n".join(model.about)
    for said in predicted(model, given):
        yield f"\n{_in_lines(said)}"


def in_json(model: Model, given: Sequence[Given]) -> Iterator[str]:
    """The same as one JSON object, which is whole even if an `InputError` follows it."""
    made = model.trained
    found: list[Prediction] = []
    fault = None
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


def _in_lines(said: Prediction) -> str:
    shares = sorted(said.probabilities.items(), key=lambda item: -item[1])
    # names of files need not be UTF-8, what is printed must be
    lines = [os.fsencode(said.file or said.text or "").decode(errors="replace")]
    lines.append("  ".join(f"{emotion} {share:.3f}" for emotion, share in shares))
    if said.attention:
        weights = (f"{kind} {share:.3f}" for kind, share in said.attention.items())
        lines.append(f"attention: {', '.join(weights)}")
    return "\n  ".join([*lines, *said.done, f"{said.seconds:.3f} s"])
