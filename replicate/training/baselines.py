"""Simple classifiers that stand beside every model.

The look-ups read no content at all: what they reach is what the folds give away. The others read
text, loudness or spectra with textbook methods.
"""

import datetime
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import StackingClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler, TargetEncoder
from sklearn.svm import SVC
from threadpoolctl import threadpool_limits
from torchaudio.transforms import MFCC

from replicate.corpora.features import LEVEL, Features
from replicate.corpora.protocol import classes, cohort, groups, split
from replicate.corpora.table import Corpus, text_fingerprint
from replicate.corpora.transcriptions import tokens
from replicate.corpora.waveforms import Waveforms, levels
from replicate.files import InputError
from replicate.paper import EMOTIONS
from replicate.runs.baselines import BASELINES, PACKAGES, Setting
from replicate.runs.code import BASELINES_CODE, loaded, package_versions, processor, version_of
from replicate.runs.store import Provenance, Run, folder_of, save_run
from replicate.settings import QUIETEST, RESULTS, SAMPLE_RATE, Fold


def wanted(corpus: Corpus, kind: str, splits: int) -> list[Setting]:
    """Every baseline that a corpus allows, on so many random splits or every fold of a kind.

    `InputError` if the corpus has no groups of that kind.
    """
    table = cohort(corpus)
    names = map(str, range(splits)) if kind == "stratified" else groups(table, kind)
    folds = [Fold(kind, name) for name in names]  # type: ignore[arg-type]
    if not folds:
        raise InputError(corpus.name, f"has no {kind}s", "choose other folds")
    columns = corpus.features.columns if corpus.features else ()
    found = {
        "text": corpus.utterances["transcript"].notna().any(),
        "audio": corpus.has_audio,
        "features": len(columns),
        "level": any(name.startswith(LEVEL) for name in columns),
        "times": corpus.has_audio or table[["start", "end"]].notna().all(axis=None),
    }
    offered = {name for name, there in found.items() if there}
    return [
        Setting(corpus.name, name, fold)  # type: ignore[arg-type]
        for name, baseline in BASELINES.items()
        if offered.issuperset(baseline.needs)
        for fold in folds
    ]


def compute(
    settings: Sequence[Setting],
    corpus: Corpus,
    sound: Waveforms | Features | None,
    root: Path = RESULTS,
) -> Iterator[Run]:
    """Compute and store results, with one thread; `InputError` if a fold is too small for one."""
    torch.set_num_threads(1)
    table = cohort(corpus)
    rows = features(corpus, table, sound)
    provenance = _origin(corpus)
    for setting in settings:
        baseline = BASELINES[setting.model]
        started, clock = datetime.datetime.now(datetime.UTC), time.perf_counter()
        try:
            with threadpool_limits(1):
                predictions = tested(PREDICT[setting.model], rows, table, setting.fold)
        except ValueError as error:  # scikit-learn's, of a training part that is too small
            remedy = "use other --folds, or more data"
            raise InputError(setting.name, f"cannot be computed: {error}", remedy) from error
        times = {"times"} if isinstance(sound, Waveforms) else set()
        listens = {"audio", "features", "level"} | times
        heard = sound if listens & set(baseline.needs) else None
        made = provenance(
            audio_fingerprint=heard.fingerprint if heard else None,
            n_train=len(table) - len(predictions),
            n_test=len(predictions),
            started=started.isoformat(timespec="seconds"),
            wall_seconds=time.perf_counter() - clock,
        )
        none, folder = pd.DataFrame(), folder_of(setting, root)
        result = Run(setting, made, none, predictions, none, folder)
        save_run(result)
        yield result


def _origin(corpus: Corpus) -> partial[Provenance]:
    """The provenance that all results of one command share."""
    commit, dirty = version_of(BASELINES_CODE)
    return partial(
        Provenance,
        corpus_title=corpus.title,
        synthetic=corpus.synthetic,
        text_fingerprint=text_fingerprint(corpus.utterances),
        n_development=0,
        vectors=None,
        commit=commit,
        dirty=dirty,
        code=loaded(BASELINES_CODE),
        packages=package_versions(PACKAGES),
        hardware=processor(),
        device="cpu",
        threads=torch.get_num_threads(),
    )


