"""Files in the form of Amazon's reviews and of KuaiRec, which are generated here."""

import gzip
import json

import pytest

from simulator.commands import cli
from simulator.config.own_files import OwnFiles
from simulator.datasets import importing, layouts, load
from simulator.datasets.importing import Request
from simulator.errors import ConfigError, DatasetDamagedError, DatasetFormatError
from tests.simulator.datasets.test_importing import history, write

ANN, BOB = "A1ANN000000000", "A2BOB000000000"
TEA, MILK = "B000000TEA", "B00000MILK"
REVIEWS = [
    {"overall": 5.0, "verified": True, "reviewTime": "01 2, 2017", "reviewerID": ANN, "asin": TEA, "style": {"a": "b"},
     "reviewText": "fine\tbrew\n", "unixReviewTime": 300},
    {"overall": 2.0, "reviewerID": ANN, "asin": MILK, "unixReviewTime": 100},
    {"overall": 4.0, "reviewerID": BOB, "asin": TEA, "unixReviewTime": 200, "vote": "1,024"},
]  # fmt: skip
NEW_NAMES = {"overall": "rating", "reviewerID": "user_id", "asin": "parent_asin", "unixReviewTime": "timestamp"}
KUAIREC = ["user_id,video_id,play_duration,video_duration,time,date,timestamp,watch_ratio"]
KUAIREC += ["14,148,4381,6067,2020-07-05 05:27:48,20200705.0,1593898068.622,0.722", "14,183,9,9,,,,1.5"]
KUAIREC += ["19,148,9,3,2020-07-05 05:28:00,20200705.0,1593898100.5,3.0", "14,7,9,3,x,x,1593898060,3.0"]
FEATURES = ["user_id,user_active_degree,fans_user_num,fans_user_num_range,onehot_feat0,onehot_feat4"]
FEATURES += ['14,full_active,7,"[1,10)",1,', "19,UNKNOWN,0,0,0,3.0", '99,full_active,3,"[1,10)",1,2.0']


def imported(folder, path, users=None, **options):
    settings = OwnFiles.of(**options.pop("own", {}))
    return importing.make(Request(path, folder / "made/shop", users, settings=settings, **options))


def packed(lines):
    return gzip.compress("".join(f"{json.dumps(line)}\n" for line in lines).encode())


def of_2023(review):
    return {NEW_NAMES.get(name, name): value for name, value in review.items()} | {"asin": f"{review['asin']}-red"}


@pytest.mark.parametrize(("name", "form"), [("reviews_Tea_5.json.gz", dict), ("Tea.jsonl.gz", of_2023)])
def test_reviews_of_amazon_need_no_names_of_columns(tmp_path, name, form):
    (tmp_path / name).write_bytes(packed(map(form, REVIEWS)))
    dataset = imported(tmp_path, tmp_path / name)
    assert dataset.users == [ANN, BOB]
    assert history(dataset) == [MILK, TEA]
    assert any("Amazon's reviews of 20" in note for note in dataset.notes)
    assert any("'verified' of" in note for note in dataset.notes)
    liked = load("shop", tmp_path / "made", settings=OwnFiles.of(rating_column="rating", min_rating=4))
    assert history(liked) == [TEA]
    assert "no attributes, so there is nothing to unlearn" in " ".join(dataset.notes)
    with pytest.raises(ConfigError, match="shop has no attribute 'gender'; it has no attributes, so there is nothing"):
        dataset.attribute("gender")


def test_a_column_that_is_named_goes_before_that_of_the_layout(tmp_path):
    path = write(tmp_path, "Tea.jsonl", [json.dumps(of_2023(review)) for review in REVIEWS])
    dataset = imported(tmp_path, path, own={"item_column": "asin", "time_column": "none"})
    assert history(dataset) == [f"{TEA}-red", f"{MILK}-red"]


def test_attributes_of_reviewers_are_joined(tmp_path):
    reviews = write(tmp_path, "Tea.json", map(json.dumps, REVIEWS))
    for name, lines in (
        ("a.csv", ["reviewerID,plan", f"{ANN},prime"]),
        ("b.jsonl", [f'{{"user_id":"{BOB}","plan":"no"}}']),
    ):
        dataset = imported(tmp_path / name[0], reviews, write(tmp_path, name, lines))
        assert dataset.figures()["attributes"]["plan"] == {dataset.attribute("plan").classes[0]: 1, "unknown": 1}


RATINGS = [(ANN, TEA, "5.0", "1400000300"), (ANN, MILK, "2.0", "1400000100"), (BOB, TEA, "4.0", "1400000200")]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_ratings_of_amazon_need_no_header_whichever_id_comes_first(tmp_path, order):
    lines = [",".join([row[order[0]], row[order[1]], *row[2:]]) for row in RATINGS]
    dataset = imported(tmp_path, write(tmp_path, "ratings_Tea.csv", lines))
    assert (dataset.users, history(dataset)) == ([ANN, BOB], [MILK, TEA])
    assert (
        (tmp_path / "made/shop/shop.inter").read_text().startswith("user_id:token\titem_id:token\ttimestamp:float\tr")
    )


