"""The stand-in's language: a text symbol, a topic and a length become an utterance.

The words are in `grammar.yml`. Of an utterance's clauses at least one carries the symbol.
"""

import random
import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any

import yaml

from replicate.corpora.standin.channels import PRESETS, Channels
from replicate.paper import EMOTIONS

#: The share of clauses, beyond the one that must, which carry the symbol.
CUE_DENSITY = 0.3
#: How often a slot takes a word of the topic rather than any word.
TOPIC_SHARE = 0.7
WORDS_PER_CLAUSE = 6.3
MOST_CLAUSES = 14
_SLOT = r"\{(\w+)\}"


#: Slot -> the words that one dialogue prefers there.
Topic = Mapping[str, Sequence[str]]


@cache
def load() -> dict[str, Any]:
    """`grammar.yml`; `words` holds the fillers of each slot."""
    text = (resources.files(__package__) / "grammar.yml").read_text(encoding="utf-8")
    data: dict[str, Any] = yaml.safe_load(text)
    for slot, fillers in data["words"].items():
        data["words"][slot] = fillers.split() if isinstance(fillers, str) else fillers
    return data


def topic(name: str, rng: random.Random) -> Topic:
    """The topic of scenario or script `name`, with four people who are talked about."""
    return {**load()["topics"][name], "name": rng.sample(load()["words"]["name"], 4)}


def _fill(template: str, about: Topic, rng: random.Random) -> str:
    """Put words into a template's slots, no word twice."""
    used: set[str] = set()

    def word(slot: re.Match[str]) -> str:
        kind = slot.group(1)
        if kind in ("do", "did"):
            action = rng.choice(load()["actions"])[kind == "did"]
            return re.sub(_SLOT, word, action)
        topical = kind in about and rng.random() < TOPIC_SHARE
        choices = (about if topical else load()["words"])[kind]
        used.add(chosen := rng.choice([choice for choice in choices if choice not in used]))
        return chosen

    filled = re.sub(_SLOT, word, template)
    return re.sub(r"\b([Aa]) (?=[aeio]|u(?!ni|ku))", r"\1n ", filled)


def _clauses(symbol: dict[str, Any], about: Topic, words: int, rng: random.Random) -> list[str]:
    """Clauses of about `words` words in all, one of them, anywhere, surely the symbol's."""
    if words <= 4:
        return [_fill(rng.choice(symbol["short"]), about, rng)]
    sure = rng.randrange(max(1, round(words / WORDS_PER_CLAUSE)))
    clauses: list[str] = []
    while len(clauses) <= sure or (
        len(" ".join(clauses).split()) < words - 2 and len(clauses) < MOST_CLAUSES
    ):
        cue = len(clauses) == sure or rng.random() < CUE_DENSITY
        template = rng.choice(symbol["clauses"] if cue else load()["shared"])
        clauses.append(_fill(template, about, rng))
    return clauses


def _punctuate(clauses: list[str], symbol: dict[str, Any], rng: random.Random) -> str:
    """Fillers, full stops and capitals."""
    text, starts_sentence = "", True
    for place, clause in enumerate(clauses):
        if rng.random() < symbol["filler_rate"] * (0.6 if place else 1.0):
            filler = rng.choice(load()["fillers"])
            clause = f"{filler}, {clause}"
        if starts_sentence:
            clause = clause[0].upper() + clause[1:]
        end = ""
        if not clause.endswith("?"):
            exclaims = symbol["exclaims"] and rng.random() < 0.25
            stops = place == len(clauses) - 1 or rng.random() < 0.5
            end = "!" if exclaims else "." if stops else ","
        text += f" {clause}{end}"
        starts_sentence = end != ","
    return text.strip()


def utterance(symbol: int, about: Topic, words: int, rng: random.Random) -> str:
    """An utterance of about `words` words that carries text symbol `symbol` (of `EMOTIONS`)."""
    carrier = load()["symbols"][EMOTIONS[symbol]]
    return _punctuate(_clauses(carrier, about, words, rng), carrier, rng)


def perform(line: str, rng: random.Random) -> str:
    """A script's line as it comes out in one performance: as written, or with a word more."""
    chance = rng.random()
    if chance < 0.25:
        opener = rng.choice(load()["openers"])
        first = line.split()[0]
        named = first.strip(",") in load()["words"]["name"]
        keeps_capital = named or first.rstrip(".,?!").split("'")[0] == "I"
        rest = line if keeps_capital else line[0].lower() + line[1:]
        return f"{opener[0].upper()}{opener[1:]}, {rest}"
    if chance < 0.4:
        closer = rng.choice(load()["closers"])
        return f"{line[:-1]}, {closer}{line[-1]}"
    return line


def tagged(words: str, laughter: bool, breath: bool, rng: random.Random) -> str:
    """Add the tags of what is heard beside the words: a breath before, a laugh before or after."""
    if laughter:
        words = f"[LAUGHTER] {words}" if rng.random() < 0.5 else f"{words} [LAUGHTER]"
    return f"[BREATHING] {words}" if breath else words


def sentences(n: int, seed: int) -> list[str]:
    """`n` further utterances of the grammar, to train word vectors on.

    Every text symbol and topic is equally likely; tags are as frequent as in the default preset.
    The random state is none of the corpora's; a short utterance may still occur in both.
    """
    states = (random.Random(f"stand-in sentences|{seed}|{i}") for i in range(n))
    return [sentence(rng.randrange(len(EMOTIONS)), PRESETS["default"], rng) for rng in states]


def sentence(symbol: int, model: Channels, rng: random.Random) -> str:
    """An utterance that carries a text symbol, on any topic, with the tags that go with it."""
    about = topic(rng.choice(sorted(load()["topics"])), rng)
    words = utterance(symbol, about, length(rng), rng)
    laughter = rng.random() < model.laughter[symbol]
    return tagged(words, laughter, rng.random() < model.breath[symbol], rng)


def length(rng: random.Random) -> int:
    """A number of words, log-normal, 1 to 45."""
    return max(1, min(45, round(rng.lognormvariate(2.13, 0.72))))
