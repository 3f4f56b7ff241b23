"""Tables and figures name what made them, and nothing of the stand-in can pass for IEMOCAP."""

import functools
import re
from dataclasses import replace

import made_runs
import matplotlib.figure
import numpy as np
import pandas as pd
import pytest
import small
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from replicate import loudness, paper, wordlists
from replicate.experiments import PROFILES
from replicate.judged import words_of
from replicate.model import FUSIONS, EmotionModel, ModelConfig
from replicate.protocol import EMOTIONS, Fold, cohort
from replicate.report import (
    anatomy,
    audio,
    figures,
    layout,
    page,
    plots,
    provenance,
    tables,
)
from replicate.report.provenance import MARK, Exhibit, Notice, Source
from replicate.report.results import Stored
from replicate.runs import save_run
from replicate.selection import Selection, load

RNG = np.random.default_rng(0)


def ids(n):
    """Of eight dialogues."""
    return [f"Ses01F_impro{i % 8:02d}_F{i:03d}" for i in range(n)]


def run(model="att_d1", embedding="trainable", seed=0, synthetic=False, fold=None, n=60, **more):
    """A run right in about two thirds of `n` utterances, with curves."""
    rng = np.random.default_rng([seed, len(model), len(embedding)])
    true = [EMOTIONS[i % 4] for i in range(n)]
    guessed = [e if rng.random() < 0.66 else EMOTIONS[rng.integers(4)] for e in true]
    scores = rng.uniform(0.3, 0.7, n) if model.startswith("att") else np.nan
    made = made_runs.run(
        true, guessed, ids(n), model, embedding, seed, fold, scores, synthetic=synthetic, **more
    )
    curve = {"epoch": [1, 2], "loss": [1.3, 1.1], "test_accuracy": [0.4, 0.6], "seconds": 6.0}
    best = made.predictions.assign(selection="test-best")
    provenance = replace(made.provenance, commit="0123456789ab", wall_seconds=12.0)
    predictions = pd.concat([made.predictions, best], ignore_index=True)
    return replace(made, epochs=pd.DataFrame(curve), predictions=predictions, provenance=provenance)


@functools.cache
def stored(synthetic=False, seeds=(0, 1), corpus="iemocap", profile="paper", **more):
    """Runs of every row of Tables 4 and 5 and of one modality."""
    rows = [*tables.TABLE_4, *tables.TABLE_5, *tables.UNIMODAL]
    made = [
        run(line.model, line.embedding, s, synthetic, corpus=corpus, profile=profile, **more)
        for line in rows
        for s in seeds
    ]
    return Stored(corpus, profile, tuple(made))


def html(exhibit):
    return exhibit._repr_mimebundle_()["text/html"]


def corpus_of(runs):
    """A corpus whose transcripts cover the runs' utterances."""
    made = small.corpus(64)
    return replace(made, utterances=made.utterances.assign(utterance=ids(64)))


FROM_RUNS = {
    "table 4": tables.table_4,
    "table 5": tables.table_5,
    "table 7": tables.table_7,
    "selections": lambda runs: tables.selections(tables.TABLE_4, runs),
    "text alone": tables.text_alone,
    "scores": tables.score_spread,
    "cost": tables.cost,
    "extremes": lambda runs: tables.extreme_scores(runs, corpus_of(runs)),
    "accuracy": figures.accuracy,
    "text alone, drawn": figures.text_alone,
    "attention": figures.attention,
    "confusions": figures.confusions,
    "words": lambda runs: figures.words(runs, corpus_of(runs)),
    "curves": lambda runs: figures.learning_curves(runs, "test_accuracy", "accuracy"),
}


#: What takes a choice of the epoch.
FROM_EPOCH = {
    "table 4": tables.table_4,
    "table 5": tables.table_5,
    "table 7": lambda runs, epoch: tables.table_7(runs, selection=epoch),
    "scores": lambda runs, epoch: tables.score_spread(runs, selection=epoch),
    "accuracy": figures.accuracy,
    "attention": lambda runs, epoch: figures.attention(runs, selection=epoch),
    "confusions": lambda runs, epoch: figures.confusions(runs, selection=epoch),
}


@functools.cache
def exhibit(name, synthetic=False):
    return FROM_RUNS[name](stored(synthetic))


