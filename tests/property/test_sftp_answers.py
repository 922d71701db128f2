"""Whatever an upstream answers: a value or a clear error, in time, and nothing is taken for a list that is there."""

import asyncio
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from parts.answers import VERSION, Asked, Channel, answer, status
from parts.lists import NAME, TEMPORARY, an_upload, rows
from parts.sftp import string

from relay.sftp import MOST_PACKET, Kind
from relay.upstream import UpstreamError
from relay.upstream.client import SftpClient
from relay.upstream.directory import RemoteDirectory
from relay.upstream.failures import Step, met_while
from relay.upstream.publish import Publication, Published

if TYPE_CHECKING:
    import asyncssh

_U32 = st.sampled_from([0, 1, 2, 3, 4, 8, 11, 255, 2**31, 2**32 - 1]) | st.integers(0, 2**32 - 1)
_KINDS = st.sampled_from([*Kind]) | st.integers(0, 255)
_STRINGS = st.binary(max_size=40).map(string)
_ATTRIBUTES = st.builds(
    lambda has, rest: struct.pack(">I", has) + rest,
    st.sampled_from([0, 1, 5, 15, 0x80000001]) | _U32,
    st.binary(max_size=40),
)
_BODIES = st.one_of(
    st.builds(lambda code, words: code.to_bytes(4, "big") + words, _U32, _STRINGS),
    _STRINGS,
    _ATTRIBUTES,
    st.builds(
        lambda count, rest: count.to_bytes(4, "big") + rest, _U32, st.lists(_STRINGS | _ATTRIBUTES).map(b"".join)
    ),
    st.binary(max_size=60),
)
ANSWERS = st.one_of(
    # Fitting ones, so that what comes after them is reached as well.
    st.just("right"),
    st.just("right"),
    st.tuples(_KINDS, _BODIES),
    st.tuples(_KINDS, _BODIES, _U32),
    st.binary(max_size=30),
    st.sampled_from([b"", (MOST_PACKET + 1).to_bytes(4, "big"), b"\xff\xff\xff\xff"]),
)
"""An answer as it should be, one of any kind and body, one to any number, bytes that are none, and silence."""

SIZE = len(rows(1000))


def _right(asked: Asked) -> bytes:
    """What a server would answer that has nothing and takes everything."""
    match asked.kind:
        case Kind.OPEN | Kind.OPENDIR:
            return answer(Kind.HANDLE, asked.number, string(b"h"))
        case Kind.STAT if TEMPORARY.encode() in asked.body:
            return answer(Kind.ATTRS, asked.number, struct.pack(">IQ", 1, SIZE))
        case Kind.STAT:
            return answer(Kind.STATUS, asked.number, struct.pack(">I", 2))
        case Kind.READ | Kind.READDIR:
            return answer(Kind.STATUS, asked.number, struct.pack(">I", 1))
        case _:
            return status(asked.number)


def _answer(asked: Asked, script: Any) -> bytes:  # noqa: ANN401  one of ANSWERS
    match script:
        case "right":
            return _right(asked)
        case (int(kind), bytes(body)):
            return answer(kind, asked.number, body)
        case (int(kind), bytes(body), int(number)):
            return answer(kind, number, body)
        case _:
            return bytes(script)


