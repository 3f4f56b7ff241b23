"""What the text and the sound of single utterances tell about their class, in bits."""

import numpy as np
import pandas as pd
from scipy.special import rel_entr

from replicate.corpora.standin.channels import channels, level_step, observables, prior
from replicate.corpora.standin.planning import plan


def evidence(size: str, preset: str) -> pd.DataFrame:
    """What each modality of each utterance of the cohort tells: nothing is spoken for it.

    Index `utterance`; `dialogue`; `text` and `audio`, the pointwise information on the true class
    c, log2 P(c | symbols) / P(c), below 0 where the symbols mislead; `text_gain` and `audio_gain`,
    the information gained, whatever the class: the divergence of P(C | symbols) from P(C). The
    means of both are the bits of `channels.ceilings`. As there, the text's symbol is J, and the
    audio's are K, L and T.
    """
    said = [turn for turn in plan(size, preset) if turn.in_cohort]
    seen = observables(channels(preset))
    tags = [2 * turn.laughter + turn.breath for turn in said]
    levels = [level_step(turn.level) for turn in said]
    likelihoods = {  # [4, utterances] each
        "text": seen.text[:, [turn.text_symbol for turn in said]],
        "audio": seen.prosody[:, [turn.prosody_symbol for turn in said]]
        * seen.tags[:, tags]
        * seen.loudness[:, levels],
    }
    acted, each = [turn.acted for turn in said], range(len(said))
    told = {"dialogue": [turn.dialogue for turn in said]}
    for modality, likelihood in likelihoods.items():
        joint = prior()[:, None] * likelihood
        posterior = joint / joint.sum(0)
        told[modality] = np.log2(posterior[acted, each] / prior()[acted])
        told[f"{modality}_gain"] = rel_entr(posterior, prior()[:, None]).sum(0) / np.log(2)
    return pd.DataFrame(told, pd.Index([turn.utterance for turn in said], name="utterance"))
