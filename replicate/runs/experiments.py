"""An experiment is data: all of what determines a run, and the named grids of the paper."""

from dataclasses import dataclass, field, replace
from typing import Any, Literal

from replicate.settings import (
    FUSION_NAMES,
    AudioInput,
    Embedding,
    Fold,
    ModelConfig,
    Sound,
    Training,
)


@dataclass(frozen=True)
class Experiment:
    """All of what determines a run; two runs of one experiment have the same bits on CPU."""

    corpus: str  # name as on the command line
    profile: str  # name of the protocol, see `PROFILES`
    #: A row of Table 4, or a model of one modality.
    model: Literal[
        "att_s1", "att_d1", "att_sn", "att_d1n", "att_d2n", "concat", "addition", "audio", "text"
    ]
    embedding: Embedding  # `none` for the audio model
    fold: Fold  # what is held out
    seed: int  # of weights, batch order, dropout and Equation 1
    training: Training = field(default_factory=Training)
    architecture: ModelConfig = field(default_factory=ModelConfig)
    choice: str = ""  # a key of `CHOICES` or of the controls below it; empty for our reading

    #: How a run is stored, see `replicate.runs.store`: the name of its record, and its tables.
    record = "run.json"
    tables = ("epochs", "predictions", "treated")

    @property
    def sound(self) -> Sound:
        """What the model hears."""
        if self.model == "text":
            return "none"
        return "features" if self.architecture.audio_input.startswith("acoustic") else "audio"

    @property
    def name(self) -> str:
        """Readable and unique within a corpus and profile, as in folder names."""
        model = f"{self.model}-{self.embedding}" + f"-{self.choice}" * bool(self.choice)
        return f"{model}-{self.fold.name}-seed-{self.seed}"

    @property
    def place(self) -> str:
        """Corpus, profile and name: where its run is in the store."""
        return f"{self.corpus}/{self.profile}/{self.name}"


#: Another reading of what the paper leaves open (Section 3 and 4.1), or another setting of what it
#: does not -> the fields it changes.
CHOICES: dict[str, dict[str, Any]] = {
    "strided": {"architecture.convolution": "stride 2, same padding, bias"},
    "residual-second": {"architecture.residual": "1x1 projection around the second convolution"},
    "no-residual": {"architecture.residual": "none"},
    "relu-first": {"architecture.normalisation": "conv, ReLU, norm; conv, ReLU, norm, add"},
    "masked": {"architecture.padding": "masked"},
    "gru-last": {"architecture.gru_output": "last state"},
    "gru-mean": {"architecture.gru_output": "mean over time"},
    "n_fms-150": {"architecture.n_fms": 150},
    "concat-2-emb_size": {"architecture.concat": "audio at 2 emb_size"},
    "weights-per-modality": {"architecture.attention_weights": "one set for each modality"},
    "no-score-relu": {"architecture.score_relu": "on none"},
    "hidden-tanh": {"architecture.hidden_activation": "tanh"},
    "hidden-linear": {"architecture.hidden_activation": "none"},
    "dropout-fused": {"architecture.dropout_place": "on the fused features too"},
    "dropout-text": {"architecture.dropout_place": "on the text features too"},
    "adamw": {"training.regularisation": "AdamW"},
    "decay-weights-only": {"training.regularisation": "none on norms and embeddings"},
    "weighted-loss": {"training.loss": "weighted by class"},
    "subsampling-once": {"training.subsampling": "drawn once"},
    "subsampling-off": {"training.subsampling": "off"},
    "relative-frequency": {"training.frequency": "relative frequency"},
    "case-kept": {"training.tokens": "case kept"},
    "contractions-split": {"training.tokens": "contractions split"},
    "punctuation-kept": {"training.tokens": "punctuation kept"},
    "whole-vocabulary": {"training.vocabulary": "words of the whole corpus"},
    "frozen-vectors": {"training.vectors": "frozen"},
    "loudness-normalised": {"training.waveform": "loudness normalised per utterance"},
    "emb_size-50": {"architecture.emb_size": 50},
    "slower": {"training.learning_rate": 1e-3},
    "no-l2": {"training.weight_decay": 0.0},
}

#: Several of `CHOICES` at once, to see whether their effects add up -> the fields they change.
TOGETHER = ("adamw", "hidden-tanh", "masked")
COMBINED = {"-".join(TOGETHER): {k: v for name in TOGETHER for k, v in CHOICES[name].items()}}

#: What a reviewer would ask of a model of acoustic features -> the fields it changes.
FEATURE_CHOICES: dict[str, dict[str, Any]] = {
    "features-hidden": {"architecture.audio_input": "acoustic features, one hidden layer"},
    "no-level": {"training.features": "without those of level"},
    "audio-silenced": {"training.silenced": "audio"},
    "text-silenced": {"training.silenced": "text"},
}

