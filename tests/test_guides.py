"""The guides keep what they promise: their code runs, their commands are understood, and their links lead somewhere."""

import argparse
import re
import tomllib
from importlib import import_module

import pytest

from tests.guides import GUIDES, OTHER, ROOT, RUN, Walk, blocks

BLOCKS = [block for guide in GUIDES for block in blocks(guide)]
RUNNING = [guide for guide in GUIDES if any(block.runs for block in blocks(guide))]
NOT_RUN = [block for block in BLOCKS if block.language == "sh" and not block.runs]
SCRIPTS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["scripts"]
PRINTED = {"README.md": "Result.UPLOADED", "docs/embed-the-sdk.md": "Result.UPLOADED"}
TARGETS = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)


def name(path):
    return str(path.relative_to(ROOT))


def place(block):
    return f"{name(block.guide)}:{block.line}"


class ParsedError(Exception):
    pass


@pytest.fixture
def walk(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    walk = Walk(tmp_path)
    yield walk
    walk.end()


@pytest.mark.parametrize("guide", RUNNING, ids=name)
def test_the_code_of_a_guide_runs(walk, guide, capsys, tmp_path_factory):
    for block in blocks(guide):
        if block.runs:
            walk.run(block)
    assert PRINTED.get(name(guide), "") in capsys.readouterr().out
    for number, test in enumerate(walk.tests()):
        test(tmp_path_factory.mktemp(f"test-{number}"))


@pytest.mark.parametrize("block", BLOCKS, ids=place)
def test_a_block_is_run_or_says_why_not(block):
    assert block.language in RUN | OTHER, "name the language python or sh, or none"
    if block.reason is not None:
        assert block.language in RUN
        assert len(block.reason.split()) >= 3


@pytest.mark.parametrize("guide", GUIDES, ids=name)
def test_every_mark_stands_above_a_block(guide):
    marked = [block for block in blocks(guide) if block.reason is not None]
    assert len(re.findall(r"^<!-- not run", guide.read_text("utf-8"), re.MULTILINE)) == len(marked)


@pytest.mark.parametrize("block", NOT_RUN, ids=place)
def test_commands_that_are_not_run_are_understood(block, monkeypatch):
    def parse_args(parser, args=None, namespace=None):
        original(parser, args, namespace)
        raise ParsedError

    original = argparse.ArgumentParser.parse_args
    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse_args)
    for command, *arguments in block.commands:
        if command in SCRIPTS:
            module, _, function = SCRIPTS[command].partition(":")
            monkeypatch.setattr("sys.argv", [command, *arguments])
            with pytest.raises(ParsedError):
                getattr(import_module(module), function)()
        elif command == "make":
            assert {*arguments} <= {*TARGETS}
        elif command == "python" and arguments[0].endswith(".py"):
            assert list(ROOT.glob(arguments[0].lstrip("./")))


def anchors(path):
    headings = re.findall(r"^#+ (.*)$", path.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("guide", GUIDES, ids=name)
def test_links_lead_somewhere(guide):
    for link in re.findall(r"\]\((?!https?:)([^)]+)\)", guide.read_text("utf-8")):
        path, _, anchor = link.partition("#")
        target = guide.parent / path if path else guide
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link