@pytest.mark.parametrize("name", FROM_RUNS)
class TestFromRuns:
    def test_names_corpus_profile_seeds_fold_and_commit(self, name):
        shown = html(exhibit(name))
        protocol = "profile paper · 150 epochs"
        for part in ("iemocap", protocol, "fold stratified-0", "commit 0123456"):
            assert part in shown
        assert re.search("seeds 0, 1|seed 0", shown)

    def test_marks_the_stand_in(self, name):
        marked = exhibit(name, synthetic=True)
        body = re.sub("<figcaption.*</figcaption>", "", html(marked), flags=re.S)
        assert MARK in html(marked) and MARK in repr(marked)
        assert "exhibit-stand-in" in html(marked)
        assert MARK in body or "<img" in body  # a picture holds the mark in its pixels

    def test_does_not_mark_a_real_corpus(self, name):
        assert MARK not in html(exhibit(name))

    def test_names_the_paper_where_it_shows_what_that_reports(self, name):
        made = exhibit(name)
        assert (provenance.PAPER in made.sources) >= ("report" in made.plain + made.caption)

    def test_without_runs_shows_the_command(self, name):
        notice = FROM_RUNS[name](Stored("iemocap", "paper", ()))
        assert isinstance(notice, Notice)
        assert "replicate run --corpus iemocap --data PATH --profile paper" in repr(notice)


class TestMark:
    @given(
        synthetic=st.lists(st.booleans(), min_size=1, max_size=4),
        text=st.text(max_size=30),
        index=st.booleans(),
    )
    @settings(max_examples=50, deadline=None)
    def test_one_synthetic_source_among_any_marks_a_table(self, synthetic, text, index):
        sources = [Source(text, flag) for flag in synthetic]
        made = provenance.table(
            pd.DataFrame({"a": [text]}), text, [*sources, provenance.PAPER], index=index
        )
        assert (f"<caption>{MARK}" in made.body) == any(synthetic)
        assert (f"<caption>{MARK}</caption>" in made.body) == all(synthetic)
        assert (MARK in repr(made)) == any(synthetic) or MARK in text

    def test_is_in_the_pixels_of_a_picture(self):
        def pixels(synthetic):
            figure = plots.confusions({"a": np.eye(4)})
            return provenance.picture(figure, "alt", "caption", [Source("x", synthetic)]).body

        assert pixels(True) != pixels(False)

    def test_is_in_the_data_of_an_interactive_figure(self):
        exhibit = figures.learning_curves(stored(synthetic=True), "loss", "loss")
        lab = exhibit._repr_mimebundle_()["application/vnd.plotly.v1+json"]
        assert MARK in str(lab["layout"]["annotations"])
        assert "profile paper" in str(lab["layout"]["title"])

    def test_an_exhibit_without_sources_cannot_be_made(self):
        with pytest.raises(ValueError, match="source"):
            Exhibit("<p>", "p", "caption", ())
        with pytest.raises(ValueError, match="source"):
            provenance.table(pd.DataFrame({"a": [1]}), "caption", [])

    def test_one_synthetic_run_marks_runs_mixed_with_others(self):
        mixed = [run(synthetic=True, corpus="standin-quick"), run()]
        assert [source.synthetic for source in provenance.of_runs(mixed)] == [True, False]


class TestSource:
    def test_dirty_code_is_said(self):
        made = run()
        dirty = replace(made, provenance=replace(made.provenance, dirty=True))
        (source,) = provenance.of_runs([made, dirty])
        assert "commits 0123456, 0123456 + uncommitted changes" in source.line

    def test_runs_on_a_gpu_are_counted(self):
        here, there = run(), run(seed=1)
        made = replace(there.provenance, device="cuda", hardware="X9")
        (source,) = provenance.of_runs([here, replace(there, provenance=made)])
        assert "1 of 2 runs (seed 1) on X9" in source.line
        (source,) = provenance.of_runs([here])
        assert "runs on" not in source.line

    def test_choosing_the_epoch_on_the_test_set_is_called_optimistic(self):
        (source,) = provenance.of_runs([run()], "test-best")
        assert "optimistic" in source.line

    def test_many_seeds_are_counted(self):
        assert provenance.listed("seed", range(10)) == "10 seeds (0 … 9)"
        assert provenance.listed("seed", [0]) == "seed 0"
        assert provenance.listed("fold", ["b", "a"]) == "folds a, b"


