"""Readers: real trees, odd trees, and independent listings of the same files."""

import dataclasses
import json
import math
import os
import pickle
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
import soundfile
import torchaudio
from click.testing import CliRunner
from slow_build import build_slowly, files_seen, is_whole
from trees import (
    COHORT,
    UTTERANCES,
    label_file,
    seconds,
    tone,
    transcript_file,
    wav_file,
    write_iemocap,
    write_wav,
)

from replicate.__main__ import main
from replicate.corpora import emodb, iemocap, iemocap_text, meld, nemo
from replicate.corpora.iemocap_ids import EMOTIONS, parse
from replicate.corpora.opening import open_corpus, open_text, read_corpus
from replicate.corpora.protocol import cohort, split
from replicate.corpora.standin.manifest import is_as_noted
from replicate.corpora.table import COLUMNS, Corpus, text_fingerprint, utterance_table
from replicate.corpora.waveforms import open_waveforms
from replicate.files import InputError, build_once, remove_abandoned, replacing
from replicate.settings import Fold

DATA = Path(__file__).parents[2] / "shared" / "data"


def real(name: str) -> Path:
    """A folder of real data, or skip."""
    if not (DATA / name).is_dir():
        pytest.skip(f"no real data at {DATA / name}")
    return DATA / name


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("REPLICATE_CACHE", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.delenv("REPLICATE_DATA", raising=False)


#: Has no main guard: what builds in processes of its own may not rely on one.
SCRIPT = """
from replicate.corpora.opening import read_corpus
from replicate.corpora.table import text_fingerprint
print(text_fingerprint(read_corpus("standin-tiny").utterances))
"""


@pytest.fixture(scope="module")
def standin_cache(tmp_path_factory):
    """A cache folder with the tiny stand-in, and what the two scripts that asked for it saw."""
    folder = tmp_path_factory.mktemp("standin")
    script = folder / "script.py"
    script.write_text(SCRIPT)
    asking = [
        subprocess.Popen(
            [sys.executable, script],
            env=os.environ | {"REPLICATE_CACHE": str(folder)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    return folder, [process.communicate()[0].strip() for process in asking]


@pytest.fixture
def standin(standin_cache, monkeypatch) -> list[str]:
    folder, prints = standin_cache
    monkeypatch.setenv("REPLICATE_CACHE", str(folder))
    return prints


@pytest.fixture
def tree(tmp_path) -> Path:
    return write_iemocap(tmp_path)


def of(corpus: Corpus, severity: str) -> list[tuple[str, str | None]]:
    """Where the problems of a severity lie, and whom they concern."""
    return [(p.place, p.utterance) for p in corpus.problems if p.severity == severity]


# IEMOCAP: ids


@pytest.mark.parametrize(
    ("utterance", "dialogue", "session", "speaker", "scripted", "scenario"),
    [
        ("Ses01F_impro01_M003", "Ses01F_impro01", "1", "Ses01_M", False, "impro01"),
        ("Ses03M_impro05a_F010", "Ses03M_impro05a", "3", "Ses03_F", False, "impro05"),
        ("Ses02F_script03_2_F000", "Ses02F_script03_2", "2", "Ses02_F", True, "script03"),
        ("Ses05M_script01_1b_F012", "Ses05M_script01_1b", "5", "Ses05_F", True, "script01"),
        ("Ses04F_script01_3_MXX0", "Ses04F_script01_3", "4", "Ses04_M", True, "script01"),
    ],
)
def test_an_id_names_the_talker_by_its_last_letter(
    utterance, dialogue, session, speaker, scripted, scenario
):
    found = parse(utterance)
    assert found is not None
    assert (found.utterance, found.dialogue, found.session) == (utterance, dialogue, session)
    assert (found.speaker, found.gender) == (speaker, speaker[-1])
    assert (found.scripted, found.scenario) == (scripted, scenario)


@pytest.mark.parametrize("odd", ["M", "Ses01F_impro01", "Ses01F_impro01_M", "Ses01F_song01_M000"])
def test_what_is_no_id_is_not_parsed(odd):
    assert parse(odd) is None


def test_the_real_ids_give_dialogues_speakers_scenarios_and_sessions():
    published = pd.read_csv(real("iemocap-metadata") / "utterances.csv")
    rows = [{**vars(parse(u)), "label": label} for u, label, _ in published.to_numpy()]
    table = utterance_table(rows)
    assert table.groupby("scripted")["dialogue"].nunique().to_dict() == {False: 80, True: 71}
    assert table["speaker"].nunique() == 10
    assert set(table["session"]) == set("12345")
    assert sorted(table["scenario"].unique()) == [
        *(f"impro{n:02d}" for n in range(1, 9)),
        *(f"script{n:02d}" for n in range(1, 4)),
    ]
    chosen = cohort(Corpus("iemocap", "IEMOCAP", Path(), table, EMOTIONS))
    by_session = {s: len(split(chosen, Fold("session", s)).test) for s in "12345"}
    digits = published["utterance"].str[4]
    assert by_session == digits.value_counts().to_dict()


# IEMOCAP: the tree


def test_an_iemocap_tree_is_read_whole(tree):
    corpus = iemocap.read(tree)
    table = corpus.utterances
    assert list(table.columns) == list(COLUMNS)
    assert dict(zip(table["utterance"], table["label"], strict=True)) == {
        u: label for u, (_, label, _) in UTTERANCES.items()
    }
    assert dict(zip(table["utterance"], table["transcript"], strict=True)) == {
        u: text for u, (_, _, text) in UTTERANCES.items()
    }
    assert table["wav"].tolist() == [str(wav_file(tree, u)) for u in table["utterance"]]
    assert table["start"].tolist() == [UTTERANCES[u][0] for u in table["utterance"]]
    lengths = table["utterance"].map(seconds)
    assert np.allclose(table["end"] - table["start"], lengths)
    assert corpus.problems == ()
    assert table["utterance"].tolist() == list(UTTERANCES)  # dialogues, then time


def test_the_root_may_be_the_release_or_its_parent(tree):
    inside, outside = iemocap.read(tree), iemocap.read(tree.parent)
    pd.testing.assert_frame_equal(inside.utterances, outside.utterances)


def test_the_order_of_creation_does_not_matter(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first = iemocap.read(write_iemocap(tmp_path / "a")).utterances
    second = iemocap.read(write_iemocap(tmp_path / "b", order=-1)).utterances
    pd.testing.assert_frame_equal(first.drop(columns="wav"), second.drop(columns="wav"))
    assert text_fingerprint(first) == text_fingerprint(second)


def test_stray_files_and_annotators_folders_do_no_harm(tree):
    clean = iemocap.read(tree)
    labels = label_file(tree, "Ses01F_impro01")
    for folder in ("Attribute", "Categorical", "Self-evaluation"):
        (labels.parent / folder).mkdir()
        shutil.copy(labels, labels.parent / folder / "Ses01F_impro01_e2_cat.txt")
    for path in (labels, transcript_file(tree, "Ses01F_impro01"), wav_file(tree, COHORT[0])):
        path.with_name(f"._{path.name}").write_bytes(b"\0\5\26\7 Mac OS X \xff")
    (labels.parent / ".DS_Store").write_bytes(b"\0\0")
    assert iemocap.read(tree).problems == clean.problems
    pd.testing.assert_frame_equal(iemocap.read(tree).utterances, clean.utterances)


def test_line_endings_and_a_byte_order_mark_do_not_matter(tree):
    clean = iemocap.read(tree)
    for path in tree.glob("Session*/dialog/*/Ses*.txt"):
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    pd.testing.assert_frame_equal(iemocap.read(tree).utterances, clean.utterances)


def test_a_line_that_is_not_utf8_is_read_and_noted(tree):
    path = transcript_file(tree, "Ses03M_impro05a")
    path.write_bytes(b"Ses03M_impro05a_M000 [000.5-001.5]: Caf\xe9, \x93please\x94.\n")
    corpus = iemocap.read(tree)
    text = corpus.utterances.set_index("utterance")["transcript"]
    assert text["Ses03M_impro05a_M000"] == "Café, “please”."
    assert (f"{path}:1", None) in of(corpus, "note")
    assert of(corpus, "damaged") == []


def test_odd_transcription_lines_are_noted_and_left_out(tree):
    clean = iemocap.read(tree)
    path = transcript_file(tree, "Ses01F_impro01")
    before = len(path.read_text().splitlines())
    with path.open("a") as file:
        file.write("Ses01F_impro01_FXX0 [030.0-031.0]: Yes.\n\nM: Yes.\nno colon here\n")
    corpus = iemocap.read(tree)
    pd.testing.assert_frame_equal(corpus.utterances, clean.utterances)
    places = {place for place, _ in of(corpus, "note")}
    assert {f"{path}:{before + line}" for line in (1, 3, 4)} <= places
    assert f"{path}:{before + 2}" not in places  # an empty line is nothing odd


def test_a_transcription_line_without_brackets_is_read(tree):
    path = transcript_file(tree, "Ses03M_impro05a")
    path.write_text("Ses03M_impro05a_M000: Next,   please.\n")
    assert "Next, please." in iemocap.read(tree).utterances["transcript"].tolist()


def test_a_dialogue_without_labels_is_damage(tree):
    path = label_file(tree, "Ses01F_impro01")
    path.unlink()
    corpus = iemocap.read(tree)
    assert (str(path), None) in of(corpus, "damaged")
    with pytest.raises(InputError, match="no labels for Ses01F_impro01"):
        open_corpus("iemocap", tree)
    assert len(open_corpus("iemocap", tree, skip_damaged=True).utterances)


@pytest.mark.parametrize(
    ("said", "left_out"),
    [("1", True), ("Yes", True), ("on", True), ("true", True)]
    + [(no, False) for no in ("", " ", "0", "no", "False", "off")],
)
def test_the_environment_says_yes_or_no_as_the_command_line_reads_it(
    tree, monkeypatch, said, left_out
):
    wav_file(tree, COHORT[0]).write_bytes(b"")
    monkeypatch.setenv("REPLICATE_SKIP_DAMAGED", said)
    kept = set(open_corpus("iemocap", tree).utterances["utterance"])
    assert (COHORT[0] not in kept) == left_out
    audible = ["corpus", "check", "iemocap", str(tree)]
    shown = CliRunner().invoke(main, audible, env={"REPLICATE_SKIP_DAMAGED": said})
    assert ("text-only" not in shown.output) == left_out


def test_a_word_that_is_neither_yes_nor_no_is_refused(tree, monkeypatch):
    monkeypatch.setenv("REPLICATE_SKIP_DAMAGED", "perhaps")
    with pytest.raises(InputError, match="REPLICATE_SKIP_DAMAGED=perhaps"):
        open_corpus("iemocap", tree)


@pytest.mark.parametrize("by", ["argument", "environment"])
def test_an_utterance_with_a_damaged_recording_is_left_out_when_asked_for(tree, monkeypatch, by):
    wav_file(tree, COHORT[0]).write_bytes(b"")
    assert COHORT[0] in set(open_corpus("iemocap", tree).utterances["utterance"])
    if by == "environment":
        monkeypatch.setenv("REPLICATE_SKIP_DAMAGED", "1")
    left = open_corpus("iemocap", tree, True if by == "argument" else None)
    assert COHORT[0] not in set(left.utterances["utterance"])
    assert open_waveforms(left).problems == ()


def test_a_missing_transcript_is_damage_inside_the_cohort_only(tree):
    path = transcript_file(tree, "Ses01F_impro01")
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(line for line in lines if "_F000" not in line and "_F003" not in line))
    corpus = iemocap.read(tree)
    assert of(corpus, "damaged") == [(str(path), "Ses01F_impro01_F000")]
    assert (str(path), "Ses01F_impro01_F003") in of(corpus, "note")
    with pytest.raises(InputError, match=r"Ses01F_impro01_F000 has no transcript[^-]*\n *restore"):
        open_corpus("iemocap", tree)
    left = open_corpus("iemocap", tree, skip_damaged=True).utterances
    assert set(UTTERANCES) - set(left["utterance"]) == {"Ses01F_impro01_F000"}
    assert left.index.tolist() == list(range(len(left)))


def test_a_tree_without_recordings_serves_text(tree):
    for session in tree.glob("Session*"):
        shutil.rmtree(session / "sentences")
    corpus = open_corpus("iemocap", tree)
    assert not corpus.has_audio
    assert len(cohort(corpus)) == len(COHORT)


@pytest.mark.parametrize("label", ["ang", "neu"])
def test_a_duplicate_id_is_damage(tree, label):
    path = label_file(tree, "Ses01F_impro01")
    with path.open("a") as file:
        file.write(f"[1.5000 - 2.5000]\tSes01F_impro01_F000\t{label}\t[2.5, 3.0, 2.5]\n")
    corpus = iemocap.read(tree)
    assert of(corpus, "damaged") == [
        (f"{path}:{len(path.read_text().splitlines())}", "Ses01F_impro01_F000")
    ]
    assert corpus.utterances["utterance"].is_unique


def test_a_second_different_transcript_is_damage_and_the_same_one_is_not(tree):
    path = transcript_file(tree, "Ses03M_impro05a")
    once = path.read_text()
    path.write_text(once * 2)
    assert of(iemocap.read(tree), "damaged") == []
    path.write_text(once + once.replace("Next", "You"))
    assert of(iemocap.read(tree), "damaged") == [(f"{path}:2", "Ses03M_impro05a_M000")]


def test_a_broken_label_line_is_damage(tree):
    path = label_file(tree, "Ses03M_impro05a")
    lines = [*path.read_text().splitlines(), "[1.0 - \tSes03M_impro05a_M001"]
    path.write_text("\n".join(lines))
    assert of(iemocap.read(tree), "damaged") == [(f"{path}:{len(lines)}", None)]


@pytest.mark.parametrize("kind", ["folder", "dangling link", "binary"])
@pytest.mark.parametrize("which", [label_file, transcript_file])
def test_a_text_file_that_cannot_be_read_is_damage(tree, kind, which):
    path = which(tree, "Ses03M_impro05a")
    path.unlink()
    if kind == "folder":
        path.mkdir()
    elif kind == "dangling link":
        path.symlink_to(tree / "nowhere")
    else:
        path.write_bytes(bytes(range(256)))
    assert (str(path), None) in of(iemocap.read(tree), "damaged")
    with pytest.raises(InputError, match=path.name):
        open_corpus("iemocap", tree)


def test_a_recording_without_a_label_has_lost_it(tree):
    extra, overlap = (wav_file(tree, f"Ses03M_impro05a_F{n}") for n in ("009", "XX0"))
    for path in (extra, overlap):
        write_wav(path, tone())
    corpus = iemocap.read(tree)
    assert of(corpus, "damaged") == [(str(extra), None)]
    assert of(corpus, "note") == [(str(overlap), None)]
    assert "Ses03M_impro05a_F009" not in corpus.utterances["utterance"].tolist()


@pytest.mark.parametrize(
    "form",
    [
        lambda line: f" {line}",
        lambda line: f"\t{line}  ",
        lambda line: line.replace("\t", " "),
        lambda line: line.replace(" - ", "-").replace("[", "[ ", 1),
        lambda line: line.replace("neu", "NEU"),
        lambda line: line.replace("neu", "Neu"),
    ],
)
def test_the_form_of_a_label_line_does_not_matter(tree, form):
    clean = iemocap.read(tree)
    path = label_file(tree, "Ses03M_impro05a")
    lines = path.read_text().splitlines()
    path.write_text("\n".join(form(line) if line.startswith("[") else line for line in lines))
    corpus = iemocap.read(tree)
    pd.testing.assert_frame_equal(corpus.utterances, clean.utterances)
    assert corpus.problems == ()


def test_the_case_of_names_and_ids_does_not_matter(tree):
    clean = iemocap.read(tree)
    for path in [*tree.rglob("*.txt"), *tree.rglob("*.wav")]:
        path.rename(path.with_suffix(path.suffix.upper()))
    for path in tree.rglob("Ses01*.TXT"):
        path.write_text(re.sub("Ses01[^ \\t]*", lambda found: found[0].lower(), path.read_text()))
        path.rename(path.with_name(path.name.lower()))
    corpus = iemocap.read(tree)
    assert corpus.problems == () and corpus.utterances["wav"].notna().all()
    pd.testing.assert_frame_equal(
        corpus.utterances.drop(columns="wav"), clean.utterances.drop(columns="wav")
    )


@pytest.mark.parametrize(
    "spoil",
    [
        lambda line: line[1:],
        lambda line: line.removeprefix("[7.0000 - "),
        lambda line: line.replace("neu", "ne"),
        lambda line: line[:30],
        lambda line: "",
    ],
)
def test_a_lost_label_line_is_damage(tree, spoil):
    path = label_file(tree, "Ses01F_impro01")
    lines = path.read_text().splitlines()
    path.write_text("\n".join(spoil(line) if "\tneu\t" in line else line for line in lines))
    assert of(iemocap.read(tree), "damaged")
    with pytest.raises(InputError, match="Ses01F_impro01"):
        open_corpus("iemocap", tree)
    left = open_corpus("iemocap", tree, skip_damaged=True).utterances
    assert set(UTTERANCES) - set(left["utterance"]) == {"Ses01F_impro01_M001"}


@pytest.mark.parametrize("left", ["nothing", "an empty folder", "empty folders", "no labels"])
def test_a_session_that_is_missing_or_empty_is_damage(tree, left):
    session = tree / "Session4"
    if left == "no labels":
        label_file(tree, "Ses04M_impro01").write_text("")
    else:
        shutil.rmtree(session)
        if left != "nothing":
            session.mkdir()
        if left == "empty folders":
            (session / "dialog" / "EmoEvaluation").mkdir(parents=True)
    assert (str(tree), None) in of(iemocap.read(tree), "damaged")
    with pytest.raises(InputError, match="Session4"):
        open_corpus("iemocap", tree)
    assert len(open_corpus("iemocap", tree, skip_damaged=True).utterances) == len(UTTERANCES) - 1


@pytest.mark.parametrize("name", ["iemocap", "iemocap-features", "emodb", "nemo", "meld"])
@pytest.mark.parametrize("root", ["empty", "wrong", "absent", "file"])
def test_a_root_without_the_corpus_is_refused(tmp_path, name, root):
    (tmp_path / "empty").mkdir()
    (tmp_path / "wrong" / "Session1").mkdir(parents=True)
    (tmp_path / "wrong" / "song.wav").write_bytes(b"RIFF")
    (tmp_path / "file").write_text("no corpus")
    with pytest.raises(InputError) as refusal:
        open_corpus(name, tmp_path / root)
    assert str(tmp_path / root) in refusal.value.place
    assert refusal.value.remedy


def test_labels_must_not_be_missing_altogether(tree):
    for path in tree.glob("Session*/dialog/EmoEvaluation/*.txt"):
        path.unlink()
    with pytest.raises(InputError, match="no labelled utterance"):
        iemocap.read(tree)


# IEMOCAP: against torchaudio

TORCHAUDIO = ["neu", "hap", "ang", "sad", "exc", "fru"]  # the labels that it keeps


def torchaudio_listing(tree: Path, beside: Path) -> dict[str, tuple[str, str]]:
    """Utterance -> (label, path) as torchaudio lists a tree."""
    (beside / "IEMOCAP").symlink_to(tree, target_is_directory=True)
    listing = torchaudio.datasets.IEMOCAP(beside)
    found = [listing.get_metadata(n) for n in range(len(listing))]
    return {name: (label, path) for path, _, name, label, _ in found}


def our_listing(corpus: Corpus, tree: Path) -> dict[str, tuple[str, str]]:
    """The same from our reader, of the six labels that torchaudio keeps."""
    table = corpus.utterances[corpus.utterances["label"].isin(TORCHAUDIO)]
    table = table[table["wav"].notna()]
    return {
        row.utterance: (row.label, Path(row.wav).relative_to(tree).as_posix())
        for row in table.itertuples()
    }


def test_torchaudio_lists_the_same(tree, tmp_path_factory):
    wav_file(tree, "Ses05M_script01_1b_F012").unlink()
    theirs = torchaudio_listing(tree, tmp_path_factory.mktemp("beside"))
    assert theirs == our_listing(iemocap.read(tree), tree)
    assert set(theirs) == {*COHORT, "Ses01F_impro01_M002"} - {"Ses05M_script01_1b_F012"}


def test_torchaudio_lists_the_same_of_the_stand_in(standin, tmp_path):
    corpus = open_corpus("standin-tiny")
    (tree,) = corpus.root.glob("IEMOCAP*")
    theirs = torchaudio_listing(tree, tmp_path)
    assert theirs == our_listing(corpus, tree)
    assert set(cohort(corpus)["utterance"]) <= set(theirs)


# IEMOCAP's transcripts


def test_the_published_transcripts_are_counted():
    entries = list(iemocap_text.entries(real("iemocap-text") / "iemocap.pkl"))
    assert len(entries) == 7433
    assert len({dialogue for dialogue, *_ in entries}) == 151
    assert Counter(label for *_, label, _ in entries) == {
        "ang": 1103, "hap": 595 + 53, "exc": 1041, "neu": 1708, "sad": 1084, "fru": 1849,
    }  # fmt: skip
    assert all(text for *_, text in entries)


CONTENT = [
    {"Ses01F_impro01": ["F", "M", "F"], "Ses02M_script01_1": ["M"]},
    {"Ses01F_impro01": [0, 3, 4], "Ses02M_script01_1": [5]},
    {"Ses01F_impro01": ["One.", "Two.\n", "Three."], "Ses02M_script01_1": ["Four."]},
]


def pickled(folder: Path, content: object) -> Path:
    (folder / "iemocap.pkl").write_bytes(pickle.dumps(content))
    return folder


def entries_of(folder: Path) -> list[tuple]:
    return list(iemocap_text.entries(folder / "iemocap.pkl"))


def test_entries_are_in_time_order(tmp_path):
    assert entries_of(pickled(tmp_path, [*CONTENT, [], [], []])) == [
        ("Ses01F_impro01", 0, "F", "hap", "One."),
        ("Ses01F_impro01", 1, "M", "ang", "Two."),
        ("Ses01F_impro01", 2, "F", "exc", "Three."),
        ("Ses02M_script01_1", 0, "M", "fru", "Four."),
    ]


class Malicious:
    def __init__(self, target: Path) -> None:
        self.target = str(target)

    def __reduce__(self):
        return os.mkdir, (self.target,)


def test_an_empty_line_of_meld_is_damage(tmp_path):
    path = write_meld(tmp_path) / "dev_sent_emo.csv"
    path.write_text(path.read_text("utf-8").replace(",Right,", ", ,"), "utf-8")
    assert of(meld.read(tmp_path), "damaged") == [(f"{path}:5", "dev_dia1_utt0")]


def test_a_pickle_that_asks_for_code_is_refused_and_not_run(tmp_path):
    target = tmp_path / "created by the pickle"
    folder = pickled(tmp_path, [*CONTENT, Malicious(target)])
    with pytest.raises(InputError, match="plain containers only"):
        entries_of(folder)
    assert not target.exists()
    pickle.loads((folder / "iemocap.pkl").read_bytes())  # an ordinary unpickler would run it
    assert target.exists()


@pytest.mark.parametrize(
    "content",
    [
        {},
        [],
        [1, 2, 3],
        CONTENT[:2],
        [CONTENT[0], CONTENT[1], {"Ses01F_impro01": ["One."]}],
        [CONTENT[0], {**CONTENT[1], "Ses02M_script01_1": [6]}, CONTENT[2]],
        [CONTENT[0], {**CONTENT[1], "Ses02M_script01_1": ["ang"]}, CONTENT[2]],
        [{**CONTENT[0], "Ses02M_script01_1": ["X"]}, CONTENT[1], CONTENT[2]],
        [CONTENT[0], CONTENT[1], {**CONTENT[2], "Ses02M_script01_1": [4]}],
    ],
)
def test_a_pickle_of_something_else_is_refused(tmp_path, content):
    with pytest.raises(InputError, match=r"iemocap\.pkl"):
        entries_of(pickled(tmp_path, content))


def test_a_pickle_cut_short_is_refused(tmp_path):
    path = pickled(tmp_path, CONTENT) / "iemocap.pkl"
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError, match=r"iemocap\.pkl"):
            entries_of(tmp_path)


# EmoDB


def test_the_real_emodb_is_read():
    corpus = open_corpus("emodb", real("emodb"))
    assert cohort(corpus)["emotion"].value_counts().to_dict() == {
        "anger": 127,
        "happiness": 71,
        "neutrality": 79,
        "sadness": 62,
    }
    table = corpus.utterances
    assert table["speaker"].nunique() == 10
    assert table.groupby("scenario")["transcript"].nunique().eq(1).all()
    assert corpus.problems == ()


def test_all_seven_emotions_of_emodb_are_read_and_four_used(tmp_path):
    for letter in "WLEAFTN":
        write_wav(tmp_path / f"03a01{letter}a.wav", tone())
    write_wav(tmp_path / "notes.wav", tone())
    corpus = emodb.read(tmp_path)
    assert sorted(corpus.utterances["label"]) == sorted(emodb.LABELS.values())
    assert sorted(cohort(corpus)["utterance"]) == ["03a01Fa", "03a01Na", "03a01Ta", "03a01Wa"]
    assert of(corpus, "note") == [(str(tmp_path / "notes.wav"), None)]


def test_the_case_of_names_does_not_matter_to_emodb(tmp_path):
    for name in ("03a01Wa.wav", "03a01Fa.WAV", "03A01NA.WAV", "03a01Ta.Wav"):
        write_wav(tmp_path / name, tone())
    corpus = emodb.read(tmp_path)
    assert sorted(cohort(corpus)["utterance"]) == ["03a01Fa", "03a01Na", "03a01Ta", "03a01Wa"]
    assert corpus.problems == ()
    write_wav(tmp_path / "03a01wa.wav", tone())
    assert of(emodb.read(tmp_path), "damaged") == [(str(tmp_path / "03a01wa.wav"), "03a01Wa")]


# nEMO


def test_the_real_nemo_is_read():
    corpus = open_corpus("nemo", real("nemo"))
    sizes = {"anger": 749, "happiness": 749, "neutrality": 809, "sadness": 769}
    assert cohort(corpus)["emotion"].value_counts().to_dict() == sizes
    table = corpus.utterances
    assert table["speaker"].nunique() == 9
    assert table.groupby("scenario")["transcript"].nunique().eq(1).all()
    assert corpus.problems == ()


NEMO = ("anger", "fear", "happiness", "neutral", "sadness", "surprised")


def write_nemo(root: Path, ending: str = "wav", rate: int = 24_000) -> Path:
    """Two speakers, one sentence in six emotions, in nEMO's layout."""
    rows = ["file_id\temotion\traw_text\tnormalized_text\tspeaker_id\tgender\tage"]
    (root / "samples").mkdir(parents=True)
    for speaker in ("AB0", "CD0"):
        for emotion in NEMO:
            name = f"{speaker}_{emotion}_7"
            rows.append(f"{name}.wav\t{emotion}\tA.\ta\t    {speaker}\tfemale\t30")
            soundfile.write(root / "samples" / f"{name}.{ending}", tone(0.5), rate)
    (root / "data.tsv").write_text("\n".join(rows) + "\n")
    return root


@pytest.mark.parametrize(("ending", "rate"), [("wav", 24_000), ("FLAC", 16_000)])
def test_all_six_emotions_of_nemo_are_read_in_either_form_and_four_used(
    tmp_path, monkeypatch, ending, rate
):
    monkeypatch.setenv("REPLICATE_CACHE", str(tmp_path / "cache"))
    corpus = nemo.read(write_nemo(tmp_path / "nemo", ending, rate))
    assert sorted(set(corpus.utterances["label"])) == sorted(NEMO)
    assert len(cohort(corpus)) == 8
    assert corpus.problems == ()
    heard = open_waveforms(corpus)
    assert set(heard.lengths) == {math.ceil(len(tone(0.5)) * 16_000 / rate)}


def test_what_is_wrong_in_nemo_is_named(tmp_path):
    root = write_nemo(tmp_path)
    lines = (root / "data.tsv").read_text().splitlines()
    lines[1] = lines[1].replace("\tanger\t", "\tdelight\t")
    lines[2] = lines[2].partition("\tA.")[0]
    lines.append(lines[-1])
    (root / "data.tsv").write_text("\n".join(lines))
    table = str(root / "data.tsv")
    assert of(nemo.read(root), "damaged") == [
        (f"{table}:2", None),
        (f"{table}:3", None),
        (f"{table}:14", "CD0_surprised_7"),
        (str(root / "samples" / "AB0_anger_7.wav"), None),
        (str(root / "samples" / "AB0_fear_7.wav"), None),
    ]
    (root / "data.tsv").write_text("file_id\temotion\n")
    with pytest.raises(InputError, match="normalized_text"):
        nemo.read(root)


# MELD


def test_the_real_meld_is_read():
    corpus = open_corpus("meld", real("meld"))
    table = corpus.utterances
    assert len(table) == 13708
    assert table["utterance"].is_unique
    assert table["dialogue"].nunique() == 1038 + 114 + 280
    tables = [pd.read_csv(path) for path in sorted(real("meld").glob("*_sent_emo.csv"))]
    labels = pd.concat(tables)["Emotion"].value_counts().to_dict()
    assert table["label"].value_counts().to_dict() == labels
    assert table["transcript"].str.contains("[‘’“”…—\x80-\x9f]", regex=True).sum() == 0  # noqa: RUF001
    numbers = table["utterance"].str.extract(r"_utt(\d+)$")[0].astype(int)
    steps = numbers.groupby(table["dialogue"]).diff().dropna()
    assert (steps > 0).all()  # rows are in the order of the talk


HEADER = "Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,Season,Episode\r\n"


def write_meld(folder: Path, encoding: str = "utf-8") -> Path:
    for part in ("train", "dev", "test"):
        lines = [
            '1,"Oh, it’s you…",Ann,joy,positive,0,0,1,2\r\n',  # noqa: RUF001
            "2,Yes — it is,Bob,anger,negative,0,10,1,2\r\n",
            "3,None,Ann,sadness,negative,0,2,1,2\r\n",
            "4,Right,Ann,neutral,neutral,1,0,1,2\r\n",
        ]
        content = (HEADER + "".join(lines)).encode(encoding)
        (folder / f"{part}_sent_emo.csv").write_bytes(content)
    return folder


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252"])
def test_meld_reads_the_same_in_every_encoding(tmp_path, encoding):
    table = meld.read(write_meld(tmp_path, encoding)).utterances
    first = table[table["dialogue"] == "train_dia0"]
    assert first["transcript"].tolist() == ["Oh, it's you...", "None", "Yes - it is"]
    assert first["utterance"].str[11:].tolist() == ["utt0", "utt2", "utt10"]
    assert set(first["scenario"]) == {"s01e02"}


@pytest.mark.parametrize(
    ("spelling", "plain"),
    [
        ("it’s", "it's"),  # noqa: RUF001
        ("it\x92s", "it's"),
        ("itâ€™s", "it's"),
        ("“so”…", '"so"...'),
        ("CafÃ©", "Café"),
        ("Café", "Café"),
        ("naïve — é", "naïve - é"),
    ],
)
def test_meld_has_one_spelling(spelling, plain):
    assert meld.plain(spelling) == plain
    assert meld.plain(plain) == plain


def test_meld_finds_recordings_by_part(tmp_path):
    write_meld(tmp_path)
    write_wav(tmp_path / "dev_splits_complete" / "dia0_utt0.wav", tone())
    write_wav(tmp_path / "train" / "dia1_utt0.wav", tone())
    table = meld.read(tmp_path).utterances
    found = table[table["wav"].notna()]
    assert sorted(found["utterance"]) == ["dev_dia0_utt0", "train_dia1_utt0"]


def test_meld_refuses_a_table_without_its_columns(tmp_path):
    path = write_meld(tmp_path) / "dev_sent_emo.csv"
    path.write_text("Utterance,Speaker\nHello,Ann\n")
    with pytest.raises(InputError, match=r"dev_sent_emo\.csv:1: lacks the columns"):
        meld.read(tmp_path)


@pytest.mark.parametrize(
    "spoilt",
    [
        '3,"None,Ann,sadness,negative,0,2,1,2',  # a quote that swallows the rest of the table
        '3,"None,Ann",sadness,negative,0,2,1,2',
        '3,"No"ne,Ann,sadness,negative,0,2,1,2',
        "3,None, or so,Ann,sadness,negative,0,2,1,2",
        "3,None,Ann,sad",
        "3,None,Ann,sadne,negative,0,2,1,2",
        "3,None,Ann,sadness,negative,0,,1,2",
        "3,None,Ann,sadness,negative,x,2,1,2",
    ],
)
def test_a_line_of_meld_that_is_no_whole_row_is_damage_and_takes_no_other_with_it(tmp_path, spoilt):
    path = write_meld(tmp_path) / "train_sent_emo.csv"
    clean = meld.read(tmp_path).utterances
    lines = path.read_text("utf-8").splitlines()
    lines[3] = spoilt
    path.write_text("\n".join(lines), "utf-8")
    corpus = meld.read(tmp_path)
    assert of(corpus, "damaged") == [(f"{path}:4", None)]
    others = clean[clean["utterance"] != "train_dia0_utt2"].reset_index(drop=True)
    pd.testing.assert_frame_equal(corpus.utterances, others)
    with pytest.raises(InputError, match=r"train_sent_emo\.csv:4"):
        open_corpus("meld", tmp_path)


def test_a_table_of_meld_that_is_cut_inside_a_line_is_damaged_there(tmp_path):
    path = write_meld(tmp_path) / "train_sent_emo.csv"
    content = path.read_bytes()
    last = content.rindex(b"4,Right")
    for end in range(last + 1, len(content) - len(b",1,2\r\n")):
        path.write_bytes(content[:end])
        assert of(meld.read(tmp_path), "damaged") == [(f"{path}:5", None)]


def test_form_does_not_matter_to_meld(tmp_path):
    clean = meld.read(write_meld(tmp_path)).utterances
    for path in tmp_path.glob("*.csv"):
        text = path.read_text("utf-8").replace(",joy,", ", JOY ,").replace(",1,2\n", ", 1,2 \n")
        path.write_text(text + "\n\n", "utf-8")
        path.rename(path.with_suffix(".CSV"))
    corpus = meld.read(tmp_path)
    pd.testing.assert_frame_equal(corpus.utterances, clean)
    assert corpus.problems == ()


def test_meld_reports_a_duplicate(tmp_path):
    path = write_meld(tmp_path) / "dev_sent_emo.csv"
    path.write_text(path.read_text() + "5,Again,Ann,neutral,neutral,1,0,1,2\n")
    corpus = meld.read(tmp_path)
    assert of(corpus, "damaged") == [(f"{path}:6", "dev_dia1_utt0")]
    assert corpus.utterances["utterance"].is_unique


# Opening by name


def test_an_unknown_name_is_refused_with_the_known_ones():
    with pytest.raises(InputError, match=r"iemocap-features, emodb, nemo, meld, standin-quick"):
        open_corpus("iemocop")
    with pytest.raises(InputError, match=r"sizes .*quick.*presets .*default"):
        open_corpus("standin-huge")


def test_a_path_comes_from_the_argument_or_the_environment(tree, monkeypatch):
    with pytest.raises(InputError, match="REPLICATE_DATA"):
        open_corpus("iemocap")
    monkeypatch.setenv("REPLICATE_DATA", str(tree))
    assert len(open_corpus("iemocap").utterances) == len(UTTERANCES)


def test_the_stand_in_says_what_it_is(standin):
    corpus = open_corpus("standin-tiny")
    assert corpus.synthetic
    assert corpus.name == "standin-tiny"
    assert "synthetic" in corpus.title
    assert f"{len(cohort(corpus))} utterances" in corpus.title


def lose_a_session(release: Path) -> None:
    shutil.rmtree(release / "Session5")


def lose_a_label_file(release: Path) -> None:
    label_file(release, "Ses01F_impro01").unlink()


def cut_a_recording(release: Path) -> None:
    path = next(release.rglob("*.wav"))
    path.write_bytes(path.read_bytes()[:1000])


def alter_a_recording(release: Path) -> None:
    path = next(release.rglob("*.wav"))
    path.write_bytes(path.read_bytes()[:-2] + b"\x01\x00")


def lose_the_record(release: Path) -> None:
    (release.parent / "files.json").unlink()


SPOILT = [lose_a_session, lose_a_label_file, cut_a_recording, alter_a_recording, lose_the_record]


@pytest.mark.parametrize("spoil", SPOILT)
def test_a_stand_in_that_is_no_longer_whole_is_known(standin, tmp_path, spoil):
    copy = shutil.copytree(open_corpus("standin-tiny").root, tmp_path / "standin-tiny")
    generator = json.loads((copy / "files.json").read_text())["generator"]
    os.utime(next(copy.rglob("*.wav")))  # another time alone is no damage
    assert is_as_noted(copy, generator) and not is_as_noted(copy, "another generator")
    spoil(copy / "IEMOCAP_full_release")
    assert not is_as_noted(copy, generator)


def test_a_stand_in_that_is_no_longer_whole_is_generated_anew(
    standin, monkeypatch, tmp_path, capsys
):
    whole = open_corpus("standin-tiny")
    copy = shutil.copytree(whole.root, tmp_path / "standin-tiny")
    monkeypatch.setenv("REPLICATE_CACHE", str(tmp_path))
    lose_a_session(copy / "IEMOCAP_full_release")
    again = open_corpus("standin-tiny")
    assert str(copy) in capsys.readouterr().err, "it is said"
    assert open_waveforms(again).fingerprint == open_waveforms(whole).fingerprint
    pd.testing.assert_frame_equal(
        again.utterances.drop(columns="wav"), whole.utterances.drop(columns="wav")
    )


def test_damage_to_a_generated_corpus_has_a_remedy_that_fits(standin):
    corpus = open_corpus("standin-tiny")
    broken = corpus.utterances.assign(wav=corpus.utterances["wav"] + ".gone")
    with pytest.raises(InputError) as refusal:
        open_waveforms(dataclasses.replace(corpus, utterances=broken))
    assert "corpus build standin-tiny" in refusal.value.remedy
    assert "as distributed" not in str(refusal.value)


def test_the_stand_ins_words_need_no_speech(standin, monkeypatch, tmp_path):
    spoken = open_corpus("standin-tiny")
    monkeypatch.setenv("REPLICATE_CACHE", str(tmp_path))
    written = open_text("standin-tiny")
    assert not written.has_audio and not list(tmp_path.iterdir())
    assert (written.title, written.synthetic) == (spoken.title, True)
    heard = ["start", "end", "wav"]
    pd.testing.assert_frame_equal(
        written.utterances.drop(columns=heard), spoken.utterances.drop(columns=heard)
    )
    with pytest.raises(InputError, match="no such stand-in"):
        open_text("standin-huge")


def test_words_of_other_corpora_are_read_where_they_lie(tree):
    assert open_text("iemocap", tree).has_audio


def test_scripts_that_ask_at_once_get_the_same_stand_in(standin):
    assert standin == [text_fingerprint(read_corpus("standin-tiny").utterances)] * 2


# Building once


def test_one_of_many_processes_builds(tmp_path):
    tasks = [joblib.delayed(files_seen)(tmp_path / "built")] * 8
    assert joblib.Parallel(2, "multiprocessing", batch_size=1)(tasks) == [50] * 8
    assert (tmp_path / "builds.log").read_text() == "x"


def test_a_folder_that_is_not_whole_is_built_anew(tmp_path):
    files_seen(tmp_path / "built")
    (tmp_path / "built" / "49.txt").write_text("")
    (tmp_path / "built" / "stale.txt").write_text("")
    assert files_seen(tmp_path / "built") == 50
    assert not (tmp_path / "built" / "stale.txt").exists()


def test_a_build_that_fails_leaves_nothing(tmp_path):
    def fail(folder: Path) -> None:
        (folder / "half.txt").write_text("half")
        raise InputError("somewhere", "went wrong", "mend it")

    with pytest.raises(InputError, match="went wrong"):
        build_once(tmp_path / "built", fail, is_whole)
    assert [path.name for path in tmp_path.iterdir() if not path.name.endswith(".lock")] == []


def test_what_killed_builds_left_is_removed_and_no_other_folder(tmp_path):
    built, other = tmp_path / "built", tmp_path / "built-too"
    for folder in (built, other):
        half = folder.parent / f".building-{folder.name}.abc12345" / folder.name
        half.mkdir(parents=True)
        (half / "0.txt").touch()
    (tmp_path / ".building-of-mine").mkdir()
    assert files_seen(built) == 50
    left = {path.name for path in tmp_path.iterdir() if not path.name.endswith(".lock")}
    assert left >= {"built", ".building-built-too.abc12345", ".building-of-mine"}
    assert ".building-built.abc12345" not in left
    (tmp_path / ".building-built.abc12345").mkdir()  # of one that was killed at its very end
    assert files_seen(built) == 50
    assert not (tmp_path / ".building-built.abc12345").exists()


@pytest.mark.parametrize("by_writing", [True, False])
def test_files_half_written_by_killed_processes_go_and_those_being_written_stay(
    tmp_path, by_writing
):
    write = """if True:
        import signal, sys
        from pathlib import Path
        from replicate.files import replacing
        with replacing(Path(sys.argv[1])) as temporary:
            temporary.write_text("half")
            print("written", flush=True)
            signal.pause()
    """
    path, mine = tmp_path / "run.json", tmp_path / ".run.json.backup"
    mine.touch()
    command = [sys.executable, "-c", write, str(path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline()
    (half,) = tmp_path.glob("*.partial")

    def removed():
        if by_writing:
            with replacing(path) as temporary:
                temporary.write_text("whole")
        else:
            remove_abandoned(tmp_path)
        return not half.exists()

    assert not removed(), "its writer lives"
    process.kill()
    process.communicate()
    assert removed()
    assert sorted(tmp_path.iterdir()) == ([mine, path] if by_writing else [mine])


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match="REPLICATE_CACHE"):
        build_once(tmp_path / "file" / "built", build_slowly, is_whole)


def test_an_error_survives_a_worker_process():
    error = pickle.loads(pickle.dumps(InputError("here", "is wrong", "do this")))
    assert (error.place, error.what, error.remedy) == ("here", "is wrong", "do this")
    assert str(error) == "here: is wrong\n  -> do this"
