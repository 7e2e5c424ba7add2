"""Ports are moved or refused, and Unix sockets get a path that fits."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.stack.sockets import (
    NOTSENT_LOWAT_BYTES,
    PortTaken,
    SocketFolderUnsafe,
    fits,
    free_port,
    open_listener,
    socket_folder,
)

HOST = "127.0.0.1"


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server((HOST, 0)) as listener:
        yield listener.getsockname()[1]


def test_a_taken_port_is_moved(taken: int) -> None:
    with open_listener(host=HOST, port=taken, strict=False) as listener:
        assert listener.getsockname()[1] > taken


def test_a_taken_port_that_was_asked_for_is_refused(taken: int) -> None:
    with pytest.raises(PortTaken, match=f"port {taken} on 127.0.0.1 is taken"):
        open_listener(host=HOST, port=taken, strict=True)


def test_an_accepted_link_holds_little_unsent(taken: int) -> None:
    listener = open_listener(host=HOST, port=taken, strict=False)
    with listener, socket.create_connection(listener.getsockname()):
        link, _ = listener.accept()
        with link:
            unsent = link.getsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT)

    assert unsent == NOTSENT_LOWAT_BYTES


def test_a_free_port_can_be_opened(taken: int) -> None:
    port = free_port(host=HOST, port=taken, strict=False)

    with open_listener(host=HOST, port=port, strict=True) as listener:
        assert listener.getsockname()[1] == port


def test_a_short_path_keeps_its_socket_beside_the_data(tmp_path: Path) -> None:
    assert socket_folder(folder=tmp_path, name="s") == tmp_path / "socket"


@pytest.mark.parametrize("part", ["x" * 90, "with a space", "ünicode", "per%cent"])
def test_an_awkward_path_gets_a_short_folder_of_its_own(tmp_path: Path, part: str) -> None:
    folder = tmp_path / part
    folder.mkdir()

    place = socket_folder(folder=folder, name=".s.PGSQL.5432")

    assert fits(path=place / ".s.PGSQL.5432")
    assert place.stat().st_mode & 0o777 == 0o700
    place.rmdir()


def test_the_same_data_get_the_same_socket_folder(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 90)
    folder.mkdir()

    first = socket_folder(folder=folder, name="s")

    assert socket_folder(folder=folder, name="s") == first
    first.rmdir()


def test_a_socket_folder_open_to_others_is_refused(tmp_path: Path) -> None:
    (tmp_path / "socket").mkdir(mode=0o755)

    with pytest.raises(SocketFolderUnsafe):
        socket_folder(folder=tmp_path, name="s")


def test_a_socket_folder_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    (tmp_path / "socket").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(SocketFolderUnsafe):
        socket_folder(folder=tmp_path, name="s")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_socket_folder_of_somebody_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "socket").mkdir(mode=0o700)
    os.chown(tmp_path / "socket", 65534, 65534)

    with pytest.raises(SocketFolderUnsafe):
        socket_folder(folder=tmp_path, name="s")
