import pytest

from simulator.config.own_files import OwnFiles
from simulator.datasets.columns import choose
from simulator.errors import ConfigError, DatasetFormatError
from tests.simulator.datasets.own import own, read

LASTFM = "user_id:token artist_id:token weight:float"
YOOCHOOSE = "session_id:token item_id:token timestamp:float"
YELP = "review_id:token user_id:token business_id:token stars:float useful:float date:float"


def chosen(header, **settings):
    columns = dict(field.rsplit(":", 1) for field in header.split())
    picked = choose("x.inter", columns, OwnFiles.of(**settings))
    return (picked.user, picked.item, picked.time, picked.rating), picked.notes


@pytest.mark.parametrize(
    ("header", "settings", "expected"),
    [
        ("user_id:token item_id:token timestamp:float", {}, ("user_id", "item_id", "timestamp", None)),
        (LASTFM, {}, ("user_id", "artist_id", None, None)),
        (YOOCHOOSE, {}, ("session_id", "item_id", "timestamp", None)),
        ("who:token what:token", {}, ("who", "what", None, None)),
        (YELP, {"item_column": "business_id", "time_column": "date"}, ("user_id", "business_id", "date", None)),
        (YELP, {"item_column": "review_id", "rating_column": "stars"}, ("user_id", "review_id", None, "stars")),
        ("a:token b:token user_id:token", {"user_column": "b", "item_column": "a"}, ("b", "a", None, None)),
        ("user_id:token item_id:token timestamp:float", {"time_column": "none"}, ("user_id", "item_id", None, None)),
        ("user_id:token item_id:token day:token", {"time_column": "day"}, ("user_id", "item_id", "day", None)),
    ],
)
def test_columns_have_their_usual_names_or_are_the_only_ones_left_or_named(header, settings, expected):
    assert chosen(header, **settings)[0] == expected


def test_every_column_that_is_guessed_or_not_used_is_named():
    _, notes = chosen(LASTFM)
    assert notes == (
        "items are read from the column 'artist_id' of x.inter",
        "there is no column of times: the order of lines stands for time",
        "the column 'weight' of x.inter is not used: every line is an interaction, whatever it says",
    )
    (_, _, time, rating), notes = chosen(YELP, item_column="business_id", rating_column="stars")
    assert (time, rating) == (None, "stars")
    assert [name for name in ("review_id", "useful", "date") if not any(f"{name!r}" in note for note in notes)] == []
    assert not any("stars" in note or "business_id" in note for note in notes)


@pytest.mark.parametrize(
    ("header", "settings", "text"),
    [
        (YELP, {}, "item_id:token is missing: name the column of the items with --item-column; there is review_id"),
        ("a:token b:token c:token", {}, "user_id:token is missing: name the column of the users with --user-column"),
        ("a:token b:float", {}, "user_id:token is missing"),
        ("user_id:float item_id:token", {}, "user_id:token is missing.*there is user_id:float"),
        (LASTFM, {"item_column": "artist"}, "there is no column 'artist'; there is user_id:token, artist_id:token"),
        (LASTFM, {"item_column": "weight"}, "weight:float cannot be the column of the items; its type must be token"),
        (LASTFM, {"item_column": "user_id"}, "the column 'user_id' cannot have two meanings"),
        (LASTFM, {"time_column": "weight", "rating_column": "weight"}, "'weight' cannot have two meanings"),
        ("user_id:token item_id:token t:float_seq", {"time_column": "t"}, "t:float_seq cannot be the column"),
    ],
)  # fmt: skip
def test_a_choice_that_is_not_clear_is_refused(header, settings, text):
    with pytest.raises(DatasetFormatError, match=text):
        chosen(header, **settings)


RATED = ["user_id:token\titem_id:token\trating:float", "u\ta\t5", "u\tb\t-1", "v\ta\t3.5", "w\tb\t1"]


def test_a_lower_rating_is_not_an_interaction(tmp_path):
    dataset = read(tmp_path, RATED, rating_column="rating", min_rating=3.5)
    assert (dataset.users, dataset.items) == (["u", "v"], ["a"])
    assert "2 lines of shop.inter with a lower rating than 3.5 are left out" in dataset.notes
    assert len(read(tmp_path / "all", RATED).item) == 4
    with pytest.raises(DatasetFormatError, match="no interactions with such ratings"):
        read(tmp_path / "none", RATED, rating_column="rating", min_rating=6)
    with pytest.raises(DatasetFormatError, match=r"shop\.inter, line 3: rating 'good' is not a number"):
        read(tmp_path / "bad", [*RATED[:2], "u\tb\tgood"], rating_column="rating")
    with pytest.raises(ConfigError, match="min_rating is compared with a column: name it in rating_column"):
        OwnFiles.of(min_rating=3)


def test_the_users_of_both_files_have_the_same_column_or_the_usual_one(tmp_path):
    inter = ["session_id:token\titem_id:token", "u\ta", "v\ta"]
    for name in ("session_id", "user_id"):
        dataset = read(tmp_path / name, inter, [f"{name}:token\tage:token", "u\told", "v\tyoung"])
        assert dataset.attributes["age"].labels.tolist() == [0, 1]
    with pytest.raises(DatasetFormatError, match=r"shop\.user: there is no column user_id:token for the users"):
        read(tmp_path / "other", inter, ["customer:token\tage:token", "u\told"])


def test_a_carriage_return_within_a_line_is_refused(tmp_path):
    with pytest.raises(DatasetFormatError, match=r"shop\.inter, line 3: .*a carriage return"):
        read(tmp_path, ["user_id:token\titem_id:token\r", "u\ta\r", "u\tb\rc\r", "u\td\r"])


def test_files_that_are_not_read_are_named(tmp_path):
    folder = own(tmp_path)
    (folder / "shop.item").write_text("item_id:token\tprice:float\na\t3")
    assert "shop.item is not read" in read(tmp_path).notes