class TestReportedAndReproduced:
    def test_table_4_has_every_printed_row_with_its_own_accuracy(self):
        rows = re.findall("<tr>(.*?)</tr>", html(tables.table_4(stored())), flags=re.S)
        body = [re.findall("<t[hd].*?>(.*?)</t", row) for row in rows]
        printed = {row[0]: row[1] for row in body if len(row) > 5}
        for row in paper.TABLE_4:
            assert printed[layout.in_html(row.label)] == f"{row.accuracy:.3f}"

    def test_reproduced_is_the_mean_over_seeds_between_its_ends(self):
        runs = stored(seeds=(0, 1, 2))
        frame = tables.reproduced(tables.TABLE_4, runs, "last-epoch")
        right = [
            (made.selected("last-epoch")[list(EMOTIONS)].idxmax(axis=1)
             == made.selected("last-epoch")["emotion"]).mean()
            for made in runs.of("concat")
        ]  # fmt: skip
        assert frame.loc["Concat", "value"] == pytest.approx(np.mean(right))
        assert (frame["low"] <= frame["value"]).all() and (frame["value"] <= frame["high"]).all()

    def test_a_row_without_runs_keeps_its_printed_number(self):
        runs = Stored("iemocap", "paper", (run("concat"),))
        frame = tables.reproduced(tables.TABLE_4, runs, "last-epoch")
        assert frame["reported"].notna().all()
        assert frame["value"].notna().sum() == 1

    def test_selections_do_not_mix(self):
        made = run("concat")
        wrong = made.predictions["selection"] == "last-epoch"
        made.predictions.loc[wrong, list(EMOTIONS)] = [0.1, 0.1, 0.1, 0.7]
        runs = Stored("iemocap", "paper", (made,))
        last = tables.reproduced(tables.TABLE_4, runs, "last-epoch").loc["Concat", "value"]
        best = tables.reproduced(tables.TABLE_4, runs, "test-best").loc["Concat", "value"]
        assert last == pytest.approx(0.25) and best > 0.5

    def test_table_7_prints_rates_that_follow_from_its_counts(self):
        shown = html(tables.table_7(stored()))
        for row in paper.TABLE_7:
            assert f"{row.accuracy:.3f}" in shown

    def test_runs_on_other_splits_answer_to_no_row(self):
        """The grid `text` draws a split for each seed; Tables 4 and 5 rest on one."""
        one, other = run("text"), run("text", seed=1, fold=Fold("stratified", "1"))
        runs = Stored("iemocap", "paper", (one, other))
        assert tables.answering(tables.UNIMODAL, runs) == [one]
        assert tables.reproduced(tables.UNIMODAL, runs, "last-epoch")["seeds"].max() == 1
        assert "seed 0 " in html(tables.selections(tables.UNIMODAL, runs))
        assert "fold stratified-0" in html(figures.learning_curves(runs, "loss", "loss"))

    @pytest.mark.parametrize("name", ["table 4", "table 5", "table 6", "table 7", "scores"])
    def test_only_the_papers_corpus_reproduces(self, name):
        make = FROM_RUNS[name]
        columns = {
            "reproduced": make(stored()),
            "stand-in": make(stored(synthetic=True)),
            "here": make(stored(corpus="emodb")),
        }
        for column, shown in columns.items():
            head = re.search("<thead>.*</thead>", shown.body, flags=re.S)[0]
            assert [c for c in columns if re.search(rf"[>/ ]{c}<", head)] == [column] or (
                name == "table 7" and f"reported / {column}" in head
            )

    @pytest.mark.parametrize("name", FROM_EPOCH)
    def test_an_epoch_that_no_run_has_is_a_notice(self, name):
        """The profile `paper` holds out no development part."""
        shown = FROM_EPOCH[name](stored(), "development-best")
        assert isinstance(shown, Notice) and "have no best development epoch" in shown.text
        assert isinstance(FROM_EPOCH[name](stored(), "test-best"), Exhibit)

    def test_prose_bears_an_epoch_that_no_run_has(self):
        assert tables.constant_in_words(stored(), "development-best") == "(not run yet)"

    def test_one_answer_to_everything_is_counted(self):
        always = made_runs.run(EMOTIONS * 5, ["anger"] * 20, model="audio", embedding="none")
        runs = Stored("iemocap", "paper", (always, run("audio", "none", seed=1), run("text")))
        found = tables.constant_answers(runs)
        assert found.loc["Audio"].tolist() == [1, 2] and found.loc["Text"].tolist() == [0, 1]
        assert tables.constant_in_words(runs) == "Audio 1 of 2"
        assert tables.constant_in_words(stored()) == "none of 22"
        assert tables.constant_in_words(Stored("iemocap", "paper", ())) == "(not run yet)"

    def test_scores_of_exactly_one_half_are_counted(self):
        some = made_runs.run(EMOTIONS, EMOTIONS, model="att_s1", scores=[0.5, 0.5, 0.5, 0.6])
        none = made_runs.run(EMOTIONS, EMOTIONS, model="att_s1", scores=[0.4] * 4, seed=1)
        runs = Stored("iemocap", "paper", (some, none))
        assert tables.dead_scores_in_words(runs) == "3 of 4 (seed 0), 0 of 4 (seed 1)"
        assert tables.dead_scores_in_words(Stored("iemocap", "paper", ())) == "(not run yet)"

    def test_text_alone_in_words_has_seeds_and_interval(self):
        words = tables.text_alone_in_words(stored(corpus="iemocap-text"))
        assert words["text_seeds"] == "seeds 0, 1" and words["text_last_interval"].startswith("[")
        assert words["paper_utterances"] == words["text_utterances"] == "5,531"
        held_out = made_runs.run(
            EMOTIONS * 5, ["anger"] * 20, model="text", fold=Fold("session", "1"),
            corpus="iemocap-text",
        )  # fmt: skip
        both = stored(corpus="iemocap-text")
        assert words == tables.text_alone_in_words(replace(both, runs=(held_out, *both.runs)))
        absent = tables.text_alone_in_words(Stored("iemocap-text", "paper", ()))
        assert absent.keys() == words.keys() and absent["text_last"] == "(not run yet)"

    def test_words_of_table_6_meet_tags_in_brackets(self):
        runs = stored()
        corpus = corpus_of(runs)
        said = corpus.utterances["transcript"].where(corpus.utterances.index > 9, "[LAUGHTER] oh")
        corpus = replace(corpus, utterances=corpus.utterances.assign(transcript=said))
        readers = Selection("iemocap", "paper", runs.runs).of("att_d1", "word2vec")
        rows = wordlists.printed_words(words_of(readers, corpus))
        present = rows.set_index("word")["present"]
        assert present["laughter"] == 10 and present["oh"] == 10 and np.isnan(present["business"])

    def test_sentences_of_a_real_corpus_are_not_shown(self):
        runs = stored()
        real = replace(corpus_of(runs), synthetic=False)
        sentence = real.utterances["transcript"].iloc[5]
        assert sentence not in html(tables.extreme_scores(runs, real))
        shown = html(tables.extreme_scores(stored(synthetic=True), corpus_of(runs), n=60))
        assert sentence in shown


