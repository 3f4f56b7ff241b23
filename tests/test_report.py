"""Tables and figures name what made them, and nothing of the stand-in can pass for IEMOCAP."""

import io
import re
from dataclasses import replace
from urllib.parse import unquote
from xml.etree import ElementTree

import made_runs
import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import small
from hypothesis import given, settings
from hypothesis import strategies as st

from replicate.corpora.protocol import cohort
from replicate.model import FUSIONS, EmotionModel
from replicate.paper import EMOTIONS
from replicate.report import anatomy, layout, page, show, sources, style
from replicate.report.page import Notice
from replicate.report.show import Exhibit
from replicate.report.sources import Source
from replicate.runs import names
from replicate.runs.experiments import PROFILES
from replicate.runs.selection import Selection, load
from replicate.runs.store import save_run
from replicate.settings import MARK, ModelConfig

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


def html(exhibit):
    return exhibit._repr_html_()


class TestMark:
    @given(
        synthetic=st.lists(st.booleans(), min_size=1, max_size=4),
        text=st.text(max_size=30),
        index=st.booleans(),
    )
    @settings(max_examples=50, deadline=None)
    def test_one_synthetic_source_among_any_marks_a_table(self, synthetic, text, index):
        made_by = [Source(text, flag) for flag in synthetic]
        frame = pd.DataFrame({"a": [text]}, index=["b"] if index else None)
        made = show.table(frame, text, [*made_by, sources.PAPER])
        assert (f"<caption>{MARK}" in made.body) == any(synthetic)
        assert (f"<caption>{MARK}</caption>" in made.body) == all(synthetic)
        assert (MARK in repr(made)) == any(synthetic) or MARK in text

    def test_is_in_the_pixels_of_a_picture(self):
        def pixels(synthetic):
            figure = style.waveforms({"a": np.ones(4000, np.float32)})
            return show.picture(figure, "alt", "caption", [Source("x", synthetic)]).body

        assert pixels(True) != pixels(False)

    def test_an_exhibit_without_sources_cannot_be_made(self):
        with pytest.raises(ValueError, match="source"):
            Exhibit("<p>", "p", "caption", ())
        with pytest.raises(ValueError, match="source"):
            show.table(pd.DataFrame({"a": [1]}), "caption", [])

    def test_one_synthetic_run_marks_runs_mixed_with_others(self):
        mixed = [run(synthetic=True, corpus="standin-quick"), run()]
        assert [source.synthetic for source in sources.of_runs(mixed)] == [True, False]


