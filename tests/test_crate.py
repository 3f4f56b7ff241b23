"""The description of the results is that of the files which git has, and others can read it."""

import json
import subprocess
from pathlib import Path

import crate
import pyarrow.parquet as pq
import pytest
from rocrate.rocrate import ROCrate

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results as they are in git, whatever has been trained here since."""
    if not (ROOT / ".git").exists():
        pytest.skip("no checkout of git")
    copy = tmp_path_factory.mktemp("index")
    for command in (
        ["git", "-C", str(ROOT), "checkout-index", "-a", f"--prefix={copy}/"],
        ["git", "-C", str(copy), "init", "-q"],
        ["git", "-C", str(copy), "add", "-f", "results"],
    ):
        subprocess.run(command, check=True)
    return copy / "results"


def test_it_is_that_of_the_files_in_git(results: Path) -> None:
    stored = (results / crate.NAME).read_text(encoding="utf-8")
    assert stored == crate.Crate(results).text(), "see `python tests/crate.py --write`"


def test_a_library_reads_it_and_finds_every_file(results: Path) -> None:
    found = ROCrate(results)
    assert found.root_dataset["license"].id == "https://spdx.org/licenses/MIT"
    listed = {entity.id for entity in found.data_entities}
    assert listed == {*crate.files(results), crate.REPORTS}


def test_each_file_and_column_has_a_meaning_and_the_stand_in_its_mark(results: Path) -> None:
    graph = json.loads((results / crate.NAME).read_text(encoding="utf-8"))["@graph"]
    by_id = {entity["@id"]: entity for entity in graph}
    for name in crate.files(results):
        said = by_id[name]
        assert said["description"], f"{name}: results/README.md does not say what it holds"
        assert ("STAND-IN" in said["name"]) == name.startswith("standin-")
        if name.endswith(".parquet"):
            columns = [by_id[each["@id"]] for each in said["variableMeasured"]]
            assert all(column["description"] for column in columns)
            told = {column["name"].partition(".")[0] for column in columns}
            assert told == set(pq.read_schema(results / name).names), name
