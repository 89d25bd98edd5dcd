import csv
import gzip
import json
import resource
import signal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from client_sdk.weights import Weights
from simulator.commands import cli, datasets_import
from simulator.config.own_files import OwnFiles
from simulator.datasets import csv_files, folders, importing, load, recbole
from simulator.datasets.importing import Request
from simulator.errors import ConfigError, DatasetExistsError, DatasetFormatError, DatasetMissingError
from tests.simulator.datasets.own import CALM, own

VISITS = ["who,what,when,stars", "ann,tea,300,5", 'ann,"milk, fresh",100,4', "bob,tea,200,1"]
PEOPLE = ["who;gender;age", "ann;F;31", 'bob;" m";nan', "eve;F;17"]
AGES = {"under 5": 0, "5 to under 25": 0, "25 to under 100": 1, "100 and over": 0, "unknown": 1}
COLUMNS = {"user_column": "who", "item_column": "what", "time_column": "when"}


def write(folder, name, lines, encoding="utf-8"):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    data = "\n".join(lines).encode(encoding)
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return path


def imported(
    tmp_path, lines=VISITS, people=None, name="visits.csv", encoding="utf-8", columns=COLUMNS, names=None, **options
):
    """Imports tables with commas, and reads the folder that is made."""
    own_files = OwnFiles.of(**columns, **options.pop("own", {}), encoding=encoding)
    visits = write(tmp_path, name, lines, encoding)
    users = write(tmp_path, "people.csv", people, encoding) if people else None
    return importing.make(Request(visits, tmp_path / "made/shop", users, settings=own_files, columns=names, **options))


def history(dataset, user=0):
    return [dataset.items[row] for row in dataset.histories()[user]]


EVENTS = [
    "who,what,when,stars,event",
    "ann,tea,300,5,rating",
    "ann,milk,100,, view",
    "ann,jam,200,2,rating",
    "bob,tea,200,,purchase",
]


def test_kinds_and_ratings_are_kept_for_plans_with_weights(tmp_path):
    imported(tmp_path, EVENTS, own={"rating_column": "stars", "kind_column": "event"})
    lines = (tmp_path / "made/shop/shop.inter").read_text().splitlines()
    assert lines[0] == "user_id:token\titem_id:token\ttimestamp:float\trating:float\tkind:token"
    assert lines[2] == "ann\tmilk\t100\t\tview"
    named = OwnFiles.of(rating_column="rating", kind_column="kind", min_rating=3)
    dataset = load("shop", tmp_path / "made", settings=named)
    ann, bob = (
        {dataset.items[row]: weight for row, weight in user.positives.items()}
        for user in dataset.weighted(Weights(1, 1, 3, 2, 1, 5, False))
    )
    assert (ann, bob) == ({"milk": 1, "tea": 2}, {"tea": 3})  # a view has no rating that could be too low


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("bob,tea,200,,rating", "line 6: stars '' is not a number"),
        ("bob,tea,200,many,view", "line 6: stars 'many' is not a number"),
        ("bob,tea,200,3,sale", "line 6: event 'sale' is not one of view, like"),
    ],
)
def test_kinds_and_ratings_that_are_neither_are_refused(tmp_path, line, text):
    with pytest.raises(DatasetFormatError, match=text):
        imported(tmp_path, [*EVENTS, line], own={"rating_column": "stars", "kind_column": "event"})
    assert not (tmp_path / "made").exists()


def test_tables_become_a_folder_that_is_read_like_any_other(tmp_path):
    people = [line.replace(";", ",") for line in PEOPLE]
    own_files = {"bins": ["age=5,25,100"], "fold_case": True, "rating_column": "stars"}
    dataset = imported(tmp_path, people=people, own=own_files)
    assert history(dataset) == ["milk, fresh", "tea"]
    assert dataset.figures()["attributes"] == {"gender": {"f": 1, "m": 1}, "age": AGES}
    again = load("shop", tmp_path / "made")
    assert again.fingerprint() == dataset.fingerprint()
    rated = load("shop", tmp_path / "made", settings=OwnFiles.of(rating_column="rating", min_rating=4))
    assert rated.users == ["ann"]
    assert (tmp_path / "made/shop/shop.inter").read_text().splitlines()[:2] == [
        "user_id:token\titem_id:token\ttimestamp:float\trating:float",
        "ann\ttea\t300\t5",
    ]
    assert [path.name for path in (tmp_path / "made").iterdir()] == ["shop"]


HEADERLESS = ["196,242,3,881250949", "186,302,4,891717742", "196,51,1,881250948"]


