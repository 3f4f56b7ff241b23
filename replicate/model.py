"""Section 3: the paper's model, one small class an idea, in plain PyTorch.

Every choice that the paper leaves open is a named field of `ModelConfig`, with the place in the
paper that is silent and the reason for our reading. Where a tensor changes shape a comment says so:
B utterances, T samples of the longest, n words of the longest sentence.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from replicate.settings import PADDING, ModelConfig

#: Audio in whatever form the front end takes: a padded tensor [B, T], or a batch for the kernels.
Waves = object


class AudioFrontEnd(nn.Module):
    """Section 3.1, Table 2: two convolutions and a residual connection on the raw waveform."""

    def __init__(self, config: ModelConfig | None = None) -> None:
        super().__init__()
        config = config or ModelConfig()
        (c1, c2), (k1, k2) = config.channels, config.kernels
        stride = 2 if config.convolution.startswith("stride 2") else 1
        self.bins, self.around = config.n_pool, config.residual.partition("around ")[2]
        self.norm_first = config.normalisation.startswith("conv, norm")
        self.conv1, self.norm1 = nn.Conv1d(1, c1, k1, stride, k1 // 2), nn.BatchNorm1d(c1)
        self.conv2, self.norm2 = nn.Conv1d(c1, c2, k2, stride, k2 // 2), nn.BatchNorm1d(c2)
        if self.around == "both convolutions":
            self.shortcut, self.norm_shortcut = nn.Conv1d(1, c2, 1, stride**2), nn.BatchNorm1d(c2)
        elif self.around == "the second convolution":
            self.shortcut, self.norm_shortcut = nn.Conv1d(c1, c2, 1, stride), nn.BatchNorm1d(c2)

    def forward(self, waves: Tensor) -> Tensor:
        """Zero-padded waveforms [B, T] in [-1, 1) -> pooled features [B, 200, 8]."""
        x = waves[:, None]  # [B, 1, T]
        if self.norm_first:
            h = F.relu(self.norm1(self.conv1(x)))  # [B, 4, T]
            y = self.norm2(self.conv2(h))  # [B, 8, T]
        else:
            h = self.norm1(F.relu(self.conv1(x)))
            y = self.norm2(F.relu(self.conv2(h)))
        if self.around:
            passed = x if self.around == "both convolutions" else h
            y = y + self.norm_shortcut(self.shortcut(passed))
        if self.norm_first:
            y = F.relu(y)
        return F.adaptive_max_pool1d(y, self.bins).transpose(1, 2)  # [B, 200, 8]


#: What is made of the states of the GRU, [B, 200, 32] -> [B, 32].
READINGS: dict[str, Callable[[Tensor], Tensor]] = {
    "last state": lambda states: states[:, -1],
    "mean over time": lambda states: states.mean(1),
    "maximum over time": lambda states: states.amax(1),
}


class RawAudioEncoder(nn.Module):
    """Section 3.1: front end, GRU, and a linear map to x_audio.

    A subclass may name other classes that compute the same from the same parameters, faster.
    """

    front_end_class: type[AudioFrontEnd] = AudioFrontEnd

    def __init__(self, config: ModelConfig, n_features: int | None = None) -> None:
        super().__init__()
        self.front_end = self.front_end_class(config)
        self.read = READINGS[config.gru_output]
        self.gru = nn.GRU(config.channels[1], config.n_gru, batch_first=True)
        self.projection = nn.Linear(config.n_gru, n_features or config.n_features)

    def forward(self, waves: Waves) -> Tensor:
        """What the front end takes -> x_audio [B, 400]."""
        states = self.states(self.front_end(waves))  # [B, 200, 8] -> [B, 200, 32]
        x_audio: Tensor = self.projection(self.read(states))  # [B, 32] -> [B, 400]
        return x_audio

    def states(self, pooled: Tensor) -> Tensor:
        """The GRU's state after each of its steps, [B, 200, 8] -> [B, 200, 32]."""
        states: Tensor = self.gru(pooled)[0]
        return states


class FeatureEncoder(nn.Module):
    """In place of Section 3.1 where acoustic features are at hand, and no recordings.

    Standardised features [B, n_in] -> x_audio: the linear map with which Section 3.1 ends, or a
    hidden layer like the classifier's before it.
    """

    def __init__(self, n_in: int, config: ModelConfig, n_features: int | None = None) -> None:
        super().__init__()
        n_out = n_features or config.n_features
        deep = config.audio_input == "acoustic features, one hidden layer"
        self.hidden = nn.Linear(n_in, config.hidden) if deep else None
        self.projection = nn.Linear(config.hidden if deep else n_in, n_out)

    def forward(self, features: Waves) -> Tensor:
        """[B, n_in] -> x_audio [B, 400]."""
        x = cast(Tensor, features).to(self.projection.weight.device)
        if self.hidden is not None:
            x = F.relu(self.hidden(x))  # [B, 96]
        x_audio: Tensor = self.projection(x)
        return x_audio


