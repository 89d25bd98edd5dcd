import gzip
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.commands import cli
from simulator.datasets import download, files, lastfm, load, movielens1m, names, recbole, table, times
from simulator.errors import ConfigError, DatasetDamagedError, DatasetFormatError, DatasetMissingError
from tests.simulator.datasets.own import CALM

SHA = "00000c289a1829a808ac09c00daf10bc3c4e22{:02x}"
MBID = "3bd73256-3905-4f3a-97e2-8b341527f8{:02x}"


def write(folder, contents, packed=False):
    folder.mkdir(exist_ok=True, parents=True)
    for name, lines in contents.items():
        content = b"\n".join(line if isinstance(line, bytes) else line.encode() for line in lines) + b"\n"
        (folder / (f"{name}.gz" if packed else name)).write_bytes(gzip.compress(content) if packed else content)
    return folder


FIELD = st.text(st.characters(exclude_characters="\t\n\r\0\ufeff", exclude_categories=["Cs"]), max_size=5).map(
    str.encode
)


@settings(CALM, max_examples=60)
@given(st.lists(st.lists(FIELD, min_size=1, max_size=4), max_size=20), st.integers(1, 40), st.booleans())
def test_every_row_has_its_line_number_whatever_the_blocks(tmp_path, monkeypatch, rows, size, carriage):
    monkeypatch.setattr(files, "BLOCK", size)
    end = b"\r\n" if carriage else b"\n"
    (tmp_path / "x.tsv").write_bytes(end.join(b"\t".join(row) for row in rows))
    blocks = list(table.read(tmp_path, "x.tsv", ["a", "", "c"], "\t"))
    seen = [
        (int(line), a, c)
        for block in blocks
        for line, a, c in zip(block.lines, block.columns["a"].to_pylist(), block.columns["c"].to_pylist(), strict=True)
    ]
    assert seen == [(number, row[0], row[2]) for number, row in enumerate(rows, 1) if len(row) == 3]
    wrong = [number for number, row in enumerate(rows, 1) if len(row) != 3 and row != [b""]]
    assert [line for block in blocks for line in block.malformed] == wrong


RATINGS = ["2::10::5::30", "1::9::3::20", "1::10::4::10", "2::9::1::30"]
PEOPLE = ["1::F::1::10::48067", "2::M::56::16::70072", "3::M::25::15::55117"]


def ml1m(folder, ratings=RATINGS, people=PEOPLE, packed=False):
    return write(folder / "ml-1m", {"ratings.dat": ratings, "users.dat": people}, packed)


@pytest.mark.parametrize("packed", [False, True])
def test_movielens_1m_in_its_format(tmp_path, packed):
    dataset = movielens1m.load(ml1m(tmp_path, packed=packed))
    assert dataset.items == ["9", "10"]
    assert [history.tolist() for history in dataset.histories()] == [[1, 0], [1, 0], []]
    assert dataset.attributes["gender"].labels.tolist() == [1, 0, 0]
    assert dataset.attributes["age"].labels.tolist() == [0, 2, 1]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"ratings": ["1::9::3::20", "", "1::9::3"]}, r"ratings\.dat, line 3: the number of fields is wrong"),
        ({"ratings": ["1::9::3::20", "1:x:9::3::20"]}, r"ratings\.dat, line 2: the number of fields is wrong"),
        ({"ratings": ["1::9::3::20", "1::9::3:x:20"]}, r"ratings\.dat, line 2: the number of fields is wrong"),
        ({"people": [*PEOPLE, "4:F:M::1::10::4"]}, r"users\.dat, line 4: the number of fields is wrong"),
        ({"ratings": ["1::9::3::20", "7::9::3::20"]}, r"ratings\.dat, line 2: user '7' is not in users\.dat"),
        ({"ratings": ["1::nine::3::20"]}, r"line 1: item 'nine'"),
        ({"ratings": ["1::9::3::noon"]}, r"line 1: time 'noon'"),
        ({"ratings": ["1::9::3::20", b"1::9::\xff::20"]}, r"ratings\.dat, line 2: the bytes are not utf-8"),
        ({"ratings": []}, "ratings.dat has no ratings"),
        ({"people": []}, "users.dat has no users|not in users"),
        ({"people": ["1::X::1::10::48067"]}, r"users\.dat, line 1: user 1: gender 'X' is neither M nor F"),
        ({"people": ["1::F::old::10::48067"]}, r"users\.dat, line 1: age 'old'"),
        ({"people": ["1::F::999::10::4"]}, r"users\.dat, line 1: user 1: age '999' is not one of \(1, 18"),
        ({"people": ["1::F::1::10::4", "1::F::1::10::4"]}, r"users\.dat, line 2: user '1' is listed twice"),
    ],
)
def test_a_bad_line_of_movielens_1m_is_named(tmp_path, change, text):
    with pytest.raises(DatasetFormatError, match=text):
        movielens1m.load(ml1m(tmp_path, **change))