def test_a_file_without_a_line_of_names_is_read_by_names_that_are_given(tmp_path):
    people = ["196,F,31", "186,M,17"]
    names = {"names": ["user", "item", "rating", "time"], "users_columns": ["user", "gender", "age"]}
    dataset = imported(tmp_path, HEADERLESS, people, columns={"rating_column": "rating"}, **names)
    assert (len(dataset.item), history(dataset)) == (3, ["51", "242"])
    assert dataset.attributes["gender"].classes == ("F", "M")
    assert load("shop", tmp_path / "made").fingerprint() == dataset.fingerprint()


@pytest.mark.parametrize("lines", [HEADERLESS, ["ann,tea,2024-01-31"], ["1,1,5"], ["a,-2.5"]])
def test_a_first_line_that_looks_like_data_is_not_taken_for_names(tmp_path, lines):
    with pytest.raises(DatasetFormatError, match=r"line 1: .* looks like data .* --columns user,item,rating,time"):
        imported(tmp_path, lines, columns={})
    with pytest.raises(DatasetFormatError, match=r"people\.csv, line 1: .* --users-columns"):
        imported(tmp_path, people=lines)
    assert imported(tmp_path, ["user_id,item_id,2024", "ann,tea,7"], columns={}).users == ["ann"]


def test_names_that_are_given_must_be_as_many_as_the_fields(tmp_path):
    with pytest.raises(DatasetFormatError, match=r"line 1: 4 fields where there are 2 names of columns"):
        imported(tmp_path, HEADERLESS, columns={}, names=["user", "item"])


FIELD = st.text(st.characters(exclude_characters="\t\r\n\0\ufeff", exclude_categories=["Cs"]), min_size=1, max_size=6)


@settings(CALM, max_examples=40)
@given(
    st.lists(st.tuples(FIELD.filter(str.strip), FIELD.filter(str.strip), st.integers(-(10**18), 10**18)), min_size=1),
    st.sampled_from([",", ";", "\t", "|"]),
    st.sampled_from(["utf-8", "utf-16", "utf-32-le"]),
    st.integers(1, 4),
)
def test_an_import_is_the_same_data_as_the_atomic_files(tmp_path_factory, rows, delimiter, encoding, size):
    folder = tmp_path_factory.mktemp("import")
    with (folder / "visits.csv").open("w", encoding=encoding, newline="") as file:
        table = csv.writer(file, delimiter=delimiter, lineterminator="\n")
        table.writerows([("user_id", "item_id", "timestamp"), *rows])
    header = "user_id:token\titem_id:token\ttimestamp:float"
    expected = recbole.load(own(folder, [header, *("\t".join(map(str, row)) for row in rows)]), "shop")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_files, "ROWS", size)
        own_files = OwnFiles.of(encoding=encoding)
        request = Request(folder / "visits.csv", folder / "new", delimiter=delimiter, settings=own_files)
        assert importing.make(request).fingerprint() == expected.fingerprint()


@pytest.mark.parametrize(
    "times",
    [
        ["2024-01-31 10:00:00", "2024-01-31", "2024-01-31T09:59:59.999999999"],
        ["2024-01-31T10:00:00Z", "2024-01-31T10:00:00+01:00", "2024-01-31 10:00:00.0 +00:01"],
        ["1970-01-01 00:00:00.000000002", "1969-12-31 23:59:59", "1970-01-01 00:00:00.000000001"],
    ],
)
def test_dates_are_times(tmp_path, times):
    lines = ["who,what,when", *(f"ann,{item},{time}" for item, time in zip("cab", times, strict=True))]
    assert history(imported(tmp_path, lines)) == ["a", "b", "c"]


@pytest.mark.parametrize("name", ["visits.tsv", "visits.tsv.gz", "visits.tab", "visits.csv.gz", "visits.txt"])
def test_the_separator_follows_the_name(tmp_path, name):
    mark = "," if name in ("visits.csv.gz", "visits.txt") else "\t"
    lines = [line.replace(",", mark) for line in ("who,what,when", "ann,tea,3")]
    assert history(imported(tmp_path, lines, name=name)) == ["tea"]


def test_attributes_may_stand_in_the_rows_of_interactions(tmp_path):
    lines = ["who,what,when,gender", "ann,tea,1,", "ann,milk,2,F", "bob,tea,3,M", "bob,tea,4,nan"]
    dataset = imported(tmp_path, lines, attributes=["gender"])
    assert dataset.figures()["attributes"] == {"gender": {"F": 1, "M": 1}}
    assert not any("gender" in note for note in dataset.notes)
    with pytest.raises(DatasetFormatError, match=r"visits\.csv, line 6: user 'ann' has gender 'M', and 'F' before"):
        imported(tmp_path / "other", [*lines, "ann,milk,5,M"], attributes=["gender"])


