"""Pages on the screens of telephones and computers, in a real browser."""

import pytest

from simulator.reporting import html
from tests.coordinator.dashboard import chromium

pytestmark = chromium.needs_chromium

WORD = "unbroken" * 40
PICTURE = '<svg xmlns="http://www.w3.org/2000/svg" width="960" height="500"><rect width="960" height="500"/></svg>'


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    picture = tmp_path_factory.mktemp("pictures") / "it.png"
    picture.with_suffix(".svg").write_text(PICTURE)
    wide = html.table([WORD] * 3, [[f"{WORD} {number}"] * 3 for number in range(3)], {(0, 1)})
    return {
        "heading": html.heading(WORD),
        "paragraph": html.paragraph(WORD),
        "lead": html.paragraph(WORD, lead=True),
        "note": html.paragraph(WORD, note=True),
        "code": html.code(f"{WORD} {WORD}"),
        "table": wide,
        "details": html.details(WORD, wide, html.image(picture, "it")),
        "image": html.image(picture, "it"),
        "bar": html.bar(WORD, 3, 10),
        "links": html.links({WORD: WORD}),
        "items": html.items([WORD, WORD]),
    }


def test_no_part_of_a_page_is_wider_than_the_screen(parts, tmp_path):
    with chromium.page() as page:
        for name, part in parts.items():
            html.write(tmp_path / f"{name}.html", WORD, [part])
            for width in (390, 1280):
                page.resize(width)
                page.open((tmp_path / f"{name}.html").as_uri())
                page.value("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
                shown = page.value("document.documentElement.scrollWidth")
                assert shown <= width, (name, width, shown)
        assert page.complaints == []
