"""A wire that breaks anywhere between the relay and a real OpenSSH server: in login, transfer, and at the end."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from parts.fault_proxy import Fault, FaultProxy, Trouble
from parts.lists import NAME, again, an_upload, rows
from parts.sshd import NEEDS_SSHD, Sshd

from relay.model import Receipt
from relay.upstream import FAILURES, Permanence, Reason, Scope, Upload, UpstreamError, connect

pytestmark = NEEDS_SSHD

CONTENT = rows(40_000)
TRANSIENT = {reason for reason, it in FAILURES.items() if it.permanence is Permanence.TRANSIENT}


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[Sshd]:
    """A server that refuses nothing."""
    with Sshd(tmp_path / "upstream") as server:
        yield server


@dataclass(frozen=True)
class Outcome:
    """What came of an attempt, and what it leaves to the next."""

    receipt: Receipt | None
    reason: Reason | None
    unanswered: str | None


async def _attempt(sshd: Sshd, port: int, upload: Upload, publish: str, **changes: object) -> Outcome:
    pins = sshd.root / "pins"
    pins.write_text(sshd.known_hosts.read_text().replace(f":{sshd.port} ", f":{port} "))
    settings = sshd.settings(port=port, known_hosts=pins, publish=publish, **changes)
    unanswered = upload.unanswered
    try:
        async with connect(settings) as session:
            try:
                return Outcome(await session.publish(upload), None, session.unanswered_of(upload))
            except UpstreamError:
                unanswered = session.unanswered_of(upload)
                raise
    except UpstreamError as error:
        return Outcome(None, error.reason, unanswered)


async def _bytes_of_one_upload(sshd: Sshd, upload: Upload, publish: str) -> int:
    async with FaultProxy(sshd.port) as proxy:
        assert (await _attempt(sshd, proxy.port, upload, publish)).receipt is not None
    (sshd.uploads / NAME).unlink()
    return proxy.passed[0]


def _places(total: int) -> list[int]:
    """Where the wire breaks: throughout the login, in the transfer, and at each of its last requests."""
    login = total - len(CONTENT)
    return [0, 30, *range(1000, login, 250), total // 2, *range(total - 700, total, 100)]


@pytest.mark.parametrize("trouble", [Trouble.CUT, Trouble.RESET, Trouble.HALF_CLOSE])
@pytest.mark.parametrize("publish", ["rename", "direct"])
def test_wherever_the_wire_breaks_the_next_attempt_makes_it_good(
    sshd: Sshd, tmp_path: Path, trouble: Trouble, publish: str
) -> None:
    """Transient, complete or absent if renamed, and once under its name, byte for byte, after the retry."""
    upload = an_upload(tmp_path, CONTENT)

    async def run() -> None:
        for place in _places(await _bytes_of_one_upload(sshd, upload, publish)):
            async with FaultProxy(sshd.port, Fault(trouble, after=place)) as proxy:
                broken = await _attempt(sshd, proxy.port, upload, publish)
                assert broken.receipt or broken.reason in TRANSIENT, place
                if publish == "rename":
                    assert sshd.received().get(NAME, CONTENT) == CONTENT, place
                made_good = await _attempt(sshd, proxy.port, again(upload, unanswered=broken.unanswered), publish)
            assert made_good.receipt is not None, (place, made_good.reason)
            assert sshd.received() == {NAME: CONTENT}, place
            (sshd.uploads / NAME).unlink()

    asyncio.run(run())


@pytest.mark.parametrize("place", ["login", "transfer", "end"])
def test_wherever_the_wire_goes_silent_the_attempt_ends_and_the_next_makes_it_good(
    sshd: Sshd, tmp_path: Path, place: str
) -> None:
    """No answer that never comes is waited for: connecting and every request have their deadline."""
    upload = an_upload(tmp_path, CONTENT)

    async def run() -> None:
        total = await _bytes_of_one_upload(sshd, upload, "rename")
        after = {"login": 1000, "transfer": total // 2, "end": total - 150}[place]
        async with FaultProxy(sshd.port, Fault(Trouble.STALL, after=after)) as proxy:
            silent = await _attempt(sshd, proxy.port, upload, "rename", stall_timeout="1s", connect_timeout="3s")
            assert silent.receipt or silent.reason in {Reason.NO_ANSWER, Reason.STALLED}
            made_good = await _attempt(sshd, proxy.port, again(upload, unanswered=silent.unanswered), "rename")
        assert made_good.receipt is not None
        assert sshd.received() == {NAME: CONTENT}

    asyncio.run(run())


def test_a_slow_wire_is_waited_for(sshd: Sshd, tmp_path: Path) -> None:
    """As long as anything passes, the attempt goes on, far beyond the deadline of one request."""
    upload = an_upload(tmp_path, CONTENT * 6)

    async def run() -> Outcome:
        async with FaultProxy(sshd.port, Fault(Trouble.SLOW, times=None)) as proxy:
            return await _attempt(sshd, proxy.port, upload, "rename", stall_timeout="2s")

    outcome = asyncio.run(run())
    assert outcome.receipt is not None, outcome.reason
    assert outcome.receipt.transfer.total_seconds() > 2


def test_no_break_of_the_wire_is_taken_for_trouble_of_the_list() -> None:
    """Whatever the network does is transient and the upstream's, so that no list fails by it (rule U11)."""
    for reason in (Reason.UNREACHABLE, Reason.NO_ANSWER, Reason.CONNECTION_LOST, Reason.STALLED, Reason.HOST_NOT_FOUND):
        assert (FAILURES[reason].permanence, FAILURES[reason].scope) == (Permanence.TRANSIENT, Scope.UPSTREAM)