#: Columns of `features` that say how long and how loud an utterance is.
LOUDNESS = ["seconds", "average", "spread"]
#: Before the names of acoustic features among the columns of `features`.
ACOUSTIC = "acoustic: "
#: Coefficients of each frame; 13 of them, frames of 25 ms every 10 ms and 40 mel bands are usual.
N_MFCC = 13
FRAMES = {"n_fft": 400, "hop_length": 160, "n_mels": 40, "pad_mode": "constant"}
#: Columns of `features`: the means over time of the coefficients, then their deviations.
COEFFICIENTS = [f"mfcc_{k}" for k in range(2 * N_MFCC)]
#: Training rows of `features`, their classes, test rows -> probabilities of each class, [n, 4].
Predict = Callable[[pd.DataFrame, np.ndarray, pd.DataFrame], np.ndarray]


def majority(train: pd.DataFrame, labels: np.ndarray, test: pd.DataFrame) -> np.ndarray:
    """The largest class always, with the classes' shares as probabilities."""
    return _fitted(DummyClassifier(strategy="prior"), train, labels, test)


def dialogue(train: pd.DataFrame, labels: np.ndarray, test: pd.DataFrame) -> np.ndarray:
    """What is most frequent in the same dialogue."""
    return _looked_up(train["dialogue"], labels, test["dialogue"])


def dialogue_speaker(train: pd.DataFrame, labels: np.ndarray, test: pd.DataFrame) -> np.ndarray:
    """What is most frequent of the same speaker in the same dialogue."""
    keys = [rows["dialogue"] + "\0" + rows["speaker"] for rows in (train, test)]
    return _looked_up(keys[0], labels, keys[1])


def nearest_turn(train: pd.DataFrame, labels: np.ndarray, test: pd.DataFrame) -> np.ndarray:
    """The class of the speaker's nearest training turn in the dialogue; of two, the earlier."""
    turn = ["dialogue", "speaker", "place"]
    known = train[turn].rename_axis("nearest").reset_index().sort_values("place", kind="stable")
    asked = test[turn].reset_index().sort_values("place", kind="stable")
    found = pd.merge_asof(asked, known, on="place", by=turn[:2], direction="nearest")
    nearest = found.set_index("utterance")["nearest"].reindex(test.index).fillna("")
    return _looked_up(train.index.to_series(), labels, nearest)


def same_text(train: pd.DataFrame, labels: np.ndarray, test: pd.DataFrame) -> np.ndarray:
    """What is most frequent among utterances of exactly the same words."""
    words = [rows["transcript"].map(tokens).map(" ".join) for rows in (train, test)]
    return _looked_up(words[0], labels, words[1])


def tfidf(train: pd.DataFrame, labels: np.ndarray, test: pd.DataFrame) -> np.ndarray:
    """Logistic regression on words and pairs of words, weighted by TF-IDF.

    Weights: Spärck Jones (1972); pairs: Wang & Manning (2012).
    """
    model = make_pipeline(_tfidf(), LogisticRegression(max_iter=1000))
    return _fitted(model, train["transcript"], labels, test["transcript"])


def loudness(train: pd.DataFrame, labels: np.ndarray, test: pd.DataFrame) -> np.ndarray:
    """Logistic regression on the logarithms of duration and of Table 8's two levels."""
    logarithms = [np.log(rows[LOUDNESS].clip(lower=QUIETEST)) for rows in (train, test)]
    return _fitted(_linear(), logarithms[0], labels, logarithms[1])


def mfcc(train: pd.DataFrame, labels: np.ndarray, test: pd.DataFrame) -> np.ndarray:
    """SVM with an RBF kernel on mean and deviation over time of MFCCs (Davis & Mermelstein 1980).

    Its probabilities are Platt's (1999), from margins in five-fold cross-validation.
    """
    machine = CalibratedClassifierCV(SVC(), ensemble=False, cv=5)
    model = make_pipeline(StandardScaler(), machine)
    return _fitted(model, train[COEFFICIENTS], labels, test[COEFFICIENTS])