#: What a reviewer would ask of the encoder of raw waveforms -> the fields it changes.
ENCODER_CHOICES: dict[str, dict[str, Any]] = {
    "log-mel": {"architecture.audio_input": "log-mel spectrogram"},
    "third": {"training.share": 0.3},
    "tenth": {"training.share": 0.1},
}

#: All of them: what an experiment's `choice` may be.
EVERY_CHOICE = CHOICES | COMBINED | FEATURE_CHOICES | ENCODER_CHOICES


def chosen(experiment: Experiment, choice: str) -> Experiment:
    """An experiment with a choice of `EVERY_CHOICE` made otherwise."""
    changed = replace(experiment, choice=choice)
    for place, value in EVERY_CHOICE[choice].items():
        part, name = place.split(".")
        changed = replace(changed, **{part: replace(getattr(changed, part), **{name: value})})
    return changed


#: Fields of the encoder of raw waveforms, and of acoustic features, that the other does not have.
OF_WAVEFORMS = {"architecture.convolution", "architecture.residual", "architecture.normalisation",
                "architecture.gru_output", "training.waveform"}  # fmt: skip
OF_FEATURES = {"training.features"}


def serves(choice: str, audio_input: AudioInput) -> bool:
    """Whether a choice says something of a model of this kind of sound."""
    changed = EVERY_CHOICE.get(choice, {})
    features = audio_input.startswith("acoustic")
    encoder = changed.get("architecture.audio_input", audio_input)
    foreign = OF_WAVEFORMS if features else OF_FEATURES
    return encoder.startswith("acoustic") == features and not foreign & changed.keys()


@dataclass(frozen=True)
class Profile:
    """A protocol at a price."""

    name: str  # as on the command line
    training: Training  # Table 1, or a cheaper version of it
    seeds: tuple[int, ...]  # one run for each
    grid: str = "tables"  # the grid that is meant unless another is asked for
    keeps: bool = False  # whether the weights of a grid's last run are always kept


PROFILES = {
    profile.name: profile
    for profile in (
        Profile("smoke", Training(epochs=2, development=0.1), (0,)),
        Profile("demo", Training(epochs=12), (0,), grid="demo", keeps=True),
        Profile("quick", Training(epochs=26, development=0.1), (0, 1, 2)),
        Profile("paper", Training(), tuple(range(10))),
        Profile("paper-dev", Training(development=0.1), tuple(range(10))),
    )
}


TABLE_4: list[tuple[str, Embedding]] = [(fusion, "trainable") for fusion in FUSION_NAMES]
TABLE_5: list[tuple[str, Embedding]] = [("att_d1", "word2vec"), ("att_sn", "word2vec")]
UNIMODAL: list[tuple[str, Embedding]] = [("audio", "none"), ("text", "trainable")]
TEXT: list[tuple[str, Embedding]] = [("text", "trainable"), ("text", "glove")]
FOUR: list[tuple[str, Embedding]] = [*UNIMODAL, ("concat", "trainable"), ("att_d1", "trainable")]
ATTENTION: list[tuple[str, Embedding]] = [*TABLE_4[:6], *UNIMODAL]
#: GloVe in Word2Vec's place.
GLOVE: list[tuple[str, Embedding]] = [("att_d1", "glove"), ("att_sn", "glove")]
FUSIONS: list[tuple[str, Embedding]] = [*TABLE_4, *GLOVE, *UNIMODAL]
TWO: list[tuple[str, Embedding]] = [("concat", "trainable"), ("att_d1", "trainable")]

#: A selection of the choices that have an effect on the text model too: those of high impact first.
TEXT_CHOICES = (
    "masked", "hidden-tanh", "dropout-text", "adamw", "decay-weights-only", "weighted-loss",
    "subsampling-off", "case-kept", "contractions-split", "punctuation-kept", "whole-vocabulary",
    "emb_size-50", "slower", "no-l2",
)  # fmt: skip

#: A selection of them that have an effect on every model, of one modality or of both.
SEARCHED = ("hidden-tanh", "adamw", "weighted-loss", "slower", "no-l2")

#: A selection of the choices that have an effect on the audio model.
AUDIO_CHOICES = (
    "no-residual", "masked", "gru-last", "gru-mean", "adamw", "loudness-normalised"
)  # fmt: skip

#: Front ends without kernels of their own: an epoch takes fifty times as long on a CPU.
EAGER_CHOICES = ("strided", "residual-second", "relu-first")


