"""What each turn of the cast says, how, and how loud: everything but the sound.

Each utterance draws its symbols from the channels (see `channels`). A script is a list of lines and
a line has four readings, one for each text symbol: a performance draws its classes and symbols
like any other dialogue and speaks the readings that the symbols pick. So scripts repeat from
session to session, as IEMOCAP's do, while the words depend on the class through the symbol alone.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import pandas as pd
from scipy.special import rel_entr

from replicate.corpora.standin import grammar
from replicate.corpora.standin.casting import Turn, cast, choose, rng_for, scene
from replicate.corpora.standin.channels import (
    LEVEL_RANGE,
    LOG_LEVEL,
    PRESETS,
    Channels,
    level_step,
    observables,
    prior,
)
from replicate.paper import EMOTIONS


@dataclass(frozen=True)
class Planned(Turn):
    """One utterance, before it is spoken; laughter and breath are written and heard."""

    text_symbol: int  # J
    prosody_symbol: int  # K
    laughter: bool
    breath: bool
    level: float  # mean |x| of the recording, of full scale
    transcript: str  # with tags
    seed: str  # of its voice


def plan(size: str, preset: str) -> list[Planned]:
    """The utterances of a corpus, dialogue by dialogue in the order of names, then of time."""
    model, turns = PRESETS[preset], cast(size)
    levels = _levels(turns, model.loudness, size)
    return [_planned(turn, model, level, size) for turn, level in zip(turns, levels, strict=True)]


def _planned(turn: Turn, model: Channels, level: float, size: str) -> Planned:
    """Draw what the class lets through, and find the words."""
    rng = rng_for(size, turn.utterance, "symbols")
    text_symbol = choose(model.text[turn.acted], rng.random())
    prosody_symbol = choose(model.prosody[turn.acted], rng.random())
    laughter = rng.random() < model.laughter[text_symbol]
    breath = rng.random() < model.breath[text_symbol]
    words = _words(turn, text_symbol, size)
    return Planned(
        **vars(turn),
        text_symbol=text_symbol,
        prosody_symbol=prosody_symbol,
        laughter=laughter,
        breath=breath,
        level=level,
        transcript=grammar.tagged(words, laughter, breath, rng),
        seed=f"stand-in|{size}|{turn.utterance}|voice",
    )


def _words(turn: Turn, symbol: int, size: str) -> str:
    """Improvised words, or one performance of the line's reading for this symbol."""
    played = scene(turn.dialogue)
    if not played.startswith("script"):
        rng = rng_for(size, turn.utterance, "words")
        about = grammar.topic(played, rng_for(size, turn.dialogue, "topic"))
        return grammar.utterance(symbol, about, grammar.length(rng), rng)
    # The speaker's own count is the line's number: a script's roles are fixed.
    line = (played, turn.utterance.rsplit("_", 1)[1])
    about = grammar.topic(played.split("_")[0], rng_for(played, "topic"))
    words = grammar.length(rng_for(*line, "length"))
    written = grammar.utterance(symbol, about, words, rng_for(*line, EMOTIONS[symbol]))
    return grammar.perform(written, rng_for(size, turn.utterance, "performance"))


def _levels(turns: list[Turn], by_class: bool, size: str) -> list[float]:
    """Every turn's level: evenly spaced quantiles of its class's levels, in random order.

    Even spacing keeps a small corpus near Table 8, too. Where the level must not follow the class,
    the cohort's levels are dealt out over the whole cohort.
    """
    levels = [0.0] * len(turns)
    for cohort in (True, False):
        positions, values = [], []
        for acted, name in enumerate(EMOTIONS):
            members = [p for p, t in enumerate(turns) if t.in_cohort == cohort and t.acted == acted]
            rng = rng_for(size, cohort, name, "levels")
            positions += members
            values += rng.sample(_quantiles(acted, len(members)), len(members))
        if not by_class:
            values = rng_for(size, cohort, "pooled levels").sample(values, len(values))
        for position, value in zip(positions, values, strict=True):
            levels[position] = value
    return levels


def _quantiles(acted: int, n: int) -> list[float]:
    """`n` evenly spaced quantiles of the class's mean |x|."""
    low, high = LEVEL_RANGE
    distribution = NormalDist(*LOG_LEVEL[acted])
    exact = (math.exp(distribution.inv_cdf((i + 0.5) / n)) for i in range(n))
    return [min(max(value, low), high) for value in exact]


def evidence(size: str, preset: str) -> pd.DataFrame:
    """What each modality of each utterance of the cohort tells: nothing is spoken for it.

    Index `utterance`; `dialogue`; `text` and `audio`, the pointwise information on the true class
    c, log2 P(c | symbols) / P(c), below 0 where the symbols mislead; `text_gain` and `audio_gain`,
    the information gained, whatever the class: the divergence of P(C | symbols) from P(C). The
    means of both are the bits of `channels.ceilings`: of J, and of K, L and T.
    """
    said = [turn for turn in plan(size, preset) if turn.in_cohort]
    seen = observables(PRESETS[preset])
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
