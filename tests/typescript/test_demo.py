"""The demo's page, used as a user does."""

import subprocess

import pytest

from scripts.browser.__main__ import demo
from tests.typescript import browsers, nodes

BUILT = nodes.PACKAGE / "build"

pytestmark = [browsers.needs_browser, pytest.mark.slow]


def test_the_page_records_recommends_syncs_and_deletes(tmp_path):
    nodes.build()
    subprocess.run(["node", BUILT / "demo" / "build.js"], check=True)
    with demo(tmp_path) as address:
        picture = tmp_path / "page.png"
        subprocess.run(["node", BUILT / "test" / "browser" / "demo.js", address, picture], check=True, timeout=120)
        assert picture.stat().st_size > 0
