"""Measures the peak memory of reading LastFM-360K on generated files of its format and size. Linux, 1.5 GB of disk.

Listens are drawn at random, with a popularity like that of the real data. Only their number is meant to be realistic.
"""

import argparse
import hashlib
import json
import resource
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

import numpy as np

from simulator.datasets import lastfm

USERS = 359_347
ARTISTS = 294_015


def main() -> None:
    """Generates the files, reads them in another process, and prints time and memory."""
    parser = argparse.ArgumentParser(description="Measures the peak memory of reading LastFM-360K.")
    parser.add_argument("--rows", type=int, default=17_500_000, help="rows to generate (%(default)s)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fedau2-lastfm-") as name:
        folder = Path(name)
        generate(folder, options.rows)
        size = (folder / lastfm.PLAYS).stat().st_size
        started = time.perf_counter()
        command = ["datasets", "describe", lastfm.NAME, "--data-dir", name, "--user-core", "5", "--item-core", "5"]
        description = subprocess.run(
            [sys.executable, "-m", "simulator", *command, "--json"], check=True, stdout=subprocess.PIPE, text=True
        )
        seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(json.dumps(json.loads(description.stdout)[0]))
    print(f"{options.rows:,} rows, {size / 1e9:.2f} GB: {seconds:.0f} s, peak RSS {peak:,.0f} MiB")


def generate(folder: Path, rows: int) -> None:
    """Writes both files. Some users have no gender or an impossible age."""
    rng = np.random.default_rng(0)
    users = [hashlib.sha1(str(number).encode(), usedforsecurity=False).hexdigest() for number in range(USERS)]
    artists = [_artist(number) for number in range(ARTISTS)]
    ends = np.linspace(0, rows, USERS + 1).astype(int)
    with (folder / lastfm.PROFILES).open("w") as file:
        for user in users:
            gender, age = ("m", "f", "")[rng.choice(3, p=(0.6, 0.3, 0.1))], rng.choice(["", "-1337", "19", "23", "31"])
            file.write(f"{user}\t{gender}\t{age}\tGermany\tFeb 1, 2007\n")
    with (folder / lastfm.PLAYS).open("w") as file:
        for start in range(0, USERS, 10_000):
            stop = min(start + 10_000, USERS)
            chosen = (ARTISTS * rng.random(ends[stop] - ends[start]) ** 3).astype(int)
            owner = np.repeat(np.arange(start, stop), np.diff(ends[start : stop + 1]))
            lines = zip(owner.tolist(), chosen.tolist(), strict=True)
            file.writelines(f"{users[user]}\t{artists[artist]}\t{artist % 997 + 1}\n" for user, artist in lines)


def _artist(number: int) -> str:
    known = "" if number % 3 == 2 else str(uuid.UUID(int=number))
    return f"{known}\tartist no. {number}"


if __name__ == "__main__":
    main()
