"""Values made of files that are replaced: the newest is used, whichever thread makes it."""

import threading

import pytest

from fedau2.renewal import Renewed


def test_the_newest_usable_content_is_used(tmp_path, caplog):
    path = tmp_path / "file"
    path.write_text("1")
    renewed = Renewed("the file", [path], lambda: int(path.read_text()), ValueError)
    assert renewed.newest() == 1
    path.write_text("22")
    assert renewed.newest() == 22
    path.write_text("not a number")
    assert renewed.newest() == 22, "one that cannot be used is not"
    assert "unusable" in caplog.text
    path.unlink()
    path.write_text("333")
    assert renewed.newest() == 333


def test_a_slow_thread_puts_nothing_older_back(tmp_path):
    path = tmp_path / "file"
    path.write_text("1")
    reading, go_on = threading.Event(), threading.Event()

    def read():
        text = path.read_text()
        if text == "22":
            reading.set()
            assert go_on.wait(60)
        return text

    renewed = Renewed("the file", [path], read, ValueError)
    path.write_text("22")
    slow = threading.Thread(target=renewed.newest)
    slow.start()
    assert reading.wait(60)
    path.write_text("333")
    fast = threading.Thread(target=renewed.newest)
    fast.start()
    go_on.set()
    slow.join()
    fast.join()
    assert renewed.newest() == "333"


def test_what_cannot_be_used_at_first_is_an_error(tmp_path):
    path = tmp_path / "file"
    path.write_text("nothing")
    with pytest.raises(ValueError, match="invalid literal"):
        Renewed("the file", [path], lambda: int(path.read_text()), ValueError)
