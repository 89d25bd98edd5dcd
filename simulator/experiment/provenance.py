"""Where a run comes from: the versions of the code and of the data."""

import subprocess
from pathlib import Path

from fedau2 import __version__
from simulator.datasets import Dataset


def facts(dataset: Dataset) -> dict[str, str]:
    """Returns the version of FedAU2, a checksum of the data, and the git commit of the current folder.

    A commit ends in `-dirty` where files differ from it. A folder outside of a git repository has no commit.
    """
    known = {"fedau2": __version__, "data": dataset.fingerprint()}
    if commit := _git("rev-parse", "HEAD"):
        known["commit"] = f"{commit}-dirty" if _git("status", "--porcelain", "--untracked-files=no") else commit
    return known


def _git(*words: str) -> str:
    try:
        done = subprocess.run(["git", *words], cwd=Path.cwd(), capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
