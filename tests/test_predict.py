"""A trained model that is kept and used: the bits of its run, and every refusal."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import small
import soundfile
import torch
from click.testing import CliRunner
from safetensors.torch import load_file, save_file

from replicate.__main__ import main
from replicate.corpora.given import gathered
from replicate.corpora.opening import open_corpus
from replicate.corpora.recordings import read_sound
from replicate.files import InputError
from replicate.paper import EMOTIONS
from replicate.runs import published
from replicate.runs.experiments import chosen
from replicate.runs.store import AGAIN, folder_of, weights_of
from replicate.settings import SAMPLE_RATE, ModelConfig
from replicate.training import weights, worker
from replicate.training.predict import WARNING, Model, open_model
from replicate.training.train import train

ROOT = Path(__file__).parents[1]
RATE = SAMPLE_RATE


def trained(root, experiment, keep=True, sound=None):
    return train(
        experiment,
        small.corpus(),
        folder_of(experiment, root),
        sound=sound or small.waveforms(),
        keep=keep,
    )


def written(folder, ids):
    """The recordings of the small corpus as files: id -> path."""
    heard = small.waveforms()
    paths = {one: folder / f"{one}.wav" for one in ids}
    for one, path in paths.items():
        row = heard.rows([one])[0]
        start, length = heard.offsets[row], heard.lengths[row]
        soundfile.write(path, heard.samples[start : start + length], RATE, subtype="PCM_16")
    return paths


def replicate(*arguments):
    done = CliRunner().invoke(main, list(map(str, arguments)))
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A store with the kept weights of a model that attends, and of one that hears."""
    root = tmp_path_factory.mktemp("results")
    for model in ("att_d1", "audio", "text"):
        trained(root, small.experiment(model, epochs=2))
    return root


@pytest.fixture(scope="module")
def model(store):
    return open_model(small.experiment("att_d1").place, store)


@pytest.fixture
def recording(tmp_path):
    """A tone of a second as the model hears it, and its samples."""
    samples = np.rint(9000 * np.sin(np.arange(RATE) / 20)).astype(np.int16)
    soundfile.write(tmp_path / "tone.wav", samples, RATE)
    return tmp_path / "tone.wav", samples


# --- the bits of the run ---

MODELS = ("att_d1", "concat", "audio", "text")
CHOICES = ("masked", "strided", "loudness-normalised", "case-kept", "weighted-loss")


@pytest.mark.parametrize("which", [*MODELS, *CHOICES])
def test_a_prediction_has_the_bits_of_its_run_one_by_one(tmp_path, which):
    experiment = small.experiment(which if which in MODELS else "att_d1", epochs=1)
    run = trained(tmp_path, chosen(experiment, which) if which in CHOICES else experiment)
    said = run.treated[run.treated["treatment"] == "one-by-one"].set_index("utterance")
    texts = small.corpus().utterances.set_index("utterance")["transcript"]
    model = open_model(run.folder)
    for one, path in written(tmp_path, said.index).items():
        found = model.predict(path, texts[one])
        expected = said.loc[one]
        assert list(found.probabilities.values()) == [expected[e] for e in EMOTIONS]
        if np.isnan(expected["audio_score"]):
            assert found.attention is None
        else:
            assert found.attention["audio"] == expected["audio_score"]
            assert sum(found.attention.values()) == pytest.approx(1)


def test_answers_do_not_depend_on_what_was_asked_before(model, tmp_path):
    paths = list(written(tmp_path, ["u000", "u001"]).values())
    first = model.predict(paths[0], "great").probabilities
    model.predict(paths[1], "gone gone gone")
    assert model.predict(paths[0], "great").probabilities == first


# --- weights in the store ---


def test_weights_are_kept_where_asked_for_only(tmp_path):
    run = trained(tmp_path, small.experiment("text", epochs=1), keep=False)
    assert not list(tmp_path.rglob("*.safetensors"))
    run = trained(tmp_path, run.experiment, keep=True)
    said, _ = weights.load(weights_of(run.folder))
    assert (said.experiment, said.provenance) == (run.experiment, run.provenance)
    trained(tmp_path, run.experiment, keep=False)
    assert not weights_of(run.folder).exists(), "those of another training"


