import os

import pandas as pd

from simulator.reporting import frames


def test_a_table_is_read_back_whatever_its_folder_is_called(tmp_path):
    folder = tmp_path / os.fsdecode(b"caf\xe9 \xc3\xa9")
    folder.mkdir()
    table = pd.DataFrame({"größe": [1.0, 2.0], "name": ["女", "b"]})
    frames.write(table, folder / "it.parquet")
    assert frames.read(folder / "it.parquet").equals(table)
    assert list(frames.read(folder / "it.parquet", ["name"])) == ["name"]
