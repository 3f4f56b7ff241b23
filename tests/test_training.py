"""Section 4.1's loop: what it learns, what it keeps, and that interruptions change nothing."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import small
import torch
import torch.nn.functional as F

from replicate.corpora.protocol import cohort, split
from replicate.corpora.transcriptions import WordVectors
from replicate.files import InputError
from replicate.model import EmotionModel
from replicate.runs.published import load_run
from replicate.runs.store import SELECTIONS, folder_of
from replicate.training.examples import examples
from replicate.training.loop import Trainer, learning_rate
from replicate.training.train import train


def trained(root, experiment, **options):
    return train(
        experiment,
        small.corpus(),
        folder_of(experiment, root),
        sound=small.waveforms(),
        **options,
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that nothing interrupted."""
    return trained(tmp_path_factory.mktemp("whole"), small.experiment())


def same_bits(one, other):
    pd.testing.assert_frame_equal(one.predictions, other.predictions, check_exact=True)
    without_time = [run.epochs.drop(columns="seconds") for run in (one, other)]
    pd.testing.assert_frame_equal(*without_time, check_exact=True)


@pytest.mark.parametrize("model", ["text", "concat"])
def test_it_learns_what_the_corpus_says(tmp_path, model):
    run = trained(tmp_path, small.experiment(model, epochs=12))
    assert run.epochs["train_accuracy"].iloc[-1] > 0.6, "chance is .25"
    assert run.epochs["loss"].iloc[-1] < run.epochs["loss"].iloc[0]


def test_the_same_experiment_gives_the_same_bits_and_another_seed_does_not(tmp_path, whole):
    same_bits(whole, trained(tmp_path / "a", small.experiment()))
    other = trained(tmp_path / "b", small.experiment(seed=1))
    assert not whole.epochs["loss"].equals(other.epochs["loss"])


def test_selections_hold_the_predictions_of_their_epochs(tmp_path):
    run = trained(tmp_path, small.experiment(epochs=6))
    labels = run.epochs.set_index("epoch")
    for selection in SELECTIONS:
        chosen = run.selected(selection)
        epoch = chosen["epoch"].unique().item()
        guessed = chosen[["anger", "happiness", "neutrality", "sadness"]].idxmax(axis=1)
        accuracy = (guessed == chosen["emotion"]).mean()
        assert accuracy == pytest.approx(labels.loc[epoch, "test_accuracy"])
    epochs = {name: run.selected(name)["epoch"].iloc[0] for name in SELECTIONS}
    assert epochs["last-epoch"] == 6
    assert epochs["test-best"] == labels["test_accuracy"].idxmax(), "the earliest of the best"
    assert epochs["development-best"] == labels["development_accuracy"].idxmax()


def test_without_a_development_part_there_is_no_development_best(tmp_path):
    run = trained(tmp_path, small.experiment(development=0.0, epochs=2))
    assert run.selected("development-best").empty
    assert run.epochs["development_accuracy"].isna().all()


class Interrupt(Exception):
    pass


def test_an_exception_between_epochs_loses_nothing(tmp_path, whole):
    def stop(_, epochs, __):
        if len(epochs) == 2:
            raise Interrupt

    with pytest.raises(Interrupt):
        trained(tmp_path / "parts", small.experiment(), report=stop)
    seen = []
    resumed = trained(
        tmp_path / "parts",
        small.experiment(),
        report=lambda _, epochs, __: seen.append(len(epochs)),
    )
    assert seen == [3, 4]
    same_bits(whole, resumed)
    assert not (resumed.folder / "checkpoint.pt").exists()