def test_a_file_of_movielens_1m_that_is_cut_off_or_missing_is_named(tmp_path):
    folder = ml1m(tmp_path, packed=True)
    path = folder / "ratings.dat.gz"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DatasetDamagedError, match=r"ratings\.dat"):
        movielens1m.load(folder)
    path.unlink()
    with pytest.raises(DatasetMissingError, match=r"ratings\.dat"):
        movielens1m.load(folder)
    with pytest.raises(DatasetMissingError, match="neither"):
        load("ml-1m", folder)


def test_movielens_1m_has_its_known_sizes(movielens):
    if not (movielens / "ml-1m").is_dir():
        pytest.skip("FEDAU2_DATA has no ml-1m/")
    dataset = load("ml-1m", movielens)
    assert (len(dataset.users), len(dataset.items), len(dataset.item)) == (6040, 3706, 1_000_209)
    assert np.bincount(dataset.attributes["gender"].labels).tolist() == [4331, 1709]
    assert np.bincount(dataset.attributes["age"].labels).tolist() == [1325, 2096, 2619]
    core = load("ml-1m", movielens, user_core=5, item_core=5)
    assert (len(core.users), len(core.items), len(core.item)) == (6040, 3416, 999_611)


PROFILES = [
    f"{SHA.format(0)}\tf\t22\tGermany\tFeb 1, 2007",
    f"{SHA.format(1)}\tm\t26\tCanada\tDec 4, 2007",
    f"{SHA.format(2)}\t\t30\tGermany\tSep 1, 2006",
    f"{SHA.format(3)}\tm\t\tMexico\tApr 28, 2008",
    f"{SHA.format(4)}\tm\t-1337\tMexico\tApr 28, 2008",
    f"{SHA.format(5)}\tf\t101\tMexico\tApr 28, 2008",
    f"{SHA.format(6)}\tm\t20\t\t",
    "\tm\t20\tMexico\tApr 28, 2008",
    "no record",
]
PLAYS = [
    f'{SHA.format(0)}\t{MBID.format(0)}\tbetty "blowtorch\t2137',
    f"{SHA.format(6)}\t{MBID.format(1)}\tdie \u00c4rzte\t1099",
    f"{SHA.format(0)}\t\tunsigned\t897",
    "sep 20, 2008\t7\tshifted\t12",
    f"{SHA.format(2)}\t{MBID.format(1)}\tdie \u00c4rzte\t5",
    f"{SHA.format(0)}\tone field short",
    f"{SHA.format(1)}\t{MBID.format(0)}\tbetty\tmany",
    f"{SHA.format(1)}\t{MBID.format(1)}\tbj\u00f6rk\t3",
    f"{SHA.format(1)}\t{MBID.format(1)}\tbroken\rname\t3",
    f"{SHA.format(0)}\t\t\t12",
]


def full(folder, plays=PLAYS, profiles=PROFILES, name=lastfm.PLAYS, packed=False):
    return write(folder / "lastfm-360k", {name: plays, lastfm.PROFILES: profiles}, packed)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", [lastfm.PLAYS, lastfm.PLAYS_RENAMED])
def test_lastfm_with_its_oddities(tmp_path, name, packed):
    dataset = lastfm.load(full(tmp_path, name=name, packed=packed))
    assert dataset.users == [SHA.format(0), SHA.format(1), SHA.format(6)]
    assert dataset.items == [MBID.format(0), MBID.format(1), "unsigned"]
    assert [history.tolist() for history in dataset.histories()] == [[0, 2], [1], [1]]
    assert dataset.attributes["gender"].labels.tolist() == [1, 0, 0]
    assert dataset.attributes["age"].labels.tolist() == [1, 2, 0]
    assert dataset.notes == (
        times.FILE_ORDER,
        "4 users without a gender or a possible age are left out",
        f"{lastfm.PROFILES}: 2 malformed lines are left out, the first is line 8",
        f"{name}: 4 malformed lines are left out, the first is line 6",
    )


def test_lastfm_that_is_mostly_malformed_is_another_data_set(tmp_path):
    with pytest.raises(
        DatasetFormatError, match=r"plays\.tsv, line 1: the line is malformed, one of 20 among 20 lines"
    ):
        lastfm.load(full(tmp_path, plays=["a,b,c,4"] * 20))
    with pytest.raises(DatasetFormatError, match="no user with a gender and an age"):
        lastfm.load(full(tmp_path, profiles=PROFILES[2:4]))