def test_every_column_that_is_not_imported_is_named(tmp_path):
    people = ["who,gender,zip,", "ann,F,12,x"]
    notes = imported(tmp_path, people=people, attributes=["gender"]).notes
    for column, file in (("stars", "visits.csv"), ("zip", "people.csv"), ("", "people.csv")):
        assert any(f"the column {column!r} of {file} is not" in note for note in notes)


def spoilt(line, text):
    return [*VISITS[:2], line, *VISITS[2:]], text


@pytest.mark.parametrize(
    ("lines", "text"),
    [
        spoilt("ann,tea,300", r"visits\.csv, line 3: 3 fields where there are 4 names of columns"),
        spoilt("ann,tea,noon,1", r"visits\.csv, line 3: when 'noon' is not a number"),
        spoilt("ann,tea,1.7e18,1", r"visits\.csv, line 3: when '1.7e18' is a float beyond"),
        spoilt("ann,tea,,1", r"visits\.csv, line 3: when '' is not a number"),
        spoilt(" ,tea,3,1", r"visits\.csv, line 3: the who is empty"),
        spoilt('ann,"tea\tgreen",3,1', r"visits\.csv, line 3: what 'tea\\tgreen' holds a tab or a line break"),
        spoilt('ann,"tea\ngreen",3,1', r"visits\.csv, line 4: what 'tea\\ngreen' holds a tab or a line break"),
        spoilt('ann,"tea"x,3,1', r"visits\.csv, line 3: ',' expected"),
        (["who,what,when,when", "ann,tea,3,4"], r"visits\.csv, line 1: column 'when' is listed twice"),
        ([""], r"visits\.csv is empty"),
        (["who,what,when"], r"visits\.csv has no interactions"),
        (["who;what;when", "ann;tea;3"], r"there is one column only: is its --delimiter ';'\?"),
        (["who,what,when", "ann,tea,2024-01-31", "ann,milk,5"], r"line 3: when '5' is not a date such as"),
        (["who,what,when", "ann,tea,2024-13-31"], r"line 2: when '2024-13-31' is not a number"),
        (["who,what,when", "ann,tea,01/02/2024"], r"line 2: when '01/02/2024' is not a number"),
        (["what,when", "tea,3"], r"visits\.csv: there is no column 'who'"),
    ],
)
def test_a_table_that_cannot_be_imported_leaves_nothing(tmp_path, lines, text):
    with pytest.raises(DatasetFormatError, match=text):
        imported(tmp_path, lines)
    assert [path.name for path in tmp_path.iterdir()] == ["visits.csv"]


@pytest.mark.parametrize(
    ("people", "options", "error", "text"),
    [
        (["who,age", "ann,3", "ann,3"], {}, DatasetFormatError, r"people\.csv, line 3: user 'ann' is listed twice"),
        (["who,age", "ann,old"], {"own": {"bins": ["age=3"]}}, DatasetFormatError, "line 2: age 'old' is not a number"),
        (["who,age", "ann,3"], {"own": {"bins": ["size=3"]}}, ConfigError, "--bin cannot divide 'size'"),
        (["who,age", "ann,3"], {"attributes": ["size"]}, ConfigError, r"no column 'size' for an attribute; it has age"),
        (["name,age", "ann,3"], {}, DatasetFormatError, r"people\.csv: there is no column user_id:token for the users"),
        (["who,age,user_id", "ann,3,4"], {}, ConfigError, "user_id of people.csv cannot be an attribute"),
        (['who,"a\tge"', "ann,3"], {}, ConfigError, r"'a\\tge' of people.csv cannot be an attribute: its name"),
        (["who,age", 'ann,"3\n4"'], {}, DatasetFormatError, r"people\.csv, line 3: age '3\\n4' holds a tab"),
    ],
)  # fmt: skip
def test_users_who_cannot_be_imported_leave_nothing(tmp_path, people, options, error, text):
    with pytest.raises(error, match=text):
        imported(tmp_path, people=people, **options)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["people.csv", "visits.csv"]


