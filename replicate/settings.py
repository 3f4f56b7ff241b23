"""What can be set, and how things are named: plain data that needs no other package.

Every choice that the paper leaves open is a named field. `replicate/paper/choices.yml` has the
place in the paper that is silent and the reason for our reading, field by field.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from replicate import folder_named

#: The rows of Table 4, in its order: the keys of `replicate.model.FUSIONS`.
FUSION_NAMES = ("att_s1", "att_d1", "att_sn", "att_d1n", "att_d2n", "concat", "addition")

#: The corpora that are read, and the stand-in's sizes and presets: `standin-SIZE[-PRESET]`.
CORPORA = ("iemocap", "iemocap-features", "emodb", "nemo", "meld")
STANDIN_SIZES = ("tiny", "quick", "medium", "full")
STANDIN_PRESETS = ("default", "text-only", "audio-only", "text-hard", "audio-hard", "clean")


#: Of recordings, as IEMOCAP distributes them and a model hears them, in Hz.
SAMPLE_RATE = 16_000

#: What a model hears: nothing, recordings, or acoustic features.
Sound = Literal["none", "audio", "features"]

#: What the audio encoder takes, and how it maps features.
AudioInput = Literal[
    "raw waveforms",
    "log-mel spectrogram",
    "acoustic features, linear map",
    "acoustic features, one hidden layer",
]


@dataclass(frozen=True)
class ModelConfig:
    """Sizes (Tables 2 and 3, Section 4.1), and our reading of what the paper does not say."""

    kernels: tuple[int, int] = (25, 5)  # k_1, k_2 of Table 2, in samples at 16 kHz
    channels: tuple[int, int] = (4, 8)  # c_1, c_2 of Table 2
    n_pool: int = 200  # outputs of the adaptive max pooling, Table 2
    n_gru: int = 32  # units of the GRU, Table 2
    emb_size: int = 150  # width of the word embedding, Table 3; 300 with Word2Vec
    filters: tuple[int, int] = (3, 5)  # f_1, f_2 of Table 3, in words
    n_fms: int = 200  # channels of each text convolution, Table 3
    hidden: int = 96  # neurons of the hidden layer, Section 4.1
    dropout: float = 0.55  # Table 1

    convolution: Literal["stride 1, same padding, bias", "stride 2, same padding, bias"] = (
        "stride 1, same padding, bias"
    )
    residual: Literal[
        "1x1 projection around both convolutions",
        "1x1 projection around the second convolution",
        "none",
    ] = "1x1 projection around both convolutions"
    normalisation: Literal[
        "conv, norm, ReLU; conv, norm, add, ReLU", "conv, ReLU, norm; conv, ReLU, norm, add"
    ] = "conv, norm, ReLU; conv, norm, add, ReLU"
    # masked, an utterance ends where its recording and its sentence end
    padding: Literal["zeros, seen by every layer", "masked"] = "zeros, seen by every layer"
    gru_output: Literal["maximum over time", "mean over time", "last state"] = "maximum over time"
    audio_projection: Literal["linear, to the width of the text features"] = (
        "linear, to the width of the text features"
    )
    attention_weights: Literal["shared by both modalities", "one set for each modality"] = (
        "shared by both modalities"
    )
    concat: Literal["both at the width of the text features", "audio at 2 emb_size"] = (
        "both at the width of the text features"
    )
    equation_7: Literal["tied, as printed"] = "tied, as printed"
    score_relu: Literal["as printed", "on none"] = "as printed"
    hidden_activation: Literal["ReLU", "tanh", "none"] = "ReLU"
    dropout_place: Literal[
        "after the hidden layer", "on the fused features too", "on the text features too"
    ] = "after the hidden layer"
    # Section 3.1 takes raw waveforms; features, where only they are at hand, are mapped to the
    # width of the text features, as that section ends, and every table says so
    audio_input: AudioInput = "raw waveforms"
    initialisation: Literal["PyTorch's defaults"] = "PyTorch's defaults"

    @property
    def n_features(self) -> int:
        """Width of x_text and x_audio: 400."""
        return len(self.filters) * self.n_fms


Embedding = Literal["trainable", "word2vec", "glove", "none"]

#: Width of each kind of embedding (Table 3; GloVe's substitute vectors have 50).
EMB_SIZE: dict[Embedding, int] = {"trainable": 150, "word2vec": 300, "glove": 50, "none": 150}


Tokens = Literal[
    "lower case, tags one token, contractions kept",
    "case kept",
    "contractions split",
    "punctuation kept",
]


@dataclass(frozen=True)
class Training:
    """Table 1, and our reading of what the paper does not say about training."""

    learning_rate: float = 3e-3  # Table 1
    decay: float = 0.988  # Table 1: the learning rate's factor per epoch
    epochs: int = 150  # Table 1
    batch_size: int = 30  # Table 1
    weight_decay: float = 6e-3  # Table 1, "L2 Regularization"
    regularisation: Literal[
        "Adam's coupled weight decay on all parameters", "AdamW", "none on norms and embeddings"
    ] = "Adam's coupled weight decay on all parameters"
    # share of the training part held out to choose an epoch; the paper's counts leave none
    development: float = 0.0
    loss: Literal["cross entropy, unweighted", "weighted by class"] = "cross entropy, unweighted"
    subsampling_t: float = 8000.0  # t of Equation 1, Section 3.2
    frequency: Literal["count in the training part", "relative frequency"] = (
        "count in the training part"
    )
    subsampling: Literal["drawn anew each epoch, training part only", "drawn once", "off"] = (
        "drawn anew each epoch, training part only"
    )
    tokens: Tokens = "lower case, tags one token, contractions kept"
    vocabulary: Literal["words of the training part", "words of the whole corpus"] = (
        "words of the training part"
    )
    vectors: Literal["fine-tuned", "frozen"] = "fine-tuned"  # of pretrained words
    waveform: Literal["16 kHz, in [-1, 1)", "loudness normalised per utterance"] = (
        "16 kHz, in [-1, 1)"
    )
    # what an encoder of acoustic features sees; level is what Table 8 is about
    features: Literal["all", "without those of level"] = "all"
    share: float = 1.0  # of each class of the training part that is used, for a learning curve
    # the modality whose features are zero in training and test, as a control of the other
    silenced: Literal["none", "audio", "text"] = "none"
    test_batches: Literal[
        "batches of 30 in the cohort's order", "one utterance at a time", "sorted by length"
    ] = "batches of 30 in the cohort's order"


#: The store: `$REPLICATE_RESULTS`, or `results/` beside the package.
RESULTS = folder_named("REPLICATE_RESULTS") or Path(__file__).parents[1] / "results"


#: Kinds of held-out groups -> the column of the utterance table that makes the group. Dialogues are
#: too many and too short to be held out one by one: a tenth of them is.
GROUPS = {
    "session": "session", "speaker": "speaker", "scenario": "scenario", "dialogue": "dialogue"
}  # fmt: skip


#: What `--folds` can be.
FOLDS = ("stratified", *GROUPS)


PADDING, UNKNOWN = 0, 1


@dataclass(frozen=True)
class Fold:
    """Which utterances are the test set.

    `stratified` draws 10 % of each class at random (the paper's split, as the row sums of Table 7
    show); the other kinds hold out one group of utterances.
    """

    kind: Literal["stratified", "session", "speaker", "scenario", "dialogue"] = "stratified"
    held_out: str = "0"  # the group's value; the number of the draw, or of the tenth of dialogues

    @property
    def name(self) -> str:
        """As in file names, for example `stratified-0` or `session-1`."""
        return f"{self.kind}-{self.held_out}"


#: Ways to alter the recordings -> what is done.
RECORDINGS = {
    "rms": "every recording brought to the same root mean square, 26 dB below full scale",
    "time-shuffled": "the samples of a recording in random order",
    "envelope": "white noise with the recording's loudness, measured every 20 ms",
    "louder": "6 dB louder",
    "softer": "6 dB softer",
}

#: A recording as it is, beside those under a treatment.
UNTREATED = "as recorded"

#: Every treatment -> what is done.
TREATMENTS = {
    "untrained": "the model before its first step",
    "one-by-one": "each test utterance alone in its batch",
    "sorted": "test batches of utterances of like length",
    **RECORDINGS,
    "audio-zero": "the audio features are zero",
    "text-zero": "the text features are zero",
    "audio-shuffled": "the recording of another test utterance, drawn at random",
    "text-shuffled": "the words of another test utterance, drawn at random",
    "half": "both modalities weigh one half, whatever the attention says",
    "audio-same-class": "the recording of another test utterance of the same class",
    "audio-same-speaker": "the recording of another test utterance of the same speaker",
    "text-same-class": "the words of another test utterance of the same class",
}


#: One step of 16 bits, the least loudness whose logarithm is taken.
QUIETEST = 2.0**-15


#: Treatments that change nothing but the other utterances of a test batch.
BATCHES = ("one-by-one", "sorted")


#: Stands in every table and picture that a synthetic corpus made.
MARK = "STAND-IN, not IEMOCAP"
