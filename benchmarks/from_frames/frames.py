"""The data frames with which every script begins: MovieLens 100K, as its authors publish it."""

import os
from pathlib import Path

import pandas as pd


def read() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Reads the folder that the environment variable ML_100K names: interactions, and users with their gender."""
    folder = Path(os.environ["ML_100K"])
    visits = pd.read_csv(_file(folder, "u.data"), sep="\t", names=["user_id", "item_id", "rating", "timestamp"])
    people = pd.read_csv(_file(folder, "u.user"), sep="|", names=["user_id", "age", "gender", "occupation", "zip"])
    return visits[["user_id", "item_id", "timestamp"]], people[["user_id", "gender"]]


def _file(folder: Path, name: str) -> Path:
    plain = folder / name
    return plain if plain.exists() else folder / f"{name}.gz"