def test_a_sigkill_loses_at_most_an_epoch_and_changes_no_bit(tmp_path):
    experiment = small.experiment(epochs=8)
    folder = folder_of(experiment, tmp_path)
    script = (
        "import small, pathlib, sys; from replicate.training.train import train;"
        "train(small.experiment(epochs=8), small.corpus(), pathlib.Path(sys.argv[1]),"
        "sound=small.waveforms(), report=lambda e, t, s: print(len(t), flush=True))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(folder)],
        cwd=Path(__file__).parent,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if int(line) == 3:
            time.sleep(0.02)
            os.kill(process.pid, signal.SIGKILL)
            break
    process.wait()
    assert not (folder / "run.json").exists()
    seen = []
    resumed = trained(tmp_path, experiment, report=lambda _, epochs, __: seen.append(len(epochs)))
    assert 4 <= seen[0] < 8
    same_bits(trained(tmp_path / "whole", experiment), resumed)


def test_a_checkpoint_of_another_experiment_is_not_continued(tmp_path, capsys):
    def stop(*_):
        raise Interrupt

    with pytest.raises(Interrupt):
        trained(tmp_path, small.experiment(), report=stop)
    run = trained(tmp_path, small.experiment(weight_decay=0.1))
    assert "training starts anew" in capsys.readouterr().err
    same_bits(run, trained(tmp_path / "fresh", small.experiment(weight_decay=0.1)))


def test_one_epoch_against_a_plain_loop(tmp_path):
    """Adam with coupled weight decay on unweighted cross entropy, written out once more."""
    experiment = small.experiment("text", epochs=1, subsampling_t=1e12)
    table = cohort(small.corpus())
    data = examples(experiment, table, None)
    trainer = Trainer(experiment, data, None, "cpu")
    torch.manual_seed(0)
    reference = EmotionModel(experiment.architecture, "text", len(data.vocab.words), 4)
    reference.double().eval()
    trainer.model.double().eval()
    trainer.model.train = lambda mode=True: trainer.model  # no dropout on either side
    moments = {name: (0.0, 0.0) for name, _ in reference.named_parameters()}
    rng = np.random.default_rng((0, 1))
    rng.integers(2**63)
    order = rng.permutation(data.parts.train)
    for step, start in enumerate(range(0, len(order), 8), start=1):
        rows = order[start : start + 8]
        width = max(5, *(len(data.sentences[i]) for i in rows))
        words = torch.zeros(len(rows), width, dtype=torch.int64)
        for line, i in zip(words, rows, strict=True):
            line[: len(data.sentences[i])] = torch.from_numpy(data.sentences[i])
        reference.zero_grad()
        logits = reference(None, words).logits
        F.cross_entropy(logits, torch.from_numpy(data.labels[rows])).backward()
        with torch.no_grad():
            for name, parameter in reference.named_parameters():
                gradient = parameter.grad + 6e-3 * parameter
                first, second = moments[name]
                first = 0.9 * first + 0.1 * gradient
                second = 0.999 * second + 0.001 * gradient**2
                moments[name] = first, second
                slope = first / (1 - 0.9**step)
                parameter -= 3e-3 * slope / ((second / (1 - 0.999**step)).sqrt() + 1e-8)
    trainer.run_epoch()
    for (name, one), other in zip(
        trainer.model.named_parameters(), reference.parameters(), strict=True
    ):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9, msg=name)


def test_the_learning_rate_of_table_1():
    settings = small.experiment().training
    assert learning_rate(settings, 1) == 3e-3
    assert learning_rate(settings, 150) == pytest.approx(4.97e-4, rel=2e-3)


def test_the_vocabulary_comes_from_the_training_part_alone():
    experiment = small.experiment("text")
    table = cohort(small.corpus())
    parts = split(table, experiment.fold, experiment.training.development)
    table.loc[parts.test[0], "transcript"] = "unheard"
    assert "unheard" not in examples(experiment, table, None).vocab.words


def test_pretrained_vectors_start_the_embedding_and_are_recorded(tmp_path):
    from dataclasses import replace

    from gensim.models import KeyedVectors

    keyed = KeyedVectors(vector_size=5)
    keyed.add_vectors(list(small.WORDS), np.ones((4, 5), dtype=np.float32))
    experiment = small.experiment("text", epochs=1)
    experiment = replace(
        experiment,
        embedding="word2vec",
        architecture=replace(experiment.architecture, emb_size=5),
    )
    run = trained(tmp_path, experiment, vectors=WordVectors("made for a test", keyed))
    assert run.provenance.vectors is not None
    assert run.provenance.vectors.source == "made for a test"
    assert 0.9 < run.provenance.vectors.out_of_vocabulary_words < 1


@pytest.mark.parametrize("model", ["att_d1", "audio"])
def test_a_model_that_needs_audio_says_so(tmp_path, model):
    with pytest.raises(InputError, match="needs audio"):
        train(small.experiment(model), small.corpus(), tmp_path)


def test_a_missing_transcript_is_named(tmp_path):
    corpus = small.corpus()
    corpus.utterances.loc[3, "transcript"] = None
    with pytest.raises(InputError, match="u003: has no transcript"):
        train(small.experiment("text"), corpus, tmp_path)


def test_the_eager_encoder_trains_to_the_same_predictions(tmp_path, monkeypatch):
    """What front ends without kernels run: PyTorch's layers on the padded batch."""
    from replicate.model import RawAudioEncoder
    from replicate.training import loop
    from replicate.training import train as from_start

    fused = trained(tmp_path / "fused", small.experiment("audio", epochs=1))

    class Eager(Trainer):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            self.fused = None

    monkeypatch.setattr(loop, "FusedAudioEncoder", RawAudioEncoder)
    monkeypatch.setattr(from_start, "Trainer", Eager)
    eager = trained(tmp_path / "eager", small.experiment("audio", epochs=1))
    columns = ["anger", "happiness", "neutrality", "sadness"]
    np.testing.assert_allclose(fused.predictions[columns], eager.predictions[columns], atol=5e-3)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_cuda_agrees_with_the_cpu(tmp_path):
    cpu = trained(tmp_path / "cpu", small.experiment(epochs=1))
    cuda = trained(tmp_path / "cuda", small.experiment(epochs=1), device="cuda")
    columns = ["anger", "happiness", "neutrality", "sadness"]
    np.testing.assert_allclose(cpu.predictions[columns], cuda.predictions[columns], atol=5e-3)


def test_a_stored_run_reads_back_as_it_was(whole):
    back = load_run(whole.folder)
    assert (back.experiment, back.provenance) == (whole.experiment, whole.provenance)
    same_bits(whole, back)