@pytest.mark.parametrize("line", [PROFILES[0], PROFILES[0].replace("\tf\t", "\tm\t"), PROFILES[2]])
def test_a_user_whom_lastfm_lists_twice_is_named(tmp_path, line):
    user = line.split("\t")[0]
    with pytest.raises(DatasetFormatError, match=rf"profile\.tsv, line 10: user '{user}' is listed twice"):
        lastfm.load(full(tmp_path, profiles=[*PROFILES, line]))


def test_lastfm_is_cut_as_published_by_default(tmp_path):
    users = [SHA.format(number) for number in range(30)]
    plays = [
        f"{user}\t\tartist {artist}\t3" for row, user in enumerate(users) for artist in range(60 if row < 25 else 50)
    ]
    profiles = [f"{user}\t{'mf'[row % 2]}\t20\tx\ty" for row, user in enumerate(users)]
    folder = full(tmp_path, plays, profiles)
    assert len(load("lastfm-360k", folder).users) == 25
    assert len(load("lastfm-360k", folder, user_core=1, item_core=1).users) == 30
    balanced = load("lastfm-360k", folder, balance="gender")
    assert np.bincount(balanced.attributes["gender"].labels).tolist() == [12, 12]


INTER = ["user_id:token\titem_id:token\trating:float\ttimestamp:float", "u\tb\t1\t2.5", "v\ta\t1\t1e9", "u\ta\t1\t-1"]
USER = ["age:token\tuser_id:token\tincome:float\tgender:token", "young\tu\t1\tx", "old\tw\t2\ty", "\tv\t3\tz"]


def shop(folder, inter=INTER, user=USER):
    return write(folder / "shop", {"shop.inter": inter} | ({"shop.user": user} if user else {}))


def test_atomic_files(tmp_path):
    shop(tmp_path)
    dataset = load("shop", tmp_path)
    assert (dataset.users, dataset.items) == (["u", "v"], ["b", "a"])
    assert [history.tolist() for history in dataset.histories()] == [[1, 0], [1]]
    assert set(dataset.attributes) == {"age", "gender"}
    assert dataset.attributes["age"].classes == ("young",)
    assert dataset.attributes["age"].labels.tolist() == [0, -1]
    assert dataset.attributes["gender"].labels.tolist() == [0, 1]


def test_atomic_files_without_times_or_users(tmp_path):
    inter = ["item_id:token\tuser_id:token", "b\tu", "a\tu"]
    dataset = recbole.load(shop(tmp_path, inter, None), "shop")
    assert [history.tolist() for history in dataset.histories()] == [[0, 1]]
    assert dataset.attributes == {}


def test_a_column_that_cannot_be_an_attribute_says_why(tmp_path):
    inter = [INTER[0], *(f"u{number}\ta\t1\t1" for number in range(60))]
    user = ["user_id:token\tzip:token\tsex:token\tage, job:token\tmood:token"]
    user += [f"u{number}\tz{number}\t{number % 2}\tx\t" for number in range(60)]
    dataset = recbole.load(shop(tmp_path, inter, [*user, "w\t1\t1\tx\tgood"]), "shop")
    assert set(dataset.attributes) == {"sex"}
    for name, column, reason in (
        ("zip", "zip", "it has 60 different values, more than 50"),
        ("job", "age, job", "its name has a comma, which separates the names of several attributes"),
        ("age, job", "age, job", "its name has a comma, which separates the names of several attributes"),
        ("mood", "mood", "no user with a value in it has interactions"),
    ):
        message = rf"no attribute '{name}'; it has sex; column '{column}' cannot be an attribute: {reason}$"
        with pytest.raises(ConfigError, match=message):
            dataset.attribute(name)
    with pytest.raises(ConfigError, match=r"no attribute 'home'; it has sex$"):
        dataset.attribute("home")
    assert [note.partition(" cannot be an attribute: ")[0] for note in dataset.figures()["notes"]][-3:] == [
        "'zip'",
        "'age, job'",
        "'mood'",
    ]


def test_users_who_are_all_without_interactions_have_no_attributes(tmp_path):
    shop(tmp_path, user=[USER[0], "old\tw\t2\ty"])
    reason = "no user with a value in it has interactions"
    with pytest.raises(ConfigError, match=f"it has no attributes; column 'age' cannot be an attribute: {reason}"):
        load("shop", tmp_path, balance="age")


