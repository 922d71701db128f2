"""The word to the service manager."""

import socket
from pathlib import Path

import pytest

from relay.notify import notify


def test_the_service_manager_hears_each_assignment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The assignments arrive as one datagram, one a line."""
    address = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(address))
        monkeypatch.setenv("NOTIFY_SOCKET", str(address))
        notify("READY=1", "STATUS=fine")
        assert manager.recv(100) == b"READY=1\nSTATUS=fine"


def test_an_abstract_socket_is_meant_by_an_at_sign(monkeypatch: pytest.MonkeyPatch) -> None:
    """systemd writes an abstract address with `@` for its leading zero byte."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("")  # The kernel chooses an abstract address.
        monkeypatch.setenv("NOTIFY_SOCKET", "@" + manager.getsockname()[1:].decode())
        notify("STOPPING=1")
        assert manager.recv(100) == b"STOPPING=1"


def test_without_a_service_manager_nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """The relay runs the same outside systemd."""
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    notify("READY=1")


def test_a_service_manager_that_does_not_listen_is_no_trouble(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container's manager may have one that its user cannot reach, and systemd's is away while it starts anew."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "left"))
    for address in (tmp_path / "left", tmp_path / "missing"):
        monkeypatch.setenv("NOTIFY_SOCKET", str(address))
        notify("READY=1")
