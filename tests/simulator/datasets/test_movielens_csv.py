import gzip
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.commands import cli
from simulator.datasets import SOURCES, files, load, movielens_csv
from simulator.datasets.movielens_csv import Edition
from simulator.errors import ConfigError, DatasetDamagedError, DatasetError, DatasetFormatError
from tests.simulator.datasets.own import CALM

HEADER = "userId,movieId,rating,timestamp"
RATINGS = st.lists(
    st.tuples(st.integers(1, 9), st.integers(1, 200), st.integers(1, 10), st.integers(0, 5)), min_size=1, max_size=30
)


def write(folder, lines, packed=False, end="\n"):
    content = ("\n".join(lines) + end).encode()
    folder.mkdir(exist_ok=True)
    name, data = ("ratings.csv.gz", gzip.compress(content)) if packed else ("ratings.csv", content)
    (folder / name).write_bytes(data)
    return folder


def read(folder, ratings):
    return movielens_csv.load(folder, Edition("ml-20m", ratings))


@CALM
@given(RATINGS, st.booleans(), st.integers(1, 200), st.sampled_from(["\n", "\r\n"]))
def test_each_rating_is_an_interaction_in_order_of_time(tmp_path_factory, monkeypatch, ratings, packed, size, end):
    monkeypatch.setattr(files, "BLOCK", size)
    lines = [HEADER, *(f"{user},{movie},{stars / 2},{time}" for user, movie, stars, time in ratings)]
    dataset = read(write(tmp_path_factory.mktemp("ml-20m"), [end.join(lines)], packed, end), len(ratings))
    seen = [
        (dataset.users[user], dataset.items[item], float(stars))
        for user, item, stars in zip(dataset.user, dataset.item, dataset.ratings, strict=True)
    ]
    people = list(dict.fromkeys(str(user) for user, *_ in ratings))
    expected = sorted(ratings, key=lambda rating: (people.index(str(rating[0])), rating[3]))
    assert seen == [(str(user), str(movie), stars / 2) for user, movie, stars, _ in expected]
    assert list(dataset.users) == people
    assert list(dataset.items) == [str(movie) for movie in sorted({movie for _, movie, *_ in ratings})]
    assert (np.diff(dataset.user) >= 0).all()


@pytest.mark.parametrize(
    ("lines", "text"),
    [
        ([], r"line 1: the first line must be 'userId,movieId,rating,timestamp', not ''"),
        (["1,2,3.5,4"], r"line 1: the first line must be .*, not '1,2,3\.5,4'"),
        ([HEADER, "1,2,3.5,4", "1,2,3.5"], r"ratings\.csv, line 3: the number of fields is wrong"),
        ([HEADER, "1,2,3.5,4", "ann,2,3.5,4"], r"line 3: userId 'ann' is not a whole number"),
        ([HEADER, "1,2,3.5,4", "1,,3.5,4"], r"line 3: movieId '' is not a whole number"),
        ([HEADER, "1,2,3.5,4", "1,2,good,4"], r"line 3: rating 'good' is not a number"),
        ([HEADER, "1,2,3.5,4", "1,2,3.5,noon"], r"line 3: timestamp 'noon' is not a whole number"),
    ],
)
def test_a_bad_line_is_named(tmp_path, lines, text):
    with pytest.raises(DatasetFormatError, match=text):
        read(write(tmp_path, lines), 2)


LINES = [HEADER, *(f"{user},{movie},4.0,1000{movie}" for user in range(1, 5) for movie in range(1, 6))]
WHOLE = "\n".join(LINES) + "\n"


@CALM
@given(st.integers(0, len(WHOLE) - 1))
def test_a_half_finished_download_is_refused_wherever_it_ends(tmp_path_factory, length):
    folder = tmp_path_factory.mktemp("ml-20m")
    (folder / "ratings.csv").write_text(WHOLE[:length])
    with pytest.raises(DatasetError):
        read(folder, 20)


def test_a_half_finished_download_is_called_so(tmp_path):
    for end, text in (("", r"ends within a line: its download .* has not finished"), ("\n", "has 19 ratings, and")):
        with pytest.raises(DatasetDamagedError, match=text):
            read(write(tmp_path, LINES[:-1], end=end), 20)
    packed = write(tmp_path / "packed", LINES, packed=True) / "ratings.csv.gz"
    packed.write_bytes(packed.read_bytes()[:-9])
    with pytest.raises(DatasetDamagedError, match="truncated"):
        read(packed.parent, 20)


@pytest.mark.parametrize("edition", movielens_csv.EDITIONS)
def test_a_data_set_does_not_pass_for_another_one(tmp_path, edition):
    write(tmp_path, LINES)
    with pytest.raises(DatasetDamagedError, match=rf"has 20 ratings, and {edition.name} has {edition.ratings:,}"):
        load(edition.name, tmp_path)
    assert not SOURCES[edition.name].checksums


def test_a_run_says_that_there_is_nothing_to_unlearn(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(movielens_csv, "_expect_all", lambda edition, ratings: None)
    write(tmp_path / "ml-25m", LINES)
    assert cli.main(["datasets", "describe", "ml-25m", "--data-dir", str(tmp_path), "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["interactions"], row["attributes"], row["notes"]) == (20, {}, [movielens_csv.NO_ATTRIBUTES])
    with pytest.raises(ConfigError, match="no attribute 'gender'; it has no attributes"):
        load("ml-25m", tmp_path).attribute("gender")
