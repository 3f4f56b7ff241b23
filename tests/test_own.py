"""A corpus of one's own: what is read, and what is said of every fault."""

import numpy as np
import pandas as pd
import pytest
import small
from click.testing import CliRunner
from scipy.io import wavfile

from replicate.__main__ import main
from replicate.corpora.check import check
from replicate.corpora.opening import open_corpus
from replicate.corpora.protocol import classes, cohort
from replicate.corpora.waveforms import open_waveforms
from replicate.files import InputError
from replicate.paper import EMOTIONS

LABELS = "\n".join(["angry: anger", "happy: happiness", "calm: neutrality", "sad: sadness",
                    "surprised: none"])  # fmt: skip
OF = {"anger": "angry", "happiness": "happy", "neutrality": "calm", "sadness": "sad"}


@pytest.fixture
def folder(tmp_path):
    """The small corpus as a table with features; one more utterance is of no class."""
    table = small.corpus().utterances
    rows = table[["utterance", "speaker", "session", "dialogue", "transcript", "start"]].assign(
        label=table["label"].map(OF), end=table["start"] + 0.9, mood="ignored"
    )
    rows.loc[len(rows)] = ["u064", "s0", "1", "d0", "Oh, really?", 99.0, "surprised", 99.5, ""]
    rows.to_csv(tmp_path / "utterances.csv", index=False)
    (tmp_path / "labels.yml").write_text(LABELS)
    numbers = np.vstack([small.features().values, [1, 2, 3, 4]])
    np.save(tmp_path / "features.npy", numbers)
    return tmp_path


def edited(folder, *changes, name="utterances.csv"):
    text = (folder / name).read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    (folder / name).write_text(text)


def recorded(folder, recordings):  # row of the table -> its recording; the others have none
    table = pd.read_csv(folder / "utterances.csv", dtype=str).assign(recording="")
    for row, recording in recordings.items():
        table.loc[row, "recording"] = recording
    table.to_csv(folder / "utterances.csv", index=False)


def damaged(folder):
    return [p for p in check("own-mine", folder).problems if p.severity == "damaged"]


