import json

import pytest

from simulator.commands import cli
from simulator.datasets import find, load
from simulator.datasets.places import SOURCES, names
from simulator.errors import ConfigError, DatasetMissingError
from tests.simulator.datasets.own import own


@pytest.mark.parametrize("name", SOURCES)
@pytest.mark.parametrize("inside", [True, False])
def test_atomic_files_of_a_known_name_are_read_and_said_to_be(tmp_path, name, inside):
    folder = own(tmp_path, name=name)
    dataset = load(name, tmp_path if inside else folder)
    assert (dataset.users, dataset.items) == (["u", "v"], ["b", "a"])
    assert dataset.notes[0] == f"these are RecBole's files, not the original ones of {name}"
    assert find(name, tmp_path).source is None


@pytest.mark.parametrize("folder", ["ml-100k", ""])
def test_two_data_sets_of_a_name_are_refused_by_both_names(tmp_path, miniature, folder):
    miniature(folder=tmp_path / folder)
    own(tmp_path, name="ml-100k")
    with pytest.raises(ConfigError, match=r"original files in .* and as ml-100k\.inter in .*ml-100k: move one"):
        load("ml-100k", tmp_path)


@pytest.mark.parametrize("inside", [True, False])
def test_the_generated_data_set_does_not_pass_for_files_of_its_name(tmp_path, monkeypatch, inside):
    folder = own(tmp_path, name="synthetic")
    where = tmp_path if inside else folder
    with pytest.raises(ConfigError, match=r"the data set that is generated, and .* holds synthetic\.inter: rename"):
        load("synthetic", where)
    monkeypatch.setenv("FEDAU2_DATA", str(where))
    with pytest.raises(ConfigError, match="rename"):
        load("synthetic")
    monkeypatch.delenv("FEDAU2_DATA")
    assert len(load("synthetic").users) == len(load("synthetic", tmp_path / "elsewhere").users) == 600


@pytest.mark.parametrize("name", SOURCES)
def test_a_folder_that_is_there_is_not_denied(tmp_path, name):
    (tmp_path / name).mkdir()
    (tmp_path / name / "readme.txt").write_text("nothing")
    with pytest.raises(DatasetMissingError) as raised:
        load(name, tmp_path)
    text = str(raised.value)
    assert str(tmp_path / name) in text
    assert f"{name}.inter" in text
    assert all(file in text for file in SOURCES[name].files)


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("movies.inter", "there is the data set 'movies'"),
        ("movies.inter.gz", "there is the data set 'movies'"),
        ("ratings.csv", "fedau2-sim datasets import reads ratings.csv"),
        ("ratings.tsv.gz", "fedau2-sim datasets import reads ratings.tsv.gz"),
        ("shop.zip", r"shop\.zip must be unpacked"),
        ("notes.txt", r"give the folder that holds your shop\.inter with --data-dir$"),
    ],
)
def test_files_that_may_be_meant_are_pointed_to(tmp_path, file, text):
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / file).touch()
    with pytest.raises(ConfigError, match=text):
        load("shop", tmp_path)


def test_a_folder_that_is_not_there_is_named(tmp_path):
    for name in ("shop", "ml-1m"):
        with pytest.raises(DatasetMissingError, match=r"there is no folder .*/absent"):
            load(name, tmp_path / "absent")


def test_a_check_compares_original_files_only(tmp_path, capsys):
    own(tmp_path, name="ml-1m")
    for name in ("ml-1m", "synthetic"):
        assert cli.main(["datasets", "check", name, "--data-dir", str(tmp_path), "--json"]) == 0
        (row,) = json.loads(capsys.readouterr().out)
        assert (row["name"], "official" in row) == (name, False)
    assert {*SOURCES} < {*names()}


def test_the_options_of_own_files_reach_the_reader(tmp_path, capsys):
    inter = [
        "user_id:token\titem_id:token\twhen:token\tstars:float",
        "u\tcaf\xe9\t2\t5",
        "u\tcaf\xe8\t1\t4",
        "u\tx\t3\t1",
    ]
    own(tmp_path, inter, ["user_id:token\tage:float", "u\t30"], "latin-1")
    arguments = ["datasets", "describe", "shop", "--data-dir", str(tmp_path), "--json", "--encoding", "latin-1"]
    arguments += ["--item-column", "item_id", "--time-column", "when", "--bin", "age=25,45"]
    assert cli.main([*arguments, "--rating-column", "stars", "--min-rating", "4"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["items"], row["interactions"]) == (2, 2)
    assert row["attributes"] == {"age": {"under 25": 0, "25 to under 45": 1, "45 and over": 0}}
