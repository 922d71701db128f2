"""A look at what the relay may do at an upstream, and what that means for how lists get there."""

import secrets
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Final

from relay.config import UpstreamSettings
from relay.upstream.connection import Session, connect
from relay.upstream.directory import RemoteDirectory
from relay.upstream.failures import Reason, UpstreamError
from relay.upstream.publish import Mode

_CONTENT: Final = b"Written by `relay check --connect` to see whether it can be. It may be removed.\n"
_FINE: Final = "yes"


@dataclass(frozen=True, slots=True)
class Findings:
    """What was found at an upstream.

    Args:
        publish: how lists will get their final names; None where none can be sent.
        found: by what was tried, how it went.
        advice: what to do, or to know.
    """

    publish: Mode | None
    found: dict[str, str]
    advice: tuple[str, ...]


async def probe(settings: UpstreamSettings) -> Findings:
    """Log in, list, write, read back, rename and remove, with a file of our own that Attentive does not read."""
    seen = _Seen(settings.publish)
    try:
        async with connect(settings) as session:
            seen.found["log in"] = _FINE
            seen.found["host key"] = session.host_key
            await _try_directory(session.directory, seen)
            _look_at_keys(session, seen)
    except UpstreamError as error:
        seen.failed("log in", error)
    return seen.findings()


async def _try_directory(directory: RemoteDirectory, seen: "_Seen") -> None:
    name = f"relay-check-{secrets.token_hex(4)}.part"
    await seen.attempt("list", directory.sizes())
    if not await seen.attempt("write", directory.put(name, _CONTENT)):
        await directory.clear_away(name)
        return
    if await seen.attempt("look", directory.size_of(name)):
        readable = await directory.sha256_of(name) is not None
        seen.found["read back"] = _FINE if readable else "no: a retry goes by the size of what it finds"
        if await seen.attempt("rename", directory.rename(name, f"{name}.renamed")):
            name += ".renamed"
    await seen.attempt("remove", directory.remove(name))


def _look_at_keys(session: Session, seen: "_Seen") -> None:
    if session.unpinned_keys:
        seen.found["further host keys"] = ", ".join(session.unpinned_keys)
        seen.advice.append(
            "The server has host keys that are not pinned, perhaps its next. Ask its operator whether they are theirs, "
            "and add their lines to `known_hosts` beside the current one."
        )


class _Seen:
    """What has been seen so far."""

    def __init__(self, mode: Mode) -> None:
        self.found: dict[str, str] = {}
        self.advice: list[str] = []
        self._mode = mode
        self._trouble: dict[str, UpstreamError] = {}

    async def attempt(self, what: str, request: Awaitable[object]) -> bool:
        """Make a request, note how it went, and say whether it went well.

        Raises:
            UpstreamError: the connection is of no more use.
        """
        try:
            await request
        except UpstreamError as error:
            self.failed(what, error)
            if error.reason in {Reason.CONNECTION_LOST, Reason.STALLED}:
                raise
            return False
        self.found[what] = _FINE
        return True

    def failed(self, what: str, error: UpstreamError) -> None:
        """Note that something did not go well, and what to do about it."""
        if error not in self._trouble.values():
            self._trouble[what] = error
            self.found[what] = f"{error.reason}: {error.detail}"
            self.advice.append(error.hint)

    def findings(self) -> Findings:
        """Say what it all means."""
        publish = self._publish()
        if publish == "direct":
            self.advice.append(
                "Lists are written directly under their final names: while one is on its way, or after a connection "
                "is lost, an incomplete file lies there that Attentive could read (rule U2)."
            )
        if "remove" in self._trouble:
            self.advice.append("A file called `relay-check-….part` was left in `directory`; have it removed.")
        return Findings(publish, self.found, tuple(dict.fromkeys(self.advice)))

    def _publish(self) -> Mode | None:
        if any(self.found.get(needed) != _FINE for needed in ("log in", "write", "look")):
            return None
        if self._mode == "direct" or self.found.get("rename") == _FINE:
            return "direct" if self._mode == "direct" else "rename"
        refused = self._trouble["rename"].reason is Reason.RENAME_REFUSED
        return "direct" if self._mode == "auto" and refused else None
