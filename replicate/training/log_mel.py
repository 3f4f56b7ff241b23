"""A control of Section 3.1: what a common network hears in the same recordings, trained alike."""

from typing import cast

import torch
from torch import Tensor, nn
from torchaudio.transforms import MelSpectrogram

from replicate.model import Waves
from replicate.settings import SAMPLE_RATE, ModelConfig

#: Bands of the mel scale, and channels of each convolution: as many parameters, to one in a
#: hundred, as the paper's encoder has.
BANDS, CHANNELS = 40, 8
#: The least power whose logarithm is taken, that of a sine of one step of 16 bits.
FLOOR = 1e-7


class LogMelEncoder(nn.Module):
    """Logarithms of mel bands, 25 ms long every 10 ms, three convolutions, the maximum over time.

    It stands where the raw encoder does: zero-padded waveforms [B, T] -> x_audio [B, 400].
    """

    def __init__(self, config: ModelConfig, n_features: int | None = None) -> None:
        super().__init__()
        self.mel = MelSpectrogram(SAMPLE_RATE, n_fft=400, hop_length=160, n_mels=BANDS)
        self.layers = nn.Sequential()
        for before in (1, CHANNELS, CHANNELS):
            self.layers.extend(
                [
                    nn.Conv2d(before, CHANNELS, 3, padding=1),
                    nn.BatchNorm2d(CHANNELS),
                    nn.ReLU(),
                    nn.MaxPool2d(2, ceil_mode=True),
                ]
            )
        self.projection = nn.Linear(CHANNELS * BANDS // 8, n_features or config.n_features)

    def forward(self, waves: Waves) -> Tensor:
        """[B, T] -> [B, 400]."""
        mel = self.mel(cast(Tensor, waves))  # [B, 40, F], F frames
        x = self.layers(torch.log(mel + FLOOR)[:, None])  # [B, 8, 5, F / 8]
        x_audio: Tensor = self.projection(x.amax(3).flatten(1))  # [B, 40] -> [B, 400]
        return x_audio
