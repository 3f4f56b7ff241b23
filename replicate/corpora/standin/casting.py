"""The cast: dialogues, who speaks when, and each utterance's emotion and label.

Everything here depends on the size of the corpus alone; presets share it.
"""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import NamedTuple

from replicate.corpora.iemocap import EXCITED, HAPPY
from replicate.paper import CLASS_SIZES, EMOTIONS

SCRIPTS = ("01_1", "01_2", "01_3", "02_1", "02_2", "03_1", "03_2")

#: How one speaker's class follows the last, in IEMOCAP: rows and columns as `EMOTIONS`.
TRANSITIONS = (
    (0.867, 0.005, 0.078, 0.050),
    (0.004, 0.885, 0.084, 0.027),
    (0.082, 0.082, 0.800, 0.037),
    (0.040, 0.049, 0.059, 0.852),
)
#: Dialogues of IEMOCAP in which one, two, three and four classes occur.
CLASSES_IN_DIALOGUE = (16, 73, 45, 17)

LABELS = ("ang", "hap", "neu", "sad")

#: Labels outside the cohort: how often, and the class acted (weights as `EMOTIONS`) when annotators
#: choose that label.
OTHER_LABELS = {
    "fru": (50, (5, 0, 3, 2)),
    "xxx": (38, (2, 2, 4, 2)),
    "sur": (6, (1, 4, 1, 0)),
    "fea": (3, (1, 0, 0, 2)),
    "oth": (2, (1, 1, 1, 1)),
    "dis": (1, (3, 0, 1, 0)),
}
OTHER_SHARE = 0.15
SHORTEST, LONGEST = 2, 400  # utterances of a dialogue


class Size(NamedTuple):
    """A size of the corpus: cohort utterances of each class, and the dialogues' names, sorted."""

    counts: tuple[int, int, int, int]
    dialogues: list[str]


def _played(scenes: Iterable[str], *further: str) -> list[str]:
    """Scenes (who wears the markers, and what) in every session, and further dialogues."""
    return sorted(
        [*(f"Ses0{session}{each}" for session in range(1, 6) for each in scenes), *further]
    )


_FEW = ("F_impro01", "F_script01_1", "M_impro02", "M_script02_1")
_MORE = (*_FEW, "F_impro03", "F_script02_2", "M_impro04", "M_script01_2")
_SCENES = (*(f"impro{n:02d}" for n in range(1, 9)), *(f"script{name}" for name in SCRIPTS))
_EVERY = [f"{marked}_{scene}" for marked in "FM" for scene in _SCENES]
SIZES = {
    "tiny": Size((12, 18, 18, 12), _played(_FEW)),
    "quick": Size((120, 177, 185, 118), _played(_FEW)),
    "medium": Size((319, 473, 494, 314), _played(_MORE)),
    "full": Size(CLASS_SIZES, _played(_EVERY, "Ses05M_script01_1b")),
}


@dataclass(frozen=True)
class Turn:
    """One utterance, as far as the cast goes; ids and labels as in IEMOCAP."""

    utterance: str
    dialogue: str
    speaker: str  # session and sex, for example `01F`
    label: str
    acted: int  # class that the channels start from; with a label of the cohort, the true one

    @property
    def in_cohort(self) -> bool:
        """Whether its label is one of the paper's."""
        return self.label not in OTHER_LABELS


def cast(name: str) -> list[Turn]:
    """The turns of a corpus of size `name`: dialogue by dialogue, in order of time."""
    turns, counts = _unlabelled(SIZES[name], name), SIZES[name].counts
    others = _others(len(turns) - sum(counts), name)
    outside = set(rng_for(name, "outside").sample(range(len(turns)), len(others)))
    inside = [turn for position, turn in enumerate(turns) if position not in outside]
    cohort, other = iter(_cohort_labels(_classes(inside, counts, name), name)), iter(others)
    drawn = [next(other if position in outside else cohort) for position in range(len(turns))]
    return [
        replace(turn, label=label, acted=acted)
        for turn, (label, acted) in zip(turns, drawn, strict=True)
    ]


def rng_for(*key: object) -> random.Random:
    """A random state of its own for each key."""
    return random.Random("stand-in|" + "|".join(map(str, key)))


def choose(weights: Sequence[float], chance: float) -> int:
    """The index at which the cumulated weights pass `chance` (0 to 1) of their sum."""
    left = chance * sum(weights)
    for index, weight in enumerate(weights):
        left -= weight
        if left < 0:
            return index
    return max(index for index, weight in enumerate(weights) if weight)


def _shares(total: int, weights: Sequence[float]) -> list[int]:
    """Whole numbers in proportion to the weights, `total` in all (largest remainders)."""
    exact = [total * weight / sum(weights) for weight in weights]
    whole = [int(value) for value in exact]
    order = sorted(range(len(exact)), key=lambda i: whole[i] - exact[i])
    for index in order[: total - sum(whole)]:
        whole[index] += 1
    return whole


# Turns: dialogues, lengths, who speaks ------------------------------------------------------------


def scene(dialogue: str) -> str:
    """`impro03` or `script02_1` (a script continued in a second recording is the same script)."""
    return dialogue.split("_", 1)[1].rstrip("ab")


