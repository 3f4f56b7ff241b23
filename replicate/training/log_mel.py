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
#: Added to powers before the logarithm: less than a sine of one step of 16 bits has.
FLOOR = 1e-7


class LogMelEncoder(nn.Module):
    """Logarithms of mel bands, three convolutions of stride 2 with ReLU, the maximum over time.

    A frame is 25 ms long, one begins every 10 ms. It takes and gives what the raw encoder does:
    zero-padded waveforms [B, T] -> x_audio [B, 400].
    """

    def __init__(self, config: ModelConfig, n_features: int | None = None) -> None:
        super().__init__()
        self.mel = MelSpectrogram(SAMPLE_RATE, n_fft=400, hop_length=160, n_mels=BANDS)
        self.layers = nn.Sequential()
        for before in (1, CHANNELS, CHANNELS):
            convolution = nn.Conv2d(before, CHANNELS, 3, stride=2, padding=1)
            self.layers.extend([convolution, nn.BatchNorm2d(CHANNELS), nn.ReLU()])
        self.projection = nn.Linear(CHANNELS * BANDS // 8, n_features or config.n_features)

    def forward(self, waves: Waves) -> Tensor:
        """[B, T] -> [B, 400]."""
        mel = self.mel(cast(Tensor, waves))  # [B, 40, F], F frames
        x = self.layers(torch.log(mel + FLOOR)[:, None])  # [B, 8, 5, F / 8]
        x_audio: Tensor = self.projection(x.amax(3).flatten(1))  # [B, 40] -> [B, 400]
        return x_audio