def late_fusion(train: pd.DataFrame, labels: np.ndarray, test: pd.DataFrame) -> np.ndarray:
    """Mean of the probabilities of TF-IDF and of MFCCs, the sum rule of Kittler et al. (1998)."""
    mean: np.ndarray = (tfidf(train, labels, test) + mfcc(train, labels, test)) / 2
    return mean


def duration(train: pd.DataFrame, labels: np.ndarray, test: pd.DataFrame) -> np.ndarray:
    """Logistic regression on the logarithm of an utterance's seconds."""
    logs = [np.log(rows[["seconds"]]) for rows in (train, test)]
    return _fitted(_linear(), logs[0], labels, logs[1])


def features_level(train: pd.DataFrame, labels: np.ndarray, test: pd.DataFrame) -> np.ndarray:
    """Logistic regression on the features that follow a recording's level."""
    begin = tuple(ACOUSTIC + name for name in LEVEL)
    level = [name for name in map(str, train.columns) if name.startswith(begin)]
    return _fitted(_linear(), train[level], labels, test[level])


def features_level_speaker(
    train: pd.DataFrame, labels: np.ndarray, test: pd.DataFrame
) -> np.ndarray:
    """As `features_level`, each feature less its mean over the utterances of its speaker."""
    both = pd.concat([train, test])
    columns = both.filter(like=ACOUSTIC).columns.tolist()
    both[columns] -= both.groupby("speaker")[columns].transform("mean")
    return features_level(both[: len(train)], labels, both[len(train) :])


def features_linear(train: pd.DataFrame, labels: np.ndarray, test: pd.DataFrame) -> np.ndarray:
    """Logistic regression on all acoustic features."""
    return _fitted(_linear(), train.filter(like=ACOUSTIC), labels, test.filter(like=ACOUSTIC))


def features_svm(train: pd.DataFrame, labels: np.ndarray, test: pd.DataFrame) -> np.ndarray:
    """SVM with an RBF kernel on all acoustic features; probabilities as those of `mfcc`."""
    machine = CalibratedClassifierCV(SVC(), ensemble=False, cv=5)
    model = make_pipeline(StandardScaler(), machine)
    return _fitted(model, train.filter(like=ACOUSTIC), labels, test.filter(like=ACOUSTIC))


def features_product(train: pd.DataFrame, labels: np.ndarray, test: pd.DataFrame) -> np.ndarray:
    """The product rule of Kittler et al. (1998): P(c | words) P(c | sound) / P(c), normalised."""
    prior = np.bincount(labels, minlength=len(EMOTIONS)) / len(labels)
    product: np.ndarray = tfidf(train, labels, test) * features_linear(train, labels, test) / prior
    product /= product.sum(axis=1, keepdims=True)
    return product


def features_stacked(train: pd.DataFrame, labels: np.ndarray, test: pd.DataFrame) -> np.ndarray:
    """Logistic regression on the probabilities of words and of sound (Wolpert 1992).

    It learns from those that five-fold cross-validation gives within the training part.
    """
    words = make_column_transformer((_tfidf(), "transcript"))
    sound = make_column_transformer((StandardScaler(), make_column_selector(ACOUSTIC)))
    readers = [
        (name, make_pipeline(taken, LogisticRegression(max_iter=1000)))
        for name, taken in (("words", words), ("sound", sound))
    ]
    model = StackingClassifier(readers, LogisticRegression(max_iter=1000), cv=5)
    return _fitted(model, train, labels, test)


def _linear() -> Pipeline:
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))


def _tfidf() -> TfidfVectorizer:
    """Weights of words and pairs of words."""
    return TfidfVectorizer(tokenizer=tokens, token_pattern=None, ngram_range=(1, 2))