class TestSettings:
    def test_each_profile_changes_something(self):
        made = {name: (p.training, tuple(p.seeds)) for name, p in PROFILES.items()}
        assert len(set(made.values())) == len(PROFILES)
        held_out = {name: (p.training.development, len(p.seeds)) for name, p in PROFILES.items()}
        assert held_out["paper"] == (0, 10) and held_out["paper-dev"] == (0.1, 10)


class TestPage:
    def test_runs_come_in_the_order_of_the_tables(self, tmp_path):
        made = [run("text"), run("att_s1"), run("att_d1", "word2vec"), run("concat")]
        for one in made:
            folder = tmp_path / "iemocap" / "paper" / one.experiment.name
            save_run(replace(one, folder=folder))
        found = load("iemocap", "quick", "paper", root=tmp_path)
        assert found.profile == "paper"
        assert [layout.name_of(one) for one in found.runs] == [
            "Att_s^1", "Concat", "Text", "Att_d^1, Word2Vec",
        ]  # fmt: skip

    def test_no_runs_at_all(self, tmp_path):
        assert load("iemocap", "paper", "quick", root=tmp_path).runs == ()

    def test_command_names_the_grid_that_makes_the_runs(self):
        def command(corpus, profile="paper", **chosen):
            return Selection(corpus, profile, ()).of(**chosen).command()

        assert command("iemocap-text").endswith("--grid text")
        assert command("emodb", folds="speaker").endswith("--grid speakers")
        assert command("meld", folds="session").endswith("--grid text-sessions")
        assert "--data" not in command("standin-quick", "quick")

    def test_typical_utterances_have_median_length(self):
        table, waveforms = cohort(small.corpus()), small.waveforms()
        for emotion, utterance in page.typical(table, waveforms).items():
            ids = table.loc[table["emotion"] == emotion, "utterance"]
            lengths = np.sort(waveforms.lengths[waveforms.rows(ids)])
            length = waveforms.lengths[waveforms.rows([utterance])][0]
            assert length == lengths[len(lengths) // 2]

    def test_notice(self):
        assert MARK in repr(page.notice("standin-quick", "iemocap-text"))
        assert MARK not in repr(page.notice("emodb"))


class TestAnatomy:
    @pytest.mark.parametrize("name", [*FUSIONS, "audio", "text"])
    def test_parameters_of_the_layers_add_up(self, name):
        model = EmotionModel(ModelConfig(), name, 50, 4)
        total = sum(p.numel() for p in model.parameters())
        assert sum(layer.parameters for layer in anatomy.layers(model)) == total
        assert isinstance(anatomy.figure_1(model), matplotlib.figure.Figure)

    def test_boxes_follow_the_data(self):
        boxes = {b.name: b for b in anatomy.layers(EmotionModel(ModelConfig(), "att_d1", 50, 4))}
        assert boxes["fusion"].inputs == ["cat", "audio.projection"]
        assert boxes["classifier.0"].inputs == ["fusion"]
        assert boxes["add"].shape == "[B, 200, 8]"
        assert boxes["audio.front_end.conv1"].shape == "[B, 4, T]"

    def test_record_keeps_what_the_module_computes(self):
        torch.manual_seed(0)
        module = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.ReLU())
        x = torch.randn(5, 3)
        kept = anatomy.record(module, x)
        assert torch.equal(kept["1"], module(x)) and torch.equal(kept["0"], module[0](x))