def test_packing_leaves_weights_in_place(tmp_path):
    run = trained(tmp_path, small.experiment("text", epochs=1))
    kept, folder = weights_of(run.folder).read_bytes(), run.folder.parent
    assert published.pack(folder) == 1 and not run.folder.exists()
    assert weights_of(run.folder).read_bytes() == kept
    before = sorted(folder.iterdir())
    assert published.pack(folder) == 0 and sorted(folder.iterdir()) == before
    assert published.unpack(folder) == 1
    assert weights_of(run.folder).read_bytes() == kept
    assert open_model(run.folder).trained.experiment == run.experiment
    assert weights.are_kept(run)
    elsewhere = replace(run.provenance, text_fingerprint="of another corpus")
    assert not weights.are_kept(replace(run, provenance=elsewhere))


def test_weights_of_ordinary_runs_are_not_for_git():
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    assert "results/**/*.safetensors" in ignored and "!results/*/demo/*.safetensors" in ignored


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(path.read_bytes()[:-100]),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes()[:-1] + b"\x7f"),
        lambda path: path.write_bytes(path.read_bytes().replace(b"great", b"greet", 1)),
        lambda path: torch.save({"weight": torch.zeros(3)}, path),
        lambda path: save_file(load_file(path), path),
        lambda path: save_file({"x": torch.zeros(1)}, path, {"format": "pt"}),
    ],
    ids=["cut", "empty", "weight", "vocabulary", "pickle", "bare", "other program"],
)
def test_weights_that_are_not_as_written_are_refused(store, tmp_path, damage):
    path = tmp_path / "copy.safetensors"
    shutil.copy(weights_of(folder_of(small.experiment("text", epochs=2), store)), path)
    assert Model(path).predict(text="great").probabilities
    damage(path)
    with pytest.raises(InputError, match=r"copy\.safetensors: is "):
        Model(path)


def test_a_run_without_weights_says_how_to_make_them(tmp_path):
    trained(tmp_path, small.experiment("text", epochs=1), keep=False)
    for run in ("standin-quick/quick", "standin-quick/quick/att_d1", tmp_path / "small", "."):
        with pytest.raises(InputError, match="replicate run"):
            open_model(run, tmp_path)


def test_a_model_of_features_says_that_it_hears_no_recording(tmp_path):
    experiment = small.experiment(epochs=1)
    linear = ModelConfig(audio_input="acoustic features, linear map")
    run = trained(tmp_path, replace(experiment, architecture=linear), sound=small.features())
    with pytest.raises(InputError, match="acoustic features"):
        open_model(run.folder)


# --- what is heard and read ---


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.aiff", "a.au", "not UTF-8 \udcff.wav"])
def test_lossless_forms_are_heard_alike(recording, tmp_path, name):
    _, samples = recording
    with (tmp_path / name).open("wb") as file:
        form = Path(name).suffix[1:].upper()
        soundfile.write(file, samples, RATE, subtype="PCM_16", format=form)
    found, done = read_sound(tmp_path / name)
    assert found.dtype == np.int16 and (found == samples).all() and done == ()


def test_stereo_and_other_rates_are_brought_to_the_models_form(recording, tmp_path):
    _, samples = recording
    time = np.arange(44_100) / 44_100 * RATE  # the same tone at another rate, in one ear
    tone = 9000 * np.sin(time / 20) / 32768
    path = tmp_path / "other.wav"
    soundfile.write(path, np.stack([2 * tone, 0 * tone], axis=1), 44_100, subtype="FLOAT")
    found, done = read_sound(path)
    assert len(found) == RATE and len(done) == 3, done
    middle = slice(1000, -1000)
    assert np.abs(found[middle].astype(int) - samples[middle]).max() < 30, "of 9000"


def test_what_is_too_loud_is_cut_and_said(tmp_path):
    soundfile.write(tmp_path / "loud.wav", np.full(500, 1.5), RATE, subtype="FLOAT")
    found, done = read_sound(tmp_path / "loud.wav")
    assert (found == 32767).all() and any("500" in one for one in done)


def broken(folder):
    """Files that cannot be heard, by name."""
    (folder / "empty.wav").touch()
    (folder / "text.wav").write_text("this is no sound")
    (folder / "headless.raw").write_bytes(bytes(100))
    soundfile.write(folder / "none.wav", np.zeros(0), RATE)
    soundfile.write(folder / "nan.wav", np.full(9, np.nan), RATE, subtype="FLOAT")
    soundfile.write(folder / "odd.wav", np.zeros(100), 44_101)
    soundfile.write(folder / "slow.wav", np.zeros(100), 100)
    soundfile.write(folder / "long.wav", np.zeros(301 * 4000), 4000)
    (folder / "folder.wav").mkdir()
    return [*sorted(folder.iterdir()), folder / "missing.wav"]


