"""Small corpora written by hand, in the layout of the real ones."""

import wave
from pathlib import Path

import numpy as np

#: Utterance -> (start, label, transcript): every label and session of IEMOCAP, odd dialogue names.
UTTERANCES = {
    "Ses01F_impro01_F000": (1.5, "ang", "You took the last one."),
    "Ses01F_impro01_M000": (3.25, "hap", "I did. [LAUGHTER]"),
    "Ses01F_impro01_F001": (5.0, "exc", "There is more!"),
    "Ses01F_impro01_M001": (7.0, "neu", "In the kitchen."),
    "Ses01F_impro01_F002": (9.0, "sad", "It's gone."),
    "Ses01F_impro01_M002": (11.0, "fru", "Not again."),
    "Ses01F_impro01_F003": (13.0, "sur", "Oh."),
    "Ses01F_impro01_M003": (15.0, "fea", "Who is there?"),
    "Ses01F_impro01_F004": (17.0, "dis", "It smells."),
    "Ses01F_impro01_M004": (19.0, "oth", "Whatever."),
    "Ses01F_impro01_F005": (21.0, "xxx", "Well."),
    "Ses02F_impro01_F000": (0.5, "neu", "As before."),
    "Ses03M_impro05a_M000": (0.5, "neu", "Next, please."),
    "Ses04M_impro01_M000": (0.5, "neu", "Nothing new."),
    "Ses05M_script01_1b_F012": (0.5, "sad", "I waited all night."),
    "Ses05M_script01_1b_M000": (4.0, "ang", "So did I."),
}
CLASSES = ("ang", "hap", "exc", "neu", "sad")
COHORT = [utterance for utterance, (_, label, _) in UTTERANCES.items() if label in CLASSES]


def tone(seconds: float = 0.1, seed: int = 0) -> np.ndarray:
    """Noise: int16 [T]."""
    rng = np.random.default_rng(seed)
    return rng.integers(-3000, 3000, round(16_000 * seconds), dtype=np.int16)


def seconds(utterance: str) -> float:
    """How long a recording lasts: the more, the later in its dialogue."""
    dialogue = utterance.rsplit("_", 1)[0]
    turns = [other for other in UTTERANCES if other.startswith(f"{dialogue}_")]
    return 0.05 + turns.index(utterance) / 100


def end(utterance: str) -> float:
    return UTTERANCES[utterance][0] + seconds(utterance)


def write_wav(path: Path, samples: np.ndarray, rate: int = 16_000, channels: int = 1) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.astype("<i2").tobytes())


def write_iemocap(parent: Path, order: int = 1) -> Path:
    """An IEMOCAP tree with `UTTERANCES`; `order` -1 creates all files in the opposite order."""
    tree = parent / "IEMOCAP_full_release"
    for dialogue in sorted({u.rsplit("_", 1)[0] for u in UTTERANCES})[::order]:
        lines = {u: t for u, t in UTTERANCES.items() if u.startswith(f"{dialogue}_")}
        labels, transcripts = label_file(tree, dialogue), transcript_file(tree, dialogue)
        labels.parent.mkdir(parents=True, exist_ok=True)
        transcripts.parent.mkdir(parents=True, exist_ok=True)
        labels.write_text(
            "% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]\n\n"
            + "".join(
                f"[{start:.4f} - {end(u):.4f}]\t{u}\t{label}\t[2.5000, 3.0000, 2.5000]\n"
                "C-E2:\tNeutral; Surprise;\t()\nA-E3:\tval 2; act 3; dom  2;\t()\n\n"
                for u, (start, label, _) in lines.items()
            )
        )
        transcripts.write_text(
            "".join(
                f"{u} [{start:08.4f}-{end(u):08.4f}]: {text}\n"
                for u, (start, _, text) in lines.items()
            )
        )
        for number, utterance in enumerate(list(lines)[::order]):
            write_wav(wav_file(tree, utterance), tone(seconds(utterance), number))
    return tree


def label_file(tree: Path, dialogue: str) -> Path:
    return tree / f"Session{dialogue[4]}" / "dialog" / "EmoEvaluation" / f"{dialogue}.txt"


def transcript_file(tree: Path, dialogue: str) -> Path:
    return tree / f"Session{dialogue[4]}" / "dialog" / "transcriptions" / f"{dialogue}.txt"


def wav_file(tree: Path, utterance: str) -> Path:
    wavs = tree / f"Session{utterance[4]}" / "sentences" / "wav"
    return wavs / utterance.rsplit("_", 1)[0] / f"{utterance}.wav"
