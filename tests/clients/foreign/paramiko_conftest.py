"""In place of the one that paramiko's tests come with: their client is connected to the landing zone."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from paramiko import Ed25519Key, SFTPClient, Transport


@pytest.fixture
def sftp_server() -> Iterator[Transport]:
    """Connect to the landing zone."""
    transport = Transport(("127.0.0.1", int(os.environ["RELAY_PORT"])))
    transport.connect(username="amperity", pkey=Ed25519Key.from_private_key_file(os.environ["RELAY_KEY"]))
    yield transport
    transport.close()


@pytest.fixture
def sftp(sftp_server: Transport) -> Iterator[SFTPClient]:
    """Begin a session in an empty directory."""
    client = SFTPClient.from_transport(sftp_server)
    assert client is not None
    shutil.rmtree(Path(os.environ["RELAY_ROOT"]) / "folder", ignore_errors=True)
    client.FOLDER = "folder"  # type: ignore[attr-defined]  # as their tests expect it
    client.mkdir("folder")
    yield client
    client.close()
