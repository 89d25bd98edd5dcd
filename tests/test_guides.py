"""The guides keep what they promise: their Python runs, and their links lead somewhere."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
GUIDES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")])


def blocks(guide):
    return re.findall(r"^```python\n(.*?)^```", guide.read_text("utf-8"), re.DOTALL | re.MULTILINE)


def test_the_code_of_the_guide_to_embedding_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names = {}
    try:
        for code in blocks(ROOT / "docs/embed-the-sdk.md"):
            exec(compile(code, "embed-the-sdk.md", "exec"), names)
    finally:
        names["server"].stop()
    assert "Result.UPLOADED" in capsys.readouterr().out
    (tmp_path / "app").mkdir()
    names["test_the_app_learns"](tmp_path / "app")


def anchors(path):
    headings = re.findall(r"^#+ (.*)$", path.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("guide", GUIDES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(guide):
    for link in re.findall(r"\]\((?!https?:)([^)]+)\)", guide.read_text("utf-8")):
        name, _, anchor = link.partition("#")
        target = guide.parent / name if name else guide
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link
