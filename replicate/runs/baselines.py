"""The baselines that stand beside the network, as data, and what determines their results."""

from dataclasses import dataclass
from typing import Literal

from replicate.settings import Fold

#: In the store and in tables it stands where runs have their profile.
PROFILE = "baselines"

PACKAGES = ("numpy", "pandas", "scipy", "scikit-learn", "torch", "torchaudio")


@dataclass(frozen=True)
class Baseline:
    """A baseline as tables and commands know it."""

    title: str
    #: What it reads of an utterance.
    needs: tuple[Literal["text", "audio", "features", "level", "times"], ...] = ()


#: Name, as in folder names -> baseline, in the order of the tables.
BASELINES = {
    "majority": Baseline("Largest class"),
    "dialogue": Baseline("Same dialogue"),
    "dialogue-speaker": Baseline("Same dialogue and speaker"),
    "nearest-turn": Baseline("Speaker's nearest turn"),
    "same-text": Baseline("Same words", ("text",)),
    "tfidf": Baseline("TF-IDF, logistic regression", ("text",)),
    "loudness": Baseline("Duration and loudness, logistic regression", ("audio",)),
    "mfcc": Baseline("MFCC statistics, SVM", ("audio",)),
    "late-fusion": Baseline("TF-IDF and MFCC, late fusion", ("text", "audio")),
    "duration": Baseline("Duration, logistic regression", ("times",)),
    "features-level": Baseline("Level among the features, logistic regression", ("level",)),
    "features-level-speaker": Baseline(
        "Level less its speaker's mean, logistic regression", ("level",)
    ),
    "features": Baseline("Acoustic features, logistic regression", ("features",)),
    "features-svm": Baseline("Acoustic features, SVM", ("features",)),
    "features-product": Baseline("TF-IDF and features, product", ("text", "features")),
    "features-stacked": Baseline("TF-IDF and features, stacked", ("text", "features")),
}


@dataclass(frozen=True)
class Setting:
    """All of what determines a baseline's result; its attributes are named as `Experiment`'s."""

    corpus: str
    model: Literal[
        "majority", "dialogue", "dialogue-speaker", "nearest-turn", "same-text", "tfidf",
        "loudness", "mfcc", "late-fusion", "duration", "features-level",
        "features-level-speaker", "features", "features-svm", "features-product",
        "features-stacked",
    ]  # fmt: skip
    fold: Fold

    profile = PROFILE
    embedding = "none"
    choice = ""
    record = "baseline.json"
    tables = ("predictions",)

    @property
    def seed(self) -> int:
        """The number of the random split. A baseline itself draws nothing."""
        return int(self.fold.held_out) if self.fold.kind == "stratified" else 0

    @property
    def name(self) -> str:
        """As in folder names."""
        return f"{self.model}-{self.fold.name}"

    @property
    def place(self) -> str:
        """See `Experiment.place`."""
        return f"{self.corpus}/{self.profile}/{self.name}"
