import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from fedau2 import programs

PROGRAM = """
import sys
from fedau2 import programs
def command():
    {body}
    return 0
sys.exit(programs.run("it", "simulator", command))
"""


def ended(body, encoding="utf-8", errors=None, **environment):
    """Exit status, output and errors of a program."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(body=body)],
        env={**os.environ, "PYTHONIOENCODING": encoding, **environment},
        capture_output=True,
        check=False,
    )
    return done.returncode, done.stdout.decode(encoding, errors or "strict"), done.stderr.decode(encoding)


@pytest.mark.parametrize("encoding", ["ascii", "ascii:strict", "latin-1", "cp1252", "utf-8"])
def test_what_the_output_lacks_is_printed_as_an_escape(encoding):
    name = encoding.partition(":")[0]
    body = r"print('gr\u00f6\u00dfe \u5973 \udce9'); raise OSError('\u5973')"
    status, out, errors = ended(body, name, PYTHONIOENCODING=encoding)
    text = "größe 女 \udce9"
    assert out == text.encode(name, "backslashreplace").decode(name) + "\n"
    assert (status, errors) == (1, f"it: {'女'.encode(name, 'backslashreplace').decode(name)}\n")


def test_rich_prints_everywhere():
    body = r"from rich.console import Console; Console().print('gr\u00f6\u00dfe', markup=False)"
    assert ended(body, "ascii") == (0, "gr\\xf6\\xdfe\n", "")


@pytest.mark.parametrize(
    ("body", "status", "errors"),
    [
        ("raise KeyboardInterrupt", 130, "it: interrupted\n"),
        ("raise OSError('the disk is full')", 1, "it: the disk is full\n"),
        (
            "import not_to_be_found",
            1,
            "it: not_to_be_found is not installed: it needs pip install 'fedau2[simulator]'\n",
        ),
        ("sys.exit(2)", 2, ""),
        ("raise BrokenPipeError", 1, ""),
    ],
)
def test_an_end_is_told_in_a_line(body, status, errors):
    assert ended(body) == (status, "", errors)


def test_a_user_without_a_home_is_told_so(monkeypatch, capsys):
    monkeypatch.delenv("HOME")
    monkeypatch.setattr("os.getuid", lambda: 2**31 - 7)
    assert programs.run("it", "simulator", lambda: len(Path.home().parts)) == programs.FAILED
    assert capsys.readouterr().err == "it: this user has no home directory: name one in the environment variable HOME\n"


def test_where_no_temporary_folder_can_be_written_it_is_told_what_to_do(monkeypatch, capsys):
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setattr("tempfile._candidate_tempdir_list", lambda: ["/proc/nowhere"])
    assert programs.run("it", "simulator", lambda: len(tempfile.gettempdir())) == programs.FAILED
    assert capsys.readouterr().err == (
        "it: no temporary folder can be written: name one in the environment variable TMPDIR\n"
    )


def test_an_error_of_the_program_is_raised():
    with pytest.raises(ZeroDivisionError):
        programs.run("it", "simulator", lambda: 1 // 0)
    assert programs.run("it", "simulator", lambda: 1 // 0, lambda error: "explained") == programs.FAILED


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("body", ["print('x' * 10)", "print('x' * 10**6)", "sys.stdout.write('x'); sys.exit(0)"])
def test_a_reader_that_leaves_early_hears_nothing(body, unbuffered):
    reading, writing = os.pipe()
    os.close(reading)
    code = PROGRAM.format(body=body)
    with os.fdopen(writing, "wb") as closed:
        for streams in ({"stdout": closed, "stderr": subprocess.PIPE}, {"stdout": closed, "stderr": closed}):
            environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
            done = subprocess.run([sys.executable, "-c", code], env=environment, **streams)
            assert (done.returncode, done.stderr or b"") == (1, b"")


def test_a_program_without_output_runs():
    code = f"import sys; sys.stdout = sys.stderr = None\n{PROGRAM.format(body='print(1)')}"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_a_child_does_not_hear_the_interrupt_and_its_parent_does():
    with programs.deaf_children():
        child = subprocess.Popen([sys.executable, "-c", "print('up', flush=True); input()"], stdin=-1, stdout=-1)
    with child:
        assert child.stdout.readline() == b"up\n"
        child.send_signal(signal.SIGINT)
        child.communicate(b"\n")
    assert child.returncode == 0
    with pytest.raises(KeyboardInterrupt), programs.deaf_children():
        signal.raise_signal(signal.SIGINT)
