"""The example app, end to end, as somebody at a terminal would use it."""

import subprocess
import sys
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

EXAMPLE = Path(__file__).parents[2] / "examples/edge_app"
TITLES = (EXAMPLE / "movies.txt").read_text("utf-8").splitlines()


def use(state, *lines, options=()):
    """The app's answers to the lines typed."""
    command = [sys.executable, "app.py", "--state", state, *options]
    typed = "".join(f"{line}\n" for line in lines)
    done = subprocess.run(command, cwd=EXAMPLE, input=typed, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    greeting, *answers = done.stdout.split("> ")
    assert "What have you watched?" in greeting
    return [answer.rstrip("\n") for answer in answers]


def test_on_a_base_install_it_says_in_a_line_what_is_missing(tmp_path):
    code = "import runpy, sys; sys.modules |= dict.fromkeys(('torch', 'sqlalchemy', 'yaml')); sys.argv = sys.argv[1:]\n"
    code += "runpy.run_path(sys.argv[0], run_name='__main__')"
    command = [sys.executable, "-c", code, str(EXAMPLE / "app.py"), "--state", str(tmp_path / "state")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("edge_app: ")
    assert done.stderr.endswith("pip install 'fedau2[coordinator]'\n")
    assert done.stderr.count("\n") == 1


def test_an_evening_with_the_app(tmp_path):
    state = tmp_path / "state"
    listed, early, noted, unknown, kept, trained, suggested, helped, _ = use(
        state, "list", "suggest", "watched 3", "watched 41", "gender F", "train", "suggest", "?", "quit"
    )
    assert [line[6:] for line in listed.splitlines()] == TITLES
    assert "call sync() first" in early
    assert noted == f"  noted: {TITLES[2]}"
    assert "no movie '41'" in unknown
    assert "unlearned" in kept
    assert trained == "  trained, and uploaded one contribution"
    best = [line.strip() for line in suggested.splitlines()]
    assert len(set(best)) == 5
    assert set(best) <= set(TITLES) - {TITLES[2]}
    assert "suggest" in helped


def test_a_key_that_is_not_there_is_named_in_a_line(tmp_path):
    command = [sys.executable, "app.py", "--state", tmp_path / "state", "--coordinator", "127.0.0.1:1"]
    options = ["--unmasker", "127.0.0.1:1", "nowhere.pub"]
    done = subprocess.run([*command, *options], cwd=EXAMPLE, input="", capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert done.stderr.startswith("edge_app: ")
    assert "nowhere.pub" in done.stderr
    assert done.stderr.count("\n") == 1


def test_what_was_recorded_is_there_the_next_evening(tmp_path):
    use(tmp_path / "state", "watched 3")
    key = Ed25519PrivateKey.generate().public_key()
    (tmp_path / "key").write_bytes(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    lines = ("train", "suggest", "gender X", "gender", "")
    answers = use(tmp_path / "state", *lines, options=["--unmasker", "127.0.0.1:1", tmp_path / "key"])
    trained, suggested, gender, forgotten, end = answers[:5]
    assert "trained" in trained
    assert TITLES[2] not in suggested
    assert "it knows F, M" in gender
    assert "forgotten" in forgotten
    assert "watched N" in end