def test_what_is_no_recording_is_one_clear_error(model, tmp_path):
    for path in broken(tmp_path):
        with pytest.raises(InputError) as error:
            model.predict(path, "great")
        assert error.value.place == str(path)


def test_the_shortest_and_silent_recordings_are_answered(model, tmp_path):
    for length in (1, 2, 30, 5000):
        soundfile.write(tmp_path / "short.wav", np.zeros(length), RATE)
        found = model.predict(tmp_path / "short.wav", "great")
        assert sum(found.probabilities.values()) == pytest.approx(1, abs=1e-5)


def test_each_model_takes_what_it_takes(store, model, recording):
    path, _ = recording
    hears, reads = (open_model(small.experiment(m).place, store) for m in ("audio", "text"))
    assert hears.predict(path).probabilities == hears.predict(path, "great").probabilities
    assert reads.predict(text="great").probabilities == reads.predict(path, "great").probabilities
    assert hears.predict(path, "great").done and reads.predict(path, "great").done
    assert any("zebra" in one for one in reads.predict(text="great zebra").done)
    for lacking, given in [(hears, {"text": "great"}), (reads, {"file": path}),
                           (model, {"text": "great"}), (model, {"file": path}),
                           (model, {"file": path, "text": " ... "})]:  # fmt: skip
        with pytest.raises(InputError):
            lacking.predict(**given)


# --- many at once ---


def test_folders_and_tables_stand_for_their_recordings(recording, tmp_path):
    path, _ = recording
    inner = tmp_path / "inner"
    inner.mkdir()
    shutil.copy(path, inner / "B.WAV")
    for other in ("._tone.wav", "notes.txt"):
        (tmp_path / other).write_text("not a recording")
    assert [one.file for one in gathered([tmp_path])] == [inner / "B.WAV", path]
    table = tmp_path / "some.csv"
    table.write_bytes(b'\xef\xbb\xbftext,file\r\n"well, yes",tone.wav\r\n\r\nno,inner/B.WAV\r\n')
    found = gathered([table, path])
    assert [one.text for one in found] == ["well, yes", "no", None]
    assert [one.file for one in found] == [path, inner / "B.WAV", path]
    assert found[1].place == f"{table}:4"


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("", ":1"),
        ("path,said\na,b\n", ":1"),
        ('file,text\na.wav,"one\nb.wav,two\nc.wav,"three"\n', ""),
        ("file,text\na.wav,well, yes\n", ":2"),
        ("file,text\na.wav\n", ":2"),
    ],
    ids=["empty", "other columns", "stray quote", "too many cells", "too few"],
)
def test_tables_that_would_lose_rows_are_refused(tmp_path, content, line):
    (tmp_path / "bad.csv").write_text(content)
    with pytest.raises(InputError, match=rf"bad\.csv{line}"):
        gathered([tmp_path / "bad.csv"])


def test_other_encodings_and_empty_folders_are_refused(tmp_path):
    (tmp_path / "latin.csv").write_bytes("file,text\na.wav,caf\xe9\n".encode("latin-1"))
    (tmp_path / "nothing").mkdir()
    for path in (tmp_path / "latin.csv", tmp_path / "nothing", tmp_path / "missing.csv"):
        with pytest.raises(InputError):
            gathered([path])
    with pytest.raises(InputError):
        gathered([tmp_path / "a.wav", tmp_path / "b.wav"], "one text")


# --- the command line ---


DEMO = ("run", "--corpus", "standin-tiny", "--profile", "demo", "--jobs", 1, "--results")


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """A store in which `replicate run --profile demo` was called."""
    root = tmp_path_factory.mktemp("demo")
    done = replicate(*DEMO, root)
    assert done.exit_code == 0, done.stderr
    return root


