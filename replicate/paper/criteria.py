"""The kinds of criteria by which a claim is judged, each fixed before the runs.

Each has its test in a line (`test`) and what that test cannot tell (`weakness`); the judging itself
is in `replicate.verdicts.judging`.
"""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

#: The paper's classes, as in `replicate.paper.EMOTIONS`.
Emotion = Literal["anger", "happiness", "neutrality", "sadness"]

_STRICT = ConfigDict(extra="forbid")


@dataclass(frozen=True, config=_STRICT)
class Counts:
    """Numbers of utterances, exactly."""

    kind: Literal["counts"]

    test = "counts are equal"
    weakness = "the same counts do not make the same draw of utterances"


@dataclass(frozen=True, config=_STRICT)
class Accuracy:
    """Criterion A: the mean accuracy over seeds lies within `tolerance` of print.

    Attributes:
        kind: which criterion it is.
        model: the model.
        embedding: its embedding.
        tolerance: 1.96 standard deviations of the printed run: the binomial error of one run on 555
            utterances together with an assumed spread between seeds, `seed_sd`.
        seeds: fewest seeds for a verdict.
        score_tolerance: how far the mean audio score may lie from print, where it is judged.
        text_ahead: share of the seeds in which text must weigh more than audio, where it is judged.
    """

    kind: Literal["accuracy"]
    model: str
    embedding: str
    tolerance: float = 0.042
    seeds: int = 10
    score_tolerance: float | None = None
    text_ahead: float | None = None

    @property
    def test(self) -> str:
        """The test in a line."""
        parts = [f"mean accuracy of {self.seeds} seeds within {self.tolerance} of print"]
        if self.score_tolerance is not None:
            parts.append(f"mean audio score within {self.score_tolerance}")
        if self.text_ahead is not None:
            parts.append(f"text ahead in {self.text_ahead:.0%} of the seeds")
        return ", ".join(parts)

    seed_sd = 0.01

    weakness = (
        "wide: one and the same true mean could pass every row of Tables 4 and 5; narrow: the "
        "error of our own test set is not counted"
    )


@dataclass(frozen=True, config=_STRICT)
class Pair:
    """Two configurations, as `model-embedding`, of which one is claimed to be better."""

    better: str
    worse: str


@dataclass(frozen=True, config=_STRICT)
class Difference:
    """Criterion D: the paired 95 % interval of each difference excludes 0; Holm over the pairs."""

    kind: Literal["difference"]
    pairs: tuple[Pair, ...]
    seeds: int = 10

    @property
    def test(self) -> str:
        """The test in a line."""
        holm = ", Holm's correction" if len(self.pairs) > 1 else ""
        return f"paired t test over {self.seeds} seeds{holm}"

    weakness = "seeds of one split vary less than splits do; ten seeds miss small differences"


@dataclass(frozen=True, config=_STRICT)
class Order:
    """Kendall's tau between the printed and the reproduced order; its interval excludes 0."""

    kind: Literal["order"]
    embedding: str
    seeds: int = 10

    test = "Kendall's tau with the printed order, bootstrap over seeds"
    weakness = "tau above 0 is far less than the same order"


@dataclass(frozen=True, config=_STRICT)
class ScoreSpread:
    """The standard deviation of scores over utterances lies within a factor of print."""

    kind: Literal["score spread"]
    factor: float
    seeds: int = 10

    @property
    def test(self) -> str:
        """The test in a line."""
        return f"standard deviation over utterances within a factor of {self.factor:g}"

    weakness = "a spread of scores says nothing about what the scores follow"


@dataclass(frozen=True, config=_STRICT)
class ConfusionRates:
    """Each rate of Table 7 lies within so many binomial standard errors of print."""

    kind: Literal["confusion rates"]
    model: str
    embedding: str
    standard_errors: float
    seeds: int = 10

    @property
    def test(self) -> str:
        """The test in a line."""
        return f"each rate within {self.standard_errors:g} binomial standard errors of print"

    weakness = "eight rates are judged at once, and the error of our own test set is not counted"


