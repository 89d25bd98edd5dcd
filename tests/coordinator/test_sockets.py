"""Unix sockets: the place of one that is in use is not taken."""

import socket

import pytest

from coordinator import sockets
from coordinator.errors import CoordinatorError, SettingError


@pytest.fixture
def listening(tmp_path):
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        server.listen(0)
        yield tmp_path / "socket"


def test_a_free_path_is_left_as_it_is(tmp_path):
    sockets.take(str(tmp_path / "socket"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_a_port_is_taken_once(host):
    with sockets.bound(f"{host}:0") as first:
        first.listen()
        with pytest.raises(OSError, match="in use"):
            sockets.bound(f"{host}:{first.getsockname()[1]}")


def test_a_place_is_taken_for_a_unix_socket(tmp_path):
    with sockets.bound(f"unix:{tmp_path}/socket") as first:
        first.listen()
        with pytest.raises(CoordinatorError, match="another process serves there"):
            sockets.bound(f"unix:{tmp_path}/socket")
    with sockets.bound(f"unix:{tmp_path}/socket"):
        pass


def test_a_socket_that_a_process_has_left_makes_room(tmp_path):
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
    sockets.take(str(tmp_path / "socket"))
    assert list(tmp_path.iterdir()) == []


def test_a_socket_in_use_is_left_to_its_process_even_if_that_is_busy(listening):
    for _ in range(3):
        with pytest.raises(CoordinatorError, match="another process serves there"):
            sockets.take(str(listening))
    waiting = []
    while len(waiting) < 10:  # more than the queue of connections holds
        waiting.append(socket.socket(socket.AF_UNIX))
        waiting[-1].setblocking(False)
        waiting[-1].connect_ex(str(listening))
    with pytest.raises(CoordinatorError, match="another process serves there"):
        sockets.take(str(listening))
    for connection in waiting:
        connection.close()
    assert listening.is_socket()


@pytest.mark.parametrize("act", [sockets.check, sockets.take])
def test_there_must_be_a_place_for_a_socket(tmp_path, act):
    with pytest.raises(SettingError, match="needs the folder"):
        act(str(tmp_path / "no" / "socket"))
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to("nowhere")
    for name in ("file", "link", "."):
        with pytest.raises(SettingError, match="not a socket but another file"):
            act(f"{tmp_path}/{name}")
    assert (tmp_path / "file").read_text() == "mine"