class TestReading:
    def test_the_cohort_by_the_labels_of_its_own(self, folder):
        corpus = open_corpus("own-mine", folder)
        table, expected = cohort(corpus), cohort(small.corpus())
        assert np.array_equal(classes(table), classes(expected))
        assert table["transcript"].tolist() == expected["transcript"].tolist()
        assert len(corpus.utterances) == 65 and corpus.name == "own-mine"
        assert corpus.features.values[:64] == pytest.approx(small.features().values)
        assert not corpus.synthetic

    @pytest.mark.parametrize("ending", ["csv", "parquet"])
    def test_features_by_utterance_in_any_order(self, folder, ending):
        found = pd.DataFrame(np.load(folder / "features.npy"), columns=list("abcd"))
        found.insert(2, "utterance", [f"u{k:03d}" for k in range(65)])
        (folder / "features.npy").unlink()
        write = {"csv": found[::-1].to_csv, "parquet": found[::-1].to_parquet}[ending]
        write(folder / f"features.{ending}", index=False)
        features = open_corpus("own-mine", folder).features
        assert features.columns == tuple("abcd")
        rows = features.rows([f"u{k:03d}" for k in range(64)])
        assert features.values[rows] == pytest.approx(small.features().values)

    def test_recordings_within_the_folder(self, folder):
        (folder / "features.npy").unlink()
        (folder / "sound").mkdir()
        table = pd.read_csv(folder / "utterances.csv", dtype=str)
        table["recording"] = "sound/" + table["utterance"] + ".wav"
        for k, name in enumerate(table["recording"]):
            samples = np.full(800 + k, 100, dtype=np.int16)
            wavfile.write(folder / name, 16_000, samples)
        table.to_csv(folder / "utterances.csv", index=False)
        corpus = open_corpus("own-mine", folder)
        assert corpus.audio_input == "raw waveforms"
        assert open_waveforms(corpus).lengths.tolist() == [800 + k for k in range(64)]

    def test_other_line_ends_and_marks_do_not_matter(self, folder):
        before = open_corpus("own-mine", folder).utterances
        content = (folder / "utterances.csv").read_bytes()
        content = b"\xef\xbb\xbf" + content.replace(b"\n", b"\r\n").replace(b"u003,", b" u003 ,")
        (folder / "utterances.csv").write_bytes(content)
        assert open_corpus("own-mine", folder).utterances.equals(before)

    def test_another_encoding_is_said_with_its_line(self, folder):
        content = (folder / "utterances.csv").read_bytes()
        (folder / "utterances.csv").write_bytes(content.replace(b"Oh,", b"\xd6h,"))
        report = check("own-mine", folder)
        assert [p.place.rpartition(":")[2] for p in report.problems] == ["66"]
        assert open_corpus("own-mine", folder).utterances["transcript"].str.startswith("Öh").any()

    def test_check_says_what_it_is_good_for(self, folder):
        said = check("own-mine", folder)
        assert (
            said.usable and "acoustic features in place of raw audio and text: 64" in said.verdict
        )

    def test_commands_take_it(self, folder, tmp_path):
        where = ["--corpus", "own-mine", "--data", str(folder), "--results", str(tmp_path / "r")]
        done = CliRunner().invoke(main, ["baselines", *where, "--seeds", "1"])
        assert done.exit_code == 0 and "features-stacked" in done.output, done.output

    def test_without_transcripts_what_reads_is_left_out(self, folder, tmp_path):
        table = pd.read_csv(folder / "utterances.csv").drop(columns="transcript")
        table.to_csv(folder / "utterances.csv", index=False)
        where = ["--corpus", "own-mine", "--data", str(folder), "--results", str(tmp_path / "r")]
        run = ["run", *where, "--profile", "smoke", "--jobs", "1"]
        done = CliRunner().invoke(main, [*run, "--grid", "fusions"])
        assert done.exit_code == 0 and "10 experiments are left out" in done.stderr, done.output
        refused = CliRunner().invoke(main, [*run, "--grid", "text"])
        assert refused.exit_code == 1 and "every experiment needs transcripts" in refused.stderr
        scenarios = CliRunner().invoke(main, [*run, "--grid", "scenarios"])
        assert scenarios.exit_code == 1 and "has no scenarios" in scenarios.stderr

    def test_choices_of_other_sound_are_left_out(self, folder, tmp_path):
        where = ["--corpus", "own-mine", "--data", str(folder), "--results", str(tmp_path / "r")]
        run = ["run", *where, "--profile", "smoke", "--jobs", "1", "--grid", "encoders"]
        done = CliRunner().invoke(main, run)
        (runs,) = (tmp_path / "r/own-mine/smoke").glob("runs-*.parquet")
        assert done.exit_code == 0 and "left out" in done.stderr, done.output
        assert set(pd.read_parquet(runs)["choice"]) == {"", "no-l2"}

    def test_times_of_some_utterances_are_no_baseline(self, folder, tmp_path):
        table = pd.read_csv(folder / "utterances.csv")
        table.loc[3, "end"] = np.nan
        table.to_csv(folder / "utterances.csv", index=False)
        where = ["--corpus", "own-mine", "--data", str(folder), "--results", str(tmp_path / "r")]
        done = CliRunner().invoke(main, ["baselines", *where, "--seeds", "1"])
        assert done.exit_code == 0 and "duration is left out" in done.stderr, done.output


