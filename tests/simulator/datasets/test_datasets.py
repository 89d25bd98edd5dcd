import contextlib
import hashlib
import resource
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score

from simulator.datasets import download, find, load, movielens, synthetic
from simulator.errors import (
    ConfigError,
    DatasetDamagedError,
    DatasetFormatError,
    DatasetMissingError,
    DownloadError,
)


@pytest.mark.parametrize("packed", [False, True])
def test_each_users_history_is_in_time_order_and_ties_in_file_order(miniature, packed):
    dataset = movielens.load(miniature(packed=packed), {})
    assert [history.tolist() for history in dataset.histories()] == [[1, 3, 0], [2, 0], [3]]
    assert dataset.items == ["1", "2", "3", "4"]
    assert dataset.attributes["gender"].labels.tolist() == [0, 1, 0]
    assert dataset.attributes["age"].labels.tolist() == [0, 2, 1]


def test_movielens_100k_has_its_known_sizes(movielens):
    dataset = load("ml-100k", movielens)
    assert (len(dataset.users), len(dataset.items), len(dataset.item)) == (943, 1682, 100_000)
    assert np.bincount(dataset.attributes["gender"].labels).tolist() == [670, 273]
    assert np.bincount(dataset.attributes["age"].labels).tolist() == [306, 305, 332]


@pytest.mark.parametrize("line", ["2||F|x|y", "2|53||x|y"])
def test_a_user_without_the_attribute_is_named(miniature, line):
    with pytest.raises(DatasetFormatError, match=r"u\.user, line 2: user 2"):
        movielens.load(miniature(users=["1|24|M|x|y", line, "3|30|F|x|y"]), {})


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"data": ["1\t1\t5"]}, "u.data, line 1"),
        ({"data": ["1\t1\t5\t10", "9\t1\t5\t10"]}, "line 2: user '9' is not in u.user"),
        ({"data": ["1\t9\t5\t10"]}, "item '9' is not in u.item"),
        ({"data": ["1\t1\t5\tnoon"]}, "time 'noon'"),
        ({"data": ["1\t1\t5\t\xb2"]}, "time '\xb2'"),
        ({"data": ["1\t1\t5\t" + "9" * 30]}, "time '9"),
        ({"data": ["1\t1\tgood\t10"]}, "rating 'good'"),
        ({"items": ["|Toy Story|rest"]}, "u.item, line 1: the id is empty"),
        ({"users": ["1|24|M|x|y", "1|24|M|x|y"]}, "listed twice"),
        ({"users": ["1|24|X|x|y", "2|1|M|x|y", "3|1|M|x|y"]}, "line 1: user 1: gender 'X'"),
        ({"users": ["1|old|M|x|y", "2|1|M|x|y", "3|1|M|x|y"]}, "line 1: user 1: age 'old'"),
        ({"users": ["1|\xb2|M|x|y", "2|1|M|x|y", "3|1|M|x|y"]}, "age '\xb2'"),
        ({"items": ["no separator"]}, "u.item, line 1"),
    ],
)
def test_a_bad_line_is_named(miniature, change, text):
    with pytest.raises(DatasetFormatError, match=text):
        movielens.load(miniature(**change), {})


def test_lines_end_at_newlines_only(miniature):
    folder = miniature(items=["1|Caf\x85|rest\r", "2|b|rest", "", "3|\x1c|rest", "4|d|rest"])
    assert movielens.load(folder, {}).items == ["1", "2", "3", "4"]


def test_a_file_that_cannot_be_read_is_explained(miniature):
    path = miniature() / "u.user"
    path.unlink()
    path.symlink_to("/proc/self/mem")
    with pytest.raises(DatasetDamagedError, match="cannot be read"):
        movielens.load(path.parent, {})


def test_a_truncated_gzip_is_damaged(miniature):
    path = miniature(packed=True) / "u.data.gz"
    path.write_bytes(path.read_bytes()[:-12])
    with pytest.raises(DatasetDamagedError, match="truncated"):
        movielens.load(path.parent, {})


def test_another_content_than_the_official_one_is_refused(miniature):
    with pytest.raises(DatasetDamagedError, match="not the official file"):
        movielens.load(miniature())


def test_missing_files_are_named(miniature, tmp_path):
    (miniature() / "u.item").unlink()
    with pytest.raises(DatasetMissingError, match=r"u\.item"):
        movielens.load(tmp_path / "ml-100k", {})
    with pytest.raises(DatasetMissingError, match=r"there is no folder .*elsewhere"):
        load("ml-100k", tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match="ml-100k"):
        load("movies")


def test_the_environment_names_the_folder(miniature, monkeypatch, tmp_path):
    miniature()
    monkeypatch.setenv("FEDAU2_DATA", str(tmp_path))
    assert find("ml-100k", None).folder == tmp_path / "ml-100k"
    assert find("ml-100k", tmp_path / "ml-100k").folder == tmp_path / "ml-100k"


