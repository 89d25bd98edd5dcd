import gzip
import re

import pytest

from benchmarks.from_frames import frames, lines
from benchmarks.page import PAGE


def test_comments_docstrings_and_empty_lines_do_not_count():
    source = '"""A\nmodule."""\n\n# why\nx = """a\nb"""  # said\n\ndef f():\n    """Does it."""\n    return x\n'
    assert lines.count(source) == 4


@pytest.mark.parametrize("name", lines.SCRIPTS)
def test_the_page_has_the_lines_of_the_scripts(name):
    row = re.search(rf"^\| [^|]*`{name}` \| (\d+) \|", PAGE.read_text("utf-8"), re.MULTILINE)
    assert row is not None
    assert int(row[1]) == lines.of_scripts()[name]


def test_the_scripts_begin_with_the_frames_of_movielens(tmp_path, monkeypatch):
    (tmp_path / "u.data").write_text("1\t242\t3\t881250949\n2\t302\t4\t891717742\n")
    (tmp_path / "u.user.gz").write_bytes(gzip.compress(b"1|24|M|technician|85711\n2|53|F|other|94043\n"))
    monkeypatch.setenv("ML_100K", str(tmp_path))
    visits, people = frames.read()
    assert visits.to_dict("records")[1] == {"user_id": 2, "item_id": 302, "timestamp": 891717742}
    assert people.to_dict("list") == {"user_id": [1, 2], "gender": ["M", "F"]}