def test_the_demo_keeps_its_model_which_answers(demo):
    (kept,) = demo.rglob("*.safetensors")
    said = open_corpus("standin-tiny").utterances.iloc[0]
    arguments = ("predict", "standin-tiny/demo", said["wav"], "--text", said["transcript"])
    told = replicate(*arguments, "--results", demo).stdout
    assert "STAND-IN, not IEMOCAP" in told and WARNING in told
    found = json.loads(replicate(*arguments, "--results", demo, "--json").stdout)
    assert found["synthetic"] is True and WARNING in found["about"]
    (one,) = found["predictions"]
    assert set(one["probabilities"]) == set(EMOTIONS) and set(one["attention"]) == {"audio", "text"}
    assert one["file"] == said["wav"] and one["seconds"] > 0
    for run in (kept.with_suffix(""), kept, demo / "standin-tiny" / "demo"):
        again = json.loads(replicate("predict", run, *arguments[2:], "--json").stdout)
        assert again["predictions"][0]["probabilities"] == one["probabilities"]


def test_a_finished_run_gets_its_weights_from_a_repeat(demo, tmp_path):
    shutil.copytree(demo, tmp_path, dirs_exist_ok=True)
    (kept,) = tmp_path.rglob("*.safetensors")
    before, (published_runs,) = weights.load(kept)[1], tmp_path.rglob("runs-*")
    kept.write_bytes(kept.read_bytes()[:1000])
    done = replicate(*DEMO, tmp_path)
    assert done.exit_code == 0 and "0 already done" in done.stdout
    after = weights.load(kept)[1]
    assert all(torch.equal(after[name], before[name]) for name in before | after)
    assert published_runs.exists(), "the run stays as it is"
    assert len(list(published_runs.parent.iterdir())) == 5, "nothing else is left"
    again = replicate(*DEMO, tmp_path)
    assert "1 already done" in again.stdout


@pytest.mark.parametrize("step", ["rmtree", "replace", "rmdir"])
def test_a_kill_among_the_last_steps_of_a_repeat_leaves_nothing(tmp_path, monkeypatch, step):
    run = trained(tmp_path, small.experiment("text", epochs=1), keep=False)
    published.pack(run.folder.parent)

    def make(scratch):
        return train(run.experiment, small.corpus(), scratch, sound=small.waveforms(), keep=True)

    def killed(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(shutil if step == "rmtree" else Path, step, killed)
        if step == "replace":  # the files of the repeat itself are written so, too
            made = make(run.folder.parent / AGAIN / run.folder.name)
        again = (lambda _: made) if step == "replace" else make
        with pytest.raises(KeyboardInterrupt):
            worker._weights_again(run.folder, again)
    if not weights_of(run.folder).exists():
        worker._weights_again(run.folder, make)
    published.pack(run.folder.parent)
    assert weights.are_kept(run)
    left = {path.name.partition("-")[0] for path in run.folder.parent.iterdir()}
    assert left == {"text", "runs", "epochs", "predictions", "treated"}


def test_what_cannot_be_used_is_one_error_after_the_rest(demo, recording, tmp_path):
    path, _ = recording
    for name in ("a.wav", "b.wav"):
        (tmp_path / name).touch()
    table = tmp_path / "t.csv"
    table.write_text("file,text\na.wav,yes\ntone.wav,no\nb.wav,yes\n")
    done = replicate("predict", "standin-tiny/demo", table, "--results", demo, "--json")
    assert done.exit_code == 1 and len(json.loads(done.stdout)["predictions"]) == 1
    assert "2 of 3" in done.stderr and done.stderr.count("is empty") == 1
    alone = replicate("predict", "standin-tiny/demo", path, "--results", demo)
    assert alone.exit_code == 1 and "tone.wav" in alone.stderr and "--text" in alone.stderr
    assert replicate("predict", "standin-tiny/demo", "--results", demo).exit_code == 2
    cluster = ("run", "--keep-weights", "--cluster", "auto", "--corpus", "standin-tiny")
    assert "--cluster" in replicate(*cluster, "--results", tmp_path).stderr


def test_the_readme_uses_a_model_in_five_lines(demo, recording, monkeypatch):
    path, _ = recording
    section = (ROOT / "README.md").read_text().partition("## Use the model")[2]
    code = re.findall(r"```python\n(.*?)```", section, re.DOTALL)[0]
    assert len([line for line in code.splitlines() if line]) <= 5
    shutil.copy(path, path.with_name("speech.wav"))
    monkeypatch.chdir(path.parent)
    names = {}
    exec(code, names)
    assert sum(names["said"].probabilities.values()) == pytest.approx(1, abs=1e-5)