class TranscriptionEncoder(nn.Module):
    """Section 3.2, Table 3: word embedding and two convolutions over words (Kim 2014)."""

    def __init__(self, config: ModelConfig, n_words: int) -> None:
        super().__init__()
        self.filters, self.masked = config.filters, config.padding == "masked"
        self.embedding = nn.Embedding(n_words, config.emb_size, padding_idx=PADDING)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(config.emb_size, config.n_fms, width) for width in config.filters
        )

    def forward(self, words: Tensor) -> Tensor:
        """Word numbers [B, n], n >= 5, zero-padded -> x_text [B, 400]."""
        x = self.embedding(words).transpose(1, 2)  # [B, 150, n]
        maxima = []  # 2 of [B, 200]
        for width, conv in zip(self.filters, self.convolutions, strict=True):
            y = F.relu(conv(x))  # [B, 200, n - 2 or n - 4]
            if self.masked:
                windows = (lengths(words) - width + 1).clamp(min=1)
                beyond = torch.arange(y.shape[2], device=y.device) >= windows[:, None]
                y = y.masked_fill(beyond[:, None], 0)
            maxima.append(y.amax(2))
        return torch.cat(maxima, dim=1)  # [B, 400]


def lengths(words: Tensor) -> Tensor:
    """Words of each sentence without its padding: [B, n] -> [B]."""
    place = torch.arange(1, words.shape[1] + 1, device=words.device)
    return ((words != PADDING) * place).amax(1)


class Fused(NamedTuple):
    """Combined features, and the audio's share of the attention."""

    features: Tensor  # [B, 800] for Concat, else [B, 400]
    p_audio: Tensor | None  # Equation 9, [B, 1 or 400]; the text has the rest; else None

    @property
    def audio_score(self) -> Tensor | None:
        """[B], the mean over dimensions of p_audio, as in Tables 4 and 5."""
        return None if self.p_audio is None else self.p_audio.mean(1)


class Concat(nn.Module):
    """Equation 2: y = x_text (+) x_audio."""

    def __init__(self, n: int, n_audio: int | None = None) -> None:
        super().__init__()
        self.n_out = n + (n_audio or n)

    def forward(self, text: Tensor, audio: Tensor) -> Fused:
        """x_text [B, n], x_audio [B, n] -> y [B, 2n]."""
        return Fused(torch.cat([text, audio], dim=1), None)