class TestSource:
    def test_names_corpus_protocol_seeds_and_commit_and_folds_the_rest_away(self):
        (source,) = sources.of_runs([run(), run(seed=1)], "last-epoch")
        assert source.brief == "iemocap · profile paper · seeds 0, 1 · commit 0123456"
        for detail in ("150 epochs", "fold stratified-0", "last epoch"):
            assert detail in source.line and detail not in source.brief
            assert detail in source.html.partition('<span class="more">')[2]

    def test_dirty_code_is_said(self):
        made = run()
        dirty = replace(made, provenance=replace(made.provenance, dirty=True))
        (source,) = sources.of_runs([made, dirty])
        assert "commits 0123456, 0123456 + uncommitted changes" in source.line

    def test_runs_on_a_gpu_are_counted(self):
        here, there = run(), run(seed=1)
        made = replace(there.provenance, device="cuda", hardware="X9")
        (source,) = sources.of_runs([here, replace(there, provenance=made)])
        assert "1 of 2 runs (seed 1) on X9" in source.line
        (source,) = sources.of_runs([here])
        assert "runs on" not in source.line

    def test_choosing_the_epoch_on_the_test_set_is_called_optimistic(self):
        (source,) = sources.of_runs([run()], "test-best")
        assert "optimistic" in source.line

    def test_many_seeds_are_counted(self):
        assert sources.listed("seed", range(10)) == "10 seeds (0 … 9)"
        assert sources.listed("seed", [0]) == "seed 0"
        assert sources.listed("fold", ["b", "a"]) == "folds a, b"


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
        assert [names.name_of(one) for one in found.runs] == [
            "Att_s^1", "Concat", "Text", "Att_d^1, Word2Vec",
        ]  # fmt: skip

    def test_no_runs_at_all(self, tmp_path):
        assert load("iemocap", "paper", "quick", root=tmp_path).runs == ()

    def test_command_names_the_grid_that_makes_the_runs(self):
        def command(corpus, profile="paper", **chosen):
            return Selection(corpus, profile, ()).of(**chosen).command()

        assert command("meld").endswith("--grid text")
        assert command("iemocap-features", folds="session").endswith("--grid fusions-sessions")
        assert command("iemocap-features", folds="scenario").endswith("--grid text-scenarios")
        assert command("emodb", folds="speaker").endswith("--grid speakers")
        assert command("meld", folds="session").endswith("--grid text-sessions")
        assert "--data" not in command("standin-quick", "quick")

    def test_typical_utterances_have_median_length(self):
        table, waveforms = cohort(small.corpus()), small.waveforms()
        for emotion, utterance in show.typical(table, waveforms).items():
            ids = table.loc[table["emotion"] == emotion, "utterance"]
            lengths = np.sort(waveforms.lengths[waveforms.rows(ids)])
            length = waveforms.lengths[waveforms.rows([utterance])][0]
            assert length == lengths[len(lengths) // 2]

    def test_notice(self):
        assert MARK in repr(page.notice("standin-quick", "iemocap-features"))
        assert MARK not in repr(page.notice("emodb"))


class TestAnatomy:
    @pytest.mark.parametrize("name", [*FUSIONS, "audio", "text"])
    def test_parameters_of_the_layers_add_up(self, name):
        model = EmotionModel(ModelConfig(), name, 50, 4)
        total = sum(p.numel() for p in model.parameters())
        layers = anatomy.layers(model)
        assert sum(layer.parameters for layer in layers) == total
        places = anatomy.places(layers)
        assert len(set(places.values())) == len(layers), "no box hides another"

    def test_boxes_follow_the_data(self):
        boxes = {b.name: b for b in anatomy.layers(EmotionModel(ModelConfig(), "att_d1", 50, 4))}
        assert boxes["fusion"].inputs == ["cat", "audio.projection"]
        assert boxes["classifier.0"].inputs == ["fusion"]
        assert boxes["add"].shape == "[B, 200, 8]"
        assert boxes["audio.front_end.conv1"].shape == "[B, 4, T]"


class TestCorpus:
    corpus = small.corpus()
    here = Source("small", True)

    def test_only_the_stand_in_is_played(self):
        wave = RNG.uniform(-0.1, 0.1, 16_000).astype(np.float32)
        played = show.player(wave, "noise", self.corpus)
        assert "data:audio/ogg;base64," in played.body and MARK in html(played)
        refused = show.player(wave, "noise", replace(self.corpus, synthetic=False))
        assert isinstance(refused, Notice)


class TestStyle:
    """Figures that the notebooks draw directly, on small inputs and odd ones."""

    def test_waveforms(self):
        waves = {e: RNG.normal(0, 0.1, 4000).astype(np.float32) for e in EMOTIONS}
        assert len(style.waveforms(waves).axes) == 8

    def test_a_missing_value_leaves_its_row(self):
        ours = pd.DataFrame({"value": [0.6, np.nan], "low": [0.5, np.nan], "high": [0.7, np.nan]})
        groups = {"reported": pd.Series([0.7, 0.6], ["a", "b"]), "ours": ours.set_axis(["a", "b"])}
        figure, told, drawn = style.intervals(groups, lines={"chance": 0.25})
        assert told == "reported: a 0.700, b 0.600; ours: a 0.600"
        (axes,) = figure.axes
        assert [tick.get_text() for tick in axes.get_yticklabels()] == ["a", "b"]
        assert drawn.loc[("ours", "a")].tolist() == [0.6, 0.5, 0.7]

    def test_the_grid_of_pairs_has_a_cell_for_each(self):
        names = list("abcd")
        values = pd.DataFrame(np.arange(16.0).reshape(4, 4) / 16, names, names)
        figure = style.pairs(values, values.map(str), "share", top=1.0)
        written = [text.get_text() for text in figure.axes[0].texts]
        assert written == [str(values.iat[i, j]) for i in range(4) for j in range(i)]

    def test_settings_of_matplotlib_stay_as_they_were(self):
        before = dict(matplotlib.rcParams)
        style.waveforms({"a": np.ones(4000, np.float32)})
        assert dict(matplotlib.rcParams) == before


class TestShow:
    """What a cell's function returns, as it is shown."""

    def test_an_empty_selection_is_a_notice_and_nothing_is_computed(self, capsys):
        nothing = Selection("iemocap", "paper", ()).of("att_d1")

        @show.exhibit("caption", nothing)
        def never():
            raise AssertionError

        shown = capsys.readouterr().out
        assert "Not here yet" in shown and "replicate run --corpus iemocap" in shown

    def test_a_frame_names_its_runs(self, capsys):
        runs = Selection("iemocap", "paper", (run(), run(seed=1)))

        @show.exhibit("Two seeds.", runs)
        def table():
            return runs.answers().groupby("seed").size().to_frame("n").reset_index()

        shown = capsys.readouterr().out
        assert "Two seeds." in shown and "seeds 0, 1" in shown and "60" in shown

    @pytest.mark.parametrize("synthetic", [True, False])
    def test_data_leave_the_page_with_all_digits_and_their_mark(self, synthetic, monkeypatch):
        frame = pd.DataFrame({"accuracy": RNG.random(3), "+gain": RNG.normal(size=3)}, list("abc"))
        kept = []
        monkeypatch.setattr(show, "display", kept.append)

        @show.exhibit("A table.", Source("corpus", synthetic))
        def as_table():
            return frame.rename_axis("model")

        @show.exhibit("A figure.", Source("corpus", synthetic))
        def as_figure():
            return plt.subplots()[0], "what is to be seen", frame.rename_axis("model")

        for exhibit, name in zip(kept, ("as_table", "as_figure"), strict=True):
            (link,) = re.findall(r'<a download="([^"]+)" href="data:([^"]+)"', html(exhibit))
            assert link[0] == f"{'STAND-IN-' * synthetic}{name}.csv"
            read = pd.read_csv(io.StringIO(unquote(link[1].partition(",")[2])), index_col="model")
            assert read[list(frame)].equals(frame)
            assert list(read.get("mark", [])) == [MARK] * 3 * synthetic
            assert f"Cell <code>{name}</code>" in html(exhibit)

    def test_a_figure_is_closed_after_it_is_shown(self, capsys):
        @show.exhibit("caption", sources.PAPER)
        def figure():
            return plt.subplots()[0], "what is to be seen"

        assert "[picture: what is to be seen]" in capsys.readouterr().out
        assert not plt.get_fignums()

    @given(
        value=st.floats(-1, 1, allow_subnormal=False),
        width=st.floats(0, 1, allow_subnormal=False),
        name=st.sampled_from(["accuracy", "+gain", "p value"]),
    )
    @settings(max_examples=50, deadline=None)
    def test_an_interval_stands_beside_its_value_with_the_same_digits(self, value, width, name):
        ends = {f"{name}_low": [value - width], f"{name}_high": [value + width]}
        (cell,) = layout.cells(pd.DataFrame({name: [value], **ends})).iloc[0]
        (alone,) = layout.cells(pd.DataFrame({name: [value]})).iloc[0]
        (interval,) = layout.cells(pd.DataFrame(ends)).iloc[0]
        assert cell == f"{alone} {interval}"

    @pytest.mark.parametrize(
        ("groups", "index", "shown"),
        [
            ([""] * 7, False, 7),
            ([""] * 8, True, 7),  # the index is one of them
            ([*"aaabbb"], True, 7),
            ([*"aaabbbccc"], True, 7),
            ([*"aabbbcccc"], False, 5),
            (["a"] * 9, False, 9),  # nothing fits
        ],
    )
    def test_of_a_wide_table_the_groups_that_fit_are_unfolded(self, groups, index, shown):
        names = [(group, f"{k}") for k, group in enumerate(groups)]
        columns = pd.MultiIndex.from_tuples(names) if any(groups) else [name for _, name in names]
        frame = pd.DataFrame([["x"] * len(groups)] * 2, columns=columns)
        made = layout.tabulated(frame, index, {})
        rows = ElementTree.fromstring(made[made.index("<table") :]).iter("tr")
        cells = [[cell for cell in row if "data-fold" not in cell.attrib] for row in rows]
        assert {sum(int(cell.get("colspan", 1)) for cell in row) for row in cells} == {shown}
        assert ("all-columns" in made) == (len(groups) + index > shown)

    def test_what_is_not_known_is_empty(self):
        frame = pd.DataFrame({"a": [np.nan], "a_low": [np.nan], "a_high": [np.nan], "b": [None]})
        assert layout.cells(frame).iloc[0].tolist() == [None, None]

    def test_numbers_for_the_prose_need_their_runs(self, capsys):
        @show.say(Selection("iemocap", "paper", ()))
        def never():
            raise AssertionError

        assert capsys.readouterr().out == ""
