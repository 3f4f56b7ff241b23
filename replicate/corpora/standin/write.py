"""A planned corpus becomes a folder in IEMOCAP's layout, truth and hashes beside it."""

import csv
import json
import random
from itertools import groupby
from pathlib import Path

import joblib
from scipy.io import wavfile

from replicate.corpora.standin.channels import SUMMARY
from replicate.corpora.standin.manifest import RELEASE, TRUTH, fingerprint, truth
from replicate.corpora.standin.planning import Planned, plan
from replicate.corpora.standin.voice import render
from replicate.interrupts import worker_options
from replicate.settings import SAMPLE_RATE

#: What the annotators of IEMOCAP's files say; labels are their first three letters.
_CATEGORIES = (
    "Anger", "Disgust", "Excited", "Fear", "Frustration", "Happiness", "Neutral", "Other",
    "Sadness", "Surprise",
)  # fmt: skip
_README = f"""SYNTHETIC: this is not IEMOCAP.

{SUMMARY}

Size {{}}, preset {{}}.
truth.csv holds what each utterance was made from; no reader of the corpus looks at it.
fingerprint.json holds hashes to compare with those published with the generator.
The voices are eSpeak NG's (GPLv3); the recordings are its output.
"""
#: Mean valence, activation and dominance (1 to 5) by acted class.
_AFFECT = ((1.9, 3.6, 3.9), (4.0, 3.4, 3.2), (2.9, 2.5, 2.8), (2.2, 2.2, 2.6))


def generate(root: Path, size: str, preset: str, processes: int = 2) -> None:
    """Fill a folder with a corpus, the same to the bit however many processes speak.

    Beside `IEMOCAP_full_release`, `root` (empty) gets `README.txt`, `truth.csv` (each utterance's
    class and symbols) and `fingerprint.json`.
    """
    utterances = plan(size, preset)
    dialogues = [list(turns) for _, turns in groupby(utterances, lambda u: u.dialogue)]
    # fresh processes, not forks: eSpeak must not be inherited half loaded
    pool = joblib.Parallel(processes, backend="loky", batch_size=1, **worker_options())
    lengths = pool(joblib.delayed(_record)(dialogue, root) for dialogue in dialogues)
    for dialogue, samples in zip(dialogues, lengths, strict=True):
        _write_dialogue(dialogue, samples, root)
    with (root / TRUTH).open("w", encoding="ascii", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(truth(utterances))
    notes = {"size": size, "preset": preset, **fingerprint(root)}
    (root / "fingerprint.json").write_text(json.dumps(notes, indent=2) + "\n")
    (root / "README.txt").write_text(_README.format(size, preset))


def _session(dialogue: str, folder: Path) -> Path:
    return folder / RELEASE / f"Session{int(dialogue[3:5])}"


def _record(dialogue: list[Planned], folder: Path) -> list[int]:
    """Render and write one dialogue's utterances; the samples of each."""
    name = dialogue[0].dialogue
    target = _session(name, folder) / "sentences" / "wav" / name
    target.mkdir(parents=True)
    lengths = []
    for planned in dialogue:
        samples = render(planned)
        wavfile.write(target / f"{planned.utterance}.wav", SAMPLE_RATE, samples)
        lengths.append(len(samples))
    return lengths


def _write_dialogue(dialogue: list[Planned], samples: list[int], folder: Path) -> None:
    """Transcription and annotation of one dialogue."""
    name = dialogue[0].dialogue
    spoken, judged = [], ["% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]", ""]
    start = 1.5
    for planned, length in zip(dialogue, samples, strict=True):
        rng = random.Random(f"{planned.seed}|annotation")
        start += 0.1 + rng.expovariate(2.5)
        end = start + length / SAMPLE_RATE
        spoken.append(f"{planned.utterance} [{start:08.4f}-{end:08.4f}]: {planned.transcript}")
        judged += _judged(planned, f"[{start:.4f} - {end:.4f}]", rng)
        start = end
    for kind, lines in (("transcriptions", spoken), ("EmoEvaluation", judged)):
        path = _session(name, folder) / "dialog" / kind / f"{name}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(lines) + "\n", encoding="ascii", newline="\n")


def _judged(planned: Planned, times: str, rng: random.Random) -> list[str]:
    """The label line and the lines of three categorical and two dimensional annotators."""
    # two or three of one mind, or (`xxx`) each of another
    meant = [category for category in _CATEGORIES if category[:3].lower() == planned.label]
    if meant:
        votes = [*meant * 2, meant[0] if rng.random() < 0.6 else rng.choice(_CATEGORIES)]
    votes = rng.sample(votes if meant else _CATEGORIES, 3)
    affect = [
        tuple(min(max(round(mean + rng.gauss(0, 0.6)), 1), 5) for mean in _AFFECT[planned.acted])
        for _ in range(2)
    ]
    v, a, d = ((first + second) / 2 for first, second in zip(*affect, strict=True))
    lines = [f"{times}\t{planned.utterance}\t{planned.label}\t[{v:.4f}, {a:.4f}, {d:.4f}]"]
    lines += [f"C-E{n}:\t{category};\t()" for n, category in enumerate(votes, start=2)]
    lines += [
        f"A-E{n}:\tval {v}; act {a}; dom  {d};\t()" for n, (v, a, d) in enumerate(affect, start=3)
    ]
    return [*lines, ""]