def _looked_up(train: pd.Series, labels: np.ndarray, test: pd.Series) -> np.ndarray:
    """Shares of the classes among training utterances of the same key: float64 [n, 4].

    The shares among all of them count as one utterance more (Micci-Barreca 2001, with m = 1): that
    decides ties, stands in where a key has no training utterance, and outvotes no majority.
    """
    encoder = TargetEncoder(target_type="multiclass", smooth=1.0).fit(train.to_frame("key"), labels)
    shares: np.ndarray = encoder.transform(test.to_frame("key"))
    return shares


def _fitted(model: Any, train: Any, labels: np.ndarray, test: Any) -> np.ndarray:
    """Probabilities of a scikit-learn classifier; every class is in the training part."""
    probabilities: np.ndarray = model.fit(train, labels).predict_proba(test)
    return probabilities


#: Name, as in folder names -> what it does.
PREDICT: dict[str, Predict] = {
    "majority": majority,
    "dialogue": dialogue,
    "dialogue-speaker": dialogue_speaker,
    "nearest-turn": nearest_turn,
    "same-text": same_text,
    "tfidf": tfidf,
    "loudness": loudness,
    "mfcc": mfcc,
    "late-fusion": late_fusion,
    "duration": duration,
    "features-level": features_level,
    "features-level-speaker": features_level_speaker,
    "features": features_linear,
    "features-svm": features_svm,
    "features-product": features_product,
    "features-stacked": features_stacked,
}


def features(
    corpus: Corpus, table: pd.DataFrame, sound: Waveforms | Features | None = None
) -> pd.DataFrame:
    """What baselines may know of each utterance of a cohort; its class is not among it.

    Index utterance, in the cohort's order; `dialogue`, `speaker`, `place` (seconds, or where starts
    are unknown turns, within the dialogue), `transcript`, `seconds`; with recordings `average` and
    `spread` (see `waveforms.levels`) and `COEFFICIENTS`; with features those, after `ACOUSTIC`.
    """
    turns = corpus.utterances.set_index("utterance")
    known = turns["start"].notna().all()
    place = turns["start"] if known else turns.groupby("dialogue").cumcount()
    rows = table.set_index("utterance")
    rows = rows[["dialogue", "speaker", "transcript"]].astype(object).fillna("")
    rows.insert(2, "place", place.astype(float).loc[rows.index])
    ids = rows.index.tolist()
    rows["seconds"] = (turns["end"] - turns["start"]).loc[ids]
    if sound is None:
        return rows
    if isinstance(sound, Features):
        return rows.join(sound.frame().loc[ids].add_prefix(ACOUSTIC))
    rows["seconds"] = sound.lengths[sound.rows(ids)] / SAMPLE_RATE
    return pd.concat([rows, levels(sound, ids), mfccs(sound, ids)], axis="columns")


def mfccs(waveforms: Waveforms, ids: list[str]) -> pd.DataFrame:
    """Means and standard deviations of MFCCs: index utterance, columns `COEFFICIENTS`."""
    transform = MFCC(SAMPLE_RATE, N_MFCC, melkwargs=FRAMES)
    rows = []
    for utterance in ids:
        frames = transform(torch.from_numpy(waveforms.waveform(utterance)))  # [13, frames]
        rows.append(torch.cat([frames.mean(1), frames.std(1, correction=0)]).numpy())
    return pd.DataFrame(np.stack(rows), pd.Index(ids, name="utterance"), COEFFICIENTS)


def tested(predict: Predict, rows: pd.DataFrame, table: pd.DataFrame, fold: Fold) -> pd.DataFrame:
    """A baseline's predictions on the test part of a fold; all of the rest is trained on.

    `rows` are `features` of the cohort `table`. Returned: `utterance`, `dialogue`, `emotion`, the
    probability of each class, and `audio_score`, NaN as for every model without attention.
    """
    parts, labels = split(table, fold), classes(table)
    train, test = rows.iloc[parts.train], rows.iloc[parts.test]
    probabilities = predict(train, labels[parts.train], test)
    found = table.iloc[parts.test][["utterance", "dialogue", "emotion"]].reset_index(drop=True)
    return found.assign(**dict(zip(EMOTIONS, probabilities.T, strict=True)), audio_score=np.nan)