class _Server:
    """A server that answers by a script, and whose connection ends behind it."""

    def __init__(self, script: list[Any], *, backwards: bool = False, patience: float = 0.02) -> None:
        self.refused: list[int] = []
        """What was asked for and not answered with OK."""
        self._patience = patience
        self._script = list(script)
        self._backwards = backwards
        self._due: list[Asked] = []
        self._client: SftpClient

    def serve(self, use: Callable[[RemoteDirectory], Awaitable[object]]) -> object:
        """Have a directory of it used, and return what came of it."""
        return asyncio.run(self._serve(use))

    async def _serve(self, use: Callable[[RemoteDirectory], Awaitable[object]]) -> object:
        self._client = SftpClient(self._patience)
        self._client.connection_made(cast("asyncssh.SSHClientChannel[bytes]", Channel(self._take)))
        async with asyncio.timeout(10):
            try:
                with met_while(Step.CONNECT):
                    await self._client.greet()
                return await use(RemoteDirectory(self._client, "/uploads"))
            except UpstreamError as error:
                return error

    def _take(self, asked: Asked) -> None:
        loop = asyncio.get_running_loop()
        if asked.kind == Kind.INIT:
            loop.call_soon(self._client.data_received, VERSION, None)
            return
        if not self._due:
            loop.call_soon(self._respond)
        self._due.append(asked)

    def _respond(self) -> None:
        asked = self._due[::-1] if self._backwards else self._due[:]
        self._due.clear()
        for it in asked:
            said = _answer(it, self._script.pop(0)) if self._script else None
            if said is None or said[4:13] != status(it.number)[4:13]:
                self.refused.append(it.kind)
            if said is None:
                self._client.connection_lost(None)
                return
            self._client.data_received(said, None)


@pytest.mark.parametrize(
    "use",
    [
        lambda directory: directory.sizes(),
        lambda directory: directory.size_of(NAME),
        lambda directory: directory.sha256_of(NAME),
        lambda directory: directory.put(TEMPORARY, b"content"),
        lambda directory: directory.rename(TEMPORARY, NAME),
        lambda directory: directory.remove(TEMPORARY),
    ],
    ids=["list", "look", "read", "write", "rename", "remove"],
)
@given(script=st.lists(ANSWERS, max_size=8), backwards=st.booleans())
@example(script=["right", (Kind.NAME, b"\xff\xff\xff\xff")], backwards=False)
@example(script=["right", (Kind.DATA, b"\xff\xff\xff\xffabc")], backwards=False)
@example(script=[(Kind.STATUS, b"")], backwards=False)
@example(script=[(Kind.STATUS, bytes(4))], backwards=False)
def test_no_answer_is_a_defect_or_waited_for_in_vain(
    use: Callable[[RemoteDirectory], Awaitable[object]], script: list[Any], *, backwards: bool
) -> None:
    """Each request ends with a value or with an `UpstreamError`, whatever comes, in whatever order (rule U11)."""
    outcome = _Server(script, backwards=backwards).serve(use)
    assert outcome is None or isinstance(outcome, dict | int | str | UpstreamError)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(script=st.lists(ANSWERS, max_size=12), backwards=st.booleans())
@example(script=["right"] * 12, backwards=True)
@example(script=["right"] * 4 + [(Kind.STATUS, bytes(4))] * 8, backwards=False)
def test_a_list_is_only_sent_where_every_step_was_confirmed(
    tmp_path: Path, script: list[Any], *, backwards: bool
) -> None:
    """Anything but OK to a write, a close or the rename, and it is not taken for sent (rule U1)."""

    async def publish(directory: RemoteDirectory) -> Published:
        async def nothing() -> None:
            pass

        publication = Publication(directory, an_upload(tmp_path, rows(1000)), "rename", nothing)
        return await publication.run(await publication.look())

    server = _Server(script, backwards=backwards)
    outcome = server.serve(publish)
    if isinstance(outcome, Published) and outcome.how == "rename":
        assert not {Kind.WRITE, Kind.CLOSE, Kind.RENAME} & {*server.refused}
    else:
        assert isinstance(outcome, Published | UpstreamError)


def test_a_list_is_sent_where_every_answer_is_as_it_should_be(tmp_path: Path) -> None:
    """So the scripts above are about something."""

    async def publish(directory: RemoteDirectory) -> Published:
        async def nothing() -> None:
            pass

        publication = Publication(directory, an_upload(tmp_path, rows(1000)), "rename", nothing)
        return await publication.run(await publication.look())

    assert _Server(["right"] * 8, patience=10).serve(publish) == Published("rename", verified=False)