@dataclass(frozen=True)
class Grid:
    """Experiments that belong together.

    `folds` is `one` stratified split for all seeds, `own`, a new draw of it for each seed, or a
    kind of group (a key of `replicate.settings.GROUPS`), of which each is held out once.
    """

    about: str
    rows: list[tuple[str, Embedding]]  # model and embedding of each
    folds: str
    seeds: int | None = None  # how many of the profile's; all by default
    choices: tuple[str, ...] = ("",)  # as of `chosen`; the empty one is our own reading


GRIDS = {
    "tables": Grid(
        "Tables 4 and 5 and the models of one modality, on one stratified split",
        TABLE_4 + TABLE_5 + UNIMODAL, "one",
    ),
    "demo": Grid("one model, for `replicate predict`", TWO[1:], "one", 1),
    "text": Grid("the text model alone, a new stratified split for each seed", TEXT, "own"),
    "text-sessions": Grid("the text model alone, sessions held out", TEXT[:1], "session", 3),
    "text-dialogues": Grid(
        "the text model alone, a tenth of the dialogues held out", TEXT[:1], "dialogue", 1
    ),
    "text-scenarios": Grid("the text model alone, scenarios held out", TEXT[:1], "scenario", 1),
    "text-choices": Grid(
        "the text model alone, the paper's open choices read otherwise",
        TEXT[:1], "own", choices=("", *TEXT_CHOICES),
    ),
    "text-combined": Grid(
        "the text model alone, three open choices read otherwise at once",
        TEXT[:1], "own", choices=("", *COMBINED),
    ),
    "audio-choices": Grid(
        "the audio model alone, each speaker held out once, open choices read otherwise",
        UNIMODAL[:1], "speaker", 1, ("", *AUDIO_CHOICES),
    ),
    "learning-curve": Grid(
        "the audio model alone, each speaker held out, trained on all, 30 % and 10 %",
        UNIMODAL[:1], "speaker", 3, ("", "third", "tenth"),
    ),
    "encoders": Grid(
        "the audio model alone, each speaker held out, against log-mel bands and other readings",
        UNIMODAL[:1], "speaker", 1, ("", "log-mel", "gru-last", "no-l2", "loudness-normalised"),
    ),
    "attention": Grid(
        "every attention, Concat and the models of one modality, on one stratified split",
        ATTENTION, "one", 3,
    ),
    "speakers": Grid("four models, each speaker held out once", FOUR, "speaker", 1),
    "sessions": Grid("four models, each session held out once", FOUR, "session", 3),
    "splits": Grid("four models, a new stratified split for each seed", FOUR, "own"),
    "dialogues": Grid("four models, a tenth of the dialogues held out", FOUR, "dialogue", 1),
    "scenarios": Grid("four models, each scenario held out once", FOUR, "scenario", 3),
    "choices": Grid(
        "two models, the paper's open choices read otherwise",
        TWO, "one", 3,
        ("", *(choice for choice in CHOICES if choice not in ("frozen-vectors", *EAGER_CHOICES))),
    ),
    "front-ends": Grid(
        "the audio model alone, front ends that are slow on a CPU",
        UNIMODAL[:1], "one", 3, ("", *EAGER_CHOICES),
    ),
    "fusions": Grid(
        "Tables 4 and 5 (with GloVe) and the models of one modality, a new split for each seed",
        FUSIONS, "own",
    ),
    "fusions-one": Grid("the same on one stratified split", FUSIONS, "one"),
    "fusions-sessions": Grid("the same, each session held out", FUSIONS, "session", 3),
    "features-choices": Grid(
        "Att_d^1 of acoustic features, read otherwise, without level, or one modality silenced",
        TWO[1:], "own", choices=("", *FEATURE_CHOICES),
    ),
    "features-decay": Grid(
        "Concat of acoustic features and words, with AdamW: what attention has to do with it",
        TWO[:1], "own", choices=("", "adamw"),
    ),
    "features-level": Grid(
        "sound alone by acoustic features, and without those of level",
        UNIMODAL[:1], "own", choices=("", "no-level"),
    ),
    "features-search": Grid(
        "sound alone, and with words, at other settings that text alone has tried, too",
        [UNIMODAL[0], *TWO[1:]], "own", choices=("", *SEARCHED),
    ),
    "vectors": Grid(
        "pretrained vectors, fine-tuned and frozen", TABLE_5[:1], "one", 3, ("", "frozen-vectors")
    ),
}  # fmt: skip


def random_fold(kind: str, seed: int) -> Fold | None:
    """The random split of a grid whose folds are `one` or `own`; None where groups are held out."""
    return {"one": Fold(), "own": Fold("stratified", str(seed))}.get(kind)
