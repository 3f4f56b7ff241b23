"""Which runs may decide: those that are what their profile says, of one version of the corpus."""

from collections import Counter
from dataclasses import replace

from replicate.files import InputError
from replicate.runs.experiments import PROFILES, Experiment, chosen
from replicate.runs.selection import Selection
from replicate.runs.store import Run
from replicate.runs.versions import Seen, differing, seen_by_most
from replicate.settings import EMB_SIZE, ModelConfig


def fit(runs: Selection) -> tuple[Selection, str]:
    """The runs that may decide, and in words which others play no part; empty if all do.

    `InputError` if a run is given twice.
    """
    places = Counter(run.experiment.place for run in runs)
    if twice := [place for place, count in places.items() if count > 1]:
        what = f"is given {places[twice[0]]} times"
        raise InputError(twice[0], what, "give each run once, and one reading of open choices")
    seen = seen_by_most(runs)
    faults = [_fault(run, seen) for run in runs]
    counts = Counter(filter(None, faults))
    told = ", ".join(f"{count} {fault}" for fault, count in counts.items())
    kept = tuple(run for run, fault in zip(runs, faults, strict=True) if not fault)
    return replace(runs, runs=kept), f"play no part: {told}" if told else ""


def _fault(run: Run, seen: Seen) -> str:
    """Why a run may not decide; empty if it may."""
    made = run.experiment
    if not isinstance(made, Experiment) or made != _as_its_profile_says(made):
        return "with other settings than their profile's"
    if len(run.epochs) != made.training.epochs:
        return "with fewer or more epochs than they say"
    if run.provenance.dirty:
        return "by code that is in no commit"
    if differing(run.provenance, seen):
        return "on another version of the corpus"
    return ""


def _as_its_profile_says(made: Experiment) -> Experiment:
    """The experiment that its name promises; of another profile than ours, itself."""
    if made.profile not in PROFILES:
        return made
    acoustic = made.architecture.audio_input.startswith("acoustic")
    architecture = ModelConfig(
        emb_size=EMB_SIZE[made.embedding],
        audio_input="acoustic features, linear map" if acoustic else "raw waveforms",
    )
    training = PROFILES[made.profile].training
    promised = replace(made, training=training, architecture=architecture)
    return chosen(promised, made.choice) if made.choice else promised