@dataclass(frozen=True, config=_STRICT)
class Ranks:
    """The stated ranks hold with this probability over bootstrap samples of test utterances."""

    kind: Literal["ranks"]
    model: str
    embedding: str
    probability: float
    seeds: int = 10

    @property
    def test(self) -> str:
        """The test in a line."""
        return f"each rank has a bootstrap probability of at least {self.probability:g}"

    weakness = "utterances are drawn one by one, although those of a dialogue resemble each other"


@dataclass(frozen=True, config=_STRICT)
class ErrorSpread:
    """Neutrality is each other class's commonest error; its own errors pass for even."""

    kind: Literal["error spread"]
    model: str
    embedding: str
    significance: float
    seeds: int = 10

    @property
    def test(self) -> str:
        """The test in a line."""
        return (
            "neutrality is the commonest error of each other class; chi-square does not reject at "
            f"{self.significance:g} that its own errors are even"
        )

    weakness = (
        "the commonest error need not be most of the errors; that a test does not reject evenness "
        "is no proof of it"
    )


@dataclass(frozen=True, config=_STRICT)
class Words:
    """Each printed ratio lies in the Wilson interval of ours, and the association has its sign."""

    kind: Literal["words"]
    emotion: Emotion
    negative: tuple[str, ...] = ()

    test = "printed ratio inside the Wilson interval of ours, same direction of association"
    weakness = (
        "a word that occurs a few times has an interval that holds almost any ratio; the error of "
        "the printed ratio is not counted, and several words are judged at once"
    )


@dataclass(frozen=True, config=_STRICT)
class Loudness:
    """Each value of Table 8 lies within `tolerance` (relative) of print, classes in its order.

    `rounding` is half a unit of the last printed place: 12 % of the smallest printed value.
    """

    kind: Literal["loudness"]
    tolerance: float
    rounding: float = 0.0005

    @property
    def test(self) -> str:
        """The test in a line."""
        return f"each value within {self.tolerance:.0%} of print and its rounding, same order"

    weakness = "it checks the recordings, not a model"


@dataclass(frozen=True, config=_STRICT)
class Extremes:
    """Criterion D for loudness, with speakers as units.

    One class lies below, another above every other class, in mean |x| and in standard deviation.
    """

    kind: Literal["extremes"]
    softest: Emotion
    loudest: Emotion

    test = "paired t test over speakers for each class and measure, Holm's correction"
    weakness = "loudness depends on the session's recording level as well as on the speaker"


@dataclass(frozen=True, config=_STRICT)
class PrintedTable7:
    """A statement about Table 7 that the printed table itself decides."""

    kind: Literal["printed table 7"]

    test = "the statement against the printed table"
    weakness = ""


@dataclass(frozen=True, config=_STRICT)
class PrintedInterval:
    """Two printed accuracies: does the interval of the one hold the other?"""

    kind: Literal["printed interval"]

    test = "the other figure inside the Wilson interval of the printed one"
    weakness = "unpaired: other features, perhaps another split"


@dataclass(frozen=True, config=_STRICT)
class Quoted:
    """Figures of another paper, which can only be checked there."""

    kind: Literal["quoted"]

    test = "none: quoted from another paper"
    weakness = ""


@dataclass(frozen=True, config=_STRICT)
class NoCriterion:
    """No run of ours can settle the claim, and why."""

    kind: Literal["none"]
    reason: str

    test = "none"
    weakness = ""


Criterion = Annotated[
    Counts | Accuracy | Difference | Order | ScoreSpread | ConfusionRates | Ranks | ErrorSpread
    | Words | Loudness | Extremes | PrintedTable7 | PrintedInterval | Quoted | NoCriterion,
    Field(discriminator="kind"),
]  # fmt: skip
