import codecs

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.config.own_files import OwnFiles
from simulator.datasets import files, lastfm, load, recbole
from simulator.datasets.encodings import transcode
from simulator.errors import ConfigError, DatasetFormatError
from tests.simulator.datasets.own import CALM, own

LETTERS = st.characters(exclude_characters="\0\ufeff", exclude_categories=["Cs"])
TEXT = st.text(LETTERS, min_size=4, max_size=40).map(lambda text: f"a{text}")
WIDE = {"utf-16": "utf-16", "utf-32": "utf-32", "utf-16-le": "utf-16-le", "utf-32-be": "utf-32-be"}


def split(data, size):
    return [data[start : start + size] for start in range(0, len(data), size)]


@CALM
@given(TEXT, st.sampled_from(["utf-8", "utf-16", "utf-32", "utf-16-be", "utf-32-le"]), st.booleans(), st.integers(1, 9))
def test_a_text_is_the_same_in_every_encoding_however_it_is_cut(text, encoding, marked, size):
    data = (f"\ufeff{text}" if marked and encoding not in ("utf-16", "utf-32") else text).encode(encoding)
    assert b"".join(transcode(split(data, size), "x", encoding)).decode() == text


@CALM
@given(st.text(st.characters(max_codepoint=255, exclude_characters="\0"), min_size=1), st.integers(1, 9))
def test_every_byte_of_latin_1_is_its_own_letter(text, size):
    data = f"a{text}".encode("latin-1")
    assert b"".join(transcode(split(data, size), "x", "iso8859-1")).decode() == f"a{text}"


@CALM
@given(st.lists(st.text(LETTERS.filter(lambda letter: letter != "\n")), max_size=6), st.integers(1, 9), st.binary())
def test_the_line_of_a_bad_byte_is_named_however_it_is_cut(lines, size, rest):
    data = "".join(f"-{line}\n" for line in lines).encode() + b"caf\xe9 " + rest
    with pytest.raises(DatasetFormatError, match=rf"^x, line {len(lines) + 1}: the bytes are not utf-8: .*--encoding"):
        list(transcode(split(b"user\t" + data, size), "x", "utf-8"))


@pytest.mark.parametrize("encoding", WIDE)
@pytest.mark.parametrize("named", ["utf-8", "iso8859-1", "cp1252"])
def test_wide_letters_are_recognised_and_can_be_named(tmp_path, encoding, named):
    folder = own(
        tmp_path, inter=["user_id:token\titem_id:token", "ann\tcaf\u00e9", "bob\tcaf\u00e8"], encoding=encoding
    )
    with pytest.raises(
        DatasetFormatError, match=rf"shop\.inter, line 1: .*they look like {WIDE[encoding].upper()}; name it"
    ):
        recbole.load(folder, "shop", OwnFiles.of(encoding=named))
    assert recbole.load(folder, "shop", OwnFiles.of(encoding=encoding)).items == ["caf\u00e9", "caf\u00e8"]


@pytest.mark.parametrize(
    ("data", "encoding", "text"),
    [
        (b"PK\x03\x04rest", "utf-8", "a zip archive or an Excel workbook"),
        (b"PAR1rest", "latin-1", "a Parquet file"),
        (b"\x1f\x8brest", "utf-8", "a gzip file"),
        (codecs.BOM_UTF8 + b"user", "cp1252", "begins with the mark of UTF-8, and cp1252 was named"),
        (b"user\nb\0b", "utf-8", "x, line 2: a NUL byte is not text"),
        (b"user\nb\x81", "cp1252", "x, line 2: the bytes are not cp1252: name another encoding"),
        (b"user\n\x80\x81", "ascii", "x, line 2: the bytes are not ascii"),
        ("a\u00e9".encode("utf-16-le")[:-1], "utf-16-le", "x, line 1: the bytes are not utf-16-le"),
    ],
)
def test_bytes_that_are_not_text_are_refused(data, encoding, text):
    with pytest.raises(DatasetFormatError, match=text):
        list(transcode([data], "x", encoding))


def test_ids_and_classes_in_latin_1_stay_apart(tmp_path):
    inter = [
        "user_id:token\titem_id:token",
        *(f"{user}\tcaf{letter}" for user in ("Jos\xe9", "Jos\xe8") for letter in "\xe9\xe8\xea"),
    ]
    folder = own(
        tmp_path, inter, ["user_id:token\tgender:token", "Jos\xe9\tm\xe4nnlich", "Jos\xe8\tweiblich"], "latin-1"
    )
    with pytest.raises(DatasetFormatError, match=r"shop\.inter, line 2: the bytes are not utf-8"):
        load("shop", tmp_path)
    dataset = load("shop", tmp_path, settings=OwnFiles.of(encoding="latin-1"))
    assert dataset.users == ["Jos\xe9", "Jos\xe8"]
    assert dataset.items == ["caf\xe9", "caf\xe8", "caf\xea"]
    assert dataset.attributes["gender"].classes == ("m\xe4nnlich", "weiblich")
    (folder / "shop.inter").write_text("user_id:token\titem_id:token\nJos\xe9\tx", "utf-8")
    with pytest.raises(DatasetFormatError, match=r"shop\.user, line 2: the bytes are not utf-8"):
        load("shop", tmp_path)


@settings(CALM, max_examples=20)
@given(size=st.integers(1, 30))
def test_a_mark_of_utf_8_is_not_a_part_of_the_header(tmp_path, monkeypatch, size):
    monkeypatch.setattr(files, "BLOCK", size)
    folder = own(
        tmp_path, ["\ufeffuser_id:token\titem_id:token", "ann\ttea"], ["\ufeffuser_id:token\tage:token", "ann\told"]
    )
    dataset = recbole.load(folder, "shop")
    assert (dataset.users, dataset.items, dataset.attributes["age"].classes) == (["ann"], ["tea"], ("old",))


def test_artists_of_lastfm_are_told_apart_or_refused(tmp_path):
    names = ["beyonc\xe9", "beyonc\xe8", "bj\xf6rk", "bj\xf8rk"]
    (tmp_path / lastfm.PLAYS).write_bytes("\n".join(f"u\t\t{name}\t1" for name in names).encode("latin-1"))
    (tmp_path / lastfm.PROFILES).write_text("u\tf\t20\t\t")
    with pytest.raises(DatasetFormatError, match=r"plays\.tsv, line 1: the bytes are not utf-8"):
        load("lastfm-360k", tmp_path, user_core=1, item_core=1)
    named = OwnFiles.of(encoding="latin-1")
    assert load("lastfm-360k", tmp_path, user_core=1, item_core=1, settings=named).items == names


@pytest.mark.parametrize("name", ["ml-100k", "synthetic"])
def test_a_setting_without_effect_is_refused(name, miniature, tmp_path):
    miniature()
    with pytest.raises(ConfigError, match=f"encoding has no effect on {name}"):
        load(name, tmp_path, settings=OwnFiles.of(encoding="latin-1"))
