"""`replicate corpus check`: verdicts on good, bad and half-good trees."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from test_corpora import real
from trees import COHORT, UTTERANCES, label_file, tone, transcript_file, wav_file, write_iemocap
from trees import write_wav as write

from replicate.corpora.check import DISTRIBUTED, check, lacking, render
from replicate.corpora.opening import read_corpus
from replicate.corpora.table import Corpus


@pytest.fixture
def tree(tmp_path) -> Path:
    return write_iemocap(tmp_path)


def damage_recordings(tree: Path, *utterances: str) -> None:
    for utterance in utterances:
        write(wav_file(tree, utterance), tone(), rate=44_100)


def drop(tree: Path, folder: str) -> None:
    for session in tree.glob("Session*"):
        shutil.rmtree(session / folder)


def test_a_good_tree_serves_everything(tree):
    report = check("iemocap", tree)
    assert report.usable
    assert report.verdict.startswith(f"usable with audio and text: {len(COHORT)} utterances")
    outside = sorted({label for u, (_, label, _) in UTTERANCES.items() if u not in COHORT})
    assert report.verdict.endswith(f"6 of {', '.join(outside)} are outside")


def test_the_tables_count_and_measure(tree):
    tables = check("iemocap", tree).tables
    labels = tables["By label"].reset_index().set_index("label")
    assert labels["utterances"].to_dict() == {
        label: sum(other == label for _, other, _ in UTTERANCES.values())
        for _, label, _ in UTTERANCES.values()
    }
    assert labels.loc["exc", "class"] == "happiness"
    assert tables["By session and class"].loc["5", "anger"] == 1
    assert tables["By speaker and class"].loc["Ses01_M"].to_dict() == {
        "anger": 0,
        "happiness": 1,
        "neutrality": 1,
        "sadness": 0,
        "(all)": 2,
    }
    durations = tables["Durations in seconds"]
    assert durations.loc["anger", "count"] == 2
    assert durations.loc["anger", "min"] == 0.05


def test_a_tree_without_recordings_serves_text_only(tree):
    drop(tree, "sentences")
    report = check("iemocap", tree)
    assert report.usable
    assert "text-only" in report.verdict
    assert "no recordings" in report.verdict
    assert "Durations in seconds" not in report.tables


def test_a_tree_without_transcripts_serves_audio_only(tree):
    drop(tree, "dialog/transcriptions")
    report = check("iemocap", tree)
    assert report.usable
    assert "audio-only" in report.verdict


def test_a_tree_with_neither_serves_nothing(tree):
    drop(tree, "sentences")
    drop(tree, "dialog/transcriptions")
    report = check("iemocap", tree)
    assert not report.usable
    assert "unusable" in report.verdict


def test_damaged_recordings_leave_text_until_they_are_skipped(tree):
    damage_recordings(tree, "Ses01F_impro01_F000", "Ses01F_impro01_F005")
    as_is = check("iemocap", tree)
    assert as_is.usable
    assert "text-only" in as_is.verdict
    assert "1 damaged recordings" in as_is.verdict
    severities = {p.utterance: p.severity for p in as_is.problems if p.utterance}
    assert severities == {"Ses01F_impro01_F000": "damaged", "Ses01F_impro01_F005": "note"}
    skipped = check("iemocap", tree, skip_damaged=True)
    assert skipped.verdict.startswith(f"usable with audio and text: {len(COHORT) - 1} utterances")


def test_a_missing_recording_is_named(tree):
    wav_file(tree, COHORT[0]).unlink()
    text = render(check("iemocap", tree))
    assert f"{COHORT[0]} has no recording" in text


def test_damage_to_the_labels_is_unusable_until_skipped(tree):
    path = label_file(tree, "Ses01F_impro01")
    path.write_text(path.read_text() + "[1.0 - 2.0]\tSes01F_impro01_F001\tneu\t[2, 3, 2]\n")
    report = check("iemocap", tree)
    assert not report.usable
    assert "--skip-damaged" in report.verdict
    line = len(path.read_text().splitlines())
    assert f"damaged  {path}:{line}: Ses01F_impro01_F001 occurs a second time" in render(report)
    assert check("iemocap", tree, skip_damaged=True).usable


def test_a_missing_class_is_unusable(tree):
    for path in tree.glob("Session*/dialog/EmoEvaluation/*.txt"):
        path.write_text(path.read_text().replace("\tsad\t", "\tfru\t"))
    report = check("iemocap", tree)
    assert not report.usable
    assert "sadness" in report.verdict


def test_a_class_that_is_lost_with_its_damaged_recordings_leaves_text(tree):
    damage_recordings(tree, "Ses01F_impro01_F002", "Ses05M_script01_1b_F012")
    report = check("iemocap", tree, skip_damaged=True)
    assert report.usable
    assert "text-only" in report.verdict


def test_many_problems_that_are_alike_are_one_line(tree):
    damage_recordings(tree, *COHORT[:4])
    short = wav_file(tree, COHORT[5])
    short.write_bytes(short.read_bytes()[:-100])
    report = check("iemocap", tree)
    shown = render(report)
    (line,) = (line for line in shown.splitlines() if "44100 Hz" in line)
    assert line.startswith("damaged  4 alike") and line.endswith("and 1 more)")
    assert all(utterance in line for utterance in COHORT[:3]) and COHORT[3] not in shown
    assert "damaged  " + str(short) in shown, "another kind"
    every = render(report, every=True)
    assert "alike" not in every and all(utterance in every for utterance in COHORT[:4])


def test_a_copy_is_held_against_the_corpus_as_distributed(tree):
    report = check("iemocap", tree)
    (lacking,) = (p for p in report.problems if p.severity == "missing")
    for part in ("5 of 151 dialogues", "16 of 10,039 utterances", "Ses02 1 of 1,811", "fru 1 of 1"):
        assert part in lacking.what
    assert "sessions" not in lacking.what, "all five are there"
    assert "10,023 of the 10,039 utterances as distributed are missing" in report.verdict


def whole(name: str) -> Corpus:
    """As many utterances of each label, session, dialogue and speaker as are distributed."""
    known = DISTRIBUTED[name]
    labels = [label for label, count in known.labels.items() for _ in range(count)]
    table = pd.DataFrame({"label": labels})
    for column, count in known.columns.items():
        table[column] = np.arange(len(table)) % count
    prefixes = [part for part, count in known.parts.items() for _ in range(count)] or ""
    table["utterance"] = prefixes
    return Corpus(name, name, Path("nowhere"), table, {})


@pytest.mark.parametrize("name", DISTRIBUTED)
def test_a_whole_copy_lacks_nothing_and_one_lost_utterance_is_seen(name):
    corpus = whole(name)
    assert lacking(corpus) == []
    (problem,) = lacking(replace(corpus, utterances=corpus.utterances[1:]))
    count = len(corpus.utterances)
    assert f"{count - 1:,} of {count:,} utterances" in problem.what


@pytest.mark.parametrize(
    ("name", "folder"),
    [("iemocap-features", "."), ("meld", "meld")],
)
def test_the_real_files_lack_nothing(name, folder):
    assert lacking(read_corpus(name, real(folder))) == []


def test_the_real_counts_are_those_of_the_released_list():
    listed = pd.read_csv(real("iemocap-acoustics") / "levels.csv")
    known = DISTRIBUTED["iemocap"]
    assert listed["label"].value_counts().to_dict() == known.labels
    assert listed["utterance"].str[:5].value_counts().to_dict() == known.parts


@pytest.mark.parametrize("root", ["empty", "absent"])
def test_a_wrong_root_is_fatal(tmp_path, root):
    (tmp_path / "empty").mkdir()
    report = check("iemocap", tmp_path / root)
    assert not report.usable
    assert [problem.severity for problem in report.problems] == ["fatal"]
    assert str(tmp_path / root) in render(report)
    assert "-> give the folder" in render(report)


def test_every_problem_is_printed_with_its_place_and_remedy(tree):
    damage_recordings(tree, *COHORT)
    path = transcript_file(tree, "Ses03M_impro05a")
    path.write_bytes(path.read_bytes().replace(b"Next", b"N\xe9xt") + b"M: [BREATHING]\n")
    report = check("iemocap", tree)
    assert len(report.problems) == len(COHORT) + 2 + 1  # the last: it is less than IEMOCAP
    text = render(report, every=True)
    for problem in report.problems:
        assert f"{problem.severity}  {problem.place}: {problem.what}" in text
        assert f"-> {problem.remedy}" in text
    assert f"{path}:1: is not UTF-8" in text
    assert f"{path}:2: no utterance id" in text
    order = [problem.severity for problem in report.problems]
    assert order == sorted(order, key=["fatal", "damaged", "missing", "note"].index)


def test_emotions_outside_the_four_are_said_to_be(tmp_path):
    for letter in "WLEAFTN":
        write(tmp_path / f"03a01{letter}a.wav", tone())
    report = check("emodb", tmp_path)
    assert report.usable
    assert "3 of boredom, disgust, fear are outside" in report.verdict
