import gzip
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.datasets import json_lines
from simulator.errors import DatasetDamagedError, DatasetFormatError
from tests.simulator.datasets.own import CALM

NAMES = ("reader", "book", "stars", "told")
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\ufeff"), max_size=8)
FIELD = st.one_of(TEXT, st.integers(), st.booleans(), st.none())


def write(folder, lines, name="reviews.jsonl", encoding="utf-8"):
    data = "".join(f"{line}\n" for line in lines).encode(encoding)
    (folder / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return folder / name


def fields(path, names, encoding="utf-8"):
    """Reads some columns, as a list of rows of texts with their line numbers."""
    rows = []
    for block in json_lines.table(path, encoding).blocks(names):
        columns = [block.columns[name].to_pylist() for name in names]
        rows += [(int(line), *(text.decode() for text in row)) for line, *row in zip(block.lines, *columns)]  # noqa: B905
    return rows


def text_of(value):
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


@CALM
@given(
    st.lists(st.dictionaries(st.sampled_from(NAMES), FIELD, min_size=1), min_size=1, max_size=9),
    st.sampled_from(["utf-8", "utf-16"]),
    st.booleans(),
    st.integers(1, 4),
)
def test_fields_are_read_by_the_keys_of_their_lines(tmp_path_factory, monkeypatch, rows, encoding, ascii_only, size):
    monkeypatch.setattr(json_lines, "ROWS", size)
    lines = [json.dumps(row, ensure_ascii=ascii_only) for row in rows]
    path = write(tmp_path_factory.mktemp("json"), lines, encoding=encoding)
    names = sorted({name for row in rows for name in row})
    assert set(json_lines.table(path, encoding).header) == set(names)
    expected = [(number, *(text_of(row.get(name)) for name in names)) for number, row in enumerate(rows, 1)]
    assert fields(path, names, encoding) == expected


def test_no_digit_of_a_number_is_lost(tmp_path):
    path = write(tmp_path, ['{"time": 1700000000000000001, "rating": 4.50, "big": 1e400, "none": NaN}', "", "{}"])
    names = ["time", "rating", "big", "none"]
    assert fields(path, names) == [(1, "1700000000000000001", "4.50", "1e400", "NaN"), (3, "", "", "", "")]


@pytest.mark.parametrize("name", ["x.json", "x.jsonl", "x.ndjson", "x.json.gz", "reviews_Books_5.jsonl.gz"])
def test_json_lines_are_known_by_their_name(tmp_path, name):
    path = write(tmp_path, ['{"reader": "ann"}'], name)
    assert json_lines.is_named(path)
    assert fields(path, ["reader"]) == [(1, "ann")]
    assert not json_lines.is_named(path.with_suffix(".csv"))


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("{'reader': 'bob'}", r"line 2: the line is not a JSON object: Expecting property name"),
        ('{"reader": "bo', r"line 2: the line is not a JSON object: Unterminated string"),
        ("[" * 100_000, r"line 2: the line is not a JSON object"),
        ('[{"reader": "bob"}]', r"line 2: the line is JSON, but not an object"),
        ('{"reader": ["bob"]}', r"line 2: reader is a list or an object"),
        ('{"reader": "\\ud800"}', r"line 2: reader is a text that is not Unicode"),
    ],
)
def test_a_bad_line_is_named(tmp_path, line, text):
    path = write(tmp_path, ['{"reader": "ann"}', line])
    with pytest.raises(DatasetFormatError, match=rf"reviews\.jsonl, {text}"):
        fields(path, ["reader"])


def test_files_that_are_not_json_lines_are_named(tmp_path):
    with pytest.raises(DatasetFormatError, match=r"reviews\.jsonl is empty"):
        json_lines.table(write(tmp_path, ["", "{}"]), "utf-8")
    with pytest.raises(DatasetFormatError, match="line 1: the bytes are not utf-8"):
        json_lines.table(write(tmp_path, ['{"reader": "Zoë"}'], encoding="latin-1"), "utf-8")
    packed = write(tmp_path, ['{"reader": "ann"}'] * 9, "x.json.gz")
    packed.rename(tmp_path / "plain.json")
    with pytest.raises(DatasetFormatError, match="is a gzip file"):
        json_lines.table(tmp_path / "plain.json", "utf-8")


@CALM
@given(st.data())
def test_a_packed_file_that_breaks_off_is_refused_wherever_it_ends(tmp_path_factory, data):
    whole = write(tmp_path_factory.mktemp("json"), [f'{{"reader": "u{n}"}}' for n in range(50)], "x.json.gz")
    content = whole.read_bytes()
    whole.write_bytes(content[: data.draw(st.integers(1, len(content) - 1))])
    with pytest.raises(DatasetDamagedError, match="truncated or corrupt"):
        fields(whole, ["reader"])