def test_bytes_in_another_encoding_leave_nothing(tmp_path):
    write(tmp_path, "visits.csv", [*VISITS, "ann,caf\xe9,4,1"], "latin-1")
    with pytest.raises(DatasetFormatError, match=r"visits\.csv, line 5: the bytes are not utf-8"):
        importing.make(Request(tmp_path / "visits.csv", tmp_path / "made", settings=OwnFiles.of(**COLUMNS)))
    assert [path.name for path in tmp_path.iterdir()] == ["visits.csv"]
    assert "caf\xe9" in imported(tmp_path, [*VISITS, "ann,caf\xe9,4,1"], encoding="cp1252").items


@pytest.mark.parametrize("there", ["file", "folder", "full", "link"])
def test_nothing_is_overwritten(tmp_path, there):
    path = tmp_path / "made/shop"
    path.parent.mkdir()
    {
        "file": path.touch,
        "folder": path.mkdir,
        "full": lambda: write(path, "x", ["mine"]),
        "link": lambda: path.symlink_to("nowhere"),
    }[there]()
    with pytest.raises(DatasetExistsError, match="is there already: name another folder, or remove it"):
        imported(tmp_path)


def test_a_folder_that_another_makes_meanwhile_is_left_alone(tmp_path):
    path = tmp_path / "shop"

    def race():
        with folders.new(path) as folder:
            (folder / "x").touch()
            write(path, "x", ["theirs"])

    with pytest.raises(DatasetExistsError):
        race()
    assert (path / "x").read_text() == "theirs"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_under_a_file_is_refused(tmp_path):
    (tmp_path / "made").touch()
    with pytest.raises(DatasetExistsError, match="made is not a folder: name another place"):
        imported(tmp_path)


def test_a_full_disk_leaves_nothing(tmp_path):
    lines = [*VISITS, *(f"user-{number},tea,1,1" for number in range(1000))]
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    write(tmp_path, "visits.csv", lines)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            importing.make(Request(tmp_path / "visits.csv", tmp_path / "made/shop", settings=OwnFiles.of(**COLUMNS)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [path.name for path in tmp_path.iterdir()] == ["visits.csv"]


@pytest.mark.parametrize(("number", "ends"), [(signal.SIGTERM, SystemExit), (signal.SIGINT, KeyboardInterrupt)])
def test_an_interrupted_import_leaves_nothing(tmp_path, number, ends):
    before = signal.getsignal(signal.SIGTERM)

    def interrupted():
        with datasets_import.ended_cleanly(), folders.new(tmp_path / "made/shop") as folder:
            (folder / "shop.inter").write_text("half")
            signal.raise_signal(number)

    with pytest.raises(ends):
        interrupted()
    assert list(tmp_path.iterdir()) == []
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DatasetMissingError, match=r"there is no file .*absent\.csv"):
        importing.make(Request(tmp_path / "absent.csv", tmp_path / "made"))


def test_the_command_imports_and_says_how_to_go_on(tmp_path, capsys):
    visits, people = write(tmp_path, "visits.csv", VISITS), write(tmp_path, "people.txt", PEOPLE)
    named = ["--user-column", "who", "--item-column", "what", "--time-column", "when", "--bin", "age=25"]
    arguments = ["datasets", "import", str(visits), "--out", str(tmp_path / "shop"), *named]
    assert cli.main([*arguments, "--users", str(people)]) == 1
    assert "people.txt, line 1: there is one column only: is its --delimiter ';'?" in capsys.readouterr().err
    people.write_text(people.read_text().replace(";", ","))
    assert cli.main([*arguments, "--users", str(people)]) == 0
    assert f"--dataset shop --data-dir {tmp_path}" in capsys.readouterr().out.replace("\n", "")
    assert cli.main(["datasets", "describe", "shop", "--data-dir", str(tmp_path), "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["attributes"]["age"] == {"under 25": 0, "25 and over": 1, "unknown": 1}
    assert cli.main([*arguments, "--users", str(people)]) == 1
    assert "is there already" in capsys.readouterr().err


WRONG = (["x.csv"], ["--out", "o"], ["x.csv", "--out", ""], ["x.csv", "--out", "o", "--delimiter", "::"])


@pytest.mark.parametrize("arguments", WRONG)
def test_what_cannot_be_followed_is_wrong_usage(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["datasets", "import", *arguments])
    assert ended.value.code == 2


def test_the_name_of_the_generated_data_set_is_taken(tmp_path):
    visits = write(tmp_path, "visits.csv", VISITS)
    with pytest.raises(ConfigError, match="name the folder otherwise"):
        importing.make(Request(visits, tmp_path / "synthetic", settings=OwnFiles.of(**COLUMNS)))