@pytest.mark.parametrize(
    ("inter", "user", "text"),
    [
        (["user_id\titem_id", "u\ta"], USER, r"shop\.inter, line 1: 'user_id'"),
        (["user_id:word\titem_id:token"], USER, r"line 1: 'user_id:word'"),
        (["user_id:token\tuser_id:token"], USER, r"shop\.inter, line 1: column 'user_id' is listed twice"),
        (["user_id:token\tmovie:float"], USER, "column item_id:token is missing"),
        (["user_id:token,item_id:token"], USER, "user_id:token is missing; columns are separated by tabs"),
        (["user_id:token item_id:token"], USER, "user_id:token is missing; columns are separated by tabs"),
        (INTER[:1], USER, "no interactions"),
        ([], USER, r"shop\.inter is empty"),
        (INTER, [""], r"shop\.user is empty"),
        (["", *INTER], USER, r"shop\.inter, line 1: '' is not a column"),
        ([*INTER, "u\ta"], USER, r"shop\.inter, line 5: the number of fields is wrong"),
        ([*INTER, "\ta\t1\t1"], USER, r"shop\.inter, line 5: the user_id is empty"),
        ([*INTER, "u\ta\t1\tnoon"], USER, r"shop\.inter, line 5: timestamp 'noon'"),
        (INTER, [*USER, "x\tu\t1\tx"], r"shop\.user, line 5: user 'u' is listed twice"),
        (INTER, [*USER, "x"], r"shop\.user, line 5"),
    ],
)
def test_a_bad_line_of_an_atomic_file_is_named(tmp_path, inter, user, text):
    with pytest.raises(DatasetFormatError, match=text):
        recbole.load(shop(tmp_path, inter, user), "shop")


def test_a_line_without_end_is_not_a_table(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "LONGEST_LINE", 100)
    monkeypatch.setattr(files, "BLOCK", 50)
    (tmp_path / "x").write_bytes(b"x" * 500)
    with pytest.raises(DatasetFormatError, match="more than 100 bytes"):
        list(files.blocks(tmp_path, "x"))


def test_the_command_describes_and_checks(tmp_path, miniature, capsys):
    shop(tmp_path)
    assert cli.main(["datasets", "describe", "shop", "--data-dir", str(tmp_path), "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["users"], row["items"], row["interactions"], row["density"]) == (2, 2, 3, 0.75)
    assert row["attributes"] == {"age": {"young": 1, "unknown": 1}, "gender": {"x": 1, "z": 1}}
    ml1m(tmp_path)
    assert cli.main(["datasets", "check", "ml-1m", "--data-dir", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["official"] == {"ratings.dat": False, "users.dat": False}
    assert cli.main(["datasets", "--json"]) == 0
    assert [row["name"] for row in json.loads(capsys.readouterr().out)] == names()


def test_names_are_shown_as_they_are(tmp_path, capsys):
    shop(tmp_path, user=["user_id:token\t[/x]:token", "u\t[red]", "v\t:cat:"])
    assert cli.main(["datasets", "describe", "shop", "--data-dir", str(tmp_path)]) == 0
    printed = "".join(capsys.readouterr().out.replace("\u2502", "").split())
    assert all(name in printed for name in ("[/x]", "[red]:1", ":cat::1"))


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["describe"], "needs the name"),
        (["list", "ml-1m"], "takes no names"),
        (["describe", "nowhere"], "no data set 'nowhere'"),
        (["fetch", "synthetic"], "cannot be downloaded"),
        (["fetch", "lastfm-360k"], "by hand"),
        (["fetch", "ml-100k", "--data-dir", "data"], "fills the cache"),
        (["describe", "synthetic", "--user-core", "900"], "no core"),
        (["describe", "synthetic", "--item-core", "-1"], "negative"),
        (["describe", "synthetic", "--balance", "age"], "no attribute 'age'"),
    ],
)
def test_the_command_explains_what_it_cannot_do(arguments, text, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("FEDAU2_DATA", raising=False)
    assert cli.main(["datasets", *arguments]) == 1
    assert text in capsys.readouterr().err


def test_a_name_outside_the_list_is_explained(tmp_path):
    with pytest.raises(ConfigError, match=r"shop\.inter"):
        load("shop", tmp_path)


def test_a_checksum_of_either_kind_identifies_the_official_content():
    sha256, md5 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", "900150983cd24fb0d6963f7d28e17f72"
    assert files.is_official([b"a", b"bc"], sha256)
    assert files.is_official([b"abc"], md5)
    assert not files.is_official([b"abd"], md5)


def test_a_download_is_found_in_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("FEDAU2_DATA", raising=False)
    ml1m(download.cache())
    assert load("ml-1m").items == ["9", "10"]