class TestFaults:
    @pytest.mark.parametrize(
        ("change", "line", "said"),
        [
            (("u003,", "u002,"), 5, "occurs a second time"),
            (("u005,", ","), 7, "utterance is empty"),
            ((",99.5,", ",99.5,,,"), 66, "no whole row, but"),
            (('"Oh, really?"', '"Oh, really?'), 66, "no whole row"),
            (("speaker", "talker"), 1, "lacks the columns speaker"),
            (("mood", "speaker"), 1, "more than one column speaker"),
            (("utterance,", "utterance;"), 1, "it has utterance;speaker"),
        ],
    )
    def test_of_the_table_itself(self, folder, change, line, said):
        edited(folder, change)
        (found,) = (p for p in check("own-mine", folder).problems if p.severity != "note")
        assert found.place == f"{folder / 'utterances.csv'}:{line}" and said in found.what
        with pytest.raises(InputError, match=said):
            open_corpus("own-mine", folder)

    def test_all_are_told_at_once(self, folder):
        edited(folder, ("u003,", "u002,"), ("u005,", ","), (",angry,", ",furious,"))
        found = pd.DataFrame(np.load(folder / "features.npy"), columns=list("abcd"))
        found["utterance"] = ["u007", *(f"u{k:03d}" for k in range(1, 63)), "u063", "u099"]
        found["e"] = 1.0
        found.loc[9, "b"] = np.nan
        found.astype(object).replace({found.loc[12, "c"]: "loud"}).to_csv(
            folder / "features.csv", index=False
        )
        (folder / "features.npy").unlink()
        told = {(p.place.rpartition("/")[2], p.what) for p in damaged(folder)}
        expected = {
            ("utterances.csv:2", "label furious"), ("utterances.csv:5", "second time"),
            ("utterances.csv:7", "utterance is empty"), ("features.csv:5", "u003"),
            ("features.csv:7", "u005"), ("features.csv:9", "u007 has features twice"),
            ("features.csv:11", "feature b"), ("features.csv:14", "feature c"),
            ("features.csv:66", "u099"), ("features.csv", "u000 has no features"),
            ("features.csv", "u064 has no features"), ("features.csv", "never vary: e"),
        }  # fmt: skip
        for place, what in expected:
            assert any(place == at and what in said for at, said in told), (place, what)
        assert len(told) == len(expected)

    def test_two_stray_quotes_swallow_no_rows(self, folder):
        lines = (folder / "utterances.csv").read_text().splitlines()
        cells = [line.split(",") for line in lines]
        place = cells[0].index("transcript")
        cells[3][place], cells[6][place] = '"' + cells[3][place], cells[6][place] + '"'
        (folder / "utterances.csv").write_text("\n".join(map(",".join, cells)) + "\n")
        assert [p.place.rpartition(":")[2] for p in damaged(folder)] == ["4"]

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ((",angry,", ",furious,"), "label furious is not in labels.yml"),
            ((",0.9,", ",early,"), "not a number"),
            ((",0.9,", ",-2,"), "ends at -2.0"),
            ((",0.9,", ",inf,"), "ends at inf"),
            (("u000,s0", "u000,s/0"), "speaker s/0 cannot name a folder"),
        ],
    )
    def test_of_a_row_name_its_line_and_leave_the_others(self, folder, change, said):
        edited(folder, change)
        (found,) = damaged(folder)
        assert found.place == f"{folder / 'utterances.csv'}:2" and said in found.what
        with pytest.raises(InputError, match="1 damaged"):
            open_corpus("own-mine", folder)
        left = open_corpus("own-mine", folder, skip_damaged=True).utterances
        assert len(left) == 64 and "u000" not in set(left["utterance"])

    @pytest.mark.parametrize("said", ["", "...?!"])
    def test_of_an_utterance_without_words_among_others(self, folder, said):
        table = pd.read_csv(folder / "utterances.csv", dtype=str)
        table.loc[[4, 64], "transcript"] = said  # the second is not in the cohort
        table.to_csv(folder / "utterances.csv", index=False)
        (found,) = damaged(folder)
        assert found.place.endswith("utterances.csv:6") and "u004 has no word" in found.what
        table.assign(transcript=said).to_csv(folder / "utterances.csv", index=False)
        assert not damaged(folder) and check("own-mine", folder).usable

    def test_of_recordings_of_several_utterances(self, folder):
        (folder / "a.wav").touch()
        recorded(folder, {4: "a.wav", 7: "./a.wav"})
        (found,) = [p for p in damaged(folder) if "utterances.csv:" in p.place]
        assert found.place.endswith("utterances.csv:9") and "recording of u004" in found.what

    def test_of_a_recording_that_is_cut_short(self, folder):
        wavfile.write(folder / "a.wav", 44_100, np.full((800, 2), 100, dtype=np.int16))
        recorded(folder, {4: "a.wav"})
        assert not [p for p in damaged(folder) if p.utterance == "u004"]
        (folder / "a.wav").write_bytes((folder / "a.wav").read_bytes()[:-100])
        (found,) = [p for p in damaged(folder) if p.utterance == "u004"]
        assert "shorter than its head says" in found.what

    @pytest.mark.parametrize("path", ["loop.wav", "a" * 300 + ".wav"])
    def test_of_a_recording_that_cannot_be_followed(self, folder, path):
        (folder / "loop.wav").symlink_to("loop.wav")
        recorded(folder, {4: path})
        (found,) = [p for p in damaged(folder) if p.utterance == "u004"]
        assert "cannot be followed" in found.what

    @pytest.mark.parametrize("path", ["/etc/hostname", "../elsewhere.wav", "absent.wav"])
    def test_of_a_recording_s_path(self, folder, path):
        recorded(folder, {4: path})
        (found,) = [p for p in damaged(folder) if p.utterance == "u004"]  # told once
        assert found.place.endswith("utterances.csv:6") and path in found.what

    @pytest.mark.parametrize(
        ("labels", "said"),
        [
            ("angry: rage", "rage"),
            ("- anger", "no labels"),
            ("angry: [", "cannot be read"),
            ("[" * 5000, "cannot be read"),
            ("angry: anger\nhappy: happiness\nangry: none", ":3: angry occurs a second time"),
            ("angry: [anger]", ":1: is no label"),
        ],
    )
    def test_of_the_labels(self, folder, labels, said):
        (folder / "labels.yml").write_text(labels)
        with pytest.raises(InputError, match=said):
            open_corpus("own-mine", folder)

    def test_labels_are_text_whatever_they_look_like(self, folder):
        looks = {"angry": "05", "happy": "no", "calm": "~", "sad": "2024-13-45"}
        table = pd.read_csv(folder / "utterances.csv", dtype=str)
        table.replace({"label": looks}).to_csv(folder / "utterances.csv", index=False)
        edited(folder, *looks.items(), name="labels.yml")
        assert len(cohort(open_corpus("own-mine", folder))) == 64

    @pytest.mark.parametrize(
        ("content", "said"),
        [
            ("a,b\n1,2\n", "no column utterance"),
            ("utterance,a\nu000,1,2\n", "more fields than there are names"),
            (",utterance,a\n0,u000,1\n", "no name"),
            ("utterance\nu000\n", "no feature"),
            ("utterance,a\n,1\n", ":2: has features of no utterance"),
        ],
    )
    def test_of_the_form_of_features(self, folder, content, said):
        (folder / "features.npy").unlink()
        (folder / "features.csv").write_text(content)
        with pytest.raises(InputError, match=said):
            open_corpus("own-mine", folder)

    def test_blank_lines_in_features_do_not_matter(self, folder):
        found = pd.DataFrame(np.load(folder / "features.npy"), columns=list("abcd"))
        found.insert(0, "utterance", [f"u{k:03d}" for k in range(65)])
        (folder / "features.npy").unlink()
        (folder / "features.csv").write_text(found.to_csv(index=False) + "\n\n")
        assert not damaged(folder)

    @pytest.mark.parametrize(
        ("values", "said"),
        [
            (lambda v: v[:-1], "64 rows for 65"),
            (lambda v: v[:, 0], "1 dimensions"),
            (lambda v: v * 1j, "no array of real numbers"),
            (lambda v: v[:, :0], "no feature"),
            (lambda v: np.where(v == v[7, 1], np.nan, v), "row 8: u007 has no finite .* feature 1"),
            (lambda v: v * [1, 0, 1, 1], "never vary: feature 1"),
        ],
    )
    def test_of_the_features(self, folder, values, said):
        np.save(folder / "features.npy", values(np.load(folder / "features.npy")))
        with pytest.raises(InputError, match=said):
            open_corpus("own-mine", folder)

    def test_of_features_and_utterances_that_do_not_fit(self, folder):
        found = pd.DataFrame(np.load(folder / "features.npy"), columns=list("abcd"))
        found["utterance"] = [f"u{k:03d}" for k in [*range(1, 65), 99]]
        (folder / "features.npy").unlink()
        found.to_csv(folder / "features.csv", index=False)
        with pytest.raises(InputError, match="u000 has no features") as error:
            open_corpus("own-mine", folder)
        assert "features.csv:66: has features of u099" in str(error.value)
        left = open_corpus("own-mine", folder, skip_damaged=True)
        assert "u000" not in set(left.utterances["utterance"]) and len(left.features.values) == 64
        found.assign(utterance="u001").to_csv(folder / "features.csv", index=False)
        with pytest.raises(InputError, match="u001 has features twice"):
            open_corpus("own-mine", folder)

    def test_of_a_folder_that_is_none(self, folder):
        for path in (folder / "absent", folder / "labels.yml"):
            with pytest.raises(InputError, match="is no folder"):
                open_corpus("own-mine", path)

    def test_of_a_table_without_rows(self, folder):
        (folder / "utterances.csv").write_text("utterance,speaker,session,dialogue,label\n")
        with pytest.raises(InputError, match="holds no utterance"):
            open_corpus("own-mine", folder)

    @pytest.mark.parametrize("name", ["utterances.csv", "labels.yml"])
    def test_of_a_missing_file(self, folder, name):
        (folder / name).unlink()
        with pytest.raises(InputError, match=name):
            open_corpus("own-mine", folder)

    def test_of_a_class_without_utterances(self, folder):
        edited(folder, ("sad: sadness", "sad: none"), name="labels.yml")
        with pytest.raises(InputError, match="no utterance of class sadness"):
            cohort(open_corpus("own-mine", folder))

    @pytest.mark.parametrize("name", ["own-", "own-Mine", "own-a/b", "own"])
    def test_of_its_name(self, name):
        with pytest.raises(InputError, match="no such corpus"):
            open_corpus(name)


def test_every_class_can_be_named():
    assert set(OF) == set(EMOTIONS)
