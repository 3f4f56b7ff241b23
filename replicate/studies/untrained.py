"""The gates of untrained attention on random features: where models start, before any data."""

import numpy as np
import torch
from torch import Tensor

from replicate.model import FUSIONS, Attention

#: Untrained modules of each kind, and random utterances for each.
MODELS, UTTERANCES = 10, 200

#: The fusions with attention, in the order of Table 4.
ATTENTION = {name: kind for name, kind in FUSIONS.items() if issubclass(kind, Attention)}


def strengthened(
    attention: Attention, text: Tensor, audio: Tensor, sd: float
) -> tuple[Tensor, Tensor]:
    """Features scaled so that their scores have this standard deviation.

    Equations 4-8 have no bias: scores grow in proportion to the features.
    """
    scale = sd / torch.cat([attention.score(text), attention.score(audio)]).std()
    return text * scale, audio * scale


@torch.no_grad()
def untrained_gates(
    model: str, n: int, rectify_text: bool = False, sd: float | None = None
) -> np.ndarray:
    """Gates of untrained attention modules on n random features: [MODELS, UTTERANCES, 1 or n].

    An utterance's score is the mean over the last axis. `model` is a key of `ATTENTION`; with
    `rectify_text`, negative text features are 0, as after a ReLU, else features of both modalities
    are drawn alike, standard normal; `sd` of the scores is by default what untrained weights give.
    """
    gates = []
    for seed in range(MODELS):
        torch.manual_seed(seed)
        attention = ATTENTION[model](n)
        text, audio = torch.randn(2, UTTERANCES, n)
        if rectify_text:
            text = text.relu()
        if sd is not None:
            text, audio = strengthened(attention, text, audio, sd)
        gates.append(attention(text, audio).p_audio)
    return torch.stack(gates).numpy()
