"""A real Ray cluster of two nodes on this machine; one is killed halfway."""

import os
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from click.testing import CliRunner

from replicate.__main__ import main
from replicate.corpora.opening import open_corpus
from replicate.corpora.protocol import cohort
from replicate.files import InputError
from replicate.runs.experiments import PROFILES, Experiment
from replicate.runs.grids import grid
from replicate.runs.published import load_run, load_runs
from replicate.runs.rerun import compare
from replicate.runs.store import folder_of
from replicate.training.schedule import run_grid, state_of, train_here
from replicate.training.worker import Source, Workers

pytest.importorskip("ray", reason="needs the extra [cluster]")

SOURCE = Source("standin-tiny", heard=True)


@pytest.fixture(scope="module")
def cluster() -> Iterator[object]:
    """A head that trains nothing, and two nodes of one core."""
    # without the second, whatever else runs here starves the workers
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}
    from ray.cluster_utils import Cluster

    small = {"object_store_memory": 80 * 2**20}
    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False, **small}
    )
    for _ in range(2):
        cluster.add_node(num_cpus=1, **small)
    yield cluster
    cluster.shutdown()


def experiments(seeds: int, epochs: int) -> list[Experiment]:
    text = grid("text", "standin-tiny", PROFILES["smoke"], cohort(open_corpus("standin-tiny")))[0]
    training = replace(text.training, epochs=epochs)
    return [replace(text, seed=seed, training=training) for seed in range(seeds)]


def test_a_grid_survives_the_death_of_a_node_and_equals_the_local_one(tmp_path, cluster):
    wanted = experiments(seeds=4, epochs=20)
    wanted.append(replace(*experiments(seeds=1, epochs=2), model="att_d1"))
    remote = run_grid(wanted, SOURCE, Workers(cluster=cluster.address), tmp_path / "remote")
    outcomes = [next(remote)]
    cluster.remove_node(cluster.list_all_nodes()[-1], allow_graceful=False)
    outcomes += remote
    assert [outcome.error for outcome in outcomes] == [None] * 5
    assert {outcome.experiment for outcome in outcomes} == set(wanted)
    assert not list(tmp_path.rglob(".*"))

    assert all(o.error is None for o in run_grid(wanted, SOURCE, Workers(), tmp_path / "local"))
    for experiment in wanted:
        here, there = (
            load_run(folder_of(experiment, tmp_path / place)) for place in ("local", "remote")
        )
        assert compare(here, there).identical


def test_the_command_takes_a_cluster(tmp_path, cluster):
    command = ["run", "--corpus", "standin-tiny", "--profile", "smoke", "--grid", "text"]
    where = ["--cluster", cluster.address, "--results", str(tmp_path)]
    done = CliRunner().invoke(main, [*command, *where])
    assert done.exit_code == 0, done.output
    assert "2 of 2 done" in done.stdout
    assert len(load_runs("standin-tiny", "smoke", tmp_path)) == 2


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU would train")
def test_trainings_take_their_share_of_a_gpu(tmp_path, cluster):
    node = cluster.add_node(num_cpus=2, num_gpus=1, object_store_memory=80 * 2**20)
    workers = Workers(device="cuda", cluster=cluster.address, gpus=0.5)
    outcomes = list(run_grid(experiments(2, 1), SOURCE, workers, tmp_path))
    cluster.remove_node(node)
    assert len(outcomes) == 2, "both were placed, though there is one GPU"
    assert all("NVIDIA" in outcome.error or "CUDA" in outcome.error for outcome in outcomes)


def test_a_node_with_other_code_refuses():
    (experiment,) = experiments(1, 1)
    state = state_of(SOURCE, "cpu")
    refusal = train_here(experiment, SOURCE, "cpu", {**state, "code": {}})
    assert isinstance(refusal, str) and "has other code" in refusal


def test_no_cluster_is_one_clear_error(tmp_path):
    with pytest.raises(InputError, match="no Ray cluster answers"):
        list(run_grid(experiments(1, 1), SOURCE, Workers(cluster="127.0.0.1:1"), tmp_path))
