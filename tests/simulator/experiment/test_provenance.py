"""A run says which code and which data it comes from."""

import subprocess

import pytest

from fedau2 import __version__
from simulator.datasets import synthetic
from simulator.experiment import provenance


@pytest.fixture
def git(tmp_path, monkeypatch):
    """Runs git in an empty folder, which is the current one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))

    def git(*words):
        done = subprocess.run(
            ["git", "-c", "user.name=a", "-c", "user.email=a@b", *words], capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    return git


def test_the_commit_of_the_folder_is_known_and_whether_files_differ_from_it(git, tmp_path):
    dataset = synthetic.generate(60, 200)
    known = {"fedau2": __version__, "data": dataset.fingerprint()}
    assert provenance.facts(dataset) == known, "the folder is not in a repository"
    git("init")
    (tmp_path / "file").write_text("a")
    git("add", "file")
    git("commit", "-m", "first")
    commit = git("rev-parse", "HEAD")
    assert provenance.facts(dataset) == {**known, "commit": commit}
    (tmp_path / "file").write_text("b")
    assert provenance.facts(dataset) == {**known, "commit": f"{commit}-dirty"}
