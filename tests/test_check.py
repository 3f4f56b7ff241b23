"""`replicate corpus check`: verdicts on good, bad and half-good trees."""

import shutil
from pathlib import Path

import pytest
from trees import COHORT, UTTERANCES, label_file, tone, transcript_file, wav_file, write_iemocap
from trees import write_wav as write

from replicate.corpora.check import check, render


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
    text = render(report)
    assert len(report.problems) == len(COHORT) + 2 + 2  # two sessions are not there at all
    for problem in report.problems:
        assert f"{problem.severity}  {problem.place}: {problem.what}" in text
        assert f"-> {problem.remedy}" in text
    assert f"{path}:1: is not UTF-8" in text
    assert f"{path}:2: no utterance id" in text
    order = [problem.severity for problem in report.problems]
    assert order == sorted(order, key=["fatal", "damaged", "note"].index)


def test_emotions_outside_the_four_are_said_to_be(tmp_path):
    for letter in "WLEAFTN":
        write(tmp_path / f"03a01{letter}a.wav", tone())
    report = check("emodb", tmp_path)
    assert report.usable
    assert "3 of boredom, disgust, fear are outside" in report.verdict