class Addition(nn.Module):
    """Equation 3: y = x_text + x_audio."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.n_out = n

    def forward(self, text: Tensor, audio: Tensor) -> Fused:
        """x_text [B, n], x_audio [B, n] -> y [B, n]."""
        return Fused(text + audio, None)


class Attention(nn.Module, ABC):
    """Equations 9 and 10: softmax over the two modalities' scores, then their weighted sum.

    Subclasses give the score a_i of one modality (Equations 4-8); the same weights score both,
    unless there is `audio`, a second set of them.
    """

    def __init__(self, n: int) -> None:
        super().__init__()
        self.n_out = n
        self.score_relu = True
        self.audio: Attention | None = None

    @abstractmethod
    def score(self, x: Tensor) -> Tensor:
        """Features of one modality [B, n] -> a_i, [B, 1] or [B, n]."""

    def forward(self, text: Tensor, audio: Tensor) -> Fused:
        """x_text [B, n], x_audio [B, n] -> y [B, n]."""
        of_audio = self if self.audio is None else self.audio
        scores = torch.stack([self.score(text), of_audio.score(audio)])  # [2, B, 1 or n]
        p_text, p_audio = scores.softmax(dim=0)  # Equation 9
        return Fused(p_text * text + p_audio * audio, p_audio)  # Equation 10


class AttS1(Attention):
    """Equation 4: a_i = f(W_1^{1 x n} x_i)."""

    def __init__(self, n: int) -> None:
        super().__init__(n)
        self.w1 = nn.Linear(n, 1, bias=False)

    def score(self, x: Tensor) -> Tensor:
        """[B, n] -> [B, 1]."""
        a: Tensor = self.w1(x)
        return F.relu(a) if self.score_relu else a


class AttD1(Attention):
    """Equation 5: a_i = W_2^{1 x n} f(W_1^{n x n} x_i)."""

    def __init__(self, n: int) -> None:
        super().__init__(n)
        self.w1 = nn.Linear(n, n, bias=False)
        self.w2 = nn.Linear(n, 1, bias=False)

    def score(self, x: Tensor) -> Tensor:
        """[B, n] -> [B, 1]."""
        a: Tensor = self.w2(F.relu(self.w1(x)))
        return a


class AttSn(Attention):
    """Equation 6: a_i = f(W_1^{n x n} x_i)."""

    def __init__(self, n: int) -> None:
        super().__init__(n)
        self.w1 = nn.Linear(n, n, bias=False)

    def score(self, x: Tensor) -> Tensor:
        """[B, n] -> [B, n]."""
        a: Tensor = self.w1(x)
        return F.relu(a) if self.score_relu else a


class AttD1n(Attention):
    """Equation 7: a_i = W_1^{n x n} f(W_1^{n x n} x_i), the same W_1 twice, as printed."""

    def __init__(self, n: int) -> None:
        super().__init__(n)
        self.w1 = nn.Linear(n, n, bias=False)

    def score(self, x: Tensor) -> Tensor:
        """[B, n] -> [B, n]."""
        a: Tensor = self.w1(F.relu(self.w1(x)))
        return a


class AttD2n(Attention):
    """Equation 8: a_i = W_2^{n x n} f(W_1^{n x n} x_i)."""

    def __init__(self, n: int) -> None:
        super().__init__(n)
        self.w1 = nn.Linear(n, n, bias=False)
        self.w2 = nn.Linear(n, n, bias=False)

    def score(self, x: Tensor) -> Tensor:
        """[B, n] -> [B, n]."""
        a: Tensor = self.w2(F.relu(self.w1(x)))
        return a


#: The rows of Table 4, in its order.
FUSIONS: dict[str, type[Concat] | type[Addition] | type[Attention]] = {
    "att_s1": AttS1,
    "att_d1": AttD1,
    "att_sn": AttSn,
    "att_d1n": AttD1n,
    "att_d2n": AttD2n,
    "concat": Concat,
    "addition": Addition,
}


def fusion(config: ModelConfig, model: str) -> Concat | Addition | Attention:
    """The module of a row of Table 4."""
    kind, n = FUSIONS[model], config.n_features
    made = kind(n)
    if isinstance(made, Concat) and config.concat == "audio at 2 emb_size":
        made = Concat(n, 2 * config.emb_size)
    if isinstance(made, Attention):
        made.score_relu = config.score_relu == "as printed"
        if config.attention_weights == "one set for each modality":
            shared = replace(config, attention_weights="shared by both modalities")
            made.audio = cast(Attention, fusion(shared, model))
    return made


class Dropout(nn.Dropout):
    """Dropout whose numbers are drawn on the CPU: the same ones whatever the device."""

    def forward(self, x: Tensor) -> Tensor:
        """Any shape."""
        if not self.training or not self.p:
            return x
        return x * F.dropout(torch.ones(x.shape, dtype=x.dtype), self.p).to(x.device)


class Classifier(nn.Sequential):
    """Section 4.1: a hidden layer of 96 neurons with dropout, then one output a class."""

    def __init__(self, config: ModelConfig, n_in: int, n_classes: int) -> None:
        activations = {"ReLU": nn.ReLU, "tanh": nn.Tanh, "none": nn.Identity}
        before = config.dropout_place == "on the fused features too"
        super().__init__(
            *([Dropout(config.dropout)] if before else []),
            nn.Linear(n_in, config.hidden),
            activations[config.hidden_activation](),
            Dropout(config.dropout),
            nn.Linear(config.hidden, n_classes),
        )


class Output(NamedTuple):
    """What the model says of a batch."""

    logits: Tensor  # [B, 4]
    p_audio: Tensor | None  # [B, 1 or 400], or None without attention


class EmotionModel(nn.Module):
    """Figure 1: the two encoders, a fusion and the classifier; or one encoder alone.

    The model is a row of Table 4 (a key of `FUSIONS`), or `audio` or `text` for one modality alone;
    `n_words` counts padding and unknown. An encoder may be a subclass that computes it faster, or
    one of acoustic features.
    """

    def __init__(
        self,
        config: ModelConfig,
        model: str,
        n_words: int,
        n_classes: int,
        audio_encoder: Callable[..., nn.Module] = RawAudioEncoder,
        text_encoder: type[TranscriptionEncoder] = TranscriptionEncoder,
    ) -> None:
        super().__init__()
        n = config.n_features
        wide = model == "concat" and config.concat == "audio at 2 emb_size"
        n_audio = 2 * config.emb_size if wide else n
        self.audio = None if model == "text" else audio_encoder(config, n_audio)
        self.text = None if model == "audio" else text_encoder(config, n_words)
        self.fusion = fusion(config, model) if model in FUSIONS else None
        n_in = self.fusion.n_out if self.fusion is not None else n
        self.classifier = Classifier(config, n_in, n_classes)
        dropped = config.dropout_place == "on the text features too"
        self.text_dropout = Dropout(config.dropout if dropped else 0.0)

    def forward(self, waves: Waves | None, words: Tensor | None) -> Output:
        """One batch; `waves` is None for the text model, `words` [B, n] for the audio model."""
        x_text = self.text(words) if self.text is not None else None  # [B, 400]
        if x_text is not None:
            x_text = self.text_dropout(x_text)
        x_audio = self.audio(waves) if self.audio is not None else None  # [B, 400]
        if self.fusion is None:
            return Output(self.classifier(x_text if x_audio is None else x_audio), None)
        fused = self.fusion(x_text, x_audio)
        return Output(self.classifier(fused.features), fused.p_audio)


def parameter_counts(module: nn.Module) -> dict[str, int]:
    """Trainable parameters of each layer, by its dotted name."""
    counts: dict[str, int] = {}
    for name, parameter in module.named_parameters():
        layer = name.rpartition(".")[0]
        counts[layer] = counts.get(layer, 0) + parameter.numel()
    return counts
