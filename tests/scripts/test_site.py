"""The documentation site builds strictly, loads nothing from other hosts, and has pages for files outside `docs/`."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def build(folder, root):
    return subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--site-dir", str(folder)],
        cwd=root,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    built = build(folder, ROOT)
    assert built.returncode == 0, built.stderr
    return folder


def test_the_site_loads_nothing_from_other_hosts(site):
    loaded = (
        r"""<(?:script|img|iframe|source)\b[^>]*\bsrc="?(https?:|//)|<link\b[^>]*\brel="?(?:stylesheet|preconnect)"""
    )
    loaded += r"""[^>]*\bhref="?(https?:|//)"""
    pages = [*site.rglob("*.html")]
    assert pages
    for page in pages:
        assert not re.search(loaded, page.read_text("utf-8")), page
    for style in site.rglob("*.css"):
        assert not re.search(r"url\([\"']?(https?:|//)|@import", style.read_text("utf-8")), style


def test_every_exported_name_is_in_the_reference(site):
    import client_sdk

    reference = (site / "reference/client_sdk.html").read_text("utf-8")
    headings = {name.rpartition(".")[2] for name in re.findall(r'<h\d id="([\w.]+)"', reference)}
    assert {*client_sdk.__all__} <= headings


@pytest.fixture
def project(tmp_path):
    """A small repository: a page that links out of `docs/`."""
    config = (ROOT / "mkdocs.yml").read_text("utf-8").partition("nav:")[0]
    (tmp_path / "mkdocs.yml").write_text(config.replace("scripts/site_links.py", str(ROOT / "scripts/site_links.py")))
    for name, text in {
        "docs/index.md": "# Home\n\n[code](../code), [file](../code/b.py), [guide](../GUIDE.md#first-step)\n",
        "docs/stylesheets/site.css": "",
        "code/b.py": 'LINK = "[not a link](elsewhere.md)"\n',
        "GUIDE.md": "# Guide\n\n## First step\n\n[home](docs/index.md), [more](code/MORE.md)\n",
        "code/MORE.md": "# More\n\n[guide](../GUIDE.md)\n",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def links(page):
    body = page.read_text("utf-8").partition("<article")[2].partition("</article")[0]
    return re.findall(r'<a href="?([^">]+)"?>(\w+)', body)


def test_links_out_of_the_pages_lead_to_copies_and_back(project, tmp_path):
    built = build(tmp_path / "site", project)
    assert built.returncode == 0, built.stderr
    site = tmp_path / "site"
    assert links(site / "index.html") == [
        ("source/code/folder.html", "code"),
        ("source/code/b.py.html", "file"),
        ("source/GUIDE.html#first-step", "guide"),
    ]
    assert links(site / "source/GUIDE.html") == [("../index.html", "home"), ("code/MORE.html", "more")]
    assert links(site / "source/code/folder.html") == [("MORE.html", "MORE"), ("b.py.html", "b")]
    assert "[not a link](elsewhere.md)" in re.sub(r"<[^>]+>", "", (site / "source/code/b.py.html").read_text("utf-8"))


@pytest.mark.parametrize("link", ["missing.md", "../missing.md", "../GUIDE.md#missing"])
def test_a_broken_link_fails_the_build(project, tmp_path, link):
    (project / "docs/index.md").write_text(f"# Home\n\n[broken]({link})\n")
    built = build(tmp_path / "site", project)
    assert built.returncode != 0
    assert link.rpartition("#")[2].rpartition("/")[2] in built.stderr
