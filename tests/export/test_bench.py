import pytest

from export.cli import main


@pytest.mark.slow
def test_every_recommender_and_head_is_measured(capsys):
    assert main(["bench", "--steps", "10", "--repeats", "2"]) == 0
    tables = capsys.readouterr().out.split("\n\n")
    assert [len(table.splitlines()) - 2 for table in tables] == [15, 12, 15]
    for line in tables[0].splitlines()[2:]:
        assert float(line.split("|")[3]) <= 1e-5, line
