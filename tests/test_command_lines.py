"""Laws of all commands of `fedau2-sim` and `fedau2-export`."""

import argparse
import json
import re
from pathlib import Path

import pytest

from export import cli as exporter
from fedau2 import programs
from fedau2.parser import Parser
from simulator.commands import cli as simulator

COMMANDS = Path(__file__).parents[1] / "docs" / "commands.md"


def leaves(parser, path):
    below = parser.below()
    if not below:
        yield path, parser
    for name, command in below.items():
        yield from leaves(command, (*path, name))


ALL = dict(leaves(exporter._parser(), ("fedau2-export",)))
for command in simulator.COMMANDS:
    ALL |= dict(leaves(simulator.parser_of(command), ("fedau2-sim", command)))
PROGRAMS = {"fedau2-sim": simulator.main, "fedau2-export": exporter.main}
each = pytest.mark.parametrize("path", ALL, ids=" ".join)


def ended(path, *words):
    """The exit status of a command."""
    try:
        return PROGRAMS[path[0]]([*path[1:], *map(str, words)])
    except SystemExit as end:
        return end.code


def test_all_commands_are_walked():
    assert len(ALL) >= 11 + 5 + 6
    assert {path[:2] for path in ALL if path[0] == "fedau2-sim"} == {
        ("fedau2-sim", name) for name in simulator.COMMANDS
    }


@each
def test_every_command_can_be_quiet_and_prints_json(path):
    options = ALL[path]._option_string_actions
    assert {"-q", "--quiet", "-h", "--help"} <= options.keys()
    assert "--json" in options or path[-1] == "completion"  # which prints a script for a shell


@each
def test_every_option_says_what_it_does(path):
    silent = [action.dest for action in ALL[path]._actions if not action.help]
    assert silent == []


@each
def test_wrong_usage_has_status_2_and_names_what_may_be_meant(path, capsys):
    assert ended(path, "--jsno") == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("usage: ")
    assert re.match(r"fedau2-(sim|export)( [a-z-]+)*: error: ", lines[-1])
    with pytest.raises(SystemExit, match="2"):
        ALL[path].error("unrecognized arguments: --quite")
    assert "did you mean '--quiet'?" in capsys.readouterr().err


@pytest.mark.parametrize("program", PROGRAMS)
def test_an_unknown_command_has_status_2_and_names_what_may_be_meant(program, capsys):
    known = next(path[1] for path in ALL if path[0] == program)
    assert ended((program, known[:-1])) == 2
    assert f"did you mean {known!r}?" in capsys.readouterr().err


def test_the_table_of_statuses_has_those_that_commands_end_with():
    statuses = {int(number) for number in re.findall(r"^\| (\d+) \|", COMMANDS.read_text("utf-8"), re.MULTILINE)}
    assert statuses == {0, programs.FAILED, 2, simulator.BOUND_PASSED, programs.INTERRUPTED}


@pytest.mark.parametrize("words", [["-q", "datasets", "list"], ["datasets", "-q", "list"], ["datasets", "list", "-q"]])
def test_an_option_of_all_commands_may_stand_behind_any_of_them(words, capsys):
    accepted = words[0] != "-q"
    assert ended(("fedau2-sim",), *words) == (0 if accepted else 2)
    assert capsys.readouterr().out == ""


def test_a_switch_of_a_command_above_is_not_forgotten_below():
    parser = Parser(prog="it")
    inner = parser.add_subparsers().add_parser("in").add_subparsers().add_parser("inner")
    inner.set_defaults(done=True)
    parser.add_switch("-q", "--quiet", text="nothing")
    lines = (["-q", "in", "inner"], ["in", "-q", "inner"], ["in", "inner", "-q"], ["in", "inner"])
    assert [parser.parse_args(line).quiet for line in lines] == [True, True, True, False]
    assert isinstance(inner, argparse.ArgumentParser)


def test_a_bundle_is_built_shown_signed_and_verified_in_json(tmp_path, capsys):
    items = tmp_path / "items.txt"
    items.write_text("\n".join(map(str, range(9))))
    plan = Path(__file__).parents[1] / "examples" / "plans" / "fedncf-paper.yaml"

    def printed(*words):
        assert exporter.main([*map(str, words), "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    bundle, key = tmp_path / "bundle", tmp_path / "me"
    built = printed("bundle", "--items", items, "--plan", plan, "--seed", 1, "--out", bundle)
    assert (built["model"], built["items"], built["signed"]) == ("fedncf", 9, False)
    assert printed("keygen", key) == {"private": f"{key}.key", "public": f"{key}.pub"}
    assert printed("sign", bundle, "--key", f"{key}.key", "--population", "films") == {"folder": str(bundle)}
    shown = printed("inspect", bundle)["manifest"]
    assert (shown["model"], int(shown["items"]), len(shown["signature"]) > 9) == ("fedncf", 9, True)
    checks = printed("verify", bundle, "--key", f"{key}.pub")["checks"]
    assert checks[0] == f"signature: by the key of {key}.pub"
    assert exporter.main(["inspect", str(bundle), "-q"]) == 0
    assert capsys.readouterr().out == ""
