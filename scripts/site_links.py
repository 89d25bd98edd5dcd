"""A hook of MkDocs: links that leave `docs/` lead to copies of the repository's files in the site, under `source/`.

Pages link to each other and to the rest of the repository by relative paths, which work in the repository. The site has
pages for such files as well: Markdown as it is, other text as a code block, and a folder as a list of its files. Pages
that `nav` names under `source/` are made too.
"""

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

_LINK = re.compile(r"(?<=\]\()(?![a-z]+:|#|/)([^)#\s]+)(#[^)\s]*)?(?=\))")
_LANGUAGES = {
    ".proto": "protobuf",
    ".py": "python",
    ".yaml": "yaml",
    ".yml": "yaml",
    ".toml": "toml",
    ".md": "markdown",
}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds a page for each file and folder that a page links to, and for those that these pages link to."""
    root = _root(config)
    waiting = [
        path for file in files if file.is_documentation_page() for path in _outside(root, "docs/" + file.src_uri)
    ]
    waiting += [path.removeprefix("source/") for path in re.findall(r"source/[\w./-]+\.md", str(config.nav))]
    while waiting:
        path = waiting.pop()
        if files.get_file_from_path(page_of(root, path)) is None:
            files.append(File.generated(config, page_of(root, path), content=_content(root, path)))
            waiting += _outside(root, path)
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Points each link that leaves `docs/` to the page of its file."""
    root, here = _root(config), page.file.src_uri
    origin = _origin(root, here)
    if origin is None:
        return markdown

    def rewritten(link: re.Match[str]) -> str:
        path = _target(origin, link[1])
        if not (root / path).exists():
            return link[0]  # a broken link, which the strict build reports
        return posixpath.relpath(page_of(root, path), posixpath.dirname(here)) + (link[2] or "")

    return _LINK.sub(rewritten, markdown)


def page_of(root: Path, path: str) -> str:
    """The page of a file or folder of the repository, from the root of the site."""
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    if (root / path).is_dir():
        return f"source/{path}/folder.md"
    return f"source/{path}" if path.endswith(".md") else f"source/{path}.md"


def _origin(root: Path, page: str) -> str | None:
    """The file that a page's links start from; None for a page that is a block of code."""
    if not page.startswith("source/"):
        return f"docs/{page}"
    path = page.removeprefix("source/")
    is_folder = path.endswith("/folder.md") and (root / path).parent.is_dir()
    return path if is_folder or (root / path).exists() else None


def _root(config: MkDocsConfig) -> Path:
    return Path(config.docs_dir).parent


def _target(origin: str, link: str) -> str:
    return posixpath.normpath(posixpath.join(posixpath.dirname(origin), link))


def _outside(root: Path, origin: str) -> Iterator[str]:
    """The files outside `docs/` that a Markdown page links to."""
    if origin.endswith(".md"):
        for link in _LINK.finditer((root / origin).read_text("utf-8")):
            path = _target(origin, link[1])
            if not path.startswith(("docs/", "..")) and (root / path).exists():
                yield path
    elif (root / origin).is_dir():
        yield from (f"{origin}/{name}" for name in _names(root / origin))


def _content(root: Path, path: str) -> str:
    file = root / path
    if file.is_dir():
        return f"# {path}\n\n" + "".join(f"* [{name}]({name})\n" for name in _names(file))
    text = file.read_text("utf-8")
    if file.suffix == ".md":
        return text
    return f"# {path}\n\n`````{_LANGUAGES.get(file.suffix, 'text')}\n{text.rstrip()}\n`````\n"


def _names(folder: Path) -> list[str]:
    """The files of a folder that people write."""
    return sorted(file.name for file in folder.iterdir() if file.is_file() and "_pb2" not in file.name)