@pytest.mark.parametrize(
    "line",
    [
        f"{TEA},{MILK},5.0,1400000300",
        f"{ANN},{BOB},5.0,1400000300",
        f"{ANN},{TEA},5.0",
        f"{ANN},{TEA},1400000300,5.0",
        f"{ANN},{TEA},6.0,1400000300",
        f"{ANN},{TEA},5.0,2014-05-13",
    ],
)
def test_other_lines_are_not_taken_for_ratings(tmp_path, line):
    assert layouts.names_of_ratings(line.split(",")) is None
    with pytest.raises(DatasetFormatError, match="looks like data"):
        imported(tmp_path, write(tmp_path, "ratings.csv", [line]))


def test_kuairec_is_read_with_a_threshold_on_the_watch_ratio(tmp_path):
    matrix, features = write(tmp_path, "small_matrix.csv", KUAIREC), write(tmp_path, "user_features.csv", FEATURES)
    dataset = imported(tmp_path, matrix, features, own={"bins": ["fans_user_num=5"]})
    assert history(dataset) == ["7", "148"]
    assert "1 lines of small_matrix.csv without a time are left out, the first is line 3" in " ".join(dataset.notes)
    attributes = dataset.figures()["attributes"]
    assert attributes["user_active_degree"] == {"full_active": 1, "unknown": 1}
    assert attributes["onehot_feat0"] == {"0": 1, "1": 1}
    assert attributes["onehot_feat4"] == {"3.0": 1, "unknown": 1}
    assert attributes["fans_user_num"] == {"under 5": 1, "5 and over": 1}
    liked = load("shop", tmp_path / "made", settings=OwnFiles.of(rating_column="rating", min_rating=2))
    assert [len(items) for items in liked.histories()] == [1, 1]
    whole = imported(tmp_path / "whole", matrix, own={"time_column": "none"})
    assert history(whole) == ["148", "183", "7"]


def test_repeats_are_counted(tmp_path):
    dataset = imported(tmp_path, write(tmp_path, "Tea.json", map(json.dumps, [*REVIEWS, *REVIEWS[:2]])))
    assert "2 interactions repeat an earlier one of the same user and item" in " ".join(dataset.notes)
    assert len(dataset.item) == 5


def without(name):
    return [{key: value for key, value in review.items() if key != name} for review in REVIEWS]


@pytest.mark.parametrize(
    ("lines", "text"),
    [
        (without("asin"), r"Tea\.json: the column user_id:token is missing: name the column of the users"),
        ([*REVIEWS, {"reviewerID": BOB, "overall": 3.0, "unixReviewTime": 5}], "line 4: the asin is empty"),
        ([*REVIEWS, REVIEWS[0] | {"overall": None}], "line 4: overall '' is not a number"),
        ([*REVIEWS, REVIEWS[0] | {"unixReviewTime": None}], "line 4: unixReviewTime '' is not a number"),
        ([*REVIEWS, REVIEWS[0] | {"reviewerID": "a\tb"}], "line 4: reviewerID 'a.*b' holds a tab"),
        ([*REVIEWS, REVIEWS[0] | {"asin": ["B"]}], "line 4: asin is a list or an object"),
    ],
)
def test_reviews_that_cannot_be_imported_leave_nothing(tmp_path, lines, text):
    path = write(tmp_path, "Tea.json", map(json.dumps, lines))
    with pytest.raises(DatasetFormatError, match=text):
        imported(tmp_path, path)
    assert [left.name for left in tmp_path.iterdir()] == ["Tea.json"]


def test_reviews_whose_download_broke_off_leave_nothing(tmp_path):
    (tmp_path / "Tea.json.gz").write_bytes(packed(REVIEWS * 100)[:-20])
    with pytest.raises(DatasetDamagedError, match=r"Tea\.json\.gz is truncated or corrupt"):
        imported(tmp_path, tmp_path / "Tea.json.gz")
    assert [left.name for left in tmp_path.iterdir()] == ["Tea.json.gz"]


def test_settings_without_effect_on_json_are_refused(tmp_path):
    path = write(tmp_path, "Tea.json", map(json.dumps, REVIEWS))
    with pytest.raises(ConfigError, match=r"every line of Tea\.json names its fields"):
        imported(tmp_path, path, columns=["user", "item"])
    with pytest.raises(ConfigError, match="--delimiter has no effect on JSON lines"):
        imported(tmp_path, path, delimiter=";")


def test_a_run_on_reviews_without_attributes_is_refused(tmp_path, capsys):
    path = write(tmp_path, "Tea.json", map(json.dumps, REVIEWS))
    assert cli.main(["datasets", "import", str(path), "--out", str(tmp_path / "tea")]) == 0
    run = ["run", "--dataset", "tea", "--data-dir", str(tmp_path), "--out", str(tmp_path / "run")]
    assert cli.main(run) == 1
    assert "no attributes, so there is nothing to unlearn and to attack" in capsys.readouterr().err