class Silent(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@contextlib.contextmanager
def served(handler):
    """A real HTTP server: its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def home(tmp_path):
    """A server over a folder: its address and the folder."""
    folder = tmp_path / "home"
    folder.mkdir()
    with served(partial(Silent, directory=str(folder))) as address:
        yield address, folder


@pytest.fixture
def offered(home, miniature):
    """A zip file at its home: address, path and checksums."""
    address, folder = home
    files = sorted(miniature().iterdir())
    with zipfile.ZipFile(folder / "set.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        for path in files:
            packed.write(path, f"ml-100k/{path.name}")
    return f"{address}/set.zip", folder / "set.zip", {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def test_a_download_is_checked_and_unpacked(offered, tmp_path):
    url, _, checksums = offered
    target = download.fetch(url, "set", checksums, tmp_path / "cache/ml-100k")
    assert movielens.load(target, checksums).users == ["1", "2", "3"]
    assert [path.name for path in target.parent.iterdir()] == ["ml-100k"]


def test_two_downloads_at_once_leave_one_folder(offered, tmp_path):
    url, _, checksums = offered
    target = tmp_path / "cache/ml-100k"
    with ThreadPoolExecutor(2) as pool:
        jobs = [pool.submit(download.fetch, url, "set", checksums, target) for _ in range(2)]
        assert [job.result() for job in jobs] == [target, target]
    assert [path.name for path in target.parent.iterdir()] == ["ml-100k"]
    assert movielens.load(target, checksums).users == ["1", "2", "3"]


def test_a_slower_download_gives_way(offered, tmp_path):
    url, _, checksums = offered
    target = tmp_path / "cache/ml-100k"
    target.mkdir(parents=True)
    (target / "u.data").write_text("the other download was faster")
    assert download.fetch(url, "set", checksums, target) == target
    assert [path.name for path in target.parent.iterdir()] == ["ml-100k"]


def spoil_truncate(path, checksums):
    path.write_bytes(path.read_bytes()[:-30])


def spoil_bytes(path, checksums):
    with zipfile.ZipFile(path) as packed:
        entry = packed.infolist()[0]
    data = bytearray(path.read_bytes())
    start = entry.header_offset + 30 + len(entry.filename)
    data[start : start + 8] = bytes([0xFF] * 8)
    path.write_bytes(data)


def spoil_content(path, checksums):
    checksums["u.data"] = "0" * 64


def spoil_missing(path, checksums):
    checksums["u.info"] = "0" * 64


@pytest.mark.parametrize("spoil", [spoil_truncate, spoil_bytes, spoil_content, spoil_missing])
def test_a_wrong_download_leaves_nothing(offered, tmp_path, spoil):
    url, path, checksums = offered
    spoil(path, checksums)
    with pytest.raises(DatasetDamagedError):
        download.fetch(url, "set", checksums, tmp_path / "cache/ml-100k")
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.mark.parametrize("url", ["/absent.zip", None])
def test_a_home_that_does_not_answer_says_what_to_do(home, tmp_path, url):
    address = f"{home[0]}{url}" if url else "http://127.0.0.1:9/set.zip"
    with pytest.raises(DownloadError, match="--data-dir"):
        download.fetch(address, "set", {}, tmp_path / "cache/ml-100k")


class BreaksOff(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "100000")
        self.end_headers()
        self.wfile.write(bytes(70_000))

    def log_message(self, *_):
        pass


def test_a_home_that_breaks_off_leaves_nothing(tmp_path):
    with served(BreaksOff) as address, pytest.raises(DownloadError, match="70,000 of 100,000"):
        download.fetch(address, "set", {}, tmp_path / "cache/ml-100k")
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_full_disk_leaves_nothing(offered, tmp_path):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        with pytest.raises(DownloadError, match="too large"):
            download.fetch(offered[0], "set", offered[2], tmp_path / "cache/ml-100k")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list((tmp_path / "cache").iterdir()) == []


def test_an_unwritable_cache_is_explained(offered, tmp_path):
    (tmp_path / "cache").write_text("a file where a folder should be")
    with pytest.raises(DownloadError):
        download.fetch(offered[0], "set", offered[2], tmp_path / "cache/ml-100k")


def readable(dependence):
    dataset = synthetic.generate(500, 300, dependence=dependence, seed=1)
    matrix = np.zeros((500, 300))
    matrix[dataset.user, dataset.item] = 1
    labels = dataset.attributes["gender"].labels
    model = LogisticRegression(class_weight="balanced", C=0.1)
    return cross_val_score(model, matrix, labels, scoring="balanced_accuracy", cv=5).mean()


def test_tastes_reveal_the_attribute_to_the_degree_asked_for():
    assert abs(readable(0.0) - 0.5) < 0.08
    assert readable(1.0) > 0.75


def test_the_synthetic_set_is_a_function_of_its_arguments():
    first, again, other = (synthetic.generate(50, 200, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.item, again.item)
    assert first.item.shape != other.item.shape or (first.item != other.item).any()
    for history in first.histories():
        assert len(set(history.tolist())) == len(history) >= 15


@pytest.mark.parametrize(
    ("users", "items", "text"),
    [
        (50, 90, r"at least .* 91 items \(--items\)"),
        (1, 200, r"at least 2 users \(--users\)"),
        (2**31 - 1, 400, "2,147,483,647 users and 400 items is too large.* lower --users or --items"),
        (2, 2**31 - 1, "too large"),
    ],
)
def test_a_synthetic_set_of_another_size_than_can_be_generated_is_refused(users, items, text):
    with pytest.raises(ConfigError, match=text):
        synthetic.generate(users, items)