def _unlabelled(size: Size, name: str) -> list[Turn]:
    """Every utterance's id, dialogue and speaker; label and class still open."""
    cohort = sum(size.counts)
    total = cohort + round(cohort * OTHER_SHARE / (1 - OTHER_SHARE))
    turns = []
    for dialogue, length in zip(size.dialogues, _lengths(size, name, total), strict=True):
        spoken = {"F": 0, "M": 0}
        for sex in _speakers(dialogue, name)[:length]:
            utterance = f"{dialogue}_{sex}{spoken[sex]:03d}"
            turns.append(Turn(utterance, dialogue, dialogue[3:5] + sex, "", 0))
            spoken[sex] += 1
    return turns


def _lengths(size: Size, name: str, total: int) -> list[int]:
    """Utterances of each dialogue: a script's performances are about as long as each other."""
    weights = []
    for dialogue in size.dialogues:
        scripted = "script" in dialogue
        base = rng_for(name, scene(dialogue) if scripted else dialogue, "length").gauss(1, 0.45)
        weights.append(min(max(base, 0.1), 3) * rng_for(name, dialogue, "pace").gauss(1, 0.08))
    return [SHORTEST + n for n in _shares(total - SHORTEST * len(weights), weights)]


def _speakers(dialogue: str, name: str) -> str:
    """Whose turn it is, F or M. A script's roles are the same in every performance."""
    rng = rng_for(scene(dialogue) if "script" in dialogue else f"{name}|{dialogue}", "turns")
    turns = rng.choice("FM")
    while len(turns) < LONGEST:
        turns += turns[-1] if rng.random() < 0.2 else {"F": "M", "M": "F"}[turns[-1]]
    return turns


# Labels: exact counts, emotions that persist ------------------------------------------------------


def _others(n: int, name: str) -> list[tuple[str, int]]:
    """Label and class of the utterances outside the cohort, in random order."""
    rng = rng_for(name, "others")
    numbers = _shares(n, [share for share, _ in OTHER_LABELS.values()])
    drawn = [
        (label, choose(acted, rng.random()))
        for (label, (_, acted)), number in zip(OTHER_LABELS.items(), numbers, strict=True)
        for _ in range(number)
    ]
    rng.shuffle(drawn)
    return drawn


def _cohort_labels(classes: list[int], name: str) -> list[tuple[str, int]]:
    """Label and class; which happy utterances are `exc` is left to chance."""
    happy = [position for position, acted in enumerate(classes) if EMOTIONS[acted] == "happiness"]
    excited = _shares(len(happy), (HAPPY, EXCITED))[1]
    chosen = set(rng_for(name, "excited").sample(happy, excited))
    return [
        ("exc" if position in chosen else LABELS[acted], acted)
        for position, acted in enumerate(classes)
    ]


def _classes(turns: list[Turn], counts: Sequence[int], name: str) -> list[int]:
    """The class of every cohort utterance, `counts` of each in all."""
    moods = _moods([*dict.fromkeys(turn.dialogue for turn in turns)], name)
    last: dict[tuple[str, str], int] = {}
    classes = []
    for turn in turns:
        who, mood = (turn.dialogue, turn.speaker), moods[turn.dialogue]
        weights = _next(mood, last.get(who, mood[0]))
        last[who] = choose(weights, rng_for(name, turn.utterance, "class").random())
        classes.append(last[who])
    return _balanced(classes, turns, counts, rng_for(name, "balance"))


def _moods(dialogues: list[str], name: str) -> dict[str, list[int]]:
    """The classes that may occur in each dialogue; the first of them evenly spread in a session."""
    moods = {}
    for session in sorted({dialogue[:5] for dialogue in dialogues}):
        rng = rng_for(name, session, "moods")
        members = [dialogue for dialogue in dialogues if dialogue.startswith(session)]
        for place, dialogue in enumerate(rng.sample(members, len(members))):
            first = choose(CLASS_SIZES, (place + 0.5) / len(members))
            moods[dialogue] = _with_others(first, rng_for(name, dialogue, "moods"))
    return moods


def _with_others(first: int, rng: random.Random) -> list[int]:
    """A dialogue's classes: how many as in IEMOCAP, the others those that `first` turns into."""
    moods = [first]
    for _ in range(choose(CLASSES_IN_DIALOGUE, rng.random())):
        row = [0.0 if c in moods else weight for c, weight in enumerate(TRANSITIONS[first])]
        moods.append(choose(row, rng.random()))
    return moods


def _next(moods: Sequence[int], now: int) -> list[float]:
    """Weights of a speaker's next class: as likely to change as in IEMOCAP, within the moods."""
    row = TRANSITIONS[now]
    others = [weight * (c in moods and c != now) for c, weight in enumerate(row)]
    change = (1 - row[now]) / (sum(others) or 1)
    return [row[c] if c == now else change * weight for c, weight in enumerate(others)]


def _balanced(
    classes: list[int], turns: list[Turn], counts: Sequence[int], rng: random.Random
) -> list[int]:
    """Turn utterances of too frequent classes, where a speaker's mood changes if possible."""
    classes = list(classes)
    spoken: dict[tuple[str, str], list[int]] = {}
    for position, turn in enumerate(turns):
        spoken.setdefault((turn.dialogue, turn.speaker), []).append(position)
    pairs = [pair for run in spoken.values() for a, b in pairwise(run) for pair in ((a, b), (b, a))]
    while True:
        surplus = [classes.count(c) - wanted for c, wanted in enumerate(counts)]
        if not any(surplus):
            return classes
        source, target = surplus.index(max(surplus)), surplus.index(min(surplus))
        borders = [a for a, b in pairs if (classes[a], classes[b]) == (source, target)]
        anywhere = [position for position, acted in enumerate(classes) if acted == source]
        classes[rng.choice(borders or anywhere)] = target
