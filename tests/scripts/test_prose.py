"""The prose linter finds bad sentences, leaves good ones alone, and points at the right line."""

import pytest

from scripts import prose
from scripts.prose.__main__ import main

LONG = "a word\n" * 20 + "too many"  # words enough for one sentence, and short lines

BAD = {
    "long-sentence": [f"The {LONG}.", f"A short one. The {LONG}."],
    "noun-clause": [
        "What is lost is counted.",
        "Whether it is open.",
        "How many rows there are.",
        "Who comes second waits.",
        "The callback runs; what it raises is logged.",
    ],
    "of-opening": ["Of several adversaries the first is used.", "Of what they raise the kind is logged."],
    "relative-pile": ["The rows, some of which are empty.", "A device whose key is one whose owner left."],
    "semicolons": ["Rows are read; rows are checked; rows are stored."],
    "is-none": ["A copy of a folder in use is none.", "There are none.", "It was none; nothing is sent."],
    "is-no": ["A score is no probability.", "The first message is no header."],
    "told": ["The reason is told.", "The log tells the reason."],
    "inversion": ["Not so is the sum.", "So are attacks on uploads.", "The sum is not sent, nor is it kept."],
    "archaic": ["The rows but for the last are sent.", "Cohorts of the day whilst it lasts."],
    "doubled": ["The sum of the the rows."],
    "small-opening": ["rows are read."],
}

GOOD = [
    "Rows are read, checked and stored.",
    "Of course the row is stored.",
    "Of the 200 users, 20 are new.",
    "There is no row; nothing is stored.",
    "The default is `None`.",
    "It is no longer open, and it is no worse than before.",
    "What happens when the disk is full?",
    "None of the rows is stored.",
    "The sum is one that that device knows.",
    "`what` names the call; `who` names the caller.",
    "gRPC is loaded on first use.",
    "logit = user . item",
    "pip installs it.",
    "A server whose disk is full refuses uploads.",
    f"The names are {', '.join(['`name`'] * 60)} and `last`.",
    "The paper (e.g. Eq. 3, cf. Fig. 2) has it, and so does Dr. A. Smith.",
    "The URL is https://example.com/what/is/told .",
]


def rules(path, text):
    path.write_text(text)
    return [finding.rule for finding in prose.check(path)]


@pytest.mark.parametrize(("rule", "sentence"), [(rule, sentence) for rule in BAD for sentence in BAD[rule]])
def test_a_bad_sentence_breaks_its_rule_in_every_kind_of_file(tmp_path, rule, sentence):
    assert rules(tmp_path / "page.md", sentence) == [rule]
    assert rules(tmp_path / "module.py", f'"""{sentence}"""') == [rule]


@pytest.mark.parametrize("sentence", GOOD)
def test_a_good_sentence_breaks_no_rule(tmp_path, sentence):
    assert not {*rules(tmp_path / "page.md", sentence)} - {"line-length"}
    assert not rules(tmp_path / "module.py", f'"""{sentence}"""')


def test_every_rule_has_a_bad_sentence():
    assert {rule.name for rule in prose.RULES} == {*BAD, "line-length"}


@pytest.mark.parametrize(
    "line",
    [
        f"| {'cell ' + 'x' * 120} |",
        f"[a page]({'x' * 120})",
        f"See https://example.com/{'x' * 120} first.",
        f"<!-- {'x' * 120} -->",
    ],
    ids=["table", "link", "address", "comment"],
)
def test_a_long_line_is_allowed_where_it_cannot_be_broken(tmp_path, line):
    assert rules(tmp_path / "page.md", f"A page.\n\n{line}\n") == []
    assert rules(tmp_path / "page.md", f"A page.\n\n```sh\ncommand {'x' * 120}\n```\n") == ["line-length"]


def test_code_is_not_prose(tmp_path):
    page = "A page:\n\n```sh\nwhat is none ; what is told\n```\n\n    what is told\n\nIt is `what is told`.\n"
    assert rules(tmp_path / "page.md", page) == []
    docstring = "A module.\n\n```python\ntold = 1\n```\n\n>>> told\n1\n\n    told indented\n"
    module = f'"""{docstring}"""\ntold = "is told"  # noqa: told\n'
    assert rules(tmp_path / "module.py", module) == []


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ('"""A module."""\n\nx = 1  # the reason is told\n', 3),
        (
            'def f():\n    """Runs.\n\n    Args:\n        x: a number.\n        y: is told\n            it.\n    """\n',
            6,
        ),
        ('def f():\n    """\n    Runs.\n    It is told.\n    """\n', 4),
        ('class A:\n    x: int\n    """It is told."""\n', 3),
        ('parser.add_argument("--x", help="it is told")\n', 1),
        ('field = {"help": "it is told"}\n', 1),
        ('raise ValueError(\n    f"{x} is told"\n)\n', 2),
        ("# A comment\n# on two lines is\n# told.\n", 3),
    ],
)
def test_a_finding_is_placed_on_its_line(tmp_path, source, line):
    path = tmp_path / "module.py"
    path.write_text(source)
    assert [(finding.rule, finding.line) for finding in prose.check(path)] == [("told", line)]


def test_list_items_cells_and_comments_may_be_clauses(tmp_path):
    page = "| what |\n|---|\n| who |\n\n* what leaves the device\n\n## What the folder holds\n"
    assert rules(tmp_path / "page.md", page) == []
    assert rules(tmp_path / "module.py", "x = 1  # how many rows\n") == []


def test_comments_of_a_protocol_are_prose(tmp_path):
    path = tmp_path / "task.proto"
    path.write_text("// A task.\nmessage Task {\n  // The name\n  // that is told.\n  string name = 1;\n}\n")
    assert [(finding.rule, finding.line) for finding in prose.check(path)] == [("told", 4)]


def test_generated_and_hidden_files_are_left_out(tmp_path):
    for name in ("page.md", "a/module.py", "a/task_pb2.py", ".venv/module.py", "build/page.md", "a/data.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    assert [path.relative_to(tmp_path).as_posix() for path in prose.files([tmp_path])] == ["a/module.py", "page.md"]


def test_the_command_prints_findings_with_their_explanation_and_fails(tmp_path, capsys):
    (tmp_path / "page.md").write_text("The reason is told.\n\nA score is no probability.\n")
    assert main([str(tmp_path)]) == 1
    printed = capsys.readouterr().out
    assert f"{tmp_path / 'page.md'}:1: told: 'told' or 'tells'; write prints" in printed
    assert "The reason is told.\n" in printed
    assert printed.endswith("2 findings, is-no 1, told 1\n") or printed.endswith("2 findings, told 1, is-no 1\n")
    assert main([str(tmp_path), "--rule", "semicolons"]) == 0
    assert main([str(tmp_path), "--summary"]) == 1
    assert f"    2 {tmp_path / 'page.md'}\n" in capsys.readouterr().out


def test_the_command_lists_its_rules(capsys):
    assert main(["--list"]) == 0
    assert [line.partition(":")[0] for line in capsys.readouterr().out.splitlines()] == [r.name for r in prose.RULES]


def test_the_command_refuses_a_path_that_does_not_exist(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main([str(tmp_path / "missing.md")])
    assert "missing.md: no such file" in capsys.readouterr().err
