"""What can be set, and how things are named: plain data that needs no other package.

Every choice that the paper leaves open is a named field, with the place in the paper that is
silent and the reason for our reading.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from replicate import folder_named

#: The rows of Table 4, in its order: the keys of `replicate.model.FUSIONS`.
FUSION_NAMES = ("att_s1", "att_d1", "att_sn", "att_d1n", "att_d2n", "concat", "addition")

#: The corpora that are read, and the stand-in's sizes and presets: `standin-SIZE[-PRESET]`.
CORPORA = (
    "iemocap", "iemocap-features", "iemocap-text", "iemocap-text-cut", "emodb", "nemo", "meld"
)  # fmt: skip
STANDIN_SIZES = ("tiny", "quick", "medium", "full")
STANDIN_PRESETS = ("default", "text-only", "audio-only", "text-hard", "audio-hard", "clean")


#: Of recordings, as IEMOCAP distributes them and a model hears them, in Hz.
SAMPLE_RATE = 16_000

#: What a model hears: nothing, recordings, or acoustic features.
Sound = Literal["none", "audio", "features"]

#: What the audio encoder takes, and how it maps features.
AudioInput = Literal[
    "raw waveforms", "acoustic features, linear map", "acoustic features, one hidden layer"
]


@dataclass(frozen=True)
class ModelConfig:
    """Sizes (Tables 2 and 3, Section 4.1), and our reading of what the paper does not say."""

    kernels: tuple[int, int] = (25, 5)
    """k_1, k_2 of Table 2, in samples at 16 kHz."""
    channels: tuple[int, int] = (4, 8)
    """c_1, c_2 of Table 2."""
    n_pool: int = 200
    """Outputs of the adaptive max pooling, Table 2."""
    n_gru: int = 32
    """Units of the GRU, Table 2."""
    emb_size: int = 150
    """Width of the word embedding, Table 3: 150 trainable, 300 with Word2Vec."""
    filters: tuple[int, int] = (3, 5)
    """f_1, f_2 of Table 3, in words."""
    n_fms: int = 200
    """Channels of each text convolution, Table 3."""
    hidden: int = 96
    """Neurons of the hidden layer, Section 4.1."""
    dropout: float = 0.55
    """Table 1."""

    convolution: Literal["stride 1, same padding, bias", "stride 2, same padding, bias"] = (
        "stride 1, same padding, bias"
    )
    """Section 3.1 gives only filter sizes; the least that keeps the length, so that the residual
    connection can be added."""
    residual: Literal[
        "1x1 projection around both convolutions",
        "1x1 projection around the second convolution",
        "none",
    ] = "1x1 projection around both convolutions"
    """Section 3.1 names "a residual connection"; channel counts differ, hence a projection (He et
    al. 2016, option B). Section 5 says that it helped."""
    normalisation: Literal[
        "conv, norm, ReLU; conv, norm, add, ReLU", "conv, ReLU, norm; conv, ReLU, norm, add"
    ] = "conv, norm, ReLU; conv, norm, add, ReLU"
    """Section 3.1 lists Batch Normalization and ReLU without an order; this is that of ResNet,
    which Section 5 names."""
    padding: Literal["zeros, seen by every layer", "masked"] = "zeros, seen by every layer"
    """Sections 3.1 and 3.2 pad with zeros inside a batch and mention no mask: none is used, so a
    prediction depends on the utterances that share its batch. Masked, an utterance ends where its
    recording and its sentence end."""
    gru_output: Literal["maximum over time", "mean over time", "last state"] = "maximum over time"
    """Section 3.1 does not say which output of the GRU is used. A model that reads its last state,
    the usual one, hardly learns from sound under Table 1's regularisation (grid `audio-choices`);
    the maximum is how Section 3.2 pools words, and padding matters least to it."""
    audio_projection: Literal["linear, to the width of the text features"] = (
        "linear, to the width of the text features"
    )
    """Section 3.1 scales to 2 emb_size (300), Section 3.2 yields 2 n_fms (400), and Equations 3 and
    10 add the two: impossible as printed. 400 keeps Table 3."""
    attention_weights: Literal["shared by both modalities", "one set for each modality"] = (
        "shared by both modalities"
    )
    """Equations 4-8 index no modality: read literally, one W serves audio and text."""
    concat: Literal["both at the width of the text features", "audio at 2 emb_size"] = (
        "both at the width of the text features"
    )
    """Equation 2 fits either; one audio encoder then serves all fusions."""
    equation_7: Literal["tied, as printed"] = "tied, as printed"
    """Equation 7 uses W_1 twice; untied it would be Equation 8."""
    score_relu: Literal["as printed", "on none"] = "as printed"
    """Equations 4 and 6 end in ReLU, 5, 7 and 8 do not."""
    hidden_activation: Literal["ReLU", "tanh", "none"] = "ReLU"
    """Section 4.1 names none."""
    dropout_place: Literal[
        "after the hidden layer", "on the fused features too", "on the text features too"
    ] = "after the hidden layer"
    """Section 4.1: "a hidden layer with 96 neurons with dropout"."""
    audio_input: AudioInput = "raw waveforms"
    """Section 3.1 takes raw waveforms. Where only acoustic features are at hand, a linear map
    brings them to the width of the text features, as Section 3.1 ends, and every table says so."""
    initialisation: Literal["PyTorch's defaults"] = "PyTorch's defaults"
    """Section 4.1 points to Hazarika et al. "with modifications" that it does not give."""

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

    learning_rate: float = 3e-3
    """Table 1."""
    decay: float = 0.988
    """Table 1: the learning rate's factor per epoch."""
    epochs: int = 150
    """Table 1."""
    batch_size: int = 30
    """Table 1."""
    weight_decay: float = 6e-3
    """Table 1, "L2 Regularization"."""
    regularisation: Literal[
        "Adam's coupled weight decay on all parameters", "AdamW", "none on norms and embeddings"
    ] = "Adam's coupled weight decay on all parameters"
    """Section 3 says no more than "L2 Regularization"; this is what PyTorch's Adam does."""
    development: float = 0.0
    """Share of the training part held out to choose an epoch. The paper names none, and its 4,976
    and 555 utterances leave none."""
    loss: Literal["cross entropy, unweighted", "weighted by class"] = "cross entropy, unweighted"
    """Nowhere stated."""
    subsampling_t: float = 8000.0
    """t of Equation 1, Section 3.2."""
    frequency: Literal["count in the training part", "relative frequency"] = (
        "count in the training part"
    )
    """f of Equation 1, Section 3.2, "the frequency of the word in the dataset"; relative ones would
    discard next to nothing."""
    subsampling: Literal["drawn anew each epoch, training part only", "drawn once", "off"] = (
        "drawn anew each epoch, training part only"
    )
    """Section 3.2 does not say when words are discarded; word2vec draws at each pass."""
    tokens: Tokens = "lower case, tags one token, contractions kept"
    """Section 3.2 does not say what a word is; Table 6 lists "she's" and the tag of laughter."""
    vocabulary: Literal["words of the training part", "words of the whole corpus"] = (
        "words of the training part"
    )
    """Section 3.2 does not say; words first met in the test are unknown."""
    vectors: Literal["fine-tuned", "frozen"] = "fine-tuned"
    """Pretrained word vectors, Section 3.2: nowhere stated."""
    waveform: Literal["16 kHz, in [-1, 1)", "loudness normalised per utterance"] = (
        "16 kHz, in [-1, 1)"
    )
    """Section 3.1 says "raw", and in Table 8 the classes differ in loudness."""
    features: Literal["all", "without those of level"] = "all"
    """Which acoustic features an encoder of them sees; level is what Table 8 is about."""
    silenced: Literal["none", "audio", "text"] = "none"
    """The modality whose features are zero in training and test, as a control of the other."""
    test_batches: Literal[
        "batches of 30 in the cohort's order", "one utterance at a time", "sorted by length"
    ] = "batches of 30 in the cohort's order"
    """Nowhere stated; it matters, since padding is seen by every layer."""


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
