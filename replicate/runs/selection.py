"""What a page selects from the store: a corpus and protocol, then models, folds and an epoch.

A selection may be empty. Its table of answers then has no rows, and what is shown of it says what
makes the runs instead.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

import numpy as np
import pandas as pd

from replicate.corpora.iemocap_ids import dialogue
from replicate.corpora.names import at_hand
from replicate.corpora.table import Corpus
from replicate.paper import EMOTIONS, PAPER_CORPUS, PAPER_FEATURES
from replicate.runs import versions
from replicate.runs.baselines import BASELINES, PROFILE
from replicate.runs.experiments import GRIDS
from replicate.runs.names import title
from replicate.runs.published import load_runs
from replicate.runs.store import SELECTIONS, Run
from replicate.settings import EMB_SIZE, FUSION_NAMES, GROUPS, RESULTS
from replicate.stats import classification


class Missing(LookupError):
    """Something that a table or figure needs is not there; false where it stands in its place.

    `what` is missing, a sentence; `remedy` is what provides it, as a rule a command.
    """

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(f"{what}\n  -> {remedy}")
        self.what = what
        self.remedy = remedy

    def __bool__(self) -> bool:
        return False


#: The models of Tables 4 and 5, then those of one modality: the order of every table.
MODELS = (*FUSION_NAMES, "audio", "text")
#: What is known of a run in `answers`, beside `run`, its position in the selection.
IDENTITY = ("corpus", "profile", "model", "embedding", "choice", "folds", "fold", "seed")
#: The columns of `answers`, and what an empty table holds where that is not text.
_ANSWERS = [
    "run", *IDENTITY, "name", "utterance", "dialogue", "emotion", "predicted", *EMOTIONS,
    "audio_score", "audio_spread",
]  # fmt: skip
_TYPES = {"run": "int64", "seed": "int64"} | dict.fromkeys(
    (*EMOTIONS, "audio_score", "audio_spread"), "float32"
)


#: Corpus -> what the names of its grids begin with, the usual first.
_GRIDS_OF = {"meld": ["text-"], PAPER_FEATURES: ["fusions-", "text-"]}


@dataclass(frozen=True)
class Selection:
    """Stored runs of one corpus and protocol, in the order of the tables; there may be none."""

    corpus: str  # name as on the command line
    profile: str  # name of the protocol
    runs: tuple[Run, ...]
    epoch: str = "last-epoch"  # whose predictions are meant, of `SELECTIONS`; empty if none are
    wanted: str = "any model"  # what was asked for, in words
    folds: str = "stratified"  # the kind that was asked for
    grid: str = ""  # what makes the runs, where that is not the grid of these folds

    def __iter__(self) -> Iterator[Run]:
        return iter(self.runs)

    def __len__(self) -> int:
        return len(self.runs)

    @property
    def heading(self) -> str:
        """Of a column with these runs' numbers: only the paper's own corpus reproduces anything."""
        return heading(self.corpus, any(run.provenance.synthetic for run in self))

    @property
    def overlap(self) -> float:
        """n_test / n_train, mean over runs, where there are several folds; else 0."""
        several = len({run.experiment.fold for run in self}) > 1
        return fmean(run.provenance.overlap for run in self) if several else 0.0

    def of(
        self,
        model: str | Collection[str] = (),
        embedding: str | Collection[str] = (),
        folds: str = "stratified",
        choice: str = "",
    ) -> "Selection":
        """The runs of some models and embeddings, by default of all; there may be none.

        Models are of `FUSION_NAMES`, `audio`, `text` or baselines, embeddings of `EMB_SIZE`, folds
        `one` (the split that all seeds share), `own` (a split of each seed's own), `stratified`
        (both), or held out, `session`, `speaker`, `scenario` or `dialogue`; `choice` is one
        of `experiments.chosen` where something is read otherwise.
        """
        models, embeddings = (
            [names] if isinstance(names, str) else list(names) for names in (model, embedding)
        )
        chosen = tuple(
            run for run in self.runs for made in [run.experiment]
            if (not models or made.model in models)
            and (not embeddings or made.embedding in embeddings)
            and _on(run, folds) and made.choice == choice
        )  # fmt: skip
        wanted = ", ".join(filter(None, (" or ".join(models), " or ".join(embeddings), choice)))
        return replace(self, runs=chosen, folds=folds, wanted=wanted or self.wanted)

    def over_splits(self) -> "Selection":
        """The runs on splits of their own where several seeds have one, else those on one split."""
        own = self.of(folds="own")
        return own if len({run.experiment.seed for run in own}) > 1 else self.of(folds="one")

    def at(self, epoch: str) -> "Selection":
        """The runs that have this choice of the epoch."""
        chosen = tuple(run for run in self.runs if len(run.selected(epoch)))
        return replace(self, runs=chosen, epoch=epoch)

    def shared(self, *by: str) -> "Selection":
        """The runs on what every model has, of one version of the corpus; there may be none.

        Some folds are easier than others, so models are compared on the same `fold`, or `seed` too.
        """
        there: dict[tuple[str, str], set[tuple[object, ...]]] = defaultdict(set)
        for run in self:
            there[run.experiment.model, run.experiment.embedding].add(_place_of(run, by))
        common = set.intersection(*there.values()) if there else set()
        chosen = tuple(run for run in self if _place_of(run, by) in common)
        wanted = f"all models on the same {' and '.join(by)}" if there else self.wanted
        return replace(self, runs=chosen, wanted=wanted)

    def answers(self) -> pd.DataFrame:
        """The table of all predictions of the selection, see `answers`."""
        return answers(self.runs, self.epoch)

    def missing(self) -> Missing:
        """That there are no such runs, and what makes them."""
        place = f"{self.corpus}, profile {self.profile}"
        kinds = {"stratified": "", "one": "", "own": ", a split for each seed"}
        kinds["dialogue"] = ", dialogues held out"
        kind = kinds.get(self.folds, f", each {self.folds} held out")
        usual = self.epoch in ("", "last-epoch")
        epoch = "" if usual else f" that have the {SELECTIONS[self.epoch]}"
        what = f"No runs of {self.wanted}{epoch} have been made on {place}{kind}."
        return Missing(what, self.command())

    def command(self) -> str:
        """What makes the runs."""
        held_out, corpus = self.folds in GROUPS, at_hand(self.corpus)
        if self.profile == PROFILE:
            folds = f" --folds {self.folds}" * held_out
            return f"replicate baselines --corpus {corpus}{folds}"
        kinds = _GRIDS_OF.get(self.corpus, [""])
        if held_out:
            named = [f"{kind}{self.folds}s" for kind in kinds]
        else:  # `tables`, on one split, has no need to be named
            own = "splits" if self.folds == "own" else ""
            named = [f"{kind}one" for kind in kinds if self.folds == "one"]
            named += [kind.strip("-") or own for kind in kinds]
        name = self.grid or next((each for each in named if each in GRIDS), "")
        grid = f" --grid {name}" if name else ""
        vectors = "" if grid or corpus == self.corpus else " --word2vec FILE"
        return f"replicate run --corpus {corpus} --profile {self.profile}{grid}{vectors}"


def heading(corpus: str, synthetic: bool) -> str:
    """Of a column with our numbers: only those on the paper's own corpus reproduce anything."""
    if synthetic:
        return "stand-in"
    return {PAPER_CORPUS: "reproduced", PAPER_FEATURES: "acoustic features"}.get(corpus, "here")


def _on(run: Run, folds: str) -> bool:
    """Whether a run is on a kind of folds, as `Selection.of` names them."""
    fold, drawn = run.experiment.fold, {"one": 0, "own": run.experiment.seed}
    return fold.name == f"stratified-{drawn[folds]}" if folds in drawn else fold.kind == folds


def _place_of(run: Run, by: Collection[str]) -> tuple[object, ...]:
    """The version of the corpus, and what a run is on, see `Selection.shared`."""
    return run.provenance.text_fingerprint, *(getattr(run.experiment, name) for name in by)


def answers(runs: Sequence[Run], epoch: str = "last-epoch") -> pd.DataFrame:
    """The predictions of runs in one table, a row for each run and test utterance.

    Runs that have none at this `epoch` have no rows. Columns: `run` (position in `runs`), those of
    `IDENTITY`, `name` (the model as tables call it), `utterance`, `dialogue`, `emotion`,
    `predicted` (the class of highest probability), that of each class, audio's score and spread.
    """
    chosen = [run.selected(epoch) for run in runs]
    if not any(map(len, chosen)):
        return pd.DataFrame({name: pd.Series(dtype=_TYPES.get(name, "str")) for name in _ANSWERS})
    known = pd.DataFrame(map(_identity, runs)).rename_axis("run").reset_index()
    known = known.loc[np.repeat(known.index, list(map(len, chosen)))].reset_index(drop=True)
    rows = pd.concat(chosen, ignore_index=True).assign(**known)
    named = rows["utterance"].map({one: dialogue(one) for one in rows["utterance"].unique()})
    rows["dialogue"] = rows["dialogue"].fillna(named) if "dialogue" in rows else named
    return rows.assign(predicted=classification.predicted(rows)).reindex(columns=_ANSWERS)


def _identity(run: Run) -> dict[str, object]:
    """What every row of a run in `answers` has."""
    made = run.experiment
    known = {name: getattr(made, name) for name in IDENTITY if name != "folds"}
    return known | {
        "folds": made.fold.kind, "fold": made.fold.name, "name": title(made.model, made.embedding)
    }  # fmt: skip


def under(run: Run, treatment: str) -> Run:
    """The run with its answers under a treatment in place of the last epoch's."""
    rows = run.treated[run.treated["treatment"] == treatment].drop(columns="treatment")
    return replace(run, predictions=rows.assign(selection="last-epoch"))


def answers_under(runs: Sequence[Run], treatments: Iterable[str]) -> pd.DataFrame:
    """The `answers` under each treatment, with a column `treatment`."""
    parts = {name: answers([under(run, name) for run in runs]) for name in treatments}
    return pd.concat(parts, names=["treatment", None]).reset_index("treatment")


def dialogues(results: Iterable[Run]) -> dict[str, str]:
    """Utterance -> its dialogue, of every utterance that baselines were tested on."""
    pairs = [result.predictions[["utterance", "dialogue"]] for result in results]
    return dict(pd.concat(pairs).drop_duplicates().itertuples(index=False)) if pairs else {}


def whole_rounds(runs: Sequence[Run], results: Iterable[Run]) -> list[Run]:
    """The runs without unfinished rounds, whose part of a kind's groups may be easier than all.

    The baselines' results on the same corpus have every group of a kind.
    """
    groups: dict[str, set[str]] = defaultdict(set)
    for result in results:
        groups[result.experiment.fold.kind].add(result.experiment.fold.held_out)
    tested: dict[tuple[object, ...], set[str]] = defaultdict(set)
    for run in runs:
        tested[_round(run)].add(run.experiment.fold.held_out)
    groups.pop("stratified", None)  # whose rounds are single runs
    return [run for run in runs if tested[_round(run)] >= groups[run.experiment.fold.kind]]


def _round(run: Run) -> tuple[object, ...]:
    """What the runs share that hold out the groups of a kind in turn."""
    made = run.experiment
    return made.model, made.embedding, made.choice, made.seed, made.fold.kind


def load(
    corpus: str,
    *profiles: str,
    seen: Corpus | None = None,
    choices: bool = False,
    root: Path = RESULTS,
) -> Selection:
    """The stored runs of a corpus, under the first of some protocols that has any.

    With `choices`, runs come along that read an open choice of the paper otherwise. `InputError` if
    a run is damaged, or saw another version of the corpus than the rest or one at hand (`seen`).
    """
    for profile in profiles:
        runs = load_runs(corpus, profile, root)
        if seen and seen.name == corpus:
            by_name = {run.experiment.name: run for run in runs}
            versions.require(by_name, versions.at_hand_for(runs, seen), root / corpus / profile)
        runs = sorted((r for r in runs if choices or not r.experiment.choice), key=_place)
        if runs:
            return Selection(corpus, profile, tuple(runs))
    return Selection(corpus, profiles[0], ())


def load_baselines(corpus: str, root: Path = RESULTS) -> Selection:
    """The stored results of the baselines on a corpus, in the order of the tables."""
    return replace(load(corpus, PROFILE, root=root), wanted="any baseline")


def _place(run: Run) -> tuple[int, int, str]:
    """Where a run stands in the tables: by embedding, then in the order of Table 4."""
    made, models = run.experiment, [*MODELS, *BASELINES]
    embeddings: list[str] = [*EMB_SIZE]
    return embeddings.index(made.embedding), models.index(made.model), made.name