class TestCorpus:
    corpus = small.corpus()
    here = Source("small", True)

    def test_table_8_and_its_picture(self):
        level = loudness.of_cohort(self.corpus, small.waveforms())
        shown = tables.table_8(level, self.corpus.name, self.here)
        assert "0.062" in shown.body and MARK in shown.body
        assert "anger" in figures.loudness(level, self.here).plain

    def test_only_the_stand_in_is_played(self):
        wave = RNG.uniform(-0.1, 0.1, 16_000).astype(np.float32)
        played = audio.player(wave, "noise", self.corpus)
        assert "data:audio/ogg;base64," in played.body and MARK in html(played)
        refused = audio.player(wave, "noise", replace(self.corpus, synthetic=False))
        assert isinstance(refused, Notice)


class TestPlots:
    """Figures that the notebooks draw directly, on small inputs and odd ones."""

    def test_waveforms(self):
        waves = {e: RNG.normal(0, 0.1, 4000).astype(np.float32) for e in EMOTIONS}
        assert len(plots.waveforms(waves).axes) == 8

    def test_filters(self):
        assert len(plots.filters({"a": RNG.normal(size=(4, 25)), "b": np.ones((4, 25))}).axes) == 4

    def test_feature_maps_of_a_constant(self):
        maps = {"wave": np.zeros((1, 5000)), "map": np.ones((8, 5000))}
        assert len(plots.feature_maps(maps, 1.0).axes) == 2

    def test_peaks_survive_the_shrinking(self):
        values = np.zeros((1, 5000))
        values[0, 4321] = 1
        assert plots._peaks(values, 100).sum() == 1

    def test_discard(self):
        assert plots.discard(np.array([5, 2]), np.array([0.1, 0.05]), ["a", "b"], 8000).axes

    def test_a_missing_value_leaves_its_row(self):
        frame = pd.DataFrame(
            {"reported": [0.7, 0.6], "value": [0.6, np.nan], "low": [0.5, np.nan],
             "high": [0.7, np.nan]}, index=["a", "b"],
        )  # fmt: skip
        (axes,) = plots.accuracies(frame, {"chance": 0.25}).axes
        assert [tick.get_text() for tick in axes.get_yticklabels()] == ["a", "b"]

    def test_the_grid_of_pairs_has_a_cell_for_each(self):
        names = list("abcd")
        values = pd.DataFrame(np.arange(16.0).reshape(4, 4) / 16, names, names)
        figure = plots.pairs(values, values.map(str), "share", top=1.0)
        written = [text.get_text() for text in figure.axes[0].texts]
        assert written == [str(values.iat[i, j]) for i in range(4) for j in range(i)]

    def test_settings_of_matplotlib_stay_as_they_were(self):
        before = dict(matplotlib.rcParams)
        plots.confusions({"a": np.eye(4)})
        assert dict(matplotlib.rcParams) == before


class TestShapeOfWaves:
    def test_known_waveforms(self):
        """A sine and Gaussian noise have the ratios that the page gives for them."""
        t = np.arange(16000) / 16000
        sounds = {
            "sine": np.sin(2 * np.pi * 100 * t),
            "noise": np.random.default_rng(0).normal(size=10**6),
        }
        two = {"WaveAvg": [0.1, 0.01], "WaveStdAvg": [0.2, 0.015]}
        told = tables.shape_of_waves({"": pd.DataFrame(two, ["anger", "sadness"])})
        for name, sound in sounds.items():
            assert float(told[name]) == pytest.approx(sound.std() / np.abs(sound).mean(), abs=0.006)
        assert told["peaks"] == "1.50 to 2.00" and told["decibels"] == "20.0"
